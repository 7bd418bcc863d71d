"""What is told of a results folder: counts, who works on what, what was left behind, what failed; on a page too."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from launch.status import StatusConfig, headline, main, rendered, status_of, watch
from segjax.sweeps import Ledger, Row
from segjax.types import InputError

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Trial:
    seed: int
    network: str
    level: float = 0.0


TRIALS = [Trial(seed, "unet", 0.25) for seed in range(8)]
PLAN = {
    "study": "an_experiment",
    "data": "folder:x",
    "fingerprint": "0123456789abcdef",
    "facts": {"digest": "d"},
    "sources": {"a.py": "00000000"},
    "opening": {"code": "12345678", "commit": "abc"},
    "trials": len(TRIALS),
}
REASON = "ValueError: [bold] <b>too dark</b>"
PROCESS = f"""
import sys, time
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from tests.launch.test_status import PLAN, TRIALS, Trial
from segjax.sweeps import Ledger
ledger = Ledger(Path(sys.argv[1]), Trial, PLAN)
assert all(ledger.claim(TRIALS[int(number)]) for number in sys.argv[2:])
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def working(tmp_path):
    """A function that starts a process which works on some trials of a folder."""
    started = []

    def start(*numbers: int) -> subprocess.Popen:
        command = [sys.executable, "-c", PROCESS, str(tmp_path), *map(str, numbers)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        return process

    yield start
    for process in started:
        process.communicate(timeout=30)


def end(folder: Path, numbers: list[int], failed: tuple[int, ...] = ()) -> None:
    with Ledger(folder, Trial, PLAN) as ledger:
        for number in numbers:
            ledger.append(TRIALS[number], [Row("dice", 0.5)], 0, "ok")
        for number in failed:
            ledger.append(
                TRIALS[number], [], 0, "failed", "Traceback\n  some lines\nValueError: [bold] <b>too dark</b>"
            )


def shown(folder: Path) -> str:
    screen = io.StringIO()
    Console(file=screen, width=200).print(rendered(status_of(folder)))
    return screen.getvalue()


def content(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".beat")]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


@pytest.mark.slow
def test_it_says_who_works_on_what_and_what_a_dead_process_left(tmp_path, working):
    end(tmp_path, [0, 1, 2], failed=(3,))
    first = working(4, 5)
    killed = working(6)
    killed.kill()
    killed.wait()
    before = content(tmp_path)
    found = status_of(tmp_path)
    assert re.fullmatch(r"3 of 8 trials done, 1 failed; 1 process works, about \d.* left", found.sentence())
    assert found.running["process"].tolist() == [first.pid]
    assert re.fullmatch("[45] unet 0.25 and 1 more", found.running["trial"][0])
    assert found.stale[["process", "trial"]].values.tolist() == [[killed.pid, "6 unet 0.25"]]
    assert found.failures[["trial", "reason"]].values.tolist() == [["seed 3, network unet, level 0.25", REASON]]
    assert (tmp_path / found.failures["traceback"][0]).exists() and not found.is_over
    assert content(tmp_path) == before  # nothing is written or touched
    text = shown(tmp_path)
    for said in ("an_experiment: 3 of 8", "Running, the longest first", "unet 0.25 and 1 more", "[bold] <b>too dark"):
        assert said in text


def test_the_longest_running_comes_first(tmp_path):
    with Ledger(tmp_path, Trial, PLAN) as ledger:
        for number in (0, 1):
            assert ledger.claim(TRIALS[number])
        workers, taken = tmp_path / ".claims" / "workers", tmp_path / ".claims" / "taken"
        other = {"host": "elsewhere", "machine": "m", "pid": 7, "start": "1"}
        (workers / "other").write_text(json.dumps(other))
        (workers / "other.beat").write_text("1")
        claim = taken / "5_unet_0.25_01234567" / "1"
        claim.mkdir(parents=True)
        (claim / "other").touch()
        long_ago = claim.stat().st_mtime - 7300
        os.utime(claim, (long_ago, long_ago))
        running = status_of(tmp_path).running
    assert running[["machine", "trial"]].values.tolist()[0] == ["elsewhere", "5 unet 0.25"]
    assert running["for"][0] == "2.0 h" and len(running) == 2


def test_only_trials_that_are_failed_now_are_shown_as_failed(tmp_path):
    end(tmp_path, [0], failed=(1, 2))
    for path in (tmp_path / "trials").glob("*.failed"):
        if ",1,unet," in path.read_text():
            path.unlink()  # as --retry-failed does
    assert len(list((tmp_path / "failures").iterdir())) == 2
    assert status_of(tmp_path).failures["trial"].tolist() == ["seed 2, network unet, level 0.25"]


def test_the_newest_failure_comes_first(tmp_path):
    end(tmp_path, [], failed=(1, 2, 3))
    for seconds, number in enumerate((2, 1, 3)):
        (path,) = (one for one in (tmp_path / "trials").iterdir() if f",{number},unet," in one.read_text())
        os.utime(path, (seconds, seconds))
    assert [trial[:6] for trial in status_of(tmp_path).failures["trial"]] == ["seed 3", "seed 1", "seed 2"]


def test_a_look_reads_the_last_opening_only_and_writes_nothing(tmp_path, monkeypatch):
    for number in range(3):
        end(tmp_path, [number], failed=(7,))
    before, read = content(tmp_path), []
    monkeypatch.setattr("segjax.files.read_file", lambda path: read.append(path.parent.name) or path.read_bytes())
    status_of(tmp_path)
    assert read.count("openings") == 1
    last = max((tmp_path / "openings").iterdir())
    last.write_text("{")
    before[str(last)] = (last.stat().st_mtime_ns, b"{")
    with pytest.warns(UserWarning, match=last.name):
        status_of(tmp_path)
    assert content(tmp_path) == before


@pytest.mark.slow
def test_a_process_that_was_stopped_is_shown_as_suspended(tmp_path, working):
    process = working(0)
    process.send_signal(signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)
    try:
        assert status_of(tmp_path).running["last sign of life"].tolist() == ["suspended"]
    finally:
        process.send_signal(signal.SIGCONT)
    os.waitpid(process.pid, os.WCONTINUED)
    assert status_of(tmp_path).running["last sign of life"].str.endswith(" ago").all()


def test_the_end_of_a_study_is_seen(tmp_path):
    end(tmp_path, [0, 1, 2, 3, 4, 5, 6])
    assert status_of(tmp_path).sentence() == "7 of 8 trials done; no process is working on the rest"
    end(tmp_path, [], failed=(7,))
    found = status_of(tmp_path)
    assert found.is_over and found.sentence() == headline(tmp_path) == "7 of 8 trials done, 1 failed"


@pytest.mark.slow
def test_a_trial_that_ended_just_before_its_process_was_killed_was_not_left(tmp_path, working):
    killed = working(0)
    killed.kill()
    killed.wait()
    end(tmp_path, list(range(8)))
    assert status_of(tmp_path).tables() == {}


def test_a_copy_of_a_folder_is_understood(tmp_path):
    end(tmp_path / "run", [0, 1], failed=(2,))
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    assert shown(tmp_path / "copy") == shown(tmp_path / "run")


def test_what_is_no_folder_of_a_study_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"has no plan\.json; give the --out folder of a study"):
        status_of(tmp_path)
    assert headline(tmp_path) == "No worker has begun yet."
    end(tmp_path, [0])
    (tmp_path / "plan.json").write_text("[]")
    with pytest.raises(InputError, match=r"plan\.json"):
        status_of(tmp_path)


def test_a_folder_that_cannot_be_read_ends_no_run(tmp_path):
    (tmp_path / "plan.json").write_text("")
    (tmp_path / "trials").write_text("")
    assert str(tmp_path) in headline(tmp_path)


def test_the_page_loads_itself_again_and_shows_names_as_they_are(tmp_path, monkeypatch, capfd):
    end(tmp_path, [0, 1], failed=(2,))
    monkeypatch.setattr(sys, "argv", ["status", str(tmp_path), "--page"])
    main()
    assert "2 of 8 trials done, 1 failed" in capfd.readouterr().out
    page = (tmp_path / "status.html").read_text()
    assert 'data-reload="60"' in page
    assert "<h1>an_experiment</h1>" in page and 'style="width: 25.0%"' in page and 'style="width: 12.5%"' in page
    assert "&lt;b&gt;too dark" in page and "<b>too dark" not in page


@pytest.mark.slow
def test_watching_begins_before_the_first_worker_and_ends_with_the_last_trial(tmp_path):
    seen: list[str] = []

    def show(what: object) -> None:
        screen = io.StringIO()
        Console(file=screen, width=200).print(what)
        seen.append(screen.getvalue())
        steps = {1: lambda: end(tmp_path, [0, 1]), 2: lambda: end(tmp_path, list(range(2, 8)))}
        steps.get(len(seen), lambda: None)()

    watcher = threading.Thread(target=watch, args=(StatusConfig(tmp_path, watch=0.2, page=True), show))
    watcher.start()
    watcher.join(timeout=30)
    assert not watcher.is_alive()
    assert [text.splitlines()[0] for text in seen] == [
        "No worker has begun yet.",
        "an_experiment: 2 of 8 trials done; no process is working on the rest",
        "an_experiment: 8 of 8 trials done",
    ]
    assert 'data-reload="1"' in (tmp_path / "status.html").read_text()


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "1e9"])
def test_an_interval_that_cannot_be_is_refused(tmp_path, monkeypatch, seconds):
    monkeypatch.setattr(sys, "argv", ["status", str(tmp_path), "--watch", seconds])
    with pytest.raises(InputError, match="watch: must be from"):
        main()
