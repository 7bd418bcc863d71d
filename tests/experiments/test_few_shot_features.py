"""Features of another model in study 3: an extractor beside ours, from files that are refused before any training."""

import dataclasses
import json
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import jax
import numpy as np
import pandas as pd
import pytest

from experiments.few_shot.analysis import analyse
from experiments.few_shot.findings import Findings
from experiments.few_shot.grid import Config, few, folders_by_name
from experiments.few_shot.pictures import read_features, read_pictures
from experiments.few_shot.trials import NONE, Trial
from segjax.data import open_source
from segjax.fewshot import load_extractors
from segjax.sweeps import Replicates, ResultTable
from segjax.types import InputError
from tests.typed_folder import smoke, started, typed_folder

SMALL = [
    "--banks", "joint_ignored", "--feature-counts", "1", "--feature-selections", "relevance", "--baselines",
    "--head", "ridge", "--heads", "prototype", "--draws", "2", "--first-draws", "1",
    "--types", "2", "3", "--shots", "2",
]  # fmt: skip
COUNTS = {("unet", "joint_ignored"): 4, (NONE, "dino@0a1b2c3d"): 3}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> str:
    return typed_folder(tmp_path_factory.mktemp("typed"))


@pytest.fixture
def config(data, tmp_path) -> Config:
    return smoke(tmp_path / "run", data)


def write(folder: Path, data: str, features) -> str:
    """A folder of features of every picture; gives the option's value."""
    source = open_source(data)
    folder.mkdir(exist_ok=True)
    for index, name in enumerate(source.names):
        np.save(folder / f"{name}.npy", features(source[index].image))
    return f"folder:{folder}"


def predicted(folder: Path, data: str, write_pictures) -> str:
    """A folder of the test pictures with their true labels and classes; gives the option's value."""
    write_pictures(("--write-test-pictures", str(folder)))
    own = Path(data.removeprefix("folder:").partition("?")[0])
    for kind in ("labels", "classes"):
        (folder / kind).mkdir()
        for path in (folder / "images").iterdir():
            shutil.copy(own / kind / f"{path.stem}.png", folder / kind)
    return f"truth=folder:{folder}?class_names=disc,square,ring"


def coarse(image):
    """Mean and spread of squares of 4 x 4 pixels, and a constant."""
    squares = image.reshape(8, 4, 8, 4).swapaxes(1, 2).reshape(8, 8, 16)
    return np.stack([squares.mean(-1), squares.std(-1), np.ones((8, 8))], -1).astype(np.float16)


@pytest.mark.slow
def test_a_whole_study_with_features_of_an_extractor_and_the_truth_as_a_rival(data, tmp_path, monkeypatch, capsys):
    """Features that are those of an extractor give its results, and the truth scores 1."""
    out = tmp_path / "run"
    options = ["--data", data, "--out", str(out), *SMALL]
    started(monkeypatch, capsys, *options)
    before = pd.read_csv(out / "results.csv", dtype=str, keep_default_na=False)
    fingerprint = json.loads((out / "plan.json").read_text())["fingerprint"]

    (extractor,) = load_extractors(out / "extractors" / "unet-joint_ignored-seed-0-new-3")
    raw = jax.jit(extractor.raw)
    ours = write(tmp_path / "ours", data, lambda image: np.asarray(raw(extractor.variables, image)))
    other = write(tmp_path / "coarse", data, coarse)
    truth = predicted(tmp_path / "truth", data, lambda place: started(monkeypatch, capsys, *options, *place))
    text = started(monkeypatch, capsys, *options, "--features", ours, other, "--rival", truth, "--resume")
    done = len(trials_in(before))
    assert f"{done} of {done + 2 * 2 * 3 + 2} trials are done already; 14 to do" in text
    assert json.loads((out / "plan.json").read_text())["fingerprint"] == fingerprint
    table = pd.read_csv(out / "results.csv", dtype=str, keep_default_na=False)
    assert set(table["status"]) == {"ok"}
    is_new = table["bank"].str.contains("@") | table["network"].str.contains("@")
    pd.testing.assert_frame_equal(table[~is_new].reset_index(drop=True), before)
    truths = table[table["network"].str.startswith("truth@")].set_index(["type", "metric"])["value"].astype(float)
    assert truths["square", "dice_pooled"] == truths["ring", "dice_pooled"] == truths["ring", "f1"] == 1
    assert truths["square", "f1"] < 1  # masks count, in which squares that touch are one object

    kept = ["type", "method", "feature_selection", "shots", "features", "candidates", "picture", "metric", "value"]
    rows = table[(table["type"] == "ring") & ~table["method"].isin(["all_labels", "elsewhere"])]
    own, same = (rows[rows["bank"].str.startswith(bank)][kept].reset_index(drop=True) for bank in ("joint", "ours@"))
    assert len(own) > 40 and set(own["feature_selection"]) == {"all", "relevance"}
    pd.testing.assert_frame_equal(own, same)
    found = table[table["bank"].str.startswith("coarse@")]
    assert set(found["network"]) == {"none"} and set(found["method"]) == {"ridge", "prototype"}
    assert found["value"][found["metric"] == "dice_pooled"].astype(float).between(0, 1).all()

    page = (out / "report.html").read_text()
    assert "Another model computed the features ours and coarse." in page and "features coarse" in page
    assert "The labels of truth were predicted elsewhere. Its training data are not known here" in page
    stems = {path.stem for path in (out / "figures").iterdir()}
    assert {"extractors", "dice_against_features_coarse", "heads_and_baselines_with_2_shots_ours"} <= stems


def trials_in(table: pd.DataFrame) -> set[tuple[str, ...]]:
    return {tuple(row) for row in table[[field.name for field in dataclasses.fields(Trial)]].itertuples(index=False)}


def test_features_are_refused_before_anything_is_trained(data, tmp_path, monkeypatch, capsys):
    option = write(tmp_path / "dino", data, coarse)
    (tmp_path / "dino" / "slide1-2.npy").unlink()
    out = tmp_path / "run"
    with pytest.raises(InputError, match=r"dino: pictures without features: slide1-2 \(1\); write NAME\.npy"):
        started(monkeypatch, capsys, "--data", data, "--out", str(out), "--features", option)
    assert not out.exists()


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        (("1", "4"), r"features: '1' is no folder of features; write folder:PATH \(.* the option --feature-counts\)"),
        (("tfds:lizard",), "features: 'tfds:lizard' is no folder of features"),
        (("folder:",), "features: 'folder:' is no folder of features"),
        (("folder:a/dino v2",), "features: 'a/dino v2' cannot name its features in tables and files; rename"),
        (("folder:a/dino", "folder:b/dino"), "features: two folders are named dino .*a/dino, b/dino.*; rename one"),
    ],
)
def test_options_that_name_no_features_are_refused(config, specs, message):
    with pytest.raises(InputError, match=message):
        smoke(config.run.out, config.source.data, features=specs)


def test_features_are_named_after_their_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert list(folders_by_name(["folder:a/dino_v2.s", "folder:."])) == ["dino_v2.s", tmp_path.name]


def test_other_files_are_other_features(data, config, tmp_path):
    option = write(tmp_path / "dino", data, coarse)
    config = dataclasses.replace(config, features=(option,))
    pictures = read_pictures(config)
    (first,) = read_features(config, pictures)
    assert [*read_features(config, pictures)] == [first] and re.fullmatch("dino@[0-9a-f]{8}", first)
    np.save(tmp_path / "dino" / "slide1-2.npy", np.ones((8, 8, 3), np.float16))
    assert [*read_features(config, pictures)] != [first]


def test_features_are_tried_as_the_first_extractors_but_for_networks_trained_on_shots(config):
    trials = config.trials({"a": 1, "b": 2}, COUNTS)
    assert len(set(trials)) == len(trials)
    ours, theirs = (
        {dataclasses.replace(one, network="", bank="", features=min(one.features, 3)) for one in trials if test(one)}
        for test in (
            lambda one: one.bank == "joint_ignored" and one.method not in config.baselines,
            lambda one: one.network == NONE,
        )
    )
    assert theirs == ours and {one.feature_selection for one in theirs} == {"all", "first", "relevance"}
    assert {one.features for one in trials if one.network == NONE} == {1, 2, 3}
    # whatever the number of networks, they are tried once
    both = dataclasses.replace(config.segmentation, networks=("unet", "msd"))
    counts = {**COUNTS, ("msd", "joint_ignored"): 4}
    twice = dataclasses.replace(config, segmentation=both).trials({"a": 1, "b": 2}, counts)
    assert [one for one in twice if one.network == NONE] == [one for one in trials if one.network == NONE]


def test_the_page_compares_features_with_our_extractors(config):
    rows = []
    banks = {"joint_ignored": 0.6, "dino@0a1b2c3d": 0.7, "dino@99999999": 0.5}
    counts = {**COUNTS, (NONE, "dino@99999999"): 3}
    for seed in range(5):
        whole = Trial("unet", seed, "a", "all_labels")
        values = {whole: 0.8} | {few(config, counts, whole, 2, bank=bank): dice for bank, dice in banks.items()}
        values |= {few(config, counts, whole, 2, "prototype", "dino@0a1b2c3d"): 0.4}
        for trial, dice in values.items():
            metrics = dict.fromkeys(("dice_pooled", "dice_pooled_median", "f1"), dice + 0.01 * seed)
            rows += [{**vars(trial), "picture": "", "metric": name, "value": value} for name, value in metrics.items()]
    frame = pd.DataFrame(rows).assign(status="ok", code="c")
    table = ResultTable.from_rows(frame, Trial, Replicates(tuple("vwxyz")))
    found = Findings(dataclasses.replace(config, banks=("joint_ignored",)), table)
    claims = {claim.rival: claim.decision.mean for claim in found.banks()}
    # files that changed under one name are told apart
    assert claims == pytest.approx({"features dino (0a1b2c3d)": -10.0, "features dino (99999999)": 10.0})
    said = analyse(found.config, table)
    shown = said.charts["dice_against_shots"].table
    assert list(dict.fromkeys(shown["features"])) == ["our extractors", *claims]
    objects = said.charts["f1_against_shots"]
    assert objects.title == "F1 of objects is 0.620 with 2 annotated pictures, with our extractors"
    means = objects.table[objects.table["type"] == "a"].set_index("features")["F1 of objects"]
    assert means.to_dict() == pytest.approx({"our extractors": 0.62, **dict(zip(claims, (0.72, 0.52), strict=True))})
    assert "Dice is highest, 0.720, for features dino (0a1b2c3d)" in said.charts["extractors"].title
    heads = [claim for claim in said.claims if claim.rival == "prototype (distance)"]
    assert [claim.decision.mean for claim in heads if "features dino" in claim.subject] == pytest.approx([30.0])
    assert "heads_and_baselines_with_2_shots_dino_0a1b2c3d" in said.charts
    assert [line for line in said.cautions if "may have seen these pictures before" in line]
    frames = [*said.tables.values(), *(chart.table for chart in said.charts.values())]
    cells = {str(cell) for frame in frames for cell in (*frame.columns, *frame.to_numpy(object).ravel())}
    assert not [cell for cell in cells if "@" in cell]


class Tensor(np.ndarray):
    """As much of PyTorch's tensors as the script of the guide uses."""

    def permute(self, *axes):
        return self.transpose(axes)

    def view(self, *shape):
        return self.reshape(shape)

    def numpy(self):
        return np.asarray(self)


def stand_in(seen: list[np.ndarray]) -> ModuleType:
    """In place of PyTorch: enlarges pictures, and has a model that gives the mean of each patch of 14 x 14 pixels."""

    def maps(image, reshape):
        assert reshape and image.shape == (1, 3, 518, 518)
        seen.append(np.asarray(image))
        return (np.asarray(image).reshape(1, 3, 37, 14, 37, 14).mean((3, 5)).view(Tensor),)

    def interpolate(image, size, mode):
        return np.asarray(jax.image.resize(np.asarray(image), (*image.shape[:2], *size), mode)).view(Tensor)

    torch = ModuleType("torch")
    torch.from_numpy = lambda values: values.view(Tensor)
    torch.tensor = lambda values: np.array(values, np.float32).view(Tensor)
    torch.nn = SimpleNamespace(functional=SimpleNamespace(interpolate=interpolate))
    model = SimpleNamespace(get_intermediate_layers=maps)
    model.eval = model.requires_grad_ = lambda *is_asked: model
    torch.hub = SimpleNamespace(load=lambda repository, name: model)
    return torch


def test_the_script_of_the_guide_writes_features_that_the_study_takes(data, monkeypatch, tmp_path):
    guide = (Path(__file__).parents[2] / "experiments" / "README.md").read_text()
    (script,) = re.findall(r"^```python\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    assert len([line for line in script.splitlines() if line]) == 10  # as it is announced
    seen: list[np.ndarray] = []
    monkeypatch.setitem(sys.modules, "torch", stand_in(seen))
    monkeypatch.chdir(tmp_path)
    Path("my_features/dinov2_s").mkdir(parents=True)
    own = f"{data}&tile=64"
    exec(compile(script.replace("folder:my_pictures?tile=128", own), "script", "exec"), {})
    config = dataclasses.replace(smoke(tmp_path / "run", own), features=("folder:my_features/dinov2_s",))
    pictures = read_pictures(config)
    (files,) = read_features(config, pictures).values()
    assert files.shape == (37, 37, 3) and files[0].dtype == np.float16 and len(seen) == len(files)
    # red is (x - 0.485) / 0.229 of the grey picture, in its place
    grey = jax.image.resize(pictures.images[3][..., 0], (37, 37), "linear")
    red = np.asarray(files[3][..., 0], np.float32) * 0.229 + 0.485
    assert np.corrcoef(np.asarray(grey).ravel(), red.ravel())[0, 1] > 0.98
