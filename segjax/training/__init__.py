"""Losses, compiled steps, the training loop and its checkpoints. Networks come as arguments."""

from segjax.training.fit import Fit, LoopConfig, Member, Pictures, fit, predict, predict_logits
from segjax.training.losses import LOSSES, cross_entropy, dice_and_cross_entropy, soft_dice
from segjax.training.packs import fit_pack
from segjax.training.state import TrainState
from segjax.training.steps import StepConfig, Steps, make_steps
from segjax.training.tiles import exact_tiling, predict_tiled

__all__ = [
    "LOSSES",
    "Fit",
    "LoopConfig",
    "Member",
    "Pictures",
    "StepConfig",
    "Steps",
    "TrainState",
    "cross_entropy",
    "dice_and_cross_entropy",
    "exact_tiling",
    "fit",
    "fit_pack",
    "make_steps",
    "predict",
    "predict_logits",
    "predict_tiled",
    "soft_dice",
]
