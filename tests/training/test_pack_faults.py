"""Memory that does not suffice, errors and divergence of one member of a pack are no concern of the others."""

import dataclasses
import gc
import warnings
import weakref

import chex
import jax
import numpy as np
import pytest

from segjax.training import LoopConfig, Pictures, fit_pack, packs
from segjax.training.memory import is_out_of_memory
from segjax.training.packs import Layout, time_layouts
from segjax.types import InputError
from tests.training.test_packs import MEMBERS, STEPS, member, pictures

LOOP = LoopConfig(batch_size=2, epochs=3, restarts=1)
FULL = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 17179869184 bytes.")


@pytest.fixture
def room_for(monkeypatch):
    """A vmapped step that has memory for so many members."""
    stacked, tried = packs._stacked, []

    def limit(most, error=FULL):
        def run(function):
            def step(arguments):
                tried.append(len(arguments))
                if len(arguments) > most:
                    raise error
                return stacked(function)(arguments)

            return step

        monkeypatch.setattr(packs, "_stacked", run)
        return tried

    return limit


@pytest.mark.parametrize("error", [FULL, MemoryError()], ids=["device", "machine"])
def test_a_step_that_memory_does_not_suffice_for_is_taken_by_half_as_many(room_for, error):
    tried = room_for(2, error)
    with pytest.warns(UserWarning, match="not enough memory for") as said:
        found = dict(fit_pack(MEMBERS, STEPS, LOOP, Layout(1, 5)))
    assert [str(one.message) for one in said] == [
        "not enough memory for 5 trainings at once; continuing with 2 (to start that way: --pack 2)"
    ]
    assert sorted(found) == [0, 1, 2, 3, 4] and set(tried) == {5, 2}
    for index, result in dict(fit_pack(MEMBERS, STEPS, LOOP, Layout(1, 2))).items():
        chex.assert_trees_all_equal(found[index].variables, result.variables)


def test_memory_is_halved_again_down_to_one_and_then_it_is_the_failure_of_that_member(monkeypatch):
    def train(state, images, targets):
        if np.any(np.asarray(images) > 1):
            raise FULL
        return STEPS.train(state, images, targets)

    def stacked(function):
        raise FULL

    monkeypatch.setattr(packs, "_stacked", stacked)
    large = dataclasses.replace(MEMBERS[1], train=Pictures(pictures(5, 1).images + 2, pictures(5, 1).targets))
    steps = dataclasses.replace(STEPS, train=train)
    with pytest.warns(UserWarning, match="not enough memory for") as said:
        found = dict(fit_pack([MEMBERS[0], large, MEMBERS[2], MEMBERS[3]], steps, LOOP, Layout(1, 4)))
    assert len(said) == 2
    assert is_out_of_memory(found[1]) and all(found[index].status == "ok" for index in (0, 2, 3))


def test_threads_that_share_a_memory_become_fewer(monkeypatch):
    drive, tried = packs.drive, []

    def driven(work, steps, layout):
        tried.append(layout)
        if layout.workers > 1:
            yield from ((index, FULL) for index in range(len(work)))
        else:
            yield from drive(work, steps, layout)

    monkeypatch.setattr(packs, "drive", driven)
    with pytest.warns(UserWarning, match="not enough memory for"):
        assert sorted(dict(fit_pack(MEMBERS, STEPS, LOOP, Layout(4, 1)))) == [0, 1, 2, 3, 4]
    assert tried == [Layout(4, 1), Layout(2, 1), Layout(1, 1)]


def test_a_layout_that_memory_does_not_suffice_for_is_not_chosen(room_for):
    room_for(2)
    assert list(time_layouts(MEMBERS, STEPS, LOOP, {"vmap": Layout(1, 5), "sequential": Layout()})) == ["sequential"]
    with pytest.raises(jax.errors.JaxRuntimeError, match="RESOURCE_EXHAUSTED"):
        time_layouts(MEMBERS, STEPS, LOOP, {"vmap": Layout(1, 5)})


def test_what_else_a_device_says_is_not_about_memory():
    assert not is_out_of_memory(jax.errors.JaxRuntimeError("INTERNAL: cuDNN failed"))
    assert not is_out_of_memory(ValueError("RESOURCE_EXHAUSTED"))


@pytest.mark.parametrize("layout", [Layout(), Layout(2, 1), Layout(2, 2)], ids=str)
def test_an_error_in_one_member_is_its_result_and_the_others_go_on(layout):
    def fail(share):
        raise RuntimeError("no luck")

    found = dict(fit_pack([*MEMBERS[:3], member(3, on_epoch=fail)], STEPS, LOOP, layout))
    assert [found[index].status for index in range(3)] == ["ok"] * 3
    assert str(found[3]) == "no luck" and "in fail" in found[3].__notes__[0]


def test_an_error_keeps_nothing_in_memory():
    held = []

    def fail(share):
        array = np.zeros(3)
        held.append(weakref.ref(array))
        raise RuntimeError("no luck")

    found = dict(fit_pack([member(3, on_epoch=fail)], STEPS, LOOP, Layout()))
    gc.collect()
    assert held[0]() is None and isinstance(found[0], RuntimeError)


@pytest.mark.parametrize("layout", [Layout(), Layout(2, 1)], ids=str)
def test_what_is_wrong_with_the_input_ends_the_pack(layout):
    def fail(share):
        raise InputError("picture.png: cannot be read")

    with pytest.raises(InputError, match=r"picture\.png"):
        list(fit_pack([member(3, on_epoch=fail), *MEMBERS[:2]], STEPS, LOOP, layout))


def explode_after(steps):
    """Pictures whose first batches are good: the first `steps` of an unshuffled epoch."""
    good = pictures(6, 1)
    images = good.images.copy()
    images[2 * steps :] = np.nan
    return good._replace(images=images)


@pytest.mark.parametrize("layout", [Layout(), Layout(1, 3)], ids=["alone", "vmap"])
def test_a_member_that_diverges_keeps_its_last_good_state_and_changes_no_bit_of_the_others(layout):
    loop = dataclasses.replace(LOOP, shuffle=False, restarts=0)
    others = [dataclasses.replace(MEMBERS[number], train=pictures(6, number)) for number in (0, 2)]
    fine = dataclasses.replace(MEMBERS[1], train=pictures(6, 1))
    for broken in (explode_after(0), explode_after(2)):
        pack = [others[0], dataclasses.replace(fine, train=broken), others[1]]
        found = dict(fit_pack(pack, STEPS, loop, layout))
        assert [found[index].status for index in range(3)] == ["ok", "diverged", "ok"]
        assert np.isnan(found[1].losses[0, 0]) and len(found[1].losses) == 1
        for leaf in jax.tree.leaves(found[1].variables):
            assert np.all(np.isfinite(leaf))
        without = dict(fit_pack([others[0], fine, others[1]], STEPS, loop, layout))
        for index in (0, 2):
            np.testing.assert_array_equal(found[index].losses, without[index].losses)
            chex.assert_trees_all_equal(found[index].variables, without[index].variables)


def test_a_member_that_diverges_later_keeps_the_state_of_its_best_epoch(monkeypatch):
    loop = dataclasses.replace(LOOP, restarts=0)
    two = dict(fit_pack([MEMBERS[0]], STEPS, dataclasses.replace(loop, epochs=2), Layout()))[0]
    steps = iter(range(100))

    def train(state, images, targets):
        images = images * np.float32(np.nan) if next(steps) >= 6 else images  # the third epoch
        return STEPS.train(state, images, targets)

    found = dict(fit_pack([MEMBERS[0]], dataclasses.replace(STEPS, train=train), loop, Layout()))[0]
    assert found.status == "diverged" and found.best_epoch == two.best_epoch == 1
    chex.assert_trees_all_equal(found.variables, two.variables)


def test_a_loss_that_is_infinite_while_validation_goes_on_counts_for_nothing():
    def train(state, images, targets):
        state, loss = STEPS.train(state, images, targets)
        return state, loss * np.inf

    loop = dataclasses.replace(LOOP, restarts=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = dict(fit_pack([MEMBERS[0]], dataclasses.replace(STEPS, train=train), loop, Layout()))[0]
    initial = STEPS.init(jax.random.split(jax.random.fold_in(MEMBERS[0].key, 0))[0], MEMBERS[0].train.images[:2])
    assert found.status == "diverged"
    chex.assert_trees_all_equal(found.variables, initial.variables)
