"""How soon does `upgrade_folder` repair 20 pictures with 8 clean ones, and how good, from which start?

    python -m experiments.benchmarks.upgrade_starts
    python -m experiments.benchmarks.upgrade_starts --only scratch --side 128

The pictures are the middles of 28 fluorescence pictures of nuclei that the upgrader of the package never saw: 8 with
clean labels, 20 with noisy ones, in which half of the objects are overlooked, some are included wrongly, and outlines
are too large or too small. The command runs in a process of its own and is timed from its start to its end, with the
compilation. Processor seconds are those of all its threads, which other work on the machine lengthens less. Dice is the
mean over the 20 pictures against their clean labels. Rows that are there already, of other starts or sides, stay.
"""

import csv
import io
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tyro
from PIL import Image
from scipy import stats

from experiments.benchmarks.commands import timed
from experiments.harness.provenance import comment, provenance
from experiments.harness.start import run_command
from experiments.pretrain.upgrader import KINDS, SIDE, sides_of, sources
from segjax.annotations import Recipe, degrade
from segjax.data import read_labels
from segjax.data.tiles import cut
from segjax.evaluation import counts, dice
from segjax.files import read_file, replacing, write_file
from segjax.types import InputError, Sample
from segjax.upgrade.recipes import borrowed_objects

CLEAN = 8
ERRORS = Recipe(omission=0.5, inclusion=0.25, bias=2, scope="picture")
STARTS = {
    "scratch": ["--start", "scratch"],
    "upgrader": [],
    "upgrader, as it is": ["--tune", "0"],
}
COLUMNS = (
    "start",
    "side",
    "clean",
    "noisy",
    "seconds",
    "processor_seconds",
    "dice_before",
    "dice_after",
    "gain",
    "low",
    "high",
)


@dataclass(frozen=True)
class StartsBenchmark:
    """What is measured, and where the table is written."""

    pictures: Path = Path("../shared/data")
    """Folder of the public sets."""
    only: str = ""
    """One start alone."""
    side: int = SIDE
    """Of the middles, in pixels."""
    out: Path = Path("experiments/benchmarks/results")
    """Folder for upgrade_starts.csv."""


def main() -> None:
    """Run the command from every start and write the table.

    Raises:
        InputError: an unknown start, or what the command says.
    """
    options = tyro.cli(StartsBenchmark, description=__doc__)
    if options.only and options.only not in STARTS:
        raise InputError(f"only: unknown {options.only!r}; choose one of {', '.join(STARTS)}")
    if not 64 <= options.side <= SIDE:
        raise InputError(f"side: {options.side} is not from 64 to {SIDE}; give another")
    origin = provenance("python -m experiments.benchmarks.upgrade_starts")
    corner, samples = (SIDE - options.side) // 2, sides_of(sources(str(options.pictures))[KINDS[0]]).test
    samples = [cut(one, corner, corner, options.side) for one in samples]
    path, commit = options.out / "upgrade_starts.csv", origin.pop("commit")
    for start in STARTS if not options.only else (options.only,):
        row = {"start": start, "side": options.side, **measured(start, samples), "commit": commit}
        print(row, flush=True)
        kept = [one for one in rows_of(path) if (one["start"], one["side"]) != (start, str(options.side))]
        text = io.StringIO()
        writer = csv.DictWriter(text, [*COLUMNS, "commit"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted([*kept, row], key=lambda one: (int(one["side"]), list(STARTS).index(one["start"]))))
        write_file(path, comment(origin) + text.getvalue())


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a table that is there; none where there is no table."""
    if not path.exists():
        return []
    lines = read_file(path).decode().splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def measured(start: str, samples: list[Sample]) -> dict[str, Any]:
    """One row of the table; the interval of the gain is of the mean over pictures, by Student's t."""
    with tempfile.TemporaryDirectory() as place:
        before = written(Path(place), samples)
        given = ["--data", f"{place}/given?empty=keep", "--noisy-labels", "components", "--out", f"{place}/out"]
        done = timed("upgrade_folder", [*given, *STARTS[start]])
        print(done.said, flush=True)
        noisy = samples[CLEAN:]
        masks = [read_labels(Path(place) / f"out/labels/{named(one)}.tif") > 0 for one in noisy]
    after = np.array([dice_of(mask, one) for mask, one in zip(masks, noisy, strict=True)])
    gain = after - before
    low, high = stats.t.interval(0.95, len(gain) - 1, gain.mean(), stats.sem(gain))
    numbers = {"dice_before": before.mean(), "dice_after": after.mean(), "gain": gain.mean(), "low": low, "high": high}
    return {
        **{"clean": CLEAN, "noisy": len(noisy)},
        **{"seconds": f"{done.seconds:.0f}", "processor_seconds": f"{done.processor_seconds:.0f}"},
        **{name: f"{number:.3f}" for name, number in numbers.items()},
    }


def written(place: Path, samples: list[Sample]) -> np.ndarray:
    """Write the folder that is given to the command; the Dice of every noisy label image."""
    labels = np.stack([one.labels for one in samples])
    foreign = borrowed_objects(labels)
    highest = int(max(labels.max(), foreign.max()))
    found = []
    with replacing(place / "given") as given:
        for name in ("images", "labels", "noisy"):
            (given / name).mkdir(parents=True)
        for number, sample in enumerate(samples):
            picture = Image.fromarray(np.round(255 * sample.image[..., 0]).astype(np.uint8))
            picture.save(given / f"images/{named(sample)}.png")
            if number < CLEAN:
                Image.fromarray(sample.labels.astype(np.uint16)).save(given / f"labels/{named(sample)}.png")
                continue
            mask = degrade(jax.random.key(number), labels[number], ERRORS, foreign[number], max_objects=highest)
            Image.fromarray(255 * np.asarray(mask, np.uint8)).save(given / f"noisy/{named(sample)}.png")
            found.append(dice_of(np.asarray(mask), sample))
    return np.array(found)


def named(sample: Sample) -> str:
    """The file name of a picture, whose own holds the place of its middle."""
    return sample.name.partition("@")[0]


def dice_of(mask: np.ndarray, sample: Sample) -> float:
    """Of all pixels of a picture."""
    return float(dice(counts(mask, sample.labels > 0)))


if __name__ == "__main__":
    run_command(main)
