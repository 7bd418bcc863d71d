import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from segjax.data.folders.folder_options import FolderOptions
from segjax.data.folders.listing import list_folder
from segjax.data.formats import cellpose
from segjax.data.formats.annotation import Annotation, Picture
from segjax.types import InputError


@settings(deadline=None, max_examples=50)
@given(
    arrays(np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 400)),
    st.sampled_from(cellpose.ENDINGS),
)
def test_labels_come_back_without_a_changed_pixel(tmp_path_factory, labels, ending):
    folder, picture = tmp_path_factory.mktemp("cellpose"), Picture("a", "sub/a.jpg", labels.shape)
    loss = cellpose.write(folder, Annotation(labels), picture, ending)
    ids = np.unique(labels[labels > 0])
    back = cellpose.read(folder / "sub" / f"a{ending}", picture)
    np.testing.assert_array_equal(np.append(0, ids)[back.labels], labels)
    assert (loss.objects_in, loss.objects_out, loss.pixels_changed, loss.notes) == (len(ids), len(ids), 0, ())


def test_more_objects_than_16_bits_hold_are_written_as_int32(tmp_path):
    labels = np.arange(70_000, dtype=np.int32).reshape(200, 350)
    picture = Picture("a", "a.png", labels.shape)
    assert cellpose.write(tmp_path, Annotation(labels), picture).pixels_changed == 0
    assert tifffile.imread(tmp_path / "a_masks.tif").dtype == np.int32
    with pytest.raises(InputError, match="16 bits hold"):
        cellpose.write(tmp_path, Annotation(labels), picture, "_cp_masks.png")


def test_the_files_are_found_beside_their_pictures(tmp_path):
    labels = np.eye(4, dtype=np.int32)
    Image.fromarray(np.eye(4, dtype=np.uint8)).save(tmp_path / "a.png")
    cellpose.write(tmp_path, Annotation(labels), Picture("a", "a.png", (4, 4)))
    (entry,), problems = list_folder(tmp_path, FolderOptions())
    assert (entry.name, entry.labels, problems) == ("a", tmp_path / "a_masks.tif", [])


def test_what_the_format_cannot_hold_is_said(tmp_path):
    labels, ignored = np.eye(3, dtype=np.int32), np.zeros((3, 3), bool)
    ignored[0, 1:] = True
    loss = cellpose.write(tmp_path, Annotation(labels, ("mitosis",), ignored), Picture("a", "a.png", (3, 3)))
    assert loss.notes == (
        "the file cannot hold some names of classes",
        "2 pixel(s) that nobody judged became background",
    )


def test_a_pickle_is_never_opened(tmp_path):
    np.save(tmp_path / "a_seg.npy", np.array({"masks": 1}, object), allow_pickle=True)
    with pytest.raises(InputError, match=r"pickle.*Save masks as PNG/tif"):
        cellpose.read(tmp_path / "a_seg.npy", Picture("a", "a.png", (2, 2)))


def test_another_size_or_ending_is_refused(tmp_path):
    cellpose.write(tmp_path, Annotation(np.eye(3, dtype=np.int32)), Picture("a", "a.png", (3, 3)))
    with pytest.raises(InputError, match=r"a_masks\.tif: is 3 x 3 pixels .* its picture is 3 x 4"):
        cellpose.read(tmp_path / "a_masks.tif", Picture("a", "a.png", (3, 4)))
    with pytest.raises(InputError, match=r"_seg\.npy"):
        cellpose.write(tmp_path, Annotation(np.eye(3, dtype=np.int32)), Picture("a", "a.png", (3, 3)), "_seg.npy")
