"""Trainings: what they need comes first, each is made once, and what is kept is what was trained."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments.harness import store as store_module
from experiments.harness.options import RunOptions
from experiments.harness.store import TrainingStore
from segjax.models import save_weights
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


def test_a_damaged_file_is_named(made):
    store, _ = made()
    store.ensure([BASE])
    path = store.path(BASE)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=rf"{path.name} cannot be read as safetensors.*make it anew"):
        store.load(BASE)


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


@pytest.mark.parametrize("facts", [{}, {"status": "ok"}])
def test_a_file_of_other_weights_is_named(made, facts):
    store, _ = made()
    save_weights(store.path(BASE), {"number": np.zeros(1)}, facts)
    with pytest.raises(InputError, match=rf"{store.path(BASE).name}: is not a network of this study; move it away"):
        store.load(BASE)
