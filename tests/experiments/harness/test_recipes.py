import pytest

from experiments.harness.recipes import ERRORS, recipe_from, spelled, strengths_of
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


def test_a_recipe_in_a_file_becomes_the_text_of_what_masks_show(tmp_path):
    file = tmp_path / "recipe.json"
    file.write_text(Recipe(omission=0.0041, jitter=0.36, merge=0.2, split=0.1, confusion=0.3, scope="object").to_json())
    assert spelled(str(file), "error") == "omission=0.0041+jitter=0.36"
    assert spelled("bias=2", "error") == "bias=2"
    assert spelled(str(file), "error", without=("omission",)) == "jitter=0.36"
    file.write_text(Recipe(merge=0.2).to_json())
    with pytest.raises(InputError, match=r"error: the recipe in .*recipe.json has no error that is used here; give om"):
        spelled(str(file), "error")
    file.write_text("{}x")
    with pytest.raises(InputError, match=r"error: .*recipe.json is not a recipe \(recipe: not JSON"):
        spelled(str(file), "error")
    with pytest.raises(InputError, match=r"error: .*none.json is not a file"):
        spelled(str(tmp_path / "none.json"), "error")
