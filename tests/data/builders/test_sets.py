"""Every builder reads a set written as its owners publish it, to the pixel, and says what is wrong with it."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from experiments.harness.pictures import Splitting, read_domain
from segjax.data import open_source
from segjax.data.builders import PUBLIC_SETS, prepare_files
from segjax.types import InputError
from tests.data.builders import owners
from tests.data.builders.owners import CENTRES, OWNERS, SHAPE, discs, of, remarks, save


@pytest.mark.parametrize("name", PUBLIC_SETS)
def test_every_set_serves_a_study(prepared, name):
    source = prepared(name)
    domain = read_domain(source, Splitting(folds=2, validation="slice"), target=1)
    assert domain.images.shape[:3] == (len(source), *SHAPE) and domain.labels.any(axis=(1, 2)).sum() >= 2
    assert domain.images.shape[-1] == (1 if PUBLIC_SETS[name].IMAGE[0] == 1 else 3)
    assert source.shapes == (SHAPE,) * len(source) and len(set(source.names)) == len(source)
    split = domain.split(0)
    sides = [{source.groups[i] for i in side} for side in (split.train, split.test)]
    assert sides[0] and sides[1] and not sides[0] & sides[1]
    # nuclei are dark, so that the annotation of another picture would be seen
    everything = (domain.labels > 0) | (domain.foreign > 0)
    for image, is_object, ignored in zip(domain.images.mean(-1), everything, domain.ignored, strict=True):
        assert not is_object.any() or image[is_object].max() < image[~is_object & ~ignored].min() + 0.05


def test_a_set_does_not_depend_on_where_it_lies_but_on_what_is_in_it(prepared, tmp_path):
    first = prepared("lizard").digest
    shutil.move(tmp_path / "files", tmp_path / "deep")
    (tmp_path / "files" / "in" / "side").mkdir(parents=True)
    shutil.move(tmp_path / "deep", tmp_path / "files" / "in" / "side")
    shutil.rmtree(tmp_path / "sets")
    prepare_files(PUBLIC_SETS["lizard"], tmp_path / "files", tmp_path / "sets")
    assert open_source(f"tfds:lizard?dir={tmp_path}/sets").digest == first
    shutil.rmtree(tmp_path / "sets")
    path = next((tmp_path / "files").rglob("crag_1.mat"))
    owners.lizard_mat(path, discs(3), [1, 2, 3], [2, 2, 2])  # one class differs
    prepare_files(PUBLIC_SETS["lizard"], tmp_path / "files", tmp_path / "sets")
    assert open_source(f"tfds:lizard?dir={tmp_path}/sets").digest != first


def test_nuinsseg_keeps_ids_above_255_and_does_not_judge_vague_areas(prepared):
    source = prepared("nuinsseg")
    sample = of(source, "human_bladder_01")
    np.testing.assert_array_equal(sample.labels, np.array([0, 1, 2, 4, 3, 0])[discs(5)])  # ids 1, 2, 300, 4, (500)
    np.testing.assert_array_equal(sample.ignored, discs(5) == 5)


def test_nuinsseg_tells_pictures_without_vague_areas(prepared):
    source = prepared(
        "nuinsseg", lambda root: (root / "mouse liver/vague areas/mask binary/mouse_liver_01.png").unlink()
    )
    assert of(source, "mouse_liver_01").ignored is None and len(of(source, "mouse_liver_01").classes) == 5
    assert remarks(source, "no mask of vague areas: in 1 of 4 pictures, mouse_liver_01")


def test_dsb2018_joins_masks_and_says_where_they_overlap(prepared):
    def spoil(root):
        folder = root / "stage1_train" / f"{1:064x}" / "masks"
        ring = np.zeros(SHAPE, np.uint8)
        ring[8:30, 8:40] = 255  # over both discs
        save(folder / "aa.png", ring)
        save(folder / "bb.png", np.zeros(SHAPE, np.uint8))

    source = prepared("dsb2018", spoil)
    sample = of(source, f"{1:064x}")
    np.testing.assert_array_equal((sample.labels > 0) & (sample.labels < 3), discs(2) > 0)  # smaller ones on top
    assert len(sample.classes) == 3 and sample.labels[25, 20] == 3
    assert remarks(source, "objects that overlap") and remarks(source, "without a pixel of their own")
    assert remarks(source, "another number of masks than stage1_train_labels.csv has rows: in 1 of 4 pictures")
    np.testing.assert_array_equal(of(source, f"{3:064x}").labels, discs(4))


def test_dsb2018_refuses_masks_that_are_none(prepared):
    def blur(root):
        values = np.linspace(0, 255, SHAPE[0] * SHAPE[1]).reshape(SHAPE).astype(np.uint8)
        save(root / "stage1_train" / f"{1:064x}" / "masks" / f"{1:064x}.png", values)

    with pytest.raises(InputError, match="the mask of one object has"):
        prepared("dsb2018", blur)


def test_livecell_groups_by_well_and_names_pictures_with_nearly_nothing(prepared):
    def fill(root):
        corners = [(x, y) for y in range(2, 40, 8) for x in range(2, 60, 8)]
        squares = [[[x, y, x + 4, y, x + 4, y + 4, x, y + 4]] for x, y in corners]
        for path in root.rglob("livecell_coco_*.json"):
            table = json.loads(path.read_text())
            one = table["annotations"][0]
            table["annotations"] = [
                one | {"image_id": image["id"], "segmentation": square}
                for image in table["images"]
                for square in (squares[:1] if image["file_name"] == "A172_Phase_A7_1_00d00h00m_2.tif" else squares)
            ]
            path.write_text(json.dumps(table))

    source = prepared("livecell", fill)
    assert source.groups[:3] == ("A172_A7", "A172_A7", "BV2_B1") and source.test_groups == {"A172_C1", "BV2_C2"}
    np.testing.assert_array_equal(of(source, "BV2_Phase_B1_1_00d00h00m_1").classes, [3] * 40)
    found = remarks(source, "nearly nothing is annotated in 1 of 6 pictures (least_objects=2 leaves them out)")
    assert "A172_Phase_A7_1_00d00h00m_2 (1, usual 40)" in found[0]


def test_livecell_fills_outlines_as_coco_does(prepared):
    source = prepared("livecell")
    np.testing.assert_array_equal(source[0].labels > 0, discs(3) > 0)
    assert not remarks(source, "nearly nothing")


def test_livecell_crowds_are_not_judged_and_small_cells_are_on_top(prepared):
    def change(root):
        path = root / "annotations/LIVECell/livecell_coco_val.json"
        table = json.loads(path.read_text())
        box = [2.0, 2.0, 40.0, 2.0, 40.0, 20.0, 2.0, 20.0]
        table["annotations"][2] |= {"iscrowd": 1}
        table["annotations"].append(table["annotations"][0] | {"id": 9, "segmentation": [box]})
        path.write_text(json.dumps(table))

    source = prepared("livecell", change)
    sample = of(source, "A172_Phase_A8_1_00d00h00m_1")
    np.testing.assert_array_equal(sample.ignored, discs(3) == 3)
    np.testing.assert_array_equal((sample.labels == 1) | (sample.labels == 2), (discs(3) == 1) | (discs(3) == 2))
    assert sample.labels[10, 20] == 3 and remarks(source, "objects that overlap")


def test_tnbc_divides_masks_and_keeps_ids(prepared):
    def number(root):
        save(root / "TNBC_NucleiSegmentation" / "GT_02" / "02_1.png", discs(3, (3, 1, 1)).astype(np.uint8))

    source = prepared("tnbc", number)
    np.testing.assert_array_equal(of(source, "01_2").labels, discs(3))
    np.testing.assert_array_equal(of(source, "02_1").labels, np.array([0, 2, 1, 1])[discs(3)])
    assert source.groups == ("patient 01", "patient 01", "patient 02", "patient 03")
    assert remarks(source, "nuclei that touch are one: in 3 of 4 pictures")


def test_cbia_objects_keep_their_number_through_a_volume(prepared):
    source = prepared("cbia_hl60")
    assert source.test_groups == {"cbia_hl60-25"} and len(source) == 12
    sample = of(source, "cbia_hl60-01-slice-003")
    np.testing.assert_array_equal(sample.labels, discs(3))
    np.testing.assert_array_equal(of(source, "cbia_hl60-01-slice-001").classes, [1, 1, 1])  # of the whole volume
    assert sample.image.max() == 1.0  # 16 bits, divided by the slice's maximum
    assert len(open_source(f"{source.spec}&least_objects=1")) == 9


def test_cbia_refuses_two_sets_at_once_and_other_formats(prepared, tmp_path):
    def add(root):
        owners.cbia(root / "HighNoise")

    with pytest.raises(InputError, match="holds several volumes of one number"):
        prepared("cbia_hl60", add)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "image-final_0000.h5").touch()
    with pytest.raises(InputError, match="get the TIFF files"):
        prepare_files(PUBLIC_SETS["cbia_hl60"], tmp_path / "other", tmp_path / "more")


@pytest.mark.parametrize(("name", "last"), [("epfl_mitochondria", "testing-002"), ("lucchi_plus_plus", "test-010")])
def test_mitochondria_are_pieces_of_the_stack(prepared, name, last):
    source = prepared(name)
    np.testing.assert_array_equal(of(source, last).labels > 0, discs(3) > 0)
    for centre in CENTRES[:2]:
        assert source[0].labels[centre] == source[2].labels[centre] > 0  # the same object in every slice
    assert len(of(source, last).classes) == 3 == len(source[0].classes)
    assert of(source, last).image.dtype == np.float32 and set(source.groups) == {source.groups[0], source.groups[-1]}


def test_pets_are_labelled_and_their_border_is_not_judged(prepared):
    def hide(root):
        Image.open(root / "images" / "Bengal_2.jpg").save(root / "images" / "Bengal_2.gif")
        (root / "images" / "Bengal_2.gif").replace(root / "images" / "Bengal_2.jpg")

    source = prepared("oxford_pets", hide)
    assert source.label_names == source.class_names == ("cat", "dog")
    assert [source[i].label for i in range(5)] == [0, 1, 0, 1, 0]
    dog = of(source, "beagle_1")
    row = CENTRES[0][0]
    np.testing.assert_array_equal(dog.ignored, (discs(1) == 1) & (np.arange(SHAPE[0])[:, None] == row))
    np.testing.assert_array_equal(dog.labels > 0, (discs(1) == 1) & (np.arange(SHAPE[0])[:, None] != row))
    np.testing.assert_array_equal(dog.classes, [2, 2])
    assert remarks(source, "a picture called .jpg that is GIF, which was read as such: in 1 of 5 pictures, Bengal_2")


@pytest.mark.parametrize("name", PUBLIC_SETS)
def test_missing_files_tell_which_are_expected(tmp_path, name):
    (tmp_path / "files").mkdir()
    with pytest.raises(InputError) as refused:
        prepare_files(PUBLIC_SETS[name], tmp_path / "files", tmp_path / "sets")
    card = PUBLIC_SETS[name].CARD
    for text in (str(tmp_path / "files"), card.licence, card.address, card.tree.strip().splitlines()[0].strip()):
        assert text in str(refused.value)
    assert card.address in PUBLIC_SETS[name].__doc__ and card.licence in PUBLIC_SETS[name].__doc__


@pytest.mark.parametrize("name", PUBLIC_SETS)
def test_a_file_that_is_lost_is_noticed(tmp_path, name):
    """Of every kind of file one is removed: the set is refused, or is another one and says so."""
    OWNERS[name](tmp_path / "whole")
    prepare_files(PUBLIC_SETS[name], tmp_path / "whole", tmp_path / "sets")
    whole = open_source(f"tfds:{name}?dir={tmp_path}/sets")
    paths = sorted(path for path in (tmp_path / "whole").rglob("*.*") if path.is_file())
    kinds = {re.sub(r"\d+", "", path.name): path.relative_to(tmp_path / "whole") for path in paths}
    for unneeded in ("types.npy", "stage_train_labels.csv"):
        kinds.pop(unneeded, None)
    for number, lost in enumerate(kinds.values()):
        files = tmp_path / f"lost{number}"
        shutil.copytree(tmp_path / "whole", files)
        (files / lost).unlink()
        try:
            prepare_files(PUBLIC_SETS[name], files, tmp_path / f"sets{number}")
        except InputError:
            continue
        left = open_source(f"tfds:{name}?dir={tmp_path}/sets{number}")
        assert left.digest != whole.digest and left.remarks != whole.remarks, lost
