"""What is refused of the numbers that a user gave."""

from types import SimpleNamespace

import pytest

from segjax.types import InputError, check_least


@pytest.mark.parametrize(
    ("given", "least", "message"),
    [
        ((1, 0), 1, "given must be at least 1, not 0"),
        (float("nan"), 0, "given must be at least 0, not nan"),
        (float("inf"), 0, "given must be at least 0, not inf"),
    ],
)
def test_a_number_below_the_least_or_not_finite_is_refused_by_its_name(given, least, message):
    with pytest.raises(InputError, match=message):
        check_least(SimpleNamespace(given=given), given=least)


def test_the_least_itself_is_not_refused():
    check_least(SimpleNamespace(shots=(1, 5), share=0.0), shots=1, share=0)
