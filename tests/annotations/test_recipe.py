from dataclasses import replace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segjax.annotations import Recipe, bias, degrade, degrade_groups, recipe
from segjax.types import InputError

IDS = 31
quick = settings(derandomize=True, deadline=None, max_examples=50)


def grid_of_squares(pixel: int = 2) -> np.ndarray:
    """20 squares in three slices."""
    labels = np.zeros((3, 40, 40), np.int32)
    for index in range(20):
        row, column = 10 * (index // 5) + pixel, 8 * (index % 5) + pixel
        labels[:, row : row + 4, column : column + 4] = index + 1
    return labels


LABELS, EXTRA = grid_of_squares(), grid_of_squares(pixel=4)


def lost(mask, labels=LABELS) -> frozenset[int]:
    """Ids that have no pixel left in the mask."""
    return frozenset(set(np.unique(labels)) - set(np.unique(labels[np.asarray(mask)])) - {0})


def test_prints_itself():
    assert str(Recipe(0.5, 0.3, 4)) == "50 % omission + 30 % inclusion + bias up to 4 px, drawn per volume"
    assert str(Recipe(jitter=1.5, polygon=8, scope="dataset")).startswith("boundary jitter of 1.5 px + polygons with 8")
    assert str(Recipe(merge=0.2, shift=3, split=0.1)).endswith(
        "20 % of touching pairs merged + 10 % of objects split, drawn per volume"
    )
    assert (
        str(Recipe(markov=60, confusion=0.1)) == "60 steps of Markov noise + 10 % of classes confused, drawn per volume"
    )
    assert str(Recipe()) == "no errors"
    assert str(Recipe(omission=np.array([0.1, 0.2]))) == "omission of several strengths, drawn per volume"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("omission", 1.4, "omission: 1.4 is not a rate between 0 and 1"),
        ("omission", "30 %", "omission: '30 %' is not a rate"),
        ("omission", True, "omission: True is not a rate"),
        ("inclusion", float("nan"), "inclusion: nan"),
        ("inclusion", np.float32(-0.1), "inclusion: .*-0.1"),
        ("omission", np.array([0.1, 1.1]), "omission: .*1.1"),
        ("omission", jnp.float32(1.4), "omission: .*1.4"),
        ("bias", jnp.int32(-3), "bias: .*-3"),
        ("bias", -1, "bias: -1 is not a whole number, at least 0"),
        ("bias", "6px", "bias: '6px' is not a whole number"),
        ("bias", 2.0, "bias: 2.0 is not a whole number"),
        ("jitter", float("inf"), "jitter: inf is not a finite length"),
        ("polygon", 2, "polygon: 2 is not a whole number, 0 or at least 3 and at most 64"),
        ("polygon", 65, "polygon: 65"),
        ("shift", -2, "shift: -2"),
        ("merge", 2, "merge: 2"),
        ("split", None, "split: None"),
        ("markov", 2.5, "markov: 2.5 is not a whole number, at least 0"),
        ("markov", -3, "markov: -3"),
        ("confusion", 1.1, "confusion: 1.1 is not a rate"),
        ("scope", "slide", "scope: 'slide' is not one of dataset, volume, picture, object"),
    ],
)
def test_values_out_of_range_are_refused_by_name(field, value, message):
    with pytest.raises(InputError, match=message):
        Recipe(**{field: value})


@quick
@given(
    omission=st.floats(0, 1),
    inclusion=st.sampled_from([0, 1, 0.25, np.float64(0.7)]),
    bias=st.integers(0, 20),
    jitter=st.floats(0, 9),
    polygon=st.sampled_from([0, 3, 64]),
    scope=st.sampled_from(["dataset", "volume", "picture", "object"]),
)
def test_json_round_trip(**values):
    made = Recipe(**values)
    again = Recipe.from_json(made.to_json())
    assert again == made and hash(again) == hash(made) and str(again) == str(made)


def test_equal_recipes_are_one_key_whatever_kind_of_number():
    assert len({Recipe(omission=1, bias=2), Recipe(omission=1.0, bias=np.int64(2)), Recipe(np.float64(1), bias=2)}) == 1
    assert Recipe(omission=0.3) != Recipe(omission=0.3, scope="picture")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"omision": 0.1}', "unknown field 'omision'"),
        ("{", "not JSON"),
        ("[1]", "JSON object"),
        ('{"bias": -1}', "bias"),
    ],
)
def test_wrong_json_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        Recipe.from_json(text)


def test_strengths_are_leaves_and_zero_of_the_further_errors_is_static():
    assert jax.tree.leaves(Recipe(0.5, 0.3, 4)) == [0.5, 0.3, 4]
    assert jax.tree.leaves(Recipe(jitter=2.0)) == [0.0, 0.0, 0, 2.0]
    assert jax.tree.map(lambda strength: strength, Recipe(split=0.5, scope="object")) == Recipe(
        split=0.5, scope="object"
    )


def test_one_trace_serves_every_strength():
    @jax.jit
    @chex.assert_max_traces(n=1)
    def draw(key, made):
        return degrade(key, LABELS, made, EXTRA, max_objects=IDS)

    for omission, q_max in ((0.0, 0), (0.5, 2), (0.7, 6)):
        made = Recipe(omission=omission, inclusion=0.2, bias=q_max)
        drawn = draw(jax.random.key(1), made)
        np.testing.assert_array_equal(drawn, degrade(jax.random.key(1), LABELS, made, EXTRA, max_objects=IDS))


def test_vmap_over_keys_and_stacked_recipes_equals_loop():
    recipes = [Recipe(0.5, 0.1, 0), Recipe(0.0, 0.0, 3), Recipe(0.3, 1.0, 2)]
    keys = jax.random.split(jax.random.key(2), 3)
    mapped = jax.vmap(lambda key, one: degrade(key, LABELS, one, EXTRA, max_objects=IDS))(keys, Recipe.stack(recipes))
    for key, one, drawn in zip(keys, recipes, mapped, strict=True):
        np.testing.assert_array_equal(drawn, degrade(key, LABELS, one, EXTRA, max_objects=IDS))
    with pytest.raises(InputError, match="scopes"):
        Recipe.stack([Recipe(), Recipe(scope="object")])


def test_clean_recipe_gives_the_clean_mask():
    for scope in ("volume", "picture", "object"):
        drawn = degrade(jax.random.key(0), LABELS, Recipe(scope=scope), max_objects=IDS)
        np.testing.assert_array_equal(drawn, LABELS > 0)


def test_omission_and_inclusion_are_counted():
    drawn = degrade(jax.random.key(0), LABELS, Recipe(0.3, 0.5), EXTRA, max_objects=IDS)
    only_extra = (LABELS == 0) & np.asarray(drawn)
    assert len(np.unique(EXTRA[only_extra])) == 10
    assert (~np.asarray(drawn) & (LABELS > 0)).any()
    drawn = degrade(jax.random.key(0), LABELS, Recipe(0.3), max_objects=IDS)
    assert len(lost(drawn)) == 6
    assert drawn.sum() == 14 * 3 * 16


def test_the_order_is_omission_inclusion_bias():
    key, made = jax.random.key(3), Recipe(0.5, 0.5, 3)
    before_bias = degrade(key, LABELS, Recipe(0.5, 0.5, 0), EXTRA, max_objects=IDS)
    own_key = jax.random.split(key, 8)[2]
    expected = bias(own_key, np.asarray(before_bias), 3)
    np.testing.assert_array_equal(degrade(key, LABELS, made, EXTRA, max_objects=IDS), expected)


def test_working_with_masks_or_with_ids_gives_the_same():
    key = jax.random.key(4)
    by_mask = degrade(key, LABELS, Recipe(0.4, 0.5, 2), EXTRA, max_objects=IDS)
    # A polygon of 0 vertices that arrives as an array keeps the ids until the end and changes nothing.
    by_id = degrade(key, LABELS, Recipe(0.4, 0.5, 2, polygon=jnp.array(0)), EXTRA, max_objects=IDS)
    np.testing.assert_array_equal(by_mask, by_id)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("made", "extra"),
    [
        (Recipe(0.3, 0.3, 1, 1.0, 5, 2.0, 0.3, 0.3), EXTRA),
        (Recipe(0.3, bias=2, scope="picture"), None),
        (Recipe(0.3, bias=2, scope="object"), None),
    ],
    ids=["all errors", "picture", "object"],
)
def test_vmap_over_keys_equals_loop(made, extra):
    keys = jax.random.split(jax.random.key(5), 2)
    mapped = jax.jit(jax.vmap(lambda key: degrade(key, LABELS, made, extra, max_objects=IDS)))(keys)
    for key, drawn in zip(keys, mapped, strict=True):
        np.testing.assert_array_equal(drawn, degrade(key, LABELS, made, extra, max_objects=IDS))
    assert (np.asarray(mapped[0]) != np.asarray(mapped[1])).any()


def test_volume_scope_draws_once_and_picture_scope_anew_for_every_slice():
    key = jax.random.key(6)
    per_volume = degrade(key, LABELS, Recipe(0.5), max_objects=IDS)
    assert len({lost(one, LABELS[0]) for one in per_volume}) == 1
    per_picture = degrade(key, LABELS, Recipe(0.5, scope="picture"), max_objects=IDS)
    losses = [lost(one, LABELS[0]) for one in per_picture]
    assert len(set(losses)) == 3 and {len(one) for one in losses} == {10}


def test_object_scope_tosses_a_coin_per_object():
    drawn = [degrade(jax.random.key(seed), LABELS, Recipe(0.5, scope="object"), max_objects=IDS) for seed in range(30)]
    numbers = [len(lost(one)) for one in drawn]
    assert len(set(numbers)) > 3 and 8 < np.mean(numbers) < 12


def test_data_set_scope_loses_the_same_ids_everywhere_and_volume_scope_does_not():
    volumes, key = [LABELS] * 3, jax.random.key(7)
    same = {
        lost(m, v) for v, m in zip(volumes, degrade_groups(key, volumes, Recipe(0.5, scope="dataset")), strict=True)
    }
    assert len(same) == 1 and len(same.pop()) == 10
    other = {lost(m, v) for v, m in zip(volumes, degrade_groups(key, volumes, Recipe(0.5)), strict=True)}
    assert len(other) == 3


def test_data_set_scope_chooses_among_the_ids_of_all_volumes():
    volumes = [np.where(LABELS <= 12, LABELS, 0), np.where(LABELS > 8, LABELS, 0)]
    for seed in range(3):
        drawn = degrade_groups(jax.random.key(seed), volumes, Recipe(0.5, scope="dataset"), max_objects=IDS)
        missing = [lost(mask, labels) for labels, mask in zip(volumes, drawn, strict=True)]
        assert len(missing[0] | missing[1]) == 10  # of 20, although no volume shows more than 12
        assert {i for i in missing[0] if i > 8} == {i for i in missing[1] if i <= 12}


def outlines_of(masks):
    """How far the squares of every slice reach beyond their 4 x 4 pixels on each side; one number per slice."""
    areas = [np.asarray(one)[:10, :8].sum() for one in masks]
    return [{0: -2, 4: -1, 16: 0, 36: 1, 64: 2}[int(area)] for area in areas]


def test_outlines_have_a_scope_of_their_own():
    volumes, key = [np.where(LABELS == 1, LABELS, 0)] * 6, jax.random.key(3)
    for scope, each in (("volume", False), ("picture", True)):
        made = Recipe(bias=2, scope="dataset", outline_scope=scope)
        reached = [outlines_of(drawn) for drawn in degrade_groups(key, volumes, made, max_objects=IDS)]
        assert any(len(set(slices)) > 1 for slices in reached) == each
        assert len({tuple(slices) for slices in reached}) > 1
        assert {q for slices in reached for q in slices} <= {-2, -1, 1, 2}
    same = degrade_groups(key, volumes, Recipe(bias=2, scope="dataset"), max_objects=IDS)
    assert len({tuple(outlines_of(drawn)) for drawn in same}) == 1


def test_objects_are_lost_alike_whatever_the_scope_of_outlines():
    volumes, extras, key = [LABELS] * 3, [EXTRA] * 3, jax.random.key(8)
    plain = degrade_groups(key, volumes, Recipe(0.5, 0.5, scope="dataset"), extras, max_objects=IDS)
    for scope in ("picture", "object"):
        made = Recipe(0.5, 0.5, scope="dataset", outline_scope=scope)
        np.testing.assert_array_equal(degrade_groups(key, volumes, made, extras, max_objects=IDS), plain)


def test_outlines_drawn_as_often_as_objects_are_those_without_a_scope_of_their_own():
    for scope in ("volume", "picture"):
        made = Recipe(0.3, 0.5, 2, scope=scope)
        own = replace(made, outline_scope=scope)
        drawn = [
            degrade_groups(jax.random.key(1), [LABELS] * 2, one, [EXTRA] * 2, max_objects=IDS) for one in (made, own)
        ]
        np.testing.assert_array_equal(*drawn)


def test_roundings_count_objects():
    key = jax.random.key(2)
    assert len(lost(degrade(key, LABELS, Recipe(0.04), max_objects=IDS))) == 0
    assert len(lost(degrade(key, LABELS, Recipe(0.04, omission_rounding="at_least_one"), max_objects=IDS))) == 1
    for rounding, expected in (("down", 18), ("up", 19), ("leave_one", 19)):
        made = Recipe(inclusion=0.92, inclusion_rounding=rounding)
        mask = np.asarray(degrade(key, np.zeros_like(LABELS), made, EXTRA, max_objects=IDS))
        assert len(np.unique(EXTRA[mask])) == expected
    all_but_one = Recipe(inclusion=1, inclusion_rounding="leave_one")
    mask = np.asarray(degrade(key, np.zeros_like(LABELS), all_but_one, EXTRA, max_objects=IDS))
    assert len(np.unique(EXTRA[mask])) == 19


def test_a_recipe_says_how_it_is_drawn_and_refuses_outlines_coarser_than_objects():
    made = Recipe(0.5, 0.3, 4, scope="dataset", outline_scope="picture", inclusion_rounding="up")
    assert str(made) == (
        "50 % omission + 30 % inclusion + bias up to 4 px, drawn per data set, outlines per picture, "
        "inclusion rounded: up"
    )
    assert Recipe.from_json(made.to_json()) == made == jax.tree.map(lambda strength: strength, made)
    assert str(Recipe(0.5, outline_scope="picture", inclusion_rounding="up")) == "50 % omission, drawn per volume"
    with pytest.raises(InputError, match="outline_scope: dataset is coarser than the scope volume"):
        Recipe(outline_scope="dataset")
    with pytest.raises(InputError, match="inclusion_rounding: 'at_least_one' is not one of down, up, leave_one"):
        Recipe(inclusion_rounding="at_least_one")
    with pytest.raises(InputError, match="scopes must be one and the same, and so must roundings"):
        Recipe.stack([Recipe(), Recipe(omission_rounding="at_least_one")])


def test_volumes_of_equal_shape_and_all_strengths_compile_once(monkeypatch):
    traces, draw = [], recipe._draw
    monkeypatch.setattr(recipe, "_draw", lambda *given, **named: traces.append(given) or draw(*given, **named))
    volumes = [LABELS[0, None, :9], LABELS[1, None, :9], LABELS[:2, :9]]
    for rate in (0.1, 0.5, 0.9):
        degrade_groups(jax.random.key(0), volumes, Recipe(rate), max_objects=IDS)
    assert len(traces) == 2


def test_inclusion_without_foreign_objects_and_odd_shapes_are_refused():
    key = jax.random.key(0)
    with pytest.raises(InputError, match="extra: inclusion needs the labels of foreign objects"):
        degrade(key, LABELS, Recipe(inclusion=0.1))
    with pytest.raises(InputError, match="extra: shape"):
        degrade(key, LABELS, Recipe(inclusion=0.1), EXTRA[:2])
    with pytest.raises(InputError, match="label id 20 is above max_objects=19"):
        degrade(key, LABELS, Recipe(0.1), max_objects=19)
    with pytest.raises(InputError, match="extras: there are 1 volumes of foreign objects for 2"):
        degrade_groups(key, [LABELS, LABELS], Recipe(inclusion=0.1), [EXTRA])


def test_later_errors_leave_the_draws_of_the_first_as_they_were():
    first = ("omission", "inclusion", "bias", "jitter", "polygon", "shift", "merge", "split")
    keys, before = recipe.strength_keys(jax.random.key(4)), jax.random.split(jax.random.key(4), len(first))
    for name, key in zip(first, before, strict=True):
        assert (jax.random.key_data(keys[name]) == jax.random.key_data(key)).all()
    assert len({str(jax.random.key_data(key)) for key in keys.values()}) == len(first) + 2
