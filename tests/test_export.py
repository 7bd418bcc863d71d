"""An exported file gives the network's logits, also in a process without this library, and refuses other pictures."""

import subprocess
import sys
import textwrap

import jax
import numpy as np
import pytest
from jax import export
from PIL import Image

import segjax.export
from segjax.data import read_picture
from segjax.export import channels_of, export_network
from segjax.models import CLASSIFIERS, NETWORKS, create
from segjax.types import InputError

SMALL = {
    "unet": {"width": 2, "levels": 2},  # with statistics of each picture
    "segnet": {"width": 2, "levels": 2, "norm": "running"},
    "msd": {"depth": 3, "input_mean": (0.3, 0.4, 0.5), "input_std": (0.2, 0.2, 0.3)},
    "vgg16": {"width": 2},
    "resnet18": {"width": 2},
    "resnet34": {"width": 2},
    "resnet50": {"width": 2},
    "msd_classifier": {"depth": 3, "pooling": "log_sum_exp"},
    "unet_classifier": {"width": 2, "levels": 2, "pooling": "rank", "norm": "group"},
}
MSD = create("msd", depth=2)
LINES = textwrap.dedent(segjax.export.__doc__.split(":\n\n")[1].split("\n\n")[0])
ALONE = f"""
import sys
sys.modules["segjax"] = sys.modules["flax"] = None
try:
    import segjax
except ImportError:
    pass
else:
    raise SystemExit("segjax can be imported")
import numpy as np
images = np.load("images.npy")
{LINES}
np.save("logits.npy", logits)
"""


def drawn(network, channels):
    """Variables as a training might leave them: no zeros, and positive variances."""
    shapes = jax.eval_shape(network.init, jax.random.key(0), np.zeros((1, 64, 64, channels), np.float32))
    random = np.random.default_rng(1)

    def one(path, leaf):
        values = 0.3 * random.standard_normal(leaf.shape, np.float32)
        return 1 + np.abs(values) if path[-1].key == "var" else values

    return jax.tree.map_with_path(one, shapes)


@pytest.fixture(scope="module")
def grey():
    """Variables of `MSD` for grey pictures."""
    return drawn(MSD, 1)


def called(file, images):
    return np.asarray(export.deserialize(bytearray(file)).call(images))


def alone(network, variables, images):
    """Logits of the network itself, picture by picture."""
    apply = jax.jit(network.apply)
    return np.concatenate([apply(variables, image[None]) for image in images])


def test_every_network_has_a_case():
    assert SMALL.keys() == {*NETWORKS, *CLASSIFIERS}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, options) for name, options in SMALL.items() if name != "resnet34"),  # ResNet-18 with more blocks
        ("unet", {"encoder": "resnet18", "width": 4}),
    ],
)
def test_logits_are_those_of_the_network(name, options):
    network = create(name, **options)
    variables, random = drawn(network, 3), np.random.default_rng(2)
    file = export_network(network, variables)
    assert export.deserialize(bytearray(file)).platforms == ("cpu", "cuda", "tpu")
    images = random.random((2, 37, 50, 3), np.float32)
    expected = alone(network, variables, images)
    assert expected.std() > 1e-3
    np.testing.assert_allclose(called(file, images), expected, rtol=1e-5, atol=1e-5)


def test_three_lines_call_it_in_a_process_that_cannot_import_segjax(grey, tmp_path):
    images = np.random.default_rng(3).integers(0, 256, (2, 20, 23, 1), np.uint8)
    np.save(tmp_path / "images.npy", images)
    (tmp_path / "nuclei.stablehlo").write_bytes(export_network(MSD, grey, pixels="uint8"))
    assert len(LINES.splitlines()) == 3
    subprocess.run([sys.executable, "-c", ALONE], cwd=tmp_path, check=True)
    expected = alone(MSD, grey, images.astype(np.float32) / np.float32(255))
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), expected, rtol=1e-5, atol=1e-5)


def test_trained_weights_are_called_there_with_their_preprocessing(tmp_path):
    network = create("unet", pretrained="nuclei")
    images = np.random.default_rng(3).integers(0, 90, (1, 32, 40, 1), np.uint8)
    np.save(tmp_path / "images.npy", images)
    variables = network.init(jax.random.key(0), np.zeros((1, 32, 40, 1), np.float32))
    (tmp_path / "nuclei.stablehlo").write_bytes(export_network(network, variables, pixels="uint8", scale="max"))
    subprocess.run([sys.executable, "-c", ALONE], cwd=tmp_path, check=True)
    expected = alone(network, variables, images.astype(np.float32) / images.max())
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("scale", ["dtype", "max"])
@pytest.mark.parametrize(("dtype", "given", "wanted"), [("uint8", 3, 1), ("uint8", 1, 3), ("uint16", 1, 1)])
def test_pictures_are_scaled_and_converted_as_they_are_read(scale, dtype, given, wanted, tmp_path):
    largest = np.iinfo(dtype).max // 2
    stored = np.random.default_rng(4).integers(0, largest, (16, 18, given), dtype)
    Image.fromarray(stored.squeeze()).save(tmp_path / "picture.png")
    variables = drawn(MSD, wanted)
    read = read_picture(tmp_path / "picture.png", scale=scale, channels=wanted)
    file = export_network(MSD, variables, pixels=dtype, scale=scale, channels=given, size=(16, 18))
    found = called(file, stored[None])
    np.testing.assert_allclose(found, alone(MSD, variables, read[None]), rtol=1e-5, atol=1e-5)


def test_a_black_picture_stays_black(grey):
    black = np.zeros((1, 12, 12, 1), np.float32)
    found = called(export_network(MSD, grey, scale="max", size=(12, 12)), black)
    np.testing.assert_allclose(found, alone(MSD, grey, black), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("size", "shape", "said"),
    [
        (1, (1, 2, 9, 1), r"'rows' = 0 from specification 'rows \+ 2' .*\(= 2\)"),
        (1, (1, 9, 9, 3), r"expected \(batch, rows \+ 2, columns \+ 2, 1\) and called with \(1, 9, 9, 3\)"),
        (1, (9, 9, 1), "Rank mismatch"),
        (4, (1, 8, 10, 1), "Division had remainder 2 when computing the value of 'columns'"),
        ((8, 8), (1, 8, 9, 1), r"expected \(batch, 8, 8, 1\) and called with \(1, 8, 9, 1\)"),
    ],
)
def test_a_file_says_which_pictures_it_refuses(grey, size, shape, said):
    network = export.deserialize(bytearray(export_network(MSD, grey, size=size, platforms=("cpu",))))
    with pytest.raises(ValueError, match=said):
        network.call(np.zeros(shape, np.float32))
    with pytest.raises(ValueError, match=r"Dtype mismatch .* expected float32 and called with uint8"):
        network.call(np.zeros((1, 8, 8, 1), np.uint8))
    assert network.call(np.zeros((3, 8, 8, 1), np.float32)).shape == (3, 8, 8, 2)


def test_multiples_begin_at_the_smallest_that_the_network_takes():
    network = create("unet", width=2, levels=3, norm="none")
    file = export.deserialize(bytearray(export_network(network, drawn(network, 1), size=3)))
    assert str(file.in_avals[0]) == "float32[batch,3*rows + 6,3*columns + 6,1]"  # 9, 12, ...: at least 8


def test_a_network_whose_program_depends_on_the_size_needs_one():
    network = create("msd_classifier", depth=2, pooling="top_share")
    variables = drawn(network, 1)
    with pytest.raises(InputError, match=r"size: this network cannot be exported .*; give one size"):
        export_network(network, variables)
    images = np.random.default_rng(5).random((2, 12, 13, 1), np.float32)
    found = called(export_network(network, variables, size=(12, 13)), images)
    np.testing.assert_allclose(found, alone(network, variables, images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pixels": "int16"}, "pixels: unknown 'int16'; choose one of float32, uint8, uint16"),
        ({"scale": "min"}, "scale: unknown 'min'; choose one of dtype, max"),
        ({"channels": 2}, "channels: pictures of 2 cannot be turned into the 1 of the network"),
        ({"size": 0}, "size must be at least 1, not 0"),
        ({"size": (0, 5)}, r"size must be \(height, width\) in pixels"),
        ({"size": (2, 9)}, "pictures must be at least 3 x 3 pixels"),
        ({"size": 5000}, "size must be at most 1024, not 5000"),
        ({"platforms": ()}, "platforms: .* must be one or more of cpu, cuda, rocm, tpu"),
        ({"platforms": ("gpu",)}, "platforms: "),
    ],
    ids=str,
)
def test_what_cannot_be_exported_is_refused(grey, options, said):
    with pytest.raises(InputError, match=said):
        export_network(MSD, grey, **options)


def test_the_number_of_channels_is_found_and_other_variables_are_refused(grey):
    assert channels_of(MSD, grey) == 1
    coloured = create("msd", depth=2, input_mean=(0.1, 0.2, 0.3))
    assert channels_of(coloured, drawn(coloured, 3)) == 3
    with pytest.raises(InputError, match="variables: are not those of a MSD with these options"):
        channels_of(create("msd", depth=3), grey)
