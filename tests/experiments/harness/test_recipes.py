import pytest

from experiments.harness.recipes import ERRORS, recipe_from, strengths_of
from segjax.annotations import Recipe
from segjax.types import InputError


def test_every_error_by_name_becomes_its_field():
    texts = {"omission": "0.3", "inclusion": "0.2", "bias": "4", "jitter": "2", "shift": "6", "polygon": "8"}
    text = "+".join(f"{name}={level}" for name, level in {**texts, "markov": "40"}.items())
    found = recipe_from(strengths_of(text, "error"), {"scope": "picture"}, 2.0, "error")
    assert found == Recipe(0.3, 0.2, bias=2, jitter=1, shift=3, polygon=8, markov=40, scope="picture")
    assert {*texts, "markov"} == set(ERRORS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("markov=2.5", "error: markov in 'markov=2.5' must be a whole number, not 2.5"),
        ("polygon=4.5", "must be a whole number"),
        ("markov=0", "must be a number above 0"),
        ("confusion=0.1", "error: 'confusion' in 'confusion=0.1' is unknown or given twice; choose from omission"),
        ("omission", "'omission' in 'omission' is not ERROR=STRENGTH"),
    ],
)
def test_a_text_that_is_no_error_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        strengths_of(text, "error")
