"""Study 1 end to end at the smallest scale, what it refuses, and that it does only what is missing."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
from experiments.annotation_errors.config import defaults_of, levels_of, make_cells, recipe_of, resolve
from experiments.options import Sizes
from experiments.pictures import split_of
from experiments.training import check_trainable, network_of

from experiments.annotation_errors import config as study_config
from experiments.annotation_errors.__main__ import main
from experiments.annotation_errors.pictures import check_recipes, open_study, training_pictures
from experiments.annotation_errors.study import Trainer, cells_of
from experiments.harness.options import TrainOptions
from segjax.annotations import Recipe
from segjax.sweeps import cell
from segjax.training import LoopConfig
from segjax.training import steps as steps_module
from segjax.types import InputError

TINY = [
    "--scale", "smoke", "--data", "microscope:hl60?size=sixth&volumes=4&slices=1&crop=48",
    "--networks", "unet", "msd", "--train.epochs", "1", "--sizes.msd-depth", "2", "--sizes.unet-width", "2",
]  # fmt: skip


def run(monkeypatch, capsys, *options: str) -> str:
    monkeypatch.setattr(sys, "argv", ["annotation_errors", *options])
    main()
    return capsys.readouterr().out


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
    return dataclasses.replace(defaults_of("smoke"), out=tmp_path, data=data, errors=("omission", "bias"))


@pytest.mark.slow
def test_the_whole_study(tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    text = run(monkeypatch, capsys, *TINY, "--out", str(out))
    assert "report:" in text
    table = pd.read_csv(out / "results.csv", keep_default_na=False)
    assert list(table.columns) == [
        "study", "data", "network", "seed", "error", "level", "picture", "metric", "value", "status",
    ]  # fmt: skip
    cells = table[["network", "error", "level"]].drop_duplicates().itertuples(index=False, name=None)
    settings = [("none", 0.0), ("omission", 0.5), ("inclusion", 0.0), ("inclusion", 0.5), ("bias", 6.0)]
    assert sorted(cells) == sorted((network, *setting) for network in ("unet", "msd") for setting in settings)
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
    assert "10 of 10 cells are done already; 0 to do" in run(monkeypatch, capsys, *TINY, "--out", str(out), "--resume")
    assert (out / "results.csv").read_bytes() == before

    kept = [line for line in before.decode().splitlines(keepends=True) if ",msd,0,bias," not in line]
    (out / "results.csv").write_text("".join(kept))
    (out / "report.html").unlink()
    text = run(monkeypatch, capsys, *TINY, "--out", str(out), "--share", "1/2")  # the missing one is in the other share
    assert "1 of 10 cells are left to others" in text and not (out / "report.html").exists()
    text = run(monkeypatch, capsys, *TINY, "--out", str(out), "--share", "2/2")
    assert "4 of 5 cells are done already; 1 to do" in text and (out / "report.html").exists()
    assert sorted((out / "results.csv").read_text().splitlines()) == sorted(before.decode().splitlines())

    with pytest.raises(InputError, match="another configuration"):
        run(monkeypatch, capsys, *TINY, "--out", str(out), "--scope", "picture")


def test_plan_trains_nothing(tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    text = run(monkeypatch, capsys, *TINY, "--networks", "msd", "--errors", "omission", "--out", str(out), "--plan")
    assert "2 cells" in text and "nothing was trained" in text
    assert not out.exists()


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
        ({"networks": ("vnet",)}, "networks: unknown 'vnet'"),
        ({"errors": ("omision",)}, "errors: unknown 'omision'"),
        ({"errors": ("bias", "bias")}, "given twice"),
        ({"levels": (1.4,)}, "neither a rate"),
        ({"levels": (0.0,)}, "neither a rate"),
        ({"levels": (0.5,)}, "none of .* is a strength of bias"),
        ({"errors": ("polygon",), "levels": (2.0,)}, "at least 3 corners"),
        ({"seeds": 0}, "seeds must be"),
        ({"share": "3/2"}, "share: '3/2' is not I/N"),
        ({"target": 0}, "classes count from 1"),
        ({"tolerance": -1.0}, "tolerance must be"),
        ({"folds": 1}, "folds must be from 2"),
        ({"sizes": Sizes(msd_depth=0)}, "network msd: depth must be"),
        ({"data": "microscop:hl60"}, "is not SCHEME:NAME"),
    ],
)
def test_what_resolve_refuses(tiny, change, message):
    with pytest.raises(InputError, match=message):
        resolve(dataclasses.replace(tiny, **change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": 2}, "target: class 2 is not among"),
        ({"data": "folder:nowhere"}, "nowhere"),
        ({"levels": (0.01, 6.0)}, "omission 0.01 of at most"),
        ({"levels": (0.5, 4.0)}, "bias 4 is 0.67 pixels"),
    ],
)
def test_what_opening_refuses(tiny, change, message):
    config = resolve(dataclasses.replace(tiny, **change))
    with pytest.raises(InputError, match=message):
        check_recipes(config, open_study(config))


def test_a_network_that_cannot_take_the_pictures_is_refused_before_anything_is_written(tiny):
    config = resolve(dataclasses.replace(tiny, sizes=Sizes(unet_levels=6, segnet_levels=2, msd_depth=2)))
    with pytest.raises(InputError, match="network unet: pictures must be at least 64"):
        check_trainable(config, open_study(config).plain)


def test_resume_needs_results(tmp_path, monkeypatch, capsys):
    with pytest.raises(InputError, match="nothing to go on with"):
        run(monkeypatch, capsys, *TINY, "--out", str(tmp_path / "none"), "--resume")


def test_levels_go_to_the_errors_of_their_kind(tiny):
    config = dataclasses.replace(tiny, levels=(0.7, 6.0, 0.3, 12.0))
    assert levels_of(config, "omission") == levels_of(config, "inclusion") == (0.3, 0.7)
    assert levels_of(config, "bias") == (6.0, 12.0)
    assert levels_of(config, "polygon") == (12.0, 6.0)
    assert levels_of(dataclasses.replace(tiny, levels=()), "bias") == (2.0, 4.0, 6.0)


def test_pixel_strengths_scale_with_coarser_pixels(tiny):
    assert recipe_of(tiny, "bias", 6.0, 2.0) == Recipe(bias=3)
    assert recipe_of(tiny, "shift", 3.0, 2.0) == Recipe(shift=1.5)
    assert recipe_of(tiny, "polygon", 8.0, 2.0) == Recipe(polygon=8)


def test_inclusion_has_a_zero_point_only_where_pictures_are_pasted(tiny):
    config = dataclasses.replace(tiny, errors=("inclusion",), levels=(0.5,), networks=("unet",))
    levels = {
        own: [one["level"] for one in make_cells(config, own) if one["error"] == "inclusion"] for own in (True, False)
    }
    assert levels == {True: [0.5], False: [0.0, 0.5]}


def test_labels_of_training_and_validation_are_faulty_and_the_same_for_a_seed(tiny):
    study = open_study(resolve(dataclasses.replace(tiny, errors=("omission",))))
    split = split_of(study.plain, tiny, 0)
    clean = training_pictures(study.plain, split, Recipe(), 0)
    faulty = training_pictures(study.plain, split, Recipe(omission=0.5), 0)
    again = training_pictures(study.plain, split, Recipe(omission=0.5), 0)
    assert clean[2] == 1.0 and 0.4 < faulty[2] < 0.95
    for one, other, whole in zip(faulty[:2], again[:2], clean[:2], strict=True):
        np.testing.assert_array_equal(one.targets, other.targets)
        assert one.targets.sum() < whole.targets.sum()
        assert not np.any(one.targets & ~whole.targets)
    assert not set(split.test) & {*split.train, *split.validation}


def test_one_compilation_serves_every_strength_and_seed(tiny, monkeypatch):
    config = resolve(
        dataclasses.replace(
            tiny, networks=("msd",), sizes=Sizes(msd_depth=2), train=TrainOptions(loop=LoopConfig(epochs=1))
        )
    )
    study = open_study(config)
    network = network_of(config.sizes, "msd", study.plain)
    traces = []

    class Counted(type(network)):
        def __call__(self, *arguments, **options):
            traces.append(1)
            return super().__call__(*arguments, **options)

    fields = {name: getattr(network, name) for name in ("depth", "width", "input_mean", "input_std")}
    monkeypatch.setattr("experiments.annotation_errors.study.network_of", lambda *_: Counted(**fields))
    trainer = Trainer(config, study)
    cells = cells_of(config, study)
    assert len(cells) == 3
    list(trainer.run([cells[0]], lambda share: None))
    first = len(traces)
    for one in (*cells[1:], cell(network="msd", seed=1, error="omission", level=0.5)):
        list(trainer.run([one], lambda share: None))
    assert len(traces) == first > 0


@pytest.mark.parametrize("scale", study_config.SCALES)
def test_every_scale_is_sound_and_survives_json(scale, tmp_path):
    config = resolve(dataclasses.replace(defaults_of(scale), out=tmp_path))
    assert json.loads(json.dumps(dataclasses.asdict(config), default=str))["scale"] == scale
    for name in config.networks:
        shapes = jax.eval_shape(
            network_of(config.sizes, name, _Blank()).init,
            jax.random.key(0),
            jax.ShapeDtypeStruct((1, 64, 64, 1), np.float32),
        )
        assert jax.tree.leaves(shapes)


class _Blank:
    images = np.zeros((1, 8, 8, 1), np.float32)
