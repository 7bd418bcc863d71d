"""What the first paper said of annotation errors, judged here by the one rule of decisions."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pandas as pd

from experiments.annotation_errors.grid import Trial
from experiments.harness.recipes import ERRORS
from experiments.harness.statements import Judged, judged_family
from segjax.annotations import Recipe
from segjax.data.spec import parse_spec
from segjax.reports import words
from segjax.reports.words import network_name
from segjax.sweeps import ResultTable

PUBLISHED = ("unet", "segnet", "msd")
FREE_UP_TO = 0.3  # published: no more omitted cells cost U-Net and MSD less than a Dice point
FREE = 1.0
MARK_NAME = "public nuclei, against their corrections"
MARKED = (
    "Dotted: the errors in the public outlines of 20 pictures of nuclei (Data Science Bowl 2018), found by comparing "
    "them with later corrections; inclusions are counted per nucleus."
)
Table = ResultTable[Trial]


def corrected_nuclei() -> dict[str, float]:
    """Strengths of the errors that `compare_labels` found in public labels of nuclei that others corrected later."""
    recipe = Recipe.from_json((Path(__file__).parent / "corrected_nuclei.json").read_text(encoding="utf-8"))
    return {name: getattr(recipe, name) for name in ERRORS if recipe.has(name)}


def published_kind(data: str) -> str | None:
    """The published set that the pictures of a data spec stand for."""
    spec = parse_spec(data)
    return spec.name if spec.scheme == "microscope" and spec.name in ("hl60", "granulocytes") else None


def published(kind: str) -> pd.DataFrame:
    """Published pooled Dice on clean test labels, mean and standard deviation of 10 runs per network, error and level.

    The inclusion curve's point at level 0 was measured on pictures without foreign objects, the others on pictures with
    them. Columns: data, network, error, level, dice, sd; level is a rate or, for bias, q_max in published pixels.

    Args:
        kind: "hl60", "granulocytes" or "epithelial".

    Source: Vădineanu et al., MIDL 2022, PMLR 172:1251-1267, Figures 2 and 3.
    """
    rows = pd.read_csv(Path(__file__).with_name("published.csv"), comment="#")
    return rows[rows["data"] == kind].reset_index(drop=True)


def judged(table: Table, kind: str | None) -> list[Judged]:
    """The published statements that a run has the trials for; the cases of each are one family.

    That wrongly included objects harm small cells most and large ones hardly has no published number. What a single run
    can decide of it is which error costs more there.

    Args:
        kind: the published set that the pictures stand for; wrongly included objects are larger than the cells of
            "granulocytes" and smaller than those of "hl60". None: nothing is said of them.
    """
    found = [*_nearly_free(table), *_msd_ahead(table), *_growing(table)]
    if kind == "granulocytes":
        found += _dearer(table, "inclusion", "bias", "Small cells: wrongly included objects cost more than")
    if kind == "hl60":
        found += _dearer(table, "omission", "inclusion", "Large cells: omitted ones cost more than")
    return found


def _nearly_free(table: Table) -> list[Judged]:
    levels = [level for level in _levels(table, "omission") if level <= FREE_UP_TO]
    said = f"At most {FREE_UP_TO:.0%} omitted cells cost less than a Dice point".replace("%", " %")
    cases = [
        (_case(table, network, "omission", level), FREE - _cost(table, network, "omission", level))
        for network in _networks(table)
        if network in ("unet", "msd")
        for level in levels[-1:]
    ]
    return _family(table, said, cases)


def _msd_ahead(table: Table) -> list[Judged]:
    levels = [level for level in _levels(table, "omission") if level > FREE_UP_TO]
    others = [network for network in _networks(table) if network != "msd"]
    cases = [
        (
            _case(table, network, "omission", level),
            100 * table.differences("dice_pooled", Trial("msd", 0, "omission", level), _trial(network, level)),
        )
        for level in levels
        for network in others
    ]
    return _family(table, "With many omitted cells, MSD is ahead", cases)


def _growing(table: Table) -> list[Judged]:
    levels = _levels(table, "bias")
    cases = [
        (
            f"{_case(table, network, 'bias', high)} against {words.amount('bias', low, table.coarsening)}",
            _cost(table, network, "bias", high) - _cost(table, network, "bias", low),
        )
        for network in _networks(table)
        for low, high in pairwise(levels)
    ]
    return _family(table, "Outline errors cost more the larger they are", cases)


def _dearer(table: Table, dear: str, cheap: str, said: str) -> list[Judged]:
    """The strongest level of an error costs more than that of another."""
    tops = [levels[-1] for error in (dear, cheap) if (levels := _levels(table, error))]
    if len(tops) < 2:
        return []
    amounts = [words.amount_of(error, top, table.coarsening) for error, top in zip((dear, cheap), tops, strict=True)]
    cases = [
        (
            f"{network_name(network)}, {amounts[0]} against {amounts[1]}",
            _cost(table, network, dear, tops[0]) - _cost(table, network, cheap, tops[1]),
        )
        for network in _networks(table)
    ]
    return _family(table, f"{said} {words.ERRORS[cheap].thing}", cases)


def _family(table: Table, said: str, cases: Sequence[tuple[str, pd.Series]]) -> list[Judged]:
    return judged_family(said, cases, table.replicates.overlap)


def _cost(table: Table, network: str, error: str, level: float) -> pd.Series:
    """Dice points by replicate that an error costs, counted from pasted pictures where it is pasted in."""
    pasted = Trial(network, 0, "inclusion")
    is_pasted = error == "inclusion" and len(table.values("dice_pooled", pasted))
    baseline = pasted if is_pasted else Trial(network, 0)
    return 100 * table.differences("dice_pooled", baseline, Trial(network, 0, error, level))


def _networks(table: Table) -> list[str]:
    """The published ones; the statements say nothing of others."""
    return [network for network in dict.fromkeys(one.network for one in table.trials()) if network in PUBLISHED]


def _levels(table: Table, error: str) -> list[float]:
    return sorted({trial.level for trial in table.trials() if trial.error == error and trial.level > 0})


def _trial(network: str, level: float) -> Trial:
    return Trial(network, 0, "omission", level)


def _case(table: Table, network: str, error: str, level: float) -> str:
    return f"{network_name(network)}, {words.amount_of(error, level, table.coarsening)}"
