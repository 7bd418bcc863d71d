"""How weights that repair labels and find sites are made: what they learn from and are scored on, and their files."""

import csv
import dataclasses
import json
import sys

import jax
import numpy as np
import pytest

from experiments.outline_sites.held_out import Trivial
from experiments.pretrain import __main__ as command
from experiments.pretrain import mounds, schedule, upgrader
from experiments.pretrain.finished import Finished, Kept, write
from experiments.upgrade_folder.config import FolderConfig, recipes_of
from segjax.evaluation.references import median_radius
from segjax.models import card, create
from segjax.models.pretrained import CHOSE, LEARNT, SCORED, UsedPicture, used_pictures
from segjax.types import InputError, Sample
from segjax.upgrade.recipes import recipe_table
from tests.experiments.test_pretrain import pictures  # noqa: F401
from tests.experiments.test_upgrade_folder import scene

SIDES = (LEARNT, CHOSE, SCORED)
USED = UsedPicture("a", "b", LEARNT, "0" * 16)


def sample(seed, name="a"):
    image, labels = scene(seed)
    ids = labels.astype(np.int32) * 3  # not from 1 on without a gap
    return Sample(image[..., None].astype(np.float32) / 255, ids, np.ones(18, np.int32), name, name)


def test_pictures_are_learnt_from_as_they_are_and_inverted_with_errors_of_their_own_size():
    one = sample(0)
    empty = dataclasses.replace(one, labels=np.zeros_like(one.labels))
    learnt = upgrader.learnt_from([empty, one], 0)  # the empty one teaches nothing
    half = len(learnt.images) // 2
    np.testing.assert_allclose(learnt.images[:half], 1 - learnt.images[half:], atol=1e-6)
    assert half == 1 and learnt.images.shape[1:] == (upgrader.TILE, upgrader.TILE, 1)
    assert sorted(np.unique(learnt.targets.labels)) == list(range(7))
    table, _ = recipe_table(recipes_of(FolderConfig("", "."), median_radius(one.labels[None])))
    np.testing.assert_array_equal(learnt.targets.recipes.bias[0], table.bias)


@pytest.mark.slow
def test_an_upgrader_is_scored_on_pictures_that_it_never_saw(pictures, tmp_path, monkeypatch):  # noqa: F811
    small = {"KINDS": ("dish",), "NUCLEI": "folder:{pictures}/dishes", "SIMULATED": (), "SIDE": 24, "TILE": 24}
    small |= {"NETWORK": {"width": 2, "levels": 1, "norm": "running"}, "LEAST": 8, "SCRATCH": (3,), "DRAWS": 2}
    small |= {"SCHEDULE": schedule.Schedule(1, 1, (1e-3,), 1, 1), "MOST_OBJECTS": 63}
    for name, value in small.items():
        monkeypatch.setattr(upgrader, name, value)
    upgrader._steps.cache_clear()
    seen = []
    monkeypatch.setattr(
        upgrader,
        "learnt_from",
        lambda samples, seed, inner=upgrader.learnt_from: (
            seen.extend(one.name for one in samples),
            inner(samples, seed),
        )[1],
    )
    monkeypatch.setattr(
        schedule,
        "fit",
        lambda key, steps, train, *others, inner=schedule.fit, **more: dataclasses.replace(
            inner(key, steps, train, *others, **more), status="ok"
        ),
    )
    made = upgrader.make(str(pictures), tmp_path / "work")
    upgrader._steps.cache_clear()
    write(tmp_path / "upgrader", made, {"command": "c", "commit": "abc", "machine": "m"})
    with (tmp_path / "upgrader/scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["annotated_pictures"] for row in rows} == {"7", "3"}  # of 12 pictures 5 and 2, and 5 that are scored
    assert len(rows) == 10 and not {row["picture"] for row in rows} & set(seen)
    sides = {side: {one.picture for one in used_pictures(tmp_path / "upgrader") if one.side == side} for side in SIDES}
    assert [len(sides[side]) for side in SIDES] == [5, 2, 5]
    assert {row["picture"].partition("@")[0] for row in rows} == sides[SCORED]
    assert {name.partition("@")[0] for name in seen} <= sides[LEARNT] | sides[CHOSE]
    assert card(tmp_path / "upgrader").facts["objects"]["classes"] == ["object"]
    own = [float(row["dice_before"]) for row in rows if row["annotated_pictures"] == "7"]
    assert f"these weights, 7 annotated pictures: Dice {np.mean(own):.3f} of the noisy labels" in str(
        card(tmp_path / "upgrader")
    )
    assert "training: one attempt; 2 steps of 0.001, ended by the most" in str(card(tmp_path / "upgrader"))
    network = create("unet", pretrained=tmp_path / "upgrader")
    assert network.init(jax.random.key(0), np.zeros((1, 16, 16, 2), np.float32))["params"]


def test_a_card_of_finished_weights_says_all(tmp_path):
    variables = {"params": {"kernel": np.zeros((2, 3), np.float16)}}
    kept = Kept({"width": 2}, variables, {"discs": "Dice 0.900"}, {"side": 64})
    made = Finished(
        title="finds discs",
        about={"takes": "grey"},
        origin="drawn here, CC0",
        networks={"unet": kept},
        scores=[("network",), ("unet",)],
        pictures=[USED],
        scale="dtype",
    )
    write(tmp_path / "discs", made, {"command": "python", "commit": "def", "machine": "one", "more": "no"})
    text = str(card(tmp_path / "discs"))
    for part in (
        "finds discs",
        "takes: grey",
        "licence: Apache-2.0",
        "discs: Dice 0.900",
        "commit: def",
        "parameters: 6",
    ):
        assert part in text
    facts = json.loads((tmp_path / "discs/card.json").read_text())["networks"]["unet"]
    assert facts["side"] == 64 and set(facts["made by"]) == {"command", "commit", "machine"}
    assert card(tmp_path / "discs").scale == "dtype"
    assert used_pictures(tmp_path / "discs") == (USED,)
    assert "drawn here, CC0" in (tmp_path / "discs/LICENSE.txt").read_text()


KINDS = (str, int, str, str, float, float)  # of the columns of the upgrader's table of scores


def test_the_mounds_scores_are_told_with_the_level_and_the_gate_that_they_hold_for():
    point = {"site_level": 0.9, "site_pixels": 3, "site_gate": 0.5791}
    half = {"half_detection_rate": 0.75, "half_false_positive_rate": 0.5}
    pooled = {"dice_pooled": 0.8, "false_positive_rate": 0.25, **point, **half}
    values = {(metric, ""): value for metric, value in pooled.items()} | {("detection_rate", "b"): 0.0}
    told = mounds.told({90: values | {("detection_rate", "a"): 1.0}, 5: values})
    these, few = (
        told["these weights, 90 outlined mounds"],
        told["the same network, trained from scratch, 5 outlined mounds"],
    )
    said = (
        "pieces with 3 px or more above a probability of 0.9 count, in pictures that unet_classifier gives 0.579 or "
        "more: Dice 0.800, {} % of the mounds found, something marked in 25 % of the pictures without one; every piece "
        "above 0.5 counts, in all pictures: 75 % found, something marked in 50 %"
    )
    assert these == said.format(50)
    assert few == said.format(0) + ("; its level was chosen, and unet_classifier trained, with all labelled pictures")


def test_the_card_of_the_mounds_tells_the_scores_of_its_table():
    values = {}
    with (card("mounds").folder / "scores.csv").open() as file:
        for row in csv.DictReader(file):
            if row["network"] == mounds.NETWORK:
                own = values.setdefault(int(row["annotated_pictures"]), {})
                own[row["metric"], row["picture"]] = float(row["value"])
    assert card("mounds").facts["networks"][mounds.NETWORK]["scores"] == mounds.told(values)


def test_mounds_are_kept_where_they_are_ahead_of_what_needs_no_network():
    disc = Trivial("a disc in the middle of every picture", 0.1)
    mounds.check_learnt(0.76, 0.37, disc)
    with pytest.raises(InputError, match=r"curve of 0.500 .* a Dice of 0.370 \(a disc in the middle of every picture"):
        mounds.check_learnt(0.5, 0.37, disc)
    with pytest.raises(InputError, match=r"a Dice of 0.100"):
        mounds.check_learnt(0.76, 0.1, disc)


@pytest.mark.parametrize("name", sorted(command.OTHERS))
def test_weights_that_are_there_are_not_written_over(tmp_path, monkeypatch, name):
    (tmp_path / name).mkdir()
    monkeypatch.setattr(sys, "argv", ["pretrain", name, "--out", str(tmp_path)])
    with pytest.raises(InputError, match=rf"{name}: holds weights already; move it away, or give another --out"):
        command.main()


def test_the_card_of_the_upgrader_tells_the_scores_of_its_table():
    with (card("upgrader").folder / "scores.csv").open() as file:
        rows = [
            upgrader.Score(*(kind(text) for kind, text in zip(KINDS, row, strict=True)))
            for row in [*csv.reader(file)][1:]
        ]
    assert card("upgrader").facts["networks"]["unet"]["scores"] == upgrader.told(rows)
