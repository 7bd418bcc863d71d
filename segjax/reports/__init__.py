"""What a study shows at its end: sentences, dose-response curves, picture galleries and the page that holds them."""

try:
    import jinja2  # noqa: F401
    import matplotlib  # noqa: F401
    import pandas  # noqa: F401
except ImportError as error:
    raise ImportError("segjax.reports needs more packages: pip install 'segjax[studies]'") from error

from segjax.reports import words
from segjax.reports.curves import dose_response, svg
from segjax.reports.gallery import (
    LabelTile,
    PredictionTile,
    ShotsTile,
    UpgradeTile,
    change_overlay,
    label_gallery,
    outline_legend,
    outline_overlay,
    overlay,
    prediction_gallery,
    shots_gallery,
    upgrade_gallery,
)
from segjax.reports.index import refresh_index, write_index
from segjax.reports.maps import MapTile, dot_chart, map_panel
from segjax.reports.page import Illustration, write_card, write_page, write_review, write_status
from segjax.reports.page_facts import has_index
from segjax.reports.shots import Band, Spread, heat_chart, shots_chart
from segjax.reports.sizes import size_chart
from segjax.reports.upgrades import (
    BeforeAfter,
    Compared,
    Figure,
    Line,
    before_after_chart,
    comparison_chart,
    line_chart,
)
from segjax.reports.words import data_name

__all__ = [
    "Band",
    "BeforeAfter",
    "Compared",
    "Figure",
    "Illustration",
    "LabelTile",
    "Line",
    "MapTile",
    "PredictionTile",
    "ShotsTile",
    "Spread",
    "UpgradeTile",
    "before_after_chart",
    "change_overlay",
    "comparison_chart",
    "data_name",
    "dose_response",
    "dot_chart",
    "has_index",
    "heat_chart",
    "label_gallery",
    "line_chart",
    "map_panel",
    "outline_legend",
    "outline_overlay",
    "overlay",
    "prediction_gallery",
    "refresh_index",
    "shots_chart",
    "shots_gallery",
    "size_chart",
    "svg",
    "upgrade_gallery",
    "words",
    "write_card",
    "write_index",
    "write_page",
    "write_review",
    "write_status",
]
