"""The cells of the study, and which trainings each of them rests on."""

from collections.abc import Iterator
from typing import Any

from experiments.annotation_upgrade.config import StudyConfig, clean_of, train_part
from segjax.sweeps import Cell, cell
from segjax.training.losses import LossName

FACTORS = (
    "data",  # the pictures
    "network",
    "seed",
    "method",  # what is done with the careless annotations
    "error",  # what they suffer from; "predictions" where a network made them
    "learnt",  # what the upgrade network learnt to repair: "known" (the error), "mixture", "estimated", another error
    "careful",  # careful pictures that the upgrade network has, those that choose its best epoch included
    "volumes",  # volumes (groups) its training pictures come from at most; 0: any number
    "careful_error",  # what the careful annotations suffer from
    "clean",  # careful pictures that the segmentation network trains on
    "total",  # all pictures that it trains on
    "round",
)
# "upgrade" is about the labels themselves; all others train a segmentation network on them
UPGRADE, CLEAN, RAW, UPGRADED, ALL_CLEAN = "upgrade", "clean", "raw", "upgraded", "all clean"
PREDICTIONS, UPGRADED_PREDICTIONS = "predictions", "upgraded predictions"
SEGMENTATION = "segmentation"  # the kind of all methods that differ in their labels only
CONFIDENT, TEACHER = "confident learning", "mean teacher"
LOSS_OF: dict[str, LossName] = {  # methods that differ in their loss only
    "generalized cross entropy": "generalized_cross_entropy",
    "symmetric cross entropy": "symmetric_cross_entropy",
}


def make_cells(config: StudyConfig, groups: int) -> list[Cell]:
    """Every cell of the study once, seed by seed, so that an unfinished one has everything with fewer seeds.

    Args:
        groups: how many groups there are to train on; numbers of volumes up to it are compared.
    """
    found: dict[Cell, None] = {}
    for seed in range(config.seeds):
        for network in config.networks:
            for factors in _settings(config, groups):
                neutral = {"learnt": "none", "careful": 0, "volumes": 0, "careful_error": "none"}
                counts = {"clean": 0, "total": 0, "round": 0}
                place = {"data": config.data.partition("?")[0], "network": network, "seed": seed}
                merged = {**place, **neutral, **counts, **factors}
                found[cell(**{name: merged[name] for name in FACTORS})] = None
    return list(found)


def _settings(config: StudyConfig, groups: int) -> Iterator[dict[str, Any]]:
    questions = {
        "rivals": _rivals,
        "predictions": _predictions,
        "quality": lambda config: _quality(config, groups),
        "pays": _pays,
        "imperfect": _imperfect,
        "mismatch": _mismatch,
    }
    for name, settings in questions.items():
        if name in config.questions:
            yield from settings(config)


def _quality(config: StudyConfig, groups: int) -> Iterator[dict[str, Any]]:
    """Labels before and after: by careful pictures, by the volumes they come from, by error, by what is known of it."""
    base = {"method": UPGRADE, "error": config.error, "learnt": "known"}
    for careful in config.careful_counts:
        yield {**base, "careful": careful}
    for error in dict.fromkeys((config.error, *config.errors)):
        yield {**base, "error": error, "careful": config.compare_at}
    for volumes in config.volumes:
        if volumes < min(groups, train_part(config.compare_at)):
            yield {**base, "careful": config.compare_at, "volumes": volumes}
    for learnt in ("mixture", "estimated"):
        yield {**base, "careful": config.compare_at, "learnt": learnt}


def _imperfect(config: StudyConfig) -> Iterator[dict[str, Any]]:
    """Labels upgraded by a network whose careful annotations have errors of their own."""
    for imperfection in ("none", *config.imperfections):
        yield {
            "method": UPGRADE,
            "error": config.error,
            "learnt": "known",
            "careful": config.compare_at,
            "careful_error": imperfection,
        }


def _mismatch(config: StudyConfig) -> Iterator[dict[str, Any]]:
    """Labels upgraded by a network that learnt another error, or a mixture of many."""
    errors = list(dict.fromkeys((config.error, *config.errors)))
    for error in errors:
        for learnt in (*errors, "mixture"):
            known = "known" if learnt == error else learnt
            yield {"method": UPGRADE, "error": error, "learnt": known, "careful": config.compare_at}


def laboratory(config: StudyConfig) -> dict[str, Any]:
    """Factors of a segmentation network that sees all that the laboratory has annotated."""
    clean = train_part(config.careful)
    return {"error": config.error, "careful": config.careful, "clean": clean, "total": clean + config.careless}


def _compared(clean: int, total: int, error: str, careful: int) -> Iterator[dict[str, Any]]:
    """Clean only, clean and raw, clean and upgraded, all clean."""
    counts = {"careful": careful, "clean": clean, "total": total}
    if clean:
        yield {"method": CLEAN, "error": "none", "careful": careful, "clean": clean, "total": clean}
    yield {"method": RAW, "error": error, **counts}
    yield {"method": UPGRADED, "error": error, "learnt": "known", **counts}
    yield {"method": ALL_CLEAN, "error": "none", **counts}


def _pays(config: StudyConfig) -> Iterator[dict[str, Any]]:
    yield from _laboratory_compared(config)
    for budget in config.budgets:
        for share in config.clean_shares:
            clean = clean_of(budget, share)
            careful = config.careful
            while train_part(careful) < clean:
                careful += 1
            yield from _compared(clean, budget, config.error, careful)


def _laboratory_compared(config: StudyConfig) -> Iterator[dict[str, Any]]:
    clean = train_part(config.careful)
    yield from _compared(clean, clean + config.careless, config.error, config.careful)


def _rivals(config: StudyConfig) -> Iterator[dict[str, Any]]:
    yield from _laboratory_compared(config)
    for rival in config.rivals:
        yield {**laboratory(config), "method": rival}
    yield {**laboratory(config), "method": UPGRADED, "learnt": "mixture"}


def _predictions(config: StudyConfig) -> Iterator[dict[str, Any]]:
    base = {**laboratory(config), "error": "predictions"}
    clean = train_part(config.careful)
    yield {"method": CLEAN, "error": "none", "careful": config.careful, "clean": clean, "total": clean}
    for number in range(1, config.rounds + 1):
        yield {**base, "method": PREDICTIONS, "round": number}
        yield {**base, "method": UPGRADED_PREDICTIONS, "learnt": "mixture", "round": number}


def training_of(cell: Cell) -> Cell:
    """The training that a cell looks at: of an upgrade network, whatever it is applied to, or of the cell itself."""
    return upgrader_of(cell) if cell["method"] == UPGRADE else cell


def upgrader_of(cell: Cell) -> Cell:
    """The upgrade network that a cell uses: its error is what it learns, unless it learns a mixture."""
    learnt = cell["learnt"]
    named = learnt not in ("known", "mixture", "estimated")
    error = {"mixture": "any"}.get(learnt, learnt if named else cell["error"])
    return with_factors(
        cell, method=UPGRADE, error=error, learnt="known" if named else learnt, clean=0, total=0, round=0
    )


def needs_of(cell: Cell) -> list[Cell]:
    """The trainings that must be there before the training of a cell (as `training_of` gives it) can begin."""
    method = cell["method"]
    needed = []
    if method in (UPGRADED, UPGRADED_PREDICTIONS):
        needed.append(upgrader_of(cell))
    if method in (PREDICTIONS, UPGRADED_PREDICTIONS):
        needed.append(predictor_of(cell))
    if method == CONFIDENT:
        needed.append(with_factors(cell, method=RAW))
    return needed


def predictor_of(cell: Cell) -> Cell:
    """The network whose predictions a cell of the question predictions trains on."""
    if cell["round"] > 1:
        return with_factors(cell, round=cell["round"] - 1)
    return with_factors(cell, method=CLEAN, error="none", learnt="none", total=cell["clean"], round=0)


def with_factors(cell: Cell, **changes: str | int) -> Cell:
    """The cell with other values of some factors."""
    return Cell(tuple({**dict(cell.factors), **changes}.items()))


def kind_of(cell: Cell) -> str:
    """Trainings of one kind share compiled steps: of one network, upgrade or not, and by a loss or a teacher."""
    method = cell["method"]
    suffix = method if method in (UPGRADE, TEACHER, *LOSS_OF) else SEGMENTATION
    return f"{cell['network']}-{suffix.replace(' ', '-')}"
