"""The cells of the study, and which trainings each of them rests on."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from experiments.few_shot.config import IGNORED, JOINT, StudyConfig
from segjax.sweeps import Cell, cell

FACTORS = (
    "data",  # the pictures
    "network",  # of the extractors, or the one that is trained
    "seed",
    "type",  # the new one, by name
    "method",  # a head, a way to train on the shots, or "all labels"
    "bank",  # which extractors; "none" without any
    "choice",  # how features were chosen; "all" where none was left out
    "shots",  # 0: all labels
    "features",  # their number; 0 without extractors
)
ALL_LABELS = "all labels"
NONE, ALL = "none", "all"
FROM_SCRATCH = "from_scratch"


def make_cells(config: StudyConfig, types: Mapping[int, str], counts: Mapping[tuple[str, str], int]) -> list[Cell]:
    """Every cell once, seed by seed and type by type.

    Args:
        types: names of the types that take part, by class.
        counts: number of features of each (network, bank).
    """
    data = config.data.partition("?")[0]
    found: dict[Cell, None] = {}
    for seed in range(config.seeds):
        for network in config.networks:
            for name in types.values():
                for factors in _settings(config, {bank: counts[network, bank] for bank in config.banks}):
                    merged = {"data": data, "network": network, "seed": seed, "type": name, **factors}
                    found[cell(**{factor: merged[factor] for factor in FACTORS})] = None
    return list(found)


def _settings(config: StudyConfig, counts: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    yield {"method": ALL_LABELS, "bank": NONE, "choice": NONE, "shots": 0, "features": 0}
    first = config.banks[0]
    for bank in config.banks:
        for shots in config.shots:
            yield {"method": config.head, "bank": bank, "choice": ALL, "shots": shots, "features": counts[bank]}
    for choice in config.choices:
        for count in config.features:
            for shots in config.shots:
                if count < counts[first]:
                    yield {"method": config.head, "bank": first, "choice": choice, "shots": shots, "features": count}
    for head in config.heads:
        for shots in config.compare_shots:
            yield {"method": head, "bank": first, "choice": ALL, "shots": shots, "features": counts[first]}
    for way in config.ways:
        for shots in config.compare_shots:
            bank, count = (NONE, 0) if way == FROM_SCRATCH else (first, counts[first])
            yield {"method": way, "bank": bank, "choice": NONE, "shots": shots, "features": count}


def kind_of(each: Cell) -> str:
    """Cells of one kind share a program and its fits."""
    return "-".join(str(each[name]) for name in FACTORS[1:] if name not in ("shots", "features"))


def prediction_path(out: Path, each: Cell) -> Path:
    """Where a few masks of a cell are kept."""
    return out / "predictions" / f"{kind_of(each)}-{each['shots']}.npz".replace(" ", "-")


def extractors_of(bank: str, network: str, seed: int, new: int, types: Mapping[int, str]) -> list[Cell]:
    """The trainings of a bank's extractors while a class is the new one."""
    task, _, unseen = bank.partition(" ")
    if task == JOINT:
        return [training(network, seed, task, 0, new, unseen)]
    held = new if unseen == IGNORED else 0  # as background it is one of the others, so one training serves all
    return [training(network, seed, task, own, held, unseen) for own in types if own != new]


def training(network: str, seed: int, task: str, own: int, held: int, unseen: str) -> Cell:
    """A training: of all types but the class `held` ("joint"), or of the class `own` alone ("binary")."""
    return cell(network=network, seed=seed, task=task, own=own, held=held, unseen=unseen)
