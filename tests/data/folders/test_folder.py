"""A folder gives the pictures, objects, classes and groups that its files say."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from segjax.annotations import to_target
from segjax.data.folders.folder import FolderSource
from segjax.data.folders.folder_options import FolderOptions
from segjax.data.shots import pictures_by_class
from segjax.types import InputError

REAL = Path(__file__).resolve().parents[3].parent / "shared" / "data"


def picture(seed, shape=(12, 16)):
    return np.random.default_rng(seed).integers(0, 200, shape).astype(np.uint8)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        tifffile.imwrite(path, pixels, photometric="minisblack")
    else:
        Image.fromarray(pixels).save(path)


def labelled(values, shape=(12, 16), dtype=np.uint16):
    """Labels with one 3 x 3 square per value, two pixels apart."""
    labels = np.zeros(shape, dtype)
    for place, value in enumerate(values):
        y, x = divmod(place, 3)
        labels[5 * y : 5 * y + 3, 5 * x : 5 * x + 3] = value
    return labels


def opened(path, **options):
    return FolderSource(path, FolderOptions.parse(options), f"folder:{path}")


def test_values_are_renumbered_and_a_divided_id_stays_one_object(tmp_path):
    labels = labelled([70000, 300, 5, 300], dtype=np.uint32)
    save(tmp_path / "images/a.png", picture(0))
    save(tmp_path / "labels/a.tif", labels)
    source = opened(tmp_path)
    sample = source[0]
    np.testing.assert_array_equal(sample.labels, labelled([3, 2, 1, 2]))
    np.testing.assert_array_equal(sample.classes, [1, 1, 1])
    np.testing.assert_allclose(sample.image[..., 0], picture(0) / picture(0).max(), rtol=1e-6)
    assert (sample.name, sample.group, source.names, source.groups) == ("a", "a", ("a",), ("a",))
    assert source.class_names == ("class 1",) and source.shapes == ((12, 16),) and len(source) == 1


@pytest.mark.parametrize("folder", ["labels", "masks", "instances"])
@pytest.mark.parametrize("ending", ["", "_mask", "_cp_masks", "_label"])
def test_label_folders_and_name_endings(tmp_path, folder, ending):
    for index, name in enumerate(("a", "b")):
        save(tmp_path / f"images/{name}.png", picture(index))
        save(tmp_path / f"{folder}/{name}{ending}.tif", labelled([index + 1]))
    assert opened(tmp_path).names == ("a", "b")


def test_labels_beside_the_pictures_and_hidden_files(tmp_path):
    save(tmp_path / "x.PNG", picture(0))
    save(tmp_path / "x_masks.tif", labelled([4]))
    (tmp_path / "._x.png").write_bytes(b"left behind by a file manager")
    (tmp_path / "notes.txt").write_text("not a picture")
    assert opened(tmp_path)[0].labels.max() == 1


def test_classes_by_majority_and_not_judged_objects(tmp_path):
    labels = labelled([10, 20, 30])
    classes = np.where(labels == 10, 2, np.where(labels == 20, 1, np.where(labels == 30, 255, 0))).astype(np.uint8)
    classes[0, 0] = 1  # one of nine pixels of object 10
    save(tmp_path / "images/a.png", picture(0))
    save(tmp_path / "labels/a.png", labels)
    save(tmp_path / "classes/a.png", classes)
    source = opened(tmp_path, class_names="round, long")
    np.testing.assert_array_equal(source[0].classes, [2, 1])
    assert source.class_names == ("round", "long")
    np.testing.assert_array_equal(source[0].labels, labelled([1, 2, 0]))
    np.testing.assert_array_equal(source[0].of_class(1), labelled([0, 2, 0]))
    np.testing.assert_array_equal(source[0].ignored, labels == 30)
    with pytest.raises(InputError, match="class value 2 has no name in class_names"):
        opened(tmp_path, class_names="round")


def test_pixels_that_nobody_judged_are_ignored_in_and_between_objects(tmp_path):
    labels = labelled([1, 2])
    classes = np.where(labels == 1, 4, 0).astype(np.uint8)
    classes[0:2, 5:8] = 255  # six of nine pixels of object 2, so all of it
    classes[2, 5:8] = 4
    classes[2, 0] = 255  # one pixel of object 1
    classes[8, 8] = 255
    save(tmp_path / "images/a.png", picture(0))
    save(tmp_path / "labels/a.png", labels)
    save(tmp_path / "classes/a.png", classes)
    sample = opened(tmp_path)[0]
    expected = labels == 2
    expected[2, 0] = expected[8, 8] = True
    np.testing.assert_array_equal(sample.ignored, expected)
    np.testing.assert_array_equal(sample.labels, (labels == 1) & ~expected)
    target = to_target(sample.labels, classes=sample.classes, ignore=sample.ignored)
    np.testing.assert_array_equal(target, np.where(expected, -1, np.where(labels == 1, 4, 0)))


def test_class_images_alone_give_pieces_and_ignored_pixels(tmp_path):
    classes = labelled([2, 255, 2], dtype=np.uint8)
    save(tmp_path / "images/a.png", picture(0))
    save(tmp_path / "classes/a.png", classes)
    save(tmp_path / "parts/a.png", labelled([9]))  # another folder is not looked at
    source = opened(tmp_path)
    sample = source[0]
    assert source.class_names == ("class 1", "class 2")
    np.testing.assert_array_equal(sample.labels, labelled([1, 0, 2]))
    np.testing.assert_array_equal(sample.classes, [2, 2])
    np.testing.assert_array_equal(sample.ignored, classes == 255)
    assert opened(tmp_path, annotations="classes", labels="components").digest == source.digest
    with pytest.raises(InputError, match="volumes=true needs ids"):
        opened(tmp_path, volumes="true")


def test_class_names_from_a_table(tmp_path):
    save(tmp_path / "images/a.png", picture(0))
    save(tmp_path / "classes/a.png", labelled([2, 4], dtype=np.uint8))
    table = tmp_path / "names.csv"
    table.write_text("name,class\nplasma,2\n tumour ,4\nrare,5\n")
    names = ("class 1", "plasma", "class 3", "tumour", "rare")
    assert opened(tmp_path, class_names="names.csv").class_names == names
    assert opened(tmp_path, class_names=str(table)).class_names == names
    for text, message in (
        ("class,name\n0,a\n", "class '0' is not a whole number"),
        ("class,name\n2,a\n2,b\n", "class 2 appears twice"),
        ("index,name\n2,a\n", "must name the columns class and name"),
        ("class,name\n2,a\n", "class value 4 has no name"),
    ):
        table.write_text(text)
        with pytest.raises(InputError, match=message):
            opened(tmp_path, class_names="names.csv")
    with pytest.raises(InputError, match=r"class_names=none\.csv: neither"):
        opened(tmp_path, class_names="none.csv")


@pytest.mark.parametrize("value", [1, 255])
def test_binary_masks_become_components(tmp_path, value):
    mask = labelled([value, value, 0, value], dtype=np.uint8)
    mask[3, 3] = value  # joins corner to corner with the first square only
    save(tmp_path / "images/a.png", picture(0))
    save(tmp_path / "masks/a.png", mask)
    source = opened(tmp_path, labels="components")
    sample = source[0]
    assert sorted(np.bincount(sample.labels.ravel())[1:].tolist()) == [9, 9, 10]
    assert source.class_names == ("class 1",) and sample.classes.tolist() == [1, 1, 1]


def test_class_masks_become_components_of_each_class_without_255(tmp_path):
    mask = labelled([2, 255, 1], dtype=np.uint8)
    mask[0:3, 3:5] = 1  # touches the first square and the square of 255
    save(tmp_path / "images/a.png", picture(0))
    save(tmp_path / "classes/a.png", mask)
    source = opened(tmp_path, annotations="classes", labels="components")
    sample = source[0]
    assert source.class_names == ("class 1", "class 2")
    for index in (1, 2):
        np.testing.assert_array_equal(sample.of_class(index) > 0, mask == index)
    assert sorted(sample.classes.tolist()) == [1, 1, 2]


def test_volumes_keep_ids_over_their_slices(tmp_path):
    for seed, (name, values) in enumerate((("v1_0", [7, 9]), ("v1_1", [0, 9]), ("v2_0", [9, 0]))):
        save(tmp_path / f"images/{name}.png", picture(seed))
        save(tmp_path / f"labels/{name}.png", labelled(values))
    source = opened(tmp_path, groups="^(v[0-9])_", volumes="true")
    assert source.groups == ("v1", "v1", "v2")
    np.testing.assert_array_equal(source[0].labels, labelled([1, 2]))
    np.testing.assert_array_equal(source[1].labels, labelled([0, 2]))
    np.testing.assert_array_equal(source[2].labels, labelled([1, 0]))
    assert [len(source[index].classes) for index in range(3)] == [2, 2, 1]
    apart = opened(tmp_path, groups="^(v[0-9])_")
    np.testing.assert_array_equal(apart[1].labels, labelled([0, 1]))


def test_groups_from_a_table_and_keep(tmp_path):
    for index, name in enumerate(("a", "b", "c")):
        save(tmp_path / f"images/{name}.png", picture(index))
        save(tmp_path / f"labels/{name}.png", labelled([1]))
    (tmp_path / "groups.csv").write_text("picture,group\na,bright/1\nb.png,dark/1\nc,dark/2\n")
    source = opened(tmp_path, groups="groups.csv", keep="^dark/")
    assert (source.names, source.groups) == (("b", "c"), ("dark/1", "dark/2"))
    (tmp_path / "groups.csv").write_text("picture,group\na,bright/1\n")
    with pytest.raises(InputError, match="no group for b, c"):
        opened(tmp_path, groups="groups.csv")
    with pytest.raises(InputError, match="keep=x matches no group"):
        opened(tmp_path, keep="x")


def test_digest_follows_contents_and_options_and_not_the_place(tmp_path):
    digests = []
    for place in ("here", "there", "changed"):
        save(tmp_path / place / "images/a.png", picture(0))
        save(tmp_path / place / "labels/a.png", labelled([1 if place != "changed" else 2]))
        digests.append(opened(tmp_path / place).digest)
    assert digests[0] == digests[1] != digests[2] and len(digests[0]) == 16
    assert opened(tmp_path / "here", scale="dtype").digest != digests[0]


def test_mixed_channels_can_be_made_equal(tmp_path):
    save(tmp_path / "images/grey.png", picture(0))
    save(tmp_path / "images/colour.png", picture(1, (12, 16, 3)))
    for name in ("grey", "colour"):
        save(tmp_path / f"labels/{name}.png", labelled([1]))
    with pytest.raises(InputError, match=r"channels=1 .* channels=3"):
        opened(tmp_path)
    for channels in ("1", "3"):
        assert {opened(tmp_path, channels=channels)[index].image.shape for index in (0, 1)} == {(12, 16, int(channels))}


def test_empty_pictures_only_when_asked(tmp_path):
    for index, name in enumerate(("a", "b")):
        save(tmp_path / f"images/{name}.png", picture(index))
        save(tmp_path / f"labels/{name}.png", labelled([index]))
    with pytest.raises(InputError, match=r"1 problem\(s\)(.|\n)*a\.png: no object(.|\n)*experiments\.check 'folder:"):
        opened(tmp_path)
    assert [len(opened(tmp_path, empty="keep")[index].classes) for index in (0, 1)] == [0, 1]


def test_pictures_without_labels_are_passed_over_when_asked(tmp_path):
    for name in "abc":
        save(tmp_path / "images" / f"{name}.png", picture(ord(name)))
    save(tmp_path / "labels" / "b.tif", labelled([40, 7]))
    with pytest.raises(InputError, match="has no label image"):
        opened(tmp_path)
    source = opened(tmp_path, unlabelled="skip")
    assert source.names == ("b",)
    np.testing.assert_array_equal(source.values_of(0), [7, 40])
    np.testing.assert_array_equal(np.append(0, source.values_of(0))[source[0].labels], labelled([40, 7]))


def test_folders_that_cannot_be_read_at_all_are_refused(tmp_path):
    with pytest.raises(InputError, match="is not a folder"):
        opened(tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds no pictures"):
        opened(tmp_path)
    save(tmp_path / "images/a.png", picture(0))
    with pytest.raises(InputError, match=r"has no labels.*annotations=FOLDER"):
        opened(tmp_path)
    save(tmp_path / "labels/a.png", labelled([1]))
    save(tmp_path / "masks/a.png", labelled([1]))
    with pytest.raises(InputError, match="several label folders"):
        opened(tmp_path)
    with pytest.raises(InputError, match="images=photos"):
        opened(tmp_path, images="photos")
    with pytest.raises(InputError, match="annotations=outlines"):
        opened(tmp_path, annotations="outlines")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"colour": "1"}, "'colour' is unknown.*images, annotations"),
        ({"scale": "mean"}, "scale=mean is unknown; choose one of max, dtype"),
        ({"groups": "^(a"}, "not a regular expression"),
        ({"groups": "^a"}, "has no bracket"),
        ({"volumes": "true", "labels": "components"}, "volumes=true needs ids"),
    ],
)
def test_unfit_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        FolderOptions.parse(options)


def test_unfit_group_tables_are_refused(tmp_path):
    save(tmp_path / "images/a.png", picture(0))
    save(tmp_path / "labels/a.png", labelled([1]))
    with pytest.raises(InputError, match=r"groups=none\.csv"):
        opened(tmp_path, groups="none.csv")
    (tmp_path / "wrong.csv").write_text("file,patient\na,1\n")
    with pytest.raises(InputError, match="columns picture and group"):
        opened(tmp_path, groups="wrong.csv")


@pytest.mark.skipif(not REAL.is_dir(), reason="the real pictures (../shared/data beside the repository) are not here")
def test_real_nuclei_and_blood_cells():
    kinds = Path(__file__).resolve().parents[3] / "experiments" / "cells_instances_kinds.csv"
    nuclei = opened(REAL / "cells_instances", groups=str(kinds), keep="^histology/")
    assert (
        len(nuclei) == 17
        and nuclei[0].image.shape[-1] == 3
        and set(nuclei.groups) <= {f"histology/{n}" for n in nuclei.names}
    )
    blood = opened(REAL / "rbc12")
    assert len(blood) == 32 and len(blood.class_names) == 13
    assert sum(len(blood[index].classes) for index in range(32)) == 1862
    sample = blood[blood.names.index("724")]
    assert sample.ignored is not None and sample.ignored.sum() == 42735 and not sample.labels[sample.ignored].any()
    white = opened(REAL / "wbc_gpl", class_names="neutrophil,lymphocyte,monocyte,eosinophil")
    shown = pictures_by_class(white)
    assert {index: len(pictures) for index, pictures in shown.items()} == {1: 88, 2: 27, 3: 24, 4: 11}
    assert all(white[index].ignored is None for index in shown[4])
