"""Results of a study as plain files: `plan.json` says what belongs here, `results.csv` grows cell by cell."""

import csv
import fcntl
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from segjax.sweeps.cells import Cell
from segjax.types import InputError

LAST_METRIC = "restarts"  # every cell's last row: its presence says that the cell's rows are whole
VALUE_COLUMNS = ("picture", "metric", "value", "status")


class Ledger:
    """The results folder of one study, locked by one process at a time.

    Attributes:
        out: the folder; `plan.json` and `results.csv` lie in it.
        columns: `study`, the factors of the cells, then picture, metric, value, status.
    """

    def __init__(self, out: Path, study: str, factors: Sequence[str], plan: Mapping[str, Any]) -> None:
        """Open or begin a results folder.

        Args:
            plan: JSON values; its "fingerprint" must be that of the results already there.

        Raises:
            InputError: the folder cannot be written, is in use, or holds results of another configuration.
        """
        self.out, self.study = out, study
        self.columns = ("study", *factors, *VALUE_COLUMNS)
        try:
            out.mkdir(parents=True, exist_ok=True)
            self._lock = (out / ".lock").open("w")
        except OSError as error:
            raise InputError(f"out: cannot write in {out} ({error.strerror}); choose another folder") from error
        try:
            self._take(plan)
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
        """All rows so far."""
        if not self.path.exists():
            return pd.DataFrame(columns=list(self.columns))
        return pd.read_csv(self.path, dtype={"picture": str}, keep_default_na=False, na_values={"value": ["", "nan"]})

    def missing(self, cells: Iterable[Cell]) -> list[Cell]:
        """Cells without results; a failed one counts as missing."""
        table = self.table()
        ended = table[(table["metric"] == LAST_METRIC) & (table["status"] != "failed")]
        done = {tuple(row) for row in ended[list(self._factors)].itertuples(index=False)}
        return [cell for cell in cells if tuple(cell[name] for name in self._factors) not in done]

    def append(self, cell: Cell, rows: Sequence[Mapping[str, object]], restarts: int, status: str) -> None:
        """Add a cell's rows (metric, value and, but for pooled rows, picture) in one write, its last row at the end.

        Raises:
            InputError: the disk is full or the file cannot be written; rows already there stay.
        """
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, restval="", lineterminator="\n")
        if not self.path.exists():
            writer.writeheader()
        for row in (*rows, {"metric": LAST_METRIC, "value": restarts}):
            writer.writerow({"study": self.study, **dict(cell.factors), "status": status, **row})
        size = self.path.stat().st_size if self.path.exists() else 0
        try:
            with self.path.open("a") as file:
                file.write(text.getvalue())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            if self.path.exists():
                os.truncate(self.path, size)
            raise InputError(f"out: {self.path} could not be written ({error.strerror}); nothing is lost") from error

    @property
    def _factors(self) -> tuple[str, ...]:
        return self.columns[1 : -len(VALUE_COLUMNS)]

    def _take(self, plan: Mapping[str, Any]) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(
                f"out: another run is writing in {self.out}; wait for it or choose another folder"
            ) from error
        self._check_plan(plan)
        self._drop_unfinished()
        _write_atomically(self.out / "plan.json", json.dumps(plan, indent=1) + "\n")

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

    def _drop_unfinished(self) -> None:
        """Forget rows of a cell that was being written when the process was killed, and of failed cells."""
        if not self.path.exists():
            return
        lines = self.path.read_text().splitlines(keepends=True)
        kept, pending = lines[:1], []
        for line in lines[1:]:
            pending.append(line)
            fields = next(csv.reader([line]))
            if len(fields) == len(self.columns) and line.endswith("\n") and fields[-3] == LAST_METRIC:
                kept += pending if fields[-1] != "failed" else []
                pending = []
        if len(kept) != len(lines):
            _write_atomically(self.path, "".join(kept))


def _write_atomically(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text)
    temporary.replace(path)
