"""Study 4A end to end at the smallest scale: every map, the cues, training over time, one trace per classifier."""

import dataclasses
import inspect
import json
import re
import sys
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import ndimage

from experiments.activation_maps.__main__ import main
from experiments.activation_maps.analysis import analyse
from experiments.activation_maps.grid import (
    CLASSIFIER,
    CUES,
    MATCHED_DISC,
    REFERENCES,
    Config,
    Trial,
)
from experiments.activation_maps.measure import (
    ELSEWHERE,
    REGIONS,
    chosen_pictures,
    cue_rows,
    cue_shares,
    localisation_rows,
    reference_rows,
    regions,
)
from experiments.activation_maps.study import STUDY
from experiments.harness.classifier_options import Classifier
from experiments.harness.classifiers import (
    ClassifierTrainer,
    LabelledDomain,
    check_trainable_classifiers,
    read_labelled,
)
from experiments.harness.map_options import OURS, MapOptions
from experiments.harness.options import overlaid
from experiments.harness.parsing import defaults_of, resolved
from experiments.harness.publish import config_of
from experiments.harness.run import opened
from segjax.data import make_split
from segjax.maps import MAPS
from segjax.sweeps import Replicates, ResultTable
from segjax.sweeps.merging import collect
from segjax.sweeps.plan import read_plan
from segjax.training import steps as steps_module
from segjax.types import InputError
from tests.trial_files import forget

DATA = "terrain:mounds?pixels=64&metres=6.64&sheets=4&pictures=4&without=1"
TINY = [
    "--scale", "smoke", "--data", DATA, "--folds", "4", "--classifiers", "msd_classifier", "--train.epochs", "2",
    "--classifier-sizes.msd-depth", "2", "--strategy", "sequential", "--test-pictures", "2",
    "--threshold-pictures", "1",
]  # fmt: skip


def run(monkeypatch, capsys, *options: str) -> str:
    monkeypatch.setattr(sys, "argv", ["activation_maps", *options])
    main()
    return capsys.readouterr().out


def counted(monkeypatch) -> list[int]:
    """How often a training step is traced."""
    traces: list[int] = []
    make = steps_module.pure_step

    def counting(network, *options):
        step = make(network, *options)
        return lambda *arguments: traces.append(1) or step(*arguments)

    monkeypatch.setattr(steps_module, "pure_step", counting)
    return traces


def table_at(out: Path) -> ResultTable[Trial]:
    plan = read_plan(out)
    rows = collect(out, get_type_hints(Trial), plan)
    return ResultTable.from_rows(rows, Trial, Replicates(tuple(plan["replicates"]), plan["overlap"]))


@pytest.mark.slow
def test_the_whole_study(tmp_path, monkeypatch, capsys):
    traces, out = counted(monkeypatch), tmp_path / "run"
    options = [*TINY, "--maps", OURS, "cam", "rise", "--maps-over-training", "cam", "--out", str(out)]
    options += ["--baselines", "otsu"]
    text = run(monkeypatch, capsys, *options)
    assert "report:" in text and "failed" not in text
    assert len(traces) == 1  # however long classifiers are trained

    table = pd.read_csv(out / "results.csv", keep_default_na=False)
    columns = ["study", "data", "network", "seed", "map", "epochs", "picture", "metric", "value", "status", "code"]
    assert list(table.columns) == columns
    found = {(row.map, row.epochs) for row in table.itertuples()}
    assert found == {
        *((kind, 0) for kind in (CLASSIFIER, CUES, OURS, "cam", "rise", *REFERENCES, "otsu")),
        (CLASSIFIER, 1),
        (CUES, 1),
        ("cam", 1),
    }
    of_map = table[(table["map"] == OURS) & (table["picture"] != "")]
    for metric in ("iou", "oracle_iou", "boundary_f_4px", "hd95_m", "pointing_game", "energy", "road", "deletion"):
        assert (of_map["metric"] == metric).sum() == 2, metric
    assert table[table["metric"] == "auc"]["value"].astype(float).between(0, 1).all()
    wide = of_map.pivot(index="picture", columns="metric", values="value").astype(float)
    assert (wide["oracle_iou"] >= wide["contour_level_iou"] - 1e-9).all()
    disc = table[(table["map"] == MATCHED_DISC) & (table["metric"] == "iou")]["value"].astype(float)
    assert (disc > 0.5).all()

    split = json.loads((out / "splits" / "seed-0.json").read_text())
    tested = set(table["picture"]) - {""}
    assert tested and tested <= set(split["test"])
    page = (out / "report.html").read_text()
    assert "What classifiers look at: simulated satellite pictures with mounds" in page
    for text in (
        "Nothing can be concluded about maps",
        "Grey lines, too: Otsu",
        "Maps on pictures",
        "Maps by the area of the object",
    ):
        assert text in page, text
    assert {path.suffix for path in (out / "figures").iterdir()} == {".svg"}

    table_at(out).write(tmp_path / "trials.csv")
    published = ResultTable.read(tmp_path / "trials.csv", Trial, 0.0)
    shown = analyse(config_of(Config, read_plan(out)["config"]), published)
    assert "Maps by the area of the object" not in shown.tables and "outlines_by_boundary" in shown.charts
    assert (published.frame["iou"].notna() == ~published.frame["map"].isin([CLASSIFIER, CUES])).all()

    before = (out / "results.csv").read_bytes()
    assert forget(out, f",{OURS},") == 1
    assert "1 to do" in run(monkeypatch, capsys, *options, "--resume")
    assert (out / "results.csv").read_bytes() == before
    assert len(traces) == 1


def test_plan_trains_nothing(tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    text = run(monkeypatch, capsys, *TINY, "--maps", "cam", "--questions", "maps", "--out", str(out), "--plan")
    assert "nothing was trained" in text and "map cam" in text
    assert not out.exists()


def test_help_lists_every_map():
    text = inspect.getsource(Config)
    assert not [name for name in MAPS if not re.search(rf"\b{name}\b", text)]


def smoke(out: Path) -> Config:
    changes = {"run": {"out": out}, "source": {"data": DATA, "folds": 4}}
    return resolved(STUDY, overlaid(defaults_of(STUDY, "smoke"), changes))


def pictures_of(config: Config) -> LabelledDomain:
    return read_labelled(config.source, config.classification)


@pytest.fixture
def tiny(tmp_path) -> Config:
    return smoke(tmp_path)


@pytest.fixture(scope="module")
def domain(tmp_path_factory) -> LabelledDomain:
    return pictures_of(smoke(tmp_path_factory.mktemp("out")))


def test_labels_and_outlines_of_simulated_ground(domain):
    assert domain.presence.sum() == 8 and domain.metres == 6.64
    np.testing.assert_array_equal(domain.labels.any((1, 2)), domain.presence == 1)
    assert domain.with_object(range(16)) == np.flatnonzero(domain.presence).tolist()
    assert len(domain.without(range(16))) == 8


def means_of(rows) -> pd.Series:
    return pd.DataFrame(rows).groupby("metric")["value"].mean()


def test_a_perfect_map_has_perfect_numbers_and_an_inverted_one_none(domain):
    split = make_split(domain.source, fold=0, folds=4)
    chosen = chosen_pictures(domain, split, 2, 3)
    assert set(chosen.outlined) <= set(split.validation) and set(chosen.shown) <= set(split.test)
    assert len(chosen.shown) == len(chosen.empty) == 2
    truths = (domain.labels[chosen.all] > 0).astype(np.float32)
    values = means_of(localisation_rows(truths, chosen, domain))
    for metric in ("pxap", "iou", "oracle_iou", "boundary_f_2px", "pointing_game", "energy", "contour_level_iou"):
        assert values[metric] == 1, metric
    assert values["false_positive_rate"] == 0 and values["hd95_px"] == 0
    values = means_of(localisation_rows(-truths, chosen, domain))
    assert values["pxap"] < 0.2 and values["pointing_game"] == 0 and values["energy"] == 0


def test_pixels_that_nobody_judged_count_nowhere(domain):
    chosen = chosen_pictures(domain, make_split(domain.source, fold=0, folds=4), 2, 3)
    ignored = np.zeros(domain.labels.shape, bool)
    for index in chosen.all:  # a border around each object, and a corner of each picture
        ignored[index] = ndimage.binary_dilation(domain.labels[index] > 0, iterations=3) & (domain.labels[index] == 0)
        ignored[index, :4, :4] = domain.labels[index, :4, :4] == 0
    unjudged = dataclasses.replace(domain, ignored=ignored)
    maps = np.where(ignored, 2, domain.labels > 0).astype(np.float32)[chosen.all]  # highest where nobody judged
    values = means_of(localisation_rows(maps, chosen, unjudged))
    for metric in ("pxap", "pxap_scaled", "iou", "oracle_iou", "pointing_game", "energy"):
        assert values[metric] == 1, metric
    assert not [name for name in values.index if "boundary" in name or "hd95" in name]  # they would follow the border
    assert values["false_positive_rate"] == 0
    assert means_of(localisation_rows(maps, chosen, domain))["iou"] < 0.9


def test_a_disc_of_75_metres_is_as_large_as_the_ground_says(domain):
    chosen = chosen_pictures(domain, make_split(domain.source, fold=0, folds=4), 2, 3)
    values = {row.picture: row.value for row in reference_rows("fixed_disc", 0, chosen, domain) if row.metric == "iou"}
    for index in chosen.shown:
        truth = domain.labels[index] > 0
        rows, columns = np.nonzero(truth)
        y, x = np.mgrid[: truth.shape[0], : truth.shape[1]]
        disc = np.hypot(y - rows.mean(), x - columns.mean()) <= 75 / 6.64
        both, either = np.sum(disc & truth), np.sum(disc | truth)
        assert values[domain.source.names[index]] == pytest.approx(both / either)


def test_a_rung_of_the_ladder_is_fitted_to_the_outlines_that_choose_thresholds(domain):
    shown = dataclasses.replace(domain, images=(domain.labels > 0).astype(np.float32)[..., None])
    chosen = chosen_pictures(shown, make_split(shown.source, fold=0, folds=4), 2, 3)
    values = means_of(reference_rows("otsu", 0, chosen, shown))
    assert values["iou"] == 1 and values["false_positive_rate"] == 0
    with pytest.raises(InputError, match="baselines: they answer the question maps"):
        resolved(
            STUDY,
            overlaid(defaults_of(STUDY, "smoke"), {"questions": ("cues",), "classical": {"baselines": ("otsu",)}}),
        )


def test_regions_divide_the_picture():
    rows, columns = np.mgrid[:80, :80]
    distance = np.hypot(rows - 40, columns - 40)
    parts = regions(distance < 16)
    four = [parts[name] for name in REGIONS]
    np.testing.assert_array_equal(np.sum(four, axis=0), 1)
    assert parts["inside"][40, 40] and parts["rim"][40, 56] and parts["halo"][40, 66] and parts["surroundings"][2, 2]
    # the rim reaches 0.15 x 16 = 2.4 pixels to both sides
    assert distance[parts["rim"]].min() > 16 - 3.5 and distance[parts["rim"]].max() < 16 + 3.5
    away = parts[ELSEWHERE]
    assert away.any() and not np.any(away & ~parts["surroundings"])


def test_shares_of_cues_by_hand():
    whole, removed = np.array([4.0, 2.0]), np.array([1.0, 2.0])
    rows = cue_shares(whole, -1.0, {"inside": removed}, {"inside": np.array([0.0, 0.0])})
    assert {row.metric: row.value for row in rows} == {
        "log_odds_ahead": 4.0,
        "cue_lost_without_inside": 3 / 8,
        "cue_left_with_inside": 2 / 8,
    }
    rows = cue_shares(whole, 5.0, {"inside": removed}, {})
    assert np.isnan(rows[1].value)
    # a picture that lacks a region counts neither way
    rows = cue_shares(whole, -1.0, {}, {"halo": np.array([1.0, np.nan]), "rim": np.full(2, np.nan)})
    assert rows[1].value == 2 / 5 and np.isnan(rows[2].value)


def test_a_part_that_a_picture_lacks_leaves_nothing(domain):
    chosen = chosen_pictures(domain, make_split(domain.source, fold=0, folds=4), 2, 3)
    labels = domain.labels.copy()
    labels[list(chosen.shown)] = 1  # an object that fills the picture has no surroundings
    full = dataclasses.replace(domain, labels=labels)
    rows = cue_rows(lambda images, removed: 1.0 + images.mean((1, 2, 3)) - removed.mean((1, 2)), chosen, full)
    values = {row.metric: row.value for row in rows}
    assert np.isnan(values["cue_left_with_surroundings"]) and np.isfinite(values["cue_left_with_inside"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"maps": ("gradcam",)}, "maps: unknown 'gradcam'"),
        ({"maps_over_training": ("gradcam",)}, "maps_over_training: unknown 'gradcam'"),
        ({"classification": {"classifiers": ("unet",)}}, "classifiers: unknown 'unet'"),
        ({"classification": {"classifiers": ()}}, "classifiers: there are none; give at least one"),
        ({"classification": {"target": 0}}, "target: classes count from 1"),
        ({"questions": ("why",)}, "questions: unknown 'why'"),
        ({"epochs_looked_at": (2,)}, "epochs_looked_at: 2 must be from 1 to 1"),
        (
            {"epochs_looked_at": (1,), "train": {"loop": {"epochs": 1}}},
            "one epoch has none before its last",
        ),
        ({"threshold_pictures": 0}, "threshold_pictures must be at least 1"),
        ({"test_pictures": 0}, "test_pictures must be at least 1"),
        ({"maps": ()}, "maps: name at least one"),
    ],
)
def test_what_resolve_refuses(tiny, change, message):
    with pytest.raises(InputError, match=message):
        overlaid(tiny, change).resolved()


def test_maps_that_a_classifier_cannot_have_are_left_out_or_refused(tiny):
    sizes = {"vgg_head": "hidden", "norm": "group"}
    changes = {"classification": {"classifiers": ("vgg16",), "classifier_sizes": sizes}, "questions": ("maps",)}
    both = overlaid(tiny, {**changes, "maps": ("cam", "full_grad", "grad_cam")})
    maps = {trial.map for trial in both.resolved().trials(True) if trial.network == "vgg16"}
    assert maps == {CLASSIFIER, "grad_cam"}
    with pytest.raises(InputError, match="maps: vgg16 has none of them; CAM needs a linear head"):
        dataclasses.replace(both, maps=("cam", "full_grad")).resolved()


def test_a_second_view_is_refused_where_a_classifier_has_none(tiny, domain):
    def config(*names, **sizes):
        return overlaid(tiny, {"classification": {"classifiers": names, "classifier_sizes": sizes}})

    with pytest.raises(InputError, match=r"classifiers: unknown 'vgg16\+affine'; choose from .*vgg16\+puzzle, vgg16"):
        config("vgg16+affine").resolved()
    growing = dataclasses.replace(tiny.train, loop=dataclasses.replace(tiny.train.loop, stop="plateau"))
    with pytest.raises(InputError, match=r"classifiers: resnet18\+puzzle .*stop=plateau does not fix; give stop=fixed"):
        dataclasses.replace(config("resnet18+puzzle"), train=growing).resolved()
    dataclasses.replace(config("resnet18+seam"), train=growing).resolved()
    hidden = config("vgg16+seam", vgg_head="hidden")
    with pytest.raises(InputError, match=r"classifiers: vgg16\+seam: network: it has no class activation map"):
        check_trainable_classifiers(hidden.classification, domain, 1)
    narrow = dataclasses.replace(domain, images=domain.images[:, :48, :48])
    with pytest.raises(InputError, match=r"resnet18\+puzzle: images: half of 48x48 px .*multiples of 64 px"):
        check_trainable_classifiers(config("resnet18+puzzle").classification, narrow, 1)


def test_what_is_refused_once_pictures_are_known(tiny, domain):
    with pytest.raises(InputError, match="target: class 2 is not among those of"):
        pictures_of(overlaid(tiny, {"classification": {"target": 2}}))
    with pytest.raises(InputError, match=r"label: 'tell' is not a label of .*; choose one of no site, site"):
        pictures_of(overlaid(tiny, {"classification": {"label": "tell"}}))
    with pytest.raises(InputError, match="no picture is without the object"):
        pictures_of(overlaid(tiny, {"source": {"data": DATA.replace("without=1", "without=0")}}))
    everywhere = dataclasses.replace(domain, presence=(np.asarray(domain.source.groups) == "sheet-00").astype(np.int32))
    with pytest.raises(InputError, match="pictures of seed 0 all"):
        check_trainable_classifiers(tiny.classification, everywhere, 1)


def test_lengths_of_training_share_their_steps_and_nothing_else(tiny, domain):
    trainer = ClassifierTrainer(tiny.classification, tiny.train, domain)
    whole, one = (trainer.kind(Classifier("resnet18", 0, epochs)) for epochs in (0, 1))
    assert whole != one and trainer.steps(whole) is trainer.steps(one)
    assert trainer.loop(whole) == tiny.train.loop and trainer.loop(one) == dataclasses.replace(
        tiny.train.loop, epochs=1
    )
    job, split = trainer.job(Classifier("resnet18", 3), None), domain.split(3)
    np.testing.assert_array_equal(job.train.targets, domain.presence[list(split.train)])
    np.testing.assert_array_equal(job.validation.images, domain.images[list(split.validation)])
    assert trainer.extent(Classifier("resnet18", 3)) == (len(split.train), len(split.validation))


def test_measuring_is_estimated_by_what_maps_cost(tiny):
    few = MapOptions(rise_masks=100, removal_steps=5)
    config = dataclasses.replace(tiny, maps=("grad_cam", "rise"), map_options=few)
    context, trials = opened(STUDY, config)
    found = {trial: STUDY.passes(context, trial) for trial in trials if trial.network != "resnet18"}
    passes = {trial.map: each.get((trial.training, trial), 0) for trial, each in found.items()}
    chosen = context.data.chosen(0)
    judging = (2 * 5 + 14) * len(chosen.shown)
    assert passes["rise"] == 100 * len(chosen.all) + judging and passes["grad_cam"] == 3 * len(chosen.all) + judging
    assert passes[CLASSIFIER] == passes[CUES] == passes[MATCHED_DISC] == 0


def folder_with_types(path):
    """Pictures of two types of discs, one in each; class images."""
    for part in ("images", "classes"):
        (path / part).mkdir(parents=True)
    for number in range(6):
        rows, columns = np.mgrid[:32, :32]
        disc = np.hypot(rows - 12 - number, columns - 16) < 6
        kind = 1 + number % 2
        Image.fromarray((60 + 60 * kind * disc).astype(np.uint8)).save(path / "images" / f"{number}.png")
        Image.fromarray((kind * disc).astype(np.uint8)).save(path / "classes" / f"{number}.png")
    return f"folder:{path}"


def test_one_class_against_the_rest(tiny, tmp_path):
    changes = {"source": {"data": folder_with_types(tmp_path / "types")}, "classification": {"target": 2}}
    domain = pictures_of(overlaid(tiny, changes))
    np.testing.assert_array_equal(domain.presence, [0, 1, 0, 1, 0, 1])
    np.testing.assert_array_equal(domain.labels.any((1, 2)), domain.presence == 1)
    assert domain.metres is None and domain.foreign[0].any()


def test_labels_from_a_table_without_any_outline(tiny, tmp_path):
    path = tmp_path / "mine"
    (path / "images").mkdir(parents=True)
    for number in range(6):
        picture = np.random.default_rng(number).integers(0, 255, (32, 32), np.uint8)
        Image.fromarray(picture).save(path / "images" / f"{number}.png")
    lines = [f"{number}.png,{'site' if number < 3 else 'none'}" for number in range(6)]
    (path / "sites.csv").write_text("picture,label\n" + "\n".join(lines) + "\n")
    spec = f"folder:{path}?image_labels=sites.csv"
    config = overlaid(tiny, {"source": {"data": spec}, "classification": {"label": "site"}})
    domain = pictures_of(config)
    np.testing.assert_array_equal(domain.presence, [1, 1, 1, 0, 0, 0])
    unsaid = overlaid(config, {"classification": {"label": ""}})
    with pytest.raises(InputError, match="label: choose one of none, site; classifiers tell it apart"):
        pictures_of(unsaid)
    ordered = overlaid(unsaid, {"source": {"data": f"{spec}&label_names=site,none"}})
    np.testing.assert_array_equal(pictures_of(ordered).presence, [0, 0, 0, 1, 1, 1])
    assert not domain.outlined.any() and not domain.with_object(range(6))
    kinds = {trial.map for trial in config.resolved().trials(False)}
    assert not kinds & {CUES, *REFERENCES} and CLASSIFIER in kinds


@pytest.mark.parametrize("scale", STUDY.scales)
def test_every_scale_is_sound_and_survives_json(scale, tmp_path):
    config = resolved(STUDY, overlaid(defaults_of(STUDY, scale), {"run": {"out": tmp_path}}))
    stored = json.loads(json.dumps(dataclasses.asdict(config), default=str))
    assert config.run.scale == scale and config_of(Config, stored) == config
    trials = config.trials(True)
    assert len(set(trials)) == len(trials) and {trial.seed for trial in trials} == set(range(config.run.seeds))
    assert set(config.maps) <= set(MAPS)
