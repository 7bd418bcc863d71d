"""Patches whose brightness and magnification vary, so that a network is ready for pictures of other microscopes."""

from collections.abc import Iterator
from dataclasses import dataclass

import jax
import numpy as np
from skimage.transform import resize

from experiments.pretrain.recipes import Jitter
from segjax.data import Patches
from segjax.data.patches import Batch


@dataclass(frozen=True)
class Jittered:
    """Patches of a source, changed anew every time; which way is a function of key, epoch and step."""

    patches: Patches
    jitter: Jitter

    def first(self) -> Batch:
        """A batch of the size that all have."""
        return self._changed(self.patches.first(), np.random.default_rng(0))

    def epoch(self, key: jax.Array, epoch: int, first: int = 0) -> Iterator[Batch]:
        """The batches of one epoch, counted from 0, from its step `first` on."""
        seed = [int(part) for part in np.ravel(jax.random.key_data(key))]
        for step, batch in enumerate(self.patches.epoch(key, epoch, first), first):
            yield self._changed(batch, np.random.default_rng([*seed, epoch, step]))

    def _changed(self, batch: Batch, random: np.random.Generator) -> Batch:
        pairs = [self._one(*pair, random) for pair in zip(*batch, strict=True)]
        images, targets = zip(*pairs, strict=True)
        return Batch(np.stack(images), np.stack(targets))

    def _one(self, image: np.ndarray, target: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        own, whole = self.jitter, len(target)
        side = round(float(np.exp(random.uniform(np.log(own.smallest), np.log(whole)))))
        y, x = random.integers(0, whole - side + 1, 2)
        part = np.s_[y : y + side, x : x + side]
        nearest = ((np.arange(own.size) + 0.5) * side / own.size).astype(int)
        gamma, factor = np.exp(random.normal(0, (own.gamma, own.factor)))
        values = resize(image[part], (own.size, own.size), order=1, anti_aliasing=False)
        changed = np.clip(factor * np.clip(values, 0, 1) ** gamma, 0, 1).astype(np.float32)
        return changed, target[part][nearest][:, nearest]
