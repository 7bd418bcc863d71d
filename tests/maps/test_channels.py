"""Score-CAM, Ablation-CAM and the fusions against NumPy."""

import jax
import numpy as np
import pytest
from scipy.special import softmax

from segjax.maps import ClassDifference, ClassProbability
from segjax.maps.channels import ablation_cam, score_cam
from segjax.maps.fusion import layer_cam_fusion, poly_cam, refine_cam, zoom_cam
from segjax.types import InputError

from .conftest import enlarged
from .test_cam import BY_HAND

TARGET = ClassDifference(1, 0)
WEIGHTS = np.array([-1.0, 1.0, 0.0])
LAYERS = ("first", "maps")


def channels_of(by_hand, image, layer):
    return np.moveaxis(by_hand.layers(image)[layer], -1, 1)


@pytest.mark.parametrize("layer", LAYERS)
def test_score_cam_is_that_of_numpy(tiny, layer):
    apply, variables, image, by_hand = tiny
    expected = []
    for picture, channels in zip(np.asarray(image), channels_of(by_hand, image, layer), strict=True):
        scores = []
        for channel in channels:
            span = channel.max() - channel.min()
            mask = enlarged((channel - channel.min()) / (span if span > 0 else 1), 8, 6)
            scores.append(by_hand.logits((picture * mask[..., None])[None])[0] @ WEIGHTS)
        expected.append(np.tensordot(softmax(scores), channels, 1))
    for chunk in (3, 32):
        found = jax.jit(lambda v, x, n=chunk: score_cam(apply, v, x, TARGET, layer, n))(variables, image)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layer", LAYERS)
def test_ablation_cam_is_that_of_numpy(tiny, layer):
    apply, variables, image, by_hand = tiny
    channels = channels_of(by_hand, image, layer)
    whole = by_hand.logits(image) @ WEIGHTS
    falls = [whole - by_hand.logits(image, (layer, k)) @ WEIGHTS for k in range(channels.shape[1])]
    expected = np.einsum("kb,bkhw->bhw", falls, channels)
    for chunk in (2, 32):
        found = jax.jit(lambda v, x, n=chunk: ablation_cam(apply, v, x, TARGET, layer, n))(variables, image)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def by_maximum(maps):
    return [one / one.max() if one.max() > 0 else 0 * one for one in maps]


def layer_maps(by_hand, image, name, layer):
    activations, gradients = by_hand.layers(image)[layer], by_hand.gradients(image, WEIGHTS)[layer]
    return [np.maximum(BY_HAND[name](a, g), 0) for a, g in zip(activations, gradients, strict=True)]


def test_fusions_are_those_of_numpy(tiny):
    apply, variables, image, by_hand = tiny
    given = (apply, variables, image, TARGET, LAYERS)

    def of(name, scale=by_maximum):
        return [enlarged(np.stack(scale(layer_maps(by_hand, image, name, layer))), 8, 6) for layer in LAYERS]

    first, maps = of("layer_cam")
    np.testing.assert_allclose(layer_cam_fusion(*given), np.maximum(first, maps), rtol=1e-4, atol=1e-5)
    lifted = enlarged(np.tanh(2 * np.stack(by_maximum(layer_maps(by_hand, image, "layer_cam", "first")))), 8, 6)
    np.testing.assert_allclose(layer_cam_fusion(*given, ["first"]), np.maximum(lifted, maps), rtol=1e-4, atol=1e-5)

    zoomed = of("hires_cam", lambda found: by_maximum([one - one.min() for one in found]))
    np.testing.assert_allclose(zoom_cam(*given), np.maximum(*zoomed), rtol=1e-4, atol=1e-5)

    product = np.prod(of("grad_cam_plus_plus"), 0)
    np.testing.assert_allclose(refine_cam(*given), by_maximum(product), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["+", "-", "+-"])
def test_poly_cam_is_that_of_numpy(tiny, kind):
    apply, variables, image, by_hand = tiny
    target = ClassProbability(1)
    found = jax.jit(lambda v, x: poly_cam(apply, v, x, target, LAYERS, kind, 4))(variables, image)
    for picture, one in zip(np.asarray(image), found, strict=True):

        def probability(x):
            return softmax(by_hand.logits(x[None])[0])[1]

        acts = {}
        for layer in LAYERS:
            channels = channels_of(by_hand, picture[None], layer)[0]
            weights = []
            for channel in channels:
                large = enlarged(channel, 8, 6)
                low, high = np.percentile(large, [0.1, 99.9])
                mask = (np.clip(large, low, high) / high if high > 0 else 0 * large)[..., None]
                kept, lost = probability(picture * mask), probability(picture) - probability(picture * (1 - mask))
                weights.append({"+": kept, "-": max(lost, 0), "+-": max(kept + lost, 0)}[kind])
            acts[layer] = np.maximum(np.tensordot(weights, channels, 1), 0)
        fine = acts["first"]
        around = enlarged(fine.reshape(4, 2, 3, 2).mean((1, 3)), 8, 6)
        expected = fine / np.maximum(around, 1e-12) * enlarged(acts["maps"], 8, 6)
        np.testing.assert_allclose(one, expected, rtol=2e-3, atol=1e-4)


def test_a_fusion_of_nothing_is_refused(tiny):
    apply, variables, image, _ = tiny
    with pytest.raises(InputError, match="none to fuse; give at least one"):
        refine_cam(apply, variables, image, TARGET, [])
    with pytest.raises(InputError, match="none to fuse; give at least one"):
        poly_cam(apply, variables, image, TARGET, [])
