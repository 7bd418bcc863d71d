"""Files with flipped, lost and repeated bytes are read or refused: no traceback, no hang, little memory."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from experiments.check.command import check
from experiments.harness.examples import Examples
from segjax.data.folders.folder import FolderSource
from segjax.data.folders.folder_options import FolderOptions
from segjax.models import load_weights, save_weights
from segjax.types import InputError


@dataclass(frozen=True)
class SmallTrial:
    seed: int = 0


MUTANTS = 72  # of each of seven kinds: 504 in all
SECONDS, MEGABYTES = 10, 2000
PEAK = Path("/proc/self/clear_refs")
GEOTIFF = [
    (33550, "d", 3, (2.0, 2.0, 0.0)),
    (33922, "d", 6, (0.0, 0.0, 0.0, 5e5, 4e6, 0.0)),
    (34735, "H", 8, (1, 1, 0, 1, 3072, 0, 1, 32637)),
]


def mutants(content: bytes, seed: int) -> list[bytes]:
    """Some bytes replaced, a part lost, a part repeated, the end cut off."""
    random, found = np.random.default_rng(seed), []
    for number in range(MUTANTS):
        start, end = sorted(random.integers(0, len(content) + 1, 2))
        part = bytearray(content)
        for place in random.integers(0, len(content), random.integers(1, 9)):
            part[place] = random.integers(256)
        changes = (bytes(part), content[:start] + content[end:], content[:end] + content[start:], content[:start])
        found.append(changes[number % 4])
    return found


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two good pictures with labels and groups."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "set"
    for name in ("images", "labels"):
        (path / name).mkdir(parents=True)
    for name in "ab":
        Image.fromarray(picture(ord(name))).save(path / "images" / f"{name}.png")
        Image.fromarray(labels()).save(path / "labels" / f"{name}.png")
    (path / "groups.csv").write_text("picture,group\na,first\nb,second\n")
    return path


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (24, 20), np.uint8)


def labels() -> np.ndarray:
    found = np.zeros((24, 20), np.uint16)
    found[2:8, 3:9], found[12:20, 5:18] = 1, 700
    return found


def written(path, kind: str) -> bytes:
    """A good file of a kind."""
    file = path.parent / f"good.{kind}"
    if kind == "png":
        Image.fromarray(labels()).save(file)
    elif kind == "jpg":
        Image.fromarray(picture(0)).save(file)
    elif kind == "tif":
        tifffile.imwrite(file, labels(), compression="lzw", photometric="minisblack")
    else:
        tifffile.imwrite(file, picture(0), extratags=GEOTIFF)
    return file.read_bytes()


@contextmanager
def within_limits() -> Iterator[None]:
    """Little time and memory beside what the process holds already."""
    began, held = time.monotonic(), _memory("VmRSS")
    if PEAK.exists():
        PEAK.write_text("5")  # the peak counts from now on
    yield
    assert time.monotonic() - began < SECONDS
    assert _memory("VmHWM") - held < MEGABYTES


def _memory(name: str) -> float:
    """Megabytes now ("VmRSS") or at most ("VmHWM"); 0 where the system does not tell."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:")), 0)


@pytest.mark.parametrize("kind", ["png", "jpg", "tif", "geo.tif"])
def test_pictures_and_labels(folder, kind, capsys):
    place = folder / ("images" if kind in ("jpg", "geo.tif") else "labels")
    (place / "a.png").unlink()
    good = written(folder, kind)
    file = place / f"a.{kind.rpartition('.')[2]}"
    file.write_bytes(good)
    assert check(str(folder), use="pictures") == 0
    refused = 0
    for content in mutants(good, len(kind)):
        with within_limits():
            file.write_bytes(content)
            code = check(str(folder), use="pictures")
            assert code in (0, 2)
            try:
                source = FolderSource(folder, FolderOptions(), "folder:set")
                sample = source[source.names.index("a")]
                assert code == 0 and np.isfinite(sample.image).all() and sample.labels.max() <= len(sample.classes)
            except InputError as error:
                refused += 1
                assert code == 2 and "a." in str(error)
    assert refused >= MUTANTS / 4


def test_tables(folder, capsys):
    good = (folder / "groups.csv").read_bytes()
    for content in mutants(good, 1):
        with within_limits():
            (folder / "groups.csv").write_bytes(content)
            code = check(f"folder:{folder}?groups=groups.csv", use="pictures")
            try:
                assert (
                    len(FolderSource(folder, FolderOptions(groups="groups.csv"), "folder:set").groups) == 2
                    and code == 0
                )
            except InputError as error:
                assert code == 2 and ("groups" in str(error))


def test_weights(tmp_path):
    file = tmp_path / "weights.safetensors"
    tree = {"params": {"kernel": np.arange(60, dtype=np.float32).reshape(3, 4, 5), "bias": np.ones(5, np.float32)}}
    save_weights(file, tree, {"network": "unet"})
    good = file.read_bytes()
    for content in mutants(good, 2):
        with within_limits():
            file.write_bytes(content)
            if content == good:
                continue
            with pytest.raises(InputError, match=r"weights\.safetensors"):
                load_weights(file)


def test_examples(tmp_path):
    """Pictures kept for a page; damaged ones are set aside and count as not there."""
    examples, trial = Examples(tmp_path), SmallTrial()
    examples.keep(trial, {"image": np.arange(200, dtype=np.float32).reshape(10, 20)})
    (file,) = tmp_path.glob("*.safetensors")
    good = file.read_bytes()
    for content in mutants(good, 3):
        with within_limits():
            file.write_bytes(content)
            if content != good:
                with pytest.warns(UserWarning, match="safetensors.damaged"):
                    assert examples.load(trial) is None
