"""Study 4A end to end at the smallest scale: every map, the cues, training over time, one trace per classifier."""

import dataclasses
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from experiments.activation_maps import cues, results
from experiments.activation_maps.__main__ import main
from experiments.activation_maps.answers import answers, verdict
from experiments.activation_maps.config import SCALES, StudyConfig, defaults_of, resolve
from experiments.activation_maps.findings import Findings
from experiments.activation_maps.grid import CLASSIFIER, CUES, FACTORS, REFERENCES, make_cells
from experiments.activation_maps.measure import choose, localisation_rows
from experiments.classifiers import ClassifierSizes, LabelledDomain, check_trainable_classifiers, read_labelled
from experiments.map_kinds import MAPS, OURS, layers_of
from segjax.data import make_split
from segjax.evaluation import Difference
from segjax.maps import layer_shapes
from segjax.models import CLASSIFIERS, Probe, create
from segjax.training import steps as steps_module
from segjax.types import InputError

DATA = "terrain:mounds?pixels=64&metres=6.64&sheets=4&pictures=4&without=1"
TINY = [
    "--scale", "smoke", "--data", DATA, "--folds", "4", "--classifiers", "msd_classifier", "--train.epochs", "2",
    "--classifier-sizes.msd-depth", "2", "--strategy", "sequential", "--pictures", "2", "--budget", "1",
]  # fmt: skip
NAN = float("nan")


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


@pytest.mark.slow
def test_the_whole_study(tmp_path, monkeypatch, capsys):
    traces, out = counted(monkeypatch), tmp_path / "run"
    options = [*TINY, "--maps", OURS, "cam", "rise", "--moment-maps", "cam", "--out", str(out)]
    text = run(monkeypatch, capsys, *options)
    assert "report:" in text and "failed" not in text
    assert len(traces) == 1  # however long classifiers are trained

    table = pd.read_csv(out / "results.csv", keep_default_na=False)
    assert list(table.columns) == ["study", *FACTORS, "picture", "metric", "value", "status"]
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
    assert (wide["oracle_iou"] >= wide["free_iou"] - 1e-9).all()
    disc = table[(table["map"] == "area-matched disc") & (table["metric"] == "iou")]["value"].astype(float)
    assert (disc > 0.5).all()

    split = json.loads((out / "splits" / "seed-0.json").read_text())
    tested = set(table["picture"]) - {""}
    assert tested and tested <= set(split["test"])
    page = (out / "report.html").read_text()
    assert "What classifiers look at: simulated satellite pictures with mounds" in page
    assert "Contour-CAM (ours)" in page and "Panel of maps" in page
    assert {path.suffix for path in (out / "figures").iterdir()} == {".svg", ".png"}

    committed = tmp_path / "committed"
    monkeypatch.setattr(sys, "argv", ["results", str(out), "--out", str(committed)])
    results.main()
    assert "## simulated satellite pictures with mounds" in (committed / "findings.md").read_text()
    seeds = pd.read_csv(committed / "seeds_mounds.csv", comment="#")
    assert len(seeds) == len(found)
    assert (seeds["iou"].notna() == ~seeds["map"].isin([CLASSIFIER, CUES])).all()

    before = (out / "results.csv").read_text()
    lines = [line for line in before.splitlines(keepends=True) if f",{OURS}," not in line]
    (out / "results.csv").write_text("".join(lines))
    assert "1 to do" in run(monkeypatch, capsys, *options, "--resume")
    assert sorted((out / "results.csv").read_text().splitlines()) == sorted(before.splitlines())
    assert len(traces) == 1


def test_plan_trains_nothing(tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    text = run(monkeypatch, capsys, *TINY, "--maps", "cam", "--questions", "maps", "--out", str(out), "--plan")
    assert "nothing was trained" in text and "map cam" in text
    assert not out.exists()


@pytest.fixture
def tiny(tmp_path) -> StudyConfig:
    return resolve(dataclasses.replace(defaults_of("smoke"), out=tmp_path, data=DATA, folds=4))


@pytest.fixture(scope="module")
def domain(tmp_path_factory) -> LabelledDomain:
    return read_labelled(
        resolve(dataclasses.replace(defaults_of("smoke"), out=tmp_path_factory.mktemp("o"), data=DATA, folds=4))
    )


def test_labels_and_outlines_of_simulated_ground(domain):
    assert domain.presence.sum() == 8 and domain.metres == 6.64
    np.testing.assert_array_equal(domain.labels.any((1, 2)), domain.presence == 1)
    assert domain.with_object(range(16)) == np.flatnonzero(domain.presence).tolist()
    assert len(domain.without(range(16))) == 8


def test_a_perfect_map_has_perfect_numbers_and_an_inverted_one_none(domain):
    split = make_split(domain.source, fold=0, folds=4)
    chosen = choose(domain, split, budget=2, pictures=3)
    assert set(chosen.budget) <= set(split.validation) and set(chosen.shown) <= set(split.test)
    assert len(chosen.shown) == len(chosen.empty) == 2
    truths = (domain.labels[chosen.all] > 0).astype(np.float32)
    values = pd.DataFrame(localisation_rows(truths, chosen, domain)).groupby("metric")["value"].mean()
    for metric in ("pxap", "iou", "oracle_iou", "boundary_f_2px", "pointing_game", "energy", "free_iou"):
        assert values[metric] == 1, metric
    assert values["lit_without"] == 0 and values["hd95_px"] == 0
    values = pd.DataFrame(localisation_rows(-truths, chosen, domain)).groupby("metric")["value"].mean()
    assert values["pxap"] < 0.2 and values["pointing_game"] == 0 and values["energy"] == 0


def test_regions_divide_the_picture():
    rows, columns = np.mgrid[:80, :80]
    distance = np.hypot(rows - 40, columns - 40)
    parts = cues.regions(distance < 16)
    four = [parts[name] for name in cues.REGIONS]
    np.testing.assert_array_equal(np.sum(four, axis=0), 1)
    assert parts["inside"][40, 40] and parts["rim"][40, 56] and parts["halo"][40, 66] and parts["surroundings"][2, 2]
    # the rim reaches 0.15 x 16 = 2.4 pixels to both sides
    assert distance[parts["rim"]].min() > 16 - 3.5 and distance[parts["rim"]].max() < 16 + 3.5
    away = parts[cues.ELSEWHERE]
    assert away.any() and not np.any(away & ~parts["surroundings"])


def test_shares_of_cues_by_hand():
    whole, removed = np.array([4.0, 2.0]), np.array([1.0, 2.0])
    rows = cues.cue_rows(whole, -1.0, {"inside": removed}, {"inside": np.array([0.0, 0.0])})
    assert {row["metric"]: row["value"] for row in rows} == {
        "log_odds_ahead": 4.0,
        "cue_lost_without_inside": 3 / 8,
        "cue_left_with_inside": 2 / 8,
    }
    rows = cues.cue_rows(whole, 5.0, {"inside": removed}, {})
    assert np.isnan(rows[1]["value"])


def table_of(values):
    """A table of results from (network, map, metric) -> values by seed."""
    rows = [
        {"network": n, "map": k, "epochs": 0, "metric": m, "seed": s, "picture": "", "value": v, "status": "ok"}
        for (n, k, m), by_seed in values.items()
        for s, v in enumerate(by_seed)
    ]
    return pd.DataFrame(rows)


def test_answers_say_who_wins_and_whose_maps_are_meaningless(tiny):
    values = {
        ("resnet18", CLASSIFIER, "auc"): [0.95, 0.97, 0.96],
        ("resnet18", CLASSIFIER, "balanced_accuracy"): [0.9, 0.9, 0.9],
        ("msd_classifier", CLASSIFIER, "auc"): [0.6, 0.7, 0.5],
        ("msd_classifier", CLASSIFIER, "balanced_accuracy"): [0.5, 0.5, 0.5],
        ("reference", "area-matched disc", "iou"): [0.7, 0.7, 0.7],
    }
    for kind, iou in ((OURS, [0.6, 0.62, 0.61]), ("cam", [0.4, 0.43, 0.41])):
        values["resnet18", kind, "iou"] = iou
        values["resnet18", kind, "boundary_f_4px"] = [1 - value for value in iou]
        values["resnet18", kind, "road"] = [0.5 - value / 2 for value in iou]
    found = Findings(tiny, table_of(values))
    assert found.usable == ["resnet18"] and found.meaningless == ["msd_classifier"]
    said = " ".join(answers(found))
    assert "MSD classifier tells new pictures apart" in said and "its maps are meaningless" in said
    assert "in IoU Contour-CAM has 0.610 and the best other map, CAM, 0.413: it wins, ahead by 0.197" in said
    assert "in boundary F at 4 px Contour-CAM has 0.390 and the best other map, CAM, 0.587: it loses, behind" in said
    assert "is below it with 0.610" in said
    assert "(ROAD), Contour-CAM is number 2 of 2 with 0.195; the most faithful is CAM with 0.293." in said
    followed = Findings(dataclasses.replace(tiny, questions=("training",)), table_of(values))
    assert not any("best other map" in sentence or "ROAD" in sentence for sentence in answers(followed))


def test_verdicts():
    assert verdict(Difference(0.1, 0.05, 0.15, 5, 0.06)) == (
        "it wins, ahead by 0.100 (95 % interval 0.050 to 0.150, 5 seeds)"
    )
    assert verdict(Difference(-0.1, -0.15, -0.05, 5, 0.06)) == (
        "it loses, behind by 0.100 (95 % interval 0.050 to 0.150, 5 seeds)"
    )
    assert verdict(Difference(0.1, -0.05, 0.25, 5, 0.3)).startswith("not decided, ahead by 0.100 (95 % interval -0.050")
    assert "an impression" in verdict(Difference(0.1, NAN, NAN, 2, 0.5))
    assert verdict(Difference(NAN, NAN, NAN, 0, NAN)) == "nothing to compare yet"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"maps": ("gradcam",)}, "maps: unknown 'gradcam'"),
        ({"classifiers": ("unet",)}, "classifiers: unknown 'unet'"),
        ({"classifiers": ()}, "classifiers: name at least one"),
        ({"questions": ("why",)}, "questions: unknown 'why'"),
        ({"moments": (2,)}, "moments: 2 must be from 1 to 1"),
        ({"budget": 0}, "budget must be at least 1"),
        ({"target": 0}, "target: classes count from 1"),
        ({"maps": ()}, "maps: name at least one"),
    ],
)
def test_what_resolve_refuses(tiny, change, message):
    with pytest.raises(InputError, match=message):
        resolve(dataclasses.replace(tiny, **change))


def test_maps_that_a_classifier_cannot_have_are_left_out_or_refused(tiny):
    sizes = dataclasses.replace(tiny.classifier_sizes, vgg_head="hidden", norm="group")
    both = dataclasses.replace(
        tiny, classifiers=("vgg16",), classifier_sizes=sizes, maps=("cam", "full_grad", "grad_cam"), questions=("maps",)
    )
    maps = {cell["map"] for cell in make_cells(resolve(both), True) if cell["network"] == "vgg16"}
    assert maps == {CLASSIFIER, "grad_cam"}
    with pytest.raises(InputError, match="maps: vgg16 has none of them; CAM needs a linear head"):
        resolve(dataclasses.replace(both, maps=("cam", "full_grad")))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_our_map_takes_layers_of_a_quarter_of_the_size_and_the_last(name):
    sizes = ClassifierSizes(vgg_width=2, resnet_width=2, msd_depth=3, unet_width=2, unet_levels=3)
    network, image = create(name, **sizes.options(name)), jnp.zeros((1, 64, 64, 1))
    variables = jax.eval_shape(network.init, jax.random.key(0), image)
    *shallow, last = layers_of(name, sizes).evidence
    edges = [layer_shapes(Probe(network), variables, image, [layer])[layer].shape[1] for layer in shallow]
    assert edges == sorted(edges, reverse=True) and (not edges or edges[0] == 16)
    assert last in ("maps", "layer4") and len(edges) == {"msd_classifier": 0, "vgg16": 2, "unet_classifier": 2}.get(
        name, 3
    )


def test_what_is_refused_once_pictures_are_known(tiny, domain):
    with pytest.raises(InputError, match="target: class 2 is not among those of"):
        read_labelled(dataclasses.replace(tiny, target=2))
    with pytest.raises(InputError, match=r"label: 'tell' is not among the labels of .*: no site, site"):
        read_labelled(dataclasses.replace(tiny, label="tell"))
    with pytest.raises(InputError, match="no picture is without what is looked for"):
        read_labelled(dataclasses.replace(tiny, data=DATA.replace("without=1", "without=0")))
    everywhere = dataclasses.replace(domain, presence=(np.asarray(domain.source.groups) == "sheet-00").astype(np.int32))
    with pytest.raises(InputError, match="pictures of seed 0 all"):
        check_trainable_classifiers(tiny, everywhere)


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
    domain = read_labelled(dataclasses.replace(tiny, data=folder_with_types(tmp_path / "types"), target=2))
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
    config = dataclasses.replace(tiny, data=f"folder:{path}?image_labels=sites.csv", label="site")
    domain = read_labelled(config)
    np.testing.assert_array_equal(domain.presence, [1, 1, 1, 0, 0, 0])
    with pytest.raises(InputError, match="label: say which of none, site is looked for"):
        read_labelled(dataclasses.replace(config, label=""))
    ordered = dataclasses.replace(config, label="", data=f"{config.data}&label_names=site,none")
    np.testing.assert_array_equal(read_labelled(ordered).presence, [0, 0, 0, 1, 1, 1])
    assert not domain.outlined.any() and not domain.with_object(range(6))
    kinds = {cell["map"] for cell in make_cells(resolve(config), False)}
    assert not kinds & {CUES, *REFERENCES} and CLASSIFIER in kinds


@pytest.mark.parametrize("scale", SCALES)
def test_every_scale_is_sound_and_survives_json(scale, tmp_path):
    config = resolve(dataclasses.replace(defaults_of(scale), out=tmp_path))
    assert json.loads(json.dumps(dataclasses.asdict(config), default=str))["scale"] == scale
    cells = make_cells(config, True)
    assert len(set(cells)) == len(cells) and {cell["seed"] for cell in cells} == set(range(config.seeds))
    assert set(config.maps) <= set(MAPS)
