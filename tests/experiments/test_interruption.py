"""A real process of study 1 is killed, and stopped in a training; nothing is lost and nothing differs."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
SEEDS = 4
TINY = [
    "--scale", "smoke", "--data", "microscope:hl60?size=sixth&volumes=4&slices=1&crop=48", "--networks", "msd",
    "--sizes.msd-depth", "1", "--train.epochs", "2", "--errors", "omission", "bias", "--seeds", str(SEEDS),
]  # fmt: skip
TRIALS = 3 * SEEDS
PATIENCE = 300  # seconds
WAITING_AFTER_A_TRIAL = f"""
import runpy, time
from segjax.sweeps.ledger import Ledger
append = Ledger.append
Ledger.append = lambda *trial: (append(*trial), print("waiting", flush=True), time.sleep({PATIENCE}))
runpy.run_module("experiments.annotation_errors", run_name="__main__")
"""

WAITING_IN_A_TRAINING = f"""
import itertools, runpy, time
from segjax import interruption
from segjax.training.checkpoints import Checkpoints
save, number = Checkpoints.keep_where_due, itertools.count(1)

def waiting(*arguments):
    save(*arguments)
    if next(number) == 5:  # steps of several trainings, which take two epochs
        print("waiting", flush=True)
        ends = time.monotonic() + {PATIENCE}
        while interruption._request.kind is None and time.monotonic() < ends:
            time.sleep(0.01)

Checkpoints.keep_where_due = waiting
runpy.run_module("experiments.annotation_errors", run_name="__main__")
"""
TELLING_WHAT_IS_RESTORED = """
import runpy
from segjax.training import checkpoints
restore = checkpoints.restore_checkpoint

def telling(*arguments):
    found = restore(*arguments)
    if found is not None:
        print("restored after", int(found.epoch), "epochs and", int(found.steps), "steps")
    return found

checkpoints.restore_checkpoint = telling
runpy.run_module("experiments.annotation_errors", run_name="__main__")
"""


def start(out: Path, program: Sequence[str] = ("-m", "experiments.annotation_errors")) -> subprocess.Popen[str]:
    root = Path(__file__).parents[2]
    command = [sys.executable, *program, *TINY, "--out", str(out)]
    return subprocess.Popen(
        command, cwd=root, env=os.environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )  # fmt: skip


def finished(out: Path) -> int:
    return len(list((out / "trials").glob("*.csv")))


def interrupt(out: Path, sign: signal.Signals, program: str = WAITING_AFTER_A_TRIAL) -> tuple[int, str]:
    """Start, send the signal once the program waits; exit code and what was said on standard error."""
    process = start(out, ("-c", program))
    try:
        assert process.stdout is not None
        assert any(line == "waiting\n" for line in process.stdout), process.communicate()[1]
        process.send_signal(sign)
        return process.wait(PATIENCE), process.communicate()[1]
    finally:
        process.kill()


@pytest.fixture
def whole(tmp_path):
    """The same study without any interruption, running beside the test."""
    process = start(tmp_path / "whole")
    yield process
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_a_killed_study_goes_on_and_ends_with_the_same_rows(whole, tmp_path):
    broken = tmp_path / "broken"
    code, _ = interrupt(broken, signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert finished(broken) == 1

    code, said = interrupt(broken, signal.SIGTERM)
    assert code == 75
    assert "stopped by SIGTERM; what is finished is kept, and the same command continues from there" in said
    assert "Traceback" not in said
    assert finished(broken) == 2

    code, said = interrupt(broken, signal.SIGUSR1, WAITING_IN_A_TRAINING)
    assert code == 75
    assert "stopped by SIGUSR1; what" in said and "Traceback" not in said
    assert 2 <= (done := finished(broken)) < TRIALS and list(broken.glob("checkpoints/*/attempt-0/1"))

    last = start(broken, ("-c", TELLING_WHAT_IS_RESTORED))
    said, errors = last.communicate(timeout=PATIENCE)
    assert last.returncode == 0, errors
    assert re.search(r"restored after \d epochs and \d steps", said) and "checkpoint" not in errors
    assert f"{done} of {TRIALS} trials are done already; {TRIALS - done} to do" in said
    assert whole.wait(PATIENCE) == 0
    assert (broken / "results.csv").read_bytes() == (tmp_path / "whole" / "results.csv").read_bytes()
    assert finished(broken) == TRIALS
