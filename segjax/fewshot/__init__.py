"""Few-shot segmentation of a new cell type: features of trained networks, recombined by a head for a few pictures.

After Vădineanu, Pelt, Dzyubachyk and Batenburg, "From Feature Maps to Few-Shot Cell Segmentation", MOVI (2024).
"""

from segjax.fewshot.bank import Extractor, FeatureBank, with_statistics
from segjax.fewshot.baselines import BASELINES, shot_steps, train_on_shots
from segjax.fewshot.draws import FEATURE_SELECTIONS, Draws, check_apart, draw_support, ranking
from segjax.fewshot.files import load_extractor, load_extractors, save_extractors
from segjax.fewshot.grid import FeatureSet, Grid, best_threshold, check_shots, fit_grid
from segjax.fewshot.heads import HEADS, Head, create_head, name_of
from segjax.fewshot.held_out import HeldOut, folds_of, held_out
from segjax.fewshot.hidden import HiddenLayer, TwoHiddenLayers
from segjax.fewshot.instances import border_target, instances, type_target
from segjax.fewshot.linear import Logistic, Ridge, SoftDice
from segjax.fewshot.moments import MomentsHead, class_moments
from segjax.fewshot.prototypes import CosinePrototype, LocalPrototypes, Prototype, ThresholdPrototype
from segjax.fewshot.segment import Found, NewType, Objects, Reading, Shot, Shots, fit_new_type, segment_new_type
from segjax.fewshot.streaming import fit_streamed

__all__ = [
    "BASELINES",
    "FEATURE_SELECTIONS",
    "HEADS",
    "CosinePrototype",
    "Draws",
    "Extractor",
    "FeatureBank",
    "FeatureSet",
    "Found",
    "Grid",
    "Head",
    "HeldOut",
    "HiddenLayer",
    "LocalPrototypes",
    "Logistic",
    "MomentsHead",
    "NewType",
    "Objects",
    "Prototype",
    "Reading",
    "Ridge",
    "Shot",
    "Shots",
    "SoftDice",
    "ThresholdPrototype",
    "TwoHiddenLayers",
    "best_threshold",
    "border_target",
    "check_apart",
    "check_shots",
    "class_moments",
    "create_head",
    "draw_support",
    "fit_grid",
    "fit_new_type",
    "fit_streamed",
    "folds_of",
    "held_out",
    "instances",
    "load_extractor",
    "load_extractors",
    "name_of",
    "ranking",
    "save_extractors",
    "segment_new_type",
    "shot_steps",
    "train_on_shots",
    "type_target",
    "with_statistics",
]
