"""Several real processes in one results folder: every trial once, and nothing kept by the dead."""

import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from segjax.sweeps import Ledger


@dataclass(frozen=True)
class Trial:
    network: str
    level: int


TRIALS = [Trial(network, level) for level in range(12) for network in ("unet", "msd")]
PLAN = {"study": "tiny", "data": "x", "fingerprint": "a", "facts": {}, "sources": {}}
PLAN["opening"] = {"code": "b", "commit": "c"}
WORKER = """
import io, os, sys, time
from pathlib import Path
from rich.console import Console
from segjax.sweeps import Ledger, Outcome, Row, run_trials
from test_processes import PLAN, TRIALS, Trial

out, pack, hold = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]

def run(taken, on_share):
    for index, one in enumerate(taken):
        with (out / "ran").open("a") as file:
            file.write(f"{one}\\n")
        if hold == "hold":
            print("holding", flush=True)
            time.sleep(600)
        (out / f"worker-{os.getpid()}").touch()
        while len(list(out.glob("worker-*"))) < 3:  # each has taken something
            time.sleep(0.01)
        yield index, Outcome([Row("dice_pooled", os.getpid())], "fine")

with Ledger(out, Trial, PLAN) as ledger:
    print("ready", flush=True)
    sys.stdin.readline()
    run_trials(TRIALS, run, ledger, lambda one: one.network, Console(file=io.StringIO()), pack)
"""


def open_ledger(out):
    return Ledger(out, Trial, PLAN)


def start(out: Path, pack: int, hold: str = "") -> subprocess.Popen:
    command = [sys.executable, "-c", WORKER, str(out), str(pack), hold]
    here = Path(__file__)
    environment = {**os.environ, "PYTHONPATH": f"{here.parents[2]}{os.pathsep}{here.parent}"}
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=environment
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def go(process: subprocess.Popen) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")


def end(process: subprocess.Popen) -> int:
    process.communicate(timeout=60)
    return process.returncode


@pytest.mark.slow
@pytest.mark.parametrize("pack", [1, 5])
def test_processes_do_every_trial_exactly_once(tmp_path, pack):
    processes = [start(tmp_path, pack) for _ in range(3)]
    for process in processes:
        go(process)
    assert [end(process) for process in processes] == [0, 0, 0]
    assert Counter((tmp_path / "ran").read_text().splitlines()) == Counter(str(one) for one in TRIALS)
    with open_ledger(tmp_path) as ledger:
        assert ledger.missing(TRIALS) == []
        rows = ledger.table().query("metric == 'dice_pooled'")
    assert len(rows) == len(TRIALS)
    assert len(set(rows["value"])) == 3


def test_a_claim_holds_against_others_and_ends_with_its_process(tmp_path):
    process = start(tmp_path, 2, "hold")
    go(process)
    assert process.stdout is not None and process.stdout.readline() == "holding\n"
    with open_ledger(tmp_path) as ledger:
        assert [ledger.claim(one) for one in TRIALS[:4]] == [False, True, False, True]  # a pack of two U-Nets is held
        process.send_signal(signal.SIGKILL)
        end(process)
        assert ledger.claim(TRIALS[0]) and ledger.claim(TRIALS[2])
