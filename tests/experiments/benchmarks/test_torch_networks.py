"""The rivals compute what our networks compute: with our weights they give our logits and our gradient of the loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from experiments.benchmarks.torch_networks import WAYS, build  # noqa: E402
from experiments.benchmarks.torch_rivals import FORMATS, flops, on_torch, torch_soft_dice  # noqa: E402
from segjax import training  # noqa: E402
from segjax.models import create  # noqa: E402

OPTIONS = {"unet": {"width": 3, "levels": 2}, "segnet": {"width": 3, "levels": 3}, "msd": {"depth": 12}}


def given(name: str) -> tuple:
    """Our network, weights that are nowhere zero, odd-sized pictures of two channels, and targets."""
    network = create(name, **OPTIONS[name], norm="none")
    generator = np.random.default_rng(0)
    images = generator.random((2, 17, 19, 2), np.float32)
    targets = (images[..., 0] > 0.6).astype(np.int32)
    shapes = jax.eval_shape(network.init, jax.random.key(0), images)["params"]
    params = jax.tree.map(lambda leaf: generator.normal(0.02, 0.3, leaf.shape).astype(np.float32), shapes)
    return network, params, images, targets


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name, kinds in WAYS.items() for kind in kinds.values()])
def test_same_logits_and_gradient(name, kind):
    network, params, images, targets = given(name)

    def objective(params):
        logits = network.apply({"params": params}, jnp.asarray(images))
        return training.soft_dice(logits, jnp.asarray(targets)), logits

    (loss, logits), gradient = jax.jit(jax.value_and_grad(objective, has_aux=True))(params)
    rival = build(kind, OPTIONS[name], params, channels=2)
    rival_logits = rival(on_torch(images))
    scale = np.abs(logits).max()
    np.testing.assert_allclose(rival_logits.detach().movedim(1, -1) / scale, logits / scale, atol=1e-4)
    assert np.std(logits) > 0

    rival_loss = torch_soft_dice(rival_logits, torch.tensor(targets, dtype=torch.int64))
    rival_loss.backward()
    np.testing.assert_allclose(rival_loss.item(), loss, rtol=1e-4)
    expected = dict(build(kind, OPTIONS[name], gradient, channels=2).named_parameters())
    largest = max(float(values.detach().abs().max()) for values in expected.values())
    assert largest > 0
    for layer, parameter in rival.named_parameters():
        difference = (parameter.grad - expected[layer].detach()).abs().max()
        assert difference <= 1e-4 * largest, layer


@pytest.mark.parametrize("name", list(WAYS))
def test_as_many_parameters_as_ours(name):
    _, params, _, _ = given(name)
    ours = sum(leaf.size for leaf in jax.tree.leaves(params))
    for kind in WAYS[name].values():
        assert sum(parameter.numel() for parameter in kind(2, **OPTIONS[name]).parameters()) == ours


def test_other_weights_are_refused():
    _, params, _, _ = given("unet")
    with pytest.raises(ValueError, match=r"down0\.conv0\.weight has shape"):
        build(WAYS["unet"]["PyTorch"], OPTIONS["unet"], params, channels=1)
    with pytest.raises(ValueError, match="layers differ"):
        build(WAYS["unet"]["PyTorch"], {"width": 3, "levels": 1}, params, channels=2)


def test_operations_of_a_small_msd_network():
    images, targets = np.zeros((1, 4, 4, 1), np.float32), np.zeros((1, 4, 4), np.int32)
    shapes = jax.eval_shape(create("msd", depth=2).init, jax.random.key(0), images)["params"]
    params = jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), shapes)
    layers = [9 * 1, 9 * 2, 3 * 2]  # multiplications per pixel: one channel in, two in, head from three to two
    assert flops("msd", {"depth": 2}, params, images) == 2 * 16 * sum(layers)
    # Backward: gradients of weights and inputs, but for the input of the first layer, which is the picture.
    assert flops("msd", {"depth": 2}, params, images, targets) == 2 * 16 * (3 * sum(layers) - layers[0])


@pytest.mark.parametrize("form", list(FORMATS))
@pytest.mark.parametrize("channels", [1, 3])
def test_memory_formats_reach_the_layers(form, channels):
    images = np.ones((2, 8, 8, channels), np.float32)
    layer = torch.nn.Conv2d(channels, 4, 3).to(memory_format=FORMATS[form])
    assert layer(on_torch(images, form)).is_contiguous(memory_format=FORMATS[form])
