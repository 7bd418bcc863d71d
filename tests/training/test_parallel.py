"""Several devices give the numbers of one, with batch statistics, loss and gradient of the whole batch."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.models import create
from segjax.training import LoopConfig, Pictures, StepConfig, fit, make_steps, predict
from segjax.training.parallel import cores, make_mesh, make_pmap_steps, make_sharded_steps, pack_step

NETWORKS = {
    "unet": {"width": 2, "levels": 1, "norm": "batch"},
    "unet running": {"width": 2, "levels": 1, "norm": "running"},
    "segnet": {"width": 2, "levels": 1, "norm": "batch"},
    "msd": {"depth": 3},
}
MAKERS = {"jit": lambda net, config: make_sharded_steps(net, config, make_mesh()), "pmap": make_pmap_steps}


def network(name):
    return create(name.split()[0], **NETWORKS[name])


def pictures(count, seed=0):
    images = np.random.default_rng(seed).random((count, 8, 8, 1), np.float32)
    return Pictures(images, (images[..., 0] > 0.6).astype(np.int32))


def test_cores_are_counted_with_and_without_an_affinity(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 2, 5}, raising=False)
    assert cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert cores() == 7


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"NPROC": "4"}, 4),
        ({"PJRT_NPROC": "4"}, 4),
        ({"NPROC": "4", "PJRT_NPROC": "1"}, 1),
        ({"NPROC": "0"}, 1),
        ({"NPROC": "many"}, 3),
    ],
)
def test_cores_are_those_that_jax_is_told_to_compute_on(told, expected, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 2, 5}, raising=False)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert cores() == expected


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="threads are listed on Linux only")
def test_jax_computes_on_as_many_threads_as_it_is_told():
    names = "[open(f'/proc/self/task/{one}/comm').read().strip() for one in os.listdir('/proc/self/task')]"
    code = f"import os, jax; jax.devices(); print({names}.count('tf_XLAEigen'))"
    told = {**os.environ, "XLA_FLAGS": "", "NPROC": "5", "PJRT_NPROC": "3"}
    assert subprocess.run([sys.executable, "-c", code], env=told, capture_output=True, check=True).stdout == b"3\n"


@pytest.mark.slow
@pytest.mark.parametrize(("loss", "batch"), [("dice", 4), ("both", 5)])
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("how", MAKERS)
def test_a_step_equals_that_of_one_device(how, name, loss, batch):
    config = StepConfig(loss=loss, augment=True)
    single, spread = make_steps(network(name), config), MAKERS[how](network(name), config)
    data = pictures(batch)
    states = [steps.init(jax.random.key(1), data.images, 1e-4) for steps in (single, spread)]
    for number in range(3):
        results = [steps.train(state, *data) for steps, state in zip((single, spread), states, strict=True)]
        states = [state for state, _ in results]
        np.testing.assert_allclose(float(results[1][1]), float(results[0][1]), atol=1e-5)
        if number == 0:
            assert_same_gradient(*states)


def assert_same_gradient(a, b):
    """Moments after one step are multiples of the gradient; weights would amplify rounding where it is near zero."""
    for x, y in zip(jax.tree.leaves(a.opt_state.mu), jax.tree.leaves(b.opt_state.mu), strict=True):
        np.testing.assert_allclose(np.asarray(y), np.asarray(x), atol=1e-5)
    for x, y in zip(jax.tree.leaves(a.model_state), jax.tree.leaves(b.model_state), strict=True):
        np.testing.assert_allclose(np.asarray(y), np.asarray(x), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("how", MAKERS)
def test_fit_and_predict_take_the_steps_of_several_devices(how):
    config = StepConfig(learning_rate=0.01)
    single, spread = make_steps(network("unet"), config), MAKERS[how](network("unet"), config)
    fits = [
        fit(jax.random.key(0), steps, pictures(7), pictures(3, 1), LoopConfig(batch_size=3, epochs=2))
        for steps in (single, spread)
    ]
    np.testing.assert_allclose(fits[1].losses, fits[0].losses, atol=1e-4)
    masks = [predict(s, f.variables, pictures(4, 2).images) for s, f in zip((single, spread), fits, strict=True)]
    assert np.mean(masks[0] != masks[1]) < 0.01


def test_a_batch_lies_on_every_device():
    steps = make_sharded_steps(network("unet"), StepConfig(), make_mesh())
    state = steps.init(jax.random.key(0), pictures(4).images, 0.01)
    assert len(jax.tree.leaves(state.params)[0].sharding.device_set) == jax.device_count() == 4


@pytest.mark.slow
@pytest.mark.parametrize("members", [1, 2, 4])
def test_members_and_batches_spread_over_a_mesh_equal_single_trainings(members):
    config = StepConfig(learning_rate=0.01)
    steps = make_steps(network("unet"), config)
    data = [pictures(4, seed) for seed in range(4)]
    singles = [steps.init(jax.random.key(seed), data[seed].images, 0.01) for seed in range(4)]
    states = jax.tree.map(lambda *leaves: jnp.stack(leaves), *singles)
    packed, losses = pack_step(network("unet"), config, make_mesh(members=members))(
        states, np.stack([d.images for d in data]), np.stack([d.targets for d in data])
    )
    for seed, single in enumerate(singles):
        alone, loss = steps.train(single, *data[seed])
        np.testing.assert_allclose(float(losses[seed]), float(loss), atol=1e-5)
        assert_same_gradient(alone, jax.tree.map(lambda leaf, seed=seed: leaf[seed], packed))
