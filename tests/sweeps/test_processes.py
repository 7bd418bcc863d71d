"""Several real processes in one results folder: every cell once, and nothing kept by the dead."""

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from segjax.sweeps import Ledger, cell

CELLS = [cell(network=network, level=level) for level in range(12) for network in ("unet", "msd")]
WORKER = """
import io, os, sys, time
from pathlib import Path
from rich.console import Console
from segjax.sweeps import Ledger, Outcome, cell, run_cells

out, pack, hold = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
cells = [cell(network=network, level=level) for level in range(12) for network in ("unet", "msd")]

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
        yield index, Outcome([{"metric": "dice_pooled", "value": os.getpid()}], "ok", 0, "fine")

with Ledger(out, "study", ("network", "level"), {"fingerprint": "a"}) as ledger:
    print("ready", flush=True)
    sys.stdin.readline()
    run_cells(cells, run, ledger, lambda one: str(one["network"]), Console(file=io.StringIO()), pack)
"""


def open_ledger(out):
    return Ledger(out, "study", ("network", "level"), {"fingerprint": "a"})


def start(out: Path, pack: int, hold: str = "") -> subprocess.Popen:
    command = [sys.executable, "-c", WORKER, str(out), str(pack), hold]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
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


@pytest.mark.parametrize("pack", [1, 5])
def test_processes_do_every_cell_exactly_once(tmp_path, pack):
    processes = [start(tmp_path, pack) for _ in range(3)]
    for process in processes:
        go(process)
    assert [end(process) for process in processes] == [0, 0, 0]
    assert Counter((tmp_path / "ran").read_text().splitlines()) == Counter(str(one) for one in CELLS)
    with open_ledger(tmp_path) as ledger:
        assert ledger.missing(CELLS) == []
        rows = ledger.table().query("metric == 'dice_pooled'")
    assert len(rows) == len(CELLS)
    assert len(set(rows["value"])) == 3


def test_a_claim_holds_against_others_and_ends_with_its_process(tmp_path):
    process = start(tmp_path, 2, "hold")
    go(process)
    assert process.stdout is not None and process.stdout.readline() == "holding\n"
    with open_ledger(tmp_path) as ledger:
        assert [ledger.claim(one) for one in CELLS[:4]] == [False, True, False, True]  # a pack of two U-Nets is held
        process.send_signal(signal.SIGKILL)
        end(process)
        assert ledger.claim(CELLS[0]) and ledger.claim(CELLS[2])
