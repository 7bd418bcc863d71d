"""What happens to workers on a cluster: signals, cancelled tasks, requeues, kills, nodes that go down."""

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from segjax.claims import holders
from tests.integration.slurm_cluster import Cluster, processes_of, wait_until

PATIENCE = 120  # seconds
MOST_HELD = 8  # trials: four workers with packs of two
LONGEST_PAUSE = 0.7  # seconds between finding a worker and doing something to it: about as long as a training takes


@dataclass(frozen=True)
class Worker:
    """A process that works on trials in a task of an array.

    Attributes:
        process: its number on this machine.
        task: its name, ARRAY_INDEX; not the number of its job, which for one of the tasks means the whole array.
        index: of the task in its array.
        node: where it runs.
    """

    process: int
    task: str
    index: str
    node: str


@dataclass(frozen=True)
class Sweep:
    """A study on a cluster: the batch script of its workers, and its results folder."""

    cluster: Cluster
    script: Path
    out: Path

    def submit(self, tasks: str) -> None:
        """Submit these tasks of the array, such as 1-4 or 3."""
        self.cluster.command("sbatch", f"--array={tasks}", str(self.script))

    def done(self) -> int:
        """How many trials are finished."""
        return len(list((self.out / "trials").glob("*.csv")))

    def at_work(self) -> list[Worker]:
        """Processes of the cluster that hold claims on trials, and that nothing has ended yet."""
        running = {str(task) for task in self.cluster.queue() if task.state == "RUNNING"}
        holding, found = {holder.pid for holder in holders(self.out) if not holder.is_stale}, []
        for process in processes_of(self.cluster.folder):
            with contextlib.suppress(OSError):  # it has just ended
                status = Path(f"/proc/{process}/status").read_text()
                told = Path(f"/proc/{process}/environ").read_text().split("\0")
                # a process of another namespace knows itself by the last of its numbers
                numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()
                facts = dict(line.split("=", 1) for line in told if "=" in line)
                if int(numbers[-1]) in holding and "SLURM_ARRAY_TASK_ID" in facts:
                    index = facts["SLURM_ARRAY_TASK_ID"]
                    task = f"{facts['SLURM_ARRAY_JOB_ID']}_{index}"
                    found.append(Worker(process, task, index, facts["SLURMD_NODENAME"]))
        return [worker for worker in found if worker.task in running]

    def states(self, worker: Worker) -> set[str]:
        """The state of a worker's task; none where it is not in the queue."""
        return {task.state for task in self.cluster.queue() if str(task) == worker.task}


def terminate(sweep: Sweep, worker: Worker) -> None:
    """Somebody asks the process to end; the user submits its task again."""
    sweep.cluster.command("scancel", "--batch", "--signal=TERM", worker.task)
    sweep.submit(worker.index)


def warn(sweep: Sweep, worker: Worker) -> None:
    """SLURM warns, as before the time limit; the worker puts its task back into the queue."""
    sweep.cluster.command("scancel", "--batch", "--signal=USR1", worker.task)


def cancel(sweep: Sweep, worker: Worker) -> None:
    """The user cancels a task, which then must not queue itself again, and submits it anew."""
    sweep.cluster.command("scancel", worker.task)
    wait_until(lambda: not sweep.states(worker) & {"RUNNING", "COMPLETING"}, PATIENCE, lambda: f"{worker} goes on")
    assert not sweep.states(worker), f"{worker} was cancelled, and has queued itself again"
    sweep.submit(worker.index)


def requeue(sweep: Sweep, worker: Worker) -> None:
    """The user or an administrator puts a task back into the queue."""
    sweep.cluster.command("scontrol", "requeue", worker.task)


def kill(sweep: Sweep, worker: Worker) -> None:
    """The system kills the process, as where memory is short; the user submits the task again."""
    os.kill(worker.process, signal.SIGKILL)
    sweep.submit(worker.index)


def lose_node(sweep: Sweep, worker: Worker) -> None:
    """The node goes down, and comes back."""
    sweep.cluster.command("scontrol", "update", f"nodename={worker.node}", "state=down", "reason=test")
    time.sleep(LONGEST_PAUSE)
    sweep.cluster.command("scontrol", "update", f"nodename={worker.node}", "state=resume")


Fault = Callable[[Sweep, Worker], None]
FAULTS: Sequence[Fault] = (terminate, warn, cancel, requeue, kill, lose_node)


def disturb(sweep: Sweep, faults: Sequence[Fault], trials: int, draw: random.Random) -> Counter[str]:
    """Do faults to workers that hold claims, at moments that are drawn, one after the other, while trials are left.

    Args:
        trials: how many the study has.

    Returns:
        How often each fault ended a worker that would have gone on: there were trials left that nobody held.

    Raises:
        AssertionError: no worker comes to work for a long time, or one does not end.
    """
    hits: Counter[str] = Counter()
    ended: set[int] = set()
    for fault in faults:
        if trials - sweep.done() <= MOST_HELD:
            break
        worker = draw.choice(_found(sweep, ended, draw))
        fault(sweep, worker)
        wait_until(
            lambda process=worker.process: process not in processes_of(sweep.cluster.folder),
            PATIENCE,
            lambda worker=worker, fault=fault: f"{fault.__name__} did not end {worker}: {sweep.cluster.queue()}",
        )
        ended.add(worker.process)
        hits[fault.__name__] += trials - sweep.done() > MOST_HELD
    return hits


def _found(sweep: Sweep, ended: set[int], draw: random.Random) -> list[Worker]:
    """Workers at work, after a pause that is drawn."""

    def others() -> list[Worker]:
        return [worker for worker in sweep.at_work() if worker.process not in ended]

    while True:
        wait_until(others, PATIENCE, lambda: f"nobody works: {sweep.cluster.queue()}")
        time.sleep(draw.uniform(0, LONGEST_PAUSE))
        if found := others():
            return sorted(found, key=lambda worker: worker.node)
