"""Files that appear whole or not at all, JSON that is checked before it is used, and what a disk refuses in words."""

import contextlib
import errno
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from segjax.types import InputError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_IN_THE_WAY = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY)


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
    elif error.errno in (errno.EIO, errno.ENAMETOOLONG, errno.ESTALE):
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
    """A path to write to, which takes the place of `path` when all is written; the folders above it are made.

    Raises:
        InputError: the disk is full, or the place cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield unfinished
        unfinished.replace(path)
    except OSError as error:  # Pillow's have no number where a disk is full
        said = InputError(f"{path}: cannot be written ({error}); free some space or choose another folder")
        raise refusal(error, path) or said from error
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file, text as UTF-8, and the folders above it: a reader finds all of it or what was there before.

    Raises:
        InputError: the disk is full, or the place cannot be written.
    """
    with replacing(path) as unfinished, unfinished.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())


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
        content = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{path}: cannot be read as {what} ({said}); {remedy}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: is not {what} (it holds no object in braces); {remedy}")
    for name, kind in needed.items():
        if not isinstance(content.get(name), kind):
            reason = f"its {name} is of another type" if name in content else f"it lacks {name}"
            raise InputError(f"{path}: is not {what} ({reason}); {remedy}")
    return content
