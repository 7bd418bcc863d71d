"""A member of a pack gives what it gives alone, whatever the layout; one that fails does not stop the others."""

import dataclasses

import chex
import flax.linen as nn
import jax
import numpy as np
import pytest

from segjax.models import create
from segjax.training import LoopConfig, Member, Pictures, StepConfig, fit, fit_pack, make_steps
from segjax.training.packs import STRATEGIES, Layout, candidate_layouts, layout_of, time_layouts
from segjax.types import InputError

STEP = StepConfig(learning_rate=0.05)
LOOP = LoopConfig(batch_size=2, epochs=4, restarts=1)
TRACES = []


class Convolutional(nn.Module):
    """Two small convolutions."""

    @nn.compact
    def __call__(self, image, *, train=False, features=False):
        TRACES.append(image.shape)
        return nn.Conv(2, (3, 3))(nn.tanh(nn.Conv(4, (3, 3))(image)))


def pictures(count, seed):
    images = np.random.default_rng(seed).random((count, 6, 6, 1), np.float32)
    return Pictures(images, (images[..., 0] > 0.5).astype(np.int32))


def member(number, **options):
    return Member(jax.random.key(number), pictures(5, number), pictures(3, 9), **options)


MEMBERS = [member(number, learning_rate=0.02 * (number + 1)) for number in range(5)]
STEPS = make_steps(Convolutional(), STEP)
SPREAD = [Layout(3, 1), Layout(2, 1)]
SHARED = [Layout(1, 5), Layout(1, 2), Layout(2, 3)]


@pytest.fixture(scope="module")
def alone():
    return [fit(m.key, STEPS, m.train, m.validation, LOOP, learning_rate=m.learning_rate) for m in MEMBERS]


@pytest.mark.slow
@pytest.mark.parametrize("layout", [Layout(), *SPREAD], ids=str)
def test_members_with_a_step_of_their_own_give_the_same_bits(alone, layout):
    results = dict(fit_pack(MEMBERS, STEPS, LOOP, layout))
    assert sorted(results) == [0, 1, 2, 3, 4]
    for index, single in enumerate(alone):
        np.testing.assert_array_equal(results[index].losses, single.losses)
        chex.assert_trees_all_equal(results[index].variables, single.variables)


@pytest.mark.slow
@pytest.mark.parametrize("layout", SHARED, ids=str)
def test_members_that_share_a_step_agree_to_rounding(alone, layout):
    results = dict(fit_pack(MEMBERS, STEPS, LOOP, layout))
    assert sorted(results) == [0, 1, 2, 3, 4]
    for index, single in enumerate(alone):
        np.testing.assert_allclose(results[index].losses, single.losses, atol=2e-5)
        chex.assert_trees_all_close(results[index].variables, single.variables, rtol=1e-7, atol=2e-4)


@pytest.mark.slow
def test_members_share_a_step_that_computes_maps_twice():
    steps = make_steps(create("unet", width=2, levels=1, remat=True), STEP)
    together, one_by_one = (dict(fit_pack(MEMBERS[:2], steps, LOOP, layout)) for layout in (Layout(1, 2), Layout()))
    for index in (0, 1):
        np.testing.assert_allclose(together[index].losses, one_by_one[index].losses, atol=2e-5)


def test_members_of_unlike_sizes_share_a_step_as_far_as_they_are_alike(alone):
    uneven = [MEMBERS[0], Member(jax.random.key(7), pictures(2, 5), pictures(9, 9)), MEMBERS[2]]
    results = dict(fit_pack(uneven, STEPS, LOOP, Layout(1, 3)))
    np.testing.assert_allclose(results[0].losses, alone[0].losses, atol=2e-5)
    np.testing.assert_allclose(results[2].losses, alone[2].losses, atol=2e-5)
    single = fit(uneven[1].key, STEPS, uneven[1].train, uneven[1].validation, LOOP)
    np.testing.assert_allclose(results[1].losses, single.losses, atol=2e-5)


@pytest.mark.parametrize("layout", [Layout(), Layout(2, 1), Layout(1, 3)], ids=str)
def test_a_member_that_diverges_is_named_and_the_others_go_on(alone, layout):
    broken = pictures(5, 1)._replace(images=np.full((5, 6, 6, 1), np.nan, np.float32))
    pack = [MEMBERS[0], dataclasses.replace(MEMBERS[1], train=broken), MEMBERS[2]]
    results = dict(fit_pack(pack, STEPS, LOOP, layout))
    assert results[1].status == "diverged" and results[1].restarts == LOOP.restarts
    for index in (0, 2):
        np.testing.assert_allclose(results[index].losses, alone[index].losses, atol=2e-5)


@pytest.mark.parametrize("layout", [Layout(), Layout(1, 4)], ids=str)
def test_one_trace_serves_every_member(layout):
    steps = make_steps(Convolutional(), STEP)
    list(fit_pack(MEMBERS[:4], steps, LOOP, layout))
    TRACES.clear()
    list(fit_pack([member(n, learning_rate=0.3) for n in range(20, 24)], steps, LOOP, layout))
    assert TRACES == []


def test_a_caller_that_stops_early_stops_the_workers():
    epochs = []
    endless = dataclasses.replace(LOOP, epochs=100_000)
    pack = [MEMBERS[0], member(1, on_epoch=epochs.append)]
    quick = Member(jax.random.key(0), pictures(5, 0), pictures(3, 9), on_epoch=_stop_iteration_after(3))
    with pytest.raises(KeyboardInterrupt):
        list(fit_pack([quick, *pack], STEPS, endless, Layout(3, 1)))
    assert len(epochs) < 100_000


def _stop_iteration_after(count):
    seen = []

    def on_epoch(share):
        seen.append(share)
        if len(seen) == count:
            raise KeyboardInterrupt

    return on_epoch


def test_named_layouts():
    devices = jax.local_device_count()  # 4 in the tests
    assert layout_of("sequential", 6) == Layout(1, 1)
    assert layout_of("vmap", 6) == Layout(1, 6)
    assert layout_of("spread", 6) == Layout(devices, 1) and layout_of("spread", 2) == Layout(2, 1)
    assert layout_of("both", 6) == Layout(devices, 2)
    with pytest.raises(InputError, match=r"strategy: unknown 'fast'.*auto, sequential"):
        layout_of("fast", 6)


def test_layouts_that_differ_are_timed():
    assert candidate_layouts(5) == {"sequential": Layout(1, 1), "spread": Layout(4, 1)}
    assert candidate_layouts(1) == {"sequential": Layout()}
    seconds = time_layouts(MEMBERS, STEPS, LOOP, {name: layout_of(name, 5) for name in STRATEGIES})
    assert set(seconds) == set(STRATEGIES) and all(0 < value < 60 for value in seconds.values())


def test_spread_members_run_on_devices_of_their_own():
    found = dict(fit_pack(MEMBERS[:4], STEPS, LOOP, Layout(4, 1)))
    used = {next(iter(jax.tree.leaves(result.variables)[0].devices())) for result in found.values()}
    assert len(used) > 1


def test_a_wrong_learning_rate_is_refused():
    with pytest.raises(InputError, match="learning_rate"):
        member(0, learning_rate=-1.0)
