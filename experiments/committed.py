"""What results modules share: from the folders of runs to tables, figures and sentences kept beside the code."""

import dataclasses
import json
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar, get_type_hints

import pandas as pd
import tyro

from experiments.provenance import comment, provenance
from experiments.running import command_of, save_figures
from segjax.data import parse_spec
from segjax.reports import Illustration, data_name
from segjax.types import InputError

_Config = TypeVar("_Config")


@dataclass(frozen=True)
class Config:
    """Which runs, and where to."""

    folders: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of results of the study."""
    out: Path
    """Folder for the tables and figures."""


class Configured(Protocol):
    """A study's module `config`."""

    StudyConfig: type[Any]

    def defaults_of(self, scale: str, /) -> Any:
        """What a scale sets."""

    def resolve(self, config: Any, /) -> Any:
        """The configuration filled in and checked."""


class Kept(NamedTuple):
    """What one run gives.

    Attributes:
        tables, figures: by the beginning of their files' names.
        question, answers: sentences.
    """

    tables: Mapping[str, pd.DataFrame]
    figures: Mapping[str, Illustration]
    question: str
    answers: Sequence[str]


def keep_results(
    study: str,
    title: str,
    description: str | None,
    configured: Configured,
    kept_of: Callable[[Any, pd.DataFrame], Kept],
) -> None:
    """Command of a results module: read the folders, write NAME_SET.csv, the figures and findings.md.

    Args:
        study: its name, as in `python -m experiments.NAME`.
        title: of findings.md.
        description: for --help.
        configured: the study's module `config`.
        kept_of: from configuration and table of a run to what is kept of it.

    Raises:
        InputError: a folder holds no results.
    """
    program = f"python -m experiments.{study}.results"
    options = tyro.cli(Config, prog=program, description=description)
    facts = provenance(f"{program} {shlex.join(sys.argv[1:])}")
    options.out.mkdir(parents=True, exist_ok=True)
    lines = [f"# {title}", "", *_in_markdown(facts), ""]
    for folder in options.folders:
        plan, table = read_results(folder)
        config = config_of(configured.StudyConfig, plan["config"])
        usual = dataclasses.replace(configured.defaults_of(config.scale), out=config.out, data=config.data)
        kept, name = kept_of(config, table), set_name(config.data)
        own = {
            "study": command_of(plan, configured.resolve(usual)),
            "commit of the study": plan["commit"],
            "machine of the study": plan["machine"],
        }
        for stem, frame in kept.tables.items():
            write_table(options.out / f"{stem}_{name}.csv", frame, {**facts, **own})
        save_figures(options.out, {f"{heading}_{name}": figure for heading, figure in kept.figures.items()})
        lines += [f"## {data_name(config.data)}", "", *_in_markdown(own), "", kept.question, ""]
        lines += [*(f"- {answer}" for answer in kept.answers), ""]
    (options.out / "findings.md").write_text("\n".join(lines))


def read_results(folder: Path) -> tuple[Mapping[str, Any], pd.DataFrame]:
    """Plan and table of a run.

    Raises:
        InputError: no plan or no rows.
    """
    for name in ("plan.json", "results.csv"):
        if not (folder / name).exists():
            raise InputError(f"{folder}: there is no {name}; name the --out folder of a study")
    plan = json.loads((folder / "plan.json").read_text())
    table = pd.read_csv(folder / "results.csv", keep_default_na=False, na_values={"value": ["", "nan"]})
    if table.empty:
        raise InputError(f"{folder}/results.csv: no training has finished yet; wait for the first")
    return plan, table


def config_of(kind: type[_Config], stored: Mapping[str, Any]) -> _Config:
    """The configuration that a plan holds, the groups of options inside it too.

    Raises:
        InputError: it holds an option that this version lacks.
    """
    hints, values = get_type_hints(kind), dict(stored)
    for name, value in stored.items():
        if name not in hints:
            raise InputError(
                f"plan.json: this version has no option {name!r}; check out the commit that plan.json names"
            )
        if isinstance(value, Mapping):
            values[name] = config_of(hints[name], value)
        elif isinstance(value, list):
            values[name] = tuple(value)
        elif hints[name] is Path:
            values[name] = Path(value)
    return kind(**values)


def set_name(data: str) -> str:
    """The set in file names: letters, digits, - and _."""
    spec = parse_spec(data)
    return re.sub(r"\W+", "_", Path(spec.name).name if spec.scheme == "folder" else spec.name).strip("_")


def write_table(path: Path, frame: pd.DataFrame, facts: Mapping[str, str]) -> None:
    """A table as CSV under lines that say where it comes from."""
    path.write_text(comment(facts) + frame.to_csv(index=False, float_format="%.5g", lineterminator="\n"))


def _in_markdown(facts: Mapping[str, str]) -> list[str]:
    """Facts as the lines of a list."""
    return [f"- {name}: `{fact}`" for name, fact in facts.items()]


def seeds_table(table: pd.DataFrame, factors: Sequence[str]) -> pd.DataFrame:
    """A row per cell: every metric's mean over its pictures, blank where the cell has none."""
    values = table.assign(value=pd.to_numeric(table["value"]))
    wide = values.pivot_table("value", [*factors, "status"], "metric", sort=False)
    return wide.rename_axis(columns=None).reset_index()
