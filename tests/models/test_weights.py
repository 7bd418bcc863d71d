"""Weights with torchvision's names: parity with PyTorch, grey pictures, new classes, and what is refused."""

import json

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.models import create, load_torchvision
from segjax.models.weights import read_arrays
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


def write_safetensors(path, arrays):
    """A file in the format's own words, written here by hand: length, table, data."""
    kinds = {"float32": "F32", "float16": "F16", "float64": "F64", "int64": "I64"}
    table, data = {"__metadata__": {"format": "pt"}}, b""
    for name, value in arrays.items():
        offsets = [len(data), len(data) + value.nbytes]
        table[name] = {"dtype": kinds[str(value.dtype)], "shape": list(value.shape), "data_offsets": offsets}
        data += value.tobytes()
    header = json.dumps(table).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)


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
    if name in ("vgg16", "resnet50"):
        path = tmp_path / "weights.npz"
        np.savez(path, **arrays)
    else:
        path = tmp_path / "weights.safetensors"
        write_safetensors(path, arrays)
    variables = load_torchvision(ours(name), blank(ours(name)), path)
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
    path = tmp_path / "weights.npz"
    np.savez(path, **arrays)
    return path


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
    chex.assert_trees_all_equal(loaded, dict(variables))


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
    with pytest.raises(InputError, match=r"fc\.bias has the shape \(5,\).*wants \(2,\).*new_head=True"):
        load_torchvision(network, blank(network), saved(tmp_path, arrays))
    loaded = load_torchvision(network, blank(network), saved(tmp_path, arrays), new_head=True)
    assert (np.asarray(loaded["params"]["head"]["kernel"]) == 7).all()
    body = loaded["params"]["layer3"]["block0"]["conv1"]["kernel"]
    np.testing.assert_array_equal(body, variables["params"]["layer3"]["block0"]["conv1"]["kernel"])


def test_half_precision_is_read_from_safetensors(tmp_path):
    values = np.array([[1.5, -2.0], [0.25, 3.0]], np.float16)
    write_safetensors(tmp_path / "a.safetensors", {"x": values, "y": np.arange(3)})
    arrays = read_arrays(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(arrays["x"], values)
    np.testing.assert_array_equal(arrays["y"], [0, 1, 2])
    header = json.dumps({"x": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "b.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\x80\x3f\x00\xc0")
    np.testing.assert_array_equal(read_arrays(tmp_path / "b.safetensors")["x"].astype(np.float32), [1.0, -2.0])


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


@pytest.mark.parametrize("content", [b"", b"\x00" * 20, b"\xff" * 40, b"\x02\0\0\0\0\0\0\0[]"])
def test_damaged_files_are_refused(tmp_path, content):
    for suffix in (".safetensors", ".npz"):
        path = tmp_path / f"weights{suffix}"
        path.write_bytes(content)
        with pytest.raises(InputError, match="cannot be read as"):
            read_arrays(path)


def test_pickled_files_are_never_opened(tmp_path):
    with pytest.raises(InputError, match=r"read from \.safetensors or \.npz; save the state_dict"):
        read_arrays(tmp_path / "resnet18.pth")
    np.savez(tmp_path / "objects.npz", x=np.array([{}], object))
    with pytest.raises(InputError, match=r"cannot be read as \.npz"):
        read_arrays(tmp_path / "objects.npz")
