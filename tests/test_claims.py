"""A claim has one holder, whoever starts at the same moment, whoever dies, and whatever the clocks say."""

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from segjax import claims as module
from segjax.claims import Claims, holders
from segjax.types import InputError

HOLDS = """
import sys, time
from pathlib import Path
from segjax.claims import Claims
claims = Claims(Path(sys.argv[1]))
print(claims.take("a"), flush=True)
time.sleep(600)
"""


@contextlib.contextmanager
def other_process(folder):
    """A process that holds the claim "a"."""
    process = subprocess.Popen([sys.executable, "-c", HOLDS, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "True\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def on_another_machine(monkeypatch):
    """From now on this process stands on a machine from which the others' processes cannot be seen."""
    monkeypatch.setattr(module, "_machine", lambda workers: "elsewhere")


def test_a_claim_has_one_holder_and_may_be_given_back(tmp_path):
    with Claims(tmp_path) as one, Claims(tmp_path) as other:
        assert one.take("a") and one.take("a") and not other.take("a") and other.take("b")
        assert other.is_known_alive("a") and not other.is_known_alive("c")
        one.release("a")
        assert not other.is_known_alive("a") and other.take("a") and not one.take("a")
    with Claims(tmp_path) as third:
        assert third.take("a") and third.take("b")


def test_a_claim_that_goes_while_another_looks_at_it_is_left_to_its_holder(tmp_path, monkeypatch):
    with Claims(tmp_path) as one, Claims(tmp_path) as other:
        assert one.take("a") and other.take("b")
        monkeypatch.setattr(Path, "is_dir", lambda path: False)  # there when it is made again, and then no more
        assert not other.take("a")


def test_of_many_that_start_at_once_one_has_each(tmp_path):
    every = [Claims(tmp_path) for _ in range(16)]
    barrier = threading.Barrier(len(every))

    def take(claims):
        barrier.wait()
        return sum(claims.take(f"{name}") for name in range(20))

    with ThreadPoolExecutor(len(every)) as pool:
        assert sum(pool.map(take, every)) == 20
    for claims in every:
        claims.close()


def test_what_is_done_leaves_nothing_behind(tmp_path):
    with Claims(tmp_path) as claims:
        assert claims.take("a")
        claims.release("a", done=True)
    assert list((tmp_path / ".claims" / "taken").iterdir()) == [] == list((tmp_path / ".claims" / "workers").iterdir())


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_of_this_machine_that_died_is_known_at_once(tmp_path, sign):
    with other_process(tmp_path) as process, Claims(tmp_path) as claims:
        assert not claims.take("a") and claims.is_known_alive("a")
        assert [(one.name, one.pid, one.is_stale) for one in holders(tmp_path)] == [("a", process.pid, False)]
        process.send_signal(sign)
        while process.poll() is None:  # reaped by no one before that
            time.sleep(0.01)
        assert [one.is_stale for one in holders(tmp_path)] == [True]
        assert not claims.is_known_alive("a") and claims.take("a")


def test_a_number_of_a_process_that_is_used_again_is_not_taken_for_it(tmp_path):
    with other_process(tmp_path) as process, Claims(tmp_path) as claims:
        (path,) = (path for path in (tmp_path / ".claims" / "workers").iterdir() if not path.suffix)
        path.write_text(json.dumps({**json.loads(path.read_text()), "start": "1"}))
        assert process.poll() is None and claims.take("a")


def test_a_process_elsewhere_is_alive_while_its_counter_moves_whatever_its_clock_says(tmp_path, monkeypatch):
    with Claims(tmp_path, beat=0.02) as one:
        assert one.take("a")
        on_another_machine(monkeypatch)
        with Claims(tmp_path, expiry=0.4) as other:
            until = time.monotonic() + 1
            while time.monotonic() < until:
                assert not other.take("a")
                for path in (tmp_path / ".claims" / "workers").iterdir():
                    with contextlib.suppress(FileNotFoundError):
                        os.utime(path, (0, 0))  # a clock that is decades behind
            assert other.is_known_alive("a")


def test_a_process_elsewhere_that_stopped_beating_loses_its_claim(tmp_path, monkeypatch):
    one = Claims(tmp_path, beat=600.0)
    assert one.take("a")
    on_another_machine(monkeypatch)
    with Claims(tmp_path, expiry=0.3) as other, Claims(tmp_path, expiry=0.3) as third:
        assert not other.take("a") and not third.take("a") and not other.is_known_alive("a")
        time.sleep(0.4)
        assert other.take("a")
        assert not third.take("a")  # it saw the same dead holder, but the claim has another one now
    one.close()


@pytest.mark.parametrize("left", ["a claim without a name", "a process without facts"])
def test_a_claim_of_nobody_expires(tmp_path, left):
    with Claims(tmp_path, expiry=0.2) as claims:
        (tmp_path / ".claims" / "taken" / "a" / "1").mkdir(parents=True)
        if left == "a process without facts":
            (tmp_path / ".claims" / "taken" / "a" / "1" / "somebody").touch()
        assert not claims.take("a")
        time.sleep(0.3)
        assert claims.take("a")


def test_a_process_that_the_system_hides_is_judged_by_its_beats(tmp_path, monkeypatch):
    with other_process(tmp_path) as process, Claims(tmp_path, expiry=0.2) as claims:
        monkeypatch.setattr(module, "_start", lambda pid: None)  # as /proc mounted with hidepid
        assert not claims.take("a") and not claims.is_known_alive("a")
        time.sleep(0.3)
        assert claims.take("a")  # no beat for as long as claims last
        assert process.poll() is None


def test_beats_need_no_more_room_than_there_is_already(tmp_path):
    with Claims(tmp_path, beat=0.01) as claims:
        assert claims.take("a")
        (beat,) = (tmp_path / ".claims" / "workers").glob("*.beat")
        before, file = beat.read_bytes(), beat.stat().st_ino
        time.sleep(0.2)
        assert beat.read_bytes() > before and (len(beat.read_bytes()), beat.stat().st_ino) == (len(before), file)


def test_who_was_thought_dead_does_not_remove_the_claim_of_who_took_over(tmp_path, monkeypatch):
    one = Claims(tmp_path, beat=600.0)
    assert one.take("a")
    with monkeypatch.context() as elsewhere, Claims(tmp_path, expiry=0.1) as other:
        elsewhere.setattr(module, "_machine", lambda workers: "elsewhere")
        assert not other.take("a")
        time.sleep(0.2)
        assert other.take("a")
        one.release("a", done=True)
        with Claims(tmp_path) as third:
            assert not third.take("a")
    one.close()


def test_on_a_full_disk_a_claim_waits_for_room(tmp_path, monkeypatch):
    tries, touch = [], Path.touch

    def full_at_first(path):
        tries.append(path)
        if len(tries) < 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        touch(path)

    monkeypatch.setattr(Path, "touch", full_at_first)
    monkeypatch.setattr("segjax.files._BETWEEN_TRIES", 0.01)
    with Claims(tmp_path) as claims, pytest.warns(UserWarning, match="the disk is full; free space there"):
        assert claims.take("a")
    assert len({path.parent for path in tries[:3]}) == 1  # a claim without an owner was taken away again


def test_in_a_copy_nobody_works_who_works_in_the_other_folder(tmp_path):
    with other_process(tmp_path / "one") as process:
        shutil.copytree(tmp_path / "one", tmp_path / "two")
        with Claims(tmp_path / "two", expiry=0.2) as claims:
            assert not claims.take("a") and not claims.is_known_alive("a")
            time.sleep(0.3)
            assert claims.take("a")
        with Claims(tmp_path / "one") as claims:
            assert process.poll() is None and claims.is_known_alive("a") and not claims.take("a")


def test_files_among_claims_are_left_alone(tmp_path):
    with Claims(tmp_path) as claims:
        assert claims.take("a")
        (tmp_path / ".claims" / "taken" / ".DS_Store").touch()
        assert [one.name for one in holders(tmp_path)] == ["a"]


def test_claims_survive_a_folder_of_claims_that_is_removed(tmp_path):
    with Claims(tmp_path, beat=0.01) as claims:
        assert claims.take("a")
        (tmp_path / ".claims").rename(tmp_path / "gone")
        time.sleep(0.05)
        assert claims.take("b")
        claims.release("a")
        claims.release("b", done=True)


def test_waiting_ends_when_the_claim_is_given_back(tmp_path):
    with Claims(tmp_path) as one, Claims(tmp_path) as other:
        assert one.take("a")
        waits = other.wait("a", pause=0.01)
        assert [next(waits) for _ in range(3)] == [None] * 3
        one.release("a")
        assert list(waits) == [] and not one.take("a")


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with Claims(Path(tmp_path / "file")) as claims, pytest.raises(InputError, match="a file is where a folder should"):
        claims.take("a")


def test_nothing_is_held_in_a_folder_without_claims(tmp_path):
    assert holders(tmp_path) == []
