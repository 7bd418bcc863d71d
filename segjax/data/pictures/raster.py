"""The values of a picture file before anybody says what they mean: what every decoder hands out."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Shaped, UInt8

from segjax.types import InputError

Kind = Literal["grey", "white_is_zero", "colour", "palette"]
# EXIF and TIFF number the sides on which the first row and the first column lie
_UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels[::-1].swapaxes(0, 1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels[:, ::-1].swapaxes(0, 1),
}


@dataclass(frozen=True, eq=False)
class Raster:
    """One picture's values as its file stores them, the right way up.

    Attributes:
        pixels: [H, W, C] of any real number type; channels that the file declares as transparency are left out.
        bits: bits per value that the file promises; the values of unsigned integers lie in 0..2**bits - 1.
        kind: "grey" (any number of channels, light is large), "white_is_zero" (the same, light is small), "colour"
            (red, green, blue, then others), "palette" (one channel of places in `palette`).
        palette: uint8 [N, 3], the colours; None of any other kind.
        missing: bool [H, W], True where the file says that it has no data; None where it has data everywhere.
        is_lossy: the file was compressed by a method that changes values.
        is_imagej: ImageJ or Fiji wrote it.
    """

    pixels: Shaped[np.ndarray, "H W C"]
    bits: int
    kind: Kind
    palette: UInt8[np.ndarray, "N 3"] | None = None
    missing: Bool[np.ndarray, "H W"] | None = None
    is_lossy: bool = False
    is_imagej: bool = False

    def upright(self, orientation: int) -> "Raster":
        """Turned and mirrored as EXIF and TIFF say it should be seen: 1..8, and 0 for 1, as cameras write it.

        Raises:
            InputError: another number.
        """
        if (turn := _UPRIGHT.get(orientation or 1)) is None:
            raise InputError(f"has the orientation {orientation}, which is not defined; save it upright")
        missing = None if self.missing is None else np.ascontiguousarray(turn(self.missing))
        return replace(self, pixels=np.ascontiguousarray(turn(self.pixels)), missing=missing)
