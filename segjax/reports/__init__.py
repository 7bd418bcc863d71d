"""What a study shows at its end: sentences, dose-response curves, picture galleries and the page that holds them."""

try:
    import jinja2  # noqa: F401
    import matplotlib  # noqa: F401
    import pandas  # noqa: F401
except ImportError as error:
    raise ImportError("segjax.reports needs more packages: pip install 'segjax[studies]'") from error

from segjax.reports import words
from segjax.reports.charts import Chart, Figure, chart, means_said, svg
from segjax.reports.curves import dose_response
from segjax.reports.dots import Panel, dot_chart
from segjax.reports.gallery import (
    CHANGE_LEGEND,
    LABEL_LEGEND,
    MAP_LEGEND,
    PREDICTION_LEGEND,
    Gallery,
    Look,
    change_layer,
    dice_scale,
    label_layer,
    look,
    map_layer,
    outline_layer,
    outline_legend,
    prediction_layer,
    prediction_look,
    truth_layer,
)
from segjax.reports.index import refresh_index, write_index
from segjax.reports.lines import (
    BeforeAfter,
    Compared,
    Line,
    before_after_chart,
    comparison_chart,
    line_chart,
    outcome_chart,
)
from segjax.reports.page import Page, index_beside, write_card, write_page, write_status
from segjax.reports.page_facts import has_index
from segjax.reports.scene import FOUND_LEGEND, scene_look
from segjax.reports.shots import Band, Spread, heat_chart, shots_chart
from segjax.reports.sizes import size_chart
from segjax.reports.words import data_name

__all__ = [
    "CHANGE_LEGEND",
    "FOUND_LEGEND",
    "LABEL_LEGEND",
    "MAP_LEGEND",
    "PREDICTION_LEGEND",
    "Band",
    "BeforeAfter",
    "Chart",
    "Compared",
    "Figure",
    "Gallery",
    "Line",
    "Look",
    "Page",
    "Panel",
    "Spread",
    "before_after_chart",
    "change_layer",
    "chart",
    "comparison_chart",
    "data_name",
    "dice_scale",
    "dose_response",
    "dot_chart",
    "has_index",
    "heat_chart",
    "index_beside",
    "label_layer",
    "line_chart",
    "look",
    "map_layer",
    "means_said",
    "outcome_chart",
    "outline_layer",
    "outline_legend",
    "prediction_layer",
    "prediction_look",
    "refresh_index",
    "scene_look",
    "shots_chart",
    "size_chart",
    "svg",
    "truth_layer",
    "words",
    "write_card",
    "write_index",
    "write_page",
    "write_status",
]
