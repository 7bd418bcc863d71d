"""Study 5 end to end at the smallest scale, with every arm, and what is refused before anything is trained."""

import dataclasses
import sys

import numpy as np
import pandas as pd
import pytest

from experiments.annotation_budget import study, trainings
from experiments.annotation_budget.__main__ import main
from experiments.annotation_budget.grid import ARMS, NONE, TRAINS_NONE, Training
from experiments.annotation_budget.study import STUDY, read
from experiments.harness.options import overlaid
from experiments.harness.parsing import defaults_of, resolved
from experiments.harness.store import Trained
from segjax.annotations.prices import Prices
from segjax.types import InputError
from tests import guide_inputs

MOUNDS = "terrain:mounds?pixels=64&metres=6.64&sheets=4&pictures=6&without=1"
CELLS = "microscope:hl60?size=sixth&volumes=4&slices=1&crop=48"
TINY = [
    "--scale", "smoke", "--data", MOUNDS, "--sizes.unet-width", "2", "--sizes.unet-levels", "1", "--train.epochs", "1",
    "--classifier", "msd_classifier", "--classify.epochs", "1", "--strategy", "sequential", "--price", "outline=60",
    "--budgets", "0.07",
]  # fmt: skip


def run(monkeypatch, capsys, *options: str) -> str:
    monkeypatch.setattr(sys, "argv", ["annotation_budget", *options])
    main()
    return capsys.readouterr().out


@pytest.mark.slow
def test_the_whole_study(tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    text = run(monkeypatch, capsys, *TINY, "--out", str(out))
    assert "report:" in text and "failed" not in text
    table = pd.read_csv(out / "results.csv", keep_default_na=False)
    assert list(table.columns) == [
        "study", "data", "network", "seed", "arm", "budget", "picture", "metric", "value", "status", "code",
    ]  # fmt: skip
    whole = table[table["picture"] == ""]
    pooled = whole.pivot_table("value", ["arm", "budget"], "metric", aggfunc="first").astype(float)
    assert set(pooled.index.get_level_values("arm")) == set(ARMS)
    assert set(table[table["network"] == NONE]["arm"]) == set(TRAINS_NONE)
    prices = vars(Prices(outline=60))
    for (_, hours), row in pooled.iterrows():
        paid = sum(row[f"count_{name}"] * price for name, price in prices.items() if row.get(f"count_{name}", 0) > 0)
        assert paid / 3600 == pytest.approx(row["hours"]) and row["hours"] <= hours
        assert row["count_picture"] == row["pictures"]
    assert set(pooled.index[pooled["at_end"] == 1].get_level_values("arm")) == {
        "quick",
        "points",
        "boxes",
        "image_labels",
    }
    assert set(pooled["pictures"][pooled["at_end"] == 1]) == {12}  # of two of the four sheets
    assert pooled.loc[("mixture", 0.07), ["share_of_careful", "share_of_quick"]].tolist() == [0.5, 0.5]
    assert pooled.loc[("corrected", 0.07), "count_look"] > 0 and pooled.loc[("repaired", 0.07), "count_quick"] > 0
    bought = table[table["metric"] == "bought"].groupby(["arm", "budget"])["picture"].nunique()
    assert (bought == pooled["pictures"].reindex(bought.index)).all()
    page = (out / "report.html").read_text()
    assert "What was bought" in page and "prices as they were" in page
    assert len(list((out / "figures").iterdir())) == 2

    before = (out / "results.csv").read_bytes()
    assert "0 to do" in run(monkeypatch, capsys, *TINY, "--out", str(out), "--resume")
    assert (out / "results.csv").read_bytes() == before


def config(**changes):
    return overlaid(defaults_of(STUDY, "smoke"), {"source": {"data": CELLS}, **changes})


def refused(match, **changes):
    with pytest.raises(InputError, match=match):
        read(resolved(STUDY, config(**changes)))


def test_arms_that_the_pictures_cannot_feed_are_left_out_and_said():
    domain = read(resolved(STUDY, config(budgets=(0.5,))))
    assert set(domain.withheld) == {"image_labels"}
    assert {trial.arm for trial in STUDY.trials(config(budgets=(0.5,)), domain)} == set(ARMS) - {"image_labels"}
    few = STUDY.cautions(config(budgets=(0.02, 0.5)), domain)
    assert any(line.startswith("Not compared: careful outlines at 0.02 h, which buy nothing with one") for line in few)
    said = STUDY.cautions(config(budgets=(0.5,)), domain)
    assert any(line.startswith("Not compared: image labels. Reason: all training pictures show") for line in said)
    assert any("validation pictures" in line and "are not counted" in line for line in said)
    own = STUDY.cautions(config(budgets=(0.5,), arms=("careful", "points")), domain)
    assert "Not compared: boxes. Reason: --arms leaves it out." in own and not any("points." in line for line in own)


def test_what_cannot_be_is_refused_before_anything_is_trained():
    refused("arms: image_labels: all training pictures show the object", arms=("image_labels",))
    refused("arms: few_shot: there are no trained weights 'nobody'", arms=("few_shot",), extractors="nobody")
    refused("channel", arms=("few_shot",), extractors="simulated_tissue")
    refused(
        "budgets: 0.0001 h buy nothing with one seed or more, whatever they are spent on; careful outlines .* take 0.",
        budgets=(0.0001, 0.5),
    )
    refused("budgets: no budget is enough for repaired", arms=("points", "repaired"), budgets=(0.02,))
    refused("prices: -1|price: 'box=-1' has no price", prices={"price": ("box=-1",)})
    refused("price: unknown name in 'boxes=7'", prices={"price": ("boxes=7",)})
    refused("arms: unknown 'lines'", arms=("lines",))
    refused("budgets: -1.0 is not a budget", budgets=(-1.0,))
    refused("budgets: there are none", budgets=())
    refused("quick: bias is not drawn object by object", quick="bias=6")
    refused("baseline: unknown 'trees'; choose from otsu, adaptive", baseline="trees")
    refused("mixed: unknown 'corrected'; choose from careful, quick, points, boxes", mixed=("careful", "corrected"))
    refused("mixed: a value is given twice", mixed=("quick", "quick"))
    refused("mixed: a mixture takes two kinds or more", mixed=("quick",))
    refused("shares: 1.0 is not a share", shares=(1.0,))
    refused("careful_share: 0.0 is not a share", careful_share=0.0)
    refused("rounds must be", rounds=1)
    refused("map: unknown 'lens'", map="lens")


def test_a_folder_feeds_what_its_labels_allow(tmp_path):
    guide_inputs.pictures(tmp_path / "mine", side=64)
    domain = read(resolved(STUDY, config(source={"data": f"folder:{tmp_path}/mine"}, budgets=(0.5,))))
    assert set(domain.withheld) == {"image_labels"}


def test_pictures_that_nobody_outlined_take_no_part_and_are_said(tmp_path):
    guide_inputs.pictures(tmp_path / "mine", side=64)
    source = {"data": f"folder:{tmp_path}/mine", "folds": 2}
    plain = read(resolved(STUDY, config(source=source, budgets=(0.5,))))
    blank = next(index for index in plain.split(0).train if len(plain.split(0).train) > 1)
    plain.ignored[blank] = True
    domain = dataclasses.replace(plain)
    assert blank not in domain.split(0).train and domain.split(0).test == plain.split(0).test
    said = STUDY.cautions(config(budgets=(0.5,)), domain)
    assert any(line.startswith("Left out, as nobody outlined them: 1 of ") for line in said)
    assert "repaired" not in domain.withheld
    plain.ignored[:] = True
    with pytest.raises(InputError, match="data: none of the pictures to train with seed 0 is outlined"):
        dataclasses.replace(plain).split(0)


def test_pixels_that_nobody_judged_are_neither_learnt_by_a_network_that_repairs_nor_paid_for(tmp_path, monkeypatch):
    guide_inputs.pictures(tmp_path / "mine", side=64)
    open_corner = np.zeros((64, 64), bool)
    open_corner[:20, :20] = True
    whole = study.read_domain

    def read_in_part(*given):
        domain = whole(*given)
        domain.labels[:, open_corner], domain.ignored[:, open_corner] = 0, True
        return domain

    monkeypatch.setattr(study, "read_domain", read_in_part)
    own = resolved(STUDY, config(source={"data": f"folder:{tmp_path}/mine", "folds": 2}, budgets=(0.2,)))
    domain = read(own)
    assert "pixels that nobody judged" in domain.withheld["repaired"]
    trainer = STUDY.trainings(own, domain).trainer
    monkeypatch.setattr(trainings, "predict", lambda steps, variables, images: np.array([open_corner] * len(images)))
    first = Training("unet", 0, "corrected", 0.2, part="round-1")
    corrected = dataclasses.replace(first, part=f"round-{own.rounds}")
    before, after = (trainer.learnt(one, lambda training: Trained({}, "ok", 0, {})) for one in (first, corrected))
    assert len(after.pictures) > len(before.pictures) and not after.counts.get("look")
