"""Store the values of a run beside its study, and write the pages of results and README's table.

    python -m experiments.publish                              writes the pages from the values stored so far
    python -m experiments.publish --run runs/hl60 --name hl60  stores the values of a run first

Values, pages and table come from one commit. A tree with uncommitted changes is refused.
"""

import importlib
import pkgutil
from dataclasses import dataclass
from pathlib import Path

import tyro

import experiments
from experiments.harness.provenance import ROOT
from experiments.harness.publish import check_tree, published_runs, take_run, write_readme, write_results_page
from experiments.harness.run import AnyStudy
from experiments.harness.start import run_command
from segjax.sweeps.plan import read_plan
from segjax.types import InputError


@dataclass(frozen=True)
class PublishOptions:
    """The run to publish, if any."""

    run: Path | None = None
    """The --out folder of a study."""
    name: str | None = None
    """Name of the published run: small letters, digits and underscores."""
    notes: tuple[str, ...] = ()
    """Sentences that the page must carry with the run, such as runs that came before it and what they showed."""
    looked_at: tuple[int, ...] = ()
    """Seeds whose test pictures were looked at while a method was designed. Their values are stored, but no number of
    the page counts them."""


def study_names() -> list[str]:
    """The studies: folders of experiments with a module `study`."""
    base = Path(experiments.__path__[0])
    names = [found.name for found in pkgutil.iter_modules([str(base)]) if found.ispkg]
    return [name for name in names if name != "harness" and (base / name / "study.py").exists()]


def study_of(name: str) -> AnyStudy:
    """A study by its name.

    Raises:
        InputError: there is no such study.
    """
    if name not in study_names():
        raise InputError(f"study: unknown {name!r}; choose one of {', '.join(study_names())}")
    return importlib.import_module(f"experiments.{name}.study").STUDY


def main() -> None:
    """Take the run, write the pages.

    Raises:
        InputError: the tree has changes, or the run cannot be used.
    """
    options = tyro.cli(PublishOptions, prog="python -m experiments.publish", description=__doc__)
    check_tree()
    if (options.run is None) != (options.name is None):
        raise InputError("run, name: give both, or neither to write the pages only")
    if (options.notes or options.looked_at) and options.run is None:
        raise InputError("notes, looked_at: belong to a run; give --run and --name too")
    if options.run is not None and options.name is not None:
        study = study_of(read_plan(options.run)["study"])
        print(f"values: {take_run(study, options.run, options.name, options.notes, options.looked_at)}")
    everything = []
    for name in study_names():
        runs = published_runs(study_of(name))
        everything += runs
        print(f"page: {write_results_page(study_of(name), runs)}")
    write_readme(ROOT / "README.md", everything)


if __name__ == "__main__":
    run_command(main)
