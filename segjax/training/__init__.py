"""Losses, compiled steps, the training loop and its checkpoints. Networks come as arguments."""

from segjax.training.fit import Fit, Member, Pictures, fit, predict
from segjax.training.losses import LOSSES, cross_entropy, dice_and_cross_entropy, soft_dice
from segjax.training.packs import STRATEGIES, Layout, fastest_layout, fit_pack, layout_of
from segjax.training.state import TrainState
from segjax.training.steps import Steps, TrainConfig, make_steps

__all__ = [
    "LOSSES",
    "STRATEGIES",
    "Fit",
    "Layout",
    "Member",
    "Pictures",
    "Steps",
    "TrainConfig",
    "TrainState",
    "cross_entropy",
    "dice_and_cross_entropy",
    "fastest_layout",
    "fit",
    "fit_pack",
    "layout_of",
    "make_steps",
    "predict",
    "soft_dice",
]
