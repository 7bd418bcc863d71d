"""From the long table of results to means with intervals over seeds, missing cells and failed runs."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from segjax.evaluation.statistics import Difference, mean_interval, paired_difference
from segjax.reports import words
from segjax.types import InputError

COLUMNS = ("study", "data", "network", "seed", "error", "level", "picture", "metric", "value", "status")
_CELL = ["network", "error", "level"]
SEEDS_FOR_INTERVAL = 3  # Student's quantile is 12.7 for two seeds: such an interval says nothing


def seed_values(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """One value per network, error, level and seed: the pooled row, or the mean over the pictures that have a value.

    Only rows with status "ok" and a finite value count. Clean runs (error "none") are repeated as level 0 of every
    error but inclusion, which has its own. Columns: network, error, level, seed, value.

    Raises:
        InputError: a column is missing, or the table holds more than one data set.
    """
    _check(table)
    rows = table[(table["metric"] == metric) & (table["status"] == "ok")]
    pooled = rows["picture"].isna() | (rows["picture"].astype(str) == "")
    rows = rows[pooled] if pooled.any() else rows
    values = rows[[*_CELL, "seed"]].assign(value=rows["value"].astype(float), level=rows["level"].astype(float))
    values = values[values["value"].abs() < float("inf")].groupby([*_CELL, "seed"], as_index=False)["value"].mean()
    clean = values[values["error"] == words.CLEAN]
    copies = []
    for error in words.in_order(set(table["error"])):
        own_zero = ((values["error"] == error) & (values["level"] == 0)).any()
        if error != words.OWN_ZERO and not own_zero:
            copies.append(clean.assign(error=error, level=0.0))
    return pd.concat([values, *copies], ignore_index=True)


def summary(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Mean over seeds, its 95 % interval and the number of seeds of every cell of the grid.

    The grid is every network of the table with every level of every error, level 0 included; a cell without a result
    has n = 0 and NaN, one with fewer than three seeds no interval (NaN). Columns: network, error, level, mean, low,
    high, n.

    Raises:
        InputError: as `seed_values`.
    """
    values = seed_values(table, metric)
    groups = {cell: group["value"].to_numpy() for cell, group in values.groupby(_CELL)}
    cells = [
        (network, error, level)
        for network in networks(table)
        for error in words.in_order(set(table["error"]))
        for level in levels(table, error)
    ]
    rows = [(*cell, *mean_interval(groups.get(cell, []))) for cell in cells]
    frame = pd.DataFrame(rows, columns=[*_CELL, "mean", "low", "high", "n"])
    frame.loc[frame["n"] < SEEDS_FOR_INTERVAL, ["low", "high"]] = float("nan")
    return frame


def by_seed(values: pd.DataFrame, network: str, error: str, level: float) -> pd.Series:
    """The values of one cell of `seed_values`, indexed by seed."""
    rows = values[(values["network"] == network) & (values["error"] == error) & np.isclose(values["level"], level)]
    return rows.set_index("seed")["value"].sort_index()


def points_between(first: pd.Series, second: pd.Series) -> Difference:
    """first - second in Dice points over the seeds that both have; fewer than three give no interval (NaN)."""
    both = first.index.intersection(second.index)
    found = paired_difference(100 * first[both].to_numpy(), 100 * second[both].to_numpy())
    return found if found.n >= SEEDS_FOR_INTERVAL else found._replace(low=float("nan"), high=float("nan"))


def networks(table: pd.DataFrame) -> list[str]:
    """The networks of the table, those of the study first."""
    present = {name for name in table["network"].dropna() if name}
    known = [name for name in words.NETWORKS if name in present]
    return known + sorted(present - set(known))


def levels(table: pd.DataFrame, error: str) -> list[float]:
    """Levels of one error in the table, mildest first, always from level 0 on."""
    return words.by_severity(error, [0.0, *table.loc[table["error"] == error, "level"].astype(float)])


def missing_cells(table: pd.DataFrame, metric: str = "dice_pooled") -> list[tuple[str, str, float]]:
    """Network, error and level of every cell of the grid for which no run gave a value."""
    cells = summary(table, metric)
    return [tuple(cell) for cell in cells.loc[cells["n"] == 0, _CELL].itertuples(index=False)]


def number_tables(table: pd.DataFrame, coarsening: float = 1.0) -> dict[str, pd.DataFrame]:
    """For each metric of the table, under its name in results: means, intervals and seeds, ready to print.

    `coarsening` is the edge of a pixel of the pictures in published pixels, here and in the functions below.
    """
    present = [name for name in words.METRIC_NAMES if name in set(table["metric"])]
    present += sorted(set(table["metric"].dropna()) - set(present))
    return {metric: _printed(summary(table, metric), metric, coarsening) for metric in present}


def failed_runs(table: pd.DataFrame, coarsening: float = 1.0) -> pd.DataFrame:
    """One line per run that did not end "ok" or was started more than once (its metric "restarts" is above 0).

    Columns: network, error, strength, seed, what happened.
    """
    _check(table)
    again = table[(table["metric"] == "restarts") & (table["status"] == "ok") & (table["value"].astype(float) > 0)]
    again = again.assign(status="restarted, then ended well")
    runs = pd.concat([table[table["status"] != "ok"], again])[[*_CELL, "seed", "status"]].drop_duplicates()
    rows = [
        (
            words.network_name(run.network),
            words.error_words(run.error).thing if run.error != words.CLEAN else "clean labels",
            words.amount(run.error, float(run.level), coarsening),
            run.seed,
            words.FAILURES.get(run.status, run.status),
        )
        for run in runs.itertuples(index=False)
    ]
    return pd.DataFrame(rows, columns=["network", "error", "strength", "seed", "what happened"])


def failed_cells(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """As `failed_runs`, of the cells of any study: the given columns (among them network), and what happened."""
    last = table[table["metric"] == "restarts"]
    rows = last[(last["status"] != "ok") | (last["value"].astype(float) > 0)]
    said = [words.FAILURES.get(status, status) for status in rows["status"].replace("ok", "restarted, then ended well")]
    return rows[list(columns)].assign(network=rows["network"].map(words.network_name), **{"what happened": said})


def _printed(cells: pd.DataFrame, metric: str, coarsening: float) -> pd.DataFrame:
    places = 1 if metric == "hd95" else 4
    rows = [
        (
            words.network_name(cell.network),
            words.error_words(cell.error).thing,
            words.amount(cell.error, cell.level, coarsening),
            f"{cell.mean:.{places}f}" if cell.n else "no result",
            f"{cell.low:.{places}f} to {cell.high:.{places}f}" if cell.n >= SEEDS_FOR_INTERVAL else "-",
            cell.n,
        )
        for cell in cells.itertuples(index=False)
    ]
    return pd.DataFrame(rows, columns=["network", "error", "strength", "mean", "95 % interval", "seeds"])


def _check(table: pd.DataFrame) -> None:
    absent = [column for column in COLUMNS if column not in table.columns]
    if absent:
        raise InputError(f"results: column {absent[0]!r} is missing; a table needs the columns {', '.join(COLUMNS)}")
    data = sorted(table["data"].dropna().unique())
    if len(data) > 1:
        raise InputError(f"results: rows of several data sets ({', '.join(data)}); make one report per data set")
