"""A large scene in one picture, with what was found in it."""

import numpy as np
from jaxtyping import Float, Integer
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage
from skimage.measure import block_reduce

from segjax.reports.gallery import Legend, Look, look

WIDEST = 700  # pixels of the longer side, so that a page stays small
_FOUND, _DARK = (255, 170, 0, 255), (0, 0, 0, 255)
_SHARP = 900  # pixels at least of the longer side of the lines and numbers
_GAP, _WIDTH, _LETTERS = 400, 250, 42  # of a site's line, its width, and numbers: parts of the longer side
FOUND_LEGEND: Legend = ((f"rgb{_FOUND[:3]}", "a site, with its number in the table"),)


def scene_look(
    caption: str, image: Float[np.ndarray, "H W C"], sites: Integer[np.ndarray, "H W"], numbered: int = 20
) -> Look:
    """A scene with a line around every site, however small, and the numbers of the first ones.

    Args:
        image: in [0, 1]; reduced to at most 700 pixels, by a whole factor.
        sites: number of the site that a pixel belongs to, 0 elsewhere.
        numbered: sites up to this number have it beside them.
    """
    reduce = -(-max(image.shape[:2]) // WIDEST)
    small = block_reduce(image, (reduce, reduce, 1), np.mean) if reduce > 1 else image
    places = block_reduce(sites, (reduce, reduce), np.max) if reduce > 1 else sites
    larger = -(-_SHARP // max(places.shape))
    large = places.repeat(larger, axis=0).repeat(larger, axis=1)
    gap, width, letters = (round(max(large.shape) / part) for part in (_GAP, _WIDTH, _LETTERS))
    inner = ndimage.binary_dilation(large > 0, iterations=gap)
    layer = np.zeros((*large.shape, 4), np.uint8)
    layer[ndimage.binary_dilation(inner, iterations=width) & ~inner] = _FOUND
    drawn = Image.fromarray(layer, "RGBA")
    pen, font = ImageDraw.Draw(drawn), ImageFont.load_default(letters)
    for number, box in enumerate(ndimage.find_objects(large)[:numbered], 1):
        if box is not None:  # hidden by another in a reduced scene
            beside = box[1].stop + gap + 2 * width
            x = beside if beside + 2 * letters < large.shape[1] else box[1].start - 2 * letters
            y = max(0, box[0].start - letters // 2)
            pen.text((x, y), str(number), _FOUND, font, stroke_width=width // 2, stroke_fill=_DARK)
    return look(caption, small, np.asarray(drawn), widest=WIDEST)
