"""A stop that comes within a callback of the garbage collector, whose exceptions Python prints and drops."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import gc, os, signal
from experiments.harness.start import run_command
from segjax import interruption

def main():
    gc.callbacks.append(lambda phase, _: os.kill(os.getpid(), signal.SIGTERM) if phase == "start" else None)
    gc.collect()
    gc.callbacks.clear()
    interruption.check()

run_command(main)
"""


@pytest.mark.slow
def test_a_stop_within_the_garbage_collector_ends_the_command_without_a_traceback():
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, cwd=Path(__file__).parents[3], check=False
    )
    assert ended.returncode == 75, ended.stderr
    assert ended.stderr.startswith("stopped by SIGTERM"), ended.stderr
