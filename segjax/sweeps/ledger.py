"""Results of a study as plain files: `plan.json` says what belongs here, `results.csv` grows trial by trial.

Several processes, also of several machines, may work in one folder. They meet in its file `.lock`: byte 0 is locked
while results are read or written, and a byte per trial, placed by its fingerprint, while it is worked on. The system
frees the locks of a process that dies.
"""

import contextlib
import csv
import fcntl
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from segjax.sweeps.trials import AnyTrial, Trial, factors_of, fingerprint
from segjax.types import InputError

LAST_METRIC = "restarts"  # every trial's last row: its presence says that the trial's rows are whole
FIRST_COLUMNS = ("study", "data")
VALUE_COLUMNS = ("picture", "metric", "value", "status", "code")
TEXT_COLUMNS = (*FIRST_COLUMNS, "replicate", "picture", "metric", "status", "code")
PRECISION = ".6g"  # of every value of every study


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
            plan: JSON values: "study", "data", "fingerprint" (that of results already there must be the same), "facts"
                (what the fingerprint covers), "sources" (hashes of the files of this code), and "opening", which has
                "code" and "commit" and joins the plan's list of openings.
            accept_code: go on where the results were made by other code.

        Raises:
            InputError: the folder cannot be written or locked, or holds results of another configuration or code.
        """
        self.out, self._study, self._data = out, plan["study"], plan["data"]
        self._code: str = plan["opening"]["code"]
        self._types = {field.name: field.type for field in fields(trial)}
        self.columns = (*FIRST_COLUMNS, *self._types, *VALUE_COLUMNS)
        try:
            out.mkdir(parents=True, exist_ok=True)
            self._lock = (out / ".lock").open("a+")
        except OSError as error:
            raise InputError(f"out: cannot write in {out} ({error.strerror}); choose another folder") from error
        try:
            with self._locked(fcntl.LOCK_EX):
                old = self._check_plan(plan, accept_code)
                self._mend()
                self._drop_failed()
                kept = {name: value for name, value in plan.items() if name != "opening"}
                kept["sources"] = {**old.get("sources", {}), self._code: plan["sources"]}
                kept["openings"] = [*old.get("openings", ()), plan["opening"]]
                _write_atomically(self.out / "plan.json", f"{json.dumps(kept, indent=1)}\n".encode())
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
        """All rows so far, those of other processes among them."""
        with self._locked(fcntl.LOCK_SH):
            if not self.path.exists() or self.path.stat().st_size == 0:
                return pd.DataFrame(columns=list(self.columns))
            return read_rows(self.path, self._types)

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
            InputError: the disk is full or the file cannot be written; rows already there stay.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        factors = factors_of(trial).values()
        for row in (*rows, Row(LAST_METRIC, restarts)):
            value = format(float(row.value), PRECISION)
            writer.writerow((self._study, self._data, *factors, row.picture, row.metric, value, status, self._code))
        with self._locked(fcntl.LOCK_EX):
            self._mend()
            self._write(text.getvalue())

    def _write(self, text: str) -> None:
        size = self.path.stat().st_size if self.path.exists() else 0
        header = "" if size else ",".join(self.columns) + "\n"
        try:
            with self.path.open("a") as file:
                file.write(header + text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            if self.path.exists():
                os.truncate(self.path, size)
            raise InputError(f"out: {self.path} could not be written ({error.strerror}); nothing is lost") from error

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
        if old["fingerprint"] != plan["fingerprint"]:
            known = old["facts"]
            changed = [name for name, value in plan["facts"].items() if known.get(name) != value]
            raise InputError(
                f"out: {self.out} holds results of another configuration (differing in "
                f"{', '.join(changed) or 'its data'}); choose another folder or the options they were made with"
            )
        before, now = old["openings"][-1], plan["opening"]
        if before["code"] != now["code"] and not accept_code and self.path.exists():
            known, own = old["sources"][before["code"]], plan["sources"]
            differing = sorted(name for name in {*known, *own} if known.get(name) != own.get(name))
            raise InputError(
                f"out: {self.out} holds results of other code (commit {before['commit']}, this is {now['commit']}; "
                f"differing in {', '.join(differing)}); choose another folder, or go on with --accept-code"
            )
        return old

    def _mend(self) -> None:
        """Cut off the rows of a trial whose process was killed while it wrote them; byte 0 is locked."""
        if not self.path.exists():
            return
        lines = self.path.read_bytes().splitlines(keepends=True)
        kept = len(lines)
        while kept > 1 and not self._is_last_row(lines[kept - 1]):
            kept -= 1
        if lines and not lines[0].endswith(b"\n"):
            kept = 0
        if kept < len(lines):
            os.truncate(self.path, sum(map(len, lines[:kept])))

    def _fields(self, line: bytes) -> dict[str, str]:
        parts = next(csv.reader([line.decode(errors="replace")]))
        return dict(zip(self.columns, parts, strict=True)) if len(parts) == len(self.columns) else {}

    def _is_last_row(self, line: bytes) -> bool:
        return line.endswith(b"\n") and self._fields(line).get("metric") == LAST_METRIC

    def _drop_failed(self) -> None:
        """Forget failed trials, so that they are missing; byte 0 is locked."""
        if not self.path.exists():
            return
        lines = self.path.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if self._fields(line).get("status") != "failed"]
        if len(kept) != len(lines):
            _write_atomically(self.path, b"".join(kept))


def read_plan(folder: Path) -> dict[str, Any]:
    """The plan of a results folder.

    Raises:
        InputError: there is none, it cannot be read, or it was written by a version whose results this one cannot read.
    """
    path = folder / "plan.json"
    if not path.exists():
        raise InputError(f"{folder}: there is no plan.json; name the --out folder of a study")
    try:
        plan = json.loads(path.read_text())
    except ValueError as error:
        raise InputError(f"out: {path} is not readable ({error}); choose another folder") from error
    if "openings" not in plan:
        raise InputError(
            f"out: {folder} was written by an earlier version; check out its commit, {plan.get('commit', 'unknown')}, "
            "to read it, or choose another folder"
        )
    return plan


def read_rows(path: Path, types: Mapping[str, Any]) -> pd.DataFrame:
    """The rows of a results file: text stays text, whatever it looks like, and a value that is missing is NaN.

    Args:
        types: of the factors.
    """
    header = pd.read_csv(path, nrows=0).columns
    kinds = {name: types.get(name, str if name in TEXT_COLUMNS else float) for name in header}
    exact = [name for name, kind in types.items() if kind is float]  # a factor read back finds its trial
    return pd.read_csv(
        path,
        dtype={name: kind for name, kind in kinds.items() if name not in exact},
        converters=dict.fromkeys(exact, float),
        keep_default_na=False,
        na_values={name: ["", "nan"] for name in header if name not in types and name not in TEXT_COLUMNS},
    )


def byte_of(trial: Trial) -> int:
    """Where in a lock file a trial's byte is: from 1 to 2 ** 60, the same in every process."""
    return 1 + int(fingerprint(factors_of(trial))[:15], 16)


def _write_atomically(path: Path, content: bytes) -> None:
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(content)
    temporary.replace(path)
