import numpy as np
import pytest
import tifffile

from segjax.data.builders import files
from segjax.types import InputError

SLICES = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)


def test_a_stack_is_its_slices(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", SLICES, photometric="minisblack", compression="lzw")
    np.testing.assert_array_equal(files.stack(tmp_path / "a.tif"), SLICES)
    assert files.stack_shape(tmp_path / "a.tif") == (3, 4, 5)


@pytest.mark.parametrize(
    ("pixels", "options", "message"),
    [
        (SLICES, {"photometric": "miniswhite"}, "not plain grey pictures"),
        (SLICES[0], {"photometric": "minisblack"}, "holds a single picture"),
        (SLICES.astype(np.complex64), {"photometric": "minisblack"}, "complex"),
    ],
)
def test_what_is_no_stack_of_grey_slices_is_refused(tmp_path, pixels, options, message):
    tifffile.imwrite(tmp_path / "a.tif", pixels, **options)
    with pytest.raises(InputError, match=message):
        files.stack(tmp_path / "a.tif")


def test_a_stack_that_is_cut_off_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((3, 64, 64), np.uint8), photometric="minisblack")
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(InputError, match=r"a\.tif"):
        files.stack(path)
