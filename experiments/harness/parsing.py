"""The command line of a study, read before anything heavy is loaded: a typing error is told at once."""

import argparse
import importlib.util
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tyro

from experiments.harness.options import check_run, overlaid
from experiments.harness.start import EXIT_CODES
from segjax.types import InputError


@dataclass(frozen=True)
class Grid:
    """What the options of a study follow from, as its module `grid` declares it; a `Study` has the same."""

    name: str
    base: Any
    scales: Mapping[str, Mapping[str, Any]]

    @property
    def config(self) -> type[Any]:
        return type(self.base)

    @property
    def resolve(self) -> Callable[[Any], Any]:
        return self.config.resolved


def run_study(name: str) -> None:
    """The command of a study by its name: its options are read before what it runs with is loaded.

    Raises:
        InputError, SystemExit: as `experiments.harness.run.run_with`.
    """
    load, room = importlib.import_module, f"experiments.{name}"
    if importlib.util.find_spec(f"{room}.grid"):
        grid = load(f"{room}.grid")
        config = parse(Grid(name, grid.BASE, grid.SCALES))
    else:
        config = parse(load(f"{room}.study").STUDY)
    load("experiments.harness.run").run_with(load(f"{room}.study").STUDY, config)


def defaults_of(study: Any, scale: str) -> Any:
    """The configuration of a scale of a `Study` or `Grid`: what it sets unless the command line says otherwise."""
    return overlaid(overlaid(study.base, study.scales[scale]), {"run": {"scale": scale}})


def resolved(study: Any, config: Any) -> Any:
    """A configuration with what depends on other options filled in, and checked.

    Raises:
        InputError: names the option and what it may be.
    """
    check_run(config.run, config.source)
    return study.resolve(overlaid(config, {"source": {**vars(config.source.resolved())}}))


def parse(study: Any, args: Sequence[str] | None = None) -> Any:
    """The configuration of the command line (or of `args`), over what the chosen --scale sets.

    Raises:
        InputError: an unknown scale, or an option that cannot be.
    """
    scale = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    scale.add_argument("--scale", default="demo")
    chosen = scale.parse_known_args(args)[0].scale
    if chosen not in study.scales:
        raise InputError(f"scale: unknown {chosen!r}; choose one of {', '.join(study.scales)}")
    default = overlaid(defaults_of(study, chosen), {"run": {"out": tyro.MISSING}})
    prog = f"python -m experiments.{study.name}"
    description = f"{inspect.getdoc(study.config)}\n\n{EXIT_CODES}"
    return resolved(study, tyro.cli(study.config, prog=prog, description=description, args=args, default=default))
