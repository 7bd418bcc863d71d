"""Results of a study as plain files: `plan.json` says what belongs here, `results.csv` grows trial by trial.

Several processes, also of several machines, may work in one folder. They meet in its file `.lock`: byte 0 is locked
while results are read or written, and a byte per trial, placed by its fingerprint, while it is worked on. The system
frees the locks of a process that dies.
"""

import contextlib
import csv
import fcntl
import io
import itertools
import json
import os
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from segjax.files import explained, read_json, write_file
from segjax.sweeps.results import FIRST_COLUMNS, LAST_METRIC, VALUE_COLUMNS, Results, parse_results
from segjax.sweeps.trials import AnyTrial, Trial, factors_of, fingerprint
from segjax.types import InputError

PRECISION = ".6g"  # of every value of every study
_PLAN = {"study": str, "data": str, "fingerprint": str, "facts": dict, "sources": dict, "openings": list}


class Row(NamedTuple):
    """One value of a trial; `picture` is empty where pictures are pooled."""

    metric: str
    value: float
    picture: str = ""


class Ledger:
    """The results folder of one study; a process opens it once, since locks of one process do not exclude each other.

    Attributes:
        out: the folder; `plan.json` and `results.csv` lie in it.
        columns: `study`, `data`, the factors of the trials, then picture, metric, value, status, code.
    """

    def __init__(self, out: Path, trial: type[Any], plan: Mapping[str, Any], accept_code: bool = False) -> None:
        """Open or begin a results folder; trials that failed before may be tried again.

        Args:
            trial: the class of the study's trials.
            plan: JSON values: "study", "data", "fingerprint", "facts" (the options that decide numbers, and digests of
                the data; those of results already there must be the same), "sources" (hashes of the files of this
                code), and "opening", which has "code" and "commit" and joins the plan's list of openings.
            accept_code: go on where the results were made by other code.

        Raises:
            InputError: the folder cannot be written or locked, holds results of another configuration or code, or
                results that are not understood; those stay as they are.
        """
        self.out = out
        self._code: str = plan["opening"]["code"]
        self._known: tuple[Any, Results] | None = None
        self._types = {field.name: field.type for field in fields(trial)}
        self.columns = (*FIRST_COLUMNS, *self._types, *VALUE_COLUMNS)
        self._header = ",".join(self.columns) + "\n"
        with explained(out):
            out.mkdir(parents=True, exist_ok=True)
            self._lock = (out / ".lock").open("ab+")
        try:
            with self._locked(fcntl.LOCK_EX):
                old = self._check_plan(plan, accept_code)
                kept = {name: value for name, value in plan.items() if name != "opening"}
                kept["data"] = old.get("data", plan["data"])  # the same pictures may have another name now
                kept["sources"] = {**old.get("sources", {}), self._code: plan["sources"]}
                kept["openings"] = [*old.get("openings", ()), plan["opening"]]
                self._plan: dict[str, Any] = kept
                self._mend()
                self._drop_failed()
                write_file(self.out / "plan.json", f"{json.dumps(kept, indent=1)}\n")
        except BaseException:
            self._lock.close()
            raise

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    @property
    def path(self) -> Path:
        """The results file."""
        return self.out / "results.csv"

    def table(self) -> pd.DataFrame:
        """The rows of all trials so far, those of other processes among them.

        Raises:
            InputError: another program has changed the file so that it is not understood; names the line.
        """
        with self._locked(fcntl.LOCK_SH):
            return self._results().frame.copy()

    def missing(self, trials: Iterable[AnyTrial]) -> list[AnyTrial]:
        """Trials without results; one that failed is missing only when the folder is opened again."""
        table = self.table()
        ended = table[table["metric"] == LAST_METRIC]
        done = {tuple(row) for row in ended[list(self._types)].itertuples(index=False)}
        return [trial for trial in trials if tuple(factors_of(trial).values()) not in done]

    def claim(self, trial: Trial) -> bool:
        """Take a trial for this process, until it is released or the process ends.

        Returns:
            False where another process works on the trial, or has finished it.
        """
        try:
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte_of(trial))
        except (BlockingIOError, PermissionError):  # POSIX allows either for a lock that is held
            return False
        if self.missing([trial]):
            return True
        self.release(trial)
        return False

    def release(self, trial: Trial) -> None:
        """Give a claimed trial back."""
        fcntl.lockf(self._lock, fcntl.LOCK_UN, 1, byte_of(trial))

    def append(self, trial: Trial, rows: Sequence[Row], restarts: int, status: str) -> None:
        """Add a trial's rows in one write, its last row at the end.

        Raises:
            InputError: the disk is full, or the file cannot be written or is not understood; rows already there stay.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        first, factors = [self._plan[name] for name in FIRST_COLUMNS], factors_of(trial).values()
        for row in (*rows, Row(LAST_METRIC, restarts)):
            value = format(float(row.value), PRECISION)
            writer.writerow((*first, *factors, row.picture, row.metric, value, status, self._code))
        with self._locked(fcntl.LOCK_EX):
            self._mend()
            self._write(text.getvalue())

    def _write(self, text: str) -> None:
        before = self._results().text
        header = "" if before.strip() else self._header
        gap = "" if before.endswith(("\n", "\r")) or not before else "\n"
        size = self.path.stat().st_size if self.path.exists() else 0
        try:
            with explained(self.path), self.path.open("ab") as file:
                file.write((gap + header + text).encode())
                file.flush()
                os.fsync(file.fileno())
        except InputError:
            if self.path.exists():
                os.truncate(self.path, size)
            raise

    def _results(self) -> Results:
        """The results file as it is now; byte 0 is locked."""
        now = self.path.stat() if self.path.exists() else None
        state = (now.st_ino, now.st_size, now.st_mtime_ns) if now else None
        if self._known is None or self._known[0] != state:
            if (self.out / "plan.json").exists():  # a process with other code may have joined
                self._plan["sources"].update(read_plan(self.out)["sources"])
            known = self._known[1] if self._known else None
            self._known = state, parse_results(self.path, self._types, self._plan, known)
        return self._known[1]

    @contextlib.contextmanager
    def _locked(self, kind: int) -> Iterator[None]:
        try:
            fcntl.lockf(self._lock, kind, 1, 0)
        except OSError as error:
            raise InputError(
                f"out: {self.out} lies on a file system without file locks ({error.strerror}); choose another folder"
            ) from error
        try:
            yield
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN, 1, 0)

    def _check_plan(self, plan: Mapping[str, Any], accept_code: bool) -> dict[str, Any]:
        """The plan that is there, empty where there is none."""
        if not (self.out / "plan.json").exists():
            if self.path.exists():
                raise InputError(f"out: {self.path} has no plan.json beside it; choose another folder")
            return {}
        old = read_plan(self.out)
        if old["study"] != plan["study"]:
            raise InputError(f"out: {self.out} holds results of the study {old['study']}; choose another folder")
        facts = json.loads(json.dumps(plan["facts"]))
        # earlier versions noted how the data were spelled; their digest says which they are
        known = {name: value for name, value in old["facts"].items() if name in facts or name != "data"}
        if changed := _differences(known, facts):
            if known.get("digest") != facts.get("digest"):
                changed += _differences({"data": old["data"]}, {"data": plan["data"]})
            raise InputError(
                f"out: {self.out} holds results of another configuration ({'; '.join(changed)}); choose another "
                "folder or the options they were made with"
            )
        before, now = old["openings"][-1], plan["opening"]
        if before["code"] != now["code"] and not accept_code and self.path.exists():
            then, own = old["sources"][before["code"]], plan["sources"]
            differing = sorted(name for name in {*then, *own} if then.get(name) != own.get(name))
            raise InputError(
                f"out: {self.out} holds results of other code (commit {before['commit']}, this is {now['commit']}; "
                f"differing in {', '.join(differing)}); choose another folder, or go on with --accept-code"
            )
        return old

    def _mend(self) -> None:
        """Cut off the rows of a trial whose process was killed while it wrote them, after a copy; byte 0 is locked."""
        found = self._results()
        if found.torn is None:
            return
        kept = next(path for path in map(self._copy_name, itertools.count(1)) if not path.exists())
        with explained(kept):
            shutil.copyfile(self.path, kept)
        write_file(self.path, found.text[: found.torn])
        warnings.warn(
            f"{self.path}: a process was stopped while it wrote a trial, whose rows were cut off; the trial is done "
            f"again; the file as it was is {kept}",
            stacklevel=2,
        )

    def _copy_name(self, number: int) -> Path:
        return self.path.with_name(f"results.uncut-{number}.csv")

    def _drop_failed(self) -> None:
        """Forget failed trials, so that they are missing; byte 0 is locked."""
        found = self._results()
        failed = (found.frame["status"] == "failed").tolist()
        if any(failed):
            kept = (found.text[start:end] for (start, end), gone in zip(found.starts, failed, strict=True) if not gone)
            whole = (text if text.endswith(("\n", "\r")) else f"{text}\n" for text in kept)
            write_file(self.path, self._header + "".join(whole))


def read_results(folder: Path, types: Mapping[str, Any], plan: Mapping[str, Any]) -> pd.DataFrame:
    """The rows of all whole trials in a results folder: text stays text, and a value that is unknown is NaN.

    Args:
        types: of the factors, by name.
        plan: that of the folder.

    Raises:
        InputError: the file is not understood; names its line.
    """
    return parse_results(folder / "results.csv", types, plan).frame


def read_plan(folder: Path, needed: Mapping[str, type | tuple[type, ...]] = {}) -> dict[str, Any]:
    """The plan of a results folder.

    Args:
        needed: what it must have besides what every plan has, with the types.

    Raises:
        InputError: there is none, it cannot be read, or it was written by a version whose results this one cannot read.
    """
    path = folder / "plan.json"
    if not path.exists():
        raise InputError(f"{folder}: there is no plan.json; name the --out folder of a study")
    what, remedy = "the plan of a study", "bring back a copy of it, or choose another folder"
    plan = read_json(path, what, {}, remedy)
    if plan and "openings" not in plan:
        raise InputError(
            f"out: {folder} was written by an earlier version; check out its commit, {plan.get('commit', 'unknown')}, "
            "to read it, or choose another folder"
        )
    plan = read_json(path, what, {**_PLAN, **needed}, remedy)
    last = plan["openings"][-1:]
    is_known = all(isinstance(one, dict) and {"code", "commit"} <= one.keys() for one in plan["openings"])
    if not (last and is_known and last[0]["code"] in plan["sources"]):
        raise InputError(f"{path}: is not {what} (its openings lack code or commit); {remedy}")
    return plan


def byte_of(trial: Trial) -> int:
    """Where in a lock file a trial's byte is: from 1 to 2 ** 60, the same in every process."""
    return 1 + int(fingerprint(factors_of(trial))[:15], 16)


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], above: str = "") -> list[str]:
    """Options whose values differ, with both values."""
    found = []
    for name in dict.fromkeys((*new, *old)):
        before, now = old.get(name), new.get(name)
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            found += _differences(before, now, f"{above}{name}.")
        elif before != now:
            found.append(f"{above}{name}: {_shown(before)} there, {_shown(now)} now")
    return found


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
