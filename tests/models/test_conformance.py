"""What every network must do, at small width and depth."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from segjax.models import NETWORKS, create
from segjax.types import InputError

ENCODED = "unet+resnet18"
SMALL = {
    "unet": {"width": 4, "levels": 1},
    "segnet": {"width": 4, "levels": 1},
    "msd": {"depth": 4},
    ENCODED: {"width": 8, "encoder": "resnet18", "norm": "batch"},
}
DEEPER = {
    "unet": {"width": 2, "levels": 3},
    "segnet": {"width": 2, "levels": 3},
    "msd": {"depth": 12},
    ENCODED: {"width": 2, "encoder": "resnet18"},
}
PLAIN = [name for name in SMALL if name != ENCODED]  # what takes long to compile for the other is left out
NORMS = [(name, norm) for name in ("unet", "segnet", ENCODED) for norm in ("batch", "running", "group", "none")]
PUBLISHED = [
    ("unet", 1, 14_787_842),
    ("unet", 2, 14_788_418),
    ("segnet", 1, 29_443_014),
    ("msd", 1, 45_754),
    ("msd", 3, 47_558),
]
QUICK = {"xla_backend_optimization_level": 0}


def make(name, **options):
    """A network of the zoo, or "unet+ENCODER"."""
    return create(name.partition("+")[0], **options)


def size_of(name):
    return (35, 32) if name == ENCODED else (11, 8)


def pictures(size=(11, 8), channels=1):
    return jnp.asarray(np.random.default_rng(0).standard_normal((2, *size, channels)), jnp.float32)


@pytest.fixture(scope="module")
def small(random_variables):
    """Function of a name: a small network, random variables and its compiled `apply`, shared by the tests."""

    @cache
    def build(name, norm=None):
        network = make(name, **SMALL[name] | ({"norm": norm} if norm else {}))
        return network, random_variables(network, pictures(size_of(name))), jax.jit(network.apply)

    return build


def masked_loss(logits, target):
    """Mean cross entropy over the pixels whose target is not -1; 0 where there are none."""
    is_used = target >= 0
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.maximum(target, 0))
    return jnp.sum(losses * is_used) / jnp.maximum(jnp.sum(is_used), 1)


def test_every_network_is_tested():
    assert set(SMALL) == {*NETWORKS, ENCODED}


@pytest.mark.parametrize(("name", "channels", "published"), PUBLISHED)
def test_parameter_counts_are_the_published_ones(name, channels, published):
    variables = jax.eval_shape(create(name).init, jax.random.key(0), jnp.zeros((1, 64, 64, channels)))
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == published


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("size", [(16, 24), (17, 27), (15, 11)])
def test_any_size_gives_float32_logits_of_that_size(name, size):
    network = make(name, **DEEPER[name], classes=3)
    size = tuple(length + (30 if name == ENCODED else 0) for length in size)
    image = pictures(size, channels=2)
    logits, variables = jax.eval_shape(network.init_with_output, jax.random.key(0), image)
    assert logits.shape == (2, *size, 3)
    assert {leaf.dtype for leaf in jax.tree.leaves((logits, variables))} == {jnp.dtype("float32")}


@pytest.mark.parametrize(("name", "smallest"), [("unet", 8), ("segnet", 8), ("msd", 11), (ENCODED, 32)])
def test_too_small_a_picture_is_refused_with_the_smallest_size(name, smallest):
    network = make(name, **DEEPER[name])
    jax.eval_shape(network.init, jax.random.key(0), pictures((smallest, smallest)))
    with pytest.raises(InputError, match=f"at least {smallest} x {smallest} pixels.*not 49 x {smallest - 1}"):
        jax.eval_shape(network.init, jax.random.key(0), pictures((49, smallest - 1)))


@pytest.mark.parametrize("name", PLAIN)
def test_gradients_are_finite_with_every_pixel_ignored(small, name):
    network, variables, _ = small(name)
    target = jnp.full((2, *size_of(name)), -1)
    gradients = jax.jit(jax.grad(lambda v: masked_loss(network.apply(v, pictures()), target)))(variables)
    assert all(not np.asarray(leaf).any() for leaf in jax.tree.leaves(gradients))


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_two_pictures_can_be_learned_by_heart(name):
    network = make(name, **SMALL[name])
    image = pictures((8, 8))
    if name == ENCODED:  # which has no maps of full size to learn single pixels from
        image = image.repeat(4, 1).repeat(4, 2)
    target = (image[..., 0] > 0.3).astype(jnp.int32)
    optimizer = optax.adam(0.02)
    variables = jax.jit(network.init, compiler_options=QUICK)(jax.random.key(0), image)

    @jax.jit
    def step(variables, state):
        def loss(variables):
            logits = network.apply(variables, image)
            return masked_loss(logits, target), logits

        gradient, logits = jax.grad(loss, has_aux=True)(variables)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(variables, updates), state, jnp.mean(logits.argmax(-1) == target)

    state = optimizer.init(variables)
    for _ in range(150):
        variables, state, accuracy = step(variables, state)
    assert accuracy > 0.98


@pytest.mark.slow
@pytest.mark.parametrize("name", PLAIN)
def test_vmap_over_seeds_gives_what_a_loop_gives(small, random_variables, name):
    network, _, _ = small(name)
    image = pictures(size_of(name))
    members = random_variables(network, image, members=(2,))

    def loss_and_gradient(variables):
        return jax.value_and_grad(lambda v: jnp.mean(network.apply(v, image) ** 2))(variables)

    alone, together = jax.jit(loss_and_gradient), jax.jit(jax.vmap(loss_and_gradient))(members)
    for member in range(2):
        expected = alone(jax.tree.map(lambda leaf, member=member: leaf[member], members))
        for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a[member], b, rtol=2e-3, atol=1e-3 * float(jnp.abs(b).max()) + 1e-5)


@pytest.mark.parametrize("name", PLAIN)
def test_jit_equals_eager(small, name):
    network, variables, compiled = small(name)
    image = pictures(size_of(name))
    eager = network.apply(variables, image)
    np.testing.assert_allclose(compiled(variables, image), eager, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "norm"), NORMS)
def test_only_running_statistics_are_state(small, name, norm):
    network, variables, _ = small(name, norm)
    train = partial(network.apply, train=True, mutable=["batch_stats"])
    _, changed = jax.eval_shape(train, variables, pictures(size_of(name)))
    assert set(variables) == ({"params", "batch_stats"} if norm == "running" else {"params"})
    assert bool(changed) == (norm == "running")


@pytest.mark.parametrize("name", ["unet", "segnet", pytest.param(ENCODED, marks=pytest.mark.slow)])
def test_running_statistics_move_a_tenth_of_the_way_and_serve_in_testing(small, name):
    network, variables, _ = small(name, "running")
    fresh = variables | {"batch_stats": jax.tree.map(jnp.zeros_like, variables["batch_stats"])}
    train = jax.jit(partial(network.apply, train=True, mutable=["batch_stats"]))
    image = pictures(size_of(name))
    trained, changed = train(fresh, image)
    # ten times the first step from zero are the statistics of this batch, so testing repeats the training output
    batch = jax.tree.map(lambda leaf: 10 * leaf, changed["batch_stats"])
    tested = jax.jit(network.apply)(variables | {"batch_stats": batch}, image)
    np.testing.assert_allclose(tested, trained, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_groups_make_pictures_independent_and_batch_statistics_do_not(small, norm):
    _, variables, compiled = small("unet", norm)
    together, first = compiled(variables, pictures()), compiled(variables, pictures()[:1])
    assert np.allclose(together[:1], first, atol=1e-4) == (norm == "group")


@pytest.mark.parametrize("name", SMALL)
def test_features_come_from_the_same_call_at_the_documented_size(name):
    network = make(name, **DEEPER[name])
    image = pictures((35, 45))
    _, features = jax.eval_shape(lambda key: network.init_with_output(key, image, features=True)[0], jax.random.key(0))
    expected = {
        "unet": {"down0": 2, "down1": 4, "down2": 8, "down3": 8, "up2": 4, "up1": 2, "up0": 2},
        "segnet": {"down0": 2, "down1": 4, "down2": 8, "up2": 4, "up1": 2, "up0": 2},
        "msd": {"dense": 13},
        ENCODED: {"down1": 2, "down2": 2, "down3": 4, "down4": 8, "down5": 16}
        | {"up4": 8, "up3": 4, "up2": 2, "up1": 1, "up0": 1},
    }[name]
    assert {key: value.shape[-1] for key, value in features.items()} == expected
    for key, value in features.items():
        halvings = 0 if key == "dense" else int(key[-1])
        expected_size = tuple(-(-side // 2**halvings) if name == ENCODED else side // 2**halvings for side in (35, 45))
        assert value.shape[1:3] == expected_size


@pytest.mark.parametrize("name", [*PLAIN, pytest.param(ENCODED, marks=pytest.mark.slow)])
def test_logits_are_the_same_with_features(small, name):
    network, variables, compiled = small(name)
    image = pictures(size_of(name))
    logits, _ = network.apply(variables, image, features=True)
    np.testing.assert_allclose(logits, compiled(variables, image), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "levels"), [("unet", 2), ("segnet", 1), ("msd", None)])
def test_receptive_field_is_what_an_output_pixel_depends_on(random_variables, name, levels):
    """One column or row after another is made bright; the largest window over neighbouring pixels is the documented."""
    options = {"width": 1, "levels": levels, "norm": "none"} if levels else {"depth": 3}
    network = create(name, **options)
    side = network.receptive_field
    size = 2 * side + 4
    image = np.random.default_rng(2).uniform(0, 1, (1, size, size, 1)).astype(np.float32)
    lines = np.eye(size, dtype=np.float32)
    brighter = np.concatenate([image + 50 * lines[:, None, :, None], image + 50 * lines[:, :, None, None]])
    # positive weights keep every ReLU open, so that every path shows
    variables = random_variables(network, image, lowest=0.1)
    logits = np.asarray(jax.jit(network.apply)(variables, np.concatenate([image, brighter])))
    is_changed = np.abs(logits[1:] / logits[:1] - 1).max(-1) > 1e-5
    lengths = []
    for pixel in range(side, side + 4):
        for half in (is_changed[:size], is_changed[size:]):
            places = np.flatnonzero(half[:, pixel, pixel])
            lengths.append(places[-1] - places[0] + 1)
    assert max(lengths) == side


@pytest.mark.parametrize(("name", "side"), [("unet", 204), ("segnet", 404), ("msd", 1101)])
def test_receptive_field_of_the_published_networks_is_the_documented_one(name, side):
    assert create(name).receptive_field == side


def test_unknown_network_and_option_are_refused_with_what_exists():
    with pytest.raises(InputError, match="unknown network 'vnet'; choose one of unet, segnet, msd, vgg16, resnet18"):
        create("vnet")
    with pytest.raises(InputError, match=r"network unet: unknown option 'depth'.*classes, norm, width, levels"):
        create("unet", depth=3)


@pytest.mark.parametrize(
    ("name", "option", "value", "remedy"),
    [
        ("unet", "width", 0, "from 1 to"),
        ("unet", "levels", 2.0, "whole number"),
        ("unet", "classes", True, "whole number"),
        ("unet", "norm", "layer", "'batch', 'running', 'group', 'none'"),
        ("segnet", "levels", 6, "from 1 to 5"),
        ("segnet", "published_head", "no", "True, False"),
        ("msd", "norm", "batch", "one of 'none'"),
        ("msd", "input_std", (1.0, 0.0), "above 0"),
        ("msd", "input_mean", float("nan"), "a number"),
    ],
)
def test_values_out_of_range_are_refused_with_the_range(name, option, value, remedy):
    with pytest.raises(InputError, match=f"network {name}: {option} must be .*{remedy}"):
        create(name, **{option: value})


@pytest.mark.parametrize("name", PLAIN)
def test_rematerialisation_changes_no_number(small, name):
    network, variables, apply = small(name)
    again, image = make(name, **SMALL[name], remat=True), pictures(size_of(name))
    gradient, other = (
        jax.jit(jax.grad(lambda v, net=net: jnp.sum(jnp.sin(net.apply(v, image, train=True, mutable=[])[0]))))(
            variables
        )
        for net in (network, again)
    )
    np.testing.assert_allclose(jax.jit(again.apply)(variables, image), apply(variables, image), rtol=1e-5, atol=1e-5)
    for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", SMALL)
def test_rematerialisation_keeps_less_for_the_gradient(small, name):
    def kept(**options):
        network, image = make(name, **SMALL[name], **options), pictures(size_of(name))
        forward = lambda v: jnp.sum(network.apply(v, image, train=True, mutable=[])[0])  # noqa: E731
        _, backward = jax.eval_shape(lambda v: jax.vjp(forward, v), small(name)[1])
        return sum(leaf.size for leaf in jax.tree.leaves(backward))

    assert kept(remat=True) < kept()
