import pytest

from experiments.harness.prices import PriceOptions
from segjax.annotations.prices import Prices
from segjax.types import InputError

BOXES = "box,4,1,\nbox,6,1,\nbox,10,2,\n"
TABLE = f"kind,seconds,objects,length\n{BOXES}outline,40,1,100\noutline,60,1,200\noutline,100,2,300\n"


def test_prices_by_name_stand_over_fitted_ones_and_these_over_the_defaults(tmp_path):
    file = tmp_path / "times.csv"
    file.write_text(TABLE)
    assert PriceOptions().prices() == Prices()
    assert PriceOptions(("outline=80", "point=0")).prices() == Prices(outline=80, point=0)
    found = PriceOptions(("box=9",), str(file)).prices()
    assert (found.box, found.point) == (9, Prices().point)
    assert (found.outline, found.outline_per_px) == (pytest.approx(20), pytest.approx(0.2))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("boxes=7", "price: unknown name in 'boxes=7'; write NAME=SECONDS with one of outline, outline_per_px"),
        ("box", "price: 'box' has no price; give box=SECONDS"),
        ("box=", "price: 'box=' has no price"),
        ("box=seven", "price: 'box=seven' has no price"),
        ("box=-1", "price: 'box=-1' has no price"),
        ("box=nan", "price: 'box=nan' has no price"),
    ],
)
def test_a_price_that_cannot_be_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        PriceOptions((given,)).prices()
    with pytest.raises(InputError, match="price: box is given twice"):
        PriceOptions(("box=1", "box=2")).prices()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "times: .*times.csv is not a file"),
        ("", "times.csv: its first line must name the columns kind and seconds.*found no rows"),
        ("kind,time\nbox,3\n", "must name the columns kind and seconds.*found kind, time"),
        ("kind,seconds,colour\nbox,3,red\n", "found kind, seconds, colour"),
        ("kind,seconds,seconds\nbox,5,9\n", "each once; found kind, seconds, seconds"),
        ("kind,seconds\n", "times.csv: has no rows below its first line"),
        ("kind,seconds\nbox,3\nbox,3,4\n", "row 2 has another number of fields"),
        ("kind,seconds,objects\nbox,3\n", "row 1 has another number of fields"),
        ("kind,seconds\nbox,fast\n", "row 1: seconds is 'fast'"),
        ("kind,seconds\nbox,\n", "row 1: seconds is ''"),
        ("kind,seconds\nbox,-3\n", "times.csv: times: row 1: seconds is -3"),
        ("kind,seconds\nbox,3\n", "times.csv: times: box has 1; give at least 3"),
        ("kind,seconds\nscribble,3\n", "times.csv: times: row 1: unknown kind 'scribble'"),
        ("kind,seconds\n\x00", "times.csv"),
    ],
)
def test_a_table_that_tells_no_times_is_refused_with_its_name(tmp_path, text, message):
    file = tmp_path / "times.csv"
    if text is not None:
        file.write_text(text)
    with pytest.raises(InputError, match=message):
        PriceOptions(times=str(file)).prices()


def test_a_file_of_other_bytes_is_refused(tmp_path):
    file = tmp_path / "times.csv"
    file.write_bytes(b"kind,seconds\nbox,\xff\n")
    with pytest.raises(InputError, match=r"times.csv: cannot be read as a table"):
        PriceOptions(times=str(file)).prices()
