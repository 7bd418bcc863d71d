"""The cells of the study: each looks at one trained classifier through one map, or in another way."""

from collections.abc import Iterator

from experiments.activation_maps.config import StudyConfig
from experiments.classifiers import training_cell
from experiments.harness.map_options import reason_without_map
from segjax.sweeps import Cell, cell

FACTORS = (
    "data",  # the pictures
    "network",  # the classifier; REFERENCE where none is needed
    "seed",
    "map",  # the map that is judged, or one of the names below
    "epochs",  # after how many the classifier is looked at; 0: after all
)
CLASSIFIER, CUES, REFERENCE = "classifier", "cues", "reference"
FIXED_DISC, MATCHED_DISC = "fixed disc", "area-matched disc"
STRIDES = (8, 16, 32)
REFERENCES = (FIXED_DISC, MATCHED_DISC, *(f"stride {stride}" for stride in STRIDES))


def make_cells(config: StudyConfig, outlined: bool) -> list[Cell]:
    """Every cell of the study once: classifiers first, then seed by seed.

    Args:
        outlined: whether there are outlines; cells that are about nothing else are left out without.
    """
    data = config.data.partition("?")[0]
    found = []
    for network, seed, kind, epochs in _places(config):
        if outlined or not (kind == CUES or network == REFERENCE):
            found.append(cell(data=data, network=network, seed=seed, map=kind, epochs=epochs))
    return list(dict.fromkeys(found))


def _places(config: StudyConfig) -> Iterator[tuple[str, int, str, int]]:
    seeds = range(config.seeds)
    for network in config.classifiers:
        yield from ((network, seed, CLASSIFIER, 0) for seed in seeds)
    for seed in seeds:
        if "maps" in config.questions:
            yield from ((REFERENCE, seed, kind, 0) for kind in REFERENCES)
        for network in config.classifiers:
            has = [map for map in config.maps if reason_without_map(map, network, config.classifier_sizes) is None]
            if "maps" in config.questions:
                yield from ((network, seed, kind, 0) for kind in has)
            if "cues" in config.questions:
                yield network, seed, CUES, 0
            if "training" in config.questions:
                for moment in (*config.moments, 0):
                    yield network, seed, CLASSIFIER, moment
                    yield network, seed, CUES, moment
                    yield from ((network, seed, kind, moment) for kind in config.moment_maps if kind in has)


def training_of(one: Cell) -> Cell:
    """The training that a cell looks at."""
    return training_cell(one["data"], one["network"], one["seed"], one["epochs"])


def kind_of(one: Cell) -> str:
    """Cells of one kind are of one classifier, and share what is compiled."""
    return str(one["network"])
