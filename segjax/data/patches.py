"""Random patches of pictures that need not fit into memory, in an order that is a function of seed and step alone.

An epoch is cut into windows of some pictures. A window's pictures are decoded once, each gives the patches that its
area is worth, and all of them come in a random order. So a picture is decoded once an epoch and not once a patch,
and memory holds two windows whatever the size of the set.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float32, Int32, Int64, Key

from segjax.data.tiles import picture_shapes
from segjax.types import IGNORED, InputError, Sample, Source, check_least

_ORDER = np.iinfo(np.int64).max  # where the random numbers of an epoch's order lie among those of its pictures

Decoded = tuple[Float32[np.ndarray, "H W C"], Int32[np.ndarray, "H W"]]


class Batch(NamedTuple):
    """What a step sees.

    Attributes:
        images: float32 [B, S, S, C] in [0, 1].
        targets: int32 [B, S, S], class index per pixel, 0 background, -1 not judged.
    """

    images: Float32[np.ndarray, "B S S C"]
    targets: Int32[np.ndarray, "B S S"]


def class_target(sample: Sample) -> Int32[np.ndarray, "H W"]:
    """The class of each pixel's object, 0 where there is none, -1 where nobody judged."""
    target = np.concatenate([[0], sample.classes]).astype(np.int32)[sample.labels]
    return target if sample.ignored is None else np.where(sample.ignored, np.int32(IGNORED), target)


@dataclass(frozen=True)
class PatchConfig:
    """How patches are drawn.

    Attributes:
        size: side of a patch in pixels; a smaller picture is filled up by reflection, with -1 in the target.
        batch_size: patches per step, over all hosts.
        window: pictures that are held decoded at a time.
        augment: flips and quarter turns, the eight equally likely.
        host, hosts: which part of every batch this process reads.
        threads: that decode pictures.
    """

    size: int = 256
    batch_size: int = 8
    window: int = 32
    augment: bool = True
    host: int = 0
    hosts: int = 1
    threads: int = 2

    def __post_init__(self) -> None:
        check_least(self, size=1, batch_size=1, window=1, host=0, hosts=1, threads=1)
        if self.host >= self.hosts:
            raise InputError(f"host must be from 0 to {self.hosts - 1} (hosts={self.hosts}), not {self.host}")
        if self.batch_size % self.hosts:
            raise InputError(
                f"batch_size={self.batch_size} cannot be divided among hosts={self.hosts}; give a multiple"
            )


@dataclass(frozen=True)
class Patches:
    """Batches of patches of some pictures of a source.

    Attributes:
        source: where the pictures come from.
        pictures: indices into the source, for example the training side of a split.
        config: how patches are drawn.
        target: what is learnt of a sample, int32 [H, W].
    """

    source: Source
    pictures: tuple[int, ...]
    config: PatchConfig
    target: Callable[[Sample], Int32[np.ndarray, "H W"]] = class_target
    shares: Int64[np.ndarray, " P"] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Raises InputError where there are no pictures."""
        if not self.pictures:
            raise InputError(
                f"{self.source.spec}: there are no pictures to take patches from; give more pictures or groups"
            )
        if not all(0 <= index < len(self.source) for index in self.pictures):
            raise InputError(
                f"pictures: {self.source.spec} has the pictures 0 to {len(self.source) - 1}, not {max(self.pictures)}"
            )
        shapes = picture_shapes(self.source)
        area = np.array([shapes[index][0] * shapes[index][1] for index in self.pictures])
        object.__setattr__(self, "shares", np.maximum(1, np.round(area / self.config.size**2)).astype(np.int64))

    def __len__(self) -> int:
        """Patches of an epoch: as many of each picture as its area holds, at least one."""
        return int(self.shares.sum())

    @property
    def steps(self) -> int:
        """Steps of an epoch; the last is filled up from the beginning of the epoch's order."""
        return -(-len(self) // self.config.batch_size)

    def order(self, seed: int, epoch: int) -> Int64[np.ndarray, "N 2"]:
        """The epoch's patches in order: position in `pictures`, and the number of the patch within the picture."""
        random = _random(seed, epoch, _ORDER, 0)
        pictures = random.permutation(len(self.pictures))
        parts = []
        for start in range(0, len(pictures), self.config.window):
            window = pictures[start : start + self.config.window]
            counts = self.shares[window]
            patches = np.stack([np.repeat(window, counts), np.concatenate([np.arange(count) for count in counts])], 1)
            parts.append(patches[random.permutation(len(patches))])
        return np.concatenate(parts)

    def stream(self, key: Key[Array, ""], step: int = 0, end: int | None = None, ahead: int = 2) -> Iterator[Batch]:
        """Batches from a step on; this host's part of each.

        The same key and step give the same batch, whatever was read before, by how many threads and hosts.

        Args:
            key: decides order, places and augmentation.
            step: first step, 0 for the beginning; an interrupted training goes on at the step it had reached.
            end: the step before which to stop; None: never.
            ahead: batches that are made while the device computes.
        """
        seed = int.from_bytes(np.asarray(jax.random.key_data(key)).tobytes(), "little")
        with _Pictures(self) as decoded:
            order = lru_cache(maxsize=2)(lambda epoch: self.order(seed, epoch))
            waiting: list[Future[Batch]] = []
            with ThreadPoolExecutor(1) as maker:  # one after the other: the pictures are decoded in parallel
                while step != end:
                    while len(waiting) <= ahead and step + len(waiting) != end:
                        waiting.append(maker.submit(self._batch, decoded, order, seed, step + len(waiting)))
                    yield waiting.pop(0).result()
                    step += 1

    def first(self) -> Batch:
        """A batch for what only needs to know its size: initial weights, a probe of the time of a step."""
        return next(self.stream(jax.random.key(0), ahead=0))

    def epoch(self, key: Key[Array, ""], epoch: int, first: int = 0) -> Iterator[Batch]:
        """The batches of one epoch, counted from 0, from its step `first` on."""
        return self.stream(key, epoch * self.steps + first, (epoch + 1) * self.steps)

    def _batch(self, decoded: "_Pictures", order: Callable[[int], np.ndarray], seed: int, step: int) -> Batch:
        epoch, within = divmod(step, self.steps)
        patches, config = order(epoch), self.config
        first = within * config.batch_size + config.host * (config.batch_size // config.hosts)
        rows = np.arange(first, first + config.batch_size // config.hosts)
        decoded.look_ahead([int(picture) for picture, _ in patches[first : first + config.window]])
        chosen = [self._patch(decoded, patches[row % len(patches)], seed, epoch) for row in rows]
        images, targets = zip(*chosen, strict=True)
        return Batch(np.stack(images), np.stack(targets))

    def _patch(self, decoded: "_Pictures", patch: np.ndarray, seed: int, epoch: int) -> Decoded:
        picture, number = (int(part) for part in patch)
        image, target = decoded[picture]
        size, random = self.config.size, _random(seed, epoch, picture, number)
        y, x = (int(random.integers(0, max(0, length - size) + 1)) for length in target.shape)
        image, target = image[y : y + size, x : x + size], target[y : y + size, x : x + size]
        missing = [(0, size - length) for length in target.shape]
        if any(after for _, after in missing):
            image = np.pad(image, [*missing, (0, 0)], mode="reflect")
            target = np.pad(target, missing, constant_values=IGNORED)
        return turned(image, target, int(random.integers(8))) if self.config.augment else (image, target)


def on_devices(batches: Iterator[Batch], sharding: jax.sharding.Sharding | None = None) -> Iterator[Any]:
    """Batches as arrays on the devices, the next one on its way while the last is used.

    Args:
        batches: this host's part of each batch, as `Patches.stream` gives them.
        sharding: how whole batches lie on the devices of all hosts; None: on the default device.

    >>> images = np.zeros((2, 4, 4, 1), np.float32)
    >>> batches = (Batch(images, np.full((2, 4, 4), number, np.int32)) for number in range(3))
    >>> [(isinstance(batch.images, jax.Array), int(batch.targets.max())) for batch in on_devices(batches)]
    [(True, 0), (True, 1), (True, 2)]
    """

    def placed(batch: Batch) -> Any:
        if sharding is None:
            return jax.device_put(batch)
        return jax.tree.map(lambda part: jax.make_array_from_process_local_data(sharding, part), batch)

    waiting = None
    for batch in batches:
        ready, waiting = waiting, placed(batch)
        if ready is not None:
            yield ready
    if waiting is not None:
        yield waiting


class _Pictures:
    """Decoded pictures of two windows, the oldest given up first; decoding runs ahead in threads."""

    def __init__(self, patches: Patches) -> None:
        self._patches, self._kept = patches, OrderedDict[int, Future[Decoded]]()
        self._lock, self._pool = threading.Lock(), ThreadPoolExecutor(patches.config.threads)

    def __enter__(self) -> "_Pictures":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def look_ahead(self, pictures: list[int]) -> None:
        for picture in dict.fromkeys(pictures):
            self._future(picture)

    def __getitem__(self, picture: int) -> Decoded:
        return self._future(picture).result()

    def _future(self, picture: int) -> "Future[Decoded]":
        with self._lock:
            if picture not in self._kept:
                self._kept[picture] = self._pool.submit(self._decode, picture)
            self._kept.move_to_end(picture)
            while len(self._kept) > 2 * self._patches.config.window:
                self._kept.popitem(last=False)
            return self._kept[picture]

    def _decode(self, picture: int) -> Decoded:
        sample = self._patches.source[self._patches.pictures[picture]]
        return sample.image, self._patches.target(sample)


def turned(image: np.ndarray, target: np.ndarray, choice: int) -> Decoded:
    """One of the eight flips and quarter turns of a square picture and its target; `choice` is from 0 to 7."""
    if choice & 1:
        image, target = image[::-1], target[::-1]
    if choice & 2:
        image, target = image[:, ::-1], target[:, ::-1]
    return (image.swapaxes(0, 1), target.T) if choice & 4 else (image, target)


def _random(seed: int, epoch: int, picture: int, number: int) -> np.random.Generator:
    """Independent random numbers for each patch: Philox counts its blocks from the patch's own counter."""
    return np.random.Generator(np.random.Philox(key=seed, counter=np.array([0, epoch, picture, number], np.uint64)))
