"""Study 3 end to end at the smallest scale: one trace per kind of step, only what is missing, honest sides."""

import dataclasses
import json
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from experiments.few_shot import results
from experiments.few_shot.__main__ import main
from experiments.few_shot.answers import answers
from experiments.few_shot.config import StudyConfig, check_features, defaults_of, resolve
from experiments.few_shot.extractors import all_labels, feature_counts
from experiments.few_shot.findings import Findings
from experiments.few_shot.grid import FACTORS, extractors_of, kind_of, make_cells
from experiments.few_shot.pictures import (
    TypedPictures,
    read_pictures,
    shot_targets,
    sides_of,
    training_targets,
    types_of,
)
from experiments.few_shot.report import methods_table
from segjax.fewshot import load_extractors
from segjax.sweeps import cell
from segjax.training import steps as steps_module
from segjax.types import InputError

BANKS = (("unet", "joint ignored"), ("unet", "binary background"))
DATA = "microscope:tissue?size=quarter&volumes=4&slices=3&crop=48"
TINY = [
    "--scale",
    "smoke",
    "--data",
    DATA,
    "--sizes.unet-width",
    "2",
    "--sizes.unet-levels",
    "1",
    "--train.epochs",
    "1",
]
TINY += ["--strategy", "sequential"]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> str:
    """Four slides of three pictures with large discs (1), pairs of small squares that touch (2) and rings (3)."""
    folder = tmp_path_factory.mktemp("typed")
    rows, columns = np.mgrid[:32, :32]
    generator = np.random.default_rng(0)
    for name in ("images", "labels", "classes"):
        (folder / name).mkdir()
    for number in range(12):
        classes, parted = np.zeros((32, 32), np.uint8), np.zeros((32, 32), bool)
        for kind, middle in enumerate(generator.permutation([(8, 8), (8, 23), (23, 8)]), 1):
            y, x = middle + generator.integers(-1, 2, 2)
            far = np.hypot(rows - y, columns - x)
            square = np.maximum(abs(rows - y), abs(columns - x)) < 4
            classes[(far < 7, square, (far < 7) & (far > 3))[kind - 1]] = kind
            parted = columns >= x if kind == 2 else parted
        labels = np.where((classes == 2) & parted, 4, classes).astype(np.uint8)
        image = np.array([20, 200, 120, 160], np.uint8)[classes] + generator.integers(0, 40, (32, 32), np.uint8)
        for name, content in (("images", image), ("labels", labels), ("classes", classes)):
            Image.fromarray(content).save(folder / name / f"slide{number // 3}-{number % 3}.png")
    return f"folder:{folder}?groups=^(.*)-&class_names=disc,square,ring"


def run(monkeypatch, capsys, *options: str) -> str:
    monkeypatch.setattr(sys, "argv", ["few_shot", *options])
    main()
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
def test_the_whole_study(data, tmp_path, monkeypatch, capsys):
    traces: list[int] = []
    make = steps_module.pure_step

    def counting(network, *options):
        step = make(network, *options)
        return lambda *arguments: traces.append(1) or step(*arguments)

    monkeypatch.setattr(steps_module, "pure_step", counting)
    out = tmp_path / "run"
    text = run(monkeypatch, capsys, *TINY, "--data", data, "--out", str(out))
    assert "report:" in text
    # joint and binary extractors, and the rival, whatever the type
    assert len(traces) == 3

    table = pd.read_csv(out / "results.csv", keep_default_na=False)
    assert list(table.columns) == ["study", *FACTORS, "picture", "metric", "value", "status"]
    assert set(table["status"]) == {"ok"}
    config = resolve(dataclasses.replace(defaults_of("smoke"), out=out, data=data))
    names = dict.fromkeys(table["type"])
    cells = make_cells(config, dict(enumerate(names)), dict(zip(BANKS, (2, 4), strict=True)))
    found = {tuple(row) for row in table[list(FACTORS)].itertuples(index=False)}
    assert found == {tuple(value for _, value in each.factors) for each in cells}
    fitted = table[(table["method"] == "logistic") & (table["metric"] == "dice_pooled")]
    assert set(fitted["picture"]) == {"draw-000", "draw-001", "draw-002"}
    assert set(table[table["method"] == "all labels"]["picture"]) == {""}
    for metric in ("dice_pooled", "dice_pooled_zero", "iou_pooled", "dice", "f1"):
        values = table[table["metric"] == metric]["value"].replace("nan", np.nan).astype(float).dropna()
        assert len(values) and values.between(0, 1).all()

    split = json.loads((out / "splits" / "seed-0.json").read_text())
    assert not set(split["train"]) & set(split["test"])
    page = (out / "report.html").read_text()
    assert "How few annotated pictures are enough" in page and "full supervision" in page
    assert {path.suffix for path in (out / "figures").iterdir()} == {".svg", ".png"}
    assert len(load_extractors(out / "extractors" / "unet-binary-background-seed-0-new-2")) == 2

    before = (out / "results.csv").read_text()
    gone = ",logistic,joint ignored,relevance,2,1,"
    lines = [line for line in before.splitlines(keepends=True) if gone not in line]
    assert len(lines) < len(before.splitlines())
    (out / "results.csv").write_text("".join(lines))
    text = run(monkeypatch, capsys, *TINY, "--data", data, "--out", str(out), "--resume")
    assert f"{len(cells) - 3} of {len(cells)} cells are done already; 3 to do" in text
    assert sorted((out / "results.csv").read_text().splitlines()) == sorted(before.splitlines())

    committed = tmp_path / "committed"
    monkeypatch.setattr(sys, "argv", ["results", str(out), "--out", str(committed)])
    results.main()
    text = (committed / "findings.md").read_text()
    assert "python -m experiments.few_shot --scale smoke" in text and "full supervision" in text
    types = pd.read_csv(next(committed.glob("types_*.csv")), comment="#")
    assert set(types["shots"]) == {1, 2} and set(types["type"]) == set(names)
    median = fitted[(fitted["shots"] == 2) & (fitted["choice"] == "all") & (fitted["bank"] == "joint ignored")]
    expected = median.groupby("type")["value"].apply(lambda values: np.median(values.astype(float)))
    given = types[types["shots"] == 2].set_index("type")["median Dice"]
    assert given.to_dict() == pytest.approx(expected.to_dict(), abs=1e-4)


def test_plan_trains_nothing(data, tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    text = run(
        monkeypatch, capsys, *TINY, "--data", data, "--banks", "joint ignored", "--ways", "--out", str(out), "--plan"
    )
    assert "nothing was trained" in text and "method logistic" in text
    assert not out.exists()


@pytest.fixture(scope="module")
def config(data, tmp_path_factory) -> StudyConfig:
    return resolve(dataclasses.replace(defaults_of("smoke"), out=tmp_path_factory.mktemp("few_shot"), data=data))


@pytest.fixture(scope="module")
def pictures(config) -> TypedPictures:
    return read_pictures(config)


def test_extractors_learn_the_others_and_what_is_new_is_left_out_or_background(config, pictures):
    types = types_of(config, pictures)
    assert list(types) == [1, 2, 3]
    everywhere = tuple(range(len(pictures.images)))
    classes = pictures.classes
    (ignored,) = extractors_of("joint ignored", "unet", 0, 3, types)
    targets = training_targets(pictures, everywhere, ignored, types)
    assert ((targets == -1) == (classes == 3)).all()
    assert ((targets == 1) == (classes == 1)).all() and ((targets == 2) == (classes == 2)).all()
    (seen,) = extractors_of("joint background", "unet", 0, 3, types)
    targets = training_targets(pictures, everywhere, seen, types)
    assert (targets >= 0).all() and (targets[classes == 3] == 0).all()
    own, other = extractors_of("binary background", "unet", 0, 3, types)
    assert (own["own"], other["own"]) == (1, 2)
    assert ((training_targets(pictures, everywhere, own, types) == 1) == (classes == 1)).all()
    # the extractor of a type in every bank is the network that has all its labels
    assert own == all_labels("unet", 0, 1)
    held = extractors_of("binary ignored", "unet", 0, 3, types)
    assert [training_targets(pictures, everywhere, each, types)[classes == 3].max() for each in held] == [-1, -1]


def test_classes_that_do_not_take_part_are_background_or_ignored(config, pictures):
    ignoring = read_pictures(dataclasses.replace(config, types=(1, 3), others="ignored"))
    assert (ignoring.classes == np.where(pictures.classes == 2, -1, pictures.classes)).all()
    (joint,) = extractors_of("joint background", "unet", 0, 3, {1: "disc", 3: "ring"})
    targets = training_targets(ignoring, (0, 1), joint, {1: "disc", 3: "ring"})
    assert ((targets == -1) == (pictures.classes[:2] == 2)).all()
    assert (shot_targets(config, ignoring, np.arange(2), 1)[pictures.classes[:2] == 2] == -1).all()


def test_shots_and_queries_share_no_slide_and_every_shot_shows_the_type(config, pictures):
    for new in (1, 2, 3):
        sides = sides_of(config, pictures, 0, new)
        groups = np.asarray(pictures.source.groups)
        assert not set(groups[sides.support]) & set(groups[sides.query])
        assert (pictures.areas[sides.support, new] >= config.least).all()
        targets = shot_targets(config, pictures, sides.support, new)
        assert ((targets == 1) == (pictures.classes[sides.support] == new)).all()
        assert len(sides.support) <= config.candidates and len(sides.query) <= config.queries


def test_a_line_parts_touching_objects_of_a_shot(config, pictures):
    sides = sides_of(config, pictures, 0, 2)
    plain, lined = (
        shot_targets(dataclasses.replace(config, delineation=way), pictures, sides.support, 2)
        for way in ("none", "line")
    )
    assert (lined <= plain).all() and lined.sum() < plain.sum()


def test_counts_of_features_are_those_of_the_banks(config, pictures):
    types = types_of(config, pictures)
    counts = feature_counts(config, pictures, types)
    assert counts == {("unet", "joint ignored"): 4, ("unet", "binary background"): 8}
    half = feature_counts(dataclasses.replace(config, maps="half"), pictures, types)
    assert half["unet", "joint ignored"] == 4 + 8 + 4 + 4  # down0, down1 and up1 at half the edge, up0
    with pytest.raises(InputError, match="features: 5 are asked for, but the bank 'joint ignored' of unet has 4"):
        check_features(dataclasses.replace(config, features=(5,)), counts)


def test_one_kind_of_cells_has_all_shots_and_features(config):
    counts = {("unet", "joint ignored"): 4, ("unet", "binary background"): 8}
    cells = make_cells(config, {2: "a", 3: "b"}, counts)
    assert len(set(cells)) == len(cells)
    grid = [each for each in cells if kind_of(each) == "unet-0-a-logistic-joint ignored-relevance"]
    assert {(each["shots"], each["features"]) for each in grid} == {(s, f) for s in (1, 2) for f in (1, 2)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"types": (9,)}, "types: there is no class 9 in folder:.*; there are: disc, square, ring"),
        ({"shots": (1, 2, 4), "least": 60, "types": (2, 3)}, "types: 0 training pictures of seed 0 show square, but 4"),
        ({"data": "microscope:hl60?size=sixth&volumes=4&slices=2"}, "its objects have no types"),
    ],
)
def test_pictures_that_cannot_answer_are_refused(config, changes, message):
    changed = dataclasses.replace(config, **changes)
    with pytest.raises(InputError, match=message):
        types_of(changed, read_pictures(changed))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"banks": ("joint",)}, "banks: unknown 'joint'; choose from joint ignored, joint background"),
        ({"choices": ("best",)}, "choices: unknown 'best'"),
        ({"heads": ("forest",)}, "heads: unknown 'forest'"),
        ({"ways": ("half",)}, "ways: unknown 'half'"),
        ({"shots": (1, 1)}, "shots must be different whole numbers"),
        ({"shots": (0, 2)}, "shots must be different whole numbers"),
        ({"compare_shots": (9,)}, "compare_shots: .* must be among the shots"),
        ({"candidates": 1}, "candidates: 1 pictures are fewer than 2 shots"),
        ({"few_draws": 7}, "few_draws: 7 are more than the 3 draws"),
        ({"types": (2,)}, "types: give at least two"),
        ({"others": "ignored", "types": ()}, "others: ignored needs --types"),
    ],
)
def test_options_that_nothing_can_be_made_of_are_refused(config, changes, message):
    with pytest.raises(InputError, match=message):
        resolve(dataclasses.replace(config, **changes))


def made_up(values: dict[tuple[str, str, int], list[float]]) -> pd.DataFrame:
    """A table of results from the pooled Dice of draws by type, method and number of shots (0: all labels)."""
    rows = []
    for (kind, method, shots), draws in values.items():
        whole = method == "all labels"
        place = cell(
            data="d", network="unet", seed=0, type=kind, method=method, bank="none" if whole else "joint ignored",
            choice="none" if whole else "all", shots=shots, features=0 if whole else 4,
        )  # fmt: skip
        for number, value in enumerate(draws):
            picture = "" if whole else f"draw-{number:03d}"
            rows.append({**dict(place.factors), "picture": picture, "metric": "dice_pooled", "value": value})
    return pd.DataFrame(rows).assign(status="ok")


def test_gaps_and_paired_differences_by_hand(config):
    table = made_up(
        {
            ("a", "all labels", 0): [0.8],
            ("b", "all labels", 0): [0.5],
            ("a", "logistic", 2): [0.5, 0.6, 0.7],
            ("b", "logistic", 2): [0.4, 0.4, 0.4],
            ("a", "prototype", 2): [0.4, 0.5, 0.6],
            ("b", "prototype", 2): [0.4, 0.3, 0.2],
        }
    )
    found = Findings(config, table, "unet")
    gap = found.gap("a", 2)
    assert gap is not None and (gap.few.median, gap.few.low, gap.few.high) == pytest.approx((0.6, 0.55, 0.65))
    assert (gap.absolute, gap.relative) == pytest.approx((0.2, 0.25))
    assert found.gap("b", 2).relative == pytest.approx(0.2)
    (_, own, none), (name, other, behind) = found.compared(2)
    assert none is None and name == "prototype" and own.mean == pytest.approx(0.5)
    # over draws, of the mean over types: 5, 10 and 15 points
    assert behind.mean == pytest.approx(10) and behind.n == 3
    assert other.mean == pytest.approx(0.4)
    assert found.heat("first")[-1].tolist() == pytest.approx([0.5])


def test_rivals_without_results_for_a_type_say_so(config):
    table = made_up(
        {
            ("a", "logistic", 2): [0.5, 0.6, 0.7],
            ("b", "logistic", 2): [0.4, 0.4, 0.4],
            ("a", "prototype", 2): [0.4, 0.5, 0.6],
        }
    )
    found = Findings(config, table, "unet")
    assert [found.types_with(name, 2) for name in ("logistic", "prototype")] == [2, 1]
    said = " ".join(answers(found))
    assert "prototype (distance) (10.0 points on the 1 of 2 types for which no training collapsed)" in said
    assert methods_table(found)["types"].tolist() == [2, 1]
