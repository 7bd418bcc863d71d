"""U-Nets with encoders: parity with PyTorch, weights of encoders and of whole networks, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from segjax.models import ENCODERS, create, load_smp, load_torchvision
from segjax.types import InputError
from tests.models.encoder_numbers import (
    PICTURE,
    WIDTH,
    arrays_of,
    kept_pixels,
    network_of,
    read_logits,
    shapes_of,
)

QUICK = {"xla_backend_optimization_level": 0}


def saved(folder, arrays, name="weights.safetensors"):
    save_file({key: np.ascontiguousarray(value) for key, value in arrays.items()}, folder / name, {"format": "pt"})
    return folder / name


def applied(network, variables, picture=PICTURE):
    return np.asarray(jax.jit(network.apply, compiler_options=QUICK)(variables, picture))


def encoder_only(arrays, head="fc"):
    """The file of a classifier with the encoder's numbers."""
    own = {name.removeprefix("encoder."): value for name, value in arrays.items() if name.startswith("encoder.")}
    return own | {f"{head}.weight": np.ones((5, 3), np.float32), "bn1.num_batches_tracked": np.array(3)}


@pytest.fixture(scope="module")
def arrays():
    """Numbers of a small U-Net on ResNet-18 under the names of segmentation_models_pytorch."""
    return arrays_of("resnet18")


@pytest.fixture(scope="module")
def file(arrays, tmp_path_factory):
    return saved(tmp_path_factory.mktemp("weights"), arrays)


@pytest.fixture(scope="module")
def encoder_file(arrays, tmp_path_factory):
    return saved(tmp_path_factory.mktemp("weights"), encoder_only(arrays))


QUICKEST = "vgg16", "resnet18"
EVERY = [pytest.param(name, marks=() if name in QUICKEST else pytest.mark.slow) for name in ENCODERS]


@pytest.mark.parametrize("encoder", EVERY)
def test_logits_are_those_that_pytorch_gave(encoder, tmp_path):
    network = network_of(encoder)
    variables = load_smp(network, shapes_of(network), saved(tmp_path, arrays_of(encoder)))
    expected = read_logits()[encoder]
    assert expected.std() > 0.1
    np.testing.assert_allclose(kept_pixels(applied(network, variables)), expected, atol=1e-4 * expected.std())


@pytest.mark.parametrize(("encoder", "norm"), [*((name, "running") for name in ENCODERS), ("vgg16", "none")])
def test_the_reference_has_our_names_and_gives_the_logits_that_are_kept(encoder, norm):
    torch_side = pytest.importorskip("tests.models.torch_encoder_unet", reason="PyTorch is not installed")
    network = torch_side.reference(encoder, arrays_of(encoder, norm=norm), has_norm=norm != "none")
    found = kept_pixels(torch_side.logits_of(network, PICTURE))
    if norm == "running":
        np.testing.assert_allclose(found, read_logits()[encoder], atol=1e-4 * found.std())
    assert found.std() > 0.1


@pytest.mark.parametrize(
    ("encoder", "count"), [("resnet18", 14_328_354), ("resnet34", 24_436_514), ("resnet50", 32_521_250)]
)
def test_parameter_counts_are_those_of_smp(encoder, count):
    params = jax.eval_shape(create("unet", encoder=encoder).init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))[
        "params"
    ]
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == count


def test_a_file_of_one_class_gives_two_whose_softmax_is_its_sigmoid(arrays, tmp_path):
    head = {name: value[:1] for name, value in arrays.items() if name.startswith("segmentation_head.0")}
    network = network_of("resnet18", classes=2)
    path = saved(tmp_path, arrays | head | {"classification_head.3.weight": np.ones((2, 4), np.float32)})
    logits = applied(network, load_smp(network, shapes_of(network), path))
    assert not logits[..., 0].any()
    np.testing.assert_allclose(kept_pixels(logits)[..., 1], read_logits()["resnet18"][..., 0], atol=1e-5)


def test_a_new_head_keeps_its_own_numbers(file):
    network = network_of("resnet18", classes=7)
    with pytest.raises(InputError, match=r"segmentation_head\.0\.bias has the shape \(3,\).*needs \(7,\).*new_head"):
        load_smp(network, shapes_of(network), file)
    variables = jax.tree.map(lambda leaf: jnp.full(leaf.shape, 7, leaf.dtype), shapes_of(network))
    loaded = load_smp(network, variables, file, new_head=True)
    assert (loaded["params"]["head"]["kernel"] == 7).all()
    assert not (loaded["params"]["up4"]["conv0"]["kernel"] == 7).any()


def test_init_starts_the_encoder_from_its_file_and_draws_the_rest(arrays, file, encoder_file):
    network = network_of("resnet18", encoder_weights=encoder_file)
    whole = load_smp(network_of("resnet18"), shapes_of(network_of("resnet18")), file)
    keys = jax.random.split(jax.random.key(0), 2)
    found = jax.jit(jax.vmap(network.init, (0, None)), compiler_options=QUICK)(keys, PICTURE)
    assert jax.tree.structure(found) == jax.tree.structure(whole)
    for collection in ("params", "batch_stats"):
        own, expected = (jax.tree.leaves(one[collection]["encoder"]) for one in (found, whole))
        for members, values in zip(own, expected, strict=True):
            np.testing.assert_array_equal(members, np.stack([values, values]))
    drawn = np.asarray(found["params"]["up0"]["conv0"]["kernel"])
    assert np.abs(drawn[0] - drawn[1]).max() > 0.01


@pytest.mark.slow
def test_a_grey_picture_is_answered_as_one_of_equal_red_green_and_blue(encoder_file):
    network = network_of("resnet18", encoder_weights=encoder_file, input_mean=0.4, input_std=0.2)
    grey = PICTURE[..., :1]
    colour, own = (
        jax.jit(network.init, compiler_options=QUICK)(jax.random.key(0), picture) for picture in (PICTURE, grey)
    )
    assert own["params"]["encoder"]["conv1"]["kernel"].shape == (7, 7, 1, WIDTH)
    expected = applied(network, colour, np.repeat(grey, 3, -1))
    np.testing.assert_allclose(applied(network, own, grey), expected, rtol=1e-3, atol=1e-4)


def test_means_and_deviations_of_three_channels_are_averaged_for_one(encoder_file):
    network = network_of("resnet18", encoder_weights=encoder_file)
    assert network.body(3).input_mean == (0.485, 0.456, 0.406) and network.body(3).input_std == (0.229, 0.224, 0.225)
    assert network.body(1).input_mean == pytest.approx(0.449) and network.body(1).input_std == pytest.approx(0.226)
    given = network_of("resnet18", encoder_weights=encoder_file, input_mean=0.5)
    assert given.input_mean == 0.5 and given.input_std == (0.229, 0.224, 0.225)


def test_networks_with_the_same_weights_are_equal_wherever_their_file_lies(arrays, encoder_file, tmp_path):
    copy = saved(tmp_path, encoder_only(arrays))
    other = saved(tmp_path, encoder_only(arrays | {"encoder.bn1.bias": np.ones(WIDTH, np.float32)}), "o.safetensors")
    first, second, third = (network_of("resnet18", encoder_weights=path) for path in (encoder_file, copy, other))
    assert first == second and hash(first) == hash(second) and first != third
    assert len(repr(first)) < 1000


def test_other_numbers_of_channels_are_refused_with_pretrained_weights_alone(encoder_file):
    network = network_of("resnet18", encoder_weights=encoder_file, input_mean=0.0, input_std=1.0)
    with pytest.raises(InputError, match=r"weights\.safetensors is for pictures of 3 channels, or 1, but these have 2"):
        shapes_of(network, channels=2)
    shapes_of(network_of("resnet18"), channels=2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"encoder": "resnet101"}, "encoder must be one of 'vgg16', 'vgg16_bn', 'resnet18', 'resnet34', 'resnet50'"),
        ({"encoder": "resnet18", "levels": 3}, r"unknown option 'levels'.*encoder, classes, .*encoder_weights"),
        ({"encoder_weights": "x.safetensors"}, "encoder_weights is given without encoder; give encoder too"),
        ({"encoder": "resnet18", "encoder_weights": 3}, "encoder_weights must be the path of a .safetensors file"),
    ],
)
def test_options_that_cannot_be_are_refused(options, said):
    with pytest.raises(InputError, match=f"network unet: {said}"):
        create("unet", **options)


def test_files_that_do_not_fit_are_refused_with_a_remedy(arrays, file, encoder_file, tmp_path):
    with pytest.raises(InputError, match="norm='running', not 'batch'"):
        network_of("resnet18", norm="batch", encoder_weights=encoder_file)
    with pytest.raises(InputError, match=r"bn1\.running_mean has the shape .*use the width"):
        network_of("resnet18", width=8, encoder_weights=encoder_file)
    with pytest.raises(InputError, match=r"has no layer1\.2\.bn1\.running_mean, so it holds the weights of another"):
        network_of("resnet34", encoder_weights=encoder_file)
    with pytest.raises(InputError, match=r"has no bn1\.running_mean, .*read by segjax\.models\.load_smp"):
        network_of("resnet18", encoder_weights=file)
    with pytest.raises(InputError, match="cannot be read"):
        network_of("resnet18", encoder_weights=tmp_path / "missing.safetensors")
    attention = saved(tmp_path, arrays | {"decoder.blocks.0.attention1.attention.cSE.1.weight": np.ones(2, np.float32)})
    network = network_of("resnet18")
    with pytest.raises(InputError, match=r"attention1.* has no place in the network"):
        load_smp(network, shapes_of(network), attention)
    with pytest.raises(InputError, match="norm=running, not 'group'"):
        load_smp(network_of("resnet18", norm="group"), {}, file)
    with pytest.raises(InputError, match=r'UNet has no weights of segmentation_models_pytorch.*encoder="resnet34"'):
        load_smp(create("unet"), {}, file)
    with pytest.raises(InputError, match="EncoderUNet has no torchvision weights"):
        load_torchvision(network, {}, file)


@pytest.mark.slow
@pytest.mark.parametrize(("encoder", "margin"), [("resnet18", 96), ("vgg16", 113)])  # of VGG16 odd at every level
def test_the_receptive_field_holds_all_that_an_output_pixel_depends_on(encoder, margin):
    network = create("unet", encoder=encoder, width=1, norm="none")
    reach = network.receptive_field // 2
    # averages of neighbours: positive, so that nothing cancels, and not so small that nothing is left of the furthest
    variables = jax.tree.map(lambda leaf: jnp.full(leaf.shape, leaf.shape[-1] / leaf.size), shapes_of(network, 1))
    image = jnp.ones((1, 2 * reach + margin, 32, 1))

    def depends(variables, row):
        change = jax.grad(lambda x: network.apply(variables, x)[0, row, 16, 0])(image)
        return jnp.abs(change).sum((0, 2, 3)) > 0

    compiled = jax.jit(depends, compiler_options=QUICK)
    furthest = []
    for row in range(reach + 16, reach + 48):
        places = np.flatnonzero(compiled(variables, row))
        furthest.append(max(row - places[0], places[-1] - row))
    assert max(furthest) == reach


def test_no_file_of_weights_may_be_said_so():
    assert create("unet", encoder="resnet18", encoder_weights=None) == create("unet", encoder="resnet18")
    assert create("unet", encoder_weights=None) == create("unet")
