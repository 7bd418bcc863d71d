"""How far a results folder is, told from the names and times of its files."""

import contextlib
import csv
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segjax.sweeps.plan import last_opening
from segjax.sweeps.results import FAILED, FIRST_COLUMNS, VALUE_COLUMNS, ended_trials
from segjax.sweeps.trials import readable

SHOWN_FAILURES = 20
RECENT = 20  # trials by which the pace is measured at least: those of a pack end together


@dataclass(frozen=True)
class Progress:
    """How far a study is.

    Attributes:
        done: trials with results.
        failed: trials that failed and have none.
        total: trials of the study, as it was last opened, or all that have ended where these are more; None where
            that is not known.
        failures: files of tracebacks of the trials that failed last and have no results, the newest first.
        seconds: between two trials that ended, over the last ones of all processes; None before the second one.
    """

    done: int
    failed: int
    total: int | None
    failures: tuple[Path, ...]
    seconds: float | None

    @property
    def left(self) -> float | None:
        """Seconds until the rest is done at this pace; None where that is not known."""
        if self.total is None or self.seconds is None:
            return None
        return max(self.total - self.done - self.failed, 0) * self.seconds


def progress_of(folder: Path) -> Progress:
    """Count the trials of a results folder; costs one listing.

    Raises:
        InputError: the folder cannot be read.
    """
    times = ended_trials(folder)
    failed = sorted((name for name in times if name.endswith(FAILED)), key=lambda name: -times[name])
    last = sorted(times.values())[-max(RECENT, len(times) // 2) :]
    seconds = (last[-1] - last[0]) / (len(last) - 1) / 1e9 if len(last) > 1 else None
    total = (last_opening(folder) or {}).get("trials")
    total = total and max(total, len(times))
    return Progress(len(times) - len(failed), len(failed), total, _tracebacks(folder, failed[:SHOWN_FAILURES]), seconds)


def _tracebacks(folder: Path, failed: Sequence[str]) -> tuple[Path, ...]:
    """Those of trials, by the names of their files; of an earlier failure, which is tried again, one may be left."""
    order = {}
    for index, name in enumerate(failed):
        with (
            contextlib.suppress(OSError, csv.Error),  # taken away just now, or damaged
            (folder / "trials" / name).open(encoding="utf-8", errors="replace", newline="") as file,
        ):
            for row in itertools.islice(csv.reader(file), 1, 2):
                order[readable(row[len(FIRST_COLUMNS) : -len(VALUE_COLUMNS)])] = index
    there = {path: path.stem.rpartition("_")[0] for path in (folder / "failures").glob("*.txt")}
    return tuple(sorted((path for path in there if there[path] in order), key=lambda path: order[there[path]]))
