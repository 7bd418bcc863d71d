"""Each way in which a folder can be wrong is listed with its file, and a sound folder is not blamed."""

import os

import numpy as np
import pytest
import tifffile
from PIL import Image

from segjax.data.folders.check import check_folder, inspect_folder
from segjax.data.folders.folder_options import FolderOptions
from segjax.types import InputError


def picture(seed, shape=(64, 64)):
    return np.random.default_rng(seed).integers(0, 200, shape).astype(np.uint8)


def squares(count, size=64, dtype=np.uint16):
    """`count` single-pixel objects with ids 1, 2, ..., no two touching."""
    labels = np.zeros((size, size), np.int64)
    ys, xs = np.meshgrid(np.arange(0, size, 2), np.arange(0, size, 2), indexing="ij")
    labels[ys.ravel()[:count], xs.ravel()[:count]] = np.arange(1, count + 1)
    return labels.astype(dtype)


@pytest.fixture
def folder(tmp_path):
    """Three sound pictures a, b, c."""
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    for index, name in enumerate("abc"):
        Image.fromarray(picture(index)).save(tmp_path / f"images/{name}.png")
        Image.fromarray(squares(300)).save(tmp_path / f"labels/{name}.png")
    return tmp_path


def reasons(folder, **options):
    return {problem.path.name: f"{problem.reason}; {problem.remedy}" for problem in check_folder(folder, options)}


def test_sound_folder_has_no_problem(folder):
    assert check_folder(folder, {}) == []


def test_pictures_of_formats_that_are_not_read_are_remarked(folder):
    assert inspect_folder(folder, FolderOptions()).remarks == []
    for name in ("d.bmp", "e.CZI", "notes.txt"):
        (folder / "images" / name).write_bytes(b"anything")
    [remark] = inspect_folder(folder, FolderOptions()).remarks
    assert remark.reason == "files in these formats are not read: d.bmp, e.CZI"


@pytest.mark.parametrize("option", ["layer=a", "class_column=kind", "radius=5", "all_touched=true", "label_names=a,b"])
def test_options_that_would_do_nothing_are_refused(folder, option):
    with pytest.raises(InputError, match=f"option {option.split('=')[0]}.*leave it out"):
        check_folder(folder, dict([option.split("=")]))


def test_every_problem_is_listed_at_once(folder):
    (folder / "images/a.png").write_bytes((folder / "images/a.png").read_bytes()[:500])
    Image.fromarray(squares(9, 32)).save(folder / "labels/b.png")
    Image.fromarray(np.zeros((64, 64), np.uint16)).save(folder / "labels/c.png")
    found = reasons(folder)
    assert found.keys() == {"a.png", "b.png", "c.png"}
    assert "cannot be read" in found["a.png"]
    assert "its size is 32 x 32 pixels, but the picture's is 64 x 64" in found["b.png"]
    assert "no object" in found["c.png"]
    assert "c.png" not in reasons(folder, empty="keep")


def test_both_files_of_a_picture_are_judged(folder):
    (folder / "images/a.png").write_bytes(b"damaged")
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(folder / "labels/a.png")
    assert [problem.path.parent.name for problem in check_folder(folder, {})] == ["images", "labels"]


def test_truncated_tiff_and_png_labels(folder):
    (folder / "labels/a.png").unlink()
    tifffile.imwrite(folder / "labels/a.tif", squares(300), photometric="minisblack")
    for name in ("a.tif", "b.png"):
        content = (folder / "labels" / name).read_bytes()
        (folder / "labels" / name).write_bytes(content[: len(content) * 2 // 3])
    found = reasons(folder)
    assert found.keys() == {"a.tif", "b.png"} and all("cannot be read" in text for text in found.values())


def test_jpeg_labels_also_under_another_name(folder):
    (folder / "labels/a.png").unlink()
    Image.fromarray(squares(200, dtype=np.uint8)).save(folder / "labels/a.jpg")
    Image.fromarray(squares(200, dtype=np.uint8)).save(folder / "labels/b.png", format="JPEG")
    found = reasons(folder)
    assert found.keys() == {"a.jpg", "b.png"} and all(
        "JPEG" in text and "PNG or TIFF" in text for text in found.values()
    )


@pytest.mark.parametrize("cut", [lambda ids: ids % 256, lambda ids: np.minimum(ids, 255)], ids=["wrapped", "clipped"])
def test_ids_cut_to_8_bits(folder, cut):
    Image.fromarray(cut(squares(300)).astype(np.uint8)).save(folder / "labels/b.png")
    found = reasons(folder)
    assert found.keys() == {"b.png"} and "8-bit labels" in found["b.png"] and "16- or 32-bit" in found["b.png"]


def test_255_objects_in_8_bits_are_fine(folder):
    Image.fromarray(squares(255, dtype=np.uint8)).save(folder / "labels/b.png")
    assert reasons(folder) == {}


def test_labels_that_are_no_whole_numbers_or_colours(folder):
    (folder / "labels/a.png").unlink()
    tifffile.imwrite(folder / "labels/a.tif", squares(9).astype(np.float32) / 2, photometric="minisblack")
    Image.fromarray(picture(0, (64, 64, 3))).save(folder / "labels/b.png")
    found = reasons(folder)
    assert "not whole numbers" in found["a.tif"] and "or give colours=FILE.csv" in found["b.png"] and len(found) == 2


def test_same_picture_twice_also_as_another_file_type_and_across_a_split(folder):
    (folder / "images/c.png").unlink()
    tifffile.imwrite(folder / "images/c.tif", picture(0), photometric="minisblack")
    assert "same picture as a.png; remove" in reasons(folder)["c.tif"]
    (problem,) = check_folder(folder, {}, sides={"a": "train", "b": "train", "c": "test"})
    assert "one in train and one in test" in problem.reason


def test_files_without_partner_and_two_of_one_name(folder):
    (folder / "labels/a.png").unlink()
    (folder / "images/b.png").unlink()
    tifffile.imwrite(folder / "images/c.tif", picture(7), photometric="minisblack")
    problems = check_folder(folder, {})
    assert {(problem.path.parent.name, problem.path.name) for problem in problems} == {
        ("images", "a.png"),
        ("labels", "b.png"),
        ("images", "c.tif"),
    }
    assert {problem.reason for problem in problems} == {
        "has no label image",
        "label image without a picture",
        "same name as c.png",
    }


def test_partners_that_are_nearly_named_alike_are_named(folder):
    (folder / "labels/a.png").rename(folder / "labels/A.png")
    (folder / "images/b.png").rename(folder / "images/Mäuse.png")
    (folder / "labels/b.png").rename(folder / "labels/Ma\u0308use_mask.png")
    problems = {(p.path.parent.name, p.path.name): f"{p.reason}; {p.remedy}" for p in check_folder(folder, {})}
    stored = "differs only in how its accents are stored, Unicode NFC or NFD); give both one name"
    assert problems == {
        ("images", "a.png"): "has no label image (A differs only in capital letters); give both one name",
        ("labels", "A.png"): "label image without a picture (a differs only in capital letters); give both one name",
        ("images", "Mäuse.png"): f"has no label image (Ma\u0308use {stored}",
        ("labels", "Ma\u0308use_mask.png"): f"label image without a picture (Mäuse {stored}",
    }


def test_tables_name_the_partner_too(folder):
    (folder / "groups.csv").write_text("picture,group\na,1\nB,2\nc,3\n")
    with pytest.raises(InputError, match=r"gives no group for b \(B differs only in capital letters\); every"):
        check_folder(folder, {"groups": "groups.csv"})


@pytest.mark.parametrize("name", ["Labels", "CLASSES", "Images"])
def test_folders_that_would_be_passed_over_for_their_capital_letters(folder, name):
    (folder / name).mkdir()
    if name != "CLASSES":
        for file in (folder / name.lower()).iterdir():
            file.rename(folder / name / file.name)
        (folder / name.lower()).rmdir()
    with pytest.raises(InputError, match=rf"{name}: would not be read \({name.lower()} differs.*rename it"):
        check_folder(folder, {})


def test_other_folders_are_no_mistake(folder):
    (folder / "Masks old").mkdir()
    (folder / "labels").rename(folder / "Masks")
    assert reasons(folder, annotations="Masks") == {}


def test_a_file_name_that_is_no_text(folder):
    for place in ("images", "labels"):
        try:
            (folder / place / "c.png").rename(folder / place / os.fsdecode(b"Geb\xe4ude.png"))
        except OSError:
            pytest.skip("this file system takes no such names")
    (found,) = {str(problem) for problem in check_folder(folder, {}) if problem.path.name == "images"}
    assert found == f"{folder}/images: the file name 'Geb\\udce4ude.png' is not UTF-8; rename the file"
    assert {problem.path.name for problem in check_folder(folder, {})} == {"images", "labels"}


def test_unusable_intensities(folder):
    Image.fromarray(np.full((64, 64), 9, np.uint8)).save(folder / "images/a.png")
    (folder / "images/b.png").unlink()
    tifffile.imwrite(folder / "images/b.tif", np.full((64, 64), np.nan, np.float32), photometric="minisblack")
    found = reasons(folder)
    assert "same value" in found["a.png"] and "NaN" in found["b.tif"] and len(found) == 2


def test_masks_given_as_instances(folder):
    for name in "abc":
        Image.fromarray((squares(30) > 0).astype(np.uint8) * 255).save(folder / f"labels/{name}.png")
    found = reasons(folder)
    assert found.keys() == {"labels"} and "masks, not instances; give labels=components" in found["labels"]
    assert reasons(folder, labels="components") == {}


def test_smoothed_masks(folder):
    for name in "abc":
        mask = (squares(30) > 0).astype(np.uint8) * 255
        mask[40:42, 40:42] = 128
        Image.fromarray(mask).save(folder / f"labels/{name}.png")
    found = reasons(folder, labels="components")
    assert found.keys() == {"a.png", "b.png", "c.png"} and "class value 128" in found["a.png"]


def test_class_images(folder):
    (folder / "classes").mkdir()
    Image.fromarray((squares(300) > 0).astype(np.uint8)).save(folder / "classes/a.png")
    Image.fromarray((squares(299) > 0).astype(np.uint8)).save(folder / "classes/b.png")
    problems = [(problem.path.parent.name, problem.path.name, problem.reason) for problem in check_folder(folder, {})]
    assert sorted(problems) == [
        ("classes", "b.png", "no class in most of object 300"),
        ("images", "c.png", "has no class image"),
    ]
    Image.fromarray(squares(9, 32).astype(np.uint8)).save(folder / "classes/a.png")
    assert "32 x 32" in reasons(folder)["a.png"]


def classified(folder, classes):
    """The folder with one picture, its class image and its labels (three 4 x 4 squares, ids 1..3)."""
    squares = np.zeros((64, 64), np.uint16)
    for place in range(3):
        squares[10:14, 10 * place : 10 * place + 4] = place + 1
    for name in "bc":
        (folder / f"images/{name}.png").unlink()
        (folder / f"labels/{name}.png").unlink()
    (folder / "classes").mkdir()
    Image.fromarray(squares).save(folder / "labels/a.png")
    Image.fromarray(classes(squares).astype(np.uint8)).save(folder / "classes/a.png")
    return folder


def test_a_quarter_of_an_object_may_have_another_class(folder):
    def classes(squares):
        mixed = squares.copy()
        mixed[10, 0:4] = 3  # 4 of 16 pixels of object 1
        mixed[10:12, 10:14] = 0  # half of object 2
        mixed[10:12, 20:24] = 255  # half of object 3 was not judged
        return mixed

    assert reasons(classified(folder, classes)) == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((slice(10, 12), slice(0, 3), 2), "several classes in object 1; give every object one class"),
        ((slice(10, 13), slice(10, 13), 0), "no class in most of object 2; give it a class, 255 if unknown"),
        ((slice(40, 42), slice(50, 53), 1), "1 region(s) with a class but no object, the first at row 40, column 50"),
    ],
    ids=["divided", "bare", "alone"],
)
def test_class_images_that_contradict_the_objects(folder, change, message):
    def classes(squares):
        contrary = squares.copy()
        contrary[change[0], change[1]] = change[2]
        return contrary

    (found,) = reasons(classified(folder, classes)).values()
    assert message in found


def test_class_values_without_a_name(folder):
    classified(folder, lambda squares: np.where(squares == 3, 7, squares))
    assert reasons(folder) == {}
    assert "class value 7 has no name in class_names" in reasons(folder, class_names="a,b")["a.png"]
    (folder / "names.csv").write_text("class,name\n1,a\n2,b\n7,c\n")
    assert reasons(folder, class_names="names.csv") == {}


def test_class_images_without_other_labels(folder):
    (folder / "labels").rename(folder / "classes")
    for index, name in enumerate("abc"):
        mask = (squares(30) > 0).astype(np.uint8) * (index + 1)
        mask[-1] = 255
        Image.fromarray(mask).save(folder / f"classes/{name}.png")
    assert reasons(folder) == {}
    assert reasons(folder, class_names="a,b").keys() == {"c.png"}
    Image.fromarray(np.full((64, 64), 255, np.uint8)).save(folder / "classes/a.png")
    assert "no judged object" in reasons(folder)["a.png"]
    Image.fromarray(np.full((64, 60), 1, np.uint8)).save(folder / "classes/b.png")
    assert "its size is 60 x 64 pixels, but the picture's is 64 x 64" in reasons(folder)["b.png"]


def test_only_kept_pictures_are_judged(folder):
    (folder / "images/a.png").write_bytes(b"damaged")
    assert reasons(folder, keep="^[bc]$") == {}


def test_nothing_to_check_is_an_error(tmp_path):
    with pytest.raises(InputError, match="is not a folder"):
        check_folder(tmp_path / "missing", {})
