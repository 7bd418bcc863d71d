"""Classes of whole pictures: from a table beside a folder, and from what labels show."""

import numpy as np
import pytest
from PIL import Image

from segjax.data import open_source
from segjax.types import InputError


@pytest.fixture
def folder(tmp_path):
    """Four pictures; the last two have a mask, one of them an empty one."""
    rng = np.random.default_rng(0)
    for sub in ("images", "labels"):
        (tmp_path / sub).mkdir()
    for index in range(4):
        Image.fromarray(rng.integers(0, 255, (12, 10), np.uint8)).save(tmp_path / "images" / f"p{index}.png")
    mask = np.zeros((12, 10), np.uint8)
    Image.fromarray(mask).save(tmp_path / "labels" / "p2.png")
    mask[2:6, 3:8] = 1
    Image.fromarray(mask).save(tmp_path / "labels" / "p3.png")
    write(tmp_path, "p0.png,none", "p1,site", "p2,none", "p3,site")
    return tmp_path


def write(folder, *rows):
    (folder / "kinds.csv").write_text("\n".join(["picture,label", *rows]) + "\n")


def opened(folder, more=""):
    return open_source(f"folder:{folder}?image_labels=kinds.csv{more}")


def test_pictures_have_the_labels_of_the_table_and_masks_where_there_are_any(folder):
    source = opened(folder)
    assert source.label_names == ("none", "site")
    samples = [source[index] for index in range(4)]
    assert [sample.label for sample in samples] == [0, 1, 0, 1]
    assert samples[3].labels.sum() == 20 and samples[3].ignored is None
    assert samples[2].ignored is None and not samples[2].labels.any()
    for sample in samples[:2]:
        assert sample.ignored.all() and not sample.labels.any()


def test_no_mask_at_all_is_needed(folder):
    for file in (folder / "labels").iterdir():
        file.unlink()
    (folder / "labels").rmdir()
    assert [opened(folder)[index].label for index in range(4)] == [0, 1, 0, 1]


def test_names_decide_the_order_and_numbers_count(folder):
    assert [opened(folder, "&label_names=site,none")[i].label for i in range(4)] == [1, 0, 1, 0]
    write(folder, "p0,10", "p1,9", "p2,10", "p3,9")
    source = opened(folder)
    assert source.label_names == ("9", "10") and source[0].label == 1


def test_other_labels_are_other_data(folder):
    first = opened(folder).digest
    write(folder, "p0,site", "p1,site", "p2,none", "p3,site")
    assert opened(folder).digest != first


def test_a_crop_keeps_the_label_and_a_tile_does_not(folder):
    crop, tile = opened(folder, "&crop=8"), opened(folder, "&tile=6")
    assert [crop[index].label for index in range(4)] == [0, 1, 0, 1] and crop.label_names == ("none", "site")
    assert {tile[index].label for index in range(len(tile))} == {None} and tile.label_names == ()


def test_presence_labels_tiles_by_the_part_of_an_object_that_they_show(folder):
    with pytest.raises(InputError, match=r"picture p0@0,0 has no label image, so its objects are unknown"):
        opened(folder, "&tile=6&presence=9")[0]
    for index in (0, 1):
        Image.fromarray(np.zeros((12, 10), np.uint8)).save(folder / "labels" / f"p{index}.png")
    source = opened(folder, "&tile=6&presence=9")
    assert source.label_names == ("without", "with") and len(source) == 16
    # the mask covers rows 2..5 and columns 3..7: twelve pixels of the tile at 0, 0 and of that at 0, 4 sixteen
    labels = {source.names[index]: source[index].label for index in range(16)}
    assert {name for name, label in labels.items() if label} == {"p3@0,0", "p3@0,4"}
    less = open_source(f"folder:{folder}?image_labels=kinds.csv&tile=6&presence=13")
    assert [less.names[i] for i in range(16) if less[i].label] == ["p3@0,4"]
    small = less[less.names.index("p3@0,0")]
    assert not small.labels.any() and less.digest != source.digest


@pytest.mark.parametrize(
    ("rows", "more", "message"),
    [
        (["p0,a", "p1,b", "p2,a"], "", r"gives no label for p3 \(1 in all\); every picture needs one"),
        (["p0,a", "p1,b", "p2,a", "p3,b", "p0.png,b"], "", "picture p0 has the labels a and b; keep one"),
        (["p0,a", "p1,a", "p2,a", "p3,a"], "", "all pictures have the label a; a classifier needs two classes"),
        (["p0,a", "p1,b", "p2,a", "p3,c"], "&label_names=a,b", "label c is not among label_names=a,b"),
    ],
)
def test_tables_that_do_not_serve_are_refused(folder, rows, more, message):
    write(folder, *rows)
    with pytest.raises(InputError, match=message):
        opened(folder, more)


def test_a_missing_table_and_an_area_of_nothing_are_refused(folder):
    with pytest.raises(InputError, match=r"image_labels=other\.csv: neither .* is a file"):
        open_source(f"folder:{folder}?image_labels=other.csv")
    with pytest.raises(InputError, match="presence=0: must be at least 1 pixel"):
        opened(folder, "&presence=0")
