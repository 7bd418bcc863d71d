"""Features that another model computed, read from files, as a bank beside those of our extractors."""

from collections.abc import Iterable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32

from segjax.data.feature_files import FeatureFiles
from segjax.fewshot.bank import pixel_sums, scale_of, statistics
from segjax.fewshot.grid import full_size


@dataclass(frozen=True, eq=False)
class StoredBank:
    """Standardised features of the pictures of a source.

    Attributes:
        files: the features as they are stored, a picture each.
        mean, std: float32 [F] of each feature at full size, over the pictures that it is standardised by.
    """

    files: FeatureFiles
    mean: Float32[np.ndarray, " F"]
    std: Float32[np.ndarray, " F"]

    @staticmethod
    def standardised(files: FeatureFiles, size: tuple[int, int], pictures: Iterable[int]) -> "StoredBank":
        """A bank whose features have mean 0 and deviation 1 over all pixels of some pictures, as `FeatureBank` has.

        Args:
            size: (H, W) of the pictures.
        """
        sums = jax.jit(lambda raw: pixel_sums(jnp.asarray(full_size(raw, size))))
        each = (sums(jnp.asarray(files[index], jnp.float32)) for index in pictures)
        return StoredBank(files, *statistics((size[0] * size[1], found) for found in each))

    def __len__(self) -> int:
        return self.files.shape[-1]

    @property
    def variance(self) -> Float32[np.ndarray, " F"]:
        """Of every feature before it is standardised."""
        return self.std**2

    def stack(self, pictures: Iterable[int]) -> Float32[np.ndarray, "P h w F"]:
        """Features of some pictures on the grid that they are stored on: 4 P h w F bytes."""
        raw = np.stack([np.asarray(self.files[index], np.float32) for index in pictures])
        return (raw - self.mean) * scale_of(self.std)
