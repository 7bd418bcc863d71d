"""The wheel, alone in an empty environment: what imports and runs without the packages of the studies."""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
INSIDE = """
import importlib
import pkgutil
import re
import socket
from importlib.util import find_spec

import jax
import jax.numpy as jnp
import segjax
from segjax.fewshot import load_extractors
from segjax.models import CLASSIFIERS, NETWORKS, card, create
from segjax.models.pretrained import shipped_names

def refused(*_):
    raise AssertionError("the network was asked for something")


socket.getaddrinfo = socket.socket.connect = refused  # weights come with the package
jax.config.update("jax_disable_most_optimizations", True)  # compiling is most of the time
assert not find_spec("experiments") and not find_spec("launch")
for found in pkgutil.walk_packages(segjax.__path__, "segjax."):
    try:
        importlib.import_module(found.name)
    except ImportError as error:
        needing = "segjax.sweeps", "segjax.reports", "segjax.data.builders", "segjax.data.prepared"
        assert found.name.startswith(needing), (found.name, error)
        assert "pip install 'segjax[studies]'" in str(error), (found.name, error)
        print("refused", found.name)
    else:
        print("imported", found.name)

tiny = {"depth": 2}, {"width": 2, "levels": 2}, {"width": 2}
sizes = {
    "unet": tiny[1], "segnet": tiny[1], "msd": tiny[0], "vgg16": tiny[2], "resnet18": tiny[2], "resnet34": tiny[2],
    "resnet50": tiny[2], "msd_classifier": tiny[0], "unet_classifier": tiny[1],
}
assert set(sizes) == {*NETWORKS, *CLASSIFIERS}
for name, options in sizes.items():
    network = create(name, **options)
    variables = network.init(jax.random.key(0), jnp.zeros((1, 32, 32, 1)))
    logits = network.apply(variables, jnp.zeros((1, 32, 32, 1)))
    assert logits.shape == ((1, 32, 32, 2) if name in NETWORKS else (1, 2)), name
    print("applied", name)

for name in shipped_names():
    assert (card(name).folder / "LICENSE.txt").is_file(), name
    channels = int(re.search(r"with (\\d) channels?", card(name).facts["about"]["takes"])[1])
    picture = jnp.zeros((1, 64, 64, channels))
    for kind in card(name).networks:
        network = create(kind, pretrained=name)  # the three lines that a person writes
        variables = network.init(jax.random.key(0), picture)
        logits = network.apply(variables, picture)
        assert bool(jnp.isfinite(logits).all()), (name, kind)
        print("trained", name, kind)
assert all(extractor.mean is not None for extractor in load_extractors("nuclei"))
"""


def run(*command: str | Path, where: Path) -> str:
    """What a command prints; it fails with what it complains of."""
    ended = subprocess.run([*map(str, command)], cwd=where, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture
def python(tmp_path) -> Path:
    """The interpreter of an environment that holds the wheel, what it depends on, and nothing else."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    reached = subprocess.run(
        [*pip, "download", "--no-deps", "--dest", tmp_path / "index", "setuptools"], capture_output=True, check=False
    )
    if reached.returncode:
        pytest.skip("the index of Python packages cannot be reached, and the wheel needs what it depends on")
    source = tmp_path / "source"
    for folder in ("segjax", "experiments", "launch"):
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__", "results"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    run(*pip, "wheel", "--no-deps", "--wheel-dir", tmp_path, source, where=tmp_path)
    venv.create(tmp_path / "empty", with_pip=False)
    inside = tmp_path / "empty" / "bin" / "python"
    (wheel,) = tmp_path.glob("segjax-*.whl")
    run(*pip, "--python", inside, "install", "--no-compile", "-c", ROOT / "constraints.txt", wheel, where=tmp_path)
    return inside


@pytest.mark.slow
def test_the_wheel_alone_gives_every_room_of_the_library_and_every_network(python, tmp_path):
    told = run(python, "-I", "-c", INSIDE, where=tmp_path).splitlines()
    imported = {line.removeprefix("imported ") for line in told if line.startswith("imported ")}
    assert {"segjax.types", "segjax.data.spec", "segjax.simulators.terrain", "segjax.maps.contour"} <= imported
    assert {"refused segjax.data.builders", "refused segjax.data.prepared"} <= set(told)
    assert sum(line.startswith("applied ") for line in told) == 9
    assert {f"trained nuclei {kind}" for kind in ("unet", "segnet", "msd")} | {"trained upgrader unet"} <= set(told)
