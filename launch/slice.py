"""Run a study on a multi-host slice of TPUs or GPUs, whose processes JAX must connect before any can compute.

python -m launch.slice annotation_errors --coordinator host1:1234 --processes 2 --process 0 -- --out runs/x  # on host1
srun python -m launch.slice annotation_errors -- --out runs/x                                # finds the others
"""

import importlib
import sys
from dataclasses import dataclass, field
from typing import Annotated

import tyro

from experiments.harness.options import Flat
from experiments.harness.run import run as run_study
from experiments.harness.start import LEFT_TO_OTHERS, SOME_FAILED
from launch.connection import ConnectionOptions, join, leave
from launch.guard import Child, run
from launch.study import refuse_alone, refuse_requeue, split, study_module


@dataclass(frozen=True)
class SliceConfig:
    """Run a study in connected processes: process 0 claims trials for all, and each trains its share on its devices.

    The study's own options follow after a lone --. Give all processes the same options. If the machines need not be
    connected, start the study itself on each: they share a folder without waiting for each other. The exit codes are
    those of the study, and all processes end with the same one. If a process dies, the others name it and end within 30
    seconds with code 75.
    """

    study: tyro.conf.Positional[str]
    """The study: annotation_errors or experiments.annotation_errors."""
    connection: Annotated[ConnectionOptions, Flat] = field(default_factory=ConnectionOptions)


def main(guard: Child) -> None:
    """Connect, and run the study in every process."""
    own, options = split(sys.argv[1:])
    config = tyro.cli(SliceConfig, prog="python -m launch.slice", args=own)
    module = study_module(config.study)
    refuse_alone(module, options)
    refuse_requeue(options)
    join(guard, config.connection)
    try:
        run_study(importlib.import_module(f"{module}.study").STUDY, options)
    except SystemExit as ended:
        if ended.code in (SOME_FAILED, LEFT_TO_OTHERS):  # told by process 0, so in all processes
            leave(guard)
        raise
    leave(guard)


if __name__ == "__main__":
    run(main)
