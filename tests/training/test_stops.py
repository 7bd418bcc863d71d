"""A training that is stopped anywhere saves where it is, and goes on from there to the same bits."""

import dataclasses
import itertools
import signal
import threading
import time
from importlib import import_module

import chex
import jax
import numpy as np
import pytest
from orbax.checkpoint import v1 as ocp

from segjax import interruption
from segjax.interruption import Stopped, later
from segjax.training import LoopConfig, Member, checkpoints, fit, fit_pack
from segjax.training.fit import Call, stop_where_asked
from segjax.training.packs import Layout, drive
from tests.training.test_packs import STEPS, pictures

LOOP = LoopConfig(batch_size=2, epochs=2, restarts=1)
SIZES = (5, 3, 3)  # one member takes more steps than the others


@pytest.fixture(autouse=True)
def requests(monkeypatch):
    """Nothing was asked for yet; a call forgets what was."""

    def forget():
        monkeypatch.setattr(interruption, "_request", interruption._Request())

    forget()
    return forget


@pytest.fixture
def looks(monkeypatch):
    """How often trainings look whether a stop was asked for; `stop_at` asks for it at that look."""

    class Looks:
        count, stop_at, lock = 0, 10**9, threading.Lock()

        def __call__(self):
            with self.lock:
                self.count += 1
                if self.count >= self.stop_at:
                    interruption._request.kind = signal.SIGTERM
            interruption.check()

    found = Looks()
    monkeypatch.setattr(import_module("segjax.training.fit"), "check", found)
    return found


def member(number, folder=None):
    options = {"checkpoints": folder / str(number), "checkpoint_seconds": 3600.0} if folder else {}
    return Member(jax.random.key(number), pictures(SIZES[number], number), pictures(3, 9), **options)


def trained(count, folder, layout, into):
    """Train what is not yet in `into`, which holds the results by number."""
    left = [number for number in range(count) if number not in into]
    for place, result in fit_pack([member(number, folder) for number in left], STEPS, LOOP, layout):
        into[left[place]] = result
    return into


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "layout"), [(2, Layout()), (2, Layout(2, 1)), (3, Layout(1, 3))], ids=["sequential", "spread", "vmap"]
)
def test_a_pack_stopped_at_any_call_goes_on_to_the_same_bits(count, layout, looks, requests, tmp_path):
    whole = trained(count, None, layout, {})
    calls = looks.count
    for stop_at in itertools.count(1):
        folder, found = tmp_path / str(stop_at), {}
        looks.count, looks.stop_at = 0, stop_at
        try:
            trained(count, folder, layout, found)
            assert stop_at == calls + 1
            return
        except Stopped as stopped:
            assert stopped.signal == signal.SIGTERM
        requests()
        looks.count, looks.stop_at = 0, 10**9
        trained(count, folder, layout, found)
        # each begun member draws initial weights again, and asks once more for what it was waiting for
        assert looks.count <= calls - stop_at + 2 * count
        for number, result in whole.items():
            np.testing.assert_array_equal(found[number].losses, result.losses)
            chex.assert_trees_all_equal(found[number].variables, result.variables)


def test_one_alone_is_saved_in_the_middle_of_an_epoch_by_a_real_signal(tmp_path):
    number, train = itertools.count(1), STEPS.train

    def stopping(*arguments):
        if next(number) == 4:
            signal.raise_signal(signal.SIGUSR1)
        return train(*arguments)

    usual = signal.signal(signal.SIGUSR1, lambda *_: interruption.request(signal.SIGUSR1))
    one = member(0, tmp_path)
    options = {"checkpoints": one.checkpoints, "checkpoint_seconds": 3600.0}
    try:
        with pytest.raises(Stopped):
            fit(one.key, dataclasses.replace(STEPS, train=stopping), one.train, one.validation, LOOP, **options)
    finally:
        signal.signal(signal.SIGUSR1, usual)
    interruption._request.kind = None
    taken = itertools.count()
    counting = dataclasses.replace(STEPS, train=lambda *arguments: (next(taken), train(*arguments))[1])
    resumed = fit(one.key, counting, one.train, one.validation, LOOP, **options)
    assert next(taken) == 2  # of two epochs of three steps, four were done
    alone = fit(one.key, STEPS, one.train, one.validation, LOOP)
    np.testing.assert_array_equal(resumed.losses, alone.losses)
    chex.assert_trees_all_equal(resumed.variables, alone.variables)


def test_a_stop_in_the_middle_of_anything_does_not_save(tmp_path):
    def at_once(*arguments):
        raise Stopped(signal.SIGINT, anywhere=True)

    one = member(0, tmp_path)
    for broken in ({"on_epoch": at_once}, {}):
        steps = STEPS if broken else dataclasses.replace(STEPS, train=at_once)
        with pytest.raises(Stopped):
            fit(one.key, steps, one.train, one.validation, LOOP, checkpoints=tmp_path, **broken)
    assert list(tmp_path.iterdir()) == []


def test_a_second_signal_while_threads_save_waits_for_no_further_checkpoint(tmp_path, monkeypatch):
    save, begun, together = ocp.save, [], threading.Barrier(3)

    def saving(*arguments, **options):
        begun.append(arguments[0])
        if len(begun) == 1:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)
        deadline = time.monotonic() + 10
        while not interruption._request.is_second and time.monotonic() < deadline:
            time.sleep(0.01)
        save(*arguments, **options)

    def train():
        together.wait()
        interruption._request.kind = signal.SIGTERM

    def work(number):
        try:
            yield Call("train", ())
            yield Call("train", ())
        except Stopped:
            checkpoints.save_checkpoint(tmp_path / str(number), {"a": np.arange(3)})
            raise

    monkeypatch.setattr(ocp, "save", saving)
    usual = signal.signal(signal.SIGTERM, lambda *_: interruption.request(signal.SIGTERM))
    try:
        with pytest.raises(Stopped), later():
            list(drive([work(number) for number in range(3)], dataclasses.replace(STEPS, train=train), Layout(3, 1)))
    finally:
        signal.signal(signal.SIGTERM, usual)
    assert len(begun) == 1 and begun[0].exists()


def test_a_second_signal_while_members_save_ends_it():
    def saving():
        try:
            yield
        except Stopped:
            raise Stopped(signal.SIGTERM, anywhere=True) from None

    works = [saving(), saving()]
    for work in works:
        next(work)
    interruption._request.kind = signal.SIGTERM
    with pytest.raises(Stopped) as stopped:
        stop_where_asked(works)
    assert stopped.value.anywhere
    assert next(works[1], "goes on") == "goes on"
