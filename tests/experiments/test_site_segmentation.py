"""Study 4B end to end at the smallest scale: masks of maps, networks, files for maps, and what the maps are worth."""

import dataclasses
import json
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from experiments.harness import run as harness
from experiments.harness.annotating import ellipses_in_boxes
from experiments.harness.classifier_options import ClassifierSizes
from experiments.harness.classifiers import LabelledDomain
from experiments.harness.map_options import OURS
from experiments.harness.options import overlaid
from experiments.harness.parsing import defaults_of, resolved
from experiments.harness.publish import config_of
from experiments.harness.store import TrainingStore
from experiments.outline_sites.__main__ import main as outline_sites
from experiments.site_segmentation.__main__ import main
from experiments.site_segmentation.grid import MASKS, NONE, Config, Trial, Way, way_of
from experiments.site_segmentation.labels import check_outlines, sides_of
from experiments.site_segmentation.operating import POINT
from experiments.site_segmentation.study import STUDY, SiteTrainer, needs, write_files
from segjax.data.ground.geofiles import missing_packages
from segjax.sweeps.trials import factors_of
from segjax.types import IGNORED, InputError

DATA = "terrain:mounds?pixels=64&metres=6.64&sheets=4&pictures=4&without=1"
TINY = [
    "--scale", "smoke", "--data", DATA, "--folds", "4", "--classifiers", "msd_classifier", "--train.epochs", "1",
    "--classifier-sizes.msd-depth", "2",
    "--sizes.unet-width", "2", "--sizes.unet-levels", "1", "--strategy", "sequential", "--classify.epochs", "1",
]  # fmt: skip


def smoke(out, **changes) -> Config:
    """The smoke scale on the smallest pictures."""
    config = defaults_of(STUDY, "smoke")
    changes.setdefault("source", {"data": DATA, "folds": 4})
    return resolved(STUDY, overlaid(config, {"run": {"out": out}, **changes}))


def run(monkeypatch, capsys, *options: str) -> str:
    monkeypatch.setattr(sys, "argv", ["site_segmentation", *options])
    main()
    return capsys.readouterr().out


@pytest.mark.slow
def test_the_whole_study(tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    options = (*TINY, "--level", "gated", "--out", str(out))
    text = run(monkeypatch, capsys, *options)
    assert "report:" in text and "failed" not in text
    table = pd.read_csv(out / "results.csv", keep_default_na=False)
    factors = ["network", "seed", "method", "classifier", "map", "rule", "completion", "outlines"]
    assert list(table.columns) == ["study", "data", *factors, "picture", "metric", "value", "status", "code"]
    trials = smoke(out, classification={"classifiers": ("msd_classifier",)}).trials()
    found = {tuple(row) for row in table[factors].itertuples(index=False)}
    assert found == {tuple(factors_of(trial).values()) for trial in trials}
    assert (table["metric"] == "dice_pooled").sum() == len(trials)
    rates = {"detection_rate", "false_positive_rate", "half_detection_rate", "half_false_positive_rate"}
    assert {*rates, *POINT, "marked_rate", "auc"} <= set(table["metric"])
    gates = table[table["metric"] == "site_gate"]["value"].astype(float)
    assert len(gates) == sum(trial.method != MASKS for trial in trials) and gates.between(0, 1).all()
    outlines = table[(table["method"] == "outlines") & (table["metric"] == "label_dice")]
    assert (outlines["value"].astype(float) == 1).all()
    discs = table[(table["method"] == "points") & (table["metric"] == "label_dice")]["value"].astype(float)
    assert discs.between(0.3, 0.99).all()
    split = json.loads((out / "splits" / "seed-0.json").read_text())
    tested = set(table["picture"]) - {""}
    assert tested and tested <= set(split["test"])
    page = (out / "report.html").read_text()
    assert "Activation maps in place of outlines" in page and "Nothing can be concluded about maps" in page
    assert "has not learnt to tell pictures with a site from pictures without" in page
    assert "gives a high enough probability of a site" in page
    for gallery in ("Masks made of maps", "What the networks found", "worst without a site"):
        assert gallery in page, gallery
    stems = {path.stem for path in (out / "figures").iterdir()}
    assert stems == {"found_by_unet", "boundaries_unet", "masks_of_maps"}
    networks = {path.name.split("_")[0] for path in (out / "networks").glob("*.safetensors")}
    assert networks == {"msd", "unet"}  # outline_sites needs them later
    assert not (out / "sites").exists() if missing_packages() else list((out / "sites").rglob("sites.gpkg"))
    said = "No GeoTIFF masks or site outlines were written" in page
    assert said == bool(missing_packages())
    if not missing_packages():
        check_scene(out, tmp_path, monkeypatch, capsys)
    text = run(monkeypatch, capsys, *options, "--resume")
    assert f"{len(trials)} of {len(trials)} trials are done already; 0 to do" in text


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

    def outline(scene: str, found: str, *more: str) -> str:
        places = ["--run", out, "--scene", tmp_path / scene, "--out", tmp_path / found]
        monkeypatch.setattr(sys, "argv", ["outline_sites", *map(str, places), "--force", *more])
        outline_sites()
        return capsys.readouterr().out

    # every pixel has a probability above 0, so that all of the scene is one site
    assert "1 site of 52 ha" in outline("scene.tif", "found", "--threshold", "0")
    with rasterio.open(tmp_path / "found" / "mask.tif") as file:
        assert file.read(1).all() and file.crs.to_epsg() == 32637
    assert f"1 site of {known.sum() * 6.64**2 / 1e4:.2g} ha" in outline("partly.tif", "holed", "--threshold", "0")
    with rasterio.open(tmp_path / "holed" / "mask.tif") as file:
        assert file.nodata == 255
        np.testing.assert_array_equal(file.read(1), np.where(known, 1, 255))
    for number, learnt in enumerate(("contour_cam:otsu:none", "points", "outlines:1", "outlines")):
        outline("partly.tif", f"learnt_{number}", "--learnt", learnt)
    message = (
        "learnt: no network of the run was trained on magic; choose one of contour_cam:otsu:none, points, outlines:1"
    )
    with pytest.raises(InputError, match=message):
        outline("partly.tif", "magic", "--learnt", "magic")


def test_plan_trains_nothing(tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    text = run(monkeypatch, capsys, *TINY, "--out", str(out), "--plan")
    assert "nothing was trained" in text and "method maps" in text
    assert not out.exists()


@pytest.fixture
def tiny(tmp_path) -> Config:
    return smoke(tmp_path)


@pytest.fixture(scope="module")
def domain(tmp_path_factory) -> LabelledDomain:
    return STUDY.read(smoke(tmp_path_factory.mktemp("o")))


OUTLINED = Trial("unet", 0, "outlines")
FROM_OURS = Trial("unet", 0, "maps", "resnet18", OURS, "otsu", "none")


def load(training):
    raise AssertionError(f"{training} is not needed")


def test_maps_are_made_of_the_pictures_of_a_split_only(tiny, domain):
    labels = SiteTrainer(tiny, domain).labels
    shown, empty = labels._mapped(0)
    np.testing.assert_array_equal(shown, np.flatnonzero(domain.presence))
    split = domain.split(0)
    fewer = dataclasses.replace(split, train=split.train[:3])
    shown, empty = SiteTrainer(tiny, splitted(domain, fewer)).labels._mapped(0)
    used = {*fewer.train, *fewer.validation, *fewer.test}
    assert set(shown) | set(empty) <= used and len(shown) == sum(domain.presence[list(used)])


def splitted(domain, split) -> LabelledDomain:
    other = dataclasses.replace(domain)
    other.__dict__["split"] = lambda seed: split
    return other


def test_fewer_outlined_sites_are_among_those_of_more(domain):
    one, two, every = (sides_of(domain, dataclasses.replace(OUTLINED, outlines=count)) for count in (1, 2, 0))
    assert one.train == two.train[:1] and two.train == every.train[:2]
    assert len(one.validation) == len(one.validation_without) == 1
    split = domain.split(0)
    assert set(every.train) == set(domain.with_object(split.train))
    assert set(every.train_without) == set(domain.without(split.train))
    assert set(every.validation) <= set(split.validation)


def test_epochs_have_as_many_pictures_with_a_site_as_without(tiny, domain):
    trainer = SiteTrainer(dataclasses.replace(tiny, epoch_pictures=9), domain)
    job = trainer.job(OUTLINED, load)
    assert job.train.images.shape[0] == trainer.extent(OUTLINED).train == 9
    assert job.validation.images.shape[0] == trainer.extent(OUTLINED).validation
    assert job.train.targets.any((1, 2)).sum() == 5
    assert job.facts == {"label_dice": 1.0, "marked_rate": 1.0}


def test_the_share_and_the_choice_of_pictures_without_a_site(tiny, domain):
    def without(**options):
        job = SiteTrainer(dataclasses.replace(tiny, epoch_pictures=8, **options), domain).job(OUTLINED, load)
        return job.train.images[~job.train.targets.any((1, 2))]

    indices = sides_of(domain, OUTLINED).train_without
    assert len(indices) == 4
    few = [without(without_share=0.25, negatives=kind) for kind in ("in_order", "drawn")]
    np.testing.assert_array_equal(few[0], domain.images[list(indices[:2])])
    assert len(few[1]) == 2 and not np.array_equal(*few)
    every = without(without_share=0.75, negatives="drawn")  # all of them once, then from the start again
    np.testing.assert_array_equal(every[:2], few[1])
    np.testing.assert_array_equal(np.sort(every[:4], 0), np.sort(domain.images[list(indices)], 0))
    assert len(every) == 6 and np.array_equal(every[4:], every[:2])


def test_a_picture_with_a_site_in_which_nothing_is_marked_is_ignored(tiny, domain, monkeypatch):
    trainer = SiteTrainer(tiny, domain)
    nothing = np.zeros(domain.labels.shape[1:], bool)
    monkeypatch.setattr(trainer.labels, "masks", lambda trial, indices, load: np.stack([nothing for _ in indices]))
    job = trainer.job(FROM_OURS, load)
    sites = np.all(job.train.targets == IGNORED, axis=(1, 2))
    assert sites.sum() == 2 and not job.train.targets[~sites].any()
    assert job.facts["marked_rate"] == 0


def test_a_network_that_learns_from_maps_needs_their_classifier(tiny, domain):
    store = TrainingStore(tiny.run, SiteTrainer(tiny, domain))
    assert store.closure([OUTLINED]) == [OUTLINED]
    trial, classifier = store.closure([FROM_OURS])
    assert trial == FROM_OURS and (classifier.network, classifier.seed) == ("resnet18", 0)
    assert FROM_OURS.trainings == [classifier, FROM_OURS]
    masks = Trial(NONE, 0, MASKS, "resnet18", OURS, "otsu", "none")
    assert masks.trainings == [classifier]
    gated = SimpleNamespace(config=dataclasses.replace(tiny, level="gated"))
    assert needs(gated, OUTLINED) == [*needs(gated, FROM_OURS)[:1], OUTLINED]
    assert needs(gated, FROM_OURS) == [classifier, FROM_OURS] and needs(gated, masks) == [classifier]
    assert needs(SimpleNamespace(config=tiny), OUTLINED) == [OUTLINED]


def test_discs_boxes_and_walked_points(tiny, domain):
    labels = SiteTrainer(tiny, domain).labels
    assert labels.radius == pytest.approx(75 / 6.64)
    index = domain.with_object(range(16))[0]
    disc, walked = (labels.masks(Trial("unet", 0, name), [index], load)[0] for name in ("points", "walked_points"))
    assert disc.sum() == pytest.approx(np.pi * labels.radius**2, rel=0.1) or disc[[0, -1]].any() or disc[:, 0].any()
    assert walked.any() and np.any(walked & disc)
    empty = domain.without(range(16))[0]
    assert not labels.masks(Trial("unet", 0, "points"), [empty], load).any()


def test_an_ellipse_fills_its_box():
    truth = np.zeros((30, 40), bool)
    truth[5:16, 4:25] = True
    truth[20:23, 30:33] = True
    found = ellipses_in_boxes(truth)
    assert not found[~truth].any()
    assert found[5:16, 4:25].sum() == pytest.approx(np.pi / 4 * 11 * 21, rel=0.05)
    assert found[10, 4] and found[10, 24] and found[5, 14] and found[21, 31] and not found[5, 4]


def test_pictures_without_a_place_on_the_ground_are_counted(domain, tmp_path, capsys):
    pytest.importorskip("rasterio")
    indices, shape = list(range(8)), (8, *domain.labels.shape[1:])
    masks, probability = np.zeros(shape, bool), np.zeros(shape, np.float32)
    write_files(tmp_path / "all", domain, indices, masks, probability)
    assert capsys.readouterr().out == ""
    partly = dataclasses.replace(domain, places=tuple(None if i < 6 else p for i, p in enumerate(domain.places)))
    write_files(tmp_path / "some", partly, indices, masks, probability)
    said = " ".join(capsys.readouterr().out.split())
    assert "some: 6 of 8 pictures have no place on the ground and got no GeoTIFF mask and outlines" in said
    assert f"{', '.join(domain.source.names[:5])} and 1 more" in said
    assert len(list((tmp_path / "some/masks").iterdir())) == 2 and len(list((tmp_path / "all/masks").iterdir())) == 8


def test_ways(tiny):
    assert way_of("cam:dataset:geodesic") == Way("cam", "dataset", "geodesic")
    for text, message in (
        ("cam", "is not MAP:RULE:COMPLETION"),
        ("cam:guess:none", "trained_on: unknown 'guess'"),
        ("kam:otsu:none", "trained_on: unknown 'kam'"),
    ):
        with pytest.raises(InputError, match=message):
            way_of(text)
    assert way_of(tiny.trained_on[0]) in tiny.ways()
    assert {trial.method for trial in tiny.trials() if trial.network == NONE} == {MASKS}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rules": ("mean",)}, "rules: unknown 'mean'"),
        ({"completions": ("crf",)}, "completions: unknown 'crf'"),
        ({"baselines": ("scribbles",)}, "baselines: unknown 'scribbles'"),
        ({"outlines": (0,)}, "outlines must be at least 1"),
        ({"outlines": (1, 1)}, "outlines: a value is given twice"),
        ({"epoch_pictures": 1}, "epoch_pictures must be at least 2"),
        ({"segmentation": {"networks": ("vgg16",)}}, "networks: unknown 'vgg16'"),
        ({"minimum_area": 0}, "minimum_area must be at least 1"),
        ({"point_radius": -1.0}, "point_radius must be at least 0"),
        ({"without_share": 1.0}, "without_share must be above 0 and below 1, not 1.0"),
        ({"false_alarms": 0.0}, "false_alarms must be above 0 and below 1, not 0.0"),
        (
            {
                "trained_on": ("cam:otsu:none",),
                "classification": {"classifiers": ("vgg16",), "classifier_sizes": ClassifierSizes(vgg_head="hidden")},
            },
            "maps: vgg16 has no cam",
        ),
    ],
)
def test_what_resolve_refuses(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        smoke(tmp_path, **change)


def test_more_outlines_than_there_are_is_refused(tiny, domain):
    with pytest.raises(InputError, match="outlines: seed 0 has 4 outlined pictures with a site for training"):
        check_outlines(dataclasses.replace(tiny, outlines=(99,)), domain)


@pytest.mark.parametrize("scale", STUDY.scales)
def test_every_scale_is_sound_and_survives_json(scale, tmp_path):
    config = defaults_of(STUDY, scale)
    config = resolved(STUDY, overlaid(config, {"run": {"out": tmp_path}}))
    stored = json.loads(json.dumps(dataclasses.asdict(config), default=str))
    assert stored["run"]["scale"] == scale and config_of(Config, stored) == config
    trials = config.trials()
    assert len(set(trials)) == len(trials) and {trial.seed for trial in trials} == set(range(config.run.seeds))


def test_the_maps_of_a_classifier_are_estimated_once_for_all_masks_made_of_them(tmp_path):
    config = smoke(tmp_path, maps=(OURS, "grad_cam"), rules=("otsu", "fixed"), trained_on=("grad_cam:otsu:none",))
    context, trials = harness.opened(STUDY, config)
    found = {key: count for trial in trials for key, count in STUDY.passes(context, trial).items()}
    assert [(classifier.network, kind) for classifier, kind in found] == [("resnet18", "grad_cam"), ("resnet18", OURS)]
    domain, split = context.data, context.data.split(0)
    pictures = int((domain.presence == 1).sum()) + len(domain.without((*split.validation, *split.train))[:40])
    assert found[next(iter(found))] / pictures == 3
    assert all(STUDY.passes(context, trial) == {} for trial in trials if trial.classifier == NONE)
