"""Trained weights are made by one command: the same bytes again, scored on pictures that they never saw."""

import csv
import dataclasses
import json
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from experiments.pretrain import __main__ as command
from experiments.pretrain.recipes import RECIPES, Jitter, Recipe, Schedule
from experiments.pretrain.train import SHARES, Maker, Score, open_material
from experiments.pretrain.write import add_scores, kept_card, kept_scores, means_of, told, write_network
from segjax.data import PatchConfig
from segjax.fewshot import load_extractors
from segjax.models import card, create
from segjax.models.pretrained import LEARNT, used_pictures
from segjax.types import InputError
from tests.new_type_folder import dish

TINY = Recipe(
    title="discs",
    data="folder:{pictures}/dishes",
    values="grey",
    origin="drawn here, CC0",
    networks={"unet": {"width": 2, "levels": 1, "norm": "running"}},
    extractors={"unet": ("down0", "up0")},
    classes=("background", "disc"),
    crop=24,
    scratch={3: 2},
    patches=PatchConfig(size=16, batch_size=2, window=4),
    jitter=Jitter(size=12, smallest=8),
    schedule=Schedule(starts=2, tried=4, rates=(2e-3, 1e-3), steps=8, patience=4),
)


@pytest.fixture
def pictures(tmp_path):
    """The folder of the public sets, with one of twelve pictures."""
    for name in ("images", "labels"):
        (tmp_path / "sets/dishes" / name).mkdir(parents=True)
    for seed in range(12):
        for name, part in zip(("images", "labels"), dish(seed), strict=True):
            Image.fromarray(part).save(tmp_path / f"sets/dishes/{name}/{seed:02}.png")
    return tmp_path / "sets"


def run(monkeypatch, pictures, out, *more):
    given = ["pretrain", "discs", "--pictures", str(pictures), "--out", str(out), *more]
    monkeypatch.setattr(sys, "argv", given)
    monkeypatch.setitem(command.RECIPES, "discs", TINY)
    command.main()


@pytest.mark.slow
def test_one_command_makes_weights_that_are_used_by_their_folder(pictures, tmp_path, monkeypatch, capsys):
    run(monkeypatch, pictures, tmp_path / "one")
    told_once = capsys.readouterr().out
    folder = tmp_path / "one" / "discs"
    assert {path.name for path in folder.iterdir()} == {
        *("card.json", "LICENSE.txt", "unet.safetensors", "scores.csv", "summary.csv", "pictures.csv")
    }
    found = card(folder)
    assert found.networks == ("unet",)
    for part in ("discs", "drawn here, CC0", "6 pictures, with 2 others", "4 pictures that it never saw", "digest"):
        assert part in str(found)
    assert "python -m experiments.pretrain discs" in str(found)
    assert re.search(r"training: the best of 2 attempts; \d+ steps of 0.002, ended [ab]", str(found))

    material = open_material(TINY, str(pictures))
    unseen = {material.source.names[index] for index in material.test}
    with (folder / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["picture"] for row in rows} == unseen
    assert {(row["annotated_pictures"], row["draw"]) for row in rows} == {("8", "0"), ("3", "0"), ("3", "1")}
    by_hand = np.mean([float(row["dice"]) for row in rows if row["annotated_pictures"] == "8"])
    assert f"Dice {by_hand:.3f}"[:-1] in told_once

    network = create("unet", pretrained=folder)
    picture = material.source[material.test[0]]
    variables = network.init(jax.random.key(0), jnp.asarray(picture.image)[None])
    mask = np.asarray(network.apply(variables, jnp.asarray(picture.image)[None])[0].argmax(-1)) > 0
    own = next(row for row in rows if row["picture"] == picture.name and row["annotated_pictures"] == "8")
    shared = 2 * (mask & (picture.labels > 0)).sum() / (mask.sum() + (picture.labels > 0).sum())
    np.testing.assert_allclose(float(own["dice"]), shared, atol=1e-4)
    (extractor,) = load_extractors(folder)
    assert extractor.mean is not None and extractor.count == 4

    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    run(monkeypatch, pictures, tmp_path / "one")  # finds everything done
    assert capsys.readouterr().out == f"written: {folder}\n"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_same_weights_come_again(pictures, tmp_path):
    material = open_material(dataclasses.replace(TINY, networks={"msd": {"depth": 2}}), str(pictures))
    maker = Maker(material, "msd")
    images = np.stack([material.source[index].image for index in material.train])[:, :, 3:27]
    np.testing.assert_allclose(maker.options["input_mean"], images.mean((0, 1, 2)), atol=1e-4)
    origin = {"command": "python", "commit": "abc", "machine": "one"}
    for place in ("one", "two"):
        made = maker.make()
        write_network(tmp_path / place, "msd", made, material, origin)
        add_scores(tmp_path / place, material, [Score("msd", 8, 0, "a", 0.5, 1.0)])
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path
    few = maker.train(3).variables
    assert (few["params"]["kernels"] != made.variables["params"]["kernels"]).any()


def test_pictures_are_divided_by_name_alone_and_groups_stay_whole(pictures):
    material = open_material(TINY, str(pictures))
    sides = [set(side) for side in (material.train, material.validation, material.test)]
    assert [len(side) for side in sides] == [6, 2, 4] and len(set.union(*sides)) == 12
    assert sum(SHARES) == 1
    few, chosen = material.of(3)
    assert set(few) < sides[0] and set(chosen) < sides[1] and len(few) + len(chosen) == 3
    others, second = material.of(3, draw=1)
    assert set(others) < sides[0] - set(few) and set(second) == sides[1] - set(chosen)
    again = material.of(3, draw=3)[0]  # the first six pictures are used up
    assert set(again) == set(few)
    with pytest.raises(InputError, match=r"scratch: 12 annotated pictures are too many; there are 6"):
        material.of(12)


def test_a_folder_of_another_recipe_is_not_added_to(pictures, tmp_path):
    material = open_material(TINY, str(pictures))
    fresh = kept_card(tmp_path, material)
    assert fresh["networks"] == {}
    (tmp_path / "card.json").write_text(json.dumps(fresh))
    assert kept_card(tmp_path, material) == fresh
    other = open_material(dataclasses.replace(TINY, title="squares"), str(pictures))
    with pytest.raises(InputError, match=r"holds weights of another recipe or version; move it away"):
        kept_card(tmp_path, other)


def test_an_unknown_name_is_told_which_there_are(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["pretrain", "stars"])
    with pytest.raises(InputError, match=rf"unknown 'stars'; choose one of {', '.join(RECIPES)}"):
        command.main()


def test_a_network_from_nothing_with_20_pictures_stands_beside_weights_of_more():
    counts = {name: sum(one.side == LEARNT for one in used_pictures(name)) for name in RECIPES}
    assert {name: 20 in recipe.scratch for name, recipe in RECIPES.items()} == {n: c > 20 for n, c in counts.items()}


@pytest.mark.parametrize("name", RECIPES)
def test_a_card_tells_the_scores_of_its_table(name):
    table = kept_scores(card(name).folder)
    for network, facts in card(name).facts["networks"].items():
        assert facts["scores"] == told(means_of([one for one in table if one.network == network]))


def test_scores_are_told_as_mean_and_range():
    drawn = [(0, "a", 0.25), (0, "b", 0.35), (1, "a", 0.45), (1, "b", 0.55)]
    few = [Score("unet", 3, draw, picture, dice, 0) for draw, picture, dice in drawn]
    scores = [Score("unet", 8, 0, "a", 0.5, 1.0), Score("unet", 8, 0, "b", 0.7, float("nan")), *few]
    three = "the same network trained from scratch on 3 annotated pictures"
    assert told(means_of(scores)) == {
        "these weights, of 8 annotated pictures": "Dice 0.600 (0.500 to 0.700 over pictures), object F1 1.000",
        three: "Dice 0.400 (0.300 to 0.500 over 2 networks, each of other pictures), object F1 0.000",
    }
