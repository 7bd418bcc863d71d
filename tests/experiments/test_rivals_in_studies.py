"""Predictions of other programs in the studies: the truth scores 1, our own predictions score as our networks."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from experiments.annotation_errors.__main__ import main
from experiments.annotation_errors.grid import Trial as ErrorTrial
from experiments.annotation_upgrade.grid import CLEAN, laboratory
from experiments.few_shot.grid import whole_of
from experiments.few_shot.pictures import HeldOutType
from experiments.harness.examples import Examples
from experiments.harness.networks import network_of
from experiments.harness.options import overlaid
from experiments.harness.parsing import defaults_of, resolved
from experiments.harness.rival_options import RivalOptions, is_rival
from experiments.harness.rivals import read_rivals, write_test_pictures
from experiments.harness.run import ready
from experiments.harness.store import Trained
from experiments.harness.study import judged_pictures, with_rivals
from experiments.publish import study_of
from experiments.site_segmentation.grid import OUTLINES
from experiments.site_segmentation.grid import Trial as SiteTrial
from segjax.data import open_source, write_labels
from segjax.maps.masks import tidied
from segjax.ops.components import components
from segjax.types import InputError

DATA = "microscope:hl60?size=sixth&volumes=4&slices=2&crop=48"
TINY = [
    "--scale", "smoke", "--data", DATA, "--networks", "msd", "--train.epochs", "10", "--sizes.msd-depth", "2",
    "--train.learning-rate", "0.03",
    "--strategy", "sequential", "--errors", "omission", "--levels", "0.5",
]  # fmt: skip


def run(monkeypatch, capsys, *options) -> str:
    monkeypatch.setattr(sys, "argv", ["annotation_errors", *TINY, *map(str, options)])
    main()
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
def test_a_whole_study_with_rivals(tmp_path, monkeypatch, capsys):
    out, truth, own = tmp_path / "run", tmp_path / "truth", tmp_path / "own"
    text = run(monkeypatch, capsys, "--out", out, "--write-test-pictures", truth)
    assert "2 test pictures are in" in text and not out.exists()
    run(monkeypatch, capsys, "--out", out, "--write-test-pictures", own)
    source = open_source(DATA)
    for path in (truth / "images").iterdir():
        write_labels(truth / "labels" / path.name, source[source.names.index(path.stem)].labels)
    with pytest.raises(InputError, match=r"rival own: .* has no labels"):  # before anything is trained
        run(monkeypatch, capsys, "--out", out, "--rival", f"truth=folder:{truth}", f"own=folder:{own}")
    assert not out.exists()
    text = run(monkeypatch, capsys, "--out", out, "--rival", f"truth=folder:{truth}")
    assert "[3/3]" in text and "Dice 1.000" in text
    kept = Examples(out / "examples").load(ErrorTrial("msd", 0))
    for index, mask in zip(kept["indices"], kept["masks"], strict=True):
        write_labels(own / "labels" / f"{source.names[index]}.png", mask.astype(np.int32))
    rivals = (f"truth=folder:{truth}", f"own=folder:{own}?labels=components")
    text = run(monkeypatch, capsys, "--out", out, "--rival", *rivals)
    assert "3 of 4 trials are done already; 1 to do" in text  # no network is trained again for a rival
    table = pd.read_csv(out / "results.csv", keep_default_na=False)
    table = table[~table["metric"].isin(["label_dice", "cores"]) & (table["error"] == "none")]
    table["network"] = table["network"].str.partition("@")[0]
    values = {name: rows.set_index(["picture", "metric"])["value"] for name, rows in table.groupby("network")}
    pd.testing.assert_series_equal(values["own"], values["msd"])
    assert (values["truth"].xs("dice", level="metric").astype(float) == 1).all()
    page = (out / "report.html").read_text()
    assert "The labels of truth and own were predicted elsewhere. Their training data are not known here" in page
    assert "MSD with clean labels</td><td>truth (predicted elsewhere)" in page.replace("\n", "")


UPGRADE = {
    "source": {"data": "microscope:hl60?size=sixth&volumes=8&slices=2&crop=48"},
    "questions": ("rivals",),
    "error": "omission=0.5",
    "clean_errors": (),
}
SITES = {"source": {"data": "terrain:mounds?pixels=64&metres=6.64&sheets=4&pictures=3&without=1", "folds": 4}}
TYPES = {"shots": (1,), "compare_shots": (1,), "candidates": 2, "queries": 1, "types": (1, 2)}
NAMES = "class_names=disc,square"
STUDIES = {
    "annotation_upgrade": (UPGRADE, lambda config, name: laboratory(config, "msd", CLEAN)),
    "few_shot": (TYPES, lambda config, name: whole_of(config, "msd", 0, name)),
    "site_segmentation": (SITES, lambda config, name: SiteTrial("msd", 0, OUTLINES)),
}


@pytest.fixture(scope="module")
def typed(tmp_path_factory) -> str:
    """Four slides of two pictures with a disc (1) and a square (2) each."""
    folder = tmp_path_factory.mktemp("typed")
    rows, columns = np.mgrid[:32, :32]
    (folder / "images").mkdir()
    for number in range(8):
        disc = np.hypot(rows - 9 - number // 4, columns - 9) < 6
        square = np.maximum(abs(rows - 22), abs(columns - 20 - number // 2)) < 4
        labels = (disc + 2 * square).astype(np.int32)
        image = 60 * labels + np.random.default_rng(number).integers(20, 80, (32, 32))
        Image.fromarray(image.astype(np.uint8)).save(folder / "images" / f"slide{number // 2}-{number}.png")
        write_classes(folder, f"slide{number // 2}-{number}", labels, labels)
    return f"folder:{folder}?groups=^(.*)-&{NAMES}"


@pytest.fixture(scope="module")
def opened(typed, tmp_path_factory):
    """The configuration and pictures of a study by its name, read once."""
    found = {}

    def read(name):
        if name not in found:
            study = study_of(name)
            own = {"run": {"out": tmp_path_factory.mktemp(name), "seeds": 1}, "segmentation": {"networks": ("msd",)}}
            changes = {"source": {"data": typed}, **STUDIES[name][0], **own}
            config = resolved(study, overlaid(defaults_of(study, "smoke"), changes))
            found[name] = study, config, study.read(config)
        return found[name]

    return read


def measured(study, config, data, folder):
    """Values of the trials of a rival folder."""
    names = f"?{NAMES}" if study.rivals.needs_classes else ""
    options = RivalOptions((f"other=folder:{folder}{names}",))
    judged = judged_pictures(study, config, data)
    known = with_rivals(study, read_rivals(options, data.source, judged, study.rivals.needs_classes))
    context, trials = ready(known, config, data)
    own = [trial for trial in trials if is_rival(trial.network)]
    assert own and all(known.needs(context, trial) == [] for trial in own)
    assert trials[: -len(own)] == study.trials(config, data)
    return {trial: known.measure(context, trial) for trial in own}


def write_classes(folder, name, labels, classes):
    """Instances, and class images beside them."""
    write_labels(folder / "labels" / f"{name}.png", labels.astype(np.int32))
    (folder / "classes").mkdir(exist_ok=True)
    Image.fromarray(classes.astype(np.uint8)).save(folder / "classes" / f"{name}.png")


def test_a_picture_that_is_not_judged_needs_no_prediction(opened):
    study, config, data = opened("few_shot")
    queries = {index for new in (1, 2) for index in HeldOutType(config, data, 0, new).query.tolist()}
    assert set(judged_pictures(study, config, data)) == queries < set(data.split(0).test)


@pytest.mark.parametrize("name", STUDIES)
def test_the_truth_scores_1(opened, tmp_path, name):
    study, config, data = opened(name)
    write_test_pictures(tmp_path / "truth", data.source, judged_pictures(study, config, data))
    for index in judged_pictures(study, config, data):
        sample = data.source[index]
        classes = np.append(0, sample.classes)[sample.labels]
        write_classes(tmp_path / "truth", sample.name, sample.labels, classes)
    for trial, outcome in measured(study, config, data, tmp_path / "truth").items():
        values = {(row.metric, row.picture): row.value for row in outcome.rows}
        assert trial.method == "elsewhere" and values["dice_pooled", ""] == 1, trial
        rates = {metric: value for (metric, _), value in values.items() if metric.endswith("_rate")}
        assert rates in ({}, {"detection_rate": 1, "false_positive_rate": 0})


def some_marking(network, images):
    """Weights, drawn at random, with which a network marks some of the pixels, and what it marks."""
    begun, apply = network.init(jax.random.key(0), images[:1]), jax.jit(network.apply)
    for seed in range(100):
        draw = np.random.default_rng(seed)
        variables = jax.tree.map(lambda one, draw=draw: one + draw.normal(0, 0.5, one.shape).astype(np.float32), begun)
        predicted = np.asarray(apply(variables, images)).argmax(-1)
        if 0.05 < predicted.mean() < 0.4 and predicted.any((1, 2)).all():
            return variables, predicted
    raise AssertionError("none of these networks marks some of the pixels")


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_our_own_predictions_score_as_our_network(opened, tmp_path, monkeypatch, name):
    study, config, data = opened(name)
    context, _ = ready(study, config, data)
    pictures = getattr(data, "domain", data)
    network = network_of(config.segmentation.sizes, "msd", pictures)
    images = jnp.asarray(pictures.images)
    variables, predicted = some_marking(network, images)
    monkeypatch.setattr(type(context.store), "load", lambda self, training: Trained(variables, "ok", 0, {}))
    kind = next(iter(getattr(data, "types", {"": 1})))
    ours = study.measure(context, STUDIES[name][1](config, kind))
    write_test_pictures(tmp_path / "own", data.source, judged_pictures(study, config, data))
    for index in judged_pictures(study, config, data):
        mask = predicted[index]
        if name == "site_segmentation":
            mask = tidied(mask > 0, config.minimum_area)
        write_classes(tmp_path / "own", data.source.names[index], components(mask > 0), mask)
    theirs = next(iter(measured(study, config, data, tmp_path / "own").values()))
    assert 0 < dict((row.metric, row.value) for row in ours.rows)["dice_pooled"] < 1
    assert list(ours.rows) == list(theirs.rows)
