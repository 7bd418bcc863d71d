"""Study 2 end to end at the smallest scale: every question, one trace per kind of step, only what is missing."""

import dataclasses
import json
import sys

import jax
import numpy as np
import pandas as pd
import pytest

from experiments.annotation_upgrade.__main__ import main
from experiments.annotation_upgrade.annotations import Annotations, check_sets, labels_of, open_pictures, split_of
from experiments.annotation_upgrade.config import (
    SCALES,
    StudyConfig,
    clean_of,
    defaults_of,
    mixture_of,
    resolve,
    strengths_of,
    train_part,
)
from experiments.annotation_upgrade.grid import FACTORS, kind_of, make_cells, needs_of, training_of, with_factors
from experiments.annotation_upgrade.trainings import Trainings, median_radius
from segjax.annotations import Recipe
from segjax.training import steps as steps_module
from segjax.types import InputError
from segjax.upgrade import learning

TINY = [
    "--scale", "smoke", "--data", "microscope:mixed?size=sixth&volumes=8&slices=2&crop=48", "--sizes.unet-width", "2",
    "--sizes.unet-levels", "1", "--train.epochs", "1", "--strategy", "sequential",
    "--rivals", "confident learning", "mean teacher", "generalized cross entropy",
]  # fmt: skip


def run(monkeypatch, capsys, *options: str) -> str:
    monkeypatch.setattr(sys, "argv", ["annotation_upgrade", *options])
    main()
    return capsys.readouterr().out


def counted(monkeypatch, module) -> list[int]:
    """How often a training step made in a module is traced."""
    traces: list[int] = []
    make = module.pure_step

    def counting(network, *options):
        step = make(network, *options)
        return lambda *arguments: traces.append(1) or step(*arguments)

    monkeypatch.setattr(module, "pure_step", counting)
    return traces


@pytest.mark.slow
def test_the_whole_study(tmp_path, monkeypatch, capsys):
    plain, upgrading = counted(monkeypatch, steps_module), counted(monkeypatch, learning)
    out = tmp_path / "run"
    text = run(monkeypatch, capsys, *TINY, "--out", str(out))
    assert "report:" in text
    # that of the study's loss and that of the rival's; every upgrade network, whatever it learns, shares one step
    assert len(plain) == 2 and len(upgrading) == 1

    table = pd.read_csv(out / "results.csv", keep_default_na=False)
    assert list(table.columns) == ["study", *FACTORS, "picture", "metric", "value", "status"]
    rivals = ("confident learning", "mean teacher", "generalized cross entropy")
    config = resolve(dataclasses.replace(defaults_of("smoke"), out=out, data=TINY[3], rivals=rivals))
    cells = make_cells(config, 5)
    found = {tuple(row) for row in table[list(FACTORS)].itertuples(index=False)}
    assert found == {tuple(value for _, value in cell.factors) for cell in cells}
    about_labels = table["method"] == "upgrade"
    assert set(table[about_labels & (table["picture"] == "")]["metric"]) == {"label_dice", "upgraded_dice", "restarts"}
    assert (table[~about_labels]["metric"] == "dice_pooled").sum() == sum(c["method"] != "upgrade" for c in cells)
    for metric in ("label_dice", "upgraded_dice", "dice_pooled"):
        assert table[table["metric"] == metric]["value"].astype(float).between(0, 1).all()

    split = json.loads((out / "splits" / "seed-0.json").read_text())
    tested = set(table["picture"]) - {""}
    assert tested and tested <= set(split["test"]) and not tested & {*split["train"], *split["validation"]}
    page = (out / "report.html").read_text()
    assert "Does repairing cheap annotations pay: simulated mixed nuclei" in page and "impression" in page
    assert {path.suffix for path in (out / "figures").iterdir()} == {".svg", ".png"}
    kept = {path.name.split("_")[2] for path in (out / "networks").glob("*.npz")}
    assert kept == {"clean", "raw", "upgrade"}  # those that others need, and upgrade networks

    before = (out / "results.csv").read_text()
    lines = [line for line in before.splitlines(keepends=True) if ",upgrade,omission=0.5,mixture," not in line]
    assert len(lines) < len(before.splitlines())  # a cell whose network is still there
    (out / "results.csv").write_text("".join(lines))
    text = run(monkeypatch, capsys, *TINY, "--out", str(out), "--resume")
    assert f"{len(cells) - 1} of {len(cells)} cells are done already; 1 to do" in text
    assert sorted((out / "results.csv").read_text().splitlines()) == sorted(before.splitlines())


def test_plan_trains_nothing(tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    text = run(monkeypatch, capsys, *TINY, "--questions", "quality", "--out", str(out), "--plan")
    assert "nothing was trained" in text and "method upgrade" in text
    assert not out.exists()


@pytest.fixture
def tiny(tmp_path) -> StudyConfig:
    data = "microscope:mixed?size=sixth&volumes=8&slices=2&crop=48"
    return resolve(dataclasses.replace(defaults_of("smoke"), out=tmp_path, data=data))


@pytest.fixture(scope="module")
def domain(tmp_path_factory):
    data = "microscope:mixed?size=sixth&volumes=8&slices=2&crop=48"
    return open_pictures(
        resolve(dataclasses.replace(defaults_of("smoke"), out=tmp_path_factory.mktemp("o"), data=data))
    )


def test_careful_and_careless_never_overlap_and_smaller_sets_are_within_larger_ones(tiny, domain):
    annotations = Annotations(tiny, domain, 0)
    test = set(annotations.split.test)
    groups = np.asarray(domain.source.groups)
    smaller, larger = annotations.careful(2), annotations.careful(4)
    careless = annotations.careless(4, 4)
    sides = [*larger, careless]
    assert len(set(np.concatenate(sides))) == sum(map(len, sides)) and not test & set(np.concatenate(sides))
    assert set(smaller[0]) <= set(larger[0]) and set(smaller[1]) <= set(larger[1])
    assert [len(part) for part in larger] == [3, 1]
    assert not set(groups[larger[1]]) & {*groups[larger[0]], *groups[careless]}
    # volume by volume in turn: the first pictures come from as many volumes, unless told otherwise
    assert len(set(groups[larger[0]])) == 3
    assert all(domain.labels[index].any() for index in np.concatenate([*sides, annotations.test]))
    left_out = test - set(annotations.test)
    assert not any(domain.labels[index].any() for index in left_out)
    assert len(set(groups[annotations.careful(3, volumes=1)[0]])) == 1


def test_careful_pictures_without_foreign_objects_teach_the_other_errors(tiny, domain):
    cells = make_cells(tiny, 5)
    upgrader = next(training_of(cell) for cell in cells if cell["method"] == "upgrade" and "inclusion" in cell["error"])
    rows, _ = Annotations(tiny, domain, 0).careful(3)
    foreign = domain.foreign.copy()
    foreign[rows] = 0
    bare = Trainings(tiny, dataclasses.replace(domain, foreign=foreign))
    with_objects = Trainings(tiny, domain).upgrade_pictures(upgrader, rows, 1)
    without = bare.upgrade_pictures(upgrader, rows, 1)
    same = jax.tree.map(lambda a, b: np.shape(a) == np.shape(b), with_objects, without)
    assert jax.tree.all(same)  # so that one compiled step serves both


def test_masks_are_those_of_the_seed_and_imperfect_labels_are_drawn_apart(tiny, domain):
    annotations, again = Annotations(tiny, domain, 0), Annotations(tiny, domain, 0)
    error = "omission=0.5"
    masks, truth = annotations.masks(error), domain.labels > 0
    np.testing.assert_array_equal(masks, again.masks(error))
    assert np.any(masks != Annotations(tiny, domain, 1).masks(error))
    assert not np.any(masks & ~truth) and 0 < masks.sum() < truth.sum()
    imperfect = annotations.labels(error)
    assert np.any((imperfect > 0) != masks) and not np.any(imperfect[imperfect > 0] != domain.labels[imperfect > 0])
    np.testing.assert_array_equal(annotations.labels("none"), domain.labels)


def test_ids_of_a_degraded_mask():
    own = np.array([[1, 1, 0, 0, 2, 0, 0, 0]])
    foreign = np.array([[0, 0, 0, 0, 0, 0, 0, 3]])
    mask = np.array([[1, 1, 1, 0, 0, 0, 0, 1]], bool)
    # a grown pixel belongs to its nearest object; a foreign object that was included keeps its own id
    np.testing.assert_array_equal(labels_of(mask, own, foreign), [[1, 1, 1, 0, 0, 0, 0, 3]])
    assert not labels_of(np.zeros_like(mask), own, foreign).any()


def test_needs_are_trained_before_and_upgrade_networks_are_shared(tiny):
    cells = make_cells(tiny, 5)
    by_method = {cell["method"]: cell for cell in cells if cell["total"] in (0, 2, 6)}  # those of the laboratory
    assert [need["method"] for need in needs_of(by_method["upgraded predictions"])] == ["upgrade", "clean"]
    second = with_factors(by_method["upgraded predictions"], round=2)
    assert needs_of(second)[1] == by_method["upgraded predictions"]
    assert needs_of(by_method["confident learning"])[0] == by_method["raw"]
    upgraded = next(cell for cell in cells if cell["method"] == "upgraded" and cell["total"] == 6)
    applied = [cell for cell in cells if cell["method"] == "upgrade" and training_of(cell) == needs_of(upgraded)[0]]
    assert applied, "the network that the laboratory uses is measured on labels too"
    # a mismatch uses the network that is known elsewhere
    mismatch = next(cell for cell in cells if cell["learnt"] == "omission=0.5")
    assert training_of(mismatch) == training_of(with_factors(mismatch, error="omission=0.5", learnt="known"))
    assert training_of(mismatch) in {training_of(cell) for cell in cells if cell["learnt"] == "known"}
    assert len({kind_of(training_of(cell)) for cell in cells}) == 5


def test_counts_of_pictures():
    assert [train_part(count) for count in (2, 3, 5, 10, 40)] == [1, 2, 4, 8, 32]
    assert [clean_of(50, share) for share in (0.0, 0.1, 0.3)] == [0, 5, 15]
    assert clean_of(10, 0.25) == 3  # rounded up, as published


def test_mixture_holds_every_combination(tiny):
    recipes = mixture_of(tiny, 6.0, has_foreign=True)
    # three rates and none, twice; outlines of up to 1 and 2 pixels, and none
    assert len(recipes) == 4 * 4 * 3
    assert Recipe(omission=0.5, inclusion=0.75, bias=2, scope=tiny.scope) in recipes
    assert len(mixture_of(tiny, 6.0, has_foreign=False)) == 4 * 3


def test_the_median_radius_is_that_of_discs_of_equal_area():
    labels = np.zeros((2, 20, 20), np.int32)
    labels[0, 2:6, 2:6], labels[0, 10:18, 10:18], labels[1, :, :5] = 1, 3, 1  # areas 16, 64 and 100
    assert median_radius(labels) == pytest.approx(np.sqrt(64 / np.pi))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"error": "omission"}, "error: 'omission' in 'omission' is not ERROR=STRENGTH"),
        ({"error": "omision=0.5"}, "error: 'omision' .* is unknown"),
        ({"error": "omission=0.5+omission=0.7"}, "there twice"),
        ({"errors": ("omission=1.5",)}, "errors: omission .* must be a rate"),
        ({"imperfections": ("bias=-2",)}, "imperfections: bias .* must be a number above 0"),
        ({"errors": ("bias=6", "bias=6")}, "errors: one is given twice"),
        ({"questions": ("money",)}, "questions: unknown 'money'"),
        ({"rivals": ("luck",)}, "rivals: unknown 'luck'"),
        ({"careful": 1}, "careful must be at least 2"),
        ({"careless": 0}, "careless must be at least 1"),
        ({"clean_shares": (1.0,)}, "clean_shares: 1 is not"),
        ({"budgets": (0,)}, "budgets must be at least 1"),
        ({"networks": ("vnet",)}, "networks: unknown"),
    ],
)
def test_what_resolve_refuses(tiny, change, message):
    with pytest.raises(InputError, match=message):
        resolve(dataclasses.replace(tiny, **change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"careful": 40, "questions": ("rivals",)}, "careful_counts: of 40 careful pictures"),
        ({"careless": 400, "questions": ("rivals",)}, "careless: 400 careless pictures"),
        ({"errors": ("bias=4",), "questions": ("quality",)}, "errors: bias 4 is 0.67 pixels"),
    ],
)
def test_what_is_refused_once_pictures_are_known(tiny, domain, change, message):
    config = resolve(dataclasses.replace(tiny, **change))
    with pytest.raises(InputError, match=message):
        check_sets(config, domain, make_cells(config, 5))


def test_inclusion_needs_foreign_objects(tiny, tmp_path):
    from PIL import Image

    for part in ("images", "labels"):
        (tmp_path / "mine" / part).mkdir(parents=True)
    for number in range(4):
        picture = np.zeros((32, 32), np.uint8)
        picture[8:16, 8 : 14 + number] = 1
        Image.fromarray(picture * 200).save(tmp_path / "mine" / "images" / f"{number}.png")
        Image.fromarray(picture).save(tmp_path / "mine" / "labels" / f"{number}.png")
    config = resolve(dataclasses.replace(tiny, data=f"folder:{tmp_path / 'mine'}"))
    with pytest.raises(InputError, match=r"inclusion in .* needs foreign objects"):
        open_pictures(config)
    without = {"error": "omission=0.5", "errors": (), "imperfections": ()}
    assert len(open_pictures(dataclasses.replace(config, **without)).images) == 4


@pytest.mark.parametrize("scale", [scale for scale in SCALES if scale != "paper"])
def test_what_a_scale_sets_can_be_drawn_from_its_pictures(scale, tmp_path):
    config = resolve(dataclasses.replace(defaults_of(scale), out=tmp_path))
    domain = open_pictures(config)
    groups = len(domain.members(split_of(domain, config, 0).train))
    check_sets(config, domain, make_cells(config, groups))


@pytest.mark.parametrize("scale", SCALES)
def test_every_scale_is_sound_and_survives_json(scale, tmp_path):
    config = resolve(dataclasses.replace(defaults_of(scale), out=tmp_path))
    assert json.loads(json.dumps(dataclasses.asdict(config), default=str))["scale"] == scale
    cells = make_cells(config, 20)
    assert len(set(cells)) == len(cells) and {cell["seed"] for cell in cells} == set(range(config.seeds))
    assert strengths_of(config.error)
