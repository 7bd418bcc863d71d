"""What a study shows at its end: sentences, dose-response curves, picture galleries and the page that holds them."""

try:
    import jinja2  # noqa: F401
    import matplotlib  # noqa: F401
    import pandas  # noqa: F401
except ImportError as error:
    raise ImportError("segjax.reports needs more packages: pip install 'segjax[studies]'") from error

from segjax.reports.curves import curve_caption, dose_response, svg
from segjax.reports.gallery import (
    LabelTile,
    PredictionTile,
    ShotsTile,
    UpgradeTile,
    change_overlay,
    label_gallery,
    overlay,
    prediction_gallery,
    shots_gallery,
    upgrade_gallery,
)
from segjax.reports.maps import MapTile, dot_chart, map_panel
from segjax.reports.page import Illustration, write_page, write_review
from segjax.reports.published import published
from segjax.reports.sentences import answers, question
from segjax.reports.shape import STATEMENTS, by_statement, findings, sentence, set_findings
from segjax.reports.shots import Band, Spread, heat_chart, shots_chart
from segjax.reports.summary import failed_cells, failed_runs, missing_cells, number_tables, summary
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
    "STATEMENTS",
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
    "answers",
    "before_after_chart",
    "by_statement",
    "change_overlay",
    "comparison_chart",
    "curve_caption",
    "data_name",
    "dose_response",
    "dot_chart",
    "failed_cells",
    "failed_runs",
    "findings",
    "heat_chart",
    "label_gallery",
    "line_chart",
    "map_panel",
    "missing_cells",
    "number_tables",
    "overlay",
    "prediction_gallery",
    "published",
    "question",
    "sentence",
    "set_findings",
    "shots_chart",
    "shots_gallery",
    "summary",
    "svg",
    "upgrade_gallery",
    "write_page",
    "write_review",
]
