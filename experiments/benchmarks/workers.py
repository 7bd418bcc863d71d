"""Do idle workers on one results folder do each trial once, and how long does a trial take them?

    python -m experiments.benchmarks.workers DIR --workers 50 --trials 500 --kills 10

All are forked from one process and begin at the same moment. Every trial takes `--seconds`, and whoever begins one adds
a line to DIR/begun. Some are killed (SIGKILL) on the way, every other one just after it has begun a trial. Prints what
was found as JSON: trials per second, and which trials were begun again after a kill (`again`), were begun again
although nobody who had begun them was killed (`twice`), have no rows (`missing`), rows more than once (`doubled`), or
rows of another worker than the last that began them (`by_another`); and which workers ended badly without a kill.
"""

import contextlib
import io
import json
import os
import random
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from segjax.sweeps import Ledger, Outcome, Row, run_trials

PLAN = {"study": "nothing", "data": "x", "fingerprint": "a" * 16, "facts": {}, "sources": {}}
PLAN["opening"] = {"code": "b" * 8, "commit": "c"}


@dataclass(frozen=True)
class Trial:
    number: int


@dataclass(frozen=True)
class Options:
    out: Annotated[Path, tyro.conf.Positional]
    """A new folder."""
    workers: int = 50
    """Number of processes."""
    trials: int = 500
    """Number of trials."""
    kills: int = 0
    """Number of processes to kill."""
    seconds: float = 0.02
    """Duration of a trial in seconds."""
    seed: int = 0
    """Seed that chooses which processes are killed, and when."""


def work(out: Path, worker: int, trials: Sequence[Trial], seconds: float) -> None:
    """One worker: the missing trials, as every study runs them; a row's value is the number of the worker."""
    begun = os.open(out / "begun", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def run(taken: Sequence[Trial], on_share: Callable[[float], None]) -> Iterator[tuple[int, Outcome]]:
        for index, trial in enumerate(taken):
            os.write(begun, f"{trial.number} {worker}\n".encode())
            time.sleep(seconds)
            yield index, Outcome([Row("dice_pooled", worker)], "done")

    with Ledger(out, Trial, PLAN) as ledger:
        run_trials(trials, run, ledger, lambda trial: "", Console(file=io.StringIO()))


def fork(body: Callable[[], None]) -> int:
    """A process that does `body` and ends, with 1 where it raised."""
    if process := os.fork():
        return process
    code = 1
    try:
        body()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def begun_by(out: Path) -> list[tuple[int, int]]:
    """Trial and worker of every beginning, in their order."""
    with contextlib.suppress(FileNotFoundError):
        lines = (out / "begun").read_text(encoding="utf-8").splitlines()
        return [(int(trial), int(worker)) for trial, worker in map(str.split, lines)]
    return []


def start(options: Options, trials: Sequence[Trial]) -> list[int]:
    """The processes of all workers, which begin when the last of them is there."""
    options.out.mkdir(parents=True, exist_ok=True)
    gate, opener = os.pipe()

    def body(worker: int) -> None:
        os.close(opener)
        os.read(gate, 1)  # ends when the parent closes its side
        work(options.out, worker, trials, options.seconds)

    processes = [fork(lambda worker=worker: body(worker)) for worker in range(options.workers)]
    os.close(opener)
    os.close(gate)
    return processes


def kill_some(options: Options, processes: Sequence[int]) -> set[int]:
    """Kill workers spread over the first three quarters of the trials; returns which."""
    chance, killed = random.Random(options.seed), set[int]()
    for moment in sorted(chance.uniform(0, 0.75 * options.trials) for _ in range(options.kills)):
        while len(begun := begun_by(options.out)) <= moment:
            time.sleep(0.002)
        living = [worker for worker in range(options.workers) if worker not in killed]
        last = begun[-1][1]
        victim = last if len(killed) % 2 and last in living else chance.choice(living)
        os.kill(processes[victim], signal.SIGKILL)
        killed.add(victim)
    return killed


def contend(options: Options) -> dict[str, float | list[int]]:
    """Let the workers loose and look at what they did."""
    trials = [Trial(number) for number in range(options.trials)]
    begin = time.monotonic()
    processes = start(options, trials)
    killed = kill_some(options, processes)
    codes = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]
    seconds = time.monotonic() - begin
    beginners: dict[int, list[int]] = {trial.number: [] for trial in trials}
    for number, worker in begun_by(options.out):
        beginners[number].append(worker)
    with Ledger(options.out, Trial, PLAN) as ledger:
        table = ledger.table()
    made = table[table["metric"] == "dice_pooled"]
    rows, again = Counter(made["number"]), [number for number, those in beginners.items() if len(those) > 1]
    return {
        "trials_per_second": round(options.trials / seconds, 2),
        "killed": sorted(killed),
        "again": [number for number in again if killed.issuperset(beginners[number][:-1])],
        "twice": [number for number in again if not killed.issuperset(beginners[number][:-1])],
        "missing": [trial.number for trial in trials if not rows[trial.number]],
        "doubled": [number for number, count in rows.items() if count > 1],
        "by_another": [row.number for row in made.itertuples() if beginners[row.number][-1] != row.value],
        "ended_badly": [worker for worker, code in enumerate(codes) if code and worker not in killed],
    }


def main() -> None:
    print(json.dumps(contend(tyro.cli(Options, description=__doc__))))


if __name__ == "__main__":
    main()
