import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from scipy import ndimage

from segjax.data.formats import colours
from segjax.data.formats.annotation import Annotation, Picture
from segjax.types import InputError

TABLE = 'colour,class\n#000000,background\n"255, 0, 0",tumour\n#00ff00,stroma\n#FF8000,tumour\n128 128 128,ignored\n'
COLOURS = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [255, 128, 0], [128, 128, 128]], np.uint8)
VALUES = np.array([0, 1, 2, 1, 255])


@pytest.fixture
def table(tmp_path):
    (tmp_path / "colours.csv").write_text(TABLE)
    return colours.open_table(tmp_path / "colours.csv")


def save(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


def test_colours_become_class_values_and_their_pieces_objects(tmp_path, table):
    which = np.array([[0, 1, 0, 0], [0, 0, 3, 0], [2, 2, 4, 1]])
    path = save(tmp_path / "a.png", COLOURS[which])
    assert table.class_names == ("tumour", "stroma")
    np.testing.assert_array_equal(colours.read_classes(path, table), [[0, 1, 0, 0], [0, 0, 1, 0], [2, 2, 255, 1]])
    found = colours.read(path, Picture("a", "a.png", (3, 4)), table)
    np.testing.assert_array_equal(found.labels, [[0, 1, 0, 0], [0, 0, 1, 0], [2, 2, 0, 1]])
    assert found.classes == ("tumour", "stroma")
    np.testing.assert_array_equal(np.argwhere(found.ignored), [[2, 2]])


@settings(deadline=None, max_examples=40)
@given(arrays(np.int64, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 4)))
def test_the_class_image_comes_back_from_rgb_palette_and_what_is_written(tmp_path_factory, which):
    folder = tmp_path_factory.mktemp("colours")
    (folder / "colours.csv").write_text(TABLE)
    table, picture = colours.open_table(folder / "colours.csv"), Picture("a", "a.png", which.shape)
    path = save(folder / "a.png", COLOURS[which])
    np.testing.assert_array_equal(colours.read_classes(path, table), VALUES[which])
    found = colours.read(path, picture, table)
    counts = [ndimage.label(VALUES[which] == value, np.ones((3, 3)))[1] for value in (1, 2)]
    assert found.labels.max() == len(found.classes) == sum(counts)
    assert [found.classes.count(name) for name in ("tumour", "stroma")] == counts
    loss = colours.write(folder / "b.png", found, picture, table)
    with Image.open(folder / "b.png") as file:
        assert file.mode == "P"
    np.testing.assert_array_equal(colours.read_classes(folder / "b.png", table), VALUES[which])
    assert (loss.pixels_changed, loss.objects_in, loss.objects_out) == (0, sum(counts), sum(counts))


def test_objects_that_touch_or_fall_apart_are_counted(tmp_path, table):
    labels = np.array([[1, 1, 1, 2], [0, 0, 0, 0], [3, 3, 0, 3]], np.int32)
    written = Annotation(labels, ("tumour", "tumour", "stroma"))
    loss = colours.write(tmp_path / "a.png", written, Picture("a", "a.png", (3, 4)), table)
    # object 2 joins 1; the second piece of 3 is an object of its own
    assert (loss.objects_in, loss.objects_out, loss.pixels_changed) == (3, 3, 2)
    loss = colours.write(tmp_path / "a.png", Annotation(labels[:1], ("tumour",) * 2), Picture("a", "a", (1, 4)), table)
    assert loss.notes == ("2 objects are 1 pieces of one class",)


def test_an_unknown_colour_is_named_with_its_count_and_first_place(tmp_path, table):
    pixels = COLOURS[np.zeros((3, 4), int)]
    pixels[1, 2] = pixels[2, 0] = 10, 100, 200
    pixels[0, 3] = 90, 0, 200
    with pytest.raises(InputError, match=r"a.png: the colour #0a64c8 \(2 pixels, the first at x=2, y=1\), and 1 more"):
        colours.read_classes(save(tmp_path / "a.png", pixels), table)


def test_near_colours_transparency_and_16_bits_are_refused(tmp_path, table):
    pixels = COLOURS[np.arange(64).reshape(8, 8) // 16]
    with pytest.raises(InputError, match=r"is nearly its #.*JPEG or smoothing"):
        colours.read_classes(save(tmp_path / "a.jpg", pixels, quality=80), table)
    for size, message in ((40, "is not in the table .*without smoothing"), (96, "is nearly its #.*JPEG or smoothing")):
        large = Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR)
        with pytest.raises(InputError, match=message):
            colours.read_classes(save(tmp_path / "a.png", np.asarray(large)), table)
    clear = np.dstack([pixels, np.full((8, 8), 200, np.uint8)])
    with pytest.raises(InputError, match="transparent"):
        colours.read_classes(save(tmp_path / "a.png", clear), table)
    deep = np.full((2, 2), 300, np.uint16)
    with pytest.raises(InputError, match="more than 8 bits"):
        colours.read_classes(save(tmp_path / "a.png", deep), table)
    with pytest.raises(InputError, match="is 8 x 8 pixels"):
        colours.read(save(tmp_path / "a.png", pixels), Picture("a", "a.png", (8, 9)), table)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("red,cell", "'red' is not a colour"),
        ("#12345,cell", "not a colour"),
        ('"1,2,300",cell', "not a colour"),
        ("#000000,a\n#000000,b", "appears twice"),
        ('#000000,a\n"0,0,0",b', "appears twice"),
        ("#000000,", "has no class"),
        ("#000000,background\n#808080,ignored", "names 0 classes"),
        ("\n".join(f"#{n:06x},c{n}" for n in range(255)), "names 255 classes"),
    ],
)
def test_a_table_that_is_not_understood_is_refused(tmp_path, rows, message):
    (tmp_path / "t.csv").write_text(f"colour,class\n{rows}\n")
    with pytest.raises(InputError, match=f"{tmp_path}/t.csv: .*{message}"):
        colours.open_table(tmp_path / "t.csv")


def test_what_has_no_colour_is_not_written(tmp_path, table):
    picture, labels = Picture("a", "a.png", (2, 2)), np.eye(2, dtype=np.int32)
    path = tmp_path / "a.png"
    for written, message in (
        (Annotation(labels), "have no classes, but the table has 2"),
        (Annotation(labels, ("nerve",)), "the class 'nerve' has no colour"),
    ):
        with pytest.raises(InputError, match=f"{path}: .*{message}"):
            colours.write(path, written, picture, table)
    (tmp_path / "t.csv").write_text("colour,class\n#ff0000,cell\n")
    single = colours.open_table(tmp_path / "t.csv")
    with pytest.raises(InputError, match="class 'background' have no colour"):
        colours.write(path, Annotation(labels), picture, single)
    with pytest.raises(InputError, match="class 'ignored' have no colour"):
        colours.write(path, Annotation(labels, (), labels == 0), picture, single)
    with pytest.raises(InputError, match="written as PNG"):
        colours.write(tmp_path / "a.tif", Annotation(labels), picture, single)
    assert colours.write(path, Annotation(np.ones((2, 2), np.int32)), picture, single).pixels_changed == 0
