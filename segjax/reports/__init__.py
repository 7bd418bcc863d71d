"""What a study shows at its end: sentences, dose-response curves, picture galleries and the page that holds them."""

from segjax.reports.curves import curve_caption, dose_response, svg
from segjax.reports.gallery import LabelTile, PredictionTile, label_gallery, overlay, prediction_gallery
from segjax.reports.page import Illustration, write_page
from segjax.reports.published import published
from segjax.reports.sentences import answers, question
from segjax.reports.summary import failed_runs, missing_cells, number_tables, summary

__all__ = [
    "Illustration",
    "LabelTile",
    "PredictionTile",
    "answers",
    "curve_caption",
    "dose_response",
    "failed_runs",
    "label_gallery",
    "missing_cells",
    "number_tables",
    "overlay",
    "prediction_gallery",
    "published",
    "question",
    "summary",
    "svg",
    "write_page",
]
