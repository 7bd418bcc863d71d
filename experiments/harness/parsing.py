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
    published: Callable[[str, str, str], Mapping[str, Any]] = lambda scale, protocol, data: {}

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
    has_grid = importlib.util.find_spec(f"{room}.grid") is not None
    config = parse(grid_of(name) if has_grid else load(f"{room}.study").STUDY)
    load("experiments.harness.run").run_with(load(f"{room}.study").STUDY, config)


def grid_of(name: str) -> Grid:
    """What the module `grid` of a study declares."""
    grid = importlib.import_module(f"experiments.{name}.grid")
    return Grid(name, grid.BASE, grid.SCALES, **{"published": grid.published} if hasattr(grid, "published") else {})


def defaults_of(study: Any, scale: str, protocol: str = "ours", data: str | None = None) -> Any:
    """The configuration of a scale and protocol of a `Study` or `Grid`: what they set unless the command line says
    otherwise."""
    config = overlaid(overlaid(study.base, study.scales[scale]), {"run": {"scale": scale}})
    return overlaid(config, study.published(scale, protocol, data or config.source.data))


def resolved(study: Any, config: Any) -> Any:
    """A configuration with what depends on other options filled in, and checked.

    Raises:
        InputError: names the option and what it may be.
    """
    check_run(config.run, config.source)
    return study.resolve(overlaid(config, {"source": {**vars(config.source.resolved())}}))


def parse(study: Any, args: Sequence[str] | None = None) -> Any:
    """The configuration of the command line (or of `args`), over what the chosen --scale and --protocol set.

    Raises:
        InputError: an unknown scale, or an option that cannot be.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--scale", default="demo")
    for flag in ("--protocol", "--data"):  # a missing value is told below
        first.add_argument(flag, nargs="?")
    chosen = first.parse_known_args(args)[0]
    if chosen.scale not in study.scales:
        raise InputError(f"scale: unknown {chosen.scale!r}; choose one of {', '.join(study.scales)}")
    default = defaults_of(study, chosen.scale, chosen.protocol or "ours", chosen.data)
    default = overlaid(default, {"run": {"out": tyro.MISSING}})
    prog = f"python -m experiments.{study.name}"
    description = f"{inspect.getdoc(study.config)}\n\n{EXIT_CODES}"
    return resolved(study, tyro.cli(study.config, prog=prog, description=description, args=args, default=default))
