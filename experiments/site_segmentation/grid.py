"""The cells of the study: masks made of maps, and networks trained on masks, points, boxes and outlines."""

from collections.abc import Iterator
from typing import Any

from experiments.classifiers import training_cell
from experiments.site_segmentation.config import StudyConfig, Way, trained_ways, ways_of
from segjax.sweeps import Cell, cell

FACTORS = (
    "data",  # the pictures
    "network",  # that segments; "none" where masks themselves are measured
    "seed",
    "method",  # what the network learns from
    "classifier",  # whose maps make the masks
    "map",
    "rule",  # for the level above which the map is object
    "completion",  # on the picture
    "outlines",  # outlined sites that the network learns from; 0: all there are
)
MASKS, MAPS, OUTLINES = "masks", "maps", "outlines"
NONE = "none"


def make_cells(config: StudyConfig) -> list[Cell]:
    """Every cell of the study once, seed by seed, so that an unfinished one has everything with fewer seeds."""
    neutral = {"classifier": NONE, "map": NONE, "rule": NONE, "completion": NONE, "outlines": 0}
    found: dict[Cell, None] = {}
    for seed in range(config.seeds):
        for factors in _settings(config):
            merged = {"data": config.data.partition("?")[0], "seed": seed, **neutral, **factors}
            found[cell(**{name: merged[name] for name in FACTORS})] = None
    return list(found)


def _settings(config: StudyConfig) -> Iterator[dict[str, Any]]:
    for classifier in config.classifiers:
        for way in ways_of(config):
            yield {"network": NONE, "method": MASKS, "classifier": classifier, **way._asdict()}
    for network in config.networks:
        yield {"network": network, "method": OUTLINES}
        for classifier in config.classifiers:
            for way in trained_ways(config):
                yield {"network": network, "method": MAPS, "classifier": classifier, **way._asdict()}
        for count in config.outlines:
            yield {"network": network, "method": OUTLINES, "outlines": count}
        for method in config.methods:
            yield {"network": network, "method": method}


def way_in(one: Cell) -> Way:
    """How the masks of a cell are made."""
    return Way(one["map"], one["rule"], one["completion"])


def classifier_in(one: Cell) -> Cell | None:
    """The training of the classifier that a cell needs; None where it needs none."""
    if one["classifier"] == NONE:
        return None
    return training_cell(one["data"], one["classifier"], one["seed"], 0)


def kind_of(one: Cell) -> str:
    """Cells of one kind share compiled steps; masks are made by classifiers."""
    return f"masks-{one['classifier']}" if one["method"] == MASKS else str(one["network"])
