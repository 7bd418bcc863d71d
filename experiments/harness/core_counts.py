"""On how many cores a trial ran: on another number JAX adds in another order, and its numbers differ a little."""

from collections.abc import Collection

import jax

from segjax.reports.words import joined
from segjax.sweeps import ResultTable, Row
from segjax.training.parallel import cores

MOST, FEWEST = "cores", "fewest_cores"  # metrics; 0 is a GPU or TPU
UNKNOWN = -1


def cores_here() -> int:
    """Cores that JAX computes on in this process; 0 where a GPU or TPU does, for which they do not matter."""
    return cores() if jax.default_backend() == "cpu" else 0


def rows_of(counts: Collection[int]) -> list[Row]:
    """Rows of a trial whose parts ran on these numbers of cores: the most, and the fewest where they differ."""
    fewest, most = min(counts), max(counts)
    return [Row(MOST, most), *([Row(FEWEST, fewest)] if fewest < most else [])]


def mixture(table: ResultTable) -> list[str]:
    """Two sentences where the trials, or parts of one, were computed on different numbers of cores; else none.

    Trials of earlier versions, and failed ones, do not say on how many.
    """
    if MOST not in table.frame:
        return []
    ended = table.frame[table.frame["status"] != "failed"]
    columns = [ended[MOST].fillna(UNKNOWN), *([ended[FEWEST].dropna()] if FEWEST in ended else [])]
    counts = sorted({int(count) for column in columns for count in column})
    if len(counts) < 2:
        return []
    return [
        f"The trials ran {joined(map(_named, counts))}. On another number of cores, the same trial gives slightly "
        "different numbers."
    ]


def _named(count: int) -> str:
    if count <= 0:
        return "on a GPU or TPU" if count == 0 else "on an unknown number of cores"
    return f"on {count} core{'s' if count > 1 else ''}"
