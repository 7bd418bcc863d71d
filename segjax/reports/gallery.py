"""Pictures to look at: each with layers that a slider moves between, such as picture, ground truth and prediction."""

import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Integer, UInt8
from matplotlib import colormaps
from PIL import Image
from scipy import ndimage
from skimage.measure import block_reduce
from skimage.segmentation import find_boundaries

from segjax.evaluation.overlap import counts, dice
from segjax.ops.components import components

Mask = Bool[np.ndarray, "H W"] | Integer[np.ndarray, "H W"]
Layer = UInt8[np.ndarray, "h w 4"]
Colour = tuple[int, int, int]
Legend = Sequence[tuple[str, str]]

# Told apart with every common colour vision (Okabe and Ito), the green brightened for dark pictures.
_TRUE_OUTLINE: Colour = (0, 200, 140)
_LABEL: Colour = (86, 180, 233)
_MISSING: Colour = (230, 60, 20)
_HIT: Colour = (86, 180, 233)
_FALSE_ALARM: Colour = (230, 90, 0)
_OVERLOOKED: Colour = (240, 228, 66)
_UNJUDGED: Colour = (170, 170, 170)
# of class 1, 2, ...; the last is that of all further ones
_CLASSES: tuple[Colour, ...] = (
    _TRUE_OUTLINE,
    (230, 159, 0),
    _HIT,
    (204, 121, 167),
    _OVERLOOKED,
    (213, 94, 0),
    (255, 255, 255),
)
_OPACITY = 0.45
_NARROWEST, _WIDEST, _HIGHEST = 180, 480, 2000  # pixels of a layer
_LOSSLESS = 128 * 128  # pixels up to which a picture is kept as PNG
_HEAT = "inferno"
DICE_SHOWN = (0.95, 0.85, 0.7, 0.5)
_NEAR = 0.02  # how far the Dice of a picture that is shown for one of these may be


def _css(colour: Colour) -> str:
    return f"rgb{colour}"


LABEL_LEGEND: Legend = (
    (_css(_TRUE_OUTLINE), "outline of a true object"),
    (_css(_LABEL), "marked by the label"),
    (_css(_MISSING), "true object that the label omits"),
)
PREDICTION_LEGEND: Legend = (
    (_css(_TRUE_OUTLINE), "outline of a true object"),
    (_css(_HIT), "found"),
    (_css(_FALSE_ALARM), "false alarm"),
    (_css(_OVERLOOKED), "missed"),
)
CHANGE_LEGEND: Legend = (
    (_css(_HIT), "marked before and after"),
    (_css(_FALSE_ALARM), "added"),
    (_css(_OVERLOOKED), "removed"),
)
MAP_LEGEND: Legend = (
    (
        "linear-gradient(90deg, "
        + ", ".join(_css(tuple(int(255 * part) for part in colormaps[_HEAT](place)[:3])) for place in (0.1, 0.5, 0.9))  # type: ignore[arg-type]
        + ")",
        "map, from 0 to its maximum in each picture",
    ),
    (_css(_TRUE_OUTLINE), "outline of a true object"),
)


class Look(NamedTuple):
    """One picture with layers over it; make one with `look`.

    Attributes:
        caption: below it.
        picture: PNG or JPEG.
        layers: PNG with transparency, one per step of its gallery after the picture itself.
        shape: height and width in pixels of the picture.
    """

    caption: str
    picture: bytes
    layers: Sequence[bytes]
    shape: tuple[int, int]


class Gallery(NamedTuple):
    """Pictures that are looked at together.

    Attributes:
        title, caption: of the gallery.
        steps: the slider's, the first of which is the picture: ("picture", "ground truth", "prediction").
        legend: CSS background and meaning.
        rows: pictures by heading of the row; a heading may be empty.
    """

    title: str
    caption: str
    steps: Sequence[str]
    legend: Legend
    rows: Mapping[str, Sequence[Look]]


def look(caption: str, image: Float[np.ndarray, "H W C"], *layers: Layer, widest: int = _WIDEST) -> Look:
    """A picture, its brightness stretched, with layers that functions below paint.

    Args:
        widest: pixels up to which the picture is not reduced.

    >>> truth = np.array([[0, 1, 1], [0, 0, 0]])
    >>> found = look("a cell", np.zeros((2, 3, 1)), truth_layer(truth))
    >>> found.shape, len(found.layers), found.picture[1:4]
    ((2, 3), 1, b'PNG')
    """
    return Look(caption, _picture(image, widest), [_png(layer) for layer in layers], image.shape[:2])


def label_layer(clean: Mask, label: Mask) -> Layer:
    """The label filled in, and true objects outlined: green where the label has any of them, red where it has none.

    Args:
        clean: mask of the true objects, or their ids (then touching objects are told apart).
    """
    objects = _ids(clean)
    kept = np.zeros(int(objects.max()) + 1, dtype=bool)
    kept[objects[label > 0]] = True
    shown = _resized(objects)
    layer = _filled(_resized(label > 0), _LABEL)
    outline = _outline(shown)
    _paint(layer, outline & kept[shown], _TRUE_OUTLINE)
    _paint(layer, outline & ~kept[shown], _MISSING)
    return layer


def truth_layer(truth: Mask) -> Layer:
    """Outlines of true objects."""
    layer = _empty(_resized(truth > 0))
    _paint(layer, _outline(_resized(_ids(truth))), _TRUE_OUTLINE)
    return layer


def prediction_layer(truth: Mask, prediction: Mask) -> Layer:
    """Pixels that were found, false alarms, and pixels that were missed."""
    true, predicted = _resized(truth > 0), _resized(prediction > 0)
    layer = _filled(true & predicted, _HIT)
    _paint(layer, predicted & ~true, _FALSE_ALARM, _OPACITY)
    _paint(layer, true & ~predicted, _OVERLOOKED, _OPACITY)
    return layer


def change_layer(before: Mask, after: Mask) -> Layer:
    """Pixels that an annotation kept, gained and lost; see `CHANGE_LEGEND`."""
    return prediction_layer(before, after)


def map_layer(found: Float[np.ndarray, "H W"], truth: Mask, faded: bool = False) -> Layer:
    """A map from 0 to its own maximum in warm colours, what is negative left out, and outlines of true objects.

    Args:
        faded: paler, for a map that means nothing.
    """
    shown = _resized(found)
    highest = float(shown.max())
    heat = np.clip(shown / highest, 0, 1) if highest > 0 else np.zeros_like(shown)
    layer = (255 * colormaps[_HEAT](heat)).astype(np.uint8)
    layer[..., 3] = (255 * (0.25 if faded else 0.75) * np.sqrt(heat)).astype(np.uint8)
    _paint(layer, _outline(_resized(_ids(truth))), _TRUE_OUTLINE)
    return layer


def outline_layer(
    labels: Integer[np.ndarray, "H W"],
    classes: Integer[np.ndarray, " N"],
    ignored: Bool[np.ndarray, "H W"] | None = None,
) -> Layer:
    """Outlines of objects in a colour per class, and grey where nobody judged.

    Args:
        classes: class of object 1..N, counted from 1.
        ignored: pixels that nobody judged.
    """
    shown = _resized(labels)
    layer = _empty(shown > 0) if ignored is None else _filled(_resized(ignored), _UNJUDGED)
    outline = find_boundaries(shown, mode="inner")
    for index in np.unique(classes):
        _paint(layer, outline & np.isin(shown, np.flatnonzero(classes == index) + 1), _class_colour(int(index)))
    return layer


def outline_legend(classes: Mapping[int, str], has_ignored: bool) -> Legend:
    """CSS colour and meaning of what `outline_layer` paints: classes by index, classes of one colour together."""
    names: dict[Colour, list[str]] = {}
    for index, name in classes.items():
        names.setdefault(_class_colour(index), []).append(name)
    legend = [(_css(colour), ", ".join(those)) for colour, those in names.items()]
    return [*legend, *([(_css(_UNJUDGED), "not judged")] if has_ignored else [])]


def prediction_look(caption: str, image: Float[np.ndarray, "H W C"], truth: Mask, prediction: Mask) -> Look:
    """A picture for a gallery of picture, ground truth and prediction; its Dice is added to the caption."""
    value = float(dice(counts(prediction > 0, truth > 0)))
    shown = "no object" if np.isnan(value) else f"Dice {value:.2f}"
    return look(
        f"{caption}: {shown}" if caption else shown, image, truth_layer(truth), prediction_layer(truth, prediction)
    )


def dice_scale(
    predictions: Sequence[tuple[Float[np.ndarray, "H W C"], Mask, Mask]], wanted: Sequence[float] = DICE_SHOWN
) -> Gallery | None:
    """How much is a Dice of 0.85? Predictions near the values wanted; None where there are fewer than two such.

    Args:
        predictions: picture, ground truth and prediction. Of those near a value, the one with the most true pixels is
            shown.
    """
    left = [(float(dice(counts(found > 0, truth > 0))), image, truth, found) for image, truth, found in predictions]
    shown = []
    for value in wanted:
        near = [one for one in left if abs(one[0] - value) <= _NEAR]
        if near:
            fullest = max(near, key=lambda one: np.count_nonzero(one[2]))
            left = [one for one in left if one is not fullest]
            shown.append(prediction_look("", *fullest[1:]))
    if len(shown) < 2:
        return None
    caption = "Predictions for test pictures of this run, from a good one to a poor one."
    steps = ("picture", "ground truth", "prediction")
    return Gallery("How good is that Dice?", caption, steps, PREDICTION_LEGEND, {"": shown})


def _ids(labels: Mask) -> Integer[np.ndarray, "H W"]:
    return components(labels) if labels.dtype == bool else labels


def _class_colour(index: int) -> Colour:
    return _CLASSES[min(index, len(_CLASSES)) - 1]


def _factors(height: int, width: int, widest: int = _WIDEST) -> tuple[int, int]:
    """How often a pixel is repeated, and how many are put together, to show a picture of that size."""
    repeat = max(1, min(-(-_NARROWEST // width), _HIGHEST // height))
    return repeat, max(1, -(-width // widest), -(-height // _HIGHEST))


def _resized(mask: np.ndarray) -> np.ndarray:
    repeat, reduce = _factors(*mask.shape)
    rows, columns = (slice(min(reduce // 2, size - 1), None, reduce) for size in mask.shape)
    return mask[rows, columns].repeat(repeat, axis=0).repeat(repeat, axis=1)


def _outline(shown: Integer[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Two pixels wide, inside the objects."""
    return ndimage.binary_dilation(find_boundaries(shown, mode="inner")) & (shown > 0)


def _empty(like: Bool[np.ndarray, "h w"]) -> Layer:
    return np.zeros((*like.shape, 4), np.uint8)


def _filled(where: Bool[np.ndarray, "h w"], colour: Colour) -> Layer:
    layer = _empty(where)
    _paint(layer, where, colour, _OPACITY)
    return layer


def _paint(layer: Layer, where: Bool[np.ndarray, "h w"], colour: Colour, opacity: float = 1.0) -> None:
    layer[where] = (*colour, round(255 * opacity))


def _picture(image: Float[np.ndarray, "H W C"], widest: int) -> bytes:
    reduce = _factors(image.shape[0], image.shape[1], widest)[1]
    if image.shape[2] not in (1, 3):
        image = image.mean(axis=2, keepdims=True)
    dark, bright = np.percentile(image, (0.5, 99.8))
    stretched = np.clip((image - dark) / max(bright - dark, 1e-6), 0, 1)
    small = block_reduce(stretched, (min(reduce, image.shape[0]), min(reduce, image.shape[1]), 1), np.mean)
    # A little dimmed, so that colours show on bright cells.
    shown = (small * 210.0).round().astype(np.uint8)
    picture, file = Image.fromarray(shown[..., 0] if shown.shape[2] == 1 else shown), io.BytesIO()
    if shown.shape[0] * shown.shape[1] <= _LOSSLESS:
        picture.save(file, "PNG", optimize=True)
    else:
        picture.save(file, "JPEG", quality=85)
    return file.getvalue()


def _png(layer: Layer) -> bytes:
    """With a palette where few colours are painted, which takes a fraction of the space."""
    file = io.BytesIO()
    colours, places = np.unique(layer.reshape(-1, 4), axis=0, return_inverse=True)
    if len(colours) > 256:
        Image.fromarray(layer, "RGBA").save(file, "PNG", optimize=True)
        return file.getvalue()
    picture = Image.fromarray(places.reshape(layer.shape[:2]).astype(np.uint8), "P")
    picture.putpalette(colours[:, :3].tobytes())
    picture.save(file, "PNG", optimize=True, transparency=colours[:, 3].tobytes())
    return file.getvalue()
