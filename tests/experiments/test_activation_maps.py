"""Study 4A end to end at the smallest scale: every map, the cues, training over time, one trace per classifier."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from experiments.activation_maps.__main__ import main
from experiments.activation_maps.analysis import analyse, usable
from experiments.activation_maps.grid import (
    CLASSIFIER,
    CUES,
    MATCHED_DISC,
    REFERENCE,
    REFERENCES,
    Config,
    Trial,
)
from experiments.activation_maps.measure import (
    ELSEWHERE,
    REGIONS,
    chosen_pictures,
    cue_shares,
    localisation_rows,
    reference_rows,
    regions,
)
from experiments.activation_maps.study import STUDY
from experiments.harness.classifiers import (
    Classifier,
    ClassifierTrainer,
    LabelledDomain,
    check_trainable_classifiers,
    read_labelled,
)
from experiments.harness.map_options import OURS, MapOptions
from experiments.harness.options import overlaid
from experiments.harness.page import answers
from experiments.harness.pictures import Splitting
from experiments.harness.publish import config_of
from experiments.harness.run import defaults_of, opened, resolved
from segjax.data import make_split
from segjax.evaluation import sentence
from segjax.maps import MAPS
from segjax.sweeps import Replicates, ResultTable, collect, read_plan
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
    text = run(monkeypatch, capsys, *options)
    assert "report:" in text and "failed" not in text
    assert len(traces) == 1  # however long classifiers are trained

    table = pd.read_csv(out / "results.csv", keep_default_na=False)
    columns = ["study", "data", "network", "seed", "map", "epochs", "picture", "metric", "value", "status", "code"]
    assert list(table.columns) == columns
    found = {(row.map, row.epochs) for row in table.itertuples()}
    assert found == {
        *((kind, 0) for kind in (CLASSIFIER, CUES, OURS, "cam", "rise", *REFERENCES)),
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
    assert "Contour-CAM (ours)" in page and "Panel of maps" in page and "By the area of the object" in page
    assert {path.suffix for path in (out / "figures").iterdir()} == {".svg", ".png"}

    table_at(out).write(tmp_path / "trials.csv")
    published = ResultTable.read(tmp_path / "trials.csv", Trial, 0.0)
    shown = analyse(config_of(Config, read_plan(out)["config"]), published)
    assert "By the area of the object" not in shown.tables and "Outlines by boundary" in shown.figures
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


def smoke(out: Path) -> Config:
    changes = {"run": {"out": out}, "source": {"data": DATA, "folds": 4}}
    return resolved(STUDY, overlaid(defaults_of(STUDY, "smoke"), changes))


def pictures_of(config: Config) -> LabelledDomain:
    return read_labelled(config.source.data, Splitting.of(config.source), config.classification)


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


def table_of(values) -> ResultTable[Trial]:
    """A table of results from (network, map, metric) -> values by seed, each with its own test set."""
    same = {"picture": "", "status": "ok", "code": ""}
    rows = [
        {**vars(Trial(network, seed, kind)), **same, "metric": metric, "value": value}
        for (network, kind, metric), found in values.items()
        for seed, value in enumerate(found)
    ]
    return ResultTable.from_rows(pd.DataFrame(rows), Trial, Replicates(("a", "b", "c", "d", "e")))


def test_a_classifier_that_was_begun_again_is_one_failure_however_often_it_is_looked_at(tiny):
    restarted = {("resnet18", kind, "restarts"): [1] for kind in (CLASSIFIER, CUES, "cam")}
    table = table_of({**restarted, ("resnet18", "grad_cam", "restarts"): [0]})
    assert len(table.failures()) == 3
    assert analyse(tiny, table).failures["map"].tolist() == [CLASSIFIER]


def test_claims_are_against_all_maps_and_cautions_say_whose_maps_are_meaningless(tiny):
    values = {
        ("resnet18", CLASSIFIER, "auc"): [0.95, 0.97, 0.96, 0.96, 0.95],
        ("msd_classifier", CLASSIFIER, "auc"): [0.6, 0.7, 0.5, 0.6, 0.6],
        (REFERENCE, MATCHED_DISC, "iou"): [0.7] * 5,
    }
    ious = {OURS: 0.61, "cam": 0.41, "grad_cam": 0.5, "layer_cam_fusion": 0.2}
    noise = np.array([-0.02, 0.01, 0.0, 0.02, -0.01])
    for number, (kind, iou) in enumerate(ious.items()):
        for network in ("resnet18", "msd_classifier"):
            values[network, kind, "iou"] = iou + np.roll(noise, number)
            values[network, kind, "boundary_f_4px"] = 1 - iou + np.roll(noise, number)
            values[network, kind, "road"] = 0.3 + np.roll(noise, number)
            values[network, kind, "sanity"] = [0.8 if kind == "cam" else 0.1] * 5
            values[network, kind, "brightness_correlation"] = [-0.6 if kind == "grad_cam" else 0.1] * 5
    table = table_of(values)
    assert usable(tiny, table) == {"resnet18": True, "msd_classifier": False}
    found = analyse(tiny, table)
    by_metric = {
        metric: [claim.rival for claim in found.claims if claim.metric == metric]
        for metric in ("IoU", "boundary F at 4 px", "ROAD")
    }
    rivals = ["CAM", "Grad-CAM", "LayerCAM, layers fused"]
    assert by_metric == dict.fromkeys(by_metric, rivals) and len(found.claims) == 9
    verdicts = {(claim.metric, claim.rival): claim.decision.verdict for claim in found.claims}
    assert {verdicts["IoU", rival] for rival in rivals} == {"ahead"}
    assert {verdicts["boundary F at 4 px", rival] for rival in rivals} == {"behind"}
    assert {verdicts["ROAD", rival] for rival in rivals} == {"not decided"}
    assert [(claim.metric, claim.rival) for claim in found.main] == [
        ("IoU", "Grad-CAM"),
        ("boundary F at 4 px", "LayerCAM, layers fused"),
    ]
    assert sentence(found.main[0]).startswith("Contour-CAM of ResNet-18 is ahead of Grad-CAM by 0.110 in IoU (95 %")
    assert len(answers(found)) == 2
    said = " ".join(found.cautions)
    assert "MSD classifier is under an AUC of 0.9: what is said of its maps means nothing." in said
    assert "ResNet-18: maps that largely copy the picture's brightness: Grad-CAM (-0.60)." in said
    assert "hardly change when the weights are shuffled, so that they say little about what was learnt: CAM." in said
    assert "has an IoU of 0.700, which no map is told" in said and "MSD classifier: maps" not in said
    assert not analyse(dataclasses.replace(tiny, questions=("training",)), table).claims


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


def test_what_is_refused_once_pictures_are_known(tiny, domain):
    with pytest.raises(InputError, match="target: class 2 is not among those of"):
        pictures_of(overlaid(tiny, {"classification": {"target": 2}}))
    with pytest.raises(InputError, match=r"label: 'tell' is not among the labels of .*: no site, site"):
        pictures_of(overlaid(tiny, {"classification": {"label": "tell"}}))
    with pytest.raises(InputError, match="no picture lacks the object"):
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
    passes = {trial.map: STUDY.passes(context, trial) for trial in trials if trial.network != "resnet18"}
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
    with pytest.raises(InputError, match="label: give one of none, site; it is told apart"):
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
