"""The eight flips and quarter turns of pictures and maps, NumPy's and JAX's alike."""

from typing import Any, TypeVar

Maps = TypeVar("Maps", bound=Any)  # [..., H, W, F]


def turn(values: Maps, number: int) -> Maps:
    """One of the eight, 0 to 7: bit 0 flips up-down, bit 1 left-right, bit 2 then transposes."""
    flipped = _flipped(values, number)
    return flipped.swapaxes(-3, -2) if number & 4 else flipped


def turn_back(values: Maps, number: int) -> Maps:
    """What `turn` with the same number turned, as it was."""
    return _flipped(values.swapaxes(-3, -2) if number & 4 else values, number)


def looks(flips: bool, rotations: bool) -> tuple[int, ...]:
    """Numbers of the flips (up-down, left-right, both), of the quarter turns, or of all that the two make together.

    The first is 0, which leaves everything as it is.
    """
    if flips and rotations:
        return (0, 1, 6, 7, 3, 2, 5, 4)
    if rotations:
        return (0, 6, 3, 5)
    return (0, 1, 2, 3) if flips else (0,)


def _flipped(values: Maps, number: int) -> Maps:
    rows, columns = (slice(None, None, -1 if number & bit else None) for bit in (1, 2))
    return values[..., rows, columns, :]
