"""Errors of the outline: boundary jitter, Markov noise, polygons with few vertices, a shifted annotation.

Pure functions of a key that work under `jit` and under `vmap` over keys and strengths. Pixels are only moved or
reassigned, never interpolated: no new id appears. Strength 0 returns the labels as they are.
"""

import functools
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from segjax.annotations.checks import check_ids, check_length, check_rate, check_whole
from segjax.annotations.errors import MAX_OBJECTS, Labels, Rate, Whole
from segjax.annotations.ids import clip_ids, look_up
from segjax.annotations.objects import centroids, offsets
from segjax.arguments import checked
from segjax.types import InputError

MAX_VERTICES = 64
GROWTH, STEP_RATE, FLIPS = 0.8, 0.05, 0.2  # of Markov noise, as published

# Every point of a ray has a pixel centre within half a diagonal, .707 pixels.
_RAY_HALF_WIDTH = 0.75


@checked
def jitter(key: PRNGKeyArray, labels: Labels, amplitude: Rate, *, smoothness: float = 8.0) -> Int[Array, "*slices H W"]:
    """Displace the outlines by a smooth random field, the same in every slice.

    out[y, x] = labels[y + a v(y, x), x + a u(y, x)], rounded to whole pixels, where u and v are independent Gaussian
    fields of variance 1 and correlation exp(-d^2 / (4 smoothness^2)) at distance d: an outline moves along its normal
    by a Gaussian distance of standard deviation a.

    Args:
        amplitude: a, in pixels, 0 or more.
        smoothness: in pixels; neighbouring outline points closer than this move together.

    Raises:
        InputError: amplitude is negative or not finite, or smoothness not above 0.

    >>> labels = np.pad(np.ones((8, 8), np.int32), 4)
    >>> bool((jitter(jax.random.key(0), labels, 2.0) != labels).any())
    True
    """
    check_length("amplitude", amplitude)
    check_length("smoothness", smoothness, above=True)
    return draw_jitter(key, jnp.asarray(labels, jnp.int32), jnp.float32(amplitude), smoothness=smoothness)


@checked
def polygon(
    key: PRNGKeyArray, labels: Labels, vertices: Whole, *, max_objects: int = MAX_OBJECTS
) -> Int[Array, "*slices H W"]:
    """Replace the outline of every object in every slice by a polygon.

    The polygon has its vertices where `vertices` equally spaced rays from the centroid, the first at a random angle
    drawn per object, leave the object for the last time (half a pixel beyond the outermost pixel centre). It takes
    the object's own pixels and the background that is nearer to this object than to any other (city-block distance),
    never another object's pixels.

    Args:
        vertices: 0 (outlines stay) or 3 to 64.
        max_objects: largest id. Under `jit` objects with larger ids keep their outline.

    Raises:
        InputError: vertices out of range, or (outside `jit`) a label id below 0 or above `max_objects`.

    >>> labels = np.pad(np.ones((8, 8), np.int32), 4)
    >>> bool((polygon(jax.random.key(0), labels, 3) > 0).sum() < labels.sum())
    True
    """
    check_whole("vertices", vertices, 3, MAX_VERTICES)
    check_ids("labels", labels, max_objects)
    return draw_polygon(key, jnp.asarray(labels, jnp.int32), jnp.int32(vertices), max_objects=max_objects)


@checked
def shift(key: PRNGKeyArray, labels: Labels, length: Rate) -> Int[Array, "*slices H W"]:
    """Move the whole annotation by `length` pixels in a random direction, rounded to whole pixels; background enters.

    Raises:
        InputError: length is negative or not finite.

    >>> labels = np.pad(np.ones((2, 2), np.int32), 4)
    >>> moved = shift(jax.random.key(0), labels, 3.0)
    >>> int(moved.sum()), bool((moved != labels).any())
    (4, True)
    """
    check_length("length", length)
    return draw_shift(key, jnp.asarray(labels, jnp.int32), jnp.float32(length))


@checked
def markov(
    key: PRNGKeyArray,
    labels: Labels,
    steps: Whole,
    *,
    growth: float = GROWTH,
    rate: float = STEP_RATE,
    flips: float = FLIPS,
    max_objects: int = MAX_OBJECTS,
) -> Int[Array, "*slices H W"]:
    """Move the outlines by a Markov process, so that neighbouring outline points err alike; the same in every slice.

    Each step grows the objects with probability `growth`, and shrinks them otherwise. Growing gives every background
    pixel that has an object to its left, right, above or below to that object with probability `rate` (to the highest
    id of several); shrinking gives every object pixel that has background there to the background. After the last
    step, every pixel changes between object and background with probability `flips`, and a Gaussian blur (5x5, standard
    deviation 2 pixels) is cut at one half; new object pixels belong to the nearest object, and a slice without objects
    stays empty. The line between touching objects stays. The pixels that are marked do not depend on whose they are.

    Source: Yao et al., Learning to segment from noisy annotations: a spatial correction approach, ICLR 2023, who define
    it for masks; the defaults are those of their code, which takes 250 steps for lungs and hearts in radiographs.

    Args:
        steps: 0 (outlines stay) or more.
        growth: in [0, 1]; 0.8 as published draws too much, 0.2 too little.
        rate: in [0, 1]; an outline moves by about this many pixels per step.
        flips: in [0, 0.5).
        max_objects: largest id.

    Raises:
        InputError: steps is not a whole number of at least 0, a probability is out of range, or (outside `jit`) a label
            id is below 0 or above `max_objects`.

    >>> labels = np.pad(np.ones((8, 8), np.int32), 8)
    >>> drawn = markov(jax.random.key(0), labels, 60)
    >>> bool((drawn > 0).sum() > labels.sum())
    True
    """
    check_whole("steps", steps)
    check_ids("labels", labels, max_objects)
    for name, value in (("growth", growth), ("rate", rate), ("flips", flips)):
        check_rate(name, value)
    if flips >= 0.5:
        raise InputError(f"flips: {flips!r} turns objects into background; give less than 0.5")
    odds = tuple(map(jnp.float32, (growth, rate, flips)))
    return draw_markov(key, jnp.asarray(labels, jnp.int32), jnp.int32(steps), odds, max_objects=max_objects)


@partial(jax.jit, static_argnames="smoothness")
def draw_jitter(key, labels, amplitude, *, smoothness=8.0):
    height, width = labels.shape[-2:]
    field = amplitude * _smooth_field(key, height, width, smoothness)
    rows = jnp.arange(height)[:, None] + jnp.round(field[0]).astype(jnp.int32)
    columns = jnp.arange(width)[None, :] + jnp.round(field[1]).astype(jnp.int32)
    return labels[..., jnp.clip(rows, 0, height - 1), jnp.clip(columns, 0, width - 1)]


@partial(jax.jit, static_argnames="max_objects")
def draw_markov(key, labels, steps, odds=(GROWTH, STEP_RATE, FLIPS), *, max_objects):
    growth, rate, flips = odds
    for_steps, for_flips = jax.random.split(key)
    pixels = labels.shape[-2:]

    def step(count, drawn):
        for_kind, for_pixels = jax.random.split(jax.random.fold_in(for_steps, count))
        moves = jnp.broadcast_to(jax.random.bernoulli(for_pixels, rate, pixels), labels.shape)
        highest = functools.reduce(jnp.maximum, _neighbours(drawn))
        grown = jnp.where((drawn == 0) & moves, highest, drawn)
        at_edge = functools.reduce(jnp.logical_or, _neighbours(drawn == 0))
        shrunk = jnp.where(at_edge & moves, 0, drawn)
        return jnp.where(jax.random.bernoulli(for_kind, growth), grown, shrunk)

    drawn = jax.lax.fori_loop(0, steps, step, labels)
    flipped = jnp.broadcast_to(jax.random.bernoulli(for_flips, flips, pixels), labels.shape)
    is_marked = _blurred((drawn > 0) ^ flipped) > 0.5
    slices = clip_ids(drawn, max_objects).reshape(-1, *pixels)
    nearest = jax.vmap(lambda one: _nearest_id(one, max_objects + 1))(slices).reshape(labels.shape)
    return jnp.where(steps == 0, labels, jnp.where(is_marked, jnp.where(drawn > 0, drawn, nearest), 0))


def _neighbours(values):
    """The values to the left, right, above and below of every pixel; 0 beyond the border."""
    ends = [(0, 0)] * (values.ndim - 2)
    padded = jnp.pad(values, [*ends, (1, 1), (1, 1)])
    inner = slice(1, -1)
    return [
        padded[..., inner, :-2],
        padded[..., inner, 2:],
        padded[..., :-2, inner],
        padded[..., 2:, inner],
    ]


def _blurred(mask) -> Float[Array, "*slices H W"]:
    """Share of marked pixels under a Gaussian of 5x5 pixels; mirrored at the border without repeating it."""
    weights = np.exp(-(np.arange(-2, 3) ** 2) / (2 * 2.0**2))
    weights = (weights / weights.sum()).astype(np.float32)
    values = mask.astype(jnp.float32)
    for axis in (-2, -1):
        size = values.shape[axis]
        places = np.abs(np.arange(-2, size + 2))
        places = np.where(places >= size, np.maximum(2 * (size - 1) - places, 0), places)
        padded = jnp.take(values, np.minimum(places, size - 1), axis=axis)
        values = sum(
            weight * jax.lax.slice_in_dim(padded, start, start + size, axis=values.ndim + axis)
            for start, weight in enumerate(weights)
        )
    return values


@jax.jit
def draw_shift(key, labels, length):
    height, width = labels.shape[-2:]
    angle = jax.random.uniform(key, maxval=2 * jnp.pi)
    rows = jnp.arange(height) - jnp.round(length * jnp.sin(angle)).astype(jnp.int32)
    columns = jnp.arange(width) - jnp.round(length * jnp.cos(angle)).astype(jnp.int32)
    moved = jnp.take(jnp.take(labels, rows, axis=-2, mode="clip"), columns, axis=-1, mode="clip")
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))[None, :]
    return jnp.where(jnp.broadcast_to(inside, labels.shape), moved, jnp.zeros_like(moved))


@partial(jax.jit, static_argnames="max_objects")
def draw_polygon(key, labels, vertices, *, max_objects):
    start = jax.random.uniform(key, (max_objects + 2,), maxval=2 * jnp.pi)
    slices = labels.reshape(-1, *labels.shape[-2:])
    corners = jnp.clip(vertices, 3, MAX_VERTICES)
    drawn = jax.lax.map(lambda one: _polygons(one, corners, start), slices).reshape(labels.shape)
    return jnp.where((vertices == 0) | (labels > max_objects), labels, drawn)


def _smooth_field(key, height: int, width: int, smoothness: float) -> Float[Array, "2 H W"]:
    """Two Gaussian fields of variance 1: white noise on a grid of spacing `smoothness`, spread by Gaussian weights."""
    along_rows, along_columns = (_spreading_weights(length, smoothness) for length in (height, width))
    shape = 2, along_rows.shape[1], along_columns.shape[1]
    # Drawn flat: with three axes the same numbers take a second longer to compile.
    noise = jax.random.normal(key, (math.prod(shape),)).reshape(shape)
    return jnp.einsum("yi,kij,xj->kyx", along_rows, noise, along_columns)


def _spreading_weights(length: int, smoothness: float) -> Float[np.ndarray, "length nodes"]:
    nodes = smoothness * np.arange(-4, np.ceil(length / smoothness) + 5)
    weights = np.exp(-(((np.arange(length)[:, None] - nodes[None, :]) / smoothness) ** 2) / 2)
    return (weights / np.linalg.norm(weights, axis=1, keepdims=True)).astype(np.float32)


def _polygons(labels: Int[Array, "H W"], corners: Int[Array, ""], start: Float[Array, " ids"]) -> Int[Array, "H W"]:
    """One polygon per object of a slice; ids beyond the table share its last entry."""
    last = start.shape[0] - 1
    ids = clip_ids(labels, last - 1)
    centres = centroids(ids, last + 1)
    step = 2 * jnp.pi / corners
    radii = _outline_radii(ids, centres, start, corners, step)

    owner = jnp.where(ids > 0, ids, _nearest_id(ids, last))
    down, right = offsets(owner, centres)
    angle = jnp.mod(jnp.arctan2(down, right) - look_up(start, owner), 2 * jnp.pi)
    sector = jnp.minimum(jnp.floor(angle / step).astype(jnp.int32), corners - 1)
    before, after = radii[sector, owner], radii[(sector + 1) % corners, owner]
    # The edge from (before, angle 0) to (after, angle step) in polar coordinates around the centroid.
    within = angle - sector * step
    edge = before * after * jnp.sin(step)
    inside = jnp.hypot(down, right) * (before * jnp.sin(within) + after * jnp.sin(step - within)) <= edge
    return jnp.where(inside & (owner > 0) & (owner < last), owner, 0).astype(labels.dtype)


def _outline_radii(ids, centres, start, corners, step) -> Float[Array, "vertices ids"]:
    """Distance from the centroid to the outline along every ray: that of the furthest pixel on the ray."""
    down, right = offsets(ids, centres)

    def measure(ray, radii):
        angles = start + ray * step
        across_rows, across_columns = look_up(jnp.sin(angles), ids), look_up(jnp.cos(angles), ids)
        along = down * across_rows + right * across_columns
        across = jnp.abs(down * across_columns - right * across_rows)
        met = jnp.where(across <= _RAY_HALF_WIDTH, along, 0)
        furthest = jnp.zeros(start.shape[0]).at[ids.ravel()].max(met.ravel())
        return radii.at[ray].set(furthest + 0.5)

    return jax.lax.fori_loop(0, corners, measure, jnp.zeros((MAX_VERTICES, start.shape[0])))


def _nearest_id(ids: Int[Array, "H W"], largest: int) -> Int[Array, "H W"]:
    """Id of the nearest object in city-block distance, the lowest at equal distance; 0 in an empty slice."""
    base = largest + 1
    # Distance and id share one number, distance first: its minimum is the nearest object.
    code = jnp.where(ids > 0, ids, 2 * sum(ids.shape) * base)
    for axis in (0, 1):
        position = base * jax.lax.broadcasted_iota(jnp.int32, ids.shape, axis)
        from_before = jax.lax.cummin(code - position, axis=axis) + position
        from_behind = jax.lax.cummin(code + position, axis=axis, reverse=True) - position
        code = jnp.minimum(from_before, from_behind)
    return code % base
