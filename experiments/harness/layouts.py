"""How packs are laid out on cores or devices, and how long trainings take."""

import json
from collections.abc import Sequence
from pathlib import Path

import jax

from experiments.harness.options import RunOptions
from segjax.files import write_file
from segjax.training import LoopConfig, Member, Pictures, Steps
from segjax.training.packs import Layout, candidate_layouts, layout_of, time_layouts


class Layouts:
    """As asked for or, timed once for each kind of steps, the fastest way."""

    def __init__(self, run: RunOptions) -> None:
        self._run = run
        self._chosen: dict[str, Layout] = {}

    def of(self, kind: str, steps: Steps, members: Sequence[Member], loop: LoopConfig) -> Layout:
        """The layout of a pack; timings are written to `OUT/packs/KIND.json`."""
        if self._run.strategy != "auto":
            asked = layout_of(self._run.strategy, len(members))
            most = self._chosen.get(kind, asked)
            return Layout(min(asked.workers, most.workers), min(asked.together, most.together))
        if kind not in self._chosen:
            layouts = candidate_layouts(len(members))
            seconds = time_layouts(members, steps, loop, layouts) if len(layouts) > 1 else {}
            fastest = min(seconds, key=seconds.__getitem__, default=next(iter(layouts)))
            self._chosen[kind] = layouts[fastest]
            _keep_choice(self._run.out / "packs" / f"{kind}.json", fastest, len(members), seconds)
        return self._chosen[kind]

    def lessen(self, kind: str, layout: Layout) -> None:
        """Later packs of a kind take no more memory than this layout, since it did not suffice for a larger one."""
        self._chosen[kind] = layout


def step_seconds(run: RunOptions, steps: Steps, blank: Pictures, loop: LoopConfig) -> float:
    """Seconds per step of one training, by one timed step on one batch.

    With the strategy "auto" it is alone on CPU, and shares its step elsewhere, which is about as fast as the fastest.
    """
    usual = "sequential" if jax.default_backend() == "cpu" else "vmap"
    layout = layout_of(usual if run.strategy == "auto" else run.strategy, run.pack)
    members = [Member(jax.random.key(0), blank, blank)] * (layout.workers * layout.together)
    return time_layouts(members, steps, loop, {"": layout}, probe_steps=1)[""]


def _keep_choice(path: Path, strategy: str, pack: int, seconds: dict[str, float]) -> None:
    found = {"strategy": strategy, "pack": pack, "seconds per member and step": seconds}
    write_file(path, json.dumps(found) + "\n")
