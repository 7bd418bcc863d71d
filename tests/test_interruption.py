"""A stop is raised at once or kept for later, is never lost, and a second one does not wait."""

import errno
import gc
import os
import signal
import threading
import warnings

import pytest

from segjax import interruption
from segjax.files import write_file
from segjax.interruption import Stopped, check, later


@pytest.fixture(autouse=True)
def handled(monkeypatch):
    """SIGUSR1 and SIGTERM ask for a stop; nothing was asked for before."""
    monkeypatch.setattr(interruption, "_request", interruption._Request())
    kinds = (signal.SIGUSR1, signal.SIGTERM)
    usual = [signal.signal(kind, lambda number, _: interruption.request(signal.Signals(number))) for kind in kinds]
    yield
    for kind, handler in zip(kinds, usual, strict=True):
        signal.signal(kind, handler)


def test_a_signal_stops_at_once_and_is_named():
    check()
    with pytest.raises(Stopped, match="stopped by SIGUSR1") as stopped:
        signal.raise_signal(signal.SIGUSR1)
    assert stopped.value.signal == signal.SIGUSR1
    assert not isinstance(stopped.value, Exception)


def test_within_a_region_it_waits_for_the_end_of_the_outermost():
    done = []
    with pytest.raises(Stopped), later():
        with later():
            signal.raise_signal(signal.SIGTERM)
            done.append("inner")
        done.append("outer")
    assert done == ["inner", "outer"]
    with pytest.raises(Stopped):
        signal.raise_signal(signal.SIGTERM)  # the region is over


def test_within_a_region_whoever_looks_is_stopped():
    with pytest.raises(Stopped), later():
        signal.raise_signal(signal.SIGTERM)
        check()
        raise AssertionError("check did not look")


def test_an_error_in_a_region_is_what_is_raised():
    with pytest.raises(ValueError, match="its own"), later():
        signal.raise_signal(signal.SIGTERM)
        raise ValueError("its own")


def test_a_second_signal_does_not_wait_but_one_that_is_passed_on_does(monkeypatch):
    done = []
    with pytest.raises(Stopped) as stopped, later():
        signal.raise_signal(signal.SIGUSR1)
        signal.raise_signal(signal.SIGTERM)  # by the parent of this process, for the same reason
        done.append("passed on")
        monkeypatch.setattr(interruption, "ONE_STOP_SECONDS", 0.0)
        signal.raise_signal(signal.SIGTERM)
        done.append("waited")
    assert done == ["passed on"] and stopped.value.signal == signal.SIGUSR1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_exception_that_vanishes_leaves_the_flag():
    def collecting(phase, info):
        if phase == "start":
            signal.raise_signal(signal.SIGTERM)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.callbacks.append(collecting)
        try:
            gc.collect()
        finally:
            gc.callbacks.remove(collecting)
    with pytest.raises(Stopped):
        check()


def test_other_threads_see_the_flag_and_their_regions_are_no_concern_of_signals():
    entered, leave, seen = threading.Event(), threading.Event(), []

    def work():
        with later():
            entered.set()
            leave.wait()
        try:
            check()
        except Stopped as stopped:
            seen.append(stopped.signal)

    thread = threading.Thread(target=work)
    thread.start()
    entered.wait()
    try:
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGTERM)
    finally:
        leave.set()
        thread.join()
    assert seen == [signal.SIGTERM]


def test_what_waits_for_room_on_a_full_disk_is_stopped(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Stopped), pytest.warns(UserWarning, match="the disk is full"), later():
        signal.raise_signal(signal.SIGTERM)
        write_file(tmp_path / "file", "content", patience=600.0)
    assert list(tmp_path.iterdir()) == []
