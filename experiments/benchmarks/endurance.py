"""Do the memory and the open files of a process stay level over a thousand trials?

    python -m experiments.benchmarks.endurance

It runs study 1 with a network of one layer on tiny pictures, started as a user starts it. A row is written after every
tenth of the trials: `resident_mb` is the memory of the process (MB are 10^6 bytes), `open_files` and `threads` are
counts.
Needs Linux, for /proc.
"""

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import tyro

from experiments.benchmarks import timing
from experiments.benchmarks.timing import Row
from experiments.harness.start import run_command
from segjax.types import InputError

STUDY = (
    "-m", "experiments.annotation_errors", "--scale", "smoke", "--data",
    "microscope:hl60?size=sixth&volumes=4&slices=1&crop=48", "--networks", "msd", "--sizes.msd-depth", "1",
    "--train.epochs", "2", "--errors", "omission", "bias", "--strategy", "sequential",
)  # fmt: skip
TRIALS_OF_A_SEED = 3  # none, omission, bias
ROWS = 10
GLANCE = 0.02  # seconds between two looks


@dataclass(frozen=True)
class EnduranceOptions:
    trials: int = 1000
    """Number of trials."""
    checkpoint_every: str = "60s"
    """As in every study. With 1epochs, every training also saves a checkpoint."""
    out: Path = timing.RESULTS
    """Folder for the table, endurance.csv."""


def held(process: int) -> dict[str, float | int]:
    """What a process holds now."""
    folder = Path(f"/proc/{process}")
    status = dict(line.split(":", 1) for line in (folder / "status").read_text(encoding="utf-8").splitlines())
    return {
        "resident_mb": timing.rounded(int(status["VmRSS"].split()[0]) * 1024 / 1e6),
        "open_files": len(list((folder / "fd").iterdir())),
        "threads": int(status["Threads"]),
    }


def rows_of(trials: int, checkpoint_every: str, folder: Path) -> list[Row]:
    """One row after every tenth of the trials."""
    out, log = folder / "run", folder / "log.txt"
    changes = ("--seeds", str(-(-trials // TRIALS_OF_A_SEED)), "--checkpoint-every", checkpoint_every)
    command = [sys.executable, *STUDY, *changes, "--out", str(out)]
    rows: list[Row] = []
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        try:
            while len(rows) < ROWS:
                done = len(list((out / "trials").glob("*.csv")))
                if done >= (len(rows) + 1) * trials // ROWS:
                    rows.append({"trials": done, **held(process.pid)})
                elif process.poll() is not None:
                    raise InputError(f"the study ended after {done} trials: {log.read_text(encoding='utf-8')[-2000:]}")
                time.sleep(GLANCE)
        finally:
            process.terminate()
            process.wait()
    return rows


def main() -> None:
    def body() -> None:
        options = tyro.cli(EnduranceOptions, description=__doc__)
        if not sys.platform.startswith("linux"):
            raise InputError("memory: it is read from /proc, which only Linux has; run this on Linux")
        header = timing.header_of("endurance")
        with tempfile.TemporaryDirectory() as folder:
            rows = rows_of(options.trials, options.checkpoint_every, Path(folder))
        timing.report("endurance", header, rows, options.out)

    run_command(body)


if __name__ == "__main__":
    main()
