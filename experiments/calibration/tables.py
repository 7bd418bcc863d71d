"""What a calibration writes: a table as CSV, and a page of Markdown with it and others."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from experiments.harness.provenance import comment
from experiments.harness.publish import markdown
from segjax.files import write_file


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
    write_file(out / f"{name}.csv", comment(facts) + first.to_csv(index=False, lineterminator="\n"))
    write_file(out / f"{name}.md", "\n".join(lines).rstrip() + "\n")
