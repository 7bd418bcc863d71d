"""Is the virtual microscope right? Compares its labels with numbers published for the HL60 and granulocyte sets.

    python -m experiments.calibration.microscope --out experiments/calibration/results

No network is trained. Labels get annotation errors and are compared with the clean ones by Dice, as in Vadineanu et
al. 2022 (MIDL), Figure B.1. The command writes microscope.csv and microscope.md, with a line per published value.

How each value is made:
- omission: the ids dropped are the same in all volumes (as the authors drew them); mean over draws.
- inclusion: the foreign objects are those of the other set's same volume and slice, over the slices that hold a target
  object; the added ids are the same in all volumes; mean over draws.
- bias: every volume has its own sign and strength. All 2 q_max outcomes are equally likely, so each is applied once to
  every volume: the value is that of a whole set with the expected counts. The value of a single volume, averaged over
  the outcomes, stands beside it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import tyro
from jaxtyping import Array, Float, Int
from rich.progress import Progress

from experiments.calibration.tables import write_tables
from experiments.harness.provenance import provenance
from experiments.harness.start import run_command
from segjax.annotations import bias, inclusion, omission
from segjax.ops.components import components
from segjax.simulators import phantoms
from segjax.simulators.phantoms import COARSENINGS
from segjax.types import InputError

RATES = (0.1, 0.2, 0.3, 0.5, 0.7)
STRENGTHS = (2, 4, 6)  # q_max in published pixels
FOREIGN = {"hl60": "granulocytes", "granulocytes": "hl60"}
COLUMNS = ("set", "quantity", "published", "ours", "difference", "tolerance", "within")
_DRAWS = 2000

# Published values: Figure B.1 for the label Dice; sample pictures and text for the rest.
OMISSION = {"hl60": (0.948, 0.889, 0.824, 0.666, 0.461), "granulocytes": (0.965, 0.888, 0.844, 0.692, 0.501)}
INCLUSION = {"hl60": (0.995, 0.983, 0.978, 0.962, 0.948), "granulocytes": (0.815, 0.688, 0.595, 0.468, 0.386)}
BIAS = {"hl60": (0.936, 0.896, 0.862), "granulocytes": (0.845, 0.756, 0.688), "epithelial": (0.881, 0.806, 0.746)}
MID_SHARE = {"hl60": 0.17, "granulocytes": 0.02}
MID_RADIUS = {"hl60": 36.0, "granulocytes": 12.0}
NUCLEUS_VOLUME = {"hl60": 150_000.0, "granulocytes": 40_000.0}
FILLED_SLICES = 84.0
_DICE_TOLERANCE, _SHAPE_TOLERANCE = 0.02, 0.1  # absolute for Dice and shares; relative for sizes and counts


@dataclass
class Counts:
    """Voxels of one set, summed over its volumes; lists hold one entry per volume."""

    voxels: Float[np.ndarray, " N"]
    uncovered: Float[np.ndarray, " F"]
    left: list[dict[int, int]] = field(
        default_factory=list
    )  # per strength: voxels after bias; negative strengths erode
    filled: list[int] = field(default_factory=list)
    mid_share: list[float] = field(default_factory=list)
    mid_radius: list[float] = field(default_factory=list)
    volumes: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class PublishedValue:
    """One published value and ours; `tolerance` is None where ours cannot be had."""

    name: str
    quantity: str
    published: float
    ours: float | None
    tolerance: float | None

    def shown(self) -> tuple[str, ...]:
        """The line of the table."""
        shown = "g" if self.published > 1 else ".3f"
        if self.ours is None or self.tolerance is None:
            return self.name, self.quantity, format(self.published, shown), "", "", "", "not comparable: MoNuSAC data"
        digits = ".0f" if self.published > 1000 else ".1f" if self.published > 1 else ".4f"
        difference = self.ours - self.published
        within = "yes" if abs(difference) <= self.tolerance else "NO"
        numbers = (format(self.ours, digits), format(difference, "+" + digits), format(self.tolerance, "g"))
        return self.name, self.quantity, format(self.published, shown), *numbers, within


def outcomes(q_max: int) -> dict[int, Array]:
    """A key for every equally likely outcome of `bias`: -q for q erosions, q for q dilations.

    The key alone decides sign and strength, so what happens to a small square tells what will happen to any mask.
    """
    edge = 2 * q_max + 1
    probe = jnp.pad(jnp.ones((edge, edge), bool), q_max + 1)
    keys = jax.random.split(jax.random.key(0), 100 * q_max)
    areas = np.asarray(jax.vmap(lambda key: bias(key, probe, q_max).sum())(keys))
    found, first = np.unique(areas, return_index=True)
    strengths = (np.round(np.sqrt(found)).astype(int) - edge) // 2
    assert len(strengths) == 2 * q_max, "a hundred draws per strength did not show every outcome"
    return {int(strength): keys[index] for strength, index in zip(strengths, first, strict=True)}


def count_volume(counts: dict[str, Counts], labels: dict[str, np.ndarray], keys: dict[int, Array]) -> Iterator[str]:
    """Add one volume's voxels to the counts; yields the set that has just been counted."""
    for name, own in labels.items():
        counted, filled = counts[name], own.any(axis=(1, 2))
        sizes = np.bincount(own.ravel(), minlength=len(counted.voxels) + 1)[1:]
        counted.voxels += sizes
        foreign = labels[FOREIGN[name]][filled]
        counted.uncovered += np.bincount(foreign[own[filled] == 0], minlength=len(counted.uncovered) + 1)[1:]
        mask = jnp.asarray(own > 0)
        counted.left.append({strength: int(bias(key, mask, max(keys)).sum()) for strength, key in keys.items()})
        middle, band = own[len(own) // 2], own[len(own) * 2 // 5 : len(own) * 3 // 5 + 1]
        counted.filled.append(int(filled.sum()))
        counted.mid_share.append(float((middle > 0).mean()))
        # within a slice, not across slices
        areas = np.concatenate([np.bincount(components(plane > 0).ravel())[1:] for plane in band])
        counted.mid_radius.append(float(np.median(np.sqrt(areas / np.pi))))
        counted.volumes.append(float(sizes.mean()))
        yield name


def omission_dice(voxels: Float[np.ndarray, " N"], rate: float) -> float:
    """Mean Dice over draws; a map of one pixel per object stands for the volumes, its weights their voxels."""
    objects = jnp.arange(1, len(voxels) + 1, dtype=jnp.int32)[None]
    keys = jax.random.split(jax.random.key(1), _DRAWS)
    kept = np.asarray(jax.vmap(lambda key: omission(key, objects, rate))(keys))[:, 0] > 0
    share = kept @ voxels / voxels.sum()
    return float(np.mean(2 * share / (1 + share)))


def inclusion_dice(voxels: Float[np.ndarray, " N"], uncovered: Float[np.ndarray, " F"], rate: float) -> float:
    """Mean Dice over draws; as `omission_dice`, with the foreign voxels that no target object covers."""
    objects: Int[Array, "1 F"] = jnp.arange(1, len(uncovered) + 1, dtype=jnp.int32)[None]
    keys = jax.random.split(jax.random.key(2), _DRAWS)
    added = jax.vmap(lambda key: inclusion(key, jnp.zeros_like(objects), objects, rate))(keys)
    ratio = (np.asarray(added)[:, 0] > 0) @ uncovered / voxels.sum()
    return float(np.mean(2 / (2 + ratio)))


def bias_dice(counted: Counts, q_max: int) -> tuple[float, float]:
    """Dice of a whole set in expectation, and the mean Dice of one volume over the equally likely outcomes."""
    strengths = [strength for strength in counted.left[0] if abs(strength) <= q_max]
    left = np.array([[volume[strength] for strength in strengths] for volume in counted.left], float)
    # Eroded masks lie inside the clean one and dilated ones around it: the overlap is the smaller of the two.
    clean = np.array(counted.volumes)[:, None] * len(counted.voxels)
    overlap = np.minimum(left, clean)
    whole = 2 * overlap.mean(axis=1).sum() / (clean.sum() + left.mean(axis=1).sum())
    return float(whole), float(np.mean(2 * overlap / (clean + left)))


def compare(counts: dict[str, Counts], coarsening: float) -> list[PublishedValue]:
    """One row per published value; lengths and volumes in published pixels and voxels."""
    rows = []
    for name, counted in counts.items():
        for rate, published in zip(RATES, OMISSION[name], strict=True):
            ours = omission_dice(counted.voxels, rate)
            rows.append(PublishedValue(name, f"omission {rate:.0%}, label Dice", published, ours, _DICE_TOLERANCE))
        for rate, published in zip(RATES, INCLUSION[name], strict=True):
            ours = inclusion_dice(counted.voxels, counted.uncovered, rate)
            rows.append(PublishedValue(name, f"inclusion {rate:.0%}, label Dice", published, ours, _DICE_TOLERANCE))
        for q_max, published in zip(STRENGTHS, BIAS[name], strict=True):
            whole, single = bias_dice(counted, max(1, round(q_max / coarsening)))
            rows.append(PublishedValue(name, f"bias {q_max}, label Dice, whole set", published, whole, _DICE_TOLERANCE))
            rows.append(
                PublishedValue(name, f"bias {q_max}, label Dice, mean of volumes", published, single, _DICE_TOLERANCE)
            )
        shapes = (
            ("median radius in the middle fifth, pixels", MID_RADIUS[name], np.mean(counted.mid_radius) * coarsening),
            ("mean volume of a nucleus, voxels", NUCLEUS_VOLUME[name], np.mean(counted.volumes) * coarsening**3),
        )
        mid_share = float(np.mean(counted.mid_share))
        rows.append(PublishedValue(name, "foreground share of mid slice", MID_SHARE[name], mid_share, _DICE_TOLERANCE))
        for quantity, size, found in shapes:
            rows.append(PublishedValue(name, quantity, size, float(found), _SHAPE_TOLERANCE * size))
        filled = float(np.mean(counted.filled)) * coarsening
        rows.append(
            PublishedValue(
                name, "slices with nuclei per volume", FILLED_SLICES, filled, _SHAPE_TOLERANCE * FILLED_SLICES
            )
        )
    for q_max, published in zip(STRENGTHS, BIAS["epithelial"], strict=True):
        rows.append(PublishedValue("epithelial", f"bias {q_max}, label Dice", published, None, None))
    return rows


def calibrate_microscope(
    out: Path, volumes: int = 30, size: Literal["paper", "half", "quarter", "sixth"] = "paper", seed: int = 0
) -> None:
    """Compare the simulated labels with every published label statistic and write the table.

    Args:
        out: folder for microscope.csv and microscope.md.
        volumes: volumes per set; the paper has 30.
        size: voxel size. The published values hold for "paper"; at others, strengths are rounded to whole pixels.
        seed: seed of the scenes.

    Raises:
        InputError: a number that cannot be, or a folder that cannot be written.
    """
    if volumes < 1 or seed < 0:
        raise InputError(f"volumes={volumes}, seed={seed}: volumes must be at least 1, seed at least 0")
    coarsening = COARSENINGS[size]
    keys = outcomes(max(1, round(max(STRENGTHS) / coarsening)))
    numbers = {name: max(phantoms.POPULATIONS[name]) for name in FOREIGN}
    counts = {name: Counts(np.zeros(numbers[name]), np.zeros(numbers[FOREIGN[name]])) for name in FOREIGN}
    with Progress() as progress:
        task = progress.add_task("volumes", total=volumes * len(FOREIGN))
        for volume in range(volumes):
            labels = {name: phantoms.render_labels(phantoms.scene(name, seed, volume), coarsening) for name in FOREIGN}
            for name in count_volume(counts, labels, keys):
                progress.update(task, advance=1, description=f"volume {volume}, {name}")
    rows = compare(counts, coarsening)
    command = (
        f"python -m experiments.calibration.microscope --out {out} --volumes {volumes} --size {size} --seed {seed}"
    )
    remark = (
        f"{volumes} volumes per set. Tolerance: 0.02 for Dice and shares, a tenth for sizes and counts, which were "
        "read off sample pictures. The epithelial rows are of MoNuSAC histology, which no simulator stands for."
    )
    frame = pd.DataFrame([row.shown() for row in rows], columns=COLUMNS)
    write_tables(out, "microscope", "Calibration of the virtual microscope", provenance(command), remark, {"": frame})
    missed = int((frame["within"] == "NO").sum())
    print(f"{out}/microscope.md: {len(rows)} published values, {missed} outside the tolerance")


if __name__ == "__main__":
    run_command(
        lambda: tyro.cli(calibrate_microscope, prog="python -m experiments.calibration.microscope", description=__doc__)
    )
