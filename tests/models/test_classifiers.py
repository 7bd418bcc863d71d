"""What every classifier must do, at small width and depth, and what is particular to some."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from segjax.models import CLASSIFIERS, create
from segjax.models.probe import Probe
from segjax.types import InputError

SMALL = {
    "vgg16": {"width": 2},
    "resnet18": {"width": 2},
    "resnet34": {"width": 2},
    "resnet50": {"width": 2},
    "msd_classifier": {"depth": 4},
    "unet_classifier": {"width": 2, "levels": 2},
}
FAST = (
    {"vgg16": {"width": 2, "head": "average", "norm": "running"}}
    | {name: SMALL[name] for name in ("resnet18", "msd_classifier")}
    | {"unet_classifier": {"width": 2, "levels": 1}}
)
PUBLISHED = [
    ("vgg16", {"classes": 1000}, 3, 138_357_544),
    ("vgg16", {"classes": 1000, "norm": "running"}, 3, 138_365_992),
    ("resnet18", {"classes": 1000}, 3, 11_689_512),
    ("resnet34", {"classes": 1000}, 3, 21_797_672),
    ("resnet50", {"classes": 1000}, 3, 25_557_032),
    ("msd_classifier", {}, 1, 11_629 + 4),
    ("unet_classifier", {}, 1, 14_787_842 + 4),
]
QUICK = {"xla_backend_optimization_level": 0}


def pictures(size=(33, 32), channels=1, count=2):
    return jnp.asarray(np.random.default_rng(0).random((count, *size, channels)), jnp.float32)


@pytest.fixture(scope="module")
def small(random_variables):
    """Function of a name: a small classifier, random variables and its compiled `apply`, shared by the tests."""

    @cache
    def build(name):
        network = create(name, **FAST[name])
        return network, random_variables(network, pictures(), lowest=0.1), jax.jit(network.apply)

    return build


def test_every_classifier_is_tested():
    assert set(SMALL) == set(CLASSIFIERS)


@pytest.mark.parametrize(("name", "options", "channels", "published"), PUBLISHED)
def test_parameter_counts_are_the_published_ones(name, options, channels, published):
    network = create(name, **options)
    variables = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 64, 64, channels)))
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == published


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("size", [(32, 48), (35, 61)])
def test_any_size_and_channels_give_float32_logits_and_the_documented_maps(name, size):
    network = create(name, **SMALL[name], classes=3)
    image = pictures(size, channels=2)
    (logits, features), variables = jax.eval_shape(
        lambda key: network.init_with_output(key, image, features=True), jax.random.key(0)
    )
    assert logits.shape == (2, 3)
    assert {leaf.dtype for leaf in jax.tree.leaves((logits, variables))} == {jnp.dtype("float32")}
    height, width = features["maps"].shape[1:3]
    up, down = (size[0] / network.map_stride, size[1] / network.map_stride)
    assert abs(height - up) < 1 and abs(width - down) < 1
    if "classifier" in name:
        assert features["maps"].shape == (2, *size, 3)


@pytest.mark.parametrize(("name", "smallest"), [("vgg16", 32), ("resnet50", 32), ("unet_classifier", 4)])
def test_too_small_a_picture_is_refused_with_the_smallest_size(name, smallest):
    network = create(name, **SMALL[name])
    jax.eval_shape(network.init, jax.random.key(0), pictures((smallest, smallest)))
    with pytest.raises(InputError, match=f"at least {smallest} x {smallest} pixels.*not {smallest - 1} x 40"):
        jax.eval_shape(network.init, jax.random.key(0), pictures((smallest - 1, 40)))


@pytest.mark.slow
@pytest.mark.parametrize("name", FAST)
def test_bright_and_dark_pictures_can_be_told_apart(name):
    network = create(name, **FAST[name])
    labels = jnp.asarray([0, 1, 0, 1])
    image = pictures((32, 32), count=4) * 0.5 + 0.5 * labels[:, None, None, None]
    optimizer = optax.adam(0.02)
    variables = dict(jax.jit(network.init, compiler_options=QUICK)(jax.random.key(0), image))
    params, state = variables.pop("params"), dict(variables)

    @jax.jit
    def step(params, state, opt_state):
        def loss(params):
            logits, state_ = network.apply({"params": params, **state}, image, train=True, mutable=list(state))
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), state_

        (value, state), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        updates, opt_state = optimizer.update(gradient, opt_state)
        return optax.apply_updates(params, updates), dict(state), opt_state, value

    opt_state = optimizer.init(params)
    for _ in range(40):
        params, state, opt_state, value = step(params, state, opt_state)
    assert value < 0.2


@pytest.mark.parametrize("name", FAST)
def test_pictures_do_not_influence_each_other(small, name):
    _, variables, apply = small(name)
    np.testing.assert_allclose(apply(variables, pictures())[:1], apply(variables, pictures()[:1]), rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["msd_classifier", "unet_classifier"])
def test_vmap_over_seeds_gives_what_a_loop_gives(small, random_variables, name):
    network, _, _ = small(name)
    members = random_variables(network, pictures(), members=(2,), lowest=0.1)

    def loss_and_gradient(variables):
        return jax.value_and_grad(lambda v: jnp.mean(jnp.sin(network.apply(v, pictures()))))(variables)

    alone, together = jax.jit(loss_and_gradient), jax.jit(jax.vmap(loss_and_gradient))(members)
    for member in range(2):
        expected = alone(jax.tree.map(lambda leaf, member=member: leaf[member], members))
        for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a[member], b, rtol=2e-3, atol=1e-3 * float(jnp.abs(b).max()) + 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAST)
def test_jit_equals_eager_and_logits_are_the_same_with_features(small, name):
    network, variables, apply = small(name)
    eager, features = network.apply(variables, pictures(), features=True)
    np.testing.assert_allclose(apply(variables, pictures()), eager, rtol=1e-3)
    head = variables["params"]["head"]
    again = features["pool"] @ head["kernel"] + (head["bias"][None] if "bias" in head else 0)
    np.testing.assert_allclose(again, eager, rtol=1e-5)


@pytest.mark.parametrize("name", FAST)
def test_layers_that_explanations_need_can_be_found_and_differentiated(small, name):
    network, variables, _ = small(name)
    logits, layers = Probe(network)(variables, pictures(), features=True)
    _, features = network.apply(variables, pictures(), features=True)
    assert {*features, "maps", "pool", "head"} <= set(layers)
    np.testing.assert_array_equal(layers["head"], logits)
    for key, value in features.items():
        np.testing.assert_allclose(layers[key], value, rtol=1e-4)

    def score(tap):
        return Probe(network)(variables, pictures(), taps={"maps": tap})[:, 1].sum()

    # the head averages: every position weighs alike, the weight over the number of positions
    gradient = jax.grad(score)(jnp.zeros_like(layers["maps"]))
    positions = layers["maps"].shape[1] * layers["maps"].shape[2]
    expected = variables["params"]["head"]["kernel"][:, 1] / positions
    np.testing.assert_allclose(gradient, jnp.broadcast_to(expected, gradient.shape), rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAST)
def test_the_biases_complete_the_gradient(small, name):
    """FullGrad: gradient times input, plus gradient times bias at every layer, is the logit."""
    network, variables, _ = small(name)
    probe, image = Probe(network), pictures()
    _, constants = probe(variables, image, constants=True)
    zeros = jax.tree.map(jnp.zeros_like, constants)

    def score(image, taps):
        return probe(variables, image, taps=taps)[:, 1].sum()

    of_image, of_taps = jax.grad(score, (0, 1))(image, zeros)
    total = jnp.sum(of_image * image) + sum(jnp.sum(of_taps[key] * value) for key, value in constants.items())
    np.testing.assert_allclose(total, score(image, zeros), rtol=1e-3)


@pytest.mark.parametrize("name", ["resnet18", "unet_classifier"])
def test_running_statistics_are_state_and_serve_in_testing(small, name):
    network, variables, apply = small(name)
    train = jax.jit(partial(network.apply, train=True, mutable=["batch_stats"]))
    fresh = variables | {"batch_stats": jax.tree.map(jnp.zeros_like, variables["batch_stats"])}
    trained, changed = train(fresh, pictures())
    batch = jax.tree.map(lambda leaf: 10 * leaf, changed["batch_stats"])
    np.testing.assert_allclose(apply(variables | {"batch_stats": batch}, pictures()), trained, rtol=2e-3, atol=1e-3)


def test_dropout_acts_in_training_only(random_variables):
    network = create("vgg16", width=2)
    variables = random_variables(network, pictures(), lowest=0.1)
    train = jax.jit(lambda key: network.apply(variables, pictures(), train=True, rngs={"dropout": key}))
    tested = jax.jit(network.apply)(variables, pictures())
    assert not np.allclose(train(jax.random.key(1)), train(jax.random.key(2)))
    never = create("vgg16", width=2, dropout=0.0)
    np.testing.assert_allclose(never.apply(variables, pictures(), train=True), tested, rtol=1e-4)


def test_a_classifier_of_maps_has_the_logits_of_its_maps(random_variables):
    """The mean of the class activation map is the logit, as the head averages and has no bias."""
    network = create("msd_classifier", depth=3, classes=3)
    variables = random_variables(network, pictures())
    logits, features = network.apply(variables, pictures(), features=True)
    cam = jnp.einsum("bhwk,kc->bhwc", features["maps"], variables["params"]["head"]["kernel"])
    np.testing.assert_allclose(cam.mean((1, 2)), logits, rtol=1e-4)


@pytest.mark.parametrize("pooling", ["log_sum_exp", "top_share", "rank"])
def test_poolings_reach_the_logits(random_variables, pooling):
    image = pictures((16, 16))
    network = create("msd_classifier", depth=2, pooling=pooling, share=0.05, sharpness=3.0)
    variables = random_variables(network, image)
    logits, features = network.apply(variables, image, features=True)
    np.testing.assert_allclose(features["pool"] @ variables["params"]["head"]["kernel"], logits, rtol=1e-5)
    assert (features["pool"] > features["maps"].mean((1, 2))).all()


def test_input_is_normalised_by_fixed_numbers(random_variables):
    image = pictures(channels=2)
    for name in FAST:
        plain, shifted = (
            create(name, **FAST[name], **more) for more in ({}, {"input_mean": (0.5, 0.25), "input_std": 0.5})
        )
        variables = random_variables(plain, image, lowest=0.1)
        expected = plain.apply(variables, (image - jnp.array([0.5, 0.25]).reshape(1, 1, 1, 2)) / 0.5)
        np.testing.assert_allclose(shifted.apply(variables, image), expected, rtol=1e-5)
        with pytest.raises(InputError, match="input_mean has 2 numbers, but the picture has 1 channels"):
            jax.eval_shape(shifted.init, jax.random.key(0), image[..., :1])


@pytest.mark.parametrize(
    ("name", "option", "value", "remedy"),
    [
        ("vgg16", "head", "mean", "'hidden', 'average'"),
        ("vgg16", "norm", "batch", "'none', 'running', 'group'"),
        ("vgg16", "dropout", 1.0, "of at least 0"),
        ("resnet18", "width", 0, "from 1 to"),
        ("msd_classifier", "pooling", "max", "'average', 'log_sum_exp', 'top_share', 'rank'"),
        ("msd_classifier", "share", 0.0, "above 0, up to 1"),
        ("unet_classifier", "sharpness", -1.0, "above 0"),
        ("unet_classifier", "norm", "batch", "'running', 'group', 'none'"),
    ],
)
def test_values_out_of_range_are_refused_with_the_range(name, option, value, remedy):
    with pytest.raises(InputError, match=f"network {name}: {option} must be .*{remedy}"):
        create(name, **{option: value})
