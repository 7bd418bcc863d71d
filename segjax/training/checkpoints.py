"""Interrupted trainings: atomic checkpoints with a content hash, and the newest sound one back."""

import contextlib
import errno
import hashlib
import itertools
import logging
import os
import re
import shutil
import signal
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

from segjax.files import explained

INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM)


def save_checkpoint(folder: Path, step: int, tree: Any) -> None:
    """Write `tree` as checkpoint `step` and drop all but the one before it.

    A checkpoint appears by renaming, so a killed process never leaves half of one under its final name. An interruption
    (SIGINT, SIGTERM) waits until it is written.

    Raises:
        InputError: the disk is full or the folder cannot be written; earlier checkpoints stay.
    """
    path = folder.absolute() / str(step)
    with _interrupted_later(), explained(folder), _refusals_of_disk(path):
        _check_room(folder / f".{step}", sum(leaf.nbytes for leaf in jax.tree.leaves(tree)))
        ocp.save(path, {"tree": tree, "content": _content(tree)}, overwrite=True)
    for older in _steps(folder)[2:]:
        shutil.rmtree(folder / str(older))


def restore_checkpoint(folder: Path, like: Any) -> Any | None:
    """The newest checkpoint whose content hash holds, or None where there is none.

    A damaged one is renamed to `STEP.damaged` with a warning, and the one before it is tried.

    Args:
        like: a tree of the same structure, shapes and types.
    """
    for step in _steps(folder):
        path = folder.absolute() / str(step)
        try:
            loaded = ocp.load(path, {"tree": like, "content": _content(like)})
            if not np.array_equal(loaded["content"], _content(loaded["tree"])):
                raise ValueError("its content hash does not hold")
            return loaded["tree"]
        except Exception as error:  # whatever a damaged file makes the library raise
            names = (path.with_name(f"{step}.damaged{number or ''}") for number in itertools.count())
            path.rename(next(name for name in names if not name.exists()))
            warnings.warn(f"checkpoint {path} is damaged ({error}); going back to the one before it", stacklevel=2)
    return None


def _check_room(probe: Path, size: int) -> None:
    """Raises OSError where no folder can be made, for which the library waits for minutes, or the disk is too full."""
    probe.mkdir(parents=True, exist_ok=True)
    probe.rmdir()
    if shutil.disk_usage(probe.parent).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextlib.contextmanager
def _refusals_of_disk(path: Path) -> Iterator[None]:
    """Raises what a disk refuses as OSError: the library hides it in a ValueError, after a log of many pages."""
    log, number = logging.getLogger("absl"), re.compile(r"os_error_code='(\d+)'")

    def is_shown(record: logging.LogRecord) -> bool:
        return not number.search(record.getMessage())

    log.addFilter(is_shown)
    try:
        yield
    except ValueError as error:
        shutil.rmtree(path.with_name(f"{path.name}.orbax-checkpoint-tmp"), ignore_errors=True)
        if (found := number.search(str(error))) is None:
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1]))) from error
    finally:
        log.removeFilter(is_shown)


@contextlib.contextmanager
def _interrupted_later() -> Iterator[None]:
    """Signals that come meanwhile are delivered at the end: the library complains at length about a torn write."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread is interrupted
        yield
        return
    came: list[int] = []
    usual = {kind: signal.signal(kind, lambda number, _: came.append(number)) for kind in INTERRUPTIONS}
    try:
        yield
    finally:
        for kind, handler in usual.items():
            signal.signal(kind, handler)
        for number in came[:1]:
            signal.raise_signal(number)


def _steps(folder: Path) -> list[int]:
    """Finished checkpoints, newest first."""
    return sorted((int(p.name) for p in folder.glob("*") if p.name.isdecimal()), reverse=True)


def _content(tree: Any) -> np.ndarray:
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        is_key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        digest.update(np.asarray(jax.random.key_data(leaf) if is_key else leaf).tobytes())
    return np.frombuffer(digest.digest(), np.uint8).copy()
