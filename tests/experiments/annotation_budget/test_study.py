"""Study 5 end to end at the smallest scale, with every arm, and what is refused before anything is trained."""

import sys

import pandas as pd
import pytest

from experiments.annotation_budget.__main__ import main
from experiments.annotation_budget.grid import ARMS, NONE, TRAINS_NONE
from experiments.annotation_budget.study import STUDY, read
from experiments.harness.options import overlaid
from experiments.harness.parsing import defaults_of, resolved
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
    assert pooled.loc[("mixture", 0.07), "careful_share"] == 0.5
    assert pooled.loc[("corrected", 0.07), "count_look"] > 0 and pooled.loc[("repaired", 0.07), "count_quick"] > 0
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
    said = STUDY.cautions(config(budgets=(0.5,)), domain)
    assert any(line.startswith("Not compared: image labels. Reason: all training pictures show") for line in said)
    assert any("validation pictures" in line and "are not counted" in line for line in said)


def test_what_cannot_be_is_refused_before_anything_is_trained():
    refused("arms: image_labels: all training pictures show the object", arms=("image_labels",))
    refused("arms: few_shot: pretrained: unknown 'nobody'", arms=("few_shot",), extractors="nobody")
    refused("channel", arms=("few_shot",), extractors="simulated_tissue")
    refused("budgets: 0.0001 h buy nothing in every seed, where careful outlines .* take 0.", budgets=(0.0001, 0.5))
    refused("budgets: no budget is enough for repaired", arms=("points", "repaired"), budgets=(0.02,))
    refused("prices: -1|price: 'box=-1' has no price", prices={"price": ("box=-1",)})
    refused("price: unknown name in 'boxes=7'", prices={"price": ("boxes=7",)})
    refused("arms: unknown 'lines'", arms=("lines",))
    refused("budgets: -1.0 is not a budget", budgets=(-1.0,))
    refused("budgets: there are none", budgets=())
    refused("quick: bias is not drawn object by object", quick="bias=6")
    refused("shares: 1.0 is not a share", shares=(1.0,))
    refused("careful_share: 0.0 is not a share", careful_share=0.0)
    refused("rounds must be", rounds=1)
    refused("map: unknown 'lens'", map="lens")


def test_a_folder_feeds_what_its_labels_allow(tmp_path):
    guide_inputs.pictures(tmp_path / "mine", side=64)
    domain = read(resolved(STUDY, config(source={"data": f"folder:{tmp_path}/mine"}, budgets=(0.5,))))
    assert set(domain.withheld) == {"image_labels"}
