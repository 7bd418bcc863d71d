"""Several processes of one command on this machine: started, shown in one view, stopped together, one exit code."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from experiments.harness.start import LEFT_TO_OTHERS, REQUEUE_ME, SOME_FAILED
from segjax.interruption import Stopped, check, later
from segjax.types import InputError

SHOWN_LINES = 15  # of the log of a process that failed
POLL_SECONDS = 0.2
ALL_ENDED = (SOME_FAILED, 0)  # exit codes of a process that saw no trial left; the first says more
HEADLINE_SECONDS = 5.0
_FINISHED_TRIAL = re.compile(r"\[\d+/\d+\] ")  # how a study's line of a finished trial begins


@dataclass(frozen=True)
class Place:
    """Where one process runs.

    Attributes:
        name: for people.
        processors: those that it may use.
        variables: of its environment, which show it its device.
    """

    name: str
    processors: frozenset[int]
    variables: Mapping[str, str]


class Worker:
    """A process in its place, and what it has printed in this run.

    Attributes:
        number: from 1.
        path: its log, to which earlier runs may have printed.
        last: the last line that it printed.
        trials: how many it has finished.
        code: its exit code, 128 + N where signal N ended it; None while it runs.
    """

    def __init__(self, number: int, command: Sequence[str], place: Place, folder: Path) -> None:
        """Start it.

        Raises:
            InputError: the log cannot be written.
        """
        self.number, self.place, self.path = number, place, folder / f"process-{number}.log"
        self.last, self.trials = "", 0
        self.code: int | None = None
        self._rest = b""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            log = self.path.open("ab")
        except OSError as error:
            raise InputError(f"out: cannot write in {folder} ({error.strerror}); choose another folder") from error
        own = os.sched_getaffinity(0)
        with log:
            self._reader = self.path.open("rb")
            self._reader.seek(0, os.SEEK_END)
            self._begin = self._reader.tell()
            os.sched_setaffinity(0, place.processors)  # a process inherits this from the one that starts it
            try:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **place.variables},
                    start_new_session=True,  # so that Ctrl-C reaches it once, through this process
                )
            finally:
                os.sched_setaffinity(0, own)

    def look(self) -> list[str]:
        """The lines that came since the last look, an unfinished one only at the end; whether it runs, in `code`."""
        ended = self._process.poll()
        *whole, self._rest = (self._rest + self._reader.read()).split(b"\n")
        if ended is not None:
            self.code = 128 - ended if ended < 0 else ended
            whole, self._rest = [*whole, *([self._rest] if self._rest else [])], b""
            self._reader.close()
        lines = [line.decode(errors="replace").rstrip() for line in whole]
        self.trials += sum(_FINISHED_TRIAL.match(line) is not None for line in lines)
        self.last = next((line for line in reversed(lines) if line), self.last)
        return lines

    def end_of_log(self) -> list[str]:
        """The last lines of this run."""
        return self.path.read_bytes()[self._begin :].decode(errors="replace").splitlines()[-SHOWN_LINES:]

    def send(self, kind: signal.Signals) -> None:
        """Send it a signal, where it still runs."""
        self._process.send_signal(kind)

    def end(self) -> None:
        """Ask it to end, and wait until it has."""
        self._process.terminate()
        self._process.wait()
        self._reader.close()


def run_all(
    command: Sequence[str],
    spread: Sequence[Place],
    logs: Path,
    headline: Callable[[], str] = str,
    console: Console | None = None,
) -> int:
    """Run the command once per place until all have ended.

    What process I prints is added to `logs`/process-I.log. On a terminal a table shows what each of them does;
    elsewhere their lines are printed with their number in front. A signal that asks this process to stop goes to all
    of them, and their end is waited for; so does another one after it.

    Args:
        headline: a line about all of them, for the table.
        console: where to show them; None for the standard output.

    Returns:
        As `code_of_all` says.

    Raises:
        InputError: the logs cannot be written.
        Stopped: a signal asked for it, and all have ended.
    """
    workers: list[Worker] = []
    with later():  # a stop is looked for between two looks, so that no process is left behind
        try:
            for number, place in enumerate(spread, 1):
                workers.append(Worker(number, command, place, logs))
                print(f"process {number}: {place.name}, log {workers[-1].path}", flush=True)
            with _View(workers, headline, console or Console(highlight=False)) as view:
                try:
                    while any(worker.code is None for worker in workers):
                        check()
                        view.look()
                except Stopped as stopped:
                    _stop(view, stopped.signal)
                    raise
        finally:
            for worker in workers:
                if worker.code is None:
                    worker.end()
    codes = [worker.code or 0 for worker in workers]
    code, early = code_of_all(codes), sum(code not in (*ALL_ENDED, LEFT_TO_OTHERS) for code in codes)
    if code in ALL_ENDED and early:
        print(f"{early} of {len(codes)} processes ended early; the others did all that was left", flush=True)
    return code


def code_of_all(codes: Sequence[int]) -> int:
    """The exit code of several processes of one study.

    Where one says that all trials have ended, that is so, whatever became of the others. Else a failure of its own kind
    counts most, then that one asks to be queued again, then that all left trials to others.
    """
    others = [code for code in codes if code not in (*ALL_ENDED, REQUEUE_ME, LEFT_TO_OTHERS)]
    return next(code for code in (*ALL_ENDED, *others, REQUEUE_ME, LEFT_TO_OTHERS) if code in codes)


def _stop(view: "_View", kind: signal.Signals) -> None:
    """Pass a signal on to all that run and show what they print until they have ended, at every signal anew."""
    while running := [worker for worker in view.workers if worker.code is None]:
        for worker in running:
            worker.send(kind)
        try:
            while any(worker.code is None for worker in running):
                view.look()
        except Stopped:  # asked once more
            continue


class _View:
    """What several processes do, for people."""

    def __init__(self, workers: Sequence[Worker], headline: Callable[[], str], console: Console) -> None:
        self.workers = workers
        self._headline, self._said, self._next = headline, "", 0.0
        self._told: set[tuple[str, ...]] = set()
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> "_View":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.update(self._table(), refresh=True)
            self._live.stop()

    def look(self) -> None:
        """After a short while, show what is new."""
        time.sleep(POLL_SECONDS)
        for worker in self.workers:
            if worker.code is not None:
                continue
            lines = worker.look()
            if not self._live and lines:
                front = f"{worker.number:>{len(str(len(self.workers)))}}| "
                print("".join(f"{front}{line}\n" for line in lines), end="", flush=True)
            if worker.code not in (None, 0, LEFT_TO_OTHERS):
                self._tell_end(worker)
        if self._live:
            self._live.update(self._table(), refresh=True)

    def _tell_end(self, worker: Worker) -> None:
        print(f"process {worker.number} ended with exit code {worker.code}; see {worker.path}", file=sys.stderr)
        lines = tuple(worker.end_of_log())
        if self._live and lines not in self._told:
            print("\n".join(f"    {line}" for line in lines), file=sys.stderr)
        self._told.add(lines)

    def _table(self) -> Table:
        if (began := time.monotonic()) >= self._next:
            self._said = self._headline()
            took = time.monotonic() - began  # which grows with the study
            self._next = began + max(HEADLINE_SECONDS, 20 * took)
        table = Table(title=self._said, title_justify="left", expand=True)
        table.add_column("process", justify="right", no_wrap=True)
        table.add_column("on", no_wrap=True)
        table.add_column("trials", justify="right", no_wrap=True)
        table.add_column("now", no_wrap=True, overflow="ellipsis", ratio=1)
        for worker in self.workers:
            line = "".join(letter if letter.isprintable() else " " for letter in worker.last)
            is_well = worker.code in (0, LEFT_TO_OTHERS)
            ended = "ended: " if is_well else f"ended with exit code {worker.code}: "
            now = line if worker.code is None else f"{ended}{line}"
            table.add_row(str(worker.number), worker.place.name, str(worker.trials), Text(now))
        return table
