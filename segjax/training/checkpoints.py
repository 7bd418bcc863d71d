"""Interrupted trainings: atomic checkpoints that say who made them and whether they are whole."""

import contextlib
import errno
import hashlib
import json
import logging
import os
import re
import shutil
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from segjax.files import explained, refusal, set_aside
from segjax.interruption import check_second, later
from segjax.training.memory import is_out_of_memory
from segjax.training.processes import SUFFIX, load_alone, save_alone, told_by_first
from segjax.types import InputError

CHECKPOINT_SECONDS = 60.0
_ONE_AT_A_TIME = threading.Lock()  # threads that save at once with this library fail, or wait for ever
_MADE_BY, _METADATA = "made_by", "_CHECKPOINT_METADATA"
_REFUSAL = re.compile(r"os_error_code='(\d+)'")  # how the library tells what a disk refused
_OF_DAMAGE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EINVAL)


class Checkpoints:
    """The checkpoints of one training: when the next is due, and a warning where one cannot be written."""

    def __init__(
        self,
        folder: Path | None,
        made_by: Mapping[str, str],
        seconds: float = CHECKPOINT_SECONDS,
        epochs: int | None = None,
        is_shared: bool = False,
    ) -> None:
        """Set up; nothing is written.

        Args:
            folder: where they lie; None keeps none.
            made_by: what a checkpoint must have in common with this training to be gone on with, beside JAX's version.
            seconds: least time between two.
            epochs: epochs between two, in place of seconds.
            is_shared: all processes of JAX have this training: process 0 reads and writes, and tells the others.
        """
        self._is_shared = is_shared
        if is_shared and jax.process_index():
            folder = None
        self._folder, self._made_by, self._seconds, self._epochs = folder, made_by, seconds, epochs
        self._saved, self._epoch = time.monotonic(), 0
        self._is_warned = False

    def restore(self, like: Any) -> Any | None:
        """As `restore_checkpoint`."""
        found = restore_checkpoint(self._folder, like, self._made_by) if self._folder else None
        return told_by_first(found, like) if self._is_shared else found

    def keep_where_due(self, tree: Any, epoch: int) -> None:
        """Save where enough time has passed, or enough epochs are done, since the last."""
        long_enough = time.monotonic() - self._saved >= self._seconds
        if long_enough if self._epochs is None else epoch - self._epoch >= self._epochs:
            self.keep(tree)
            self._epoch = epoch

    def keep(self, tree: Any) -> None:
        """Save now; what fails is said once and tried again when the next is due, since it must not end a training."""
        if self._folder is None:
            return
        try:
            save_checkpoint(self._folder, tree, self._made_by)
        except Exception as error:
            if not self._is_warned:
                said = f"{self._folder}: no checkpoint can be written there ({error}); the training goes on without"
                warnings.warn(f"{said} checkpoints and will try again", stacklevel=2)
            self._is_warned = True
        self._saved = time.monotonic()


def save_checkpoint(folder: Path, tree: Any, made_by: Mapping[str, str] = {}) -> None:
    """Write `tree` as the next checkpoint, counted from 1, and drop all but the one before it.

    A checkpoint appears by renaming, so a killed process never leaves half of one under its final name. A stop waits
    until it is written; one asked for a second time waits for none that is not yet begun.

    Raises:
        InputError: the disk is full or the folder cannot be written; earlier checkpoints stay.
        Stopped: a stop was asked for.
    """
    made = _with_jax(made_by)
    with later(), _ONE_AT_A_TIME:
        check_second()  # threads save one after the other, and no signal interrupts them
        from orbax.checkpoint import v1 as ocp  # takes half a second, and few commands need it

        path = folder.absolute() / str(max(_numbers(folder), default=0) + 1)
        with explained(folder), _refusals_of_disk(path):
            _check_room(folder / f".{path.name}", sum(leaf.nbytes for leaf in jax.tree.leaves(tree)))
            if jax.process_count() > 1:
                save_alone(path.with_suffix(SUFFIX), tree, made)
            else:
                ocp.save(path, {"tree": tree, "content": _content(tree, made)}, custom_metadata={_MADE_BY: made})
    for older in _numbers(folder)[2:]:
        shutil.rmtree(folder / str(older), ignore_errors=True)
        (folder / f"{older}{SUFFIX}").unlink(missing_ok=True)


def restore_checkpoint(folder: Path, like: Any, made_by: Mapping[str, str] = {}) -> Any | None:
    """The newest checkpoint that is whole and of the same maker, or None where there is none.

    Every other one is set aside, as `set_aside` does it, with a warning that says why, and the one before it is tried.

    Args:
        like: a tree of the same structure, shapes and types.
        made_by: what it was saved with; a checkpoint of another version of JAX is not taken either.

    Raises:
        MemoryError, jax.errors.JaxRuntimeError: the memory does not suffice; all checkpoints stay.
        InputError, OSError: the disk refuses to read one; all stay.
    """
    made = _with_jax(made_by)
    for number in _numbers(folder):
        path, elsewhere = folder.absolute() / str(number), None
        with explained(path):
            path = path if path.exists() else path.with_suffix(SUFFIX)
        try:
            loaded, reason = _loaded(path, like, made)
            if not reason:
                return loaded
        except Exception as error:  # whatever a damaged file makes the library raise
            reason, elsewhere = f"is damaged ({error})", _fault_elsewhere(error, path)
        if elsewhere is not None:  # raised here, so that it keeps nothing in memory
            raise elsewhere
        try:
            place = f"it is now {set_aside(path).name}"
        except InputError as error:
            place = f"it stays there ({error})"
        said = f"checkpoint {path} {reason}; {place}"
        warnings.warn(f"{said}; going back to the one before it, or to the beginning", stacklevel=2)
    return None


def _loaded(path: Path, like: Any, made: Mapping[str, str]) -> tuple[Any, str]:
    """What a checkpoint holds, and why it cannot be used; empty where it can."""
    if path.suffix == SUFFIX:
        loaded, maker = load_alone(path, like)
        return loaded, _differences(maker, made)
    with _ONE_AT_A_TIME:
        from orbax.checkpoint import v1 as ocp

        (path / _METADATA).read_bytes()  # the library hides that the disk refuses it
        if reason := _differences((ocp.metadata(path).custom_metadata or {}).get(_MADE_BY), made):
            return None, reason
        loaded = ocp.load(path, {"tree": like, "content": _content(like, made)})
    is_whole = np.array_equal(loaded["content"], _content(loaded["tree"], made))
    return loaded["tree"], "" if is_whole else "is damaged (its content hash does not hold)"


def _fault_elsewhere(error: Exception, path: Path) -> Exception | None:
    """The cause of an error that is none of the file: memory does not suffice, or the disk refuses to read."""
    cause: BaseException | None = error
    while isinstance(cause, Exception):
        if is_out_of_memory(cause):
            return cause
        told = _REFUSAL.search(str(cause))
        number = cause.errno if isinstance(cause, OSError) else int(told[1]) if told else None
        if number is not None and number not in _OF_DAMAGE:
            refused = OSError(number, os.strerror(number), str(path))
            return refusal(refused) or refused
        cause = cause.__cause__ or cause.__context__
    return None


def _with_jax(made_by: Mapping[str, str]) -> dict[str, str]:
    return {**made_by, "JAX": jax.__version__}


def _differences(found: Mapping[str, str] | None, made: Mapping[str, str]) -> str:
    """What another maker had that this one has not, in words; empty where both are the same."""
    if found is None:
        return "is damaged, or of an earlier version (it does not say who made it)"
    told = [
        f"another {name} ({found.get(name, 'not said')}, not {made.get(name, 'said')})"
        for name in {**made, **found}
        if found.get(name) != made.get(name)
    ]
    return f"was made with {' and '.join(told)}" if told else ""


def _check_room(probe: Path, size: int) -> None:
    """Raises OSError where no folder can be made, for which the library waits for minutes, or the disk is too full."""
    probe.mkdir(parents=True, exist_ok=True)
    probe.rmdir()
    if shutil.disk_usage(probe.parent).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextlib.contextmanager
def _refusals_of_disk(path: Path) -> Iterator[None]:
    """Raises what a disk refuses as OSError: the library hides it in a ValueError, after a log of many pages."""
    log = logging.getLogger("absl")

    def is_shown(record: logging.LogRecord) -> bool:
        return not _REFUSAL.search(record.getMessage())

    log.addFilter(is_shown)
    try:
        yield
    except ValueError as error:
        shutil.rmtree(path.with_name(f"{path.name}.orbax-checkpoint-tmp"), ignore_errors=True)
        if (found := _REFUSAL.search(str(error))) is None:
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1]))) from error
    finally:
        log.removeFilter(is_shown)


def _numbers(folder: Path) -> list[int]:
    """Finished checkpoints, newest first."""
    names = {path.name.removesuffix(SUFFIX) for path in folder.glob("*")}
    return sorted((int(name) for name in names if name.isdecimal()), reverse=True)


def _content(tree: Any, made: Mapping[str, str]) -> np.ndarray:
    digest = hashlib.sha256(json.dumps(made, sort_keys=True).encode())
    for leaf in jax.tree.leaves(tree):
        is_key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        digest.update(np.asarray(jax.random.key_data(leaf) if is_key else leaf).tobytes())
    return np.frombuffer(digest.digest(), np.uint8).copy()
