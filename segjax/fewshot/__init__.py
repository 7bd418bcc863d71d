"""Few-shot segmentation of a new cell type: features of trained networks, recombined by a head for a few pictures.

After Vădineanu, Pelt, Dzyubachyk and Batenburg, "From Feature Maps to Few-Shot Cell Segmentation", MOVI (2024).
"""

from segjax.fewshot.bank import Extractor, FeatureBank
from segjax.fewshot.files import load_extractors, save_extractors
from segjax.fewshot.heads import HEADS, create_head
from segjax.fewshot.segment import Found, NewType, Objects, fit_new_type, segment_new_type

__all__ = [
    "HEADS",
    "Extractor",
    "FeatureBank",
    "Found",
    "NewType",
    "Objects",
    "create_head",
    "fit_new_type",
    "load_extractors",
    "save_extractors",
    "segment_new_type",
]
