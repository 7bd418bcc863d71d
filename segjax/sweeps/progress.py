"""How far a results folder is, told from the names and times of its files."""

from dataclasses import dataclass
from pathlib import Path

from segjax.sweeps.plan import last_opening
from segjax.sweeps.results import FAILED, ended_trials

RECENT = 20  # trials by which the pace is measured at least: those of a pack end together


@dataclass(frozen=True)
class Progress:
    """How far a study is.

    Attributes:
        done: trials with results.
        failed: trials that failed and have none.
        total: trials of the study, as it was last opened; None where that is not known.
        seconds: between two trials that ended, over the last ones of all processes; None before the second one.
    """

    done: int
    failed: int
    total: int | None
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
    failed = sum(name.endswith(FAILED) for name in times)
    last = sorted(times.values())[-max(RECENT, len(times) // 2) :]
    seconds = (last[-1] - last[0]) / (len(last) - 1) / 1e9 if len(last) > 1 else None
    return Progress(len(times) - failed, failed, (last_opening(folder) or {}).get("trials"), seconds)
