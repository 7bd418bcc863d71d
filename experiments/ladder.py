"""Draw a picture as it is segmented without networks, from thresholds to a forest, beside the truth.

    python -m experiments.ladder --data microscope:hl60 --picture volume-00-slice-010 --out strip.png
    python -m experiments.ladder --data 'folder:my_nuclei?tile=256' --picture cell_7 --annotated 3 --out strip.png

Every way is fitted to --annotated pictures of other groups (volumes, patients, map sheets), which are chosen by lot
among those that show an object; they are the same for all. The strip has the picture, what each way finds with its
Dice, and the true outlines. The Dice of each way is also printed.

Exit code: 0 drawn, 2 refused.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tyro

from experiments.harness.options import check_choices
from experiments.harness.start import run_command
from segjax.classical import LADDER
from segjax.types import InputError, Sample, Source, check_least

if TYPE_CHECKING:
    from segjax.training import Pictures


@dataclass(frozen=True)
class StripOptions:
    """Which picture, and what is known of others."""

    data: str
    """Pictures: microscope:hl60, terrain:mounds, folder:PATH?tile=256 and so on."""
    picture: str
    """Name of the picture to draw."""
    out: Path
    """The new PNG file."""
    baselines: tuple[str, ...] = tuple(LADDER)
    """Ways to segment, in the order of the strip: any of otsu, adaptive, growing, watershed, kmeans, gaussian_mixture,
    forest."""
    annotated: int = 5
    """How many annotated pictures each way is fitted to. 0: none; then objects are what fewer pixels show, and a forest
    cannot learn."""
    target: int = 1
    """Class of the objects."""
    seed: int = 0
    """Of the choice of the annotated pictures, and of ways with chance in them."""

    def check(self) -> None:
        """Raises InputError where an option cannot be used."""
        check_choices("baselines", self.baselines, LADDER)
        check_least(self, annotated=0, target=1, seed=0)
        if self.out.suffix.lower() != ".png":
            raise InputError(f"out: {self.out} is no PNG file; give a name that ends in .png")
        if not self.baselines:
            raise InputError(f"baselines: none is given; name some of {', '.join(LADDER)}")
        if not self.annotated and "forest" in self.baselines:
            raise InputError(
                "annotated: a forest learns from annotated pictures; give at least 1, or other --baselines"
            )


def draw(options: StripOptions) -> dict[str, float]:
    """Write the strip; returns the Dice of each way.

    Raises:
        InputError: an option cannot be used, there is no such picture, or there are too few others.
    """
    options.check()
    from experiments.harness.ladder import fitted
    from experiments.harness.networks import pooled_dice
    from experiments.harness.pictures import check_target
    from segjax.data import open_source
    from segjax.data.folders.tables import first_few
    from segjax.files import write_file
    from segjax.reports.strip import draw_strip
    from segjax.reports.words import network_name

    source = open_source(options.data)
    check_target(source, options.target)
    if options.picture not in source.names:
        raise InputError(
            f"picture: {options.data} has no {options.picture!r}; name one of its own: {first_few(source.names)}"
        )
    sample = source[source.names.index(options.picture)]
    known = others(source, sample, options)
    masks = {name: fitted(name, options.seed, known).masks(sample.image[None])[0] for name in options.baselines}
    truth = sample.of_class(options.target) > 0
    if sample.ignored is not None:
        masks = {name: mask & ~sample.ignored for name, mask in masks.items()}
    write_file(options.out, draw_strip(sample.image, truth, {network_name(name): mask for name, mask in masks.items()}))
    return {name: pooled_dice(mask[None], truth[None]) for name, mask in masks.items()}


def others(source: Source, sample: Sample, options: StripOptions) -> "Pictures":
    """Annotated pictures of other groups; the picture itself without annotation where none are asked for.

    Raises:
        InputError: there are too few, or their sizes differ.
    """
    from segjax.training import Pictures

    if not options.annotated:
        return Pictures(sample.image[None], np.full((1, *sample.labels.shape), -1, np.int32))
    candidates = [index for index, group in enumerate(source.groups) if group != sample.group]
    found: list[Sample] = []
    for index in np.random.default_rng(options.seed).permutation(np.asarray(candidates, int)):
        if len(found) < options.annotated and (one := source[int(index)]).of_class(options.target).any():
            found.append(one)
    if len(found) < options.annotated:
        raise InputError(
            f"annotated: {len(found)} pictures of other groups than {sample.group} show an object; give at most "
            f"--annotated {len(found)}, or more groups"
        )
    if len({one.image.shape for one in found}) > 1:
        raise InputError(f"data: pictures of {options.data} differ in size; cut them with the option tile=256")
    targets = [
        np.where(False if one.ignored is None else one.ignored, -1, one.of_class(options.target) > 0) for one in found
    ]
    return Pictures(np.stack([one.image for one in found]), np.stack(targets).astype(np.int32))


def main() -> None:
    """Draw the strip that the options ask for."""
    options = tyro.cli(StripOptions, prog="python -m experiments.ladder", description=__doc__)
    for name, value in draw(options).items():
        print(f"{name}: Dice {value:.3f}")
    print(f"written: {options.out}")


if __name__ == "__main__":
    run_command(main)
