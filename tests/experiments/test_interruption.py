"""A real process of study 1 is killed, and stopped, in the middle of its grid; nothing is lost and nothing differs."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SEEDS = 4
TINY = [
    "--scale", "smoke", "--data", "microscope:hl60?size=sixth&volumes=4&slices=1&crop=48", "--networks", "msd",
    "--sizes.msd-depth", "1", "--train.epochs", "2", "--errors", "omission", "bias", "--seeds", str(SEEDS),
]  # fmt: skip
CELLS = 3 * SEEDS
PATIENCE = 300  # seconds


def start(out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "experiments.annotation_errors", *TINY, "--out", str(out)]
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        command, cwd=root, env=os.environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )  # fmt: skip


def rows(out: Path) -> list[str]:
    path = out / "results.csv"
    return sorted(path.read_text().splitlines()) if path.exists() else []


def finished(out: Path) -> int:
    return sum(",restarts," in line for line in rows(out))


def interrupt(out: Path, sign: signal.Signals) -> tuple[int, str]:
    """Start, send the signal once a further cell is finished; exit code and what was said on standard error."""
    before = finished(out)
    process = start(out)
    try:
        limit = time.monotonic() + PATIENCE
        while finished(out) == before and process.poll() is None and time.monotonic() < limit:
            time.sleep(0.005)
        process.send_signal(sign)
        return process.returncode or process.wait(PATIENCE), process.communicate()[1]
    finally:
        process.kill()


@pytest.fixture
def whole(tmp_path):
    """The same study without any interruption, running beside the test."""
    process = start(tmp_path / "whole")
    yield process
    process.kill()
    process.communicate()


def test_a_killed_study_goes_on_and_ends_with_the_same_rows(whole, tmp_path):
    broken = tmp_path / "broken"
    code, _ = interrupt(broken, signal.SIGKILL)
    assert code == -signal.SIGKILL
    once = finished(broken)
    assert 1 <= once < CELLS

    code, said = interrupt(broken, signal.SIGTERM)
    assert code == 130
    assert "stopped; what is finished is kept, and the same command goes on from there" in said
    assert "Traceback" not in said
    twice = finished(broken)
    assert once < twice < CELLS

    last = start(broken)
    said, errors = last.communicate(timeout=PATIENCE)
    assert last.returncode == 0, errors
    assert f"{twice} of {CELLS} cells are done already; {CELLS - twice} to do" in said
    assert whole.wait(PATIENCE) == 0
    assert rows(broken) == rows(tmp_path / "whole")
    assert finished(broken) == CELLS
