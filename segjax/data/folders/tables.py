"""Tables that people write beside their pictures: CSV files of groups, classes and image-level labels."""

import codecs
import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from segjax.data.pictures.images import PICTURE_SUFFIXES
from segjax.files import read_file
from segjax.types import InputError

_LARGEST_NAMED = 254  # 255 is "not judged"
_SEPARATORS = ",;\t"
_WHOLE_NUMBER = re.compile(r"([+-]?)0*([0-9]+)(?:[.,]0+)?")
_SHOWN_HEADER = 60


def read_class_names(path: Path, option: str) -> dict[int, str]:
    """Class index to name: of a list divided by commas counted from 1, or of a CSV file; empty for an empty option.

    Raises:
        InputError: the file cannot be read as a table or lacks its columns, an index is not a whole number from 1 to
            254 or is given twice, or two classes have one name.
    """
    source = f"option class_names={option}"
    if not is_csv(option):
        names = list_of(option)
        refuse_twice(source, names)
        return {index: name or f"class {index}" for index, name in enumerate(names, start=1)}
    found: dict[int, str] = {}
    for text, name in read_table(path, "class_names", option, ("class", "name")):
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _LARGEST_NAMED):
            raise InputError(f"{source}: class {text!r} is not a whole number from 1 to {_LARGEST_NAMED}; correct it")
        if int(text) in found:
            raise InputError(f"{source}: class {text} appears twice; name it once")
        found[int(text)] = name or f"class {int(text)}"
    refuse_twice(source, list(found.values()))
    return found


def read_picture_table(path: Path, option: str, name: str, column: str) -> dict[str, str]:
    """Picture name without file ending to the value of a column, in the order of the table.

    Raises:
        InputError: the file cannot be read as a table or lacks its columns, a picture has two values, or two values
            differ only in spelling.
    """
    source = f"option {option}={name}"
    table: dict[str, str] = {}
    for picture, value in read_table(path, option, name, ("picture", column)):
        stem = Path(picture).stem if picture.lower().endswith(PICTURE_SUFFIXES) else picture
        if table.setdefault(stem, value) != value:
            both = f"{table[stem] or '(empty)'} and {value or '(empty)'}"
            raise InputError(f"{source}: picture {stem} has the {column}s {both}; keep one")
    refuse_spellings(source, column, table.values())
    return table


def read_table(path: Path, option: str, name: str, columns: tuple[str, str]) -> list[tuple[str, str]]:
    """Two columns of a CSV file in the folder or elsewhere, without spaces around.

    Text is UTF-8, or UTF-16 where the file begins with a byte order mark; fields are divided by commas, semicolons or
    tabs, whichever divides the first line into its columns.

    Raises:
        InputError: the file is missing, cannot be read, is other text or lacks the columns, or a row is not understood.
    """
    file = find_file(path, option, name)
    text = _read_text(file)
    headers = {separator: _header(text, separator) for separator in _SEPARATORS}
    separator = next((s for s, header in headers.items() if set(columns) <= set(header)), None)
    if separator is None:
        first = text.partition("\n")[0].strip()[:_SHOWN_HEADER]
        raise InputError(f"{file}: its first line must name the columns {' and '.join(columns)}, but is {first!r}")
    header = headers[separator]
    twice = next((column for column in columns if header.count(column) > 1), None)
    if twice is not None:
        raise InputError(f"{file}: has two columns named {twice}; remove or rename one")
    rows = _rows(file, text, separator)
    next(rows)
    places = [header.index(column) for column in columns]
    found = []
    for line, row in rows:
        if any(row[len(header) :]):
            raise InputError(
                f"{file}: line {line} has {len(row)} fields, but the first line has {len(header)}; put a name that "
                'contains a comma into quotation marks, as in "cell 1, left.png"'
            )
        cells = [row[place] if place < len(row) else "" for place in places]
        found.append((cells[0], cells[1]))
    return found


def find_file(path: Path, option: str, name: str) -> Path:
    """A file in the folder or at that place.

    Raises:
        InputError: there is none.
    """
    found = next((place for place in (path / name, Path(name).expanduser()) if place.is_file()), None)
    if found is None:
        raise InputError(f"option {option}={name}: neither {path / name} nor {name} is a file; correct the name")
    return found


def _read_text(file: Path) -> str:
    try:
        content = read_file(file)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); repair or replace it") from None
    is_utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if is_utf_16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        where = "" if is_utf_16 else f" in line {line}"
        kind = "damaged UTF-16" if is_utf_16 else "neither UTF-8 nor marked as UTF-16"
        raise InputError(
            f'{file}: the text{where} is {kind}; save it again as UTF-8 (in Excel "CSV UTF-8", not "CSV")'
        ) from None
    if "\0" in text:
        raise InputError(f'{file}: holds NUL bytes, so it is not plain text; save it again as UTF-8 ("CSV UTF-8")')
    return text


def _header(text: str, separator: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), [])]
    except csv.Error:  # of a separator that is not the file's
        return []


def _rows(file: Path, text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of every row that is not empty."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise InputError(
            f"{file}: line {reader.line_num} cannot be read ({error}); look for a missing quotation mark"
        ) from None


def list_of(option: str) -> list[str]:
    """The names in an option that divides them by commas."""
    return [name.strip() for name in option.split(",")] if option else []


def refuse_twice(source: str, names: Sequence[str]) -> None:
    """Raise InputError where two classes have one name, or names that differ only in spelling."""
    twice = [name for name in dict.fromkeys(names) if name and names.count(name) > 1]
    if twice:
        raise InputError(f"{source}: two classes are named {twice[0]}; give each class its own name")
    refuse_spellings(source, "class name", names)


def refuse_spellings(source: str, what: str, values: Iterable[str]) -> None:
    """Raise InputError where two values are one in other letters: TRUE and True, 1 and 1.0, 7 and 07."""
    first: dict[str, str] = {}
    for value in dict.fromkeys(values):
        number = _WHOLE_NUMBER.fullmatch(value)
        other = first.setdefault(f"{number[1]}{number[2]}" if number else folded(value), value)
        if value and other != value:
            raise InputError(
                f"{source}: the {what}s {other} and {value} differ only in spelling; write both alike, or give one "
                "another name"
            )


def folded(name: str) -> str:
    """A name as people read it: without the difference of capital letters and of how accents are stored."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def near(name: str, others: Mapping[str, str]) -> str:
    """How a name differs from the one of `others` (by folded name) that people take for it, as " (B differs ...)".

    Empty where there is none.
    """
    other = others.get(folded(name), name)
    if other == name:
        return ""
    is_stored = unicodedata.normalize("NFC", name) == unicodedata.normalize("NFC", other)
    how = "in how its accents are stored, Unicode NFC or NFD" if is_stored else "in capital letters"
    return f" ({other} differs only {how})"


def is_text(name: str) -> bool:
    """Whether a name can be written as UTF-8; names of files that are not have surrogates in place of the bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_csv(text: str) -> bool:
    """Whether the value of an option names a table."""
    return text.lower().endswith(".csv")


def first_few(things: Sequence[object], count: int = 5) -> str:
    """The first few, and how many more there are: "a, b, c and 4 more"."""
    return ", ".join(map(str, things[:count])) + (f" and {len(things) - count} more" if len(things) > count else "")
