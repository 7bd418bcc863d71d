import json
import os
from contextlib import suppress
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as pycoco
from pycocotools.coco import COCO

from segjax.data.formats import coco
from segjax.data.formats.annotation import Annotation, Picture
from segjax.types import InputError

# pycocotools 2.0.11 with NumPy 2
LABELS = arrays(np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 4))
few = partial(settings, deadline=None)
SQUARE = [1, 1, 3, 1, 3, 3, 1, 3]  # pixels 1 and 2 of rows and columns 1 and 2


def content(*annotations, images=None, categories=None):
    """A file of one picture a.png of 4 rows and 5 columns, annotations of category 0 unless they say otherwise."""
    given = [{"id": n, "image_id": 1, "category_id": 0, **entry} for n, entry in enumerate(annotations, 1)]
    return {
        "images": images or [{"id": 1, "file_name": "a.png", "height": 4, "width": 5}],
        "annotations": given,
        "categories": categories or [{"id": 0, "name": "nucleus"}],
    }


def read(tmp_path, given, file="a.png", shape=(4, 5)):
    path = tmp_path / "set.json"
    path.write_text(given if isinstance(given, str) else json.dumps(given))
    return coco.read(path, Picture("a", file, shape))


def outline(segmentation, **others):
    return content({"segmentation": segmentation, **others})


def test_polygons_and_both_encodings_of_one_object_are_the_same_pixels(tmp_path):
    expected = np.zeros((4, 5), np.int32)
    expected[1:3, 1:3] = 1
    counts = [5, 2, 2, 2, 9]  # column by column: 4 + 1 off, 2 on, 1 + 1 off, 2 on, the rest off
    compressed = pycoco.encode(np.asfortranarray(expected, np.uint8))["counts"].decode()
    for segmentation in (
        [SQUARE],
        SQUARE,
        {"size": [4, 5], "counts": counts},
        {"size": [4, 5], "counts": compressed},
    ):
        found = read(tmp_path, outline(segmentation))
        np.testing.assert_array_equal(found.labels, expected)
        assert (found.classes, found.ignored, found.loss.objects_in, found.loss.objects_out) == (
            ("nucleus",),
            None,
            1,
            1,
        )


def test_category_ids_start_at_0_have_gaps_and_name_the_classes(tmp_path):
    given = content(
        {"segmentation": [SQUARE], "category_id": 7},
        {"segmentation": [[0, 0, 1, 0, 1, 1, 0, 1]], "category_id": 0},
        categories=[{"id": 7, "name": "stroma"}, {"id": 0, "name": "tumour"}],
    )
    found = read(tmp_path, given)
    assert found.classes == ("stroma", "tumour")
    assert coco.open_set(tmp_path / "set.json").class_names == ("tumour", "stroma")
    assert (found.labels[0, 0], found.labels[1, 1]) == (2, 1)


def test_a_crowd_is_ignored_but_where_an_object_is(tmp_path):
    given = content(
        {"segmentation": [SQUARE]},
        {"segmentation": {"size": [4, 5], "counts": [0, 12, 8]}, "iscrowd": 1},
    )
    found = read(tmp_path, given)
    expected = np.zeros((4, 5), bool)
    expected[:, :3] = True
    expected[1:3, 1:3] = False
    np.testing.assert_array_equal(found.ignored, expected)
    assert found.labels.max() == found.loss.objects_out == found.loss.objects_in == 1


def test_several_polygons_are_one_object_and_one_in_another_fills_the_hole(tmp_path):
    found = read(tmp_path, outline([[0, 0, 1, 0, 1, 1, 0, 1], [4, 3, 5, 3, 5, 4, 4, 4]]))
    np.testing.assert_array_equal(np.argwhere(found.labels == 1), [[0, 0], [3, 4]])
    assert found.loss.holes_filled == 0
    ring = read(tmp_path, outline([[0, 0, 4, 0, 4, 4, 0, 4], SQUARE]))
    assert (ring.labels == 1).sum() == 16 and ring.loss.holes_filled == 1


def test_overlap_goes_to_the_smaller_object_and_is_counted(tmp_path):
    found = read(tmp_path, content({"segmentation": [SQUARE]}, {"segmentation": [[0, 0, 5, 0, 5, 4, 0, 4]]}))
    assert (found.labels == 1).sum() == 4 and (found.labels == 2).sum() == 16
    assert found.loss.overlapping == 4


def test_lost_objects_are_named_and_ids_close_up(tmp_path):
    given = content(
        {"segmentation": [[9, 1, 12, 1, 12, 3, 9, 3]]},  # beyond the picture
        {"bbox": [0, 0, 2, 2]},
        {"segmentation": [[1, 1, 3, 3]]},  # a line
        {"segmentation": [SQUARE]},
        {"segmentation": [[]]},
        {"segmentation": [SQUARE]},  # once more: the earlier one is hidden
    )
    found = read(tmp_path, given)
    assert (found.loss.objects_in, found.loss.objects_out, found.loss.outside, found.loss.invalid) == (6, 1, 1, 1)
    assert found.loss.notes == (
        "2 lost without outline (a box only): annotation 2, annotation 5",
        "2 lost without a pixel in the picture: annotation 1, annotation 3",
        "1 lost under smaller ones: annotation 4",
    )
    assert found.labels.max() == 1 and found.classes == ("nucleus",)


def test_an_outline_that_crosses_itself_is_counted_and_one_across_the_border_cut(tmp_path):
    crossing = read(tmp_path, outline([[0, 0, 4, 4, 4, 0, 0, 4]]))
    assert crossing.loss.invalid == 1 and crossing.loss.objects_out == 1
    across = read(tmp_path, outline([[-3, -3, 20, -3, 20, 2, -3, 2]]))
    np.testing.assert_array_equal(across.labels, [[1] * 5, [1] * 5, [0] * 5, [0] * 5])
    assert across.loss.outside == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("[1, 2", "not a COCO file .not JSON"),
        (b"\xff\xfe\x00".decode("latin-1"), "not a COCO file .not JSON"),
        ("[" * 100_000, "not a COCO file .not JSON"),
        ("[]", "COCO results"),
        ('{"type": "FeatureCollection", "features": []}', "not a COCO file"),
        ("3", "not a COCO file"),
        ({"images": [], "categories": []}, "not a COCO file"),
        ({"images": [3], "categories": [], "annotations": []}, "not a COCO file"),
        (content(images=[{"id": 1}]), "lacks id or file_name"),
        (content(images=[{"id": 1, "file_name": "a.png"}, {"id": 1, "file_name": "b.png"}]), "id 1 of images .* twice"),
        (content(images=[{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "a.png"}]), "a.png is there twice"),
        (content(categories=[{"id": 1, "name": "x"}, {"id": 2, "name": "x"}]), "name x is there twice"),
        (content({"image_id": 9, "segmentation": [SQUARE]}), "annotation 1 has the picture 9"),
        (content({"image_id": [1], "segmentation": [SQUARE]}), "annotation 1 has the picture"),
        (content({"category_id": 9, "segmentation": [SQUARE]}), "annotation 1 has the category 9"),
        (content({"category_id": False, "segmentation": [SQUARE]}), "annotation 1 has the category False"),
        (content({"segmentation": [SQUARE], "iscrowd": "no"}), "iscrowd 'no'"),
        (content({"bbox": [0, 0, 2, 2]}), "boxes only"),
        (outline("mask.png"), "neither polygons nor RLE"),
        (outline([[1, 1, 3, 1, 3]]), "5 numbers"),
        (outline([["1", "1", "3", "1", "3", "3"]]), "not a list of numbers"),
        (outline([[1, 1, float("nan"), 1, 3, 3]]), "far outside any picture"),
        (outline([[1, 1, 1e9, 1, 3, 3]]), "far outside any picture"),
        (outline([[0, 0, 5000, 0, 5000, 5000]]), "pixels long, but the picture is"),
        (outline({"size": [5, 4], "counts": [20]}), r"its RLE has size \[5, 4\]"),
        (outline({"counts": [20]}), "its RLE has size None"),
        (outline({"size": [4, 5], "counts": [3, 2]}), "does not cover the 20"),
        (outline({"size": [4, 5], "counts": [3, 200]}), "does not cover the 20"),
        (outline({"size": [4, 5], "counts": [3, -3, 20]}), "does not cover the 20"),
        (outline({"size": [4, 5], "counts": [3.5, 16.5]}), "does not cover the 20"),
        (outline({"size": [4, 5], "counts": "5"}), "does not cover the 20"),
        (outline({"size": [4, 5], "counts": "0" * 99}), "does not cover the 20"),
        (outline({"size": [4, 5], "counts": "zzzz~~~"}), "does not cover the 20"),
        (outline({"size": [4, 5], "counts": "ä"}), "does not cover the 20"),
        (outline({"size": [4, 5], "counts": "e" * 9_999}), "does not cover the 20"),
        (outline({"size": [4, 5]}), "does not cover the 20"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(tmp_path, given, message):
    with pytest.raises(InputError, match=f"^{tmp_path}/set.json: .*{message}"):
        read(tmp_path, given)


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@few(max_examples=300)
@given(st.data())
def test_whatever_stands_in_the_file_it_is_read_or_refused(tmp_path_factory, data):
    rle = {"size": [4, 5], "counts": [5, 2, 2, 2, 9]}
    crowd = {"segmentation": [list(SQUARE)], "iscrowd": 1}
    given = content({"segmentation": [list(SQUARE)], "category_id": 0}, {"segmentation": rle}, crowd)
    place = given
    while True:
        keys = list(place) if isinstance(place, dict) else range(len(place))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.integers(0, 3)) == 0:
            break
        place = place[key]
    place[key] = data.draw(ODD)
    with suppress(InputError):
        assert read(tmp_path_factory.mktemp("coco"), given).labels.shape == (4, 5)


def test_a_picture_of_another_size_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"4 x 5 in this file \(height x width\), but the picture is 5 x 4"):
        read(tmp_path, outline([SQUARE]), shape=(5, 4))
    with pytest.raises(InputError, match="its RLE has size"):
        read(tmp_path, content({"segmentation": {"size": [4, 4], "counts": [16]}}))


@pytest.mark.parametrize("written", ["train/a.png", "C:\\data\\train\\a.png"])
def test_pictures_are_found_with_and_without_folders(tmp_path, written):
    for file in ("a.png", "train/a.png"):
        given = content({"segmentation": [SQUARE]}, images=[{"id": 1, "file_name": written}])
        assert read(tmp_path, given, file).loss.objects_out == 1
    for file in ("test/a.png", "xa.png", "b.png"):
        with pytest.raises(InputError, match=f"has no picture {file}"):
            read(tmp_path, given, file)


def test_pictures_of_one_name_in_two_folders_need_the_folder(tmp_path):
    images = [{"id": n, "file_name": file} for n, file in enumerate(("a.png", "x/a.png", "y/a.png"), 1)]
    given = content({"segmentation": [SQUARE], "image_id": 2}, images=images)
    assert read(tmp_path, given, "a.png").loss.objects_out == 0
    assert read(tmp_path, given, "x/a.png").loss.objects_out == 1
    with pytest.raises(InputError, match=r"a\.png may be any of x/a\.png, y/a\.png"):
        read(tmp_path, content(images=images[1:]), "a.png")


def test_a_file_is_parsed_once_and_again_when_it_changed(tmp_path, monkeypatch):
    path = tmp_path / "set.json"
    path.write_text(json.dumps(outline([SQUARE])))
    picture = Picture("a", "a.png", (4, 5))
    coco.read(path, picture)
    parse = json.loads
    monkeypatch.setattr(coco.json, "loads", lambda text: pytest.fail("parsed again"))
    assert coco.read(path, picture).loss.objects_out == 1
    monkeypatch.setattr(coco.json, "loads", parse)
    path.write_text(json.dumps(content()))
    os.utime(path, ns=(1, 1))
    assert coco.read(path, picture).loss.objects_out == 0


@few(max_examples=200)
@given(st.lists(st.tuples(st.integers(-30, 60), st.integers(-30, 60)), min_size=3, max_size=7))
def test_a_polygon_has_the_pixels_whose_centre_it_encloses(corners):
    """Centres nearer to the outline than the rounding to a fifth of a pixel may go either way."""
    ring = [value / 4 for corner in corners for value in corner]
    piece = coco._draw("here", [ring], (8, 9)).piece
    mask = np.zeros((8, 9), bool)
    mask[piece.y : piece.y + piece.mask.shape[0], piece.x : piece.x + piece.mask.shape[1]] = piece.mask
    line = shapely.LineString([*np.reshape(ring, (-1, 2)), ring[:2]])
    sides = [shapely.LineString(pair) for pair in pairwise(line.coords)]
    for y, x in np.ndindex(8, 9):
        centre = shapely.Point(x + 0.5, y + 0.5)
        if line.distance(centre) > 0.3:
            ray = shapely.LineString([centre, (-100.3, -100.7)])
            assert mask[y, x] == sum(ray.crosses(side) for side in sides) % 2


@few(max_examples=200)
@given(arrays(np.uint8, st.tuples(st.integers(1, 70), st.integers(1, 70)), elements=st.integers(0, 1)))
def test_compressed_counts_are_those_of_pycocotools(mask):
    text = pycoco.encode(np.asfortranarray(mask))["counts"].decode()
    flat = mask.ravel(order="F")
    ends = np.flatnonzero(np.diff(flat, prepend=0, append=2))
    assert coco._counts_of(text) == np.diff(ends, prepend=0).tolist()


@few(max_examples=100)
@given(st.lists(LABELS, min_size=1, max_size=3), st.booleans())
def test_label_images_come_back_without_a_changed_pixel(tmp_path_factory, images, has_classes):
    path = tmp_path_factory.mktemp("coco") / "set.json"
    ids = [np.unique(image, return_inverse=True)[1].reshape(image.shape).astype(np.int32) for image in images]
    labels = [part if 0 in image else part + 1 for part, image in zip(ids, images, strict=True)]
    names = ["b", "a", "c", "a"]
    items = [
        (
            Picture(str(n), f"{n}.png", image.shape),
            Annotation(image, tuple(names[: image.max()]) if has_classes else ()),
        )
        for n, image in enumerate(np.int32(label) for label in labels)
    ]
    losses = coco.write_set(path, items, class_names=("c", "b", "a") if has_classes else ())
    for (picture, written), loss in zip(items, losses, strict=True):
        back = coco.read(path, picture)
        np.testing.assert_array_equal(back.labels, written.labels)
        assert back.classes == written.classes
        assert (
            loss.pixels_changed == 0 and loss.objects_in == loss.objects_out == written.labels.max() and not loss.notes
        )


@few(max_examples=60)
@given(LABELS)
def test_polygons_change_no_pixel_but_holes_and_say_how_many(tmp_path_factory, labels):
    path = tmp_path_factory.mktemp("coco") / "set.json"
    picture, written = Picture("a", "a.png", labels.shape), Annotation(labels)
    (loss,) = coco.write_set(path, [(picture, written)], polygons=True)
    ids = [0, *np.unique(labels[labels > 0])]
    back = np.array(ids)[coco.read(path, picture).labels] if loss.objects_in == loss.objects_out else None
    if back is not None:
        assert loss.pixels_changed == (back != labels).sum()
    if not loss.holes_filled:
        assert loss.pixels_changed == 0


def test_the_hole_that_a_polygon_fills_is_counted(tmp_path):
    labels = np.ones((4, 5), np.int32)
    labels[1, 1] = 0
    labels[2, 3] = 2  # an object in a hole stays: it is smaller
    (loss,) = coco.write_set(tmp_path / "s.json", [(Picture("a", "a.png", (4, 5)), Annotation(labels))], polygons=True)
    assert (loss.holes_filled, loss.pixels_changed, loss.objects_out) == (2, 1, 2)


def test_ignored_pixels_come_back_and_pycocotools_reads_the_file(tmp_path):
    labels = np.zeros((4, 5), np.int32)
    labels[0, :2], labels[2, 1:] = 1, 2
    ignored = np.zeros((4, 5), bool)
    ignored[3] = True
    path, picture = tmp_path / "s.json", Picture("a", "x/a.png", (4, 5))
    coco.write_set(path, [(picture, Annotation(labels, ("b", "a"), ignored))])
    np.testing.assert_array_equal(coco.read(path, picture).ignored, ignored)
    oracle = COCO(path)
    drawn = [entry for entry in oracle.loadAnns(oracle.getAnnIds(iscrowd=False))]
    for number, entry in enumerate(drawn, 1):
        np.testing.assert_array_equal(oracle.annToMask(entry), labels == number)
        assert entry["area"] == (labels == number).sum()
    assert [entry["bbox"] for entry in drawn] == [[0, 0, 2, 1], [1, 2, 4, 1]]
    assert [entry["name"] for entry in oracle.loadCats(oracle.getCatIds())] == ["b", "a"]
    assert len(oracle.getAnnIds(iscrowd=True)) == 2


def test_two_pictures_of_one_file_name_are_not_written_together(tmp_path):
    item = (Picture("a", "a.png", (1, 1)), Annotation(np.ones((1, 1), np.int32)))
    with pytest.raises(InputError, match=r"a\.png is there twice"):
        coco.write_set(tmp_path / "s.json", [item, item])
