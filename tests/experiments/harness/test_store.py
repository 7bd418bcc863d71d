"""Trainings: what they need comes first, each is made once, and what is kept is what was trained."""

import dataclasses
import itertools
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments.harness import store as store_module
from experiments.harness.networks import network_from
from experiments.harness.options import RunOptions
from experiments.harness.store import TrainingStore
from segjax import interruption
from segjax.claims import holders
from segjax.interruption import Stopped
from segjax.models import create, load_weights, save_weights
from segjax.models.pretrained import VERSION
from segjax.training import Pictures, packs
from segjax.training.packs import Layout
from segjax.training.parallel import cores
from segjax.types import InputError
from tests.experiments.harness.tiny import CountingTrainer, Training

BASE, OTHER = Training("base", 0), Training("base", 1)
HEADS = [Training("head", seed, strength) for seed in (0, 1) for strength in (1.0, 2.0)]


@pytest.fixture
def made(tmp_path):
    """A store with its trainer."""

    def make(pack=8):
        trainer = CountingTrainer()
        return TrainingStore(RunOptions(tmp_path, pack=pack, strategy="sequential"), trainer), trainer

    return make


def test_nothing_is_written_until_something_is_trained(made, tmp_path):
    made()
    assert list(tmp_path.iterdir()) == []


def test_what_a_training_needs_is_trained_first_and_each_once(made):
    store, trainer = made()
    store.ensure(HEADS)
    assert trainer.made == [BASE, OTHER, *HEADS]
    assert [store.load(head).facts["bases"] for head in HEADS] == [1] * 4
    store.ensure([*HEADS, BASE])
    assert len(trainer.made) == 6 and trainer.kinds == ["base", "head"]


def test_what_is_on_disk_already_is_not_trained_again_for_those_that_need_it(made):
    made()[0].ensure([BASE])
    store, trainer = made()
    store.ensure(HEADS[:1])
    assert trainer.made == HEADS[:1]


def test_a_closure_has_all_that_is_needed_once(made):
    store, _ = made()
    assert store.closure([HEADS[0], HEADS[1], BASE]) == [HEADS[0], HEADS[1], BASE]
    assert store.closure(HEADS[2:]) == [*HEADS[2:], OTHER]
    assert store.closure([]) == []


def test_packs_are_of_one_kind_and_no_larger_than_asked_for(made, monkeypatch):
    packs = []
    whole = store_module.fit_pack

    def noting(members, *rest):
        packs.append(len(members))
        return whole(members, *rest)

    monkeypatch.setattr(store_module, "fit_pack", noting)
    store, _ = made(pack=3)
    store.ensure([*HEADS, Training("base", 2), Training("base", 3)])
    assert packs == [2, 3, 1, 2]  # the bases that heads need; then four heads and two more bases


def test_what_is_kept_is_the_best_epoch_with_its_facts(made, tmp_path):
    store, _ = made()
    store.ensure([HEADS[0]])
    trained = store.load(HEADS[0])
    key = jax.random.split(jax.random.fold_in(jax.random.key(0), 0))[0]
    # two epochs of two steps add 1 each; the fake loss falls with every step, so the last epoch is the best
    assert float(trained.variables["number"]) == pytest.approx(float(jax.random.uniform(key)) + 4)
    assert (trained.status, trained.restarts) == ("ok", 0)
    assert trained.facts == {"bases": 1, "strength": 1.0}
    assert store.path(HEADS[0]).parent == tmp_path / "networks" and not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize(
    "network",
    [create("msd", depth=3, input_std=(0.5,)), create("unet", encoder="resnet18", width=8)],
    ids=["msd", "unet on resnet18"],
)
def test_a_file_tells_which_network_was_trained(tmp_path, network):
    class Telling(CountingTrainer):
        def make_steps(self, kind):
            return dataclasses.replace(super().make_steps(kind), network=network)

    store = TrainingStore(RunOptions(tmp_path, strategy="sequential"), Telling())
    store.ensure([BASE])
    assert network_from(load_weights(store.path(BASE)).facts) == network
    assert store.load(BASE).facts == {"bases": 0, "strength": 0.0}
    variables, facts = load_weights(store.path(BASE))
    save_weights(store.path(BASE), variables, facts | {"version": VERSION + 1})
    with pytest.raises(InputError, match=rf"safetensors: these weights are for version {VERSION + 1} .* {VERSION};"):
        store.load(BASE)


def test_trainings_of_a_seed_start_from_the_same_weights(made):
    store, _ = made()
    store.ensure(HEADS)
    numbers = [float(store.load(head).variables["number"]) for head in HEADS]
    assert numbers[0] == numbers[1] != numbers[2] == numbers[3]


def test_shares_rise_to_the_whole(made):
    store, _ = made(pack=1)
    shares = []
    store.ensure(HEADS[:2], shares.append)
    assert shares == pytest.approx([1 / 6, 1 / 3, 1 / 2, 2 / 3, 5 / 6, 1])  # three trainings of two epochs


def test_a_dropped_training_is_made_anew_when_it_is_needed_again(made):
    store, trainer = made()
    store.ensure([BASE, OTHER])
    store.drop(BASE)
    store.drop(BASE)
    store.ensure([BASE, OTHER])
    assert trainer.made == [BASE, OTHER, BASE]


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b""),
        flip,
        lambda path: save_weights(path, {"number": np.zeros(1)}, {"status": "ok"}),
    ],
    ids=["cut", "emptied", "flipped", "other"],
)
@pytest.mark.parametrize("training", [HEADS[0], BASE], ids=["own", "needed"])
def test_a_damaged_file_is_set_aside_named_and_trained_again(made, damage, training):
    store, trainer = made()
    store.ensure(HEADS[:1])
    kept = store.load(training)
    path = store.path(training)
    damage(path)
    damaged = path.read_bytes()
    if training is BASE:
        store.drop(HEADS[0])
    with pytest.warns(UserWarning, match=rf"{path.name}.*; it is now {path.name}.damaged, and trained again"):
        store.ensure(HEADS[:1])
        again = store.load(training)
    np.testing.assert_array_equal(again.variables["number"], kept.variables["number"])
    assert again[1:] == kept[1:]
    assert path.with_name(f"{path.name}.damaged").read_bytes() == damaged
    assert trainer.made == [BASE, HEADS[0], *([HEADS[0]] if training is HEADS[0] else [HEADS[0], BASE])]
    assert store.load(HEADS[0]).facts["bases"] == 1


def test_a_file_that_another_process_has_just_set_aside_is_trained_again(made):
    store, trainer = made()
    assert store.load(BASE).status == "ok"
    assert trainer.made == [BASE]


class Failing(CountingTrainer):
    """Cannot make some trainings ready."""

    def __init__(self, unmade):
        super().__init__()
        self.unmade = unmade

    def job(self, training, load):
        job = super().job(training, load)
        if training in self.unmade:
            raise RuntimeError(f"cannot be made ready: {training}")
        return job


def test_one_training_that_fails_stops_no_other_and_fails_what_needs_it(tmp_path):
    trainer = Failing(unmade=[OTHER, HEADS[1]])
    store = TrainingStore(RunOptions(tmp_path, strategy="sequential"), trainer)
    store.ensure(HEADS)
    assert store.load(HEADS[0]).status == "ok"
    for training, cause in ((HEADS[1], HEADS[1]), (OTHER, OTHER), (HEADS[2], OTHER), (HEADS[3], OTHER)):
        with pytest.raises(RuntimeError) as error:
            store.load(training)
        assert str(error.value) == f"cannot be made ready: {cause}" and "in job" in error.value.__notes__[0]
    store.ensure(HEADS)
    assert Counter(trainer.made)[OTHER] == 1  # not tried again by this process


def test_one_training_that_memory_does_not_suffice_for_fails_alone(tmp_path):
    class Small(CountingTrainer):
        def make_steps(self, kind):
            steps = super().make_steps(kind)

            def train(state, images, targets):
                if images.shape[1] > 2:
                    raise MemoryError("no more")
                return steps.train(state, images, targets)

            return dataclasses.replace(steps, train=train)

        def job(self, training, load):
            job = super().job(training, load)
            pictures = Pictures(np.zeros((4, 3, 3, 1), np.float32), np.zeros((4, 3, 3), np.int32))
            return dataclasses.replace(job, train=pictures) if training == OTHER else job

    store = TrainingStore(RunOptions(tmp_path, strategy="sequential"), Small())
    store.ensure([OTHER, BASE])
    assert store.load(BASE).status == "ok"
    with pytest.raises(MemoryError, match="no more"):
        store.load(OTHER)


def test_what_is_wrong_with_the_pictures_ends_all(tmp_path):
    class Refusing(CountingTrainer):
        def job(self, training, load):
            raise InputError("picture.png: cannot be read")

    with pytest.raises(InputError, match=r"picture\.png"):
        TrainingStore(RunOptions(tmp_path, strategy="sequential"), Refusing()).ensure([BASE])


def test_a_stop_keeps_what_has_ended_and_gives_the_claims_back(tmp_path, monkeypatch):
    monkeypatch.setattr(interruption, "_request", interruption._Request())

    class Stopping(CountingTrainer):
        def make_steps(self, kind):
            steps, count = super().make_steps(kind), itertools.count(1)

            def train(state, images, targets):
                if next(count) == 6:  # two epochs of two steps each: in the middle of the second training
                    interruption._request.kind = signal.SIGTERM
                return steps.train(state, images, targets)

            return dataclasses.replace(steps, train=train)

    run = RunOptions(tmp_path, strategy="sequential")
    with pytest.raises(Stopped):
        TrainingStore(run, Stopping()).ensure([BASE, OTHER])
    interruption._request.kind = None
    assert holders(tmp_path / "networks") == []
    store = TrainingStore(run, CountingTrainer())
    assert store.path(BASE).exists() and not store.path(OTHER).exists()
    whole = TrainingStore(RunOptions(tmp_path / "whole", strategy="sequential"), CountingTrainer())
    for one in (store, whole):
        one.ensure([BASE, OTHER])
    np.testing.assert_array_equal(store.load(OTHER).variables["number"], whole.load(OTHER).variables["number"])


@pytest.mark.parametrize("strategy", ["auto", "vmap"])
def test_a_layout_that_memory_did_not_suffice_for_is_not_taken_again(tmp_path, monkeypatch, strategy):
    taken, drive = [], packs.drive

    def full(work, steps, layout):
        taken.append(layout.together)
        if layout.together > 2:
            yield from ((index, MemoryError()) for index in range(len(work)))
        else:
            yield from drive(work, steps, layout)

    monkeypatch.setattr(packs, "drive", full)
    monkeypatch.setattr("experiments.harness.layouts.candidate_layouts", lambda members: {"vmap": Layout(1, members)})
    store = TrainingStore(RunOptions(tmp_path, pack=4, strategy=strategy), CountingTrainer())
    with pytest.warns(UserWarning, match="not enough memory for 4 trainings at once; continuing with 2"):
        store.ensure([Training("base", seed) for seed in range(8)])
    assert taken == [4, 2, 2]


def test_checkpoints_are_as_often_as_asked_for_and_say_who_made_them(tmp_path, monkeypatch):
    members, whole = [], store_module.fit_pack

    def noting(packed, *rest):
        members.extend(packed)
        return whole(packed, *rest)

    monkeypatch.setattr(store_module, "fit_pack", noting)
    for every in ("5min", "3epochs"):
        store = TrainingStore(
            RunOptions(tmp_path / every, strategy="sequential", checkpoint_every=every), CountingTrainer()
        )
        store.made_by = {"configuration": "abc", "code": "def"}
        store.ensure([BASE])
    assert [(one.checkpoint_seconds, one.checkpoint_epochs) for one in members] == [(300.0, None), (60.0, 3)]
    made_by = {"training": "part base, seed 0", "number of cores": str(cores()), "configuration": "abc", "code": "def"}
    assert members[0].made_by == made_by


WORKER = """
import sys, time
from pathlib import Path
from experiments.harness.options import RunOptions
from experiments.harness.store import TrainingStore
from tests.experiments.harness.tiny import CountingTrainer, Training

out, heads = Path(sys.argv[1]), [Training("head", seed) for seed in range(6)]

class Slow(CountingTrainer):
    def job(self, training, load):
        with (out / "made").open("a") as file:
            file.write(f"{training}\\n")
        time.sleep(0.05)
        return super().job(training, load)

store = TrainingStore(RunOptions(out, pack=2, strategy="sequential"), Slow())
print("ready", flush=True)
sys.stdin.readline()
store.ensure(heads if sys.argv[2] == "forwards" else heads[::-1])
print([store.load(head).facts["bases"] for head in heads])
"""


@pytest.mark.slow
def test_two_processes_never_train_one_twice_nor_wait_for_each_other(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path), order],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for order in ("forwards", "backwards")
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate(timeout=120)[0] for process in processes] == ["[1, 1, 1, 1, 1, 1]\n"] * 2
    counted = Counter((tmp_path / "made").read_text().splitlines())
    assert len(counted) == 12 and set(counted.values()) == {1}
