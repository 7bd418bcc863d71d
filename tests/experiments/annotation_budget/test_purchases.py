"""What budgets buy, counted by hand on pictures of squares."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments.annotation_budget.analysis import way_name
from experiments.annotation_budget.grid import BASE, NONE, Training, Trial, trainings_of
from experiments.annotation_budget.purchases import Part, Purchases
from experiments.annotation_budget.study import BudgetDomain, affordable, list_trials
from experiments.harness.options import overlaid
from experiments.harness.pictures import Splitting
from segjax.annotations import Recipe
from segjax.annotations.annotators import quick_recipe
from segjax.types import IGNORED, InputError
from tests.experiments.harness.tiny import Source

SIDE = 24
PRICES = ("outline=100", "quick=50", "box=10", "point=5", "image_label=2", "picture=20")


def domain(objects=(2,) * 8, coarsening=1.0) -> BudgetDomain:
    """Eight pictures in four groups; 4 train, 2 validate and 2 test. Squares of 36 px, as many as asked for."""
    labels = np.zeros((len(objects), SIDE, SIDE), np.int32)
    for picture, count in enumerate(objects):
        for number in range(count):
            y, x = divmod(number, 3)
            labels[picture, 8 * y : 8 * y + 6, 8 * x : 8 * x + 6] = number + 1
    images = np.random.default_rng(0).random((*labels.shape, 1)).astype(np.float32)
    blank = np.zeros_like(labels)
    source = Source(coarsening=coarsening, spec="folder:x")
    return BudgetDomain(source, Splitting(4, "group"), images, labels, blank, blank > 0)


def config(**changes):
    own = {"run": {"out": Path("x"), "seeds": 2}, "prices": {"price": PRICES}, "source": {"data": "folder:x"}}
    return overlaid(BASE, {**own, "arms": ("careful",), **changes})


def hours(seconds: float) -> float:
    return seconds / 3600


def bought(arm, seconds, part="", pictures=None, **changes) -> tuple[Part, ...]:
    found = Purchases(config(**changes), pictures or domain())
    return found.of(Training("unet", 0, arm, hours(seconds), part))


@pytest.mark.parametrize(
    ("arm", "kind", "price"),
    [
        ("careful", "careful", 220),
        ("boxes", "boxes", 40),
        ("points", "points", 30),
        ("image_labels", "image_label", 22),
    ],
)
def test_a_budget_buys_as_many_pictures_as_fit(arm, kind, price):
    for count in (1, 2, 4):
        (part,) = bought(arm, count * price + 1)
        assert part.kind == kind and len(part.pictures) == count == len(set(part.pictures))
    (whole,) = bought(arm, 100 * price)
    assert set(whole.pictures) == set(domain().split(0).train)
    (fewer,) = bought(arm, 2 * price + 1)
    assert whole.pictures[:2] == fewer.pictures  # a larger budget buys the same first
    assert bought(arm, price - 1)[0].pictures == ()


def test_quick_outlines_may_be_a_recipe_in_a_file_without_what_is_not_drawn_object_by_object(tmp_path):
    file = tmp_path / "recipe.json"
    file.write_text(Recipe(omission=0.1, inclusion=0.2, jitter=2, scope="object").to_json())
    assert config(quick=str(file)).resolved().quick == "omission=0.1+jitter=2"
    with pytest.raises(InputError, match="quick: inclusion is not drawn object by object"):
        config(quick="inclusion=0.2").resolved()


def test_quick_outlines_cost_what_is_drawn_and_what_is_missed_costs_nothing():
    pictures = domain((9,) * 8)
    found = Purchases(config(quick="omission=0.5"), pictures)
    drawn = {index: len(np.unique(found.labels("quick", 0, index))) - 1 for index in found.pool(0)}
    assert 0 < sum(drawn.values()) < 9 * len(drawn)
    for index, count in drawn.items():
        assert found.counts("quick", 0, index)["quick"] == count
        kept = found.labels("quick", 0, index)
        np.testing.assert_array_equal(kept, np.where(kept > 0, pictures.labels[index], 0))  # no jitter: as they are
    other = Purchases(config(quick="omission=0.5"), pictures)
    assert all((other.labels("quick", 0, i) == found.labels("quick", 0, i)).all() for i in drawn)


def test_jitter_is_in_published_pixels():
    assert Purchases(config(quick="jitter=4"), domain(coarsening=4.0)).recipe.jitter == 1.0
    assert Purchases(config(), domain()).recipe == replace(quick_recipe(domain().labels), scope="object")


def test_a_mixture_divides_the_budget_and_no_picture_is_bought_twice():
    # 0.5 of 480 s are one careful picture of 220 s; the 260 s that are left are two quick ones of 120 s
    careful, quick = bought("mixture", 480, "careful-quick-0.5", quick="jitter=0.01")
    assert (len(careful.pictures), len(quick.pictures)) == (1, 2)
    assert not set(careful.pictures) & set(quick.pictures)
    careful, drawn = bought("mixture", 480, "careful-boxes-0.5")
    assert (careful.kind, len(careful.pictures), drawn.kind) == ("careful", 1, "boxes")
    assert len(drawn.pictures) > 2  # at 40 s each, where two quick ones fit
    careful, quick = bought("repaired", 480, careful_share=0.25, quick="jitter=0.01")
    assert (len(careful.pictures), len(quick.pictures)) == (0, 4)


def test_of_several_kinds_every_pair_is_mixed_by_every_share():
    own = config(mixed=("careful", "quick", "boxes"), shares=(0.25, 0.5))
    trainings = trainings_of(own, Trial("unet", 0, "mixture", 1.0))
    assert [training.part for training in trainings] == [
        "careful-quick-0.25", "careful-quick-0.5", "careful-boxes-0.25", "careful-boxes-0.5", "quick-boxes-0.25",
        "quick-boxes-0.5",
    ]  # fmt: skip
    assert trainings[0].shares == {"careful": 0.25, "quick": 0.75}
    assert way_name(trainings[0], own) == "a mix of two of careful outlines, quick outlines and boxes"


def test_repairs_need_careful_objects_and_quick_ones_while_there_are_pictures():
    found = Purchases(config(careful_share=0.5), domain())
    assert [found.buys(Trial("unet", 0, "repaired", hours(s))) for s in (300, 480, 5000)] == [False, True, True]
    empty = Purchases(config(careful_share=0.5), domain((0,) * 8))
    assert not empty.buys(Trial("unet", 0, "repaired", 1.0)) and empty.buys(Trial("unet", 0, "careful", 1.0))


def test_a_round_of_corrections_has_its_part_of_the_budget():
    assert [len(part.pictures) for part in bought("corrected", 4 * 220, "round-1", rounds=2)] == [2]


def test_arms_take_part_where_a_budget_buys_something_in_every_seed_and_end_with_the_pool():
    budgets = tuple(map(hours, (100.0, 300.0, 900.0, 2000.0)))
    own = config(arms=("careful", "boxes", "few_shot"), budgets=budgets)
    assert affordable(own, domain()) == {
        "careful": list(budgets[1:]),
        "boxes": list(budgets),
        "few_shot": list(budgets[1:]),
    }
    found = list_trials(own, domain())
    shown = {(t.network, t.arm): [s.budget for s in found if s.arm == t.arm and s.seed == 0] for t in found}
    # four pictures: 880 s of careful outlines, 160 s of boxes
    ended = list(budgets[1:3])
    assert shown == {("unet", "careful"): ended, ("unet", "boxes"): list(budgets[:2]), (NONE, "few_shot"): ended}
    assert [trial.seed for trial in found] == sorted(trial.seed for trial in found)


def test_pictures_that_stand_out_come_first():
    pictures = domain()
    pictures.images[:] = 0.5
    first = pictures.split(0).train[2]
    pictures.images[first, :8] = 1.0
    (part,) = bought("careful", 221, pictures=pictures, order="foreground")
    assert part.pictures == (first,)
    pictures.images[:] = 0.5  # nothing stands out anywhere: by lot
    assert bought("careful", 221, pictures=pictures, order="foreground") == bought("careful", 221, pictures=pictures)


def test_validation_pictures_show_an_object_where_any_does_and_are_as_many_as_asked_for():
    pictures = domain((0, 0, 0, 0, 0, 0, 0, 0))
    last = pictures.split(0).validation[-1]
    pictures.labels[last, :4, :4] = 1
    assert Purchases(config(validation_pictures=1), pictures).validation(0) == [last]
    assert set(Purchases(config(), pictures).validation(0)) == set(pictures.split(0).validation)


def test_targets_say_what_an_annotation_leaves_open():
    pictures = domain()
    pictures.ignored[:, -1] = True
    found = Purchases(config(), pictures)
    for kind, open_pixels in (("careful", 0), ("boxes", 16), ("points", 64)):
        target = found.target(kind, 0, 0)
        assert (target[-1] == IGNORED).all() and target[:-1].max() == 1
        assert (target[:-1] == IGNORED).sum() == pytest.approx(open_pixels, abs=28) and target[20, 20] == 0
    np.testing.assert_array_equal(found.target("careful", 0, 0)[:-1], pictures.labels[0, :-1] > 0)
