"""What a study shows at its end: sentences, dose-response curves, picture galleries and the page that holds them."""

try:
    import jinja2  # noqa: F401
    import matplotlib  # noqa: F401
    import pandas  # noqa: F401
except ImportError as error:
    raise ImportError("segjax.reports needs more packages: pip install 'segjax[studies]'") from error

from segjax.reports.charts import Chart, chart, svg
from segjax.reports.curves import dose_response
from segjax.reports.dots import Panel, dot_chart
from segjax.reports.gallery import Gallery, Look, look
from segjax.reports.lines import Line, line_chart
from segjax.reports.page import Page, write_page

__all__ = [
    "Chart",
    "Gallery",
    "Line",
    "Look",
    "Page",
    "Panel",
    "chart",
    "dose_response",
    "dot_chart",
    "line_chart",
    "look",
    "svg",
    "write_page",
]
