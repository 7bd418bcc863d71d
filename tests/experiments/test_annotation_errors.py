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
from experiments.annotation_errors.analysis import analyse, beside_published, doses, published
from experiments.annotation_errors.grid import Trial
from experiments.annotation_errors.pictures import drawn_targets, read
from experiments.annotation_errors.study import STUDY, FaultyTrainer
from experiments.harness.networks import network_of
from experiments.harness.options import Sizes, overlaid
from experiments.harness.parsing import defaults_of, resolved
from segjax.annotations import Recipe
from segjax.sweeps import Replicates, ResultTable
from segjax.training import LoopConfig, make_steps
from segjax.training import steps as steps_module
from segjax.types import InputError
from tests.trial_files import forget

TINY = [
    "--scale", "smoke", "--data", "microscope:hl60?size=sixth&volumes=4&slices=1&crop=48",
    "--networks", "unet", "msd", "--train.epochs", "1", "--sizes.msd-depth", "2", "--sizes.unet-width", "2",
]  # fmt: skip


def run(monkeypatch, capsys, *options: str) -> str:
    monkeypatch.setattr(sys, "argv", ["annotation_errors", *options])
    main()
    return capsys.readouterr().out


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
    assert "6 times as coarse as the published ones" in page
    assert "<script src" not in page and "http://" not in page.replace("http://www.w3.org", "")
    assert {path.suffix for path in (out / "figures").iterdir()} == {".svg", ".png"}
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
    assert "levels: 1.4 is neither a rate" in ended.stderr and "Traceback" not in ended.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"segmentation": {"networks": ("vnet",)}}, "networks: unknown 'vnet'"),
        ({"errors": ("omision",)}, "errors: unknown 'omision'"),
        ({"errors": ("bias", "bias")}, "given twice"),
        ({"levels": (1.4,)}, "neither a rate"),
        ({"levels": (0.0,)}, "neither a rate"),
        ({"levels": (0.5,)}, "none of .* is a strength of bias"),
        ({"errors": ("polygon",), "levels": (2.0,)}, "at least 3 corners"),
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
        ({"levels": (0.01, 6.0)}, "omission 0.01 of at most"),
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
    assert overlaid(tiny, dict(levels=())).levels_of("bias") == (2.0, 4.0, 6.0)


def test_pixel_strengths_scale_with_coarser_pixels(tiny):
    assert tiny.recipe("bias", 6.0, 2.0) == Recipe(bias=3)
    assert tiny.recipe("shift", 3.0, 2.0) == Recipe(shift=1.5)
    assert tiny.recipe("polygon", 8.0, 2.0) == Recipe(polygon=8)


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


def made_up(values, coarsening=1.0):
    """A table of pooled Dice: values by seed for every (network, error, level)."""
    rows = [
        ("annotation_errors", "microscope:hl60", network, seed, error, level, "", metric, value, "ok", "c0de")
        for (network, error, level), by_seed in values.items()
        for seed, dice in enumerate(by_seed)
        for metric, value in (("dice_pooled", dice), ("label_dice", 1 - level / 100), ("restarts", 0.0))
    ]
    columns = ["study", "data", "network", "seed", "error", "level", "picture", "metric", "value", "status", "code"]
    replicates = Replicates(tuple("abcdef"))
    return ResultTable.from_rows(pd.DataFrame(rows, columns=columns), Trial, replicates, coarsening)


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


def test_claims_compare_with_the_right_baseline_and_msd_with_the_others(tiny):
    claims = {(claim.subject, claim.rival): claim.decision for claim in analyse(tiny, made_up(TABLE)).claims}
    unet, omitted = "U-Net with clean labels", "with 50 % omitted cells"
    assert set(claims) == {
        (unet, f"U-Net {omitted}"),
        ("U-Net with clean labels of pasted objects", "U-Net with 50 % wrongly included objects"),
        ("MSD with clean labels", f"MSD {omitted}"),
        (f"MSD {omitted}", f"U-Net {omitted}"),
    }
    assert claims[unet, f"U-Net {omitted}"].mean == pytest.approx(18.6)
    assert claims[f"MSD {omitted}", f"U-Net {omitted}"].mean == pytest.approx(15.0)
    assert claims[f"MSD {omitted}", f"U-Net {omitted}"].verdict == "ahead"


def test_published_values_stand_beside_equal_strengths_only(tiny):
    paper = published("hl60")
    assert set(paper["network"]) == {"unet", "segnet", "msd"} and paper["dice"].between(0, 1).all()
    found = beside_published(made_up(TABLE), paper)
    assert set(found[found["error"] == "omission"]["level"]) == {0.0, 0.5}
    first = found[(found["network"] == "msd") & (found["error"] == "omission") & (found["level"] == 0.5)].iloc[0]
    assert (first["ours"], first["published"]) == ("0.878", "0.931")


def test_a_page_says_what_a_pixel_is(tiny):
    plain, coarse = (analyse(tiny, made_up(TABLE, coarsening)).cautions for coarsening in (1.0, 6.0))
    assert len(plain) == 1 and "tolerance of 2 pixels" in plain[0]
    assert "6 times as coarse as the published ones" in coarse[1] and "start at 6 published pixels" in coarse[2]
