from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import perimeter_crofton

from segjax.annotations.prices import KINDS, Prices, Timed, fit_prices, outline_lengths
from segjax.types import InputError

quick = settings(derandomize=True, deadline=None, max_examples=50)
TWO = np.array([[1, 1, 0, 0, 7], [1, 1, 0, 0, 0]], np.int32)  # 8 and 4 pixel edges
SIMPLE = Prices(10, 2, 3, 0.5, point=1, box=4, image_label=5, correction=6, look=0.25, picture=100)


@pytest.mark.parametrize(
    ("kind", "seconds"),
    [
        ("careful", 100 + 2 * 10 + 2 * 12 * np.pi / 4),
        ("quick", 100 + 2 * 3 + 0.5 * 12 * np.pi / 4),
        ("points", 102),
        ("boxes", 108),
        ("image_label", 105),
    ],
)
def test_a_picture_costs_what_is_in_it(kind, seconds):
    assert SIMPLE.of(kind, TWO) == pytest.approx(seconds)
    assert SIMPLE.of(kind, np.zeros_like(TWO)) == (105 if kind == "image_label" else 100)


def test_every_kind_has_a_price_and_others_are_refused():
    assert all(Prices().of(kind, TWO) > 10 for kind in KINDS)
    with pytest.raises(InputError, match="kind: unknown 'scribbles'; choose from careful, quick, points"):
        Prices().of("scribbles", TWO)


def test_a_correction_costs_looks_redrawn_outlines_and_careful_ones():
    assert SIMPLE.of_correction(8, 3, TWO) == pytest.approx(SIMPLE.of("careful", TWO) + 8 * 0.25 + 3 * 6)
    assert SIMPLE.of_correction(0, 0, np.zeros_like(TWO)) == 100


@pytest.mark.parametrize("name", [field.name for field in fields(Prices)])
@pytest.mark.parametrize("price", [-1, float("nan"), float("inf"), True])
def test_prices_that_cannot_be_are_refused_by_name(name, price):
    with pytest.raises(InputError, match=f"^{name}: .* is not a price"):
        Prices(**{name: price})


@quick
@given(seed=st.integers(0, 2**31), objects=st.integers(0, 5))
def test_outline_lengths_are_those_of_scikit_image_of_each_object_alone(seed, objects):
    labels = np.random.default_rng(seed).integers(0, objects + 1, (7, 9)) * 3
    ids, lengths = outline_lengths(labels)
    assert ids.tolist() == sorted(set(labels[labels > 0].tolist()))
    for one, length in zip(ids, lengths, strict=True):
        assert length == pytest.approx(perimeter_crofton(np.pad(labels == one, 1), directions=2))


def test_the_length_of_a_disc_is_its_circumference():
    rows, columns = np.mgrid[-40:41, -40:41]
    _, lengths = outline_lengths((rows**2 + columns**2 <= 30.5**2).astype(np.int32))
    assert lengths[0] == pytest.approx(2 * np.pi * 30.5, rel=0.01)


@quick
@given(base=st.floats(0, 100), per_px=st.floats(0, 2), kind=st.sampled_from(["outline", "quick"]))
def test_exact_times_give_their_prices_back(base, per_px, kind):
    rows = [(1, 60), (1, 120), (3, 240), (2, 90)]
    times = [Timed(kind, base * n + per_px * length, n, length) for n, length in rows]
    fitted = fit_prices(times, SIMPLE)
    assert getattr(fitted, kind) == pytest.approx(base, abs=1e-6)
    assert getattr(fitted, f"{kind}_per_px") == pytest.approx(per_px, abs=1e-6)
    assert (fitted.box, fitted.picture) == (SIMPLE.box, SIMPLE.picture)


def test_a_fit_is_never_below_0():
    fitted = fit_prices([Timed("outline", 10, 1, 300), Timed("outline", 20, 1, 200), Timed("outline", 30, 1, 100)])
    assert fitted.outline_per_px == 0 and fitted.outline == pytest.approx(20)


def test_outlines_without_lengths_have_one_price():
    fitted = fit_prices([Timed("outline", 10), Timed("outline", 20), Timed("outline", 30)], Prices(outline_per_px=3))
    assert (fitted.outline, fitted.outline_per_px) == (pytest.approx(20), 0)


BOX = Timed("box", 3)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([], "times: there is none"),
        ([BOX, BOX], "times: box has 2; give at least 3"),
        ([BOX, Timed("boxes", 3)], "row 2: unknown kind 'boxes'; choose from outline, quick, point"),
        ([BOX, BOX, Timed("outline_per_px", 3)], "row 3: unknown kind"),
        ([Timed("box", -1)], "row 1: seconds is -1"),
        ([Timed("box", float("nan"))], "row 1: seconds is nan"),
        ([Timed("box", 1, objects=0)], "row 1: objects is 0; give a number, above 0"),
        ([Timed("outline", 1, length=-2)], "row 1: length is -2"),
        ([Timed("box", 1, length=2)], "row 1: box has a length, but only outlines"),
        ([Timed("quick", 1, 1, 9), *[Timed("quick", 1)] * 2], "quick has a length in 1 of 3 rows"),
        ([Timed("outline", 5 * n, n, 9 * n) for n in (1, 2, 3)], "lengths of outline are all alike per object"),
    ],
)
def test_times_that_tell_no_price_are_refused(times, message):
    with pytest.raises(InputError, match=message):
        fit_prices(times)
