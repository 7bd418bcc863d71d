"""Specs are taken apart as documented, and wrong ones are refused with the remedy."""

import numpy as np
import pytest
from PIL import Image

from segjax.data import open_source
from segjax.data.spec import Spec, parse_spec
from segjax.types import InputError


@pytest.fixture
def folder(tmp_path):
    for name, pixels in (("images", np.arange(400).reshape(20, 20) % 200), ("labels", np.eye(20))):
        (tmp_path / name).mkdir()
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / name / "a.png")
    return tmp_path


def test_parts_of_a_spec():
    assert parse_spec("microscope:hl60?size=quarter&volumes=6") == Spec(
        "microscope", "hl60", {"size": "quarter", "volumes": "6"}
    )
    assert parse_spec("folder:C:/my pictures?groups=^(a|b)=?%26") == Spec(
        "folder", "C:/my pictures", {"groups": "^(a|b)=?&"}
    )
    assert parse_spec("tfds:name").options == {}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("hl60", "SCHEME one of microscope, terrain, folder, tfds"),
        ("ftp:hl60", "SCHEME one of"),
        ("folder:", "SCHEME one of"),
        ("folder:x?tile", "'tile' is not option=value"),
        ("folder:x?tile=", "not option=value"),
        ("folder:x?tile=4&tile=5", "tile is given twice"),
        ("folder:x?tile=4.5", "not a whole number"),
        ("folder:x?tile=-4", "not a whole number"),
        ("folder:x?size=4", "'size' is unknown"),
        ("folder:nowhere", "nowhere is not a folder"),
    ],
)
def test_wrong_specs_are_refused(spec, message):
    with pytest.raises(InputError, match=message):
        open_source(spec)


def test_a_bare_folder_gets_a_hint(folder):
    with pytest.raises(InputError, match="did you mean folder:"):
        open_source(str(folder))


def test_folder_with_and_without_tiles(folder):
    source = open_source(f"folder:{folder}?scale=dtype")
    assert source.spec == f"folder:{folder}?scale=dtype" and len(source) == 1
    tiles = open_source(f"folder:{folder}?tile=16&scale=dtype")
    assert len(tiles) == 4 and tiles[3].image.shape == (16, 16, 1)
    assert open_source(tiles.spec).digest == tiles.digest != source.digest
    crops = open_source(f"folder:{folder}?scale=dtype&crop=16")
    assert len(crops) == len(source) and crops[0].image.shape == (16, 16, 1)
    assert open_source(crops.spec).digest == crops.digest
    with pytest.raises(InputError, match="tile=0"):
        open_source(f"folder:{folder}?tile=0")


def test_a_spec_with_special_characters_opens_again(folder):
    source = open_source(f"folder:{folder}?groups=^(a)%26?")
    assert open_source(source.spec).spec == source.spec
