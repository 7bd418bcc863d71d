"""Files that appear whole or not at all, whose damage is seen when they are read, and what a disk refuses in words."""

import contextlib
import csv
import datetime
import errno
import hashlib
import io
import itertools
import json
import math
import os
import secrets
import shutil
import stat
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from segjax.interruption import check
from segjax.types import InputError

PATIENCE = 600.0  # seconds that a run waits for room on a full disk
_BETWEEN_TRIES, _AT_ONCE = 5.0, 16
_WAITED_FOR = (errno.ENOSPC, errno.EDQUOT)
_FULL = (*_WAITED_FOR, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_IN_THE_WAY = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY)
_SEAL = "# sha256 "  # begins the last line of a sealed text
_REMEDY = "bring back a copy of it, or move it away, so that it is made again"


class Damaged(InputError):
    """A file of ours does not hold what was written to it; the message names the file."""


def refusal(error: OSError, path: Path | str | None = None) -> InputError | None:
    """What a disk refused and what to do about it; None where the fault is not the user's to mend.

    Args:
        error: of reading or writing.
        path: the file at hand, where the error does not name it.
    """
    place = path or error.filename or "the disk"
    if error.errno in _FULL:
        remedy = "free space there, then give the same command again; what was finished is kept"
    elif error.errno in _FORBIDDEN:
        remedy = "choose another folder, or get the right to write there"
    elif error.errno in _IN_THE_WAY:
        remedy = "a file is where a folder should be, or the reverse; move it away or choose another folder"
    elif error.errno in (errno.EIO, errno.ESTALE):
        remedy = "check the disk or its mount, then give the same command again"
    elif error.errno == errno.ENAMETOOLONG:
        remedy = "choose another folder"
    else:
        return None
    return InputError(f"{place}: {error.strerror}; {remedy}")


@contextlib.contextmanager
def explained(path: Path | str | None = None) -> Iterator[None]:
    """Raises InputError in place of what the disk refuses."""
    try:
        yield
    except OSError as error:
        if (said := refusal(error, path)) is None:
            raise
        raise said from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write a file or folder to, which takes the place of `path` when all is written and on the disk.

    The folders above it are made. A folder takes the place of an empty one only.

    Raises:
        InputError: the disk is full, or the place cannot be written.
    """
    unfinished = path.with_name(f".{secrets.token_hex(8)}.unfinished")
    try:
        _make_folder(path.parent)
        yield unfinished
        with ThreadPoolExecutor(_AT_ONCE) as pool:  # a disk takes many at once in the time of a few
            list(pool.map(_sync, unfinished.rglob("*")))
        _sync(unfinished)
        unfinished.replace(path)
        _sync(path.parent)
    except OSError as error:  # Pillow's have no number where a disk is full
        said = InputError(f"{path}: cannot be written ({error}); free some space or choose another folder")
        raise refusal(error, path) or said from error
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(unfinished) if unfinished.is_dir() else unfinished.unlink(missing_ok=True)


def _make_folder(folder: Path) -> None:
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in reversed(missing):
        _sync(made.parent)


def _sync(path: Path) -> None:
    """Returns when a file, or the names in a folder, would outlive a crash of the machine."""
    is_folder = path.is_dir()
    try:
        descriptor = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
    except PermissionError:
        if is_folder:  # Windows opens none
            return
        raise
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not (
            is_folder and error.errno in (errno.EINVAL, errno.EBADF, errno.ENOTSUP)
        ):  # some disks have no such thing
            raise
    finally:
        os.close(descriptor)


def write_file(path: Path, content: str | bytes, patience: float = 0.0) -> None:
    """Write a file, text as UTF-8, and the folders above it: a reader finds all of it or what was there before.

    Args:
        patience: seconds to wait for room where the disk is full; a warning says so at once. `PATIENCE` in a run.

    Raises:
        InputError: the disk is full, or the place cannot be written; nothing of it is left there.
        Stopped: a stop was asked for while it waited.
    """
    data = content.encode() if isinstance(content, str) else content

    def write() -> None:
        with replacing(path) as unfinished:
            unfinished.write_bytes(data)

    patiently(path, write, patience)


def patiently(path: Path, attempt: Callable[[], Any], patience: float) -> Any:
    """What `attempt` gives; it is made again, for `patience` seconds, where it raises InputError since a disk is full.

    Args:
        path: for the warning.

    Raises:
        InputError: the disk stays full, or another reason.
        Stopped: a stop was asked for while it waited.
    """
    ends, is_said = time.monotonic() + patience, False
    while True:
        try:
            return attempt()
        except InputError as error:
            left = ends - time.monotonic()
            if left <= 0 or getattr(error.__cause__, "errno", None) not in _WAITED_FOR:
                raise
        if not is_said:
            until = datetime.datetime.now() + datetime.timedelta(seconds=left)
            warnings.warn(
                f"{path}: the disk is full; free space there, or get a larger quota; this process tries again until "
                f"{until:%Y-%m-%d %H:%M:%S} ({math.ceil(left)} s), then it stops; what is finished is kept",
                stacklevel=3,
            )
            is_said = True
        check()
        time.sleep(min(_BETWEEN_TRIES, left))


def write_table(path: Path, rows: Iterable[Sequence[object]], is_for_people: bool = False) -> None:
    """Write rows, the first of them the names of columns, as CSV.

    Args:
        is_for_people: text that a spreadsheet would take as a formula gets an apostrophe. A table that is read back
            holds names as they are.

    Raises:
        InputError: as `write_file`.
    """
    text = io.StringIO(newline="")
    for row in rows:
        cells = [spreadsheet_safe(cell) if is_for_people and isinstance(cell, str) else cell for cell in row]
        csv.writer(text, lineterminator="\n").writerow(cells)
    write_file(path, text.getvalue())


def read_file(path: Path) -> bytes:
    """What a regular file holds.

    Raises:
        InputError: it is a folder, pipe, device or socket, or the disk refuses it.
        FileNotFoundError: there is none.
    """
    check_regular(path)
    with explained(path):
        return path.read_bytes()


def check_regular(path: Path) -> None:
    """Refuse what is no file with an end: to read a pipe or device may take for ever.

    Raises:
        InputError: it is a folder, pipe, device or socket.
        FileNotFoundError: there is none.
    """
    with explained(path):
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(
                f"{path}: is not a regular file (it is a folder, pipe, device or socket); give a file, or move it away"
            )


def sealed(text: str, mark: str = "") -> str:
    """Lines, and a last one from which `read_sealed` sees whether they are whole: their SHA-256 and the mark.

    Args:
        text: lines; a missing line end is added.
        mark: one word that says what they belong to, such as the fingerprint of a plan.
    """
    lines = text if text.endswith("\n") or not text else f"{text}\n"
    digest = hashlib.sha256(f"{lines}{_SEAL}{mark}".encode()).hexdigest()
    return f"{lines}{_SEAL}{digest} {mark}".rstrip(" ") + "\n"


def read_sealed(path: Path, mark: str = "") -> str:
    """The lines that `sealed` was given, with their ends.

    Raises:
        Damaged: any byte of the file differs from what was written.
        InputError: it was sealed with another mark, or cannot be read.
        FileNotFoundError: there is none.
    """
    try:
        text = read_file(path).decode()
    except UnicodeDecodeError:
        raise Damaged(f"{path}: is damaged (it is not text); {_REMEDY}") from None
    start = text.rfind(_SEAL)
    if start < 0:
        raise Damaged(f"{path}: is damaged (it was emptied, or its end is cut off); {_REMEDY}")
    lines, written = text[:start], text[start:].removeprefix(_SEAL).rstrip("\n").partition(" ")[2]
    if sealed(lines, written) != text:
        raise Damaged(f"{path}: is damaged (its checksum does not match); {_REMEDY}")
    if written != mark:
        raise InputError(f"{path}: belongs to {written or 'nothing'}, not to {mark or 'nothing'}; {_REMEDY}")
    return lines


def set_aside(path: Path) -> Path:
    """Rename a file or folder that is damaged to NAME.damaged, or NAME.damaged-2, ...; nothing is overwritten.

    Returns:
        where it lies now.

    Raises:
        InputError: the folder is read-only.
    """
    place = path
    with explained(path):
        for number in itertools.count(1):
            before, place = place, path.with_name(f"{path.name}.damaged{f'-{number}' if number > 1 else ''}")
            try:  # the name is taken by something empty, which the rename replaces
                place.mkdir() if path.is_dir() else place.open("xb").close()
            except FileExistsError:
                continue
            break
        try:
            path.replace(place)
        except FileNotFoundError:  # another process was faster
            place.unlink()
            return before
        except OSError:
            place.rmdir() if place.is_dir() else place.unlink()
            raise
        _sync(path.parent)
    return place


def spreadsheet_safe(text: str) -> str:
    """Text for a cell of a CSV file that people open: a spreadsheet takes it as text, never as a formula.

    Text that begins with = + - @, a tab or a line end gets a leading apostrophe; numbers and a single dash stay.
    """
    if text == "-":
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else text
    return text


def read_json(path: Path, what: str, needed: Mapping[str, type | tuple[type, ...]], remedy: str) -> dict[str, Any]:
    """A JSON object that has what is needed; more may be in it.

    Args:
        path: the file.
        what: what it should be, such as "the plan of a study", for the message.
        needed: names and the types of their values.
        remedy: what to do where the file is no such thing.

    Raises:
        InputError: the file cannot be read, is no JSON object, or lacks a name or has another type of value.
    """
    try:
        content = json.loads(read_file(path).decode("utf-8-sig"))
    except InputError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{path}: cannot be read as {what} ({said}); {remedy}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: is not {what} (it is not a JSON object); {remedy}")
    for name, kind in needed.items():
        if not isinstance(content.get(name), kind):
            reason = f"its {name} is of another type" if name in content else f"it lacks {name}"
            raise InputError(f"{path}: is not {what} ({reason}); {remedy}")
    return content
