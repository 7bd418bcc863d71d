"""How fast are patches of 256x256 pixels read from a folder, flipped and turned, compared with PyTorch and Grain?

    python -m experiments.benchmarks.patches
    python -m experiments.benchmarks.patches --only "large pictures"

All read the same folder by the same decoder (`FolderSource`), take random patches of the same size, turn them alike and
stack them to batches of 16. Rivals are `torch.utils.data.DataLoader` with as many worker processes as there are cores,
kept between epochs, and Grain with its threads, both shuffled; their data set decodes the picture that a patch is taken
of. Ours decodes a picture once for all its patches in an epoch, in as many threads as there are cores. A large picture
gives six patches. A small one gives one, so that nothing is saved there. A call is one epoch; `patches_per_s` is what
it comes to.
"""

import atexit
import shutil
import tempfile
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tyro
from PIL import Image
from scipy import ndimage

from experiments.benchmarks import timing
from experiments.benchmarks.timing import Call, Contest, Contests, Scale, TimingOptions
from experiments.harness.start import run_command
from segjax.data import write_labels
from segjax.data.folders.folder import FolderSource
from segjax.data.folders.folder_options import FolderOptions
from segjax.data.patches import Decoded, PatchConfig, Patches, class_target, turned
from segjax.ops.components import components
from segjax.training.parallel import cores
from segjax.types import Source

SIZES: dict[Scale, dict[str, tuple[int, int, int]]] = {
    "full": {"large pictures of 520x704": (48, 520, 704), "small pictures of 256x256": (160, 256, 256)},
    "smoke": {"large pictures of 40x64": (4, 40, 64), "small pictures of 16x16": (4, 16, 16)},
}
PATCH: dict[Scale, int] = {"full": 256, "smoke": 16}
BATCH = 16


@lru_cache
def folder_of(count: int, height: int, width: int) -> FolderSource:
    """Pictures with blobs and noise, as a microscope gives them, 8-bit PNG; labels as compressed 16-bit TIFF."""
    path = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, path)
    (path / "images").mkdir()
    (path / "labels").mkdir()
    random = np.random.default_rng(0)
    for number in range(count):
        smooth = ndimage.gaussian_filter(random.standard_normal((height, width)), 8)
        labels = components(smooth > smooth.std())
        picture = 60 + 120 * (labels > 0) + 12 * random.standard_normal((height, width))
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(path / "images" / f"{number:04d}.png")
        write_labels(path / "labels" / f"{number:04d}.tif", labels)
    return FolderSource(path, FolderOptions(empty="keep"), f"folder:{path}")


class PatchOfPicture:
    """What users of PyTorch and Grain write: patch `number` is a random one of its picture, decoded for it."""

    def __init__(self, source: Source, shares: np.ndarray, size: int) -> None:
        self._source, self._size = source, size
        self._pictures = np.repeat(np.arange(len(shares)), shares).tolist()

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, number: int) -> Decoded:
        sample, random = self._source[self._pictures[number]], np.random.default_rng()
        target, size = class_target(sample), self._size
        y, x = (int(random.integers(0, length - size + 1)) for length in target.shape)
        patch = sample.image[y : y + size, x : x + size], target[y : y + size, x : x + size]
        image, target = turned(*patch, int(random.integers(8)))
        return np.ascontiguousarray(image), np.ascontiguousarray(target)


def contest(sizes: tuple[int, int, int], size: int) -> Contest:
    """An epoch of patches in each way; `sizes` are number, height and width of the pictures."""
    source = folder_of(*sizes)
    patches = Patches(source, tuple(range(len(source))), PatchConfig(size=size, batch_size=BATCH, threads=cores()))
    alone = PatchOfPicture(source, patches.shares, size)

    def ours(number: int) -> int:
        return sum(len(batch.images) for batch in patches.epoch(jax.random.key(0), number))

    rivals = {"torch.utils.data.DataLoader": loader_of_torch(alone), "grain": loader_of_grain(alone)}
    return Contest({"segjax.data.Patches": ours}, rivals, {"patches": len(patches)})


def loader_of_torch(pictures: PatchOfPicture) -> Call:
    """PyTorch's loader with a worker process per core, kept between epochs."""
    from torch.utils.data import DataLoader

    loader: Any = DataLoader(
        pictures,  # type: ignore[arg-type]
        BATCH,
        shuffle=True,
        num_workers=cores(),
        persistent_workers=True,
        multiprocessing_context="spawn",
    )
    return lambda number: sum(len(images) for images, _ in loader)


def loader_of_grain(pictures: PatchOfPicture) -> Call:
    """Grain with as many threads as its default; its processes are started anew for every epoch, which costs more."""
    import grain

    def epoch(number: int) -> int:
        data = grain.MapDataset.source(pictures).shuffle(seed=number).batch(BATCH)
        return sum(len(images) for images, _ in data.to_iter_dataset())

    return epoch


def contests(scale: Scale) -> Contests:
    return {name: partial(contest, sizes, PATCH[scale]) for name, sizes in SIZES[scale].items()}


def main() -> None:
    options = tyro.cli(TimingOptions, description=__doc__)
    header = timing.begin("patches", options)
    rows = timing.measure(timing.chosen(contests(options.scale), options.only), options.rounds)
    for row in rows:
        row["patches_per_s"] = timing.rounded(1000 * float(row["patches"]) / float(row["median_ms"]))
    timing.report("patches", header, rows, options.out)


if __name__ == "__main__":
    run_command(main)
