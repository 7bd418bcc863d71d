"""KPCA-CAM and deep feature factorisation against NumPy, and on layers whose parts are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.maps import ClassDifference
from segjax.maps.cam import eigen_cam, grad_cam
from segjax.maps.factors import deep_feature_factorisation, factorise, kpca_cam
from segjax.types import InputError

TARGET = ClassDifference(1, 0)
WEIGHTS = np.array([-1.0, 1.0, 0.0])
RNG = np.random.default_rng(5)


def kernel_component(activations):
    """Kernel PCA by the definition: the double-centred kernel matrix, its largest eigenvalue and eigenvector."""
    pixels = activations.reshape(-1, activations.shape[-1]).astype(np.float64)
    pixels = pixels - pixels.mean(0)
    kernel = np.array([[np.tanh(a @ b / len(a) + 1) for b in pixels] for a in pixels])
    centring = np.eye(len(pixels)) - 1 / len(pixels)
    values, vectors = np.linalg.eigh(centring @ kernel @ centring)
    component = vectors[:, -1] * np.sqrt(values[-1])
    return (component if np.abs(component).max() == component.max() else -component).reshape(activations.shape[:2])


@pytest.mark.parametrize("layer", ["first", "maps"])
def test_kpca_cam_is_the_first_component_of_the_kernel_matrix(tiny, layer):
    apply, variables, image, by_hand = tiny
    found = jax.jit(lambda v, x: kpca_cam(apply, v, x, TARGET, layer))(variables, image)
    for one, activations in zip(found, by_hand.layers(image)[layer], strict=True):
        np.testing.assert_allclose(one, kernel_component(activations), rtol=1e-3, atol=1e-3)
    assert np.abs(found - eigen_cam(apply, variables, image, TARGET, layer)).max() > 0.1


def fixed(activations):
    """A function with the signature of a probe whose only layer is this one."""

    def apply(variables, image, taps=None, features=False):
        layer = activations + (taps or {}).get("layer", 0)
        logits = layer.mean((1, 2))
        return (logits, {"layer": layer}) if features else logits

    return apply


def test_a_layer_of_many_pixels_is_fitted_on_some_of_them():
    """Pixels of three kinds: any regular grid sees all, so that the map is nearly that of all pixels."""
    kinds = RNG.uniform(0, 3, (3, 6))
    layer = jnp.asarray(
        kinds[RNG.integers(0, 3, (1, 24, 20))] + 0.01 * RNG.standard_normal((1, 24, 20, 6)), jnp.float32
    )
    every, some = (np.asarray(kpca_cam(fixed(layer), {}, layer, TARGET, "layer", n)) for n in (480, 60))
    assert np.corrcoef(every.ravel(), some.ravel())[0, 1] > 0.999
    assert np.abs(every - some).max() > 1e-3


def test_small_values_are_not_rounded_away():
    """Where tanh is a line, the kernel is linear and the component is that of Eigen-CAM, but for its length."""
    layer = jnp.asarray(1e-3 * RNG.standard_normal((1, 5, 4, 3)), jnp.float32)
    found, linear = (np.ravel(make(fixed(layer), {}, layer, TARGET, "layer")) for make in (kpca_cam, eigen_cam))
    np.testing.assert_allclose(found / np.linalg.norm(found), linear / np.linalg.norm(linear), atol=1e-2)


def test_a_constant_layer_has_an_empty_map():
    layer = jnp.ones((1, 4, 5, 3))
    assert not kpca_cam(fixed(layer), {}, layer, TARGET, "layer").any()
    assert not factorise(jnp.zeros((4, 5, 3)), 2).maps.any()


def test_concepts_that_have_a_pixel_of_their_own_are_found_exactly():
    directions = np.array([[3, 4, 0, 0], [0, 0, 5, 12]]) / np.array([[5], [13]])
    maps = RNG.uniform(0.1, 1, (3, 4, 2))
    maps[0, 0], maps[1, 2] = (4, 0), (0, 3)
    found = factorise(jnp.asarray(maps @ directions, jnp.float32), 2)
    np.testing.assert_allclose(found.directions, directions, atol=1e-4)
    np.testing.assert_allclose(found.maps, maps, atol=1e-3)


def test_a_factorisation_is_non_negative_and_no_single_change_makes_it_better():
    """At a minimum the slope of the squared error is 0 where a factor is positive, and not negative where it is 0."""
    layer = RNG.uniform(0, 1, (5, 6, 8))
    found = factorise(jnp.asarray(layer, jnp.float32), 3)
    maps, directions = (np.asarray(part, np.float64) for part in found)
    assert maps.min() >= 0 and directions.min() >= 0
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1, rtol=1e-5)
    rest = maps @ directions - layer
    for factor, slope in ((maps, rest @ directions.T), (directions, np.einsum("hwn,hwk->nk", maps, rest))):
        assert np.abs(np.where(factor > 1e-4, slope, 0)).max() < 0.02 and slope.min() > -0.02


def test_one_concept_is_the_first_singular_vector():
    layer = RNG.uniform(0, 1, (4, 5, 6))
    found = factorise(jnp.asarray(layer, jnp.float32), 1)
    u, s, v = np.linalg.svd(layer.reshape(-1, 6), full_matrices=False)
    np.testing.assert_allclose(np.ravel(found.maps), np.abs(u[:, 0]) * s[0], rtol=1e-4)
    np.testing.assert_allclose(found.directions[0], np.abs(v[0]), rtol=1e-4)


def test_the_map_is_the_contribution_of_the_concept_with_the_most(tiny):
    apply, variables, image, by_hand = tiny
    layer = "first"
    found = jax.jit(lambda v, x: deep_feature_factorisation(apply, v, x, TARGET, layer, 2))(variables, image)
    gradients = by_hand.gradients(image, WEIGHTS)[layer].mean((1, 2))
    for one, activations, weights in zip(found, by_hand.layers(image)[layer], gradients, strict=True):
        maps, directions = factorise(jnp.asarray(activations, jnp.float32), 2)
        contributions = [np.asarray(maps)[..., n] * (np.asarray(directions)[n] @ weights) for n in range(2)]
        np.testing.assert_allclose(one, max(contributions, key=np.sum), rtol=1e-3, atol=1e-4)


def test_as_many_concepts_as_channels_add_up_to_grad_cam(tiny):
    apply, variables, image, by_hand = tiny
    weights = by_hand.gradients(image, WEIGHTS)["maps"].mean((1, 2))
    expected = np.asarray(grad_cam(apply, variables, image, TARGET, "maps"))
    for one, activations, weight in zip(expected, by_hand.layers(image)["maps"], weights, strict=True):
        maps, directions = factorise(jnp.asarray(activations, jnp.float32), 5)
        np.testing.assert_allclose(np.asarray(maps) @ (np.asarray(directions) @ weight), one, atol=1e-2)


def test_no_concept_is_refused():
    with pytest.raises(InputError, match="concepts must be 1 or more, not 0"):
        factorise(jnp.ones((2, 2, 3)), 0)
