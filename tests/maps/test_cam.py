"""Maps of one layer against NumPy, and what must hold between them."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.maps import MAPS, ClassDifference, ClassProbability, ClassScore
from segjax.maps.cam import cam, eigen_cam, finer_cam, grad_cam, hires_cam, layer_cam, shapley_cam
from segjax.maps.targets import ResidualSoftmax
from segjax.models import Probe, create
from segjax.types import InputError

TARGET = ClassDifference(1, 0)
WEIGHTS = np.array([-1.0, 1.0, 0.0])


def plus_plus(a, g):
    weights = np.zeros(a.shape[-1])
    for k in range(a.shape[-1]):
        for y, x in np.ndindex(a.shape[:2]):
            if g[y, x, k] != 0:
                share = g[y, x, k] ** 2 / (2 * g[y, x, k] ** 2 + a[..., k].sum() * g[y, x, k] ** 3)
                weights[k] += share * max(g[y, x, k], 0)
    return a @ weights


def x_grad(a, g):
    total = a.sum((0, 1))
    return a @ np.where(total == 0, 0, (a * g).sum((0, 1)) / np.where(total == 0, 1, total))


BY_HAND = {
    "grad_cam": lambda a, g: a @ g.mean((0, 1)),
    "grad_cam_plus_plus": plus_plus,
    "x_grad_cam": x_grad,
    "hires_cam": lambda a, g: (a * g).sum(-1),
    "elementwise_cam": lambda a, g: np.maximum(a * g, 0).sum(-1),
    "layer_cam": lambda a, g: (np.maximum(g, 0) * a).sum(-1),
}


@pytest.mark.parametrize("layer", ["first", "maps"])
@pytest.mark.parametrize("name", BY_HAND)
def test_maps_are_those_of_numpy(tiny, name, layer):
    apply, variables, image, by_hand = tiny
    activations, gradients = by_hand.layers(image)[layer], by_hand.gradients(image, WEIGHTS)[layer]
    expected = [BY_HAND[name](a, g) for a, g in zip(activations, gradients, strict=True)]
    assert np.ptp(expected) > 0.01
    found = jax.jit(lambda v, x: MAPS[name].make(apply, v, x, TARGET, layer))(variables, image)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer", ["first", "maps"])  # more pixels than channels, and fewer
def test_eigen_cam_is_the_first_component_of_the_singular_value_decomposition(tiny, layer):
    apply, variables, image, by_hand = tiny
    if layer == "maps":
        image = image[:, :4, :4]
    found = eigen_cam(apply, variables, image, TARGET, layer)
    for one, a in zip(found, by_hand.layers(image)[layer], strict=True):
        centred = a.reshape(-1, a.shape[-1]) - a.mean((0, 1))
        u, s, _ = np.linalg.svd(centred, full_matrices=False)
        component = (u[:, 0] * s[0]).reshape(a.shape[:2])
        component *= 1 if np.abs(component).max() == component.max() else -1
        np.testing.assert_allclose(one, component, rtol=1e-3, atol=1e-3)


def test_on_an_average_pooled_linear_head_three_maps_are_one(tiny):
    apply, variables, image, _ = tiny
    given = (apply, variables, image, TARGET)
    expected = cam(*given)
    cells = expected[0].size
    np.testing.assert_allclose(cells * grad_cam(*given, "maps"), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(cells * hires_cam(*given, "maps"), expected, rtol=1e-5, atol=1e-5)
    assert not np.allclose(grad_cam(*given, "first"), hires_cam(*given, "first"), atol=1e-3)


def test_cam_is_the_weights_times_the_channels(tiny):
    apply, variables, image, by_hand = tiny
    weights = by_hand.params["head"]["kernel"] @ WEIGHTS
    np.testing.assert_allclose(
        cam(apply, variables, image, TARGET), by_hand.layers(image)["maps"] @ weights, rtol=1e-5, atol=1e-5
    )


def test_the_mean_of_cam_and_the_bias_are_the_logit(tiny):
    apply, variables, image, _ = tiny
    for index in range(3):
        mean = cam(apply, variables, image, ClassScore(index)).mean((1, 2))
        bias = variables["params"]["head"]["bias"][index]
        np.testing.assert_allclose(mean + bias, apply(variables, image)[:, index], rtol=1e-5, atol=1e-5)


def test_without_negative_weights_layer_cam_is_grad_cam(tiny):
    apply, variables, image, _ = tiny
    params = variables["params"]
    head = params["head"] | {"kernel": jnp.abs(params["head"]["kernel"])}
    given = apply, {"params": params | {"head": head}}, image, ClassScore(2), "maps"
    np.testing.assert_allclose(layer_cam(*given), grad_cam(*given), rtol=1e-5)


@pytest.mark.parametrize("layer", ["first", "maps"])
def test_finer_cam_is_grad_cam_of_the_difference(tiny, layer):
    apply, variables, image, by_hand = tiny
    for references in (1, 2, 9):
        found = finer_cam(apply, variables, image, ClassScore(0), layer, references, 0.5)
        for row, logits in enumerate(by_hand.logits(image)):
            nearest = sorted((1, 2), key=lambda d: abs(logits[d] - logits[0]))[:references]
            weights = np.array([1.0, *(-0.5 / len(nearest) * (d in nearest) for d in (1, 2))])
            one = image[row : row + 1]
            expected = BY_HAND["grad_cam"](by_hand.layers(one)[layer][0], by_hand.gradients(one, weights)[layer][0])
            np.testing.assert_allclose(found[row], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        finer_cam(apply, variables, image, ClassScore(0), layer, strength=0.0),
        grad_cam(apply, variables, image, ClassScore(0), layer),
        rtol=1e-5,
    )
    with pytest.raises(
        InputError, match=r"Finer-CAM compares a class with others by itself, .* target=ClassScore\(1\)"
    ):
        finer_cam(apply, variables, image, TARGET, layer)


@pytest.mark.parametrize("target", [ResidualSoftmax(1), ClassProbability(1)], ids=["rest", "probability"])
def test_shapley_cam_is_that_of_the_hessian(tiny, target):
    """The layer "maps" is pooled and read by a linear head, so the second derivatives are those of the target."""
    apply, variables, image, by_hand = tiny
    found = jax.jit(lambda v, x: shapley_cam(apply, v, x, target, "maps"))(variables, image)
    kernel, cells = by_hand.params["head"]["kernel"], found[0].size
    for one, activations, logits in zip(found, by_hand.layers(image)["maps"], by_hand.logits(image), strict=True):
        p = np.exp(logits) / np.exp(logits).sum()
        unit = np.eye(3)[1]
        if isinstance(target, ResidualSoftmax):
            slope, second = 2 * unit - p, np.outer(p, p) - np.diag(p)
        else:
            slope = p[1] * (unit - p)
            second = p[1] * (np.outer(unit - p, unit - p) - np.diag(p) + np.outer(p, p))
        along = kernel @ second @ (activations.mean((0, 1)) @ kernel) / cells
        expected = activations @ (kernel @ slope / cells - along / 2)
        np.testing.assert_allclose(one, expected, rtol=1e-3, atol=1e-5)
    assert np.abs(found - grad_cam(apply, variables, image, target, "maps")).max() > 1e-3


def test_of_a_linear_target_shapley_cam_is_grad_cam(tiny):
    apply, variables, image, _ = tiny
    given = apply, variables, image, TARGET, "maps"
    np.testing.assert_allclose(shapley_cam(*given), grad_cam(*given), rtol=1e-6)


def test_shapley_cam_before_a_convolution_is_refused(twice):
    _, (apply, variables), image = twice
    np.testing.assert_allclose(  # convolutions of Flax have second derivatives
        shapley_cam(apply, variables, image, TARGET, "first"),
        grad_cam(apply, variables, image, TARGET, "first"),
        rtol=1e-4,
    )
    network, picture = create("resnet18", width=1), jnp.ones((1, 32, 32, 1))
    variables = jax.eval_shape(network.init, jax.random.key(0), picture)
    with pytest.raises(InputError, match=r"layer 'layer1': Shapley-CAM needs second derivatives.*choose a layer after"):
        jax.eval_shape(lambda v: shapley_cam(Probe(network), v, picture, ResidualSoftmax(1), "layer1"), variables)


@pytest.mark.slow
def test_a_map_does_not_depend_on_the_other_pictures(tiny):
    apply, variables, image, _ = tiny
    for name in (*BY_HAND, "eigen_cam", "kpca_cam", "deep_feature_factorisation", "shapley_cam"):
        target, layer = (ResidualSoftmax(1), "maps") if name == "shapley_cam" else (TARGET, "first")
        together = MAPS[name].make(apply, variables, image, target, layer)
        alone = MAPS[name].make(apply, variables, image[1:], target, layer)
        np.testing.assert_allclose(together[1:], alone, rtol=1e-4, atol=1e-5, err_msg=name)


def test_wrong_layers_are_refused_with_those_that_exist(tiny):
    apply, variables, image, _ = tiny
    with pytest.raises(InputError, match=r"layer 'layer4' does not exist; choose one of: conv0, conv1, first, maps$"):
        grad_cam(apply, variables, image, TARGET, "layer4")
    with pytest.raises(InputError, match="layer 'pool' has no pixels; choose one of"):
        eigen_cam(apply, variables, image, TARGET, "pool")
    with pytest.raises(InputError, match=r"'pool' is not the pooled vector of 'first' \(4 channels\).*use Grad-CAM"):
        cam(apply, variables, image, TARGET, "first")
    with pytest.raises(InputError, match="'average' is not the pooled vector"):
        cam(apply, variables, image, TARGET, "maps", "average")


class Twice(nn.Module):
    """Two convolutions, one after the other and a smaller picture between them: of one module or of two."""

    is_shared: bool

    @nn.compact
    def __call__(self, image):
        first = nn.Conv(2, (3, 3), name="first")
        second = first if self.is_shared else nn.Conv(2, (3, 3), name="second")
        x = nn.avg_pool(nn.relu(first(image)), (2, 2), (2, 2))
        return nn.Dense(3, name="head")(nn.relu(second(x)).mean((1, 2)))


@pytest.fixture(scope="module")
def twice():
    """(apply, variables) of a module that is called twice and of two that have its parameters, and a picture."""
    image = jnp.asarray(np.random.default_rng(3).standard_normal((2, 8, 6, 2)), jnp.float32)
    shared, apart = Twice(is_shared=True), Twice(is_shared=False)
    params = shared.init(jax.random.key(2), image)["params"]
    params["first"]["bias"] = jnp.array([0.3, -0.2])
    return (Probe(shared), {"params": params}), (Probe(apart), {"params": {**params, "second": params["first"]}}), image


@pytest.mark.parametrize("name", [*BY_HAND, "eigen_cam", "ablation_cam", "score_cam"])
def test_a_map_of_one_call_of_a_layer_is_that_of_a_layer_of_its_own(twice, name):
    shared, apart, image = twice
    for call, alone in (("first#1", "first"), ("first#2", "second")):
        found, expected = (
            MAPS[name].make(*given, image, TARGET, layer) for given, layer in ((shared, call), (apart, alone))
        )
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_layer_that_is_called_twice_has_no_map_of_its_own(twice):
    (apply, variables), _, image = twice
    for function in (grad_cam, eigen_cam):
        with pytest.raises(InputError, match="'first' is called 2 times; choose one of its calls: first#1, first#2"):
            function(apply, variables, image, TARGET, "first")


def test_a_network_without_pixels_is_refused():
    def apply(variables, image, taps=None, features=False):
        logits = image.mean((1, 2))
        return (logits, {"mean": logits}) if features else logits

    with pytest.raises(InputError, match="no layer keeps the pixels apart"):
        grad_cam(apply, {}, jnp.ones((1, 4, 4, 2)), TARGET, "mean")
