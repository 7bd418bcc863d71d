"""What papers stated, judged on the numbers of a study by the one rule of decisions, as a table of its page."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from segjax.evaluation import Decision, decide

JUDGED = {"ahead": "holds", "behind": "does not hold", "not decided": "not decided", "too few": "too few test sets"}


class Judged(NamedTuple):
    """A published statement for one case.

    Attributes:
        statement: in the words of this project.
        case: what it is judged on.
        decision: in Dice points, positive where the statement holds.
    """

    statement: str
    case: str
    decision: Decision


def judged_family(said: str, cases: Sequence[tuple[str, pd.Series]], overlap: float) -> list[Judged]:
    """A statement judged on its cases, which are one family: Dice points by replicate, positive where it holds."""
    known = [(case, values.to_numpy(np.float64)) for case, values in cases if len(values)]
    decisions = decide([values for _, values in known], overlap=overlap)
    return [Judged(said, case, found) for (case, _), found in zip(known, decisions, strict=True)]


def statements_table(found: Sequence[Judged]) -> pd.DataFrame:
    """A row per statement and case, as pages show them."""
    return pd.DataFrame(
        [
            {
                "published statement": one.statement,
                "case": one.case,
                "margin, Dice points": f"{one.decision.mean:+z.1f}",
                "95 % interval": _bounds(one.decision),
                "test sets": one.decision.n,
                "verdict": JUDGED[one.decision.verdict],
            }
            for one in found
        ]
    )


def _bounds(found: Decision) -> str:
    return f"{found.low:+z.1f} to {found.high:+z.1f}" if found.low == found.low else "-"
