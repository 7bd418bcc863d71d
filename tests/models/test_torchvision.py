"""Weights with torchvision's names: parity with PyTorch, grey pictures, new classes, and what is refused."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from segjax.models import create, load_torchvision
from segjax.types import InputError

WIDTH, CLASSES = 4, 5
IMAGE = np.random.default_rng(0).random((2, 50, 43, 3), np.float32)
NAMES = ("vgg16", "vgg16_bn", "resnet18", "resnet34", "resnet50")


def ours(name, **options):
    options = {"norm": "running"} | options if name == "vgg16_bn" else options
    return create(name.removesuffix("_bn"), **{"width": WIDTH, "classes": CLASSES} | options)


def blank(network, channels=3):
    """Variables of a network with nothing in them yet: every number is 7."""
    image = jnp.zeros((1, 32, 32, channels))
    shapes = jax.eval_shape(network.init, jax.random.key(0), image)
    return jax.tree.map(lambda leaf: jnp.full(leaf.shape, 7, leaf.dtype), shapes)


def torch_arrays(name):
    build = pytest.importorskip("tests.models.torch_classifiers", reason="PyTorch is not installed").build
    network = build(name, WIDTH, CLASSES)
    return network, {key: value.numpy() for key, value in network.state_dict().items()}


@pytest.mark.parametrize("name", NAMES)
def test_logits_are_those_of_pytorch(name, tmp_path):
    torch = pytest.importorskip("torch")
    network, arrays = torch_arrays(name)
    with torch.no_grad():
        expected = network(torch.from_numpy(IMAGE.transpose(0, 3, 1, 2).copy())).numpy()
    variables = load_torchvision(ours(name), blank(ours(name)), saved(tmp_path, arrays))
    logits = jax.jit(ours(name).apply)(variables, IMAGE)
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.fixture(scope="module")
def resnet(random_variables):
    """A small ResNet-18 with random numbers, and the same numbers under torchvision's names and in its layout."""
    network = ours("resnet18")
    variables = random_variables(network, IMAGE, lowest=0.1)  # variances are positive
    leaves = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
    arrays = {"bn1.num_batches_tracked": np.array(3)}
    for place, leaf in jax.tree_util.tree_leaves_with_path(variables):
        *modules, last = [key.key for key in place][1:]
        value = np.asarray(leaf)
        value = value.reshape(-1) if last in ("mean", "var") else value
        value = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value.T
        arrays[f"{network.torchvision_name(tuple(modules))}.{leaves[last]}"] = value
    return variables, arrays


def saved(tmp_path, arrays):
    path = tmp_path / "weights.safetensors"
    contiguous = {name: np.array(value, order="C") for name, value in arrays.items()}
    save_file(contiguous, path, {"format": "pt"})  # as safetensors.torch writes
    return path


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_numbers_that_are_not_finite_are_refused_by_name(value, resnet, tmp_path):
    arrays = dict(resnet[1], **{"fc.bias": np.full(CLASSES, value, np.float32)})
    with pytest.raises(InputError, match=r"weights\.safetensors: fc\.bias has values that are not finite"):
        load_torchvision(ours("resnet18"), blank(ours("resnet18")), saved(tmp_path, arrays))


def test_names_are_those_of_torchvision(resnet):
    _, arrays = resnet
    assert {"conv1.weight", "bn1.running_mean", "layer1.0.conv1.weight", "layer2.0.downsample.0.weight"} <= set(arrays)
    assert {"layer2.0.downsample.1.running_var", "layer4.1.bn2.bias", "fc.weight", "fc.bias"} <= set(arrays)
    assert len(arrays) == 5 * 20 + 2 + 1  # 20 convolutions, each with four numbers of its normalisation; fc
    for norm, number in (("none", 28), ("running", 40)):
        vgg = create("vgg16", norm=norm)
        assert vgg.torchvision_name(("stage5", "conv2", "convolution")) == f"features.{number}"
    assert create("vgg16", norm="running").torchvision_name(("stage1", "conv0", "norm")) == "features.1"
    assert create("vgg16").torchvision_name(("hidden1",)) == "classifier.3"


def test_what_is_written_comes_back(resnet, tmp_path):
    variables, arrays = resnet
    loaded = load_torchvision(ours("resnet18"), blank(ours("resnet18")), saved(tmp_path, arrays))
    for a, b in zip(jax.tree.leaves(loaded), jax.tree.leaves(variables), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_grey_network_answers_as_the_original_does_to_grey_repeated(resnet, tmp_path):
    variables, arrays = resnet
    network = ours("resnet18")
    grey = load_torchvision(network, blank(network, 1), saved(tmp_path, arrays))
    picture = IMAGE[..., :1]
    apply = jax.jit(network.apply)
    expected = apply(variables, np.repeat(picture, 3, -1))
    np.testing.assert_allclose(apply(grey, picture), expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def test_a_new_head_keeps_its_own_numbers(resnet, tmp_path):
    variables, arrays = resnet
    network = ours("resnet18", classes=2)
    with pytest.raises(InputError, match=r"fc\.bias has the shape \(5,\).*needs \(2,\).*new_head=True"):
        load_torchvision(network, blank(network), saved(tmp_path, arrays))
    loaded = load_torchvision(network, blank(network), saved(tmp_path, arrays), new_head=True)
    assert (np.asarray(loaded["params"]["head"]["kernel"]) == 7).all()
    body = loaded["params"]["layer3"]["block0"]["conv1"]["kernel"]
    np.testing.assert_array_equal(body, variables["params"]["layer3"]["block0"]["conv1"]["kernel"])


def test_files_that_do_not_fit_are_refused_with_a_remedy(resnet, tmp_path):
    _, arrays = resnet
    network, variables = ours("resnet18"), blank(ours("resnet18"))
    without = {name: value for name, value in arrays.items() if name != "layer3.1.conv2.weight"}
    with pytest.raises(InputError, match=r"has no layer3\.1\.conv2\.weight"):
        load_torchvision(network, variables, saved(tmp_path, without))
    with pytest.raises(InputError, match=r"extra\.weight has no place"):
        load_torchvision(network, variables, saved(tmp_path, arrays | {"extra.weight": np.ones(2)}))
    with pytest.raises(InputError, match="norm=running, not 'group'"):
        load_torchvision(ours("resnet18", norm="group"), variables, saved(tmp_path, arrays))
    with pytest.raises(InputError, match="MSD has no torchvision weights"):
        load_torchvision(create("msd"), variables, saved(tmp_path, arrays))
    average = ours("vgg16", head="average")
    with pytest.raises(InputError, match="new_head=True with head="):
        load_torchvision(average, blank(average), saved(tmp_path, arrays))


def test_files_of_pytorch_are_refused_with_the_way_to_convert_them(tmp_path):
    network, variables = ours("resnet18"), blank(ours("resnet18"))
    (tmp_path / "resnet18.pth").write_bytes(pickle.dumps({"fc.bias": [0.0]}))
    with pytest.raises(InputError, match=r"resnet18\.pth cannot be read .*torch\.save_file\(network\.state"):
        load_torchvision(network, variables, tmp_path / "resnet18.pth")
