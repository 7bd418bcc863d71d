"""Show how far a study is, who works on it and what failed. It only reads, so it may run beside the workers.

python -m launch.status runs/x --watch 30 --page
"""

import contextlib
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import tyro
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from experiments.harness.start import run_command
from segjax.claims import Holder, holders
from segjax.files import explained
from segjax.interruption import check, later
from segjax.reports.page import write_status
from segjax.sweeps.pace import in_words
from segjax.sweeps.plan import study_of
from segjax.sweeps.progress import Progress, progress_of
from segjax.types import InputError

SHOWN = 20  # rows of a table
PAGE_SECONDS = 60  # after which a page looks for a newer one, where no --watch says otherwise
KEY_LETTERS = 9  # "_" and the digits at the end of a claim's name, which tell trials apart whose names were cut
LEFT = "Left by processes that have died; the next worker takes what is unfinished"
NOT_BEGUN = "No worker has begun yet."


@dataclass(frozen=True)
class StatusConfig:
    """Show how far a study is: trials that are done, running, failed or abandoned, the longest running first."""

    folder: tyro.conf.Positional[Path]
    """The --out folder of the study, or a copy of it."""
    watch: float | None = None
    """Number of seconds between looks, until all trials have ended."""
    page: bool = False
    """Write status.html in the folder. A browser reloads it by itself, and --watch keeps it up to date."""


@dataclass(frozen=True)
class Status:
    """A study's folder at one moment.

    Attributes:
        study: its name.
        progress: counts and pace.
        running: a table of the processes that hold trials: host, process, trial, time, last sign; the longest first.
        stale: the same of processes that have died.
        failures: a table of trials that failed: trial, reason, file with the traceback; the newest first.
        workers: number of living processes.
    """

    study: str
    progress: Progress
    running: pd.DataFrame
    stale: pd.DataFrame
    failures: pd.DataFrame
    workers: int

    @property
    def is_over(self) -> bool:
        """Whether every trial has ended and no process works on the tables."""
        return self.progress.total == self.progress.done + self.progress.failed and not self.workers

    def sentence(self) -> str:
        """Counts and time left, for people."""
        progress = self.progress
        said = f"{progress.done} of {'?' if progress.total is None else progress.total} trials done"
        said += f", {progress.failed} failed" if progress.failed else ""
        if self.is_over:
            return said
        if not self.workers:
            return f"{said}; no process is working on the rest"
        working = "1 process works" if self.workers == 1 else f"{self.workers} processes work"
        left = "time left not known yet" if progress.left is None else f"about {in_words(progress.left)} left"
        return f"{said}; {working}, {left}"

    def tables(self) -> dict[str, pd.DataFrame]:
        """What is worth a look, by heading."""
        found = {
            "Running, the longest first": self.running,
            LEFT: self.stale,
            "Failed, the newest first": self.failures,
        }
        if self.is_over:  # what a dead process had finished, it could no longer give back
            found.pop(LEFT)
        return {heading: table for heading, table in found.items() if len(table)}


def main() -> None:
    """Parse, look, show; again and again where asked to."""
    config = tyro.cli(StatusConfig, prog="python -m launch.status")
    if config.watch is not None and not 0.1 <= config.watch <= 86400:
        raise InputError(f"watch: must be from 0.1 to 86400 seconds, not {config.watch:g}")
    console = Console(highlight=False)
    if config.watch is None:
        console.print(rendered(looked_at(config)), soft_wrap=not console.is_terminal)
    elif console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            watch(config, lambda shown: live.update(shown, refresh=True))
    else:
        watch(config, lambda shown: console.print(shown, soft_wrap=True))


def watch(config: StatusConfig, show: Callable[[RenderableType], None]) -> None:
    """Look and show until all trials have ended."""
    assert config.watch is not None
    with later():
        while True:
            status = looked_at(config)
            show(rendered(status))
            if status is not None and status.is_over:
                return
            until = time.monotonic() + config.watch
            while (left := until - time.monotonic()) > 0:
                check()
                time.sleep(min(left, 0.2))


def looked_at(config: StatusConfig) -> Status | None:
    """The status now, also as a page where asked for; None where nothing has begun that is waited for.

    Raises:
        InputError: the folder is not that of a study, or the page cannot be written.
    """
    if config.watch is not None and config.folder.is_dir() and not (config.folder / "plan.json").exists():
        return None
    status = status_of(config.folder)
    if config.page:
        write_status(
            config.folder / "status.html",
            title=status.study,
            sentence=status.sentence(),
            done=status.progress.done,
            failed=status.progress.failed,
            total=status.progress.total,
            tables=status.tables(),
            seconds=round(config.watch or PAGE_SECONDS),
        )
    return status


def headline(folder: Path) -> str:
    """One line on how far a study is, whatever the state of its folder."""
    if not (folder / "plan.json").exists():
        return NOT_BEGUN
    try:
        return _status(folder, "").sentence()
    except InputError as error:
        return str(error)


def status_of(folder: Path) -> Status:
    """How far a study is; costs a listing of the openings, one of the trials and one of the claims; writes nothing.

    Raises:
        InputError: the folder is not that of a study, or cannot be read.
    """
    return _status(folder, study_of(folder))


def _status(folder: Path, study: str) -> Status:
    with explained(folder):
        found, progress = holders(folder), progress_of(folder)
    running = [one for one in found if not one.is_stale]
    return Status(
        study=study,
        progress=progress,
        running=processes(running),
        stale=processes([one for one in found if one.is_stale]),
        failures=reasons(progress.failures),
        workers=len({(one.host, one.pid) for one in running}),
    )


def processes(found: Sequence[Holder]) -> pd.DataFrame:
    """A row per process, the one that holds a trial longest first."""
    held: dict[tuple[str, int], list[Holder]] = {}
    for one in sorted(found, key=lambda one: -one.held):
        held.setdefault((one.host, one.pid), []).append(one)
    rows = []
    for (host, pid), claims in held.items():
        first, more = claims[0], f" and {len(claims) - 1} more" if len(claims) > 1 else ""
        sign = "suspended" if is_suspended(first) else f"{in_words(first.age)} ago"
        rows.append((host or "unknown", pid or "unknown", trial_of(first.name) + more, in_words(first.held), sign))
    return pd.DataFrame(rows, columns=["machine", "process", "trial", "for", "last sign of life"])


def is_suspended(one: Holder) -> bool:
    """Whether a process of this machine was stopped, by SIGSTOP or Ctrl-Z: it lives, holds its trials, does nothing."""
    with contextlib.suppress(OSError):  # it has ended just now
        state = (
            Path(f"/proc/{one.pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
        )
        return one.host == socket.gethostname() and state == "T"
    return False


def trial_of(claim: str) -> str:
    """What a claim is about, for people: the factors of a trial, or the tables that one process writes for all."""
    return "writes the tables" if claim == "results" else claim[:-KEY_LETTERS].replace("_", " ")


def reasons(tracebacks: Sequence[Path]) -> pd.DataFrame:
    """Of the files of failed trials: what the trial is, and the last line of the traceback."""
    rows = []
    for path in tracebacks:
        with contextlib.suppress(FileNotFoundError):  # the trial was done again just now
            lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines() or [""]
            rows.append((lines[0], lines[-1], f"failures/{path.name}"))
    return pd.DataFrame(rows, columns=["trial", "reason", "traceback"])


def rendered(status: Status | None) -> RenderableType:
    """A status for the terminal."""
    if status is None:
        return Text(NOT_BEGUN)
    parts: list[RenderableType] = [Text(f"{status.study}: {status.sentence()}", style="bold")]
    if status.progress.total:
        bar = ProgressBar(total=status.progress.total, completed=status.progress.done, width=60)
        parts.append(Padding(bar, 0))  # which ends its line
    for heading, frame in status.tables().items():
        table = Table(title=heading, title_justify="left", title_style="bold")
        for column in frame.columns:
            table.add_column(column, overflow="fold")
        for row in frame.head(SHOWN).itertuples(index=False):
            table.add_row(*(Text(str(cell)) for cell in row))
        if len(frame) > SHOWN:
            table.caption = f"and {len(frame) - SHOWN} more"
        parts.append(table)
    return Group(*parts)


if __name__ == "__main__":
    run_command(main)
