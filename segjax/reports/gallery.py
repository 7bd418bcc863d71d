"""Picture galleries: what was wrong with the labels, and what the networks made of it, as PNG."""

import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Integer, UInt8
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage
from skimage.measure import block_reduce
from skimage.segmentation import find_boundaries

from segjax.evaluation.overlap import counts, dice
from segjax.ops.components import components
from segjax.reports import words

Mask = Bool[np.ndarray, "H W"] | Integer[np.ndarray, "H W"]
Colour = tuple[int, int, int]
Legend = list[tuple[str, str]]

# Told apart with every common colour vision (Okabe and Ito), the green brightened for dark pictures.
_TRUE_OUTLINE: Colour = (0, 200, 140)
_LABEL: Colour = (86, 180, 233)
_MISSING: Colour = (230, 60, 20)
_HIT: Colour = (86, 180, 233)
_FALSE_ALARM: Colour = (230, 90, 0)
_OVERLOOKED: Colour = (240, 228, 66)
_INK: Colour = (51, 51, 51)
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

_LABEL_LEGEND = (
    (_TRUE_OUTLINE, "outline of a true cell"),
    (_LABEL, "what the label given to the network marks"),
    (_MISSING, "true cell that the label leaves out"),
)
_PREDICTION_LEGEND = (
    (_HIT, "found: predicted and true"),
    (_FALSE_ALARM, "predicted, but no cell there"),
    (_OVERLOOKED, "cell that was overlooked"),
)
_CHANGE_LEGEND = (
    (_HIT, "marked before and after"),
    (_FALSE_ALARM, "added: marked after only"),
    (_OVERLOOKED, "removed: marked before only"),
)
_NARROWEST, _WIDEST = 180, 480
_GAP, _LINE, _SWATCH = 10, 20, 12


class LabelTile(NamedTuple):
    """One picture with its clean objects (mask or ids) and the label an error made of them."""

    error: str
    level: float
    image: Float[np.ndarray, "H W C"]
    clean: Mask
    perturbed: Mask


class PredictionTile(NamedTuple):
    """One test picture with its clean mask and the prediction of a network trained at one strength of one error."""

    network: str
    error: str
    level: float
    image: Float[np.ndarray, "H W C"]
    truth: Mask
    prediction: Mask


class UpgradeTile(NamedTuple):
    """One picture with its clean labels (mask or ids), noisy ones, and what an upgrade network made of them."""

    name: str
    image: Float[np.ndarray, "H W C"]
    clean: Mask
    before: Mask
    after: Mask


class ShotsTile(NamedTuple):
    """Of a type: one annotated picture, a test picture with its truth, and predictions by name."""

    name: str
    shot: Float[np.ndarray, "H W C"]
    annotation: Mask
    image: Float[np.ndarray, "H W C"]
    truth: Mask
    predictions: Mapping[str, Mask]


def overlay(image: Float[np.ndarray, "H W C"], clean: Mask, other: Mask) -> UInt8[np.ndarray, "h w 3"]:
    """The picture with the perturbed label filled in, true cells outlined in green, those without any label in red.

    Pictures narrower than 180 pixels are enlarged and wide ones reduced by a whole factor, masks by nearest neighbour.

    Args:
        image: [H, W, C] in [0, 1]; its brightness is stretched for display.
        clean: mask of the true cells, or their ids (then touching cells are told apart).
        other: the label to look at.
    """
    objects = components(clean) if clean.dtype == bool else clean
    kept = np.zeros(int(objects.max()) + 1, dtype=bool)
    kept[objects[other > 0]] = True
    canvas, shown, filled = _canvas(image), _resized(objects), _resized(other > 0)
    _blend(canvas, filled, _LABEL)
    outline = find_boundaries(shown, mode="inner")
    outline = ndimage.binary_dilation(outline) & (shown > 0)
    canvas[outline & kept[shown]] = _TRUE_OUTLINE
    canvas[outline & ~kept[shown]] = _MISSING
    return canvas.round().astype(np.uint8)


def prediction_overlay(image: Float[np.ndarray, "H W C"], truth: Mask, prediction: Mask) -> UInt8[np.ndarray, "h w 3"]:
    """The picture with found, wrongly predicted and overlooked pixels coloured; scaled as in `overlay`."""
    canvas, true, predicted = _canvas(image), _resized(truth > 0), _resized(prediction > 0)
    _blend(canvas, true & predicted, _HIT)
    _blend(canvas, predicted & ~true, _FALSE_ALARM)
    _blend(canvas, true & ~predicted, _OVERLOOKED)
    return canvas.round().astype(np.uint8)


def change_overlay(image: Float[np.ndarray, "H W C"], before: Mask, after: Mask) -> tuple[bytes, Legend]:
    """PNG of the picture with what an annotation kept, gained and lost coloured, and the meaning of each colour in CSS.

    Scaled as in `overlay`.
    """
    png = io.BytesIO()
    Image.fromarray(prediction_overlay(image, before, after)).save(png, "PNG", optimize=True)
    return png.getvalue(), [(f"rgb{colour}", text) for colour, text in _CHANGE_LEGEND]


def outline_overlay(
    image: Float[np.ndarray, "H W C"],
    labels: Integer[np.ndarray, "H W"],
    classes: Integer[np.ndarray, " N"],
    ignored: Bool[np.ndarray, "H W"] | None = None,
) -> bytes:
    """PNG of the picture with the outlines of its objects, a colour per class, and grey where nobody judged.

    Scaled as in `overlay`.

    Args:
        classes: class of object 1..N, counted from 1.
        ignored: pixels that nobody judged.
    """
    canvas, shown = _canvas(image), _resized(labels)
    if ignored is not None:
        _blend(canvas, _resized(ignored), _UNJUDGED)
    outline = find_boundaries(shown, mode="inner")
    colours = np.asarray([(0, 0, 0), *(_class_colour(int(index)) for index in classes)])
    canvas[outline] = colours[shown[outline]]
    png = io.BytesIO()
    Image.fromarray(canvas.round().astype(np.uint8)).save(png, "PNG", optimize=True)
    return png.getvalue()


def outline_legend(classes: Mapping[int, str], has_ignored: bool) -> Legend:
    """CSS colour and meaning of what `outline_overlay` draws: classes by index, classes of one colour together."""
    names: dict[Colour, list[str]] = {}
    for index, name in classes.items():
        names.setdefault(_class_colour(index), []).append(name)
    legend = [(f"rgb{colour}", ", ".join(those)) for colour, those in names.items()]
    return [*legend, *([(f"rgb{_UNJUDGED}", "not judged")] if has_ignored else [])]


def label_gallery(items: Sequence[LabelTile], coarsening: float = 1.0) -> bytes:
    """PNG of overlays: a row per error, a column per strength, mildest first; the same bytes for the same items.

    Args:
        items: the tiles, in any order.
        coarsening: edge of a pixel of the pictures in published pixels; captions say which pixels they count.
    """
    rows = {words.error_words(error).thing: error for error in _errors(items)}
    tiles = {
        (words.error_words(item.error).thing, item.level): (
            words.amount_here(item.error, item.level, coarsening),
            overlay(item.image, item.clean, item.perturbed),
        )
        for item in items
    }
    return _sheet(rows, _columns(items), tiles, _LABEL_LEGEND, coarsening)


def prediction_gallery(items: Sequence[PredictionTile], coarsening: float = 1.0) -> bytes:
    """PNG of predictions against the truth: a row per error and network, a column per strength; as `label_gallery`."""
    order = list(words.NETWORKS)
    names = sorted(
        {item.network for item in items}, key=lambda name: (order.index(name) if name in order else len(order), name)
    )
    present = {(item.network, item.error) for item in items}
    rows = {
        _row_name(network, error): error for error in _errors(items) for network in names if (network, error) in present
    }
    tiles = {
        (_row_name(item.network, item.error), item.level): (
            f"{words.amount_here(item.error, item.level, coarsening)}: Dice {_dice(item):.2f}",
            prediction_overlay(item.image, item.truth, item.prediction),
        )
        for item in items
    }
    return _sheet(rows, _columns(items), tiles, _PREDICTION_LEGEND, coarsening)


def upgrade_gallery(items: Sequence[UpgradeTile]) -> bytes:
    """PNG of overlays, a row per item: the noisy labels, the upgraded ones, the clean ones, each on the picture."""
    columns = ("noisy labels", "upgraded labels", "clean labels")
    tiles = {}
    for item in items:
        for column, shown in enumerate((item.before, item.after, item.clean)):
            value = float(dice(counts(shown > 0, item.clean > 0)))
            caption = columns[column] + ("" if column == 2 else f": Dice {value:.2f}")
            tiles[item.name, float(column)] = caption, overlay(item.image, item.clean, shown)
    rows = {item.name: item.name for item in items}
    return _sheet(rows, {row: [0.0, 1.0, 2.0] for row in rows}, tiles, _LABEL_LEGEND, 1.0)


def shots_gallery(items: Sequence[ShotsTile]) -> bytes:
    """PNG, a row per type: an annotated picture, and what was predicted for a test picture in several ways."""
    tiles, columns = {}, {}
    for item in items:
        tiles[item.name, 0.0] = "an annotated picture", overlay(item.shot, item.annotation, item.annotation)
        for column, (name, mask) in enumerate(item.predictions.items(), 1):
            caption = f"{name}: Dice {float(dice(counts(mask > 0, item.truth > 0))):.2f}"
            tiles[item.name, float(column)] = caption, prediction_overlay(item.image, item.truth, mask)
        columns[item.name] = [float(column) for column in range(1 + len(item.predictions))]
    legend = (_LABEL_LEGEND[0], *_PREDICTION_LEGEND)
    return _sheet({item.name: item.name for item in items}, columns, tiles, legend, 1.0)


def _class_colour(index: int) -> Colour:
    return _CLASSES[min(index, len(_CLASSES)) - 1]


def _row_name(network: str, error: str) -> str:
    trained_on = "clean labels" if error == words.CLEAN else words.error_words(error).thing
    return f"{words.network_name(network)}, trained with {trained_on}"


def _dice(item: PredictionTile) -> float:
    return float(dice(counts(item.prediction > 0, item.truth > 0)))


def _errors(items: Sequence[LabelTile] | Sequence[PredictionTile]) -> list[str]:
    present = {item.error for item in items}
    return [error for error in (words.CLEAN,) if error in present] + words.in_order(present)


def _columns(items: Sequence[LabelTile] | Sequence[PredictionTile]) -> dict[str, list[float]]:
    return {e: words.by_severity(e, [item.level for item in items if item.error == e]) for e in _errors(items)}


def _factors(width: int) -> tuple[int, int]:
    """How often a pixel is repeated, and how many are put together, to show a picture of that width."""
    return max(1, -(-_NARROWEST // width)), max(1, -(-width // _WIDEST))


def _resized(mask: np.ndarray) -> np.ndarray:
    repeat, reduce = _factors(mask.shape[1])
    return mask[reduce // 2 :: reduce, reduce // 2 :: reduce].repeat(repeat, axis=0).repeat(repeat, axis=1)


def _canvas(image: Float[np.ndarray, "H W C"]) -> Float[np.ndarray, "h w 3"]:
    repeat, reduce = _factors(image.shape[1])
    if image.shape[2] not in (1, 3):
        image = image.mean(axis=2, keepdims=True)
    dark, bright = np.percentile(image, (0.5, 99.8))
    stretched = np.clip((image - dark) / max(bright - dark, 1e-6), 0, 1)
    # Means of whole blocks; rows and columns as many as the nearest-neighbour masks have.
    shape = _resized(image[..., 0]).shape
    small = block_reduce(stretched, (reduce, reduce, 1), np.mean)
    large = small.repeat(repeat, axis=0).repeat(repeat, axis=1)[: shape[0], : shape[1]]
    # A little dimmed, so that colours show on bright cells.
    return np.broadcast_to(large * 210.0, (*shape, 3)).astype(np.float64)


def _blend(canvas: Float[np.ndarray, "h w 3"], where: Bool[np.ndarray, "h w"], colour: Colour) -> None:
    canvas[where] = (1 - _OPACITY) * canvas[where] + _OPACITY * np.array([colour])


def _sheet(
    rows: dict[str, str],
    columns: dict[str, list[float]],
    tiles: dict[tuple[str, float], tuple[str, UInt8[np.ndarray, "h w 3"]]],
    legend: tuple[tuple[Colour, str], ...],
    coarsening: float,
) -> bytes:
    """Tiles under their captions, each row under its name; a strength without a tile stays empty and says so."""
    font = ImageFont.load_default(14)
    small = ImageFont.load_default(12)
    widths = [max(tile.shape[1], int(small.getlength(caption))) for caption, tile in tiles.values()]
    width = max(widths, default=_NARROWEST) + _GAP
    heights = {
        row: max(tiles[row, level][1].shape[0] for level in columns[error] if (row, level) in tiles)
        for row, error in rows.items()
    }
    across = max((len(columns[error]) for error in rows.values()), default=1)
    # The row heights: name, caption, picture, gap.
    down = sum(height + 2 * _LINE + 2 * _GAP for height in heights.values())
    entries = [(_SWATCH + _GAP // 2 + int(font.getlength(text)) + 2 * _GAP, colour, text) for colour, text in legend]
    sheet_width = max(across * width + _GAP, max(entry[0] for entry in entries) + 2 * _GAP)
    places, lines = _legend_places([entry[0] for entry in entries], sheet_width)
    sheet = Image.new("RGB", (sheet_width, down + lines * _LINE + 2 * _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for (x, y), (_, colour, text) in zip(places, entries, strict=True):
        draw.rectangle((x, y + 3, x + _SWATCH, y + 3 + _SWATCH), fill=colour, outline=_INK)
        draw.text((x + _SWATCH + _GAP // 2, y), text, _INK, font)
    top = lines * _LINE + 2 * _GAP
    for row, error in rows.items():
        draw.text((_GAP, top), row, _INK, font)
        for column, level in enumerate(columns[error]):
            caption, tile = tiles.get((row, level), (f"{words.amount_here(error, level, coarsening)}: no result", None))
            left = _GAP + column * width
            draw.text((left, top + _LINE), caption, _INK, small)
            if tile is not None:
                sheet.paste(Image.fromarray(tile), (left, top + 2 * _LINE))
        top += heights[row] + 2 * _LINE + 2 * _GAP
    png = io.BytesIO()
    sheet.save(png, "PNG", optimize=True)
    return png.getvalue()


def _legend_places(widths: list[int], sheet_width: int) -> tuple[list[tuple[int, int]], int]:
    """Upper left corners of the legend's entries, broken into lines, and the number of lines."""
    places, x, line = [], _GAP, 0
    for width in widths:
        if x > _GAP and x + width > sheet_width:
            x, line = _GAP, line + 1
        places.append((x, _GAP + line * _LINE))
        x += width
    return places, line + 1
