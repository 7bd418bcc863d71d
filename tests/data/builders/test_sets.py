"""Every builder reads a set written as its owners publish it, to the pixel, and says what is wrong with it."""

import json
import re
import shutil

import numpy as np
import pytest
import scipy.io
import tifffile
from PIL import Image

from experiments.harness.pictures import Splitting, read_domain
from segjax.data import open_source
from segjax.data.builders import PUBLIC_SETS, prepare_files
from segjax.types import InputError
from tests.data.builders import owners
from tests.data.builders.owners import CENTRES, OWNERS, SHAPE, discs, save

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


@pytest.fixture
def prepared(tmp_path):
    """Write a set, change it, prepare it, and open it as users do."""

    def prepared(name, change=None, options=""):
        OWNERS[name](tmp_path / "files")
        if change is not None:
            change(tmp_path / "files")
        prepare_files(PUBLIC_SETS[name], tmp_path / "files", tmp_path / "sets")
        return open_source(f"tfds:{name}?dir={tmp_path}/sets{options}")

    return prepared


def remarks(source, text):
    """The remarks that hold a text."""
    return [remark for remark in source.remarks if text in remark]


def of(source, name):
    return source[source.names.index(name)]


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


def test_lizard_looks_classes_up_through_ids(prepared):
    source = prepared("lizard")
    sample = of(source, "consep_1")
    # the discs have the ids 9, 1, 5; ids 5, 9, 1 are of class 2, 3, 6; numbers go by id
    assert [sample.labels[centre] for centre in CENTRES[:3]] == [3, 1, 2]
    np.testing.assert_array_equal(sample.classes, [6, 2, 3])
    np.testing.assert_array_equal(sample.labels > 0, discs(3) > 0)
    np.testing.assert_array_equal(of(source, "glas_2").labels, discs(1))
    np.testing.assert_array_equal(of(source, "glas_2").classes, [2])
    assert not of(source, "glas_10").labels.any() and len(of(source, "glas_10").classes) == 0
    np.testing.assert_array_equal(of(source, "pannuke_3").labels, discs(2))  # ids 300 and 70,000
    assert source.class_names[1] == "epithelial" and source.test_groups == frozenset()
    assert remarks(source, "no object is annotated in 1 of 6 pictures (least_objects=1 leaves them out): glas_10")
    assert remarks(source, "never train on one of them")
    expected = owners.colour(discs(1), 1)
    np.testing.assert_array_equal(np.rint(of(source, "glas_2").image * 255), expected)


def test_lizard_splits_are_the_folds(prepared):
    source = prepared("lizard", options="&split=fold2")
    assert source.names == ("dpath_1", "glas_2")[::-1]


def test_an_id_without_a_class_is_not_judged(prepared):
    def forget(root):
        owners.lizard_mat(next(root.rglob("crag_1.mat")), discs(3), [1, 3], [2, 1])

    source = prepared("lizard", forget)
    sample = of(source, "crag_1")
    np.testing.assert_array_equal(sample.ignored, discs(3) == 2)
    np.testing.assert_array_equal(sample.labels, np.where(discs(3) == 3, 2, discs(3) == 1))
    np.testing.assert_array_equal(sample.classes, [2, 1])
    assert remarks(source, "objects without a class, whose pixels count as not judged: in 1 of 6 pictures, crag_1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.write_bytes(b"MATLAB 7.3"), "cannot be read"),
        (lambda path: path.write_bytes(path.read_bytes()[:200]), "cannot be read"),
        (lambda path: scipy.io.savemat(path, {"inst_map": discs(1)}), "holds no id"),
        (lambda path: owners.lizard_mat(path, discs(3), [1, 2, 3], [2, 2]), "3 ids and 2 classes"),
        (lambda path: owners.lizard_mat(path, discs(3), [1, 2, 3], [2, 2, 9]), "classes from 1 to 6"),
        (lambda path: owners.lizard_mat(path, discs(3) / 2, [1, 2, 3], [2, 2, 1]), "no whole numbers"),
        (lambda path: owners.lizard_mat(path, discs(3)[:40], [1, 2, 3], [2, 2, 1]), r"\(40, 64\) pixels"),
        (lambda path: path.unlink(), "crag_1 of info.csv has no picture or no annotation"),
    ],
)
def test_damaged_lizard_files_are_named(prepared, change, message):
    with pytest.raises(InputError, match=message) as refused:
        prepared("lizard", lambda root: change(next(root.rglob("crag_1.mat"))))
    assert "crag_1" in str(refused.value)


def test_conic_patches_of_one_picture_are_one_group(prepared):
    source = prepared("conic")
    assert source.groups == ("consep_1", "consep_1", "glas_2", "glas_2", "crag_1", "pannuke_3")
    np.testing.assert_array_equal(of(source, "consep_1-0001").classes, [2, 1, 2])  # ids 1, 2, 3: odd ones are class 2
    np.testing.assert_array_equal(of(source, "consep_1-0002").labels, np.array([0, 2, 1])[discs(2)])


def test_conic_arrays_of_different_length_are_refused(prepared):
    def cut(root):
        np.save(root / "labels.npy", np.load(root / "labels.npy")[:5])

    with pytest.raises(InputError, match=r"'labels.npy': 5.*6 in patch_info.csv"):
        prepared("conic", cut)
    with pytest.raises(InputError, match=r"labels.npy: cannot be read"):
        prepared("conic", lambda root: (root / "labels.npy").write_bytes((root / "labels.npy").read_bytes()[:900]))


def test_pannuke_takes_ids_over_channels_and_leaves_the_background_channel_out(prepared):
    source = prepared("pannuke")
    sample = of(source, "fold2-0002")
    np.testing.assert_array_equal(sample.labels, discs(4))  # ids 3, 4, 8, 12
    np.testing.assert_array_equal(sample.classes, [1, 2, 3, 4])
    assert not of(source, "fold1-0003").labels.any()
    assert remarks(source, "no object is annotated in 3 of 12 pictures")
    assert len(open_source(f"{source.spec}&least_objects=1")) == 9
    assert len(open_source(f"{source.spec}&least_objects=3")) == 6


def test_pannuke_keeps_an_id_that_two_classes_share_apart(prepared):
    def share(root):
        path = root / "Fold 1" / "masks" / "fold1" / "masks.npy"
        masks = np.load(path)
        masks[1] = 0
        masks[1, ..., 0] = 5 * (discs(2) == 1)
        masks[1, ..., 3] = 5 * (discs(2) == 2)
        masks[2, 0, 0] = [7, 8, 0, 0, 0, 0]  # two classes in a pixel
        np.save(path, masks)

    source = prepared("pannuke", share)
    np.testing.assert_array_equal(of(source, "fold1-0001").labels, discs(2))
    np.testing.assert_array_equal(of(source, "fold1-0001").classes, [1, 4])
    assert remarks(source, "pixels of several classes, which the highest id has: in 1 of 12 pictures, fold1-0002")


def test_mixed_up_folds_of_pannuke_are_refused_or_said(prepared, tmp_path):
    def put_into_another(root):
        shutil.move(root / "Fold 1" / "images" / "fold1", root / "Fold 1" / "images" / "fold2")

    def pair_with_another(root):
        path = root / "Fold 1" / "masks" / "fold1" / "masks.npy"
        np.save(path, np.load(path)[:3])

    def copy_from_another(root):
        shutil.copy(root / "Fold 1/images/fold1/images.npy", root / "Fold 2/images/fold2/images.npy")

    with pytest.raises(InputError, match="lies in Fold 1; folds are mixed up"):
        prepared("pannuke", put_into_another)
    shutil.rmtree(tmp_path / "files")
    with pytest.raises(InputError, match=r"'masks.npy': 3.*several folds are mixed up"):
        prepared("pannuke", pair_with_another)
    source = prepared("pannuke", copy_from_another)
    assert remarks(source, "4 pictures there more than once, pixel by pixel: fold1-0000 (fold1) = fold2-0000 (fold2)")


def test_consep_takes_the_type_of_most_pixels_and_drops_transparency(prepared):
    source = prepared("consep")
    np.testing.assert_array_equal(of(source, "test_1").classes, [1, 7, 1, 1])
    assert source.test_groups == {"test_1", "test_2"} and of(source, "test_1").image.shape == (*SHAPE, 3)


def test_monusac_fills_outlines_and_does_not_judge_ambiguous_ones(prepared):
    source = prepared("monusac")
    sample = of(source, "train_TCGA-55-1594-01Z-00-DX1_1")
    np.testing.assert_array_equal(sample.labels, discs(3))
    np.testing.assert_array_equal(sample.ignored, discs(4) == 4)
    np.testing.assert_array_equal(sample.classes, [1, 1, 2])
    np.testing.assert_array_equal(np.rint(sample.image * 255), owners.colour(discs(4), 0))  # RGBA, in this order
    assert source.groups.count("TCGA-A2-A0ES") == 2 and source.test_groups == {"TCGA-49-6743"}
    assert remarks(
        source, "1 group with pictures in several splits, so none counts as test: TCGA-A2-A0ES (test, train)"
    )


def test_monusac_says_what_is_wrong_with_outlines(prepared):
    def spoil(root):
        path = next(root.rglob("TCGA-69*.xml"))
        bow = [(2.0, 2.0), (12.0, 12.0), (12.0, 2.0), (2.0, 12.0)]
        beyond = [(56.0, 30.0), (70.0, 30.0), (70.0, 40.0), (56.0, 40.0)]
        owners.aperio(path, {"Epithelial": [bow, beyond, [(1.0, 1.0), (5.0, 5.0)]], " Macrophage ": []})

    source = prepared("monusac", spoil)
    sample = of(source, "train_TCGA-69-7760-01Z-00-DX1_1")
    assert len(sample.classes) == 2 and sample.ignored is None
    halves = sample.labels == sample.labels[7, 4]  # both halves of the bow are one nucleus
    assert sample.labels[7, 4] > 0 and halves[7, 10] and not halves[3, 7] and not halves[11, 7]
    assert sample.labels[35, 63] > 0
    for text in ("outlines that cross themselves", "outlines that leave the picture", "without a pixel of their own"):
        assert len(remarks(source, text)) == 1


def test_monusac_reads_the_slide_and_says_that_its_copy_exchanges_red_and_blue(prepared):
    def add_slide(root):
        path = next(root.rglob("TCGA-69*.tif"))
        image = tifffile.imread(path)
        tifffile.imwrite(path.with_suffix(".svs"), image[..., 2::-1], photometric="rgb")

    source = prepared("monusac", add_slide)
    expected = owners.colour(discs(4), 1)[..., ::-1]
    np.testing.assert_array_equal(np.rint(of(source, "train_TCGA-69-7760-01Z-00-DX1_1").image * 255), expected)
    assert remarks(source, "red and blue exchanged")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.with_suffix(".tif").unlink(), "has no picture .svs or .tif beside it"),
        (lambda path: path.write_text("<Annotations><Annotation>"), "cannot be read"),
        (lambda path: owners.aperio(path, {"Stroma": [owners.circle(10, 10)]}), "outlines of class 'stroma'"),
        (lambda path: path.write_text(path.read_text().replace('X="', 'x="', 5)), "a corner without X and Y"),
        (lambda path: path.write_text(path.read_text().replace('X="', 'X="a', 5)), "a corner without X and Y"),
        (
            lambda path: save(path.with_suffix(".tif"), discs(1).astype(np.uint16)),
            "expected is an 8-bit picture in colour",
        ),
    ],
)
def test_damaged_monusac_files_are_named(prepared, change, message):
    with pytest.raises(InputError, match=message) as refused:
        prepared("monusac", lambda root: change(next(root.rglob("TCGA-69*.xml"))))
    assert "TCGA-69" in str(refused.value)


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

    with pytest.raises(InputError, match="a mask of one object has"):
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


def test_more_objects_than_16_bits_hold_keep_their_ids_and_classes(tmp_path):
    files = tmp_path / "files"
    OWNERS["consep"](files)
    values = np.zeros((400, 400), np.int64)
    values[:, ::2] = np.arange(1, 80_001).reshape(400, 200)
    save(files / "CoNSeP/Train/Images/train_1.png", owners.colour(values, 0))
    types = np.where(values > 70_000, 5, (values > 0).astype(int))
    scipy.io.savemat(files / "CoNSeP/Train/Labels/train_1.mat", {"inst_map": values, "type_map": types})
    prepare_files(PUBLIC_SETS["consep"], files, tmp_path / "sets")
    sample = open_source(f"tfds:consep?dir={tmp_path}/sets")[0]
    np.testing.assert_array_equal(sample.labels, values)
    assert sample.classes[69_999] == 1 and sample.classes[70_000] == 5 and len(sample.classes) == 80_000
