"""Results of a study as plain files: `plan.json` says what belongs here, `results.csv` grows cell by cell.

Several processes, also of several machines, may work in one folder. They meet in its file `.lock`: byte 0 is locked
while results are read or written, and a byte per cell, placed by its fingerprint, while it is worked on. The system
frees the locks of a process that dies.
"""

import contextlib
import csv
import fcntl
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from segjax.sweeps.cells import Cell, fingerprint
from segjax.types import InputError

LAST_METRIC = "restarts"  # every cell's last row: its presence says that the cell's rows are whole
VALUE_COLUMNS = ("picture", "metric", "value", "status")


class Ledger:
    """The results folder of one study; a process opens it once, since locks of one process do not exclude each other.

    Attributes:
        out: the folder; `plan.json` and `results.csv` lie in it.
        columns: `study`, the factors of the cells, then picture, metric, value, status.
    """

    def __init__(self, out: Path, study: str, factors: Sequence[str], plan: Mapping[str, Any]) -> None:
        """Open or begin a results folder; cells that failed before may be tried again.

        Args:
            plan: JSON values; its "fingerprint" must be that of the results already there.

        Raises:
            InputError: the folder cannot be written or locked, or holds results of another configuration.
        """
        self.out, self.study = out, study
        self.columns = ("study", *factors, *VALUE_COLUMNS)
        try:
            out.mkdir(parents=True, exist_ok=True)
            self._lock = (out / ".lock").open("a+")
        except OSError as error:
            raise InputError(f"out: cannot write in {out} ({error.strerror}); choose another folder") from error
        try:
            with self._locked(fcntl.LOCK_EX):
                self._check_plan(plan)
                self._mend()
                self._drop_failed()
                _write_atomically(self.out / "plan.json", f"{json.dumps(plan, indent=1)}\n".encode())
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
            return pd.read_csv(
                self.path, dtype={"picture": str}, keep_default_na=False, na_values={"value": ["", "nan"]}
            )

    def missing(self, cells: Iterable[Cell]) -> list[Cell]:
        """Cells without results; one that failed is missing only when the folder is opened again."""
        table = self.table()
        ended = table[table["metric"] == LAST_METRIC]
        done = {tuple(row) for row in ended[list(self._factors)].itertuples(index=False)}
        return [cell for cell in cells if tuple(cell[name] for name in self._factors) not in done]

    def claim(self, cell: Cell) -> bool:
        """Take a cell for this process, until it is released or the process ends.

        Returns:
            False where another process works on the cell, or has finished it.
        """
        try:
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _byte_of(cell))
        except (BlockingIOError, PermissionError):  # POSIX allows either for a lock that is held
            return False
        if self.missing([cell]):
            return True
        self.release(cell)
        return False

    def release(self, cell: Cell) -> None:
        """Give a claimed cell back."""
        fcntl.lockf(self._lock, fcntl.LOCK_UN, 1, _byte_of(cell))

    def append(self, cell: Cell, rows: Sequence[Mapping[str, object]], restarts: int, status: str) -> None:
        """Add a cell's rows (metric, value and, but for pooled rows, picture) in one write, its last row at the end.

        Raises:
            InputError: the disk is full or the file cannot be written; rows already there stay.
        """
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, restval="", lineterminator="\n")
        for row in (*rows, {"metric": LAST_METRIC, "value": restarts}):
            writer.writerow({"study": self.study, **dict(cell.factors), "status": status, **row})
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

    @property
    def _factors(self) -> tuple[str, ...]:
        return self.columns[1 : -len(VALUE_COLUMNS)]

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

    def _check_plan(self, plan: Mapping[str, Any]) -> None:
        path = self.out / "plan.json"
        if not path.exists():
            if self.path.exists():
                raise InputError(f"out: {self.path} has no plan.json beside it; choose another folder")
            return
        try:
            old = json.loads(path.read_text())
        except ValueError as error:
            raise InputError(f"out: {path} is not readable ({error}); choose another folder") from error
        if old.get("fingerprint") != plan["fingerprint"]:
            known = old.get("facts", {})
            changed = [name for name, value in plan.get("facts", {}).items() if known.get(name) != value]
            raise InputError(
                f"out: {self.out} holds results of another configuration (differing in "
                f"{', '.join(changed) or 'its data'}); choose another folder or the options they were made with"
            )

    def _mend(self) -> None:
        """Cut off the rows of a cell whose process was killed while it wrote them; byte 0 is locked."""
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

    def _is_last_row(self, line: bytes) -> bool:
        fields = next(csv.reader([line.decode(errors="replace")]))
        return len(fields) == len(self.columns) and line.endswith(b"\n") and fields[-3] == LAST_METRIC

    def _drop_failed(self) -> None:
        """Forget failed cells, so that they are missing; byte 0 is locked."""
        if not self.path.exists():
            return
        lines = self.path.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if not line.endswith(b",failed\n")]
        if len(kept) != len(lines):
            _write_atomically(self.path, b"".join(kept))


def _byte_of(cell: Cell) -> int:
    """Where in the lock file a cell's byte is: from 1 to 2 ** 60, the same in every process."""
    return 1 + int(fingerprint(dict(cell.factors))[:15], 16)


def _write_atomically(path: Path, content: bytes) -> None:
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(content)
    temporary.replace(path)
