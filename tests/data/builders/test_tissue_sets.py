"""Sets of stained tissue, written as their owners publish them, are read to the pixel, and their defects are said."""

import shutil

import numpy as np
import pytest
import scipy.io
import tifffile

from segjax.data import open_source
from segjax.data.builders import PUBLIC_SETS, prepare_files
from segjax.types import InputError
from tests.data.builders import owners
from tests.data.builders.owners import CENTRES, OWNERS, SHAPE, discs, of, remarks, save


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
        (lambda path: scipy.io.savemat(path, {"inst_map": discs(1)}), "has no id"),
        (lambda path: owners.lizard_mat(path, discs(3), [1, 2, 3], [2, 2]), "3 ids and 2 classes"),
        (lambda path: owners.lizard_mat(path, discs(3), [1, 2, 3], [2, 2, 9]), "classes from 1 to 6"),
        (lambda path: owners.lizard_mat(path, discs(3) / 2, [1, 2, 3], [2, 2, 1]), "not whole numbers"),
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

    with pytest.raises(InputError, match=r"'labels.npy': 5.*patch_info.csv lists 6"):
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

    with pytest.raises(InputError, match="lies in Fold 1, so folds are mixed up"):
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
        (lambda path: path.write_text(path.read_text().replace('X="', 'x="', 5)), "a corner lacks X or Y"),
        (lambda path: path.write_text(path.read_text().replace('X="', 'X="a', 5)), "a corner lacks X or Y"),
        (
            lambda path: save(path.with_suffix(".tif"), discs(1).astype(np.uint16)),
            "it must be an 8-bit colour picture",
        ),
    ],
)
def test_damaged_monusac_files_are_named(prepared, change, message):
    with pytest.raises(InputError, match=message) as refused:
        prepared("monusac", lambda root: change(next(root.rglob("TCGA-69*.xml"))))
    assert "TCGA-69" in str(refused.value)


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
