"""A tiny classifier twice: as a Flax module behind a probe, and in NumPy with its gradients worked out by hand."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.models import Probe
from segjax.models.layers import Convolution
from segjax.models.probe import Named, Relu


class Tiny(nn.Module):
    """3x3 convolution, ReLU ("first"), 2x2 mean, 1x1 convolution, ReLU ("maps"), mean ("pool"), linear ("head")."""

    @nn.compact
    def __call__(self, image):
        b, h, w, _ = image.shape
        x = Relu(name="first")(Convolution(4, 3, name="conv0")(image))
        x = x.reshape(b, h // 2, 2, w // 2, 2, 4).mean((2, 4))
        x = Relu(name="maps")(Convolution(5, 1, name="conv1")(x))
        return nn.Dense(3, name="head")(Named(name="pool")(x.mean((1, 2))))


class TinyInNumPy:
    """The same in float64; `erased` names a layer and the channel that is put to zero."""

    def __init__(self, variables):
        self.params = jax.tree.map(lambda x: np.asarray(x, np.float64), variables["params"])

    def layers(self, image, erased=(None, 0)):
        p, (b, h, w, _) = self.params, image.shape
        padded = np.pad(np.asarray(image, np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
        taps = [padded[:, u : u + h, v : v + w] @ p["conv0"]["kernel"][u, v] for u in range(3) for v in range(3)]
        before_first = sum(taps) + p["conv0"]["bias"]
        first = np.maximum(before_first, 0)
        if erased[0] == "first":
            first[..., erased[1]] = 0
        small = first.reshape(b, h // 2, 2, w // 2, 2, -1).mean((2, 4))
        before_maps = small @ p["conv1"]["kernel"][0, 0] + p["conv1"]["bias"]
        maps = np.maximum(before_maps, 0)
        if erased[0] == "maps":
            maps[..., erased[1]] = 0
        pool = maps.mean((1, 2))
        logits = pool @ p["head"]["kernel"] + p["head"]["bias"]
        return {
            "before_first": before_first, "first": first, "before_maps": before_maps, "maps": maps, "pool": pool,
            "logits": logits,
        }  # fmt: skip

    def logits(self, image, erased=(None, 0)):
        return self.layers(image, erased)["logits"]

    def gradients(self, image, weights, guided=False):
        """Gradients of logits @ weights with respect to "maps", "first" and "image"."""
        p, found = self.params, self.layers(image)
        cut = (lambda g: np.maximum(g, 0)) if guided else (lambda g: g)
        _, h, w, _ = found["maps"].shape
        maps = np.broadcast_to((p["head"]["kernel"] @ weights / (h * w)), found["maps"].shape)
        small = (cut(maps) * (found["before_maps"] > 0)) @ p["conv1"]["kernel"][0, 0].T
        first = small.repeat(2, 1).repeat(2, 2) / 4
        inner = np.pad(cut(first) * (found["before_first"] > 0), ((0, 0), (1, 1), (1, 1), (0, 0)))
        picture = sum(
            inner[:, 2 - u : 2 - u + 2 * h, 2 - v : 2 - v + 2 * w] @ p["conv0"]["kernel"][u, v].T
            for u in range(3)
            for v in range(3)
        )
        return {"maps": maps, "first": first, "image": picture}


def enlarged(maps, height, width):
    """Bilinear interpolation between cell centres, in NumPy."""

    def matrix(size, cells):
        at = np.clip((np.arange(size) + 0.5) * cells / size - 0.5, 0, cells - 1)
        low = np.minimum(at.astype(int), max(cells - 2, 0))
        share = at - low
        rows = np.zeros((size, cells))
        rows[np.arange(size), low] = 1 - share
        if cells > 1:
            rows[np.arange(size), low + 1] += share
        return rows

    return matrix(height, maps.shape[-2]) @ maps @ matrix(width, maps.shape[-1]).T


@pytest.fixture(scope="session")
def tiny():
    """(apply, variables, image, the network in NumPy)."""
    network = Tiny()
    rng = np.random.default_rng(0)
    image = jnp.asarray(1.5 * rng.standard_normal((2, 8, 6, 2)), jnp.float32)
    shapes = jax.eval_shape(network.init, jax.random.key(0), image)
    variables = jax.tree.map(lambda x: jnp.asarray(0.6 * rng.standard_normal(x.shape), jnp.float32), shapes)
    return Probe(network), variables, image, TinyInNumPy(variables)
