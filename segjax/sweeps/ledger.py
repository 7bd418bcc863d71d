"""The results folder of a study: one file per ended trial, which several processes write, also of several machines.

    plan.json, openings/, code/     what belongs here, and who worked here (`plan.py`)
    trials/KEY.csv                  the rows of a trial with results, sealed
    trials/KEY.failed               those of one that failed; failures/TRIAL.txt has its traceback
    results.parquet, results.csv    the tables that are made of these files (`merging.py`)
    .claims                         who works on what (`segjax.claims`)

The truth about a trial is its file. Neither a claim nor an ended trial costs more where there are more of them.
"""

import contextlib
import os
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd

from segjax.claims import Claims, holders
from segjax.files import PATIENCE, explained, write_file
from segjax.sweeps.merging import collect, merge
from segjax.sweeps.plan import check_plan, notes_of_openings, open_plan, read_plan
from segjax.sweeps.results import DONE, FAILED, Row, columns_of, ended_names, trial_text
from segjax.sweeps.slices import told
from segjax.sweeps.trials import AnyTrial, Trial, described, file_stem, trial_key
from segjax.types import InputError

BETWEEN_LISTINGS = 20  # times as long as a listing takes


class Ledger:
    """The results folder of one study; a process opens it once.

    Attributes:
        out: the folder.
        columns: `study`, `data`, the factors of the trials, then picture, metric, value, status, code.
    """

    def __init__(
        self,
        out: Path,
        trial: type[Any],
        plan: Mapping[str, Any],
        accept_code: bool = False,
        retry_failed: bool = False,
    ) -> None:
        """Open or begin a results folder.

        Args:
            trial: the class of the study's trials.
            plan: JSON values: "study", "data", "fingerprint", "facts" (the options that decide numbers, and digests of
                the data; those of results already there must be the same), "sources" (hashes of the files of this
                code), and "opening", which has "code" and "commit"; it is noted with whatever else the plan has.
            accept_code: go on where the results were made by other code.
            retry_failed: trials that failed before are missing. Where the opening has a "request", which the processes
                of an array share, only the first with it does so, and without one none while others work here.

        Raises:
            InputError: the folder cannot be written, or holds results of another configuration, code or version; those
                stay as they are.
        """
        self.out = out
        self._types = {field.name: field.type for field in fields(trial)}
        self.columns = columns_of(self._types)
        self._code: str = plan["opening"]["code"]
        self._plan = told(lambda: self._opened(plan, accept_code, retry_failed))
        check_plan(out, self._plan, plan)  # in a slice process 0 may have been given other options
        self._claims = Claims(out)
        self._ended, self._listed, self._cost = set[str](), 0.0, 0.0  # at the last listing: when, and what it took

    def _opened(self, plan: Mapping[str, Any], accept_code: bool, retry_failed: bool) -> dict[str, Any]:
        """Open the plan, and forget the failed trials where that is asked for and was not before."""
        kept = self._why_failed_stay(plan["opening"].get("request")) if retry_failed else ""
        there = open_plan(self.out, plan, accept_code)
        failed = [name for name in ended_names(self.out) if name.endswith(FAILED)] if retry_failed else []
        if failed and kept:
            warnings.warn(f"retry_failed: {len(failed)} failed trials are not tried again: {kept}", stacklevel=4)
            return there
        for name in failed:
            with explained(self.out):
                (self.out / "trials" / name).unlink(missing_ok=True)
        return there

    def _why_failed_stay(self, request: str | None) -> str:
        """Why failed trials are not tried again, lest each of many processes tries one that always fails."""
        if request:
            is_noted = any(note.get("request") == request for note in notes_of_openings(self.out))
            return f"{request} has asked for it before; submit a new job to try them once more" if is_noted else ""
        is_shared = any(not holder.is_stale for holder in holders(self.out))
        return f"others work in {self.out}; give --retry-failed again when they have ended" if is_shared else ""

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self._claims.close()

    @property
    def path(self) -> Path:
        """The results file."""
        return self.out / "results.csv"

    def table(self, trials: Iterable[Trial] = ()) -> pd.DataFrame:
        """Write `results.csv` and `results.parquet`, and give the rows of all trials that have ended.

        Args:
            trials: all of the study: rows stand in this order, whoever made them when.

        Raises:
            InputError: a trial's file belongs to another configuration; or the tables cannot be written.
        """
        return merge(self.out, self._types, self._plan, self._claims, trials)

    def missing(self, trials: Iterable[AnyTrial]) -> list[AnyTrial]:
        """Trials that have neither results nor failed, in one listing."""
        began = time.monotonic()
        self._ended = _ended_keys(self.out)
        self._listed, self._cost = time.monotonic(), time.monotonic() - began
        return [trial for trial in trials if trial_key(trial) not in self._ended]

    def failed(self, trials: Iterable[AnyTrial]) -> list[AnyTrial]:
        """Trials that failed and have no results."""
        return failed_in(self.out, trials)

    def claim(self, trial: Trial) -> bool:
        """Take a trial for this process, until it is released or the process ends.

        Returns:
            False where another process works on the trial, or has finished it.

        Raises:
            InputError: the folder cannot be written, or is not there any more.
        """
        if trial_key(trial) in self._ended:
            return False
        self._check_place()
        if not self._claims.take(file_stem(trial)):
            return False
        with contextlib.suppress(OSError):  # a network disk asks anew what is in a folder when that is opened
            os.close(os.open(self.out / "trials", os.O_RDONLY))
        if self._has_ended(trial):  # since the last listing
            self.release(trial)
            self._look()
            return False
        return True

    def release(self, trial: Trial) -> None:
        """Give a claimed trial back."""
        self._claims.release(file_stem(trial), done=self._has_ended(trial))

    def doubt_others(self) -> None:
        """Know no process of another machine to be alive until it gives another sign of life."""
        self._claims.doubt()

    def is_left_to_others(self, trial: Trial) -> bool:
        """Whether a process that is known to be alive works on a trial."""
        return self._claims.is_known_alive(file_stem(trial))

    def append(self, trial: Trial, rows: Sequence[Row], restarts: int, status: str, traceback: str = "") -> None:
        """Write the results of a trial; where the disk is full, wait for room.

        Args:
            status: "ok", "collapsed", "diverged" or "failed".
            traceback: of a failed trial.

        Raises:
            InputError: the disk stays full, or the file cannot be written; results already there stay.
        """
        self._check_place()
        failure, failed = failure_file(self.out, trial), self._file(trial, FAILED)
        text = trial_text(self._plan, trial, rows, restarts, status, self._code)
        if status == "failed":
            write_file(failure, f"{described(trial)}\n\n{traceback}\n", PATIENCE)
            write_file(failed, text, PATIENCE)
            return
        write_file(self._file(trial, DONE), text, PATIENCE)
        with explained(failed):
            failed.unlink(missing_ok=True)
            failure.unlink(missing_ok=True)

    def _look(self) -> None:
        """See what others have done, where that takes little of all the time.

        To ask for a file that is not there yet would be cheaper, but on a network disk the answer would be believed for
        half a minute.
        """
        if time.monotonic() - self._listed > BETWEEN_LISTINGS * self._cost:
            self.missing(())

    def _check_place(self) -> None:
        if not (self.out / "plan.json").exists():
            raise InputError(
                f"{self.out}: was removed or moved while this process worked in it; give the same command again with "
                "the folder's new place as --out"
            )

    def _file(self, trial: Trial, end: str) -> Path:
        return self.out / "trials" / f"{trial_key(trial)}{end}"

    def _has_ended(self, trial: Trial) -> bool:
        return any(self._file(trial, end).exists() for end in (DONE, FAILED))


def missing_in(folder: Path, trials: Iterable[AnyTrial]) -> list[AnyTrial]:
    """Trials that have neither results in a folder nor failed, in one listing."""
    ended = _ended_keys(folder)
    return [trial for trial in trials if trial_key(trial) not in ended]


def _ended_keys(folder: Path) -> set[str]:
    return {name[:16] for name in ended_names(folder)}


def failed_in(folder: Path, trials: Iterable[AnyTrial]) -> list[AnyTrial]:
    """Trials that failed and have no results in a folder."""
    names = ended_names(folder)
    failed = {name[:16] for name in names if name.endswith(FAILED)} - {n[:16] for n in names if n.endswith(DONE)}
    return [trial for trial in trials if trial_key(trial) in failed]


def read_failed(folder: Path, trial: type[AnyTrial]) -> list[AnyTrial]:
    """All failed trials of a results folder.

    Args:
        trial: the class of the study's trials.

    Raises:
        InputError: there are no results in the folder, or they are not understood.
    """
    types: dict[str, Any] = {field.name: field.type for field in fields(trial)}
    rows = collect(folder, types, read_plan(folder))
    failed = rows.loc[rows["status"] == "failed", list(types)].drop_duplicates()
    return [trial(**{name: types[name](value) for name, value in row.items()}) for row in failed.to_dict("records")]


def failure_file(folder: Path, trial: Trial) -> Path:
    """Where the traceback of a failed trial is."""
    return folder / "failures" / f"{file_stem(trial)}.txt"
