"""Folders whose annotations are no label images: each format is found, read and refused by name."""

import json
import shutil

import numpy as np
import pytest
import tifffile
from PIL import Image

from segjax.data import open_source
from segjax.data.folders import check
from segjax.data.folders.check import check_folder
from segjax.data.folders.folder_options import FolderOptions
from segjax.data.formats import FORMATS, Manner, format_of, name_without_ending
from segjax.data.formats.annotation import Picture
from segjax.types import InputError
from tests.data.formats.nasties import annotation_of, labels_of

for package in ("roifile", "shapely", "rasterio", "pycocotools"):
    pytest.importorskip(package)
SHAPE = (24, 32)
TRUTHS = {"a": labels_of("nested"), "b": labels_of("touching"), "c": labels_of("two_parts")}
CLASSES = {"a": ("x", "y", "x"), "b": ("y", "y", "y"), "c": ("z", "x")}
ALL_CLASSES = ("x", "y", "z")


def save_pictures(folder, pattern="images/{name}{ending}", names=TRUTHS):
    for index, name in enumerate(names):
        path = folder / pattern.format(name=name, ending=".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(index).integers(0, 200, SHAPE).astype(np.uint8)).save(path)


def save(folder, to, classes=None, ignored=None):
    """A folder in a format, with the truths above."""
    save_pictures(folder, FORMATS[to].pictures)
    classes = classes or {}
    items = [
        (Picture(name, f"{name}.png", SHAPE), annotation_of(labels, classes.get(name, ()), ignored))
        for name, labels in TRUTHS.items()
    ]
    return list(FORMATS[to].write(folder, items, Manner(ALL_CLASSES if classes else ())))


@pytest.mark.parametrize("to", ["labels", "imagej", "qupath", "coco", "coco_polygons", "object_masks", "cellpose"])
def test_what_is_written_is_found_and_read(tmp_path, to):
    losses = save(tmp_path, to)
    assert [loss.pixels_changed for loss in losses] == [0, 0, 0]
    source = open_source(f"folder:{tmp_path}")
    assert source.names == ("a", "b", "c")
    for sample in source:
        np.testing.assert_array_equal(sample.labels, TRUTHS[sample.name])
        assert (sample.classes == 1).all()
        assert sample.ignored is None


@pytest.mark.parametrize(
    ("to", "option"),
    [("labels", "?class_names=class_names.csv"), ("imagej", ""), ("qupath", ""), ("coco", "")],
)
def test_classes_are_read_and_pixels_that_nobody_judged(tmp_path, to, option):
    ignored = np.zeros(SHAPE, bool)
    ignored[22:, 30:] = True
    save(tmp_path, to, CLASSES, None if to == "imagej" else ignored)
    source = open_source(f"folder:{tmp_path}{option}")
    assert source.class_names == ALL_CLASSES
    for sample in source:
        assert tuple(source.class_names[number - 1] for number in sample.classes) == CLASSES[sample.name]
        if to != "imagej":
            np.testing.assert_array_equal(sample.ignored, ignored)


def test_colours_tell_classes(tmp_path):
    save(tmp_path, "colours", CLASSES)
    source = open_source(f"folder:{tmp_path}?colours=colours.csv")
    assert source.class_names == ALL_CLASSES
    assert source[0].classes.tolist() == [1, 2, 1]
    np.testing.assert_array_equal(source[0].labels, TRUTHS["a"])


def test_class_names_choose_the_order_and_must_be_complete(tmp_path):
    save(tmp_path, "qupath", CLASSES)
    source = open_source(f"folder:{tmp_path}?class_names=z,y,x")
    assert source.class_names == ("z", "y", "x")
    assert source[2].classes.tolist() == [1, 3]
    with pytest.raises(InputError, match="option class_names=x,y lacks z; name all there, or leave class_names out"):
        open_source(f"folder:{tmp_path}?class_names=x,y")


def test_objects_without_a_class_beside_others_are_unclassified(tmp_path):
    save(tmp_path, "qupath", {"a": CLASSES["a"]})
    source = open_source(f"folder:{tmp_path}")
    assert source.class_names == ("unclassified", "x", "y")
    assert [sample.classes.tolist() for sample in source] == [[2, 3, 2], [1, 1, 1], [1, 1]]


def test_files_beside_the_pictures_as_cellpose_and_qupath_write_them(tmp_path):
    save(tmp_path, "imagej")
    for name in TRUTHS:
        (tmp_path / f"labels/{name}.zip").rename(tmp_path / f"images/{name}_rois.zip")
    (tmp_path / "labels").rmdir()
    (tmp_path / "images/notes.zip").write_bytes(b"no picture is named so")
    np.testing.assert_array_equal(open_source(f"folder:{tmp_path}")[1].labels, TRUTHS["b"])


def test_the_file_of_the_set_is_found_or_given(tmp_path):
    save(tmp_path, "coco")
    (tmp_path / "annotations.json").rename(tmp_path / "first.json")
    assert len(open_source(f"folder:{tmp_path}")) == 3
    shutil.copy(tmp_path / "first.json", tmp_path / "second.json")
    with pytest.raises(
        InputError, match=r"several files may hold the annotations \(first\.json, second\.json\); choose one with"
    ):
        open_source(f"folder:{tmp_path}")
    assert len(open_source(f"folder:{tmp_path}?annotations=second.json")) == 3
    (tmp_path / "second.json").rename(tmp_path.parent / "third.json")
    assert len(open_source(f"folder:{tmp_path}?annotations={tmp_path.parent / 'third.json'}")) == 3
    with pytest.raises(InputError, match=r"no\.json is neither a folder nor a file"):
        open_source(f"folder:{tmp_path}?annotations=no.json")


def test_nuclei_are_chosen_by_the_format(tmp_path):
    save_pictures(tmp_path, names=["a"])
    square = {"type": "Polygon", "coordinates": [[[1, 1], [9, 1], [9, 9], [1, 9], [1, 1]]]}
    nucleus = {"type": "Polygon", "coordinates": [[[3, 3], [5, 3], [5, 5], [3, 5], [3, 3]]]}
    cell = {"type": "Feature", "geometry": square, "nucleusGeometry": nucleus, "properties": {"objectType": "cell"}}
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.geojson").write_text(json.dumps([cell]))
    assert (open_source(f"folder:{tmp_path}")[0].labels > 0).sum() == 64
    assert (open_source(f"folder:{tmp_path}?format=qupath_nuclei")[0].labels > 0).sum() == 4


def test_sites_of_a_vector_file_for_the_whole_set(tmp_path):
    pytest.importorskip("pyogrio")
    from segjax.data.formats import vectors
    from segjax.data.ground.georeference import read_georeference

    (tmp_path / "images").mkdir()
    keys = (34735, "H", 12, (1, 1, 0, 2, 1025, 0, 1, 1, 3072, 0, 1, 32637), False)
    place = [(33550, "d", 3, (2.0, 2.0, 0.0), False), (33922, "d", 6, (0.0, 0.0, 0.0, 4e5, 4e6, 0.0), False)]
    pixels = np.random.default_rng(0).integers(0, 200, SHAPE).astype(np.uint8)
    tifffile.imwrite(tmp_path / "images/a.tif", pixels, extratags=[keys, *place], metadata=None)
    picture = Picture("a", "a.tif", SHAPE, read_georeference(tmp_path / "images/a.tif"))
    vectors.write(tmp_path / "sites.gpkg", annotation_of(TRUTHS["a"], CLASSES["a"]), picture)
    source = open_source(f"folder:{tmp_path}?class_column=class")
    np.testing.assert_array_equal(source[0].labels, TRUTHS["a"])
    assert (source.class_names, source[0].classes.tolist()) == (("x", "y"), [1, 2, 1])
    with pytest.raises(InputError, match="option radius=far is not a number of metres"):
        open_source(f"folder:{tmp_path}?radius=far")


def test_damaged_files_are_problems_with_their_names(tmp_path):
    save(tmp_path, "qupath")
    (tmp_path / "labels/b.geojson").write_text("{")
    (tmp_path / "labels/d.geojson").write_text("[]")
    problems = {problem.path.name: problem.reason for problem in check_folder(tmp_path, {})}
    assert set(problems) == {"b.geojson", "d.geojson"}
    assert problems["b.geojson"].startswith("cannot be read as GeoJSON")
    assert problems["d.geojson"] == "label image without a picture"


def test_a_file_of_the_set_that_lists_no_pictures_is_one_problem_each(tmp_path):
    save_pictures(tmp_path, names=("a", "b"))
    wrong = {"categories": [{"id": 1, "name": "cell"}], "annotations": [{"id": 1, "image_id": 5, "category_id": 9}]}
    (tmp_path / "set.json").write_text(json.dumps({"images": [], "annotations": [], "categories": []}))
    assert "its pictures are none" in check_folder(tmp_path, {})[0].reason
    listed = [{"id": 5, "file_name": "a.png", "height": SHAPE[0], "width": SHAPE[1]}]
    (tmp_path / "set.json").write_text(json.dumps({"images": listed, **wrong}))
    assert len(check_folder(tmp_path, {})) == 1  # though both pictures ask the file


def features(*geometries):
    return json.dumps([{"type": "Feature", "geometry": geometry, "properties": {}} for geometry in geometries])


def outline(*corners):
    return {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}


def test_what_reading_loses_is_remarked_and_named_where_nothing_is_left(tmp_path):
    save_pictures(tmp_path, names=("a", "b", "c"))
    (tmp_path / "labels").mkdir()
    point, inside = {"type": "Point", "coordinates": [3, 3]}, outline((2, 2), (6, 2), (6, 6), (2, 6))
    crossed, beyond = outline((1, 1), (7, 7), (7, 1), (1, 7)), outline((500, 2), (506, 2), (506, 6))
    for name, shapes in {"a": [inside], "b": [crossed, beyond, inside], "c": [point]}.items():
        (tmp_path / f"labels/{name}.geojson").write_text(features(*shapes))
    found = check.inspect_folder(tmp_path, FolderOptions())
    assert [problem.path.name for problem in found.problems] == ["c.geojson"]
    assert found.problems[0].reason.startswith("no object in the annotation of c (1 ")
    [remark] = found.remarks
    assert remark.reason == (
        "2 of 3 annotations change when they are read (b, c): objects lost: 2, objects partly or wholly outside the "
        "picture: 1, pixels that several objects share: 8, outlines that cross themselves or have no area: 1"
    )


def test_a_damaged_mask_of_one_object_is_named(tmp_path):
    save(tmp_path, "object_masks")
    (tmp_path / "b/masks/2.png").write_bytes(b"damaged")
    (problem,) = check_folder(tmp_path, {})
    assert "b/masks/2.png" in str(problem)


def test_a_problem_is_said_once_though_files_with_classes_are_read_twice(tmp_path):
    save(tmp_path, "qupath", CLASSES)
    (tmp_path / "labels/b.geojson").write_text("[]")
    assert [problem.path.name for problem in check_folder(tmp_path, {})] == ["b.geojson"]


def test_a_second_opening_reads_no_file_and_finds_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    save(tmp_path / "set", "qupath", CLASSES)
    read, inspect = [], check.inspect_picture
    monkeypatch.setattr(check, "inspect_picture", lambda entry, *rest: read.append(entry.name) or inspect(entry, *rest))
    first = open_source(f"folder:{tmp_path / 'set'}")
    assert sorted(read) == ["a", "a", "b", "b", "c", "c"]
    second = open_source(f"folder:{tmp_path / 'set'}")
    assert len(read) == 6
    assert (first.digest, first.class_names, first.losses) == (second.digest, second.class_names, second.losses)
    text = (tmp_path / "set/labels/c.geojson").read_text().replace('"z"', '"w"')
    (tmp_path / "set/labels/c.geojson").write_text(text)
    third = open_source(f"folder:{tmp_path / 'set'}")
    assert third.class_names == ("w", "x", "y")
    assert [sample.classes.tolist() for sample in third] == [[2, 3, 2], [3, 3, 3], [1, 2]]


def test_several_formats_in_one_folder_are_refused(tmp_path):
    save(tmp_path, "imagej")
    (tmp_path / "labels/b.zip").unlink()
    Image.fromarray(TRUTHS["b"].astype(np.uint8)).save(tmp_path / "labels/b.png")
    with pytest.raises(InputError, match=r"holds annotations in several formats \(imagej, label image\); keep one"):
        open_source(f"folder:{tmp_path}")


def test_pieces_of_files_that_tell_objects_apart_are_refused(tmp_path):
    save(tmp_path, "imagej")
    with pytest.raises(InputError, match="option labels=components is only for label images"):
        open_source(f"folder:{tmp_path}?labels=components")


def test_the_same_annotation_in_two_formats_has_two_digests(tmp_path):
    save(tmp_path / "one", "qupath")
    save(tmp_path / "other", "qupath", CLASSES)
    digests = {open_source(f"folder:{tmp_path / name}").digest for name in ("one", "other")}
    assert len(digests) == 2


def test_a_format_that_no_ending_tells_must_be_said(tmp_path):
    save(tmp_path, "coco")
    (tmp_path / "annotations.json").rename(tmp_path / "set.coco")
    with pytest.raises(InputError, match=r"set\.coco: its ending does not tell its format; give format=imagej"):
        open_source(f"folder:{tmp_path}?annotations=set.coco")
    assert len(open_source(f"folder:{tmp_path}?annotations=set.coco&format=coco")) == 3


def test_endings(tmp_path):
    for name, expected in (
        ("a.ZIP", "imagej"),
        ("a.b.geojson.gz", "qupath"),
        ("a.json", "qupath"),
        ("a.gpkg", "vectors"),
        ("a.png", ""),
    ):
        assert format_of(tmp_path / name) == expected
    assert format_of(tmp_path / "a.json", is_whole=True) == "coco"
    assert format_of(tmp_path) == "object_masks"
    assert name_without_ending(tmp_path / "a.b.geojson.gz") == "a.b"
    assert name_without_ending(tmp_path / "a.png") == "a"


def save_stack(folder, axes="ZYX", count=3):
    """A stack of that many slices; its labels are the truths."""
    pixels = np.random.default_rng(0).integers(0, 200, (count, *SHAPE)).astype(np.uint8)
    (folder / "images").mkdir(parents=True)
    tifffile.imwrite(folder / "images/cells.tif", pixels, imagej=True, metadata={"axes": axes})
    return pixels


def test_planes_of_a_stack_are_pictures_with_the_planes_of_the_labels(tmp_path):
    pixels = save_stack(tmp_path)
    (tmp_path / "labels").mkdir()
    truths = np.stack(list(TRUTHS.values())).astype(np.uint16)
    tifffile.imwrite(tmp_path / "labels/cells.tif", truths, imagej=True, metadata={"axes": "ZYX"})
    source = open_source(f"folder:{tmp_path}?stacks=planes&scale=dtype")
    assert source.names == ("cells@z1", "cells@z2", "cells@z3")
    assert set(source.groups) == {"cells"}
    for sample, labels, image in zip(source, truths, pixels, strict=True):
        np.testing.assert_array_equal(sample.labels, labels)
        np.testing.assert_allclose(sample.image[..., 0], image / 255, rtol=1e-6)
    with pytest.raises(InputError, match="give stacks=planes to use every plane as a picture"):
        open_source(f"folder:{tmp_path}")


def test_time_points_of_one_file_never_come_on_two_sides(tmp_path):
    """Cells of a time point are those of the one before; with volumes=true every time point is a volume."""
    save_stack(tmp_path, axes="TYX")
    (tmp_path / "labels").mkdir()
    truths = np.stack(list(TRUTHS.values())).astype(np.uint16)
    tifffile.imwrite(tmp_path / "labels/cells.tif", truths, imagej=True, metadata={"axes": "TYX"})
    source = open_source(f"folder:{tmp_path}?stacks=planes")
    assert source.names == ("cells@t1", "cells@t2", "cells@t3") and set(source.groups) == {"cells"}
    volumes = open_source(f"folder:{tmp_path}?stacks=planes&volumes=true")
    assert volumes.groups == volumes.names


def test_rois_find_their_planes(tmp_path):
    import zipfile

    import roifile

    save_stack(tmp_path)
    (tmp_path / "labels").mkdir()
    with zipfile.ZipFile(tmp_path / "labels/cells.zip", "w") as file:
        for number in (1, 2, 3):
            square = np.array([[0, 0], [number, 0], [number, number], [0, number]])
            roi = roifile.ImagejRoi.frompoints(square, name=str(number), position=number - 1)
            file.writestr(f"{number}.roi", roi.tobytes())
    source = open_source(f"folder:{tmp_path}?stacks=planes")
    assert [int(sample.labels.sum()) for sample in source] == [1, 4, 9]


def test_labels_of_other_planes_are_problems(tmp_path):
    save_stack(tmp_path)
    (tmp_path / "labels").mkdir()
    tifffile.imwrite(
        tmp_path / "labels/cells.tif", np.ones((2, *SHAPE), np.uint16), imagej=True, metadata={"axes": "ZYX"}
    )
    (problem,) = check_folder(tmp_path, {"stacks": "planes"})
    assert (problem.path.name, "but its picture is" in problem.reason) == ("cells.tif", True)
    (tmp_path / "labels/cells.tif").unlink()
    (tmp_path / "labels/cells.geojson").write_text("[]")
    (problem,) = check_folder(tmp_path, {"stacks": "planes"})
    assert "qupath cannot annotate a stack" in problem.reason


def test_channels_are_chosen_by_number(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    pixels = np.random.default_rng(0).integers(0, 200, (2, *SHAPE)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "images/a.tif", pixels, imagej=True, metadata={"axes": "CYX"})
    tifffile.imwrite(tmp_path / "labels/a.tif", TRUTHS["a"])
    source = open_source(f"folder:{tmp_path}?bands=2&scale=dtype")
    np.testing.assert_allclose(source[0].image, pixels[1][..., None] / 255, rtol=1e-6)
    assert source.digest != open_source(f"folder:{tmp_path}?bands=1&scale=dtype").digest


def test_what_is_wrong_with_a_stack_is_said_once_and_not_of_every_plane(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    pixels = np.random.default_rng(0).integers(0, 200, (3, 2, *SHAPE)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "images/a.tif", pixels, imagej=True, metadata={"axes": "ZCYX"})
    tifffile.imwrite(
        tmp_path / "labels/a.tif", np.stack([TRUTHS["a"]] * 3).astype(np.uint16), imagej=True, metadata={"axes": "ZYX"}
    )
    (problem,) = check_folder(tmp_path, {"stacks": "planes", "bands": "GFP"})
    assert problem.reason == "has no channel 'GFP'"
