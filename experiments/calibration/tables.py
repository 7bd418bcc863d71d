"""What a calibration writes: a table as CSV, and a page of Markdown with it and others."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from experiments.harness.provenance import comment
from experiments.harness.publish import markdown
from segjax.types import InputError


def write_tables(
    out: Path, name: str, title: str, facts: Mapping[str, str], remark: str, tables: Mapping[str, pd.DataFrame]
) -> None:
    """OUT/NAME.csv, the first table, and OUT/NAME.md, all of them with the sentence above each.

    Args:
        facts: how the numbers were made.

    Raises:
        InputError: the folder cannot be written.
    """
    lines = [f"# {title}", "", *(f"- {key}: `{fact}`" for key, fact in facts.items()), "", remark, ""]
    for sentence, frame in tables.items():
        lines += [*([sentence, ""] if sentence else []), *markdown(frame), ""]
    first = next(iter(tables.values()))
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / f"{name}.csv").write_text(comment(facts) + first.to_csv(index=False, lineterminator="\n"))
        (out / f"{name}.md").write_text("\n".join(lines).rstrip() + "\n")
    except OSError as error:
        raise InputError(f"out: {out} cannot be written ({error}); name another folder") from error
