"""Prediction of a picture of any size by any network: whole or window by window, also averaged over flips and turns."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import product
from typing import Any, NamedTuple, TypedDict

import numpy as np
from jaxtyping import Float32

from segjax.ops.turns import looks, turn, turn_back
from segjax.types import InputError

Apply = Callable[[Float32[np.ndarray, "B h w C"]], Any]


class ExactTiling(TypedDict):
    """Options of `predict_tiled`."""

    halo: int
    stride: int


def predict_tiled(
    apply: Apply,
    image: Any,
    *,
    tile: int | None = None,
    halo: int | tuple[int, int] = 0,
    stride: int = 1,
    blend: bool = False,
    flips: bool = False,
    rotations: bool = False,
    batch: int = 1,
    out: Any = None,
    on_share: Callable[[float], None] = lambda share: None,
) -> Float32[np.ndarray, "H W K"]:
    """What a network says about every pixel of one picture, computed in windows of one size.

    A window is a tile with a halo around it. By default the halo is cut off again. Windows then end where the picture
    ends and begin at multiples of `stride`: with the halo and the stride of `exact_tiling` the result is that of the
    whole picture. With `blend` every window is `tile` plus twice the halo wide, as a network that was trained on
    pictures of this size needs it. A smaller picture is reflected at its border. Where windows overlap, their values
    are averaged, weighted by the distance from the window's border.

    The picture is read and the result written window by window, row after row: both may be memory-mapped files.

    Args:
        apply: float32 [B, h, w, C] -> values [B, h, w, K], such as `partial(jax.jit(network.apply), variables)`. What
            it gives is averaged, so let it give probabilities where windows or looks are to be averaged as such.
        image: float32 [H, W, C], an array or anything that gives one for `image[rows, columns]`.
        tile: side in pixels of what each window adds; memory grows with (tile + 2 halo)**2. None: the whole picture.
        halo: pixels around a tile that its window sees too; two numbers: before and after the tile.
        stride: windows that are cut begin at its multiples.
        blend: average the halos instead of cutting them off.
        flips: average over the window and its three flips.
        rotations: average over the window and its three quarter turns; with `flips` over all eight.
        batch: windows that are computed at once; the last are filled up.
        out: array [H, W, K] that the result is written to, for example a `numpy.memmap`; None: a new one.
        on_share: called after each batch with the share of the windows that is done.

    Returns:
        `out`, or a new array.

    Raises:
        InputError: a number out of range, `blend` without a tile, `out` of another shape than the result, or an
            `apply` that gives no value for every pixel.

    >>> image = np.ones((50, 70, 1), np.float32)
    >>> predict_tiled(lambda images: images.mean(-1, keepdims=True), image, tile=32, halo=4).shape
    (50, 70, 1)
    """
    layout = _Layout.of(image, tile, halo, stride, blend)
    if batch < 1:
        raise InputError(f"batch must be at least 1, not {batch}")
    look = partial(averaged, apply, flips=flips, rotations=rotations)
    places = list(product(layout.rows, layout.columns))
    parts = _looked_at(look, layout.padded(image), places, 1 if tile is None else batch, on_share)
    return _joined(parts, layout, blend, out)


def _looked_at(
    look: Apply, image: Any, places: "Sequence[_Place]", batch: int, on_share: Callable[[float], None]
) -> "Iterator[tuple[_Place, Float32[np.ndarray, 'h w K']]]":
    """What a network says about each window."""
    for start in range(0, len(places), batch):
        chunk = places[start : start + batch]
        filled = [*chunk, *[chunk[-1]] * (batch - len(chunk))]  # one size, so that one compilation serves all
        found = look(np.stack([np.asarray(image[row.window, column.window]) for row, column in filled]))
        yield from zip(chunk, found, strict=False)
        on_share((start + len(chunk)) / len(places))


def _joined(parts: "Iterable[tuple[_Place, np.ndarray]]", layout: "_Layout", blend: bool, out: Any) -> Any:
    """The picture that the values of all windows make."""
    result, weights = None, _Weights(layout) if blend else None
    for (row, column), values in parts:
        if result is None:
            result = _room(out, (*layout.shape, values.shape[-1]), blend)
        if weights is None:
            result[row.kept, column.kept] = values[row.inside, column.inside]
        else:
            weights.add(result, row.window, column.window, values)
    if weights is not None:
        weights.divide(result, layout.shape[0])
    return result


def exact_tiling(network: Any) -> ExactTiling:
    """The halo and stride with which `predict_tiled` gives a network's values of the whole picture.

    Raises:
        InputError: its normalisation takes statistics of the whole picture, or it tells no receptive field.

    >>> from segjax.models import create
    >>> network = create("msd", depth=4)  # dilations 1, 2, 3 and 4
    >>> network.receptive_field, exact_tiling(network)
    (21, {'halo': 11, 'stride': 1})
    """
    if getattr(network, "norm", "none") in ("batch", "group"):
        raise InputError(
            f"norm: tiles do not give the values of the whole picture with norm={network.norm!r}, which takes "
            'statistics of it; train the network with norm="running" or "none", or give predict_tiled blend=True'
        )
    if not (hasattr(network, "receptive_field") and hasattr(network, "stride")):
        raise InputError(
            f"network: {type(network).__name__} tells no receptive_field and stride; give predict_tiled a halo"
        )
    return {"halo": network.receptive_field // 2 + 1, "stride": network.stride}


def averaged(
    apply: Apply, images: Float32[np.ndarray, "B h w C"], flips: bool, rotations: bool
) -> Float32[np.ndarray, "B h w K"]:
    """The mean of what a network says about pictures and their flips and turns, as `predict_tiled` asks for them.

    Raises:
        InputError: `apply` gives no value for every pixel.
    """
    first, *others = looks(flips, rotations)
    total = _turned(apply, images, first)
    for number in others:
        total = total + _turned(apply, images, number)
    return total / np.float32(1 + len(others)) if others else total


def _turned(apply: Apply, images: np.ndarray, number: int) -> np.ndarray:
    seen = np.ascontiguousarray(turn(images, number))
    values = np.asarray(apply(seen))
    if values.ndim != 4 or values.shape[:3] != seen.shape[:3]:
        raise InputError(
            f"apply: gives {values.shape} for pictures {seen.shape}; give a function with values [B, h, w, K] for "
            "every pixel, as networks that segment have"
        )
    return turn_back(values, number)


class _Span(NamedTuple):
    """Along one axis: a window, and the part of the picture that it gives."""

    window: slice
    kept: slice

    @property
    def inside(self) -> slice:
        return slice(self.kept.start - self.window.start, self.kept.stop - self.window.start)


_Place = tuple[_Span, _Span]  # of a window, along rows and columns


class _Layout(NamedTuple):
    """Where the windows of a picture lie; `shape` is the picture's, `side` that of blended windows."""

    shape: tuple[int, int]
    side: int
    rows: list[_Span]
    columns: list[_Span]

    @classmethod
    def of(cls, image: Any, tile: int | None, halo: int | tuple[int, int], stride: int, blend: bool) -> "_Layout":
        before, after = halo if isinstance(halo, tuple) else (halo, halo)
        if len(image.shape) != 3 or 0 in image.shape:
            raise InputError(f"image must have the shape [H, W, C], not {tuple(image.shape)}; give one picture")
        if min(before, after) < 0:
            raise InputError(f"halo must be at least 0 pixels, not {halo}")
        if stride < 1:
            raise InputError(f"stride must be at least 1 pixel, not {stride}")
        if blend and stride > 1:
            raise InputError(f"stride: blended windows begin anywhere; leave out stride={stride}")
        shape = (int(image.shape[0]), int(image.shape[1]))
        if tile is None:
            if blend:
                raise InputError("blend: there is nothing to blend without tiles; give a tile")
            return cls(shape, 0, *([_Span(slice(0, length), slice(0, length))] for length in shape))
        if tile < 1:
            raise InputError(f"tile must be at least 1 pixel, not {tile}")
        side = tile + before + after
        if blend:
            return cls(shape, side, *(list(_overlapping(max(length, side), side, tile)) for length in shape))
        return cls(shape, side, *(list(_cut(length, tile, before, after, stride)) for length in shape))

    def padded(self, image: Any) -> Any:
        """The picture, reflected at its border where windows are larger."""
        spans = zip((self.rows, self.columns), self.shape, strict=True)
        missing = [(0, max(0, along[-1].window.stop - length)) for along, length in spans]
        return np.pad(image, [*missing, (0, 0)], mode="reflect") if any(after for _, after in missing) else image


class _Weights:
    """The weights of blended windows, of as many rows as a window has: those above are divided by and forgotten."""

    def __init__(self, layout: _Layout) -> None:
        side = layout.side
        ramp = np.minimum(np.arange(1, side + 1), np.arange(side, 0, -1)).astype(np.float32)
        self._of_window = np.minimum(ramp[:, None], ramp[None])[..., None] / ramp.max()
        self._top, self._sums = 0, np.zeros((side, layout.columns[-1].window.stop, 1), np.float32)

    def add(self, result: Any, rows: slice, columns: slice, values: np.ndarray) -> None:
        """Add the weighted values of a window; windows come from top to bottom."""
        if rows.start > self._top:
            self.divide(result, rows.start)
        height, width = result.shape[0] - rows.start, result.shape[1] - columns.start
        result[rows, columns] += (self._of_window * values)[:height, :width]
        self._sums[:, columns] += self._of_window

    def divide(self, result: Any, end: int) -> None:
        """Make the rows above `end` means."""
        count = end - self._top
        result[self._top : end] /= self._sums[:count, : result.shape[1]]
        self._sums[:-count] = self._sums[count:]
        self._sums[-count:] = 0
        self._top = end


def _room(out: Any, shape: tuple[int, ...], blend: bool) -> Any:
    """The array that the result is written to; zeros where values are added up."""
    if out is None:
        return np.zeros(shape, np.float32) if blend else np.empty(shape, np.float32)
    if tuple(out.shape) != shape:
        raise InputError(f"out: has the shape {tuple(out.shape)}, but the result has {shape}; give one of this shape")
    if blend:
        out[...] = 0
    return out


def _overlapping(length: int, side: int, step: int) -> Iterator[_Span]:
    """The fewest windows that cover a length and lie at most a step apart; the last is flush with the end."""
    count = 1 + -(-(length - side) // step)
    for start in np.round(np.linspace(0, length - side, count)).astype(int).tolist():
        yield _Span(slice(start, start + side), slice(start, start + side))


def _cut(length: int, tile: int, before: int, after: int, stride: int) -> Iterator[_Span]:
    """Windows of one size along an axis, each with its tile; starts are multiples of `stride`.

    The size leaves the remainder that the whole length leaves. So the last window is flush with the end, and flipped
    windows begin at multiples of the stride in the flipped picture.
    """
    size = tile + before + after + 2 * stride
    size += (length - size) % stride
    if size >= length:
        yield _Span(slice(0, length), slice(0, length))
        return
    for first in range(0, length, tile):
        start = min(max(0, (first - before) // stride * stride), length - size)
        yield _Span(slice(start, start + size), slice(first, min(first + tile, length)))
