"""How every study runs: its plan, its missing cells through the ledger, and the report by whoever finishes last."""

import dataclasses
import json
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

import segjax
from experiments.harness.options import UNNAMED
from experiments.options import NOT_FACTS, RunOptions
from experiments.provenance import commit, machine
from segjax.reports import Illustration, write_page
from segjax.sweeps import Cell, Ledger, fingerprint, in_words, run_cells, share_of
from segjax.sweeps.run import RunPack
from segjax.types import InputError, Source


def plan_of(
    study: str, config: RunOptions, cells: Sequence[Cell], digests: Mapping[str, str], grid: Sequence[str] = ()
) -> dict[str, Any]:
    """What `plan.json` holds; its fingerprint covers what decides a cell's numbers besides its place in the grid.

    Args:
        digests: of the pictures, by what they are called.
        grid: options of the study that only say which cells there are.
    """
    resolved = json.loads(json.dumps(dataclasses.asdict(config), default=str))
    facts = {name: value for name, value in resolved.items() if name not in (*NOT_FACTS, *grid)}
    facts |= {**digests, "segjax": segjax.__version__}
    return {
        "study": study,
        "fingerprint": fingerprint(facts),
        "facts": facts,
        "config": resolved,
        "versions": {name: version(name) for name in ("jax", "flax", "optax", "numpy")},
        "machine": machine(),
        "commit": commit(),
        "cells": [dict(cell.factors) for cell in cells],
    }


def origin(out: Path, command: str) -> dict[str, Any]:
    """What a report page says about where its numbers come from: command, commit, and the plan's facts."""
    plan = json.loads((out / "plan.json").read_text())
    return {
        "command": command,
        "commit": commit(),
        "machine": plan["machine"],
        "data digest": plan["facts"]["digest"],
        "configuration fingerprint": plan["fingerprint"],
        **plan["versions"],
    }


def cautions(config: RunOptions, source: Source) -> list[str]:
    """What a reader of any study's page has to know before believing it."""
    found = []
    if config.data.startswith("microscope:"):
        found.append("The pictures are simulated; the published ones came from another virtual microscope.")
    if config.data.startswith("terrain:"):
        found.append("The pictures are simulated; real settlements differ more from each other and from the ground.")
    if config.scale in ("smoke", "demo"):
        found.append(
            f"This is the {config.scale} scale: small networks, few pictures and few seeds, to see how it works."
        )
    if not source.test_groups and config.seeds > config.folds:
        found.append(
            f"There are {config.folds} sets of test pictures for {config.seeds} seeds: seeds {config.folds} apart "
            "share theirs, so intervals over seeds are narrower than as many sets would give. --folds with at least as "
            "many as --seeds gives every seed its own."
        )
    if config.validation == "slice":
        found.append("Validation pictures share volumes with training pictures, as published.")
    return found


def command_of(plan: Mapping[str, Any], usual: RunOptions) -> str:
    """The command of a study from its plan: what differs from `usual`, the resolved defaults of its scale and data."""
    config = plan["config"]
    defaults = dict(_flat(json.loads(json.dumps(dataclasses.asdict(usual), default=str))))
    words = ["--scale", config["scale"], "--data", config["data"], "--out", config["out"]]
    for name, value in _flat(config):
        if value != defaults[name] and name != "resume":
            shown = value if isinstance(value, list) else [value]
            words += [f"--{name.replace('_', '-')}", *map(str, shown)]
    return f"python -m experiments.{plan['study']} {shlex.join(words)}"


def _flat(entries: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in entries.items():
        if isinstance(value, Mapping):
            yield from _flat(value, prefix if name in UNNAMED else f"{prefix}{name}.")
        else:
            yield prefix + name, value


def save_figures(folder: Path, figures: Mapping[str, Illustration]) -> None:
    """Every figure of a page as a file of its own, SVG or PNG, named after its heading."""
    folder.mkdir(exist_ok=True)
    for name, figure in figures.items():
        stem = name.lower().replace(" ", "_")
        if isinstance(figure.content, str):
            (folder / f"{stem}.svg").write_text(figure.content)
        else:
            (folder / f"{stem}.png").write_bytes(figure.content)


def write_study_page(out: Path, command: str, figures: Mapping[str, Illustration], **content: Any) -> Path:
    """Write OUT/report.html with the plan's configuration and origin, and OUT/figures; returns the page's path.

    Args:
        content: what `segjax.reports.write_page` is given besides.
    """
    save_figures(out / "figures", figures)
    page, config = out / "report.html", json.loads((out / "plan.json").read_text())["config"]
    write_page(page, figures=figures, config=config, provenance=origin(out, command), **content)
    return page


def check_resume(config: RunOptions) -> None:
    """Raises InputError where --resume finds nothing to go on with."""
    if config.resume and not (config.out / "plan.json").exists():
        raise InputError(f"resume: there is nothing to go on with in {config.out}; leave --resume out to begin")


def say(console: Console, text: str) -> None:
    """Print a line as it is."""
    console.print(text, markup=False, highlight=False)


def run_study(
    config: RunOptions,
    console: Console,
    plan: Mapping[str, Any],
    cells: Sequence[Cell],
    *,
    run: RunPack,
    kind: Callable[[Cell], str],
    estimate: Callable[[Sequence[Cell]], tuple[float, float]],
    report: Callable[[pd.DataFrame, str], Path],
) -> None:
    """Run the cells of this process's share that are missing; the last process to finish writes the report.

    Args:
        plan: as `plan_of` gives it.
        cells: all of the study.
        run, kind: as for `segjax.sweeps.run_cells`.
        estimate: seconds and megabytes that some cells will take, for --plan.
        report: writes the page from the table of results and the command that was given; returns its path.
    """
    share = share_of(cells, config.share)
    if config.plan:
        for cell in share:
            say(console, str(cell))
        seconds, megabytes = estimate(share)
        amounts = f"about {in_words(seconds)} here, {megabytes:.1f} MB of results; nothing was trained"
        say(console, f"{len(share)} cells, {amounts}")
        return
    factors = [name for name, _ in cells[0].factors]
    with Ledger(config.out, plan["study"], factors, plan) as ledger:
        run_cells(share, run, ledger, kind, console, config.pack)
        left = len(ledger.missing(cells))
        if left:
            waiting = f"{left} of {len(cells)} cells are left to others"
            say(console, f"{waiting}; the last process to finish writes the report")
            return
        command = " ".join([f"python -m experiments.{plan['study']}", *sys.argv[1:]])
        say(console, f"report: {report(ledger.table(), command)}")
