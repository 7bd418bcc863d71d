"""Several processes of one command: how they are started, shown, stopped, and what their exit codes say together."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from launch.workers import Place, code_of_all, run_all
from segjax.types import InputError

USABLE = frozenset(os.sched_getaffinity(0))
ROOT = Path(__file__).parents[2]


def python(code: str) -> list[str]:
    return [sys.executable, "-c", f"import os, signal, sys, time\n{code}"]


def places(*names: str) -> list[Place]:
    """Places that differ in a variable WHO."""
    return [Place(f"place {name}", USABLE, {"WHO": name}) for name in names]


def test_lines_go_to_logs_and_are_shown_with_the_number_of_their_process(tmp_path, capfd):
    code = "print('I am', os.environ['WHO'], sorted(os.sched_getaffinity(0))); print('no line feed', end='')"
    for _ in range(2):  # a second run adds to the logs and shows only its own output
        assert run_all(python(code), places("a", "b"), tmp_path / "logs") == 0
        shown = capfd.readouterr().out
        assert "process 1: place a, log " in shown
        own = sorted(line for line in shown.splitlines() if "|" in line)
        assert own == [
            f"1| I am a {sorted(USABLE)}",
            "1| no line feed",
            f"2| I am b {sorted(USABLE)}",
            "2| no line feed",
        ]
    assert (tmp_path / "logs" / "process-2.log").read_text() == f"I am b {sorted(USABLE)}\nno line feed" * 2


def test_the_processors_of_a_place_are_all_that_its_process_sees(tmp_path):
    processor = min(USABLE)
    place = Place("one", frozenset({processor}), {})
    assert run_all(python("print(os.sched_getaffinity(0))"), [place], tmp_path) == 0
    assert (tmp_path / "process-1.log").read_text() == f"{{{processor}}}\n"


@pytest.mark.parametrize(("ending", "code"), [("sys.exit('the disk is full')", 1), ("os.kill(os.getpid(), 9)", 137)])
def test_a_failure_is_told_and_passed_on_and_the_others_go_on(tmp_path, capfd, ending, code):
    program = f"if os.environ['WHO'] == 'b': {ending}\ntime.sleep(1); print('done'); sys.exit(4)"
    assert run_all(python(program), places("a", "b", "c"), tmp_path) == code
    told = capfd.readouterr()
    assert f"process 2 ended with exit code {code}; see {tmp_path / 'process-2.log'}" in told.err
    assert ("2| the disk is full" in told.out) == (code == 1)
    assert "1| done" in told.out and (tmp_path / "process-3.log").read_text() == "done\n"


def test_where_the_others_have_done_all_a_killed_process_is_told_and_all_is_well(tmp_path, capfd):
    program = "if os.environ['WHO'] == 'b': os.kill(os.getpid(), 9)"
    assert run_all(python(program), places("a", "b"), tmp_path) == 0
    told = capfd.readouterr()
    assert "process 2 ended with exit code 137" in told.err
    assert "1 of 2 processes ended early; the others did all that was left" in told.out


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ([0, 0], 0),
        ([4, 0, 4], 0),  # what one left to others, another has finished
        ([4, 4], 4),
        ([0, 3, 4], 3),
        ([137, 0, 4], 0),  # what a killed one had begun, another has finished
        ([3, 75, 0], 3),
        ([3, 75, 137, 2], 3),
        ([4, 75, 137, 2], 137),
        ([4, 75], 75),
        ([1], 1),
        ([130, 75], 130),
    ],
)
def test_one_exit_code_says_what_all_together_came_to(codes, code):
    assert code_of_all(codes) == code_of_all([*codes, *codes]) == code


def test_only_ends_that_matter_are_told(tmp_path, capfd):
    program = "sys.exit({'a': 0, 'b': 4, 'c': 3}[os.environ['WHO']])"
    assert run_all(python(program), places("a", "b", "c"), tmp_path) == 3
    said = capfd.readouterr().err
    assert said == f"process 3 ended with exit code 3; see {tmp_path / 'process-3.log'}\n"


def test_a_terminal_shows_a_table_of_all(tmp_path, capfd):
    program = (
        "print('[3/8] seed 0: Dice 0.9; 5 min left'); print('[bold]\\x1b[31mnow ' + os.environ['WHO'], flush=True)\n"
        "sys.exit('bad' if os.environ['WHO'] == 'b' else 4)"
    )
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, color_system=None)
    assert run_all(python(program), places("a", "b"), tmp_path, lambda: "3 of 8 trials done", console) == 1
    last = screen.getvalue().rpartition("3 of 8 trials done")[2]
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in last.splitlines() if "│" in line]
    assert rows == [
        ["1", "place a", "1", "ended: [bold] [31mnow a"],
        ["2", "place b", "1", "ended with exit code 1: bad"],
    ]
    told = capfd.readouterr()
    assert "1|" not in told.out and "    bad" in told.err + screen.getvalue()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="out: cannot write"):
        run_all(python(""), places("a"), tmp_path / "file" / "logs")


def test_a_process_that_cannot_be_started_leaves_no_other_behind(tmp_path):
    (tmp_path / "process-2.log").mkdir()
    with pytest.raises(InputError, match="out: cannot write"):
        run_all(python("print(os.getpid(), flush=True); time.sleep(60)"), places("a", "b"), tmp_path)
    said = (tmp_path / "process-1.log").read_text()
    assert not said or not Path(f"/proc/{int(said)}").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kinds", "code"), [(["SIGTERM"], 75), (["SIGUSR1"], 75), (["SIGINT"], 130), (["SIGUSR1", "SIGTERM"], 75)]
)
def test_a_signal_goes_to_every_process_and_their_end_is_waited_for(tmp_path, kinds, code):
    study = (
        "def told(number, _):\n"
        "    print(signal.Signals(number).name, flush=True)\n"
        "    heard.append(number)\n"
        "heard = []\n"
        "for kind in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT): signal.signal(kind, told)\n"
        "print('ready', flush=True)\n"
        f"while len(heard) < {len(kinds)}: time.sleep(0.05)\n"
        "time.sleep(0.5); print('saved'); sys.exit(0)"
    )
    launcher = (
        "from pathlib import Path\nfrom experiments.harness.start import run_command\n"
        "from launch.workers import Place, run_all\n"
        "places = [Place(name, frozenset(os.sched_getaffinity(0)), {}) for name in 'ab']\n"
        f"run_command(lambda: run_all({python(study)!r}, places, Path({str(tmp_path)!r})))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    process = subprocess.Popen(python(launcher), env=environment, stdout=pipe, stderr=pipe, encoding="utf-8")
    logs = [tmp_path / f"process-{number}.log" for number in (1, 2)]
    deadline = time.monotonic() + 60

    def wait_for(said: str) -> None:
        while not all(log.exists() and said in log.read_text() for log in logs):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)

    wait_for("ready")
    for count, kind in enumerate(kinds, 1):
        process.send_signal(getattr(signal, kind))
        if count < len(kinds):
            wait_for(kinds[0])
            time.sleep(1.2)  # signals closer together are one request
    shown, told = process.communicate(timeout=60)
    assert process.returncode == code and f"stopped by {kinds[0]}; what is finished is kept" in told
    expected = "ready\n" + f"{kinds[0]}\n" * len(kinds) + "saved\n"
    assert [log.read_text() for log in logs] == [expected] * 2
    assert "1| saved" in shown and "2| saved" in shown
