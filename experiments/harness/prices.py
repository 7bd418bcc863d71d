"""The prices of annotations as a command line gives them: one by one, and from a table of the user's own times."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from experiments.harness.options import added
from segjax.annotations.prices import Prices, Timed, fit_prices
from segjax.files import read_file
from segjax.types import InputError

_COLUMNS = ("kind", "seconds", "objects", "length")
_NEEDED = ("kind", "seconds")


@dataclass(frozen=True)
class PriceOptions:
    """What annotations cost."""

    price: tuple[str, ...] = added(())
    """Prices in seconds, each as NAME=SECONDS, such as --price outline=80 box=7 point=2. outline, quick: one careful
    or quick outline; outline_per_px, quick_per_px: added per pixel of its length. point, box: one object. image_label:
    one picture. correction: an outline redrawn over a proposal. look: a proposal looked at. picture: a picture opened.
    Others keep their published or assumed price (segjax/annotations/prices.py says which), or the one from --times."""
    times: str | None = added(None, is_file=True)
    """Your own times, a CSV file with the columns kind and seconds, and, where you measured them, objects (how many it
    took so long for) and length (of their outlines, in pixels). Prices are fitted to at least three rows of a kind."""

    def prices(self) -> Prices:
        """The prices.

        Raises:
            InputError: a price that cannot be, or a file that is no such table; names the option or file.
        """
        fitted = Prices() if self.times is None else _fitted(Path(self.times))
        return replace(fitted, **_by_name(self.price))


def _by_name(texts: Sequence[str]) -> dict[str, float]:
    known = [field.name for field in fields(Prices)]
    found: dict[str, float] = {}
    for text in texts:
        name, _, number = text.partition("=")
        if name not in known:
            raise InputError(f"price: unknown name in {text!r}; write NAME=SECONDS with one of {', '.join(known)}")
        if name in found:
            raise InputError(f"price: {name} is given twice; give it once")
        try:
            seconds = float(number)
            Prices(**{name: seconds})
        except ValueError:  # of the number, or of the price
            raise InputError(f"price: {text!r} has no price; give {name}=SECONDS with a number, 0 or more") from None
        found[name] = seconds
    return found


def _fitted(path: Path) -> Prices:
    try:
        return fit_prices(read_times(path))
    except InputError as error:
        said = str(error)
        raise InputError(said if str(path) in said else f"{path}: {said}") from None


def read_times(path: Path) -> list[Timed]:
    """The rows of a table of measured times; rows count from 1 below the first line.

    Raises:
        InputError: there is no such file, or it is no such table.
    """
    try:
        table = csv.DictReader(io.StringIO(read_file(path).decode("utf-8-sig"), newline=""))
        rows, columns = list(table), list(table.fieldnames or ())
    except FileNotFoundError:
        raise InputError(f"times: {path} is not a file; correct the name") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a table ({error}); save it as CSV UTF-8") from None
    unknown = [name for name in columns if name not in _COLUMNS]
    if unknown or not set(_NEEDED) <= set(columns) or len(set(columns)) < len(columns):
        wanted = f"its first line must name the columns {' and '.join(_NEEDED)}, and may name objects and length"
        raise InputError(f"{path}: {wanted}, each once; found {', '.join(columns) or 'no rows'}")
    if not rows:
        raise InputError(f"{path}: has no rows below its first line; add a row for each measured time")
    return [_timed(path, place, row) for place, row in enumerate(rows, start=1)]


def _timed(path: Path, place: int, row: dict[str, str | None]) -> Timed:
    if None in row or None in row.values():
        raise InputError(f"{path}: row {place} has another number of fields than the first line; correct it")
    given = {name: str(text).strip() for name, text in row.items()}
    numbers: dict[str, float] = {}
    for name in _COLUMNS[1:]:
        if not given.get(name) and name != "seconds":
            continue
        try:
            numbers[name] = float(given[name])
        except ValueError:
            raise InputError(f"{path}: row {place}: {name} is {given[name]!r}; give a number") from None
    return Timed(given["kind"], **numbers)
