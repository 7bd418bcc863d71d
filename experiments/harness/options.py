"""Groups of options that the command lines share."""

from dataclasses import dataclass, field
from typing import Annotated

import tyro

from segjax.training import LoopConfig, StepConfig

UNNAMED = ("step", "loop")  # groups inside a group of options that its flags do not name


@dataclass(frozen=True)
class TrainOptions:
    """How networks are trained: what a step does and how long the loop goes on.

    On the command line the options of both follow the group's own name: --train.loss, --train.epochs.
    """

    step: Annotated[StepConfig, tyro.conf.arg(name="", help="How networks are trained.")] = field(
        default_factory=StepConfig
    )
    loop: Annotated[LoopConfig, tyro.conf.arg(name="")] = field(default_factory=LoopConfig)
