"""Is the simulated tissue too easy or too hard? Compares its cell types with Lizard's, and tests a U-Net on it.

    python -m experiments.calibration.tissue --out experiments/calibration/results

One small U-Net learns all types at once from every label of the training slides (loss: soft Dice and cross entropy;
flips and turns). It is tested on the last sixth of the slides, which it never saw. The command writes a table and a
page, tissue.csv and tissue.md. For each type they give the number of nuclei, their share and Lizard's, the fields that
show the type, pooled Dice and the aim, and the types that the network saw in its pixels.
"""

from pathlib import Path

import jax
import numpy as np
import pandas as pd
import tyro
from jaxtyping import Int, Int32

from experiments.calibration.tables import write_tables
from experiments.harness.provenance import provenance
from experiments.harness.start import run_command
from segjax.annotations import to_target
from segjax.data import make_split, open_source
from segjax.data.shots import pictures_by_class
from segjax.evaluation import counts, dice
from segjax.models import create
from segjax.simulators.tissue_cells import CELL_TYPES
from segjax.simulators.tissue_scene import LIZARD_COUNTS
from segjax.training import LoopConfig, Pictures, StepConfig, fit, make_steps, predict
from segjax.types import InputError, Source

AIM = (0.75, 0.9)  # Dice of each type under full supervision
COLUMNS = ("type", "nuclei", "share", "share in Lizard", "fields with it", "Dice", "within 0.75..0.9")


def confusion(
    predicted: Int32[np.ndarray, "P H W"], targets: Int32[np.ndarray, "P H W"], classes: int
) -> Int[np.ndarray, "K K"]:
    """Pixels of class i (row, 0 is background) that were taken for class j; ignored pixels are left out."""
    known = targets >= 0
    pairs = targets[known] * classes + predicted[known]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def objects_of(source: Source) -> Int[np.ndarray, " K"]:
    """Number of objects in sight of each class."""
    total = np.zeros(len(source.class_names), int)
    for index in range(len(source)):
        sample = source[index]
        ids = np.setdiff1d(np.unique(sample.labels), [0])
        total += np.bincount(sample.classes[ids - 1], minlength=len(total) + 1)[1:]
    return total


def tabulated(source: Source, table: Int[np.ndarray, "K K"], scores: list[float]) -> tuple[list[list], list[list]]:
    """Rows of the two tables: types, and as what their pixels were taken."""
    nuclei = objects_of(source)
    shown = {index: len(pictures) / len(source) for index, pictures in pictures_by_class(source).items()}
    lizard = np.array(LIZARD_COUNTS) / sum(LIZARD_COUNTS)
    rows = [
        [
            name,
            int(nuclei[index]),
            f"{nuclei[index] / nuclei.sum():.4f}",
            f"{lizard[index]:.4f}",
            f"{shown[index + 1]:.0%}",
            *_judged(scores[index], shows=table[index + 1].any()),
        ]
        for index, name in enumerate(CELL_TYPES)
    ]
    taken = [
        [name, *(f"{pixels / row.sum():.1%}" if row.any() else "-" for pixels in row)]
        for name, row in zip(("background", *CELL_TYPES), table, strict=True)
    ]
    return rows, taken


def _judged(score: float, *, shows: bool) -> tuple[str, str]:
    """Dice of a type and whether it is what was aimed at; dashes where no test field shows the type."""
    return (f"{score:.3f}", "yes" if AIM[0] <= score <= AIM[1] else "NO") if shows else ("-", "-")


def calibrate_tissue(
    out: Path,
    data: str = "microscope:tissue?size=quarter&volumes=12&slices=16&seed=0",
    width: int = 16,
    levels: int = 3,
    epochs: int = 30,
    seed: int = 0,
    name: str = "tissue",
) -> None:
    """Train a U-Net on the simulated tissue and write how well it tells the types apart.

    Args:
        out: folder for the table and the page.
        data: a spec of microscope:tissue.
        width: channels of the U-Net's first level.
        levels: poolings of the U-Net.
        epochs: passes over the training fields.
        seed: of initial weights, order and choice of validation slides.
        name: of the two files, without their endings.
    """
    if not data.startswith("microscope:tissue"):
        raise InputError(f"data {data!r} is not simulated tissue; give microscope:tissue?size=...")
    facts = provenance(
        f"python -m experiments.calibration.tissue --out {out} --data '{data}' --width {width} --levels {levels} "
        f"--epochs {epochs} --seed {seed} --name {name}"
    )
    source = open_source(data)
    samples = [source[index] for index in range(len(source))]
    images = np.stack([sample.image for sample in samples])
    targets = np.stack([np.asarray(to_target(sample.labels, classes=sample.classes)) for sample in samples])
    split = make_split(source, validation_share=0.2, seed=seed)
    classes = len(CELL_TYPES) + 1
    step = StepConfig(loss="both", learning_rate=2e-3, augment=True)
    steps = make_steps(create("unet", width=width, levels=levels, classes=classes), step)
    train, validation, test = (np.asarray(side) for side in (split.train, split.validation, split.test))
    learn, choose = (Pictures(images[side], targets[side]) for side in (train, validation))
    loop = LoopConfig(batch_size=4, epochs=epochs)
    found = fit(jax.random.key(seed), steps, learn, choose, loop, on_epoch=_show)
    predicted = predict(steps, found.variables, images[test])
    scores = [float(dice(counts(predicted == index, targets[test] == index).pooled())) for index in range(1, classes)]
    rows, taken = tabulated(source, confusion(predicted, targets[test], classes), scores)
    remark = (
        f"U-Net of width {width} with {levels} poolings, {len(train)} training fields, {len(test)} test fields of "
        f"{len({source.groups[index] for index in test})} other slides, {len(found.losses)} epochs; Dice pooled over "
        "the test fields."
    )
    tables = {
        "": pd.DataFrame(rows, columns=COLUMNS),
        "Pixels of the type in the row taken for the type in the column, test fields:": pd.DataFrame(
            taken, columns=["", "background", *CELL_TYPES]
        ),
    }
    write_tables(out, name, "Calibration of the simulated tissue", facts, remark, tables)
    shown = (f"{kind} {score:.3f}" for kind, score in zip(CELL_TYPES, scores, strict=True))
    print(f"{out}/{name}.md: Dice {', '.join(shown)}")


def _show(share: float) -> None:
    print(f"\rtrained {share:.0%}", end="" if share < 1 else "\n", flush=True)


if __name__ == "__main__":
    run_command(
        lambda: tyro.cli(calibrate_tissue, prog="python -m experiments.calibration.tissue", description=__doc__)
    )
