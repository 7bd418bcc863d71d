"""Study 4B end to end at the smallest scale: masks of maps, networks, files for maps, and what the maps are worth."""

import dataclasses
import json
import sys

import numpy as np
import pandas as pd
import pytest

from experiments import outline_sites
from experiments.classifiers import LabelledDomain, read_labelled
from experiments.map_kinds import OURS
from experiments.site_segmentation.__main__ import main
from experiments.site_segmentation.answers import answers
from experiments.site_segmentation.config import SCALES, StudyConfig, Way, defaults_of, resolve, way_of, ways_of
from experiments.site_segmentation.files import write_sites
from experiments.site_segmentation.findings import LEVELS, Findings
from experiments.site_segmentation.grid import FACTORS, MASKS, NONE, make_cells
from experiments.site_segmentation.labels import Labels, ellipses_in_boxes
from experiments.site_segmentation.study import Trainer
from experiments.site_segmentation.trainings import Segmentations, check_counts
from segjax.data.geofiles import missing_packages
from segjax.maps.masks import RULES
from segjax.types import IGNORED, Georeference, InputError

DATA = "terrain:mounds?pixels=64&metres=6.64&sheets=4&pictures=4&without=1"
TINY = [
    "--scale", "smoke", "--data", DATA, "--folds", "4", "--classifiers", "msd_classifier", "--train.epochs", "1",
    "--classifier-sizes.msd-depth", "2",
    "--sizes.unet-width", "2", "--sizes.unet-levels", "1", "--strategy", "sequential", "--classify.epochs", "1",
]  # fmt: skip


def run(monkeypatch, capsys, *options: str) -> str:
    monkeypatch.setattr(sys, "argv", ["site_segmentation", *options])
    main()
    return capsys.readouterr().out


@pytest.mark.slow
def test_the_whole_study(tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    text = run(monkeypatch, capsys, *TINY, "--out", str(out))
    assert "report:" in text and "failed" not in text
    table = pd.read_csv(out / "results.csv", keep_default_na=False)
    assert list(table.columns) == ["study", *FACTORS, "picture", "metric", "value", "status"]
    told = {"out": out, "data": DATA, "classifiers": ("msd_classifier",)}
    cells = make_cells(resolve(dataclasses.replace(defaults_of("smoke"), **told)))
    found = {tuple(row) for row in table[list(FACTORS)].itertuples(index=False)}
    assert found == {tuple(value for _, value in cell.factors) for cell in cells}
    assert (table["metric"] == "dice_pooled").sum() == len(cells)
    outlines = table[(table["method"] == "outlines") & (table["metric"] == "label_dice")]
    assert (outlines["value"].astype(float) == 1).all()
    discs = table[(table["method"] == "points") & (table["metric"] == "label_dice")]["value"].astype(float)
    assert discs.between(0.3, 0.99).all()
    split = json.loads((out / "splits" / "seed-0.json").read_text())
    tested = set(table["picture"]) - {""}
    assert tested and tested <= set(split["test"])
    page = (out / "report.html").read_text()
    assert "Site outlines from image-level labels" in page and "worth" in page
    assert not (out / "sites").exists() if missing_packages() else list((out / "sites").rglob("sites.geojson"))
    said = "No GeoTIFF or GeoJSON was written" in page
    assert said == bool(missing_packages())
    if not missing_packages():
        check_scene(out, tmp_path, monkeypatch, capsys)
    text = run(monkeypatch, capsys, *TINY, "--out", str(out), "--resume")
    assert f"{len(cells)} of {len(cells)} cells are done already; 0 to do" in text


def check_scene(out, tmp_path, monkeypatch, capsys):
    """Outlines on a scene that is larger than the pictures, by the networks of the run."""
    import rasterio

    pixels = np.random.default_rng(0).integers(0, 254, (90, 130), np.uint8)
    place = {"crs": "EPSG:32637", "transform": rasterio.Affine(6.64, 0, 420_000, 0, -6.64, 4_120_000)}
    profile = {"driver": "GTiff", "height": 90, "width": 130, "count": 1, "dtype": "uint8", **place}
    with rasterio.open(tmp_path / "scene.tif", "w", **profile) as file:
        file.write(pixels, 1)
    known = np.ones(pixels.shape, bool)
    known[:, :13], known[40:50, 60:70] = False, False
    with rasterio.open(tmp_path / "partly.tif", "w", **profile, nodata=255) as file:
        file.write(np.where(known, pixels, 255).astype(np.uint8), 1)
    options = ["--run", str(out), "--scene", str(tmp_path / "scene.tif"), "--out", str(tmp_path / "found")]
    # every pixel has a probability above 0, so that all of the scene is one site
    monkeypatch.setattr(sys, "argv", ["outline_sites", *options, "--threshold", "0"])
    outline_sites.main()
    assert "1 sites of 51.6 ha in all" in capsys.readouterr().out
    with rasterio.open(tmp_path / "found" / "mask.tif") as file:
        assert file.read(1).all() and file.crs.to_epsg() == 32637
    options[3] = str(tmp_path / "partly.tif")
    monkeypatch.setattr(sys, "argv", ["outline_sites", *options, "--threshold", "0"])
    outline_sites.main()
    assert f"1 sites of {known.sum() * 6.64**2 / 1e4:.1f} ha in all" in capsys.readouterr().out
    with rasterio.open(tmp_path / "found" / "mask.tif") as file:
        assert file.nodata == 255
        np.testing.assert_array_equal(file.read(1), np.where(known, 1, 255))
    monkeypatch.setattr(sys, "argv", ["outline_sites", *options, "--learnt", "magic"])
    with pytest.raises(InputError, match="learnt: nothing of that kind in the run; choose one of: Contour-CAM"):
        outline_sites.main()


def test_a_run_on_shrunk_pictures_looks_at_no_scene(tmp_path, monkeypatch):
    out = tmp_path / "run"
    config = dataclasses.replace(defaults_of("smoke"), data="folder:tiles?shrink=2", out=out)
    plan = {"study": "site_segmentation", "config": {}}
    monkeypatch.setattr(outline_sites, "read_results", lambda path: (plan, pd.DataFrame()))
    monkeypatch.setattr(outline_sites, "config_of", lambda kind, values: config)
    scene = outline_sites.Scene(
        tmp_path / "x.tif", Georeference("EPSG:32637", (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)), np.ones((4, 4), bool), (1,)
    )
    with pytest.raises(InputError, match="learnt from pictures with shrink="):
        outline_sites.probability_of(outline_sites.Options(run=out, scene=scene.path, out=tmp_path / "y"), scene)


def test_every_rule_for_a_level_has_words():
    assert set(LEVELS) == set(RULES)


def test_plan_trains_nothing(tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    text = run(monkeypatch, capsys, *TINY, "--out", str(out), "--plan")
    assert "nothing was trained" in text and "method maps" in text
    assert not out.exists()


@pytest.fixture
def tiny(tmp_path) -> StudyConfig:
    return resolve(dataclasses.replace(defaults_of("smoke"), out=tmp_path, data=DATA, folds=4))


@pytest.fixture(scope="module")
def domain(tmp_path_factory) -> LabelledDomain:
    return read_labelled(
        resolve(dataclasses.replace(defaults_of("smoke"), out=tmp_path_factory.mktemp("o"), data=DATA, folds=4))
    )


def cell_of(config, **factors):
    cells = make_cells(config)
    return next(cell for cell in cells if all(cell[name] == value for name, value in factors.items()))


def test_fewer_outlined_sites_are_among_those_of_more(tiny, domain):
    config = dataclasses.replace(tiny, outlines=(1, 2))
    trainings = Trainer(config, domain).trainings
    one, two, every = (trainings.sides(cell_of(config, method="outlines", outlines=count)) for count in (1, 2, 0))
    assert one.train == two.train[:1] and two.train == every.train[:2]
    assert len(one.validation) == len(one.validation_without) == 1
    split = trainings.split(0)
    assert set(every.train) == set(domain.with_object(split.train))
    assert set(every.train_without) == set(domain.without(split.train))
    assert set(every.validation) <= set(split.validation)


def test_epochs_have_as_many_pictures_with_a_site_as_without(tiny, domain):
    config = dataclasses.replace(tiny, epoch_pictures=9)
    trainings = Trainer(config, domain).trainings
    job = trainings.job(cell_of(config, method="outlines", outlines=0))
    assert job.train.images.shape[0] == 9
    assert job.train.targets.any((1, 2)).sum() == 5
    assert job.facts == {"label_dice": 1.0, "marked": 1.0}


def test_a_picture_with_a_site_in_which_nothing_is_marked_is_ignored(tiny, domain):
    trainer = Trainer(tiny, domain)
    trainings = trainer.trainings

    class Blind(Labels):
        def masks(self, cell, indices):
            return np.zeros((len(indices), *domain.labels.shape[1:]), bool)

    trainings.labels = Blind(tiny, domain, trainer.classifiers)
    job = trainings.job(cell_of(tiny, method="maps"))
    sites = np.all(job.train.targets == IGNORED, axis=(1, 2))
    assert sites.sum() == 2 and not job.train.targets[~sites].any()
    assert job.facts["marked"] == 0


def test_discs_boxes_and_walked_points(tiny, domain):
    labels = Trainer(tiny, domain).trainings.labels
    assert labels.radius == pytest.approx(75 / 6.64)
    index = domain.with_object(range(16))[0]
    cell = cell_of(tiny, method="points")
    disc = labels.masks(cell, [index])[0]
    assert disc.sum() == pytest.approx(np.pi * labels.radius**2, rel=0.1) or disc[[0, -1]].any() or disc[:, 0].any()
    walked = labels._drawn("walked points", index)
    assert walked.any() and np.any(walked & disc)
    empty = domain.without(range(16))[0]
    assert not labels.masks(cell, [empty]).any()


def test_an_ellipse_fills_its_box():
    truth = np.zeros((30, 40), bool)
    truth[5:16, 4:25] = True
    truth[20:23, 30:33] = True
    found = ellipses_in_boxes(truth)
    assert not found[~truth].any()
    assert found[5:16, 4:25].sum() == pytest.approx(np.pi / 4 * 11 * 21, rel=0.05)
    assert found[10, 4] and found[10, 24] and found[5, 14] and found[21, 31] and not found[5, 4]


def test_pictures_without_a_mask_are_counted(domain, tmp_path, capsys):
    pytest.importorskip("rasterio")
    indices, shape = list(range(8)), (8, *domain.labels.shape[1:])
    masks, probability = np.zeros(shape, bool), np.zeros(shape, np.float32)
    write_sites(tmp_path / "all", domain, indices, masks, probability)
    assert capsys.readouterr().out == ""
    partly = dataclasses.replace(domain, places=tuple(None if i < 6 else p for i, p in enumerate(domain.places)))
    write_sites(tmp_path / "some", partly, indices, masks, probability)
    said = " ".join(capsys.readouterr().out.split())
    assert "some: 6 of 8 pictures have no place on the ground and got no GeoTIFF mask and outlines" in said
    assert f"{', '.join(domain.source.names[:5])} and 1 more" in said
    assert len(list((tmp_path / "some/masks").iterdir())) == 2 and len(list((tmp_path / "all/masks").iterdir())) == 8


def table_of(values):
    """A table of results from (method, outlines, map) -> Dice by seed."""
    rows = []
    for (method, outlines, kind), by_seed in values.items():
        made = {"classifier": "resnet18", "map": kind, "rule": "otsu", "completion": "none"} if kind else {}
        neutral = dict.fromkeys(("classifier", "map", "rule", "completion"), NONE)
        for seed, value in enumerate(by_seed):
            place = {"network": "unet", "seed": seed, "method": method, "outlines": outlines, **neutral, **made}
            rows.append({**place, "picture": "", "metric": "dice_pooled", "value": value, "status": "ok"})
    return pd.DataFrame(rows)


def test_what_the_maps_are_worth(tiny):
    config = dataclasses.replace(tiny, outlines=(1, 4, 16), trained=(f"{OURS}:otsu:none", "cam:otsu:none"))
    table = table_of(
        {
            ("outlines", 0, ""): [0.8, 0.8, 0.8],
            ("outlines", 1, ""): [0.2, 0.3, 0.1],
            ("outlines", 4, ""): [0.4, 0.4, 0.4],
            ("outlines", 16, ""): [0.7, 0.7, 0.7],
            ("maps", 0, OURS): [0.6, 0.5, 0.55],
            ("maps", 0, "cam"): [0.1, 0.2, 0.0],
            ("points", 0, ""): [0.75, 0.75, 0.75],
        }
    )
    found = Findings(config, table)
    ours, cam = found.maps("unet")
    assert found.share(ours).mean == pytest.approx(0.6875)
    # half way from 4 to 16 by the logarithm
    assert found.worth(ours) == "about 8" and found.worth(cam) == "less than one"
    assert found.worth(found.cheap("unet")[0]) == "more than 16"
    said = " ".join(answers(found))
    assert "reaches Dice 0.550" in said and "69 % (53 to 84 %) of the 0.800" in said
    assert "worth about 8 outlined sites; against 16 outlined sites: -15.0 Dice points (95 % interval" in said
    seen = table[table["outlines"] == 0]
    more = [table, seen.assign(metric="found", value=0.9), seen.assign(metric="false_alarms", value=0.5)]
    said = " ".join(answers(Findings(config, pd.concat(more))))
    assert "finds something in 90% of the pictures with a site and in 50% of those without" in said
    nothing = table.assign(value=0.0)
    assert Findings(config, nothing).worth(ours) == "not known"
    assert "+45.0 Dice points (95 % interval" in said and "against the best maps: +20.0 Dice points" in said


def test_ways(tiny):
    assert way_of("cam:dataset:geodesic") == Way("cam", "dataset", "geodesic")
    for text, message in (
        ("cam", "is not MAP:RULE:COMPLETION"),
        ("cam:guess:none", "trained: unknown 'guess'"),
        ("kam:otsu:none", "trained: unknown 'kam'"),
    ):
        with pytest.raises(InputError, match=message):
            way_of(text)
    assert way_of(tiny.trained[0]) in ways_of(tiny)
    assert {cell["method"] for cell in make_cells(tiny) if cell["network"] == NONE} == {MASKS}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rules": ("mean",)}, "rules: unknown 'mean'"),
        ({"completions": ("crf",)}, "completions: unknown 'crf'"),
        ({"methods": ("scribbles",)}, "methods: unknown 'scribbles'"),
        ({"outlines": (0,)}, "outlines must be at least 1"),
        ({"outlines": (1, 1)}, "outlines: one is given twice"),
        ({"epoch_pictures": 1}, "epoch_pictures must be at least 2"),
        ({"networks": ("vgg16",)}, "networks: unknown 'vgg16'"),
        ({"smallest": 0}, "smallest must be at least 1"),
    ],
)
def test_what_resolve_refuses(tiny, change, message):
    with pytest.raises(InputError, match=message):
        resolve(dataclasses.replace(tiny, **change))


def test_more_outlines_than_there_are_is_refused(tiny, domain):
    config = dataclasses.replace(tiny, outlines=(99,))
    trainer = Trainer(config, domain)
    assert isinstance(trainer.trainings, Segmentations)
    with pytest.raises(InputError, match="outlines: seed 0 has 4 outlined pictures with a site"):
        check_counts(config, domain, trainer.trainings, make_cells(config))


@pytest.mark.parametrize("scale", SCALES)
def test_every_scale_is_sound_and_survives_json(scale, tmp_path):
    config = resolve(dataclasses.replace(defaults_of(scale), out=tmp_path))
    assert json.loads(json.dumps(dataclasses.asdict(config), default=str))["scale"] == scale
    cells = make_cells(config)
    assert len(set(cells)) == len(cells) and {cell["seed"] for cell in cells} == set(range(config.seeds))


def test_nothing_is_said_in_shares_of_nothing(tiny):
    config = dataclasses.replace(tiny, outlines=(1,), trained=(f"{OURS}:otsu:none",))
    nothing = {
        ("outlines", 0, ""): [0.0],
        ("outlines", 1, ""): [0.0],
        ("maps", 0, OURS): [0.0],
        ("points", 0, ""): [0.0],
    }
    said = " ".join(answers(Findings(config, table_of(nothing))))
    assert "finds nothing even with all outlines" in said and "nan" not in said
    all_of_it = {**nothing, ("outlines", 0, ""): [0.5], ("maps", 0, OURS): [0.6]}
    assert "worth all outlined sites" in " ".join(answers(Findings(config, table_of(all_of_it))))
