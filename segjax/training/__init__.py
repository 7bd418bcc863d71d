"""Losses, compiled steps, the training loop and its checkpoints. Networks come as arguments."""

from segjax.training.consistency import Consistency, check_consistent, make_consistent_steps
from segjax.training.fit import Fit, LoopConfig, Member, Pictures, fit, predict, predict_logits
from segjax.training.losses import (
    LOSSES,
    balanced_weights,
    cross_entropy,
    dice_and_cross_entropy,
    generalized_cross_entropy,
    soft_dice,
    symmetric_cross_entropy,
)
from segjax.training.mean_teacher import make_mean_teacher_steps
from segjax.training.memory import without_memory
from segjax.training.packs import (
    STRATEGIES,
    Layout,
    candidate_layouts,
    first_batch,
    fit_pack,
    layout_of,
    time_layouts,
)
from segjax.training.parallel import cores, make_mesh, make_pmap_steps, make_sharded_steps, pack_step
from segjax.training.state import TrainState
from segjax.training.steps import StepConfig, Steps, make_steps
from segjax.training.tiles import exact_tiling, predict_tiled

__all__ = [
    "LOSSES",
    "STRATEGIES",
    "Consistency",
    "Fit",
    "Layout",
    "LoopConfig",
    "Member",
    "Pictures",
    "StepConfig",
    "Steps",
    "TrainState",
    "balanced_weights",
    "candidate_layouts",
    "check_consistent",
    "cores",
    "cross_entropy",
    "dice_and_cross_entropy",
    "exact_tiling",
    "first_batch",
    "fit",
    "fit_pack",
    "generalized_cross_entropy",
    "layout_of",
    "make_consistent_steps",
    "make_mean_teacher_steps",
    "make_mesh",
    "make_pmap_steps",
    "make_sharded_steps",
    "make_steps",
    "pack_step",
    "predict",
    "predict_logits",
    "predict_tiled",
    "soft_dice",
    "symmetric_cross_entropy",
    "time_layouts",
    "without_memory",
]
