"""Numbers of the study's questions, from its table: means over seeds with intervals, and paired differences."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pandas as pd

from experiments.annotation_upgrade.config import StudyConfig, clean_of
from experiments.annotation_upgrade.grid import (
    ALL_CLEAN,
    CLEAN,
    PREDICTIONS,
    RAW,
    UPGRADE,
    UPGRADED,
    UPGRADED_PREDICTIONS,
    laboratory,
)
from experiments.recipes import PIXEL_ERRORS, RATE_ERRORS
from segjax.evaluation import Difference, Interval, mean_interval, paired_difference
from segjax.reports import BeforeAfter, Compared, Line
from segjax.reports.words import error_words, joined

SEEDS_FOR_INTERVAL = 3  # Student's quantile is 12.7 for two seeds: such an interval says nothing
LEARNT = {"known": "the error is known", "mixture": "a mixture of errors", "estimated": "the error is estimated"}


class Ahead(NamedTuple):
    """How far upgrading is ahead of a method, in Dice points over the seeds that both have."""

    method: str
    difference: Difference


class Findings:
    """The table of one data set and network, with questions put to it."""

    def __init__(self, config: StudyConfig, table: pd.DataFrame, network: str, coarsening: float) -> None:
        ended = table[(table["network"] == network) & (table["status"] == "ok")]
        pooled = ended["picture"].isna() | (ended["picture"].astype(str) == "")
        self._rows = ended[pooled]
        self.config, self.network, self.coarsening = config, network, coarsening
        self.laboratory = laboratory(config)

    def values(self, metric: str, **factors: object) -> pd.Series:
        """Values of one cell of the grid by seed; factors that are not given may be anything."""
        rows = self._rows[self._rows["metric"] == metric]
        for name, value in factors.items():
            rows = rows[rows[name] == value]
        return rows.set_index("seed")["value"].astype(float).sort_index()

    def interval(self, metric: str, **factors: object) -> Interval:
        """Mean over seeds; without an interval (NaN) below three seeds."""
        found = mean_interval(self.values(metric, **factors).to_numpy())
        return found if found.n >= SEEDS_FOR_INTERVAL else found._replace(low=float("nan"), high=float("nan"))

    def difference(self, first: pd.Series, second: pd.Series) -> Difference:
        """first - second in Dice points over the seeds that both have; without an interval below three."""
        both = first.index.intersection(second.index)
        found = paired_difference(100 * first[both].to_numpy(), 100 * second[both].to_numpy())
        return found if found.n >= SEEDS_FOR_INTERVAL else found._replace(low=float("nan"), high=float("nan"))

    # ---- labels before and after

    def upgrade(self, **changes: object) -> dict[str, object]:
        """Factors of a cell about labels: the main error, known, from the careful pictures compared at."""
        base = {
            "method": UPGRADE,
            "error": self.config.error,
            "learnt": "known",
            "careful": self.config.compare_at,
            "volumes": 0,
            "careful_error": "none",
        }
        return {**base, **changes}

    def before_after(self, name: str, **factors: object) -> BeforeAfter | None:
        """A row of the chart; None where there is no result."""
        after = self.interval("upgraded_dice", **factors)
        return BeforeAfter(name, self.interval("label_dice", **factors), after) if after.n else None

    def quality_lines(self) -> list[Line]:
        """Dice of upgraded labels against careful pictures, by what is known of the error, and of the raw labels."""
        lines = []
        for learnt, name in LEARNT.items():
            found = [
                (n, self.interval("upgraded_dice", **self.upgrade(careful=n, learnt=learnt))) for n in self._counts
            ]
            found = [(n, value) for n, value in found if value.n]
            if found:
                lines.append(_line(name, found))
        before = [(n, self.interval("label_dice", **self.upgrade(careful=n))) for n in self._counts]
        before = [(n, value._replace(low=float("nan"))) for n, value in before if value.n]
        if lines and before:
            lines.append(_line("careless labels, not upgraded", before, grey=True))
        return lines

    @property
    def _counts(self) -> list[int]:
        return sorted({*self.config.careful_counts, self.config.compare_at})

    def label_rows(self) -> list[BeforeAfter]:
        """Rows of the chart of labels: errors, what is known of them, volumes, imperfect careful labels, mismatches."""
        config, rows = self.config, []
        errors = list(dict.fromkeys((config.error, *config.errors)))
        rows += [self.before_after(error_name(e, self.coarsening), **self.upgrade(error=e)) for e in errors]
        for learnt in ("mixture", "estimated"):
            rows.append(
                self.before_after(f"main error, network learnt: {LEARNT[learnt]}", **self.upgrade(learnt=learnt))
            )
        for count in config.volumes:
            name = f"main error, careful pictures from {count} volume{'s' if count > 1 else ''}"
            rows.append(self.before_after(name, **self.upgrade(volumes=count)))
        for imperfection in config.imperfections:
            name = f"main error, careful labels with {error_name(imperfection, self.coarsening)}"
            rows.append(self.before_after(name, **self.upgrade(careful_error=imperfection)))
        return [row for row in rows if row is not None]

    def mismatch(self) -> pd.DataFrame:
        """Dice of upgraded labels: a row per error they have, a column per error that the network learnt."""
        errors = list(dict.fromkeys((self.config.error, *self.config.errors)))
        rows = []
        for error in errors:
            found = {"labels with": error_name(error, self.coarsening)}
            found["before"] = _shown(self.interval("label_dice", **self.upgrade(error=error)))
            for learnt in (*errors, "mixture"):
                value = self.interval(
                    "upgraded_dice", **self.upgrade(error=error, learnt="known" if learnt == error else learnt)
                )
                found[f"learnt {error_name(learnt, self.coarsening)}"] = _shown(value)
            rows.append(found)
        return pd.DataFrame(rows)

    # ---- does it pay

    def method(self, name: str, **changes: object) -> dict[str, object]:
        """Factors of a segmentation network of the laboratory."""
        factors = {**self.laboratory, "method": name}
        if name == UPGRADED:
            factors["learnt"] = "known"
        if name == CLEAN:
            factors |= {"error": "none", "total": factors["clean"]}
        if name == ALL_CLEAN:
            factors["error"] = "none"
        return {**factors, **changes}

    def ahead(self) -> Iterator[Ahead]:
        """How far clean + upgraded is ahead of every other method that has results."""
        upgraded = self.values("dice_pooled", **self.method(UPGRADED))
        for name in (CLEAN, RAW, *self.config.rivals, ALL_CLEAN):
            found = self.difference(upgraded, self.values("dice_pooled", **self.method(name)))
            if found.n:
                yield Ahead(name, found)

    def compared(self) -> list[Compared]:
        """Rows of the chart of methods, upgrading first."""
        dice = self.interval("dice_pooled", **self.method(UPGRADED))
        if not dice.n:
            return []
        rows = [Compared(method_name(UPGRADED, self.config), dice, None)]
        for name, difference in self.ahead():
            shown = self.interval("dice_pooled", **self.method(name))
            rows.append(Compared(method_name(name, self.config), shown, difference))
        return rows

    def budget_panels(self) -> dict[str, list[Line]]:
        """Dice against the number of training pictures, a panel per share of careful ones."""
        panels = {}
        for share in self.config.clean_shares:
            cells = [(budget, clean_of(budget, share)) for budget in self.config.budgets]
            lines = [self._budget_line(method, cells) for method in (UPGRADED, RAW, CLEAN, ALL_CLEAN)]
            if any(line.x for line in lines):
                panels[f"{100 * share:g} % careful"] = [line for line in lines if line.x]
        return panels

    def _budget_line(self, method: str, cells: Sequence[tuple[int, int]]) -> Line:
        found = []
        for budget, clean in cells:
            factors = {"method": method, "round": 0, "clean": clean, "total": clean if method == CLEAN else budget}
            if method in (RAW, UPGRADED):
                factors["error"] = self.config.error
            if method == UPGRADED:
                factors["learnt"] = "known"
            value = self.interval("dice_pooled", **factors)
            if value.n:
                found.append((budget, value))
        return _line(BUDGET_NAMES[method], found, grey=method == ALL_CLEAN)

    # ---- predictions

    def predictions(self) -> list[tuple[str, Interval]]:
        """Dice of the network of few pictures, and of those retrained on its predictions, by round."""
        found = [("careful pictures only", self.interval("dice_pooled", **self.method(CLEAN)))]
        for number in range(1, self.config.rounds + 1):
            for name, said in ((PREDICTIONS, "its predictions"), (UPGRADED_PREDICTIONS, "its upgraded predictions")):
                value = self.interval("dice_pooled", **self.method(name, error="predictions", round=number))
                found.append((f"retrained on {said}, round {number}", value))
        return [(name, value) for name, value in found if value.n]

    def prediction_rows(self) -> list[BeforeAfter]:
        """Predicted labels of the other pictures, before and after upgrading."""
        rows = [
            self.before_after(
                f"predictions, round {number}",
                **self.method(UPGRADED_PREDICTIONS, error="predictions", round=number),
            )
            for number in range(1, self.config.rounds + 1)
        ]
        return [row for row in rows if row is not None]


BUDGET_NAMES = {
    UPGRADED: "careful + upgraded",
    RAW: "careful + careless",
    CLEAN: "careful only",
    ALL_CLEAN: "all careful",
}


def method_name(method: str, config: StudyConfig) -> str:
    """A method as the page calls it."""
    careful, careless = config.careful, config.careless
    return {
        UPGRADED: f"{careful} careful + {careless} upgraded",
        CLEAN: f"{careful} careful pictures only",
        RAW: f"{careful} careful + {careless} careless as they are",
        ALL_CLEAN: f"all {careful + careless} careful",
    }.get(method, method)


def error_name(error: str, coarsening: float = 1.0) -> str:
    """An error in words: "30 % omitted cells, outline errors of up to 4 px"."""
    if error in ("mixture", "none"):
        return {"mixture": "a mixture", "none": "no error"}[error]
    parts = []
    for part in error.split("+"):
        name, _, level = part.partition("=")
        words = error_words(name, coarsening if name in PIXEL_ERRORS else 1.0)
        if name in RATE_ERRORS:
            parts.append(f"{100 * float(level):g} % {words.thing}")
        else:
            parts.append(f"{words.thing} of {words.amount.format(f'{float(level):g}')}")
    return joined(parts)


def _line(name: str, points: Sequence[tuple[int, Interval]], grey: bool = False) -> Line:
    return Line(name, [x for x, _ in points], [y for _, y in points], grey)


def _shown(value: Interval) -> str:
    return f"{value.mean:.3f}" if value.n else "-"
