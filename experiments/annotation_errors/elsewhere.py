"""Programs from elsewhere in study 1: networks trained on clean and noisy labels against what they predicted."""

from collections.abc import Callable, Sequence

import pandas as pd

from experiments.annotation_errors.grid import Trial, includes
from experiments.harness.rival_options import NOT_KNOWN, is_rival
from segjax.evaluation.claims import Claim
from segjax.reports.words import network_name
from segjax.sweeps import ResultTable

LEVEL_LINES = f"Horizontal lines: programs from elsewhere. Their training data are {NOT_KNOWN}."
Table = ResultTable[Trial]


def rivals_in(table: Table) -> list[Trial]:
    """The trials of programs from elsewhere, with seed 0."""
    return [trial for trial in table.trials() if is_rival(trial.network)]


def rival_claims(table: Table, named: Callable[[Trial], str]) -> list[list[Claim]]:
    """Every kind of labels against every rival, a family per network, clean labels first.

    Rivals predicted plain pictures, so trials on pictures with foreign objects pasted in are left out.
    """
    rivals = [(network_name(trial.network), trial) for trial in rivals_in(table)]
    families = []
    for network in dict.fromkeys(trial.network for trial in table.trials() if rivals and not is_rival(trial.network)):
        clean, pasted = Trial(network, 0), Trial(network, 0, "inclusion")
        own = [trial for trial in table.trials() if trial.network == network]
        plain = [trial for trial in own if not includes(trial.error) or pasted not in own]
        pairs = [((named(trial), trial), rival) for trial in sorted(plain, key=clean.__ne__) for rival in rivals]
        families.append([claim for claim in table.compare_pairs("dice_pooled", pairs) if claim.decision.n])
    return families


def against_clean(families: Sequence[Sequence[Claim]]) -> list[Claim]:
    """Of each family of `rival_claims` those about clean labels."""
    return [claim for family in families for claim in family if claim.subject == family[0].subject]


def level_lines(table: Table, metric: str, found: pd.DataFrame) -> pd.DataFrame:
    """The rows of doses with those of rivals: the same value for every error and level of plain pictures."""
    is_pasted = any((trial.error, trial.level) == ("inclusion", 0) for trial in table.trials())
    places = found[["error", "level"]].drop_duplicates().itertuples(index=False, name=None)
    shown = [place for place in places if not is_pasted or place[0] != "inclusion"]
    values = {trial.network: table.interval(metric, trial) for trial in rivals_in(table)}
    lines = [(network, *place, *value, float("nan")) for network, value in values.items() if value.n for place in shown]
    return pd.concat([found, pd.DataFrame(lines, columns=found.columns)], ignore_index=True) if lines else found


def again(doses: pd.DataFrame) -> pd.Series:
    """Which rows of `level_lines` say of a rival what an earlier row has said."""
    return doses["network"].map(is_rival) & doses["network"].duplicated()
