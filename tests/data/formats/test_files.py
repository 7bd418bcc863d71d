import numpy as np
import pytest
import tifffile

from segjax.data.formats.files import write_labels
from segjax.data.pictures.images import read_labels
from segjax.types import InputError


@pytest.mark.parametrize(
    ("name", "dtype", "largest", "stored"),
    [
        ("a.tif", "smallest", 65_535, np.uint16),
        ("a.tif", "smallest", 65_536, np.int32),
        ("a.tif", "int32", 3, np.int32),
        ("a.tif", "uint16", 65_535, np.uint16),
        ("a.png", "smallest", 65_535, np.uint16),
    ],
)
def test_label_images_keep_their_ids_in_the_type_asked_for(tmp_path, name, dtype, largest, stored):
    labels = np.array([[0, 1, 300], [2, 0, largest]], np.int32)
    path = tmp_path / "new" / name
    write_labels(path, labels, dtype)
    np.testing.assert_array_equal(read_labels(path), labels)
    if path.suffix == ".tif":
        assert tifffile.imread(path).dtype == stored
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "dtype", "value"),
    [
        ("a.tif", "uint16", 65_536),
        ("a.png", "smallest", 65_536),
        ("a.png", "int32", 1),
        ("a.tif", "smallest", -1),
    ],
)
def test_ids_that_do_not_fit_are_refused(tmp_path, name, dtype, value):
    with pytest.raises(InputError, match=f"^{tmp_path / name}: (has )?ids "):
        write_labels(tmp_path / name, np.full((2, 2), value, np.int32), dtype)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=f"{tmp_path}/file/a.tif: .* choose another folder"):
        write_labels(tmp_path / "file" / "a.tif", np.ones((2, 2), np.int32))
