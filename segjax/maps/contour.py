"""Contour-CAM: a class activation map with the boundaries of the picture.

**What is wrong with a class activation map's boundary.** A map E [h, w] of a deep layer says how much each cell speaks
for the class, and for CAM, HiResCAM and Grad-CAM on average-pooled linear heads the cells' mean is the class score. But
a cell is a square of s x s pixels (s = H / h) and has looked at a window of the picture that is larger still: E is
the evidence seen through a blur G (the effective receptive field, a Gaussian of standard deviation sigma) and averaged
over cells (D). Bilinear enlargement takes the blurred values for the values at the pixels: the map has a halo, its
level sets are round, and its maximum is where windows overlap most. Shallower layers see less far, but their evidence
is patchy: it stands where the layer found something, on a rim or in a gully, and not on the object.

**The formula.** Contour-CAM is the map u [H, W] which, seen through the blur of each of the layers l, is that layer's
evidence, and which changes only where the picture does:

    u = argmin  mean over l of  s_l^2 |D_l G_l u - E_l|^2  +  lambda  sum over neighbours p, q of  w_pq (u_p - u_q)^2
    (mean of s_l^2 (D_l G_l)' D_l G_l + lambda L) u = mean of s_l^2 (D_l G_l)' E_l,     L the graph Laplacian of w

    w_pq = max(exp(-d_pq^2 / 2), 0.001),   d_pq^2 = |F_p - F_q|^2 / (its mean over the picture)
    lambda = mean over l of  s_l^2 + sigma_l^2

F is the picture, smoothed by one pixel. Where asked for, layers of the network at high resolution count beside it (d^2
is the mean of theirs), every channel weighted by how much it speaks for the class, so that edges that the classifier
uses count more than field borders. E_l is HiResCAM times the number of cells, N g A summed over channels.

**Why it should work.** Below the scale sqrt(s^2 + sigma^2) E has no information, so there the picture decides, and
above it E does: that fixes lambda, and sigma is measured on the network (`blur_of`), so nothing is left to tune on
outlines. A halo is explained by its source: evidence that stands outside an edge only because windows reach across it
goes back inside. Evidence on a part of an object (its rim, its core) spreads to the edges that enclose it. Deep layers
say where the object is and shallow ones where in it, and both explain the same score: there are no weights to choose.

**What holds exactly.** u is linear in E, so a map of a class difference keeps its zero. The weights of the operator sum
to one: constant evidence stays constant, and none at all stays none, whatever the picture shows, so a picture's
brightness cannot be copied without evidence. Its mean is the mean of E over layers: with one layer whose E is a CAM, so
is u, and its mean is the class score. Flips and quarter turns of picture and evidence turn u, shifts by whole cells
shift it (away from the border), and F may be brightened or stretched in contrast without effect.

**From the map to a mask.** Zero is a threshold where the evidence is that of a class difference; `level_without` sets
one for a data set from pictures without the class, and `contour_level` one for each picture. None needs an outline.

**Where it cannot work.** Where an object has no edge anywhere, u is a smooth guess; where evidence covers two things
that touch (a mound and the village on it), they stay one. Layers as fine as the picture have evidence so patchy that it
outweighs the deep ones' (seen with U-Net): a quarter of the picture's size is as fine as they should be.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from segjax.maps.cam import hires_cam_formula
from segjax.maps.layers import Apply, Target, layer_shapes, layers_and_gradients
from segjax.maps.scaling import upsample
from segjax.types import InputError

SMALLEST_WEIGHT = 1e-3
ACCURACY = 1e-4  # relative residual of the solution
MOST_ITERATIONS = 500
REFLECTIONS = 2

Image = Float[Array, "B H W C"]
Variables = Mapping[str, Any]


def contour_cam(
    apply: Apply,
    variables: Variables,
    image: Image,
    target: Target,
    layers: Sequence[str],
    guides: Sequence[str] = (),
    blurs: Sequence[Float[Array, ""] | float] | None = None,
) -> Float[Array, "B H W"]:
    """Contour-CAM of the evidence sum over channels of N g A (HiResCAM times its N cells) at some layers; see above.

    Args:
        layers: where the evidence is taken; the mean of one before average pooling plus the head's bias is the target.
        guides: further layers, at high resolution, whose edges count beside the picture's.
        blurs: of each layer the standard deviation sigma in pixels of what a cell sees; `blur_of` measures them where
            it is None.

    Raises:
        InputError: no layers, or one that does not exist or has no pixels.
    """
    if not layers:
        raise InputError("contour_cam: name at least one layer")
    _, values, gradients = layers_and_gradients(apply, variables, image, target, [*layers, *guides])
    evidence = [
        values[name].shape[1] * values[name].shape[2] * hires_cam_formula(values[name], gradients[name])
        for name in layers
    ]
    if blurs is None:
        blurs = [blur_of(apply, variables, image, target, name) for name in layers]
    relevant = [relevant_channels(values[name], gradients[name]) for name in guides]
    return complete(evidence, [image, *relevant], blurs)


def complete(
    evidence: Sequence[Float[Array, "B _ _"]],
    guides: Sequence[Float[Array, "B _ _ _"]],
    blurs: Sequence[Float[Array, ""] | float],
) -> Float[Array, "B H W"]:
    """The map at the size of the first guide that explains the evidence with the guides' edges; see the module.

    Args:
        evidence: of each layer's cells [B, h, w]; one unit for all.
        guides: pictures or layers; the first decides the size, the others are enlarged to it. All count alike.
        blurs: sigma of each layer in pixels, 0 or more.
    """
    height, width = guides[0].shape[1:3]
    views, right, smoothness = [], jnp.zeros(()), jnp.zeros(())
    for one, blur in zip(evidence, blurs, strict=True):
        sigma, area = jnp.asarray(blur, one.dtype), height * width / (one.shape[1] * one.shape[2])
        rows, columns = (_cells_of(size, n, sigma) for size, n in zip((height, width), one.shape[1:], strict=True))
        share = area / len(evidence)
        views.append((share, rows, columns))
        # made outside `vmap`, so that both have the batch in front, which the solver asks for
        right = right + share * jnp.einsum("rh,brc,cw->bhw", rows, one, columns)
        smoothness = smoothness + (area + sigma**2) / len(evidence)
    start = upsample(evidence[-1], height, width)
    return jax.vmap(partial(_solve, views, smoothness))(right, start, *edge_weights(guides))


def edge_weights(
    guides: Sequence[Float[Array, "B _ _ _"]],
) -> tuple[Float[Array, "B _ _"], Float[Array, "B _ _"]]:
    """The weights w of neighbours beside [B, H, W - 1] and below each other [B, H - 1, W]; low across edges.

    Args:
        guides: pictures or layers; the first decides the size, the others are enlarged to it. All count alike.
    """
    height, width = guides[0].shape[1:3]
    smooth = [_smoothed(_full_size(guide, height, width)) for guide in guides]
    across, down = (sum(_differences(guide, axis) for guide in smooth) / len(smooth) for axis in (2, 1))
    return jnp.maximum(jnp.exp(-0.5 * across), SMALLEST_WEIGHT), jnp.maximum(jnp.exp(-0.5 * down), SMALLEST_WEIGHT)


def relevant_channels(layer: Float[Array, "B h w K"], gradients: Float[Array, "B h w K"]) -> Float[Array, "B h w K"]:
    """A layer's channels, each scaled by the root of the share of the evidence for the class that it carries."""
    support = jax.nn.relu(jnp.sum(layer * gradients, (1, 2), keepdims=True))
    spread = jnp.mean(jnp.square(layer - layer.mean((1, 2), keepdims=True)), (1, 2), keepdims=True)
    return layer * jnp.sqrt(support / (spread + 1e-12))


def blur_of(apply: Apply, variables: Variables, image: Image, target: Target, layer: str) -> Float[Array, ""]:
    """Standard deviation in pixels, per axis, of the window of the picture that the middle cell's evidence depends on.

    The window is the gradient of the cell's evidence with respect to the picture. Its square, as a density averaged
    over the pictures, is narrower by sqrt(2) where the window is a Gaussian, and less swayed by faint far gradients;
    the result is the Gaussian's deviation.

    Raises:
        InputError: the layer does not exist or has no pixels.

    Source: the effective receptive field of Luo et al., NeurIPS (2016).
    """
    shape = layer_shapes(apply, variables, image, [layer])[layer].shape
    row, column = shape[1] // 2, shape[2] // 2
    _, _, gradients = layers_and_gradients(apply, variables, image, target, [layer])
    weights = gradients[layer][:, row, column]

    def middle(picture):
        _, layers = apply(variables, picture, features=True)
        return jnp.sum(layers[layer][:, row, column] * weights)

    window = jnp.sum(jnp.square(jax.grad(middle)(image)), -1)
    total = jnp.sum(window, (1, 2), keepdims=True)
    density = jnp.mean(jnp.where(total > 0, window / jnp.where(total > 0, total, 1), 0), 0)
    density = density / jnp.maximum(jnp.sum(density), 1e-12)
    return jnp.sqrt(_variance(density.sum(0)) + _variance(density.sum(1)))


def _variance(density):
    place = jnp.arange(density.size, dtype=density.dtype)
    return jnp.sum(density * place**2) - jnp.sum(density * place) ** 2


def _full_size(guide, height, width):
    return jnp.moveaxis(upsample(jnp.moveaxis(guide, -1, 1), height, width), 1, -1)


def _smoothed(guide):
    """Gaussian of one pixel, the border repeated: film grain has edges at every pixel."""
    taps = jnp.exp(-0.5 * jnp.arange(-3.0, 4.0) ** 2)
    taps = (taps / taps.sum()).astype(guide.dtype)
    for axis in (1, 2):
        margins = [(3, 3) if one == axis else (0, 0) for one in range(4)]
        padded = jnp.pad(guide, margins, mode="edge")
        size = guide.shape[axis]
        guide = sum(tap * jax.lax.slice_in_dim(padded, at, at + size, axis=axis) for at, tap in enumerate(taps))
    return guide


def _differences(guide, axis):
    """Squared distance of neighbours along an axis over the mean of it along both; 0 where nothing differs."""
    both = [jnp.sum(jnp.square(jnp.diff(guide, axis=one)), -1) for one in (1, 2)]
    sizes = sum(part.shape[1] * part.shape[2] for part in both)
    mean = sum(part.sum((1, 2), keepdims=True) for part in both) / sizes
    return jnp.where(mean > 0, both[axis - 1] / jnp.where(mean > 0, mean, 1), 0)


def _cells_of(size: int, cells: int, sigma):
    """Matrix [cells, size] of the blur, reflected at the border, and the average over each cell; rows sum to 1."""
    place = jnp.arange(size)
    images = [2 * turn * size + image for turn in range(-REFLECTIONS, REFLECTIONS + 1) for image in (place, -1 - place)]
    width = jnp.maximum(sigma, 1e-3)
    blur = jnp.sum(jnp.exp(-0.5 * ((place[None, :, None] - jnp.stack(images)[:, None]) / width) ** 2), 0)
    edges = jnp.arange(cells + 1) * (size / cells)
    overlap = jnp.minimum(edges[1:, None], place[None] + 1) - jnp.maximum(edges[:-1, None], place[None])
    return (jnp.maximum(overlap, 0) * (cells / size)) @ (blur / blur.sum(1, keepdims=True))


def _solve(views, smoothness, right, start, across, down):
    def operator(u):
        beside, below = across * jnp.diff(u, axis=1), down * jnp.diff(u, axis=0)
        flow = jnp.pad(beside, ((0, 0), (1, 1))), jnp.pad(below, ((1, 1), (0, 0)))
        seen = sum(share * (rows.T @ (rows @ u @ columns.T) @ columns) for share, rows, columns in views)
        return seen - smoothness * (jnp.diff(flow[0], axis=1) + jnp.diff(flow[1], axis=0))

    degree = _both_sides(across, 1) + _both_sides(down, 0)
    scale = 1 / (1 + smoothness * degree)
    solution, _ = jax.scipy.sparse.linalg.cg(
        operator, right, start, tol=ACCURACY, maxiter=MOST_ITERATIONS, M=lambda r: scale * r
    )
    return solution


def _both_sides(weights, axis):
    after = [(0, 1) if one == axis else (0, 0) for one in range(2)]
    before = [(1, 0) if one == axis else (0, 0) for one in range(2)]
    return jnp.pad(weights, after) + jnp.pad(weights, before)
