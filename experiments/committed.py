"""What results modules share: reading the folder of a run, and the lines that say where its numbers come from."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import pandas as pd

from experiments.provenance import comment
from segjax.data import parse_spec
from segjax.types import InputError

_Config = TypeVar("_Config")


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
    """The configuration that a plan holds, the groups of options inside it too."""
    hints, values = get_type_hints(kind), dict(stored)
    for name, value in stored.items():
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


def run_facts(plan: Mapping[str, Any], command: str) -> dict[str, str]:
    """Where the numbers of a run come from."""
    return {"study": command, "commit of the study": plan["commit"], "machine of the study": plan["machine"]}


def write_table(path: Path, frame: pd.DataFrame, facts: Mapping[str, str]) -> None:
    """A table as CSV under lines that say where it comes from."""
    path.write_text(comment(facts) + frame.to_csv(index=False, float_format="%.5g", lineterminator="\n"))


def in_markdown(facts: Mapping[str, str]) -> list[str]:
    """The same lines as a list."""
    return [f"- {name}: `{fact}`" for name, fact in facts.items()]


def seeds_table(table: pd.DataFrame, factors: Sequence[str]) -> pd.DataFrame:
    """Values of every seed, each the mean over its pictures."""
    values = table.assign(value=pd.to_numeric(table["value"]))
    return values.groupby([*factors, "metric", "status"], sort=False, as_index=False)["value"].mean()
