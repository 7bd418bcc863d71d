"""Number formats of training: what they change, and what they leave as it is."""

import dataclasses
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend import core

from segjax.models import CLASSIFIERS, NETWORKS, create
from segjax.training import Member, Pictures, TrainConfig, fit_pack, layout_of, make_mean_teacher_steps, make_steps
from segjax.training.steps import pure_step

SMALL = {
    "unet": {"width": 4, "levels": 2, "norm": "running"},
    "segnet": {"width": 4, "levels": 2, "norm": "group"},
    "msd": {"depth": 4, "input_mean": 0.5},
    "vgg16": {"width": 4},
    "resnet18": {"width": 4, "norm": "group"},
    "resnet34": {"width": 4, "norm": "none"},  # statistics of four single pixels, its last maps, magnify rounding
    "resnet50": {"width": 4, "norm": "none"},
    "msd_classifier": {"depth": 4},
    "unet_classifier": {"width": 4, "levels": 2, "pooling": "rank"},
}
CONFIG = TrainConfig(loss="cross_entropy", learning_rate=0.01, batch_size=4, augment=True, epochs=2, restarts=0)
IMAGES = np.random.default_rng(0).random((4, 32, 32, 1), np.float32)
TARGETS = (IMAGES[..., 0] > 0.5).astype(np.int32)


def in_format(precision: str) -> TrainConfig:
    return dataclasses.replace(CONFIG, precision=precision)


def targets_of(name: str) -> np.ndarray:
    return TARGETS if name in NETWORKS else np.arange(4, dtype=np.int32) % 2


def test_every_network_is_tested():
    assert set(SMALL) == {*NETWORKS, *CLASSIFIERS}


@pytest.mark.parametrize("name", SMALL)
def test_a_step_in_16_bits_is_near_that_in_32_and_keeps_its_state_in_32(name):
    network, targets, found = create(name, **SMALL[name]), targets_of(name), {}
    for precision in ("float32", "bfloat16"):
        steps = make_steps(network, in_format(precision))
        state = steps.init(jax.random.key(0), IMAGES, 1e-3)
        for _ in range(2):  # some start from zeros, and all alike
            state, loss = steps.train(state, IMAGES, targets)
        kept = (state.params, state.model_state, state.opt_state, loss)
        assert {leaf.dtype for leaf in jax.tree.leaves(kept)} <= {jnp.dtype("float32"), jnp.dtype("int32")}
        found[precision] = float(loss)
    assert found["bfloat16"] != found["float32"]
    assert found["bfloat16"] == pytest.approx(found["float32"], rel=0.05)


def products(jaxpr: core.Jaxpr) -> list:
    """Precisions of all products and convolutions, of inner functions too."""
    found = []
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("dot_general", "conv_general_dilated"):
            found.append(equation.params["precision"])
        for value in equation.params.values():
            for part in value if isinstance(value, tuple | list) else (value,):
                if inner := getattr(part, "jaxpr", part if isinstance(part, core.Jaxpr) else None):
                    found += products(inner)
    return found


@pytest.mark.parametrize("name", SMALL)
def test_products_forward_and_backward_read_the_bits_that_are_configured(name):
    network, targets, found = create(name, **SMALL[name]), targets_of(name), {}
    for precision in ("float32", "tf32"):
        config = in_format(precision)
        state = jax.eval_shape(make_steps(network, config).init, jax.random.key(0), IMAGES)
        found[precision] = products(jax.make_jaxpr(pure_step(network, config))(state, IMAGES, targets).jaxpr)
    assert len(found["float32"]) == len(found["tf32"]) >= 6
    highest, high = (jax.lax.Precision.HIGHEST,) * 2, (jax.lax.Precision.HIGH,) * 2
    assert set(found["float32"]) == {highest} and set(found["tf32"]) == {high}


def test_tf32_gives_the_same_bits_on_cpu():
    states = []
    for precision in ("float32", "tf32"):
        steps = make_steps(create("unet", **SMALL["unet"]), in_format(precision))
        states.append(steps.train(steps.init(jax.random.key(0), IMAGES), IMAGES, TARGETS)[0].params)
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, *states)))


def test_predictions_and_validation_compute_as_configured():
    network = create("unet", **SMALL["unet"])
    by_format = {precision: make_steps(network, in_format(precision)) for precision in ("float32", "bfloat16")}
    state = by_format["float32"].init(jax.random.key(0), IMAGES)
    losses = {name: steps.validate(state.variables, IMAGES, TARGETS)[0] for name, steps in by_format.items()}
    classes = {name: steps.predict(state.variables, IMAGES) for name, steps in by_format.items()}
    assert not np.array_equal(losses["float32"], losses["bfloat16"])
    np.testing.assert_allclose(losses["bfloat16"], losses["float32"], rtol=0.02)
    assert np.mean(classes["float32"] == classes["bfloat16"]) > 0.95


def test_mean_teachers_and_packs_train_in_16_bits():
    config, members = in_format("bfloat16"), 2
    data = [Pictures(IMAGES, TARGETS) for _ in range(2)]
    for make in (make_steps, make_mean_teacher_steps):
        extra = {"ramp_up": 2} if make is make_mean_teacher_steps else {}
        steps = make(create("unet", width=4, levels=2), config, **extra)
        pack = [Member(jax.random.key(seed), *data, learning_rate=0.01) for seed in range(members)]
        for strategy in ("sequential", "vmap"):
            fits = [fit for _, fit in fit_pack(pack, steps, config, layout_of(strategy, members))]
            assert len(fits) == members and all(np.isfinite(fit.losses).all() for fit in fits)


UNKNOWN = """
from segjax.training import TrainConfig
from segjax.types import InputError
for option in ({"precision": "float16"}, {"loss": "hinge"}, {"stop": "never"}):
    try:
        TrainConfig(**option)
    except InputError as error:
        print(error)
"""


def test_unknown_names_are_refused_with_those_there_are():
    # in a process of its own, because here the annotations are executed and refuse them first
    run = subprocess.run([sys.executable, "-c", UNKNOWN], capture_output=True, text=True, check=True)
    precision, loss, stop = run.stdout.splitlines()
    assert precision == "precision: unknown 'float16'; choose one of float32, tf32, bfloat16"
    assert loss.startswith("loss: unknown 'hinge'; choose one of dice, cross_entropy, ")
    assert stop == "stop: unknown 'never'; choose one of fixed, plateau"
