"""Tables that people write beside their pictures: CSV files of groups, classes and image-level labels."""

import csv
from collections.abc import Sequence
from pathlib import Path

from segjax.data.images import PICTURE_SUFFIXES
from segjax.types import InputError

_LARGEST_NAMED = 254  # 255 is "not judged"


def read_class_names(path: Path, option: str) -> dict[int, str]:
    """Class index to name: of a list divided by commas counted from 1, or of a CSV file; empty for an empty option.

    Raises:
        InputError: the file is missing or lacks its columns, or an index is not a whole number from 1 to 254 or is
            given twice.
    """
    if not is_csv(option):
        return {index: name.strip() for index, name in enumerate(option.split(","), start=1)} if option else {}
    names: dict[int, str] = {}
    for text, name in read_table(path, "class_names", option, ("class", "name")):
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _LARGEST_NAMED):
            raise InputError(
                f"option class_names={option}: class {text!r} is not a whole number of 1..{_LARGEST_NAMED}"
            )
        if int(text) in names:
            raise InputError(f"option class_names={option}: class {text} is there twice; name it once")
        names[int(text)] = name or f"class {int(text)}"
    return names


def read_table(path: Path, option: str, name: str, columns: tuple[str, str]) -> list[tuple[str, str]]:
    """Two columns of a CSV file in the folder or elsewhere."""
    file = next((place for place in (path / name, Path(name)) if place.is_file()), None)
    if file is None:
        raise InputError(f"option {option}={name}: neither {path / name} nor {name} is a file")
    with file.open(newline="", encoding="utf-8-sig") as lines:
        rows = csv.DictReader(lines)
        if not set(columns) <= set(rows.fieldnames or ()):
            raise InputError(f"{file}: needs the columns {' and '.join(columns)} in its first line")
        return [((row[columns[0]] or "").strip(), (row[columns[1]] or "").strip()) for row in rows]


def read_groups(path: Path, name: str) -> dict[str, str]:
    table = read_table(path, "groups", name, ("picture", "group"))
    endings = tuple(PICTURE_SUFFIXES)
    return {Path(p).stem if p.lower().endswith(endings) else p: group for p, group in table}


def is_csv(text: str) -> bool:
    """Whether the value of an option names a table."""
    return text.lower().endswith(".csv")


def first_few(things: Sequence[object], count: int = 5) -> str:
    """The first few, and how many more there are: "a, b, c and 4 more"."""
    return ", ".join(map(str, things[:count])) + (f" and {len(things) - count} more" if len(things) > count else "")
