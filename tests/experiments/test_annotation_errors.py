"""Study 1 end to end at the smallest scale, what it refuses, and that it does only what is missing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.annotation_errors.__main__ import main
from experiments.annotation_errors.analysis import PASTED, analyse, beside_published, doses
from experiments.annotation_errors.gallery import gallery
from experiments.annotation_errors.grid import Trial
from experiments.annotation_errors.pictures import drawn_targets, read
from experiments.annotation_errors.statements import published
from experiments.annotation_errors.study import STUDY, FaultyTrainer
from experiments.harness.examples import Examples
from experiments.harness.networks import network_of
from experiments.harness.options import Sizes, overlaid
from experiments.harness.parsing import defaults_of, resolved
from experiments.harness.study import Context
from segjax.annotations import Recipe
from segjax.training import LoopConfig, make_steps
from segjax.training import steps as steps_module
from segjax.types import InputError
from tests.experiments.made_up_costs import made_up
from tests.trial_files import forget

TINY = [
    "--scale", "smoke", "--data", "microscope:hl60?size=sixth&volumes=4&slices=1&crop=48",
    "--networks", "unet", "msd", "--train.epochs", "1", "--sizes.msd-depth", "2", "--sizes.unet-width", "2",
]  # fmt: skip


def run(monkeypatch, capsys, *options: str) -> str:
    monkeypatch.setattr(sys, "argv", ["annotation_errors", *options])
    main()
    return capsys.readouterr().out


def test_several_errors_at_once_are_one_error_with_its_own_strengths(tmp_path):
    file = tmp_path / "recipe.json"
    file.write_text(Recipe(omission=0.1, inclusion=0.2, jitter=6, scope="object").to_json())
    config = resolved(STUDY, overlaid(defaults_of(STUDY, "smoke"), {"errors": ("bias", "omission=0.5", str(file))}))
    text = "omission=0.1+inclusion=0.2+jitter=6"
    assert config.errors == ("bias", "omission=0.5", text)
    asked = [(trial.error, trial.level) for trial in config.trials(False) if trial.network == "unet"]
    assert asked == [("none", 0), ("bias", 6), ("omission=0.5", 1), ("inclusion", 0), (text, 1)]
    drawn = config.annotations.drawn
    assert config.recipe(text, 1, 6) == Recipe(omission=0.1, inclusion=0.2, jitter=1, **drawn)
    with pytest.raises(InputError, match=r"errors: 'smear' in 'omission=0.5[+]smear=1' is unknown"):
        resolved(STUDY, overlaid(config, {"errors": ("omission=0.5+smear=1",)}))


@pytest.mark.slow
def test_one_trace_of_the_training_step_serves_all_strengths_and_seeds(tmp_path, monkeypatch, capsys):
    traced = []
    make = steps_module.pure_step

    def counting(network, *options):
        step = make(network, *options)
        return lambda *arguments: traced.append(type(network).__name__) or step(*arguments)

    monkeypatch.setattr(steps_module, "pure_step", counting)
    options = ["--errors", "omission", "bias", "--levels", "0.3", "0.7", "6", "--seeds", "2", "--out", str(tmp_path)]
    text = run(monkeypatch, capsys, *TINY, *options, "--strategy", "sequential")
    assert "[16/16]" in text and traced == ["UNet", "MSD"]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["vmap", "both"])
def test_a_pack_in_one_step_gives_the_numbers_of_one_after_the_other(tmp_path, monkeypatch, capsys, strategy):
    found = []
    for name in ("sequential", strategy):
        options = ["--networks", "msd", "--errors", "bias", "--strategy", name, "--out", str(tmp_path / name)]
        run(monkeypatch, capsys, *TINY, *options)
        table = pd.read_csv(tmp_path / name / "results.csv")
        found.append(table[table["metric"] == "dice_pooled"].sort_values("level")["value"].to_numpy())
    np.testing.assert_allclose(found[0], found[1], atol=1e-3)


@pytest.fixture
def tiny(tmp_path):
    data = "microscope:hl60?size=sixth&volumes=4&slices=1&crop=48"
    changes = {"run": {"out": tmp_path}, "source": {"data": data}, "errors": ("omission", "bias")}
    return overlaid(defaults_of(STUDY, "smoke"), changes)


@pytest.mark.slow
def test_the_whole_study(tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    text = run(monkeypatch, capsys, *TINY, "--out", str(out))
    assert "report:" in text
    table = pd.read_csv(out / "results.csv", keep_default_na=False)
    assert list(table.columns) == [
        "study", "data", "network", "seed", "error", "level", "picture", "metric", "value", "status", "code",
    ]  # fmt: skip
    trials = table[["network", "error", "level"]].drop_duplicates().itertuples(index=False, name=None)
    settings = [("none", 0.0), ("omission", 0.5), ("inclusion", 0.0), ("inclusion", 0.5), ("bias", 6.0)]
    assert sorted(trials) == sorted((network, *setting) for network in ("unet", "msd") for setting in settings)
    pooled = table[(table["metric"] == "dice_pooled")]["value"].astype(float)
    assert len(pooled) == 10 and pooled.between(0, 1).all()
    assert set(table[table["picture"] != ""]["metric"]) == {"dice", "iou", "surface_dice", "hd95", "aji", "pq", "f1"}
    split = json.loads((out / "splits" / "seed-0.json").read_text())
    tested = set(table[table["picture"] != ""]["picture"])
    assert tested == set(split["test"]) and not tested & {*split["train"], *split["validation"]}
    page = (out / "report.html").read_text()
    assert '<p class="verdict">Nothing can be concluded about annotation errors: even with clean labels, ' in page
    assert "No difference is decided" in page
    assert "as wide as 6 pixels of the published ones" in page
    assert "What the errors do to labels" in page and "the only one: Dice" in page
    assert {path.name for path in (out / "figures").iterdir()} == {
        "dice_of_the_test_set.svg", "surface_dice.svg", "panoptic_quality.svg"
    }  # fmt: skip
    chosen = json.loads((out / "packs" / "unet.json").read_text())
    assert chosen["pack"] == 5 and set(chosen["seconds per member and step"]) == {"sequential", "spread"}

    before = (out / "results.csv").read_bytes()
    assert "10 of 10 trials are done already; 0 to do" in run(monkeypatch, capsys, *TINY, "--out", str(out), "--resume")
    assert (out / "results.csv").read_bytes() == before
    assert not list((out / "networks").glob("*.safetensors"))  # each was needed by one trial, which is measured

    assert forget(out, ",msd,0,bias,") == 1
    (out / "report.html").unlink()
    with pytest.raises(SystemExit, match="4"):  # the missing one is in the other shard
        run(monkeypatch, capsys, *TINY, "--out", str(out), "--shard", "1/2")
    text = capsys.readouterr().out
    assert "other processes are working on 1 of 10 trials" in text and not (out / "report.html").exists()
    text = run(monkeypatch, capsys, *TINY, "--out", str(out), "--shard", "2/2")
    assert "4 of 5 trials are done already; 1 to do" in text and (out / "report.html").exists()
    assert (out / "results.csv").read_bytes() == before

    with pytest.raises(InputError, match="another configuration"):
        run(monkeypatch, capsys, *TINY, "--out", str(out), "--scope", "picture")


@pytest.mark.slow
def test_plan_trains_nothing(tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    text = run(monkeypatch, capsys, *TINY, "--networks", "msd", "--errors", "omission", "--out", str(out), "--plan")
    assert "2 trials" in text and "nothing was trained" in text
    assert not out.exists()


@pytest.mark.slow
def test_a_wrong_option_ends_with_one_message_and_code_2(tmp_path):
    command = [sys.executable, "-m", "experiments.annotation_errors", "--out", str(tmp_path / "run"), "--levels", "1.4"]
    ended = subprocess.run(
        command, capture_output=True, text=True, cwd=Path(__file__).parents[2], env=os.environ, check=False
    )
    assert ended.returncode == 2
    assert "levels: 1.4 is no strength; give rates between 0 and 1" in ended.stderr and "Traceback" not in ended.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"segmentation": {"networks": ("vnet",)}}, "networks: unknown 'vnet'"),
        ({"errors": ("omision",)}, "errors: unknown 'omision'"),
        ({"errors": ("bias", "bias")}, "given twice"),
        ({"levels": (1.4,)}, "is no strength; give rates"),
        ({"levels": (0.0,)}, "is no strength; give rates"),
        ({"levels": (0.5,)}, "bias has no strength among 0.5; add a whole number"),
        ({"errors": ("polygon",), "levels": (2.0,)}, "a polygon has at least 3 corners, not 2; give 3"),
        ({"run": {"seeds": 0}}, "seeds must be"),
        ({"run": {"shard": "3/2"}}, "shard: '3/2' is not I/N"),
        ({"annotations": {"target": 0}}, "classes count from 1"),
        ({"segmentation": {"tolerance": -1.0}}, "tolerance must be"),
        ({"source": {"folds": 1}}, "folds must be from 2"),
        ({"segmentation": {"sizes": Sizes(msd_depth=0)}}, "network msd: depth must be"),
        ({"source": {"data": "microscop:hl60"}}, "is not SCHEME:NAME"),
    ],
)
def test_what_resolve_refuses(tiny, change, message):
    with pytest.raises(InputError, match=message):
        resolved(STUDY, overlaid(tiny, change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"annotations": {"target": 2}}, "target: class 2 is not among"),
        ({"source": {"data": "folder:nowhere"}}, "nowhere"),
        ({"levels": (0.01, 6.0)}, "levels: omission at a rate of 0.01 changes nothing, since no volume has more than"),
        ({"levels": (0.5, 4.0)}, "bias 4 is 0.67 pixels"),
    ],
)
def test_what_opening_refuses(tiny, change, message):
    config = resolved(STUDY, overlaid(tiny, change))
    with pytest.raises(InputError, match=message):
        read(config)


def test_a_network_that_cannot_take_the_pictures_is_refused_before_anything_is_written(tiny):
    sizes = Sizes(unet_levels=6, segnet_levels=2, msd_depth=2)
    config = resolved(STUDY, overlaid(tiny, {"segmentation": {"sizes": sizes}}))
    with pytest.raises(InputError, match="network unet: pictures must be at least 64"):
        read(config)


def test_resume_needs_results(tmp_path, monkeypatch, capsys):
    with pytest.raises(InputError, match="nothing to go on with"):
        run(monkeypatch, capsys, *TINY, "--out", str(tmp_path / "none"), "--resume")


def test_levels_go_to_the_errors_of_their_kind(tiny):
    config = overlaid(tiny, dict(levels=(0.7, 6.0, 0.3, 12.0)))
    assert config.levels_of("omission") == config.levels_of("inclusion") == (0.3, 0.7)
    assert config.levels_of("bias") == (6.0, 12.0)
    assert config.levels_of("polygon") == (12.0, 6.0)
    assert config.levels_of("markov") == (6.0, 12.0)
    assert overlaid(tiny, dict(levels=())).levels_of("bias") == (2.0, 4.0, 6.0)


def test_pixel_strengths_scale_with_coarser_pixels(tiny):
    assert tiny.recipe("bias", 6.0, 2.0) == Recipe(bias=3)
    assert tiny.recipe("shift", 3.0, 2.0) == Recipe(shift=1.5)
    assert tiny.recipe("polygon", 8.0, 2.0) == Recipe(polygon=8)
    assert tiny.recipe("markov", 8.0, 2.0) == Recipe(markov=8)


def test_trials_come_seed_by_seed_and_only_pasted_inclusion_has_a_zero_point(tiny):
    changes = {"run": {"seeds": 2}, "errors": ("inclusion",), "levels": (0.5,), "segmentation": {"networks": ("unet",)}}
    config = overlaid(tiny, changes)
    assert config.trials(has_own_foreign=True) == [
        Trial("unet", seed, *setting) for seed in (0, 1) for setting in (("none", 0.0), ("inclusion", 0.5))
    ]
    pasted = config.trials(has_own_foreign=False)
    assert [trial for trial in pasted if trial.seed == 0] == [
        Trial("unet", 0), Trial("unet", 0, "inclusion"), Trial("unet", 0, "inclusion", 0.5)
    ]  # fmt: skip


def test_labels_of_training_and_validation_are_faulty_and_the_same_for_a_seed(tiny):
    config = resolved(STUDY, overlaid(tiny, {"errors": ("omission",)}))
    data = read(config)
    split, trainer = data.split(0), FaultyTrainer(config, data)
    clean, faulty, again = (
        trainer.job(Trial("msd", 0, *setting), lambda training: None)
        for setting in (("none", 0.0), ("omission", 0.5), ("omission", 0.5))
    )
    assert clean.facts["label_dice"] == 1.0 and 0.4 < faulty.facts["label_dice"] < 0.95
    for one, other, whole in zip(faulty.train, again.train, clean.train, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.shape == whole.shape
    for part in ("train", "validation"):
        one, whole = getattr(faulty, part).targets, getattr(clean, part).targets
        assert one.sum() < whole.sum() and not np.any(one & ~whole)
        np.testing.assert_array_equal(getattr(faulty, part).images, getattr(clean, part).images)
    assert not set(split.test) & {*split.train, *split.validation}
    assert trainer.extent(Trial("msd", 0)) == (len(split.train), len(split.validation))


def test_errors_are_drawn_by_seed_and_recipe(tiny):
    data = read(resolved(STUDY, tiny))
    split = data.split(0)
    drawn = [
        drawn_targets(data.plain, split, recipe, seed)
        for recipe, seed in ((Recipe(omission=0.5), 0), (Recipe(omission=0.5), 1), (Recipe(omission=0.6), 0))
    ]
    assert len({targets.tobytes() for targets in drawn}) == 3


def test_one_compilation_serves_every_strength_and_seed(tiny, monkeypatch):
    changes = {
        "run": {"seeds": 2, "strategy": "sequential"},
        "segmentation": {"networks": ("msd",), "sizes": Sizes(msd_depth=2)},
        "train": {"loop": LoopConfig(epochs=1)},
    }
    config = resolved(STUDY, overlaid(tiny, changes))
    data = read(config)
    network = network_of(config.segmentation.sizes, "msd", data.plain)
    traces = []

    class Counted(type(network)):
        def __call__(self, *arguments, **options):
            traces.append(1)
            return super().__call__(*arguments, **options)

    fields = {name: getattr(network, name) for name in ("depth", "width", "input_mean", "input_std")}
    steps = make_steps(Counted(**fields), config.train.step)
    monkeypatch.setattr(FaultyTrainer, "make_steps", lambda self, kind: steps)
    store, trials = STUDY.trainings(config, data), STUDY.trials(config, data)
    assert len(trials) == 6
    store.ensure(trials[:1])
    first = len(traces)
    store.ensure(trials)
    assert len(traces) == first > 0


STEPS = np.array([0.0, 0.01, 0.02, 0.01, 0.03])
TABLE = {
    ("unet", "none", 0.0): 0.90 + STEPS,
    ("unet", "omission", 0.5): 0.70 + 2 * STEPS,
    ("unet", "inclusion", 0.0): 0.85 + STEPS,
    ("unet", "inclusion", 0.5): 0.85 - STEPS,
    ("msd", "none", 0.0): 0.90 + STEPS,
    ("msd", "omission", 0.5): 0.85 + 2 * STEPS,
}


def test_curves_start_at_clean_labels_but_inclusion_at_pasted_objects():
    found = doses(made_up(TABLE), "dice_pooled").set_index(["network", "error", "level"])["mean"].to_dict()
    assert found == pytest.approx(
        {
            ("unet", "omission", 0.0): 0.914, ("unet", "omission", 0.5): 0.728,
            ("unet", "inclusion", 0.0): 0.864, ("unet", "inclusion", 0.5): 0.836,
            ("msd", "omission", 0.0): 0.914, ("msd", "omission", 0.5): 0.878,
        }
    )  # fmt: skip
    own = doses(made_up({key: value for key, value in TABLE.items() if key[1:] != ("inclusion", 0.0)}), "dice_pooled")
    start = own[(own["error"] == "inclusion") & (own["level"] == 0)]
    assert start["mean"].tolist() == pytest.approx([0.914])  # own foreign objects: clean labels are the start


CLEAN, PASTED_IN, OMITTED = (
    "with clean labels",
    "with clean labels, foreign objects pasted in",
    "with 50 % omitted cells",
)


def test_claims_compare_with_the_right_baseline(tiny):
    claims = {(claim.subject, claim.rival): claim.decision for claim in analyse(tiny, made_up(TABLE)).claims}
    assert set(claims) == {
        (f"U-Net {CLEAN}", f"U-Net {OMITTED}"),
        (f"U-Net {CLEAN}", f"U-Net {PASTED_IN}"),
        (f"U-Net {PASTED_IN}", "U-Net with 50 % wrongly included objects"),
        (f"MSD {CLEAN}", f"MSD {OMITTED}"),
    }
    assert claims[f"U-Net {CLEAN}", f"U-Net {OMITTED}"].mean == pytest.approx(18.6)
    assert claims[f"U-Net {CLEAN}", f"U-Net {PASTED_IN}"].mean == pytest.approx(5.0)


def said(tiny, table, coarsening=1.0):
    found = analyse(tiny, made_up(table, coarsening))
    return [found.verdict, *found.notes]


def only(*errors, seeds=5, network=None):
    """Some of the made-up values: clean labels and these errors, of all networks or of one."""
    kept = {key: value for key, value in TABLE.items() if key[1] in ("none", *errors) and network in (None, key[0])}
    return {key: value[:seeds] for key, value in kept.items()}


def test_the_verdict_names_the_dear_and_the_cheap_error_and_what_foreign_objects_cost(tiny):
    # clean .914 on average; omitted .728 (U-Net) and .878 (MSD); pasted .864, of which .836 is left
    assert said(tiny, TABLE) == [
        "50 % omitted cells cost most, from 3.6 Dice points (MSD) to 18.6 (U-Net), and 50 % wrongly included objects "
        "least, 2.8 Dice points (U-Net), which is not decided.",
        "Even where no label is wrong, foreign objects in the pictures cost 5.0 Dice points (U-Net). The cost of "
        "including them comes on top.",
    ]


def test_few_test_sets_are_only_described(tiny):
    (verdict,) = said(tiny, only("omission", seeds=2))
    assert verdict == "In 2 test sets, 50 % omitted cells cost from 4.5 Dice points (MSD) to 19.5 (U-Net)."


def test_costs_that_are_not_decided_are_said_to_be_so(tiny):
    noisy = only("omission")
    noisy["msd", "omission", 0.5] = 0.90 + STEPS - np.array([0.2, -0.1, 0.15, -0.15, 0.1])
    assert said(tiny, noisy) == [
        "50 % omitted cells cost from 4.0 Dice points (MSD) to 18.6 (U-Net), decided for U-Net only."
    ]
    alone = {key: value for key, value in noisy.items() if key[0] == "msd"}
    assert said(tiny, alone) == ["50 % omitted cells cost 4.0 Dice points (MSD), which is not decided."]


def test_errors_that_cost_nothing_and_costs_that_are_not_known_yet(tiny):
    better = {**only(network="msd"), ("msd", "omission", 0.5): 0.95 + STEPS}
    assert said(tiny, better) == ["None of the errors lowers the Dice of any network."]
    assert said(tiny, only()) == [
        "No cost is known yet: it takes a network trained on clean labels and the same network on noisy labels."
    ]
    both = {**only("omission"), ("msd", "omission", 0.5): 0.95 + STEPS}
    assert said(tiny, both) == ["50 % omitted cells cost up to 18.6 Dice points (U-Net)."]


def test_a_network_that_learnt_nothing_from_clean_labels_does_not_count(tiny):
    poor = {key: 0.02 * value if key[0] == "msd" else value for key, value in TABLE.items()}
    verdict, left_out, _ = said(tiny, poor)
    assert "18.6 Dice points (U-Net)" in verdict and "MSD" not in verdict
    assert left_out == "MSD is left out here: the Dice with clean labels is below 0.5."
    none = {key: 0.3 * value for key, value in TABLE.items()}
    (verdict,) = said(tiny, none)
    assert verdict.startswith("Nothing can be concluded about annotation errors: even with clean labels, ")


def test_the_error_that_costs_most_has_the_highest_cost_even_where_another_network_gains(tiny):
    outlines = {("unet", "bias", 12.0): 0.55 + STEPS, ("msd", "bias", 12.0): 1.30 + STEPS}
    verdict, *_ = said(tiny, {**only("omission"), **outlines})
    assert verdict.startswith("Outline errors of up to 12 px cost most, up to ")


def test_pixels_of_the_answer_are_those_of_the_pictures(tiny):
    outlines = {**only(network="msd"), ("msd", "bias", 12.0): 0.80 + STEPS}
    assert said(tiny, outlines, 6.0) == ["Outline errors of up to 2 px cost 10.0 Dice points (MSD)."]


def test_the_main_chart_has_a_row_per_error_and_one_for_foreign_objects(tiny):
    charts = analyse(tiny, made_up(TABLE)).charts
    assert list(charts) == ["costs", "dice_of_the_test_set"]  # the made-up table has no other metric
    main = charts["costs"]
    assert main.title == "50 % omitted cells cost most, 50 % wrongly included objects least"
    rows = [label.get_text() for label in main.wide.axes[0].get_yticklabels()]
    assert [row.replace("\n", " ") for row in rows] == ["50 % omitted cells", "50 % wrongly included objects", PASTED]
    lost = main.table.set_index(["error", "network"])["Dice points lost"]
    assert lost["50 % omitted cells", "MSD"] == 3.6 and lost[PASTED, "U-Net"] == 5.0
    assert "95 % intervals" in main.caption
    assert (
        charts["dice_of_the_test_set"].title == "With 50 % omitted cells, MSD reaches a Dice of 0.878 and U-Net 0.728"
    )


def test_a_caption_explains_only_what_its_chart_shows(tiny):
    charts = analyse(tiny, made_up(only("omission", seeds=2))).charts
    assert not any("interval" in chart.caption or "oreign" in chart.caption for chart in charts.values())


def test_no_table_speaks_in_identifiers(tiny):
    found = analyse(tiny, made_up(TABLE))
    frames = [*found.tables.values(), *(chart.table for chart in found.charts.values()), found.failures]
    words = {str(cell) for frame in frames for cell in (*frame.columns, *frame.to_numpy(object).ravel())}
    assert not words & {"omission", "inclusion", "bias", "none", "level", "label_dice", "error_level"}
    assert found.tables["dice_pooled"]["labels"].tolist()[:2] == ["clean labels", "50 % omitted cells"]


def test_published_values_stand_beside_equal_strengths_only(tiny):
    paper = published("hl60")
    assert set(paper["network"]) == {"unet", "segnet", "msd"} and paper["dice"].between(0, 1).all()
    found = beside_published(made_up(TABLE), paper)
    # published inclusion starts at pictures without foreign objects, which ours have in them
    assert found[["network", "labels"]].to_numpy().tolist() == [
        ["U-Net", "clean labels"], ["U-Net", "50 % omitted cells"], ["U-Net", "50 % wrongly included objects"],
        ["MSD", "clean labels"], ["MSD", "50 % omitted cells"],
    ]  # fmt: skip
    last = found.iloc[-1]
    assert (last["Dice here"], last["Dice published"]) == ("0.878", "0.931")


def test_a_page_says_what_a_pixel_is(tiny):
    plain, coarse = (analyse(tiny, made_up(TABLE, coarsening)).cautions for coarsening in (1.0, 6.0))
    assert plain == ["Surface Dice lets outlines differ by 2 px."]
    assert "as wide as 6 pixels of the published ones" in coarse[1] and "at least 1 px" in coarse[2]


def test_galleries_show_the_worst_median_and_best_picture_and_the_labels_of_every_error(tiny, tmp_path):
    config = resolved(STUDY, tiny)
    data = read(config)
    context = Context(config, data, STUDY.trainings(config, data), Examples(tmp_path))
    (labels,) = gallery(context)
    assert labels.steps == ("picture", "labels")
    assert {row: [one.caption for one in looks] for row, looks in labels.rows.items()} == {
        "Omitted cells": ["50 %"], "Outline errors": ["up to 1 px"]
    }  # fmt: skip
    truth = data.plain.labels[:3] > 0
    masks = np.stack([truth[0] & (np.arange(truth.shape[2]) < 24), truth[1], truth[2]])
    for trial in (Trial("msd", 0), Trial("msd", 0, "omission", 0.5)):
        context.examples.keep(trial, {"indices": np.arange(3), "masks": masks})
    *_, predictions, labels = gallery(context)
    assert list(predictions.rows) == ["MSD, clean labels", "MSD, 50 % omitted cells"]
    captions = [one.caption for one in predictions.rows["MSD, clean labels"]]
    assert captions[0].startswith("worst: Dice 0.") and captions[1:] == ["median: Dice 1.00", "best: Dice 1.00"]
    assert {len(one.layers) for looks in predictions.rows.values() for one in looks} == {2}
