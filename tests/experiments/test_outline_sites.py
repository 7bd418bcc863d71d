"""Scenes that networks of a run can look at and those that are refused, what is kept of them, and what is said."""

import dataclasses
import itertools
import json
import re
import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from experiments.harness.classifiers import LabelledDomain
from experiments.harness.options import overlaid
from experiments.harness.parsing import defaults_of, resolved
from experiments.harness.run import plan_of
from experiments.outline_sites import __main__ as command
from experiments.outline_sites import networks
from experiments.outline_sites.held_out import HeldOut, Trivial, check_networks, held_out, trivial_mask
from experiments.outline_sites.networks import SiteRun, check_scene, open_run, probability_of, read_scene, seeds_of
from experiments.outline_sites.options import OutlineOptions
from experiments.outline_sites.page import left_out, notes, site_gallery, verdict
from experiments.outline_sites.places import Found, Smallest, sites_in, smallest_site, table_of
from experiments.site_segmentation.grid import Config, Trial
from experiments.site_segmentation.operating import Point
from experiments.site_segmentation.study import STUDY, SiteTrainer
from segjax.data.ground.scene import open_scene, picture_of
from segjax.evaluation import Interval
from segjax.models.weights import save_weights
from segjax.sweeps import Ledger, ResultTable, Row
from segjax.sweeps.plan import open_plan
from segjax.sweeps.trials import file_stem
from segjax.types import InputError
from tests.data.ground.test_scene import noise, write

rasterio = pytest.importorskip("rasterio", reason="the extra geo is not installed")
pytestmark = pytest.mark.filterwarnings("ignore:Setting the shape on a NumPy array:DeprecationWarning")
DATA = "terrain:mounds?pixels=64&metres=6.64&sheets=4&pictures=4&without=1"
ALL = Trial("unet", 0, "outlines")
ONE, POINTS = dataclasses.replace(ALL, outlines=1), Trial("unet", 0, "points")
MAPS = Trial("unet", 0, "maps", "resnet18", "contour_cam", "otsu", "none")


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Config:
    changes = {"run": {"out": tmp_path_factory.mktemp("o")}, "source": {"data": DATA, "folds": 4}}
    return resolved(STUDY, overlaid(defaults_of(STUDY, "smoke"), changes))


@pytest.fixture(scope="module")
def domain(config) -> LabelledDomain:
    return STUDY.read(config)


@pytest.fixture(scope="module")
def study_run(config, domain) -> SiteRun:
    """A run of four networks that never trained, with results of our own: only two of them are any good."""
    plan = plan_of(STUDY, config, domain)
    values = {ALL: (0.6, 0.9, 0.1), MAPS: (0.5, 0.8, 0.9), POINTS: (0.05, 0.4, 0.2), ONE: (0.0, 0.0, 0.0)}
    names = ("dice_pooled", "detection_rate", "false_positive_rate")
    network = SiteTrainer(config, domain).network("unet")
    variables = jax.jit(network.init)(jax.random.key(0), jnp.asarray(domain.images[:1]))
    with Ledger(config.run.out, Trial, plan) as ledger:
        for trial, found in values.items():
            ledger.append(trial, [Row(*row) for row in zip(names, found, strict=True)], 0, "ok")
            path = config.run.out / "networks" / f"{file_stem(trial)}.safetensors"
            save_weights(path, variables, {"status": "ok", "restarts": 0})
    return open_run(config.run.out, "outlines")


def test_a_mask_is_no_scene(tmp_path, study_run):
    mask = (noise() > 0.5 * noise().max()).astype(noise().dtype)
    with pytest.raises(InputError, match=r"mask\.tif: has only two values or fewer, as a mask has"):
        read_scene(open_scene(write(tmp_path / "mask.tif", mask)), study_run)


@pytest.mark.parametrize("metres", [6.64, 6.1, 7.2])
def test_pixels_may_differ_a_little(tmp_path, study_run, metres):
    check_scene(open_scene(write(tmp_path / "scene.tif", noise(), metres)), study_run)


@pytest.mark.parametrize(("metres", "said"), [(1.66, "1.66 m"), (7.4, "7.4 m")])
def test_pixels_of_another_size_are_refused(tmp_path, study_run, metres, said):
    scene = open_scene(write(tmp_path / "scene.tif", noise(), metres))
    with pytest.raises(InputError, match=rf"scene\.tif: has pixels of {said}.*pixels of 6\.64 m; resample.*-tr 6\.64 "):
        check_scene(scene, study_run)


def test_their_size_is_that_on_the_ground(tmp_path, study_run):
    def scene(metres):
        write(tmp_path / "scene.tif", noise(), metres, "EPSG:3857")
        found = open_scene(tmp_path / "scene.tif")
        north = (metres, 0.0, 4_300_000.0, 0.0, -metres, 4_300_000.0)
        return found._replace(georeference=dataclasses.replace(found.georeference, transform=north))

    check_scene(scene(8.2), study_run)  # about 0.81 of that at latitude 36 degrees
    with pytest.raises(InputError, match=r"has pixels of 5\.3\d m.*gdalwarp -tr 8\.2"):
        check_scene(scene(6.64), study_run)


@pytest.mark.parametrize("bands", [2, 3, 5])
def test_other_bands_are_refused(tmp_path, study_run, bands):
    scene = open_scene(write(tmp_path / "scene.tif", noise(bands)))
    with pytest.raises(
        InputError, match=rf"scene\.tif: has {bands} band\(s\), but the networks were trained on pictures of 1"
    ):
        check_scene(scene, study_run)


def test_colours_become_grey_where_the_run_made_them_so(tmp_path, study_run):
    scene = open_scene(write(tmp_path / "scene.tif", noise(3), photometric="rgb"))
    grey = overlaid(study_run.config, {"source": {"data": "folder:tiles?channels=1"}})
    check_scene(scene, dataclasses.replace(study_run, config=grey))
    assert picture_of(scene, "max", 1).shape == (20, 30, 1)


# ---- which networks look


def test_a_run_of_another_study_is_refused(tmp_path):
    plan = {"study": "activation_maps", "data": "0", "fingerprint": "0", "facts": {}, "sources": {}}
    open_plan(tmp_path, {**plan, "config": {"colour": 1}, "opening": {"code": "0", "commit": "0"}}, False)
    with pytest.raises(
        InputError, match=r"run: .* is of the study activation_maps; name the --out folder of a run of site"
    ):
        open_run(tmp_path, "")


def test_a_run_on_shrunk_pictures_looks_at_no_scene(tmp_path, config, monkeypatch):
    shrunk = overlaid(config, {"source": {"data": "folder:tiles?shrink=2"}})
    plan = {"study": "site_segmentation", "config": json.loads(json.dumps(dataclasses.asdict(shrunk), default=str))}
    monkeypatch.setattr(networks, "read_plan", lambda path: plan)
    with pytest.raises(InputError, match="was trained on pictures with shrink="):
        open_run(tmp_path, "")


def test_maps_are_chosen_where_nothing_is_asked_for(study_run):
    assert open_run(study_run.config.run.out, "").learnt == MAPS and study_run.learnt == ALL
    with pytest.raises(
        InputError,
        match="no network of the run was trained on magic; choose one of contour_cam:otsu:none, points, outl",
    ):
        open_run(study_run.config.run.out, "magic")


def test_only_networks_whose_trial_ended_well_look(study_run):
    frame = pd.concat([study_run.table.frame.assign(seed=seed) for seed in range(3)])
    frame.loc[(frame["seed"] == 1) & (frame["method"] == "outlines"), "status"] = "failed"
    replicates = dataclasses.replace(study_run.table.replicates, names=("a", "b", "c"))
    table = ResultTable(frame, Trial, replicates)
    assert seeds_of(table, ALL) == (0, 2) and seeds_of(table, POINTS) == (0, 1, 2)


def test_trivial_masks_know_where_nothing_is(domain):
    found = trivial_mask(domain, (0, 1))
    rows, columns = np.indices(domain.labels.shape[1:])
    ids = [np.unique(picture[picture > 0], return_counts=True)[1] for picture in domain.labels]
    radius = np.sqrt(np.median(np.concatenate(ids)) / np.pi)
    expected = []
    for mask in (np.hypot(rows - 31.5, columns - 31.5) <= radius, np.ones(rows.shape, bool)):
        tests = [domain.labels[list(domain.split(seed).test)] > 0 for seed in (0, 1)]
        expected.append(
            np.mean([2 * (truth & mask).sum() / (truth.sum() + len(truth) * mask.sum()) for truth in tests])
        )
    assert found.dice == pytest.approx(max(expected)) and expected[0] > expected[1] > 0.05
    assert found.name == "a disc in the middle of every picture"


def test_networks_no_better_than_a_disc_are_refused(study_run):
    check_networks(study_run, held_out(study_run))
    poor = dataclasses.replace(study_run, learnt=POINTS)
    said = (
        r"learnt: the networks trained on points failed on held-out pictures: their Dice is 0\.050, and a disc "
        r"in the middle of every picture has 0\.\d+ \(the networks find a site in 40 % of the held-out pictures that "
        r"have one, and mark something in 20 % of those that have none\); train the study longer, choose "
        r"another --learnt \(contour_cam:otsu:none, outlines\), or apply them all the same with --force"
    )
    with pytest.raises(InputError, match=said):
        check_networks(poor, held_out(poor))
    zeros = study_run.table.frame.assign(dice_pooled=0.0)
    nothing = dataclasses.replace(poor, table=ResultTable(zeros, Trial, study_run.table.replicates))
    with pytest.raises(InputError, match=r"Dice is 0\.000, .*longer, as none of its networks did better, or apply"):
        check_networks(nothing, held_out(nothing))


def past(dice=0.6, detection=0.9, alarms=0.1, n=1) -> HeldOut:
    values = (Interval(value, np.nan, np.nan, n if value == value else 0) for value in (dice, detection, alarms))
    return HeldOut(*values, Trivial("a disc", 0.2))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, []),
        ({"dice": 0.2}, ["their Dice is 0.200, and a disc has 0.200. The outlines mean nothing"]),
        ({"alarms": 0.91}, ["mark something in 91 % of the held-out pictures that have no site, so most of the outl"]),
        ({"detection": 0.3}, ["find a site in only 30 % of the held-out pictures that have one, so most sites of the"]),
        ({"alarms": np.nan}, ["no held-out picture without a site, so nothing is known about false alarms"]),
        ({"dice": 0.0, "detection": 0.0}, ["their Dice is 0.000", "find a site in only 0 %"]),
    ],
)
def test_cautions_follow_the_values_on_held_out_pictures(values, said):
    found = past(**values).cautions
    assert len(found) == len(said) and all(part in whole for part, whole in zip(said, found, strict=True))


# ---- what is kept


def scene_of(tmp_path, probability, known=None, metres=10.0):
    pixels = np.ones((1, *probability.shape), np.uint8)
    if known is not None:
        pixels[0, ~known] = 0
    return open_scene(write(tmp_path / "scene.tif", pixels, metres, nodata=0))


def test_small_pieces_are_left_out_and_the_surest_comes_first(tmp_path):
    probability = np.full((40, 50), 0.1, np.float32)
    probability[5:15, 5:15], probability[8:12, 8:12] = 0.7, 0.2  # with a hole, which is filled
    probability[20:25, 30:38] = 0.9
    probability[30:32, 2:4] = 1.0
    known = np.ones(probability.shape, bool)
    known[20:25, 37] = False
    scene = scene_of(tmp_path, probability, known)
    found = sites_in(probability, scene, Point(), Smallest(0.05, ""), 10.0)  # 4 pixels are 0.04 ha
    assert found.dropped == 1 and [round(one.hectares, 2) for one in found.outlines] == [0.35, 1.0]
    expected = np.zeros(probability.shape, np.int32)
    expected[20:25, 30:37], expected[5:15, 5:15] = 1, 2
    np.testing.assert_array_equal(found.sites, expected)
    table = table_of(found, scene)
    assert list(table["hectares"]) == ["0.350", "1.001"] and list(table["score"]) == ["0.900", "0.620"]
    for x, y, number in zip(table["x, EPSG:32637"], table["y, EPSG:32637"], (1, 2), strict=True):
        row, column = (4_120_000 - float(y)) / 10, (float(x) - 420_000) / 10
        assert found.sites[int(row), int(column)] == number
    everything = sites_in(probability, scene, Point(), Smallest(0.0, ""), 10.0)
    assert everything.dropped == 0 and len(everything.outlines) == 3
    assert everything.hectares == pytest.approx(1.39, rel=2e-3)


def test_pieces_below_the_level_of_the_run_are_left_out_too(tmp_path):
    probability = np.full((40, 50), 0.1, np.float32)
    probability[5:15, 5:15], probability[20:30, 20:30], probability[22:24, 22:24] = 0.7, 0.7, 0.96
    probability[30:32, 2:4] = 1.0
    point, smallest = Point(0.95, 4), Smallest(0.05, "")
    found = sites_in(probability, scene_of(tmp_path, probability), point, smallest, 10.0)
    assert (len(found.outlines), found.dropped, found.unsure) == (1, 1, 1)
    assert found.outlines[0].hectares == pytest.approx(1.0, rel=2e-3)  # with the outline at a half
    assert "1 piece was left out with fewer than 4 pixels of a probability above 0.95" in left_out(
        smallest, point, found
    )


def test_the_level_is_the_mean_of_those_chosen_for_the_networks(study_run):
    assert study_run.point(None) == Point() and study_run.point(0.7) == Point(0.7, is_outline=True)
    chosen = study_run.table.frame.assign(site_level=0.9, site_pixels=12.0, site_gate=0.0)
    known = dataclasses.replace(study_run, table=ResultTable(chosen, Trial, study_run.table.replicates))
    assert known.gate(0) == 0.0 and study_run.gate(0) == 0.0
    gated = dataclasses.replace(known, table=ResultTable(chosen.assign(site_gate=0.3), Trial, known.table.replicates))
    assert gated.gate(0) == 0.3
    assert known.point(None) == Point(0.9, 12.0, 0.0) and known.point(0.7) == Point(0.7, is_outline=True)


def test_nothing_found_is_a_valid_result(tmp_path):
    probability = np.zeros((40, 50), np.float32)
    scene = scene_of(tmp_path, probability)
    found = sites_in(probability, scene, Point(), Smallest(0.05, ""), 10.0)
    assert not found.sites.any() and found.outlines == [] and found.dropped == 0 and table_of(found, scene).empty


def test_the_smallest_site_comes_from_the_sites_of_the_run(study_run):
    labels = np.zeros_like(study_run.domain.labels)
    labels[0, :3, :3] = 1  # cut by the border
    labels[0, 20:32, 20:32], labels[1, 5:15, 5:15] = 2, 1
    drawn = dataclasses.replace(study_run, domain=dataclasses.replace(study_run.domain, labels=labels))
    found = smallest_site(drawn, None, 1.0)
    assert found == (pytest.approx(50 * 6.64**2 / 1e4), "half of the smallest outlined site of the run")
    unplaced = dataclasses.replace(drawn.domain, places=(None,) * len(labels))
    assert smallest_site(dataclasses.replace(drawn, domain=unplaced), None, 2.0).hectares == pytest.approx(0.02)
    labels[1:], labels[0, 20:32, 20:32] = 0, 0
    found = smallest_site(drawn, None, 1.0)  # half of 9 pixels is less than the run itself drops
    assert found == (pytest.approx(20 * 6.64**2 / 1e4), "20 pixels, the limit of the run itself")
    assert smallest_site(drawn, 0.7, 1.0).hectares == 0.7


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"threshold": 1.0}, "threshold must be from 0 to below 1"),
        ({"overlap": -0.1}, "overlap must be from 0 to below 1"),
        ({"smallest_hectares": -1.0}, "smallest_hectares must be 0 or a number of hectares, not -1"),
        ({"smallest_hectares": np.nan}, "smallest_hectares must be 0 or a number"),
    ],
)
def test_options_that_cannot_be_are_named(tmp_path, change, said):
    options = OutlineOptions(tmp_path / "scene.tif", tmp_path / "out", run=tmp_path)
    options.check()
    with pytest.raises(InputError, match=said):
        dataclasses.replace(options, **change).check()


# ---- what is said


@pytest.mark.parametrize(
    ("count", "values", "said"),
    [
        (0, {}, "No site was found in scene.tif; the networks find a site in 90 % of the held-out pictures that have"),
        (1, {}, "1 site of 0.5 ha was found in scene.tif; the networks find a site in 90 % of the held-out pictures"),
        (3, {}, "3 sites of 1.5 ha in all were found in scene.tif; the networks find a site in 90 % of the held-out "
                "pictures that have one, and mark something in 10 % of those that have none."),
        (3, {"alarms": 0.91}, "3 sites of 1.5 ha in all were marked in scene.tif, but most may be false alarms: the "
                              "networks mark something in 91 % of the held-out pictures that have no site."),
        (3, {"dice": 0.0}, "3 sites of 1.5 ha in all were marked in scene.tif, but that means nothing: the networks "
                           "failed on held-out pictures (Dice 0.000)."),
    ],
)  # fmt: skip
def test_the_verdict_is_one_sentence(tmp_path, count, values, said):
    found = Found(np.zeros((1, 1), np.int32), [SimpleNamespace(hectares=0.5)] * count, 0)
    assert verdict(found, SimpleNamespace(path=tmp_path / "scene.tif"), past(**values)).startswith(said)


def test_expected_false_alarms_are_told_where_they_are_known(tmp_path, study_run):
    known = np.ones((640, 320), bool)
    known[:64] = False
    scene, options = SimpleNamespace(known=known), OutlineOptions(tmp_path, tmp_path, tmp_path)
    first, second = notes(options, scene, study_run, past(alarms=0.2))
    said = (
        "The scene is as large as 45 of the pictures that the networks learnt from. If it held no site at all, about 9"
    )
    assert first.startswith(said)
    assert second == "The values on held-out pictures come from 1 test set; an interval needs 5."
    assert notes(options, scene, study_run, past(alarms=0.2, n=5)) == [first]
    for other in (past(alarms=np.nan), past(dice=0.1)):
        assert notes(options, scene, study_run, other) == [second]
    assert notes(dataclasses.replace(options, threshold=0.7), scene, study_run, past()) == [second]


@pytest.mark.parametrize(
    ("count", "numbers"),
    [
        (0, {}),
        (5, {"": [1, 2, 3, 4, 5]}),
        (30, {"Surest": [1, 2, 3, 4], "In the middle": [14, 15, 16, 17], "Least sure": [27, 28, 29, 30]}),
    ],
)
def test_the_gallery_has_the_surest_the_middle_and_the_least_sure_sites(count, numbers):
    sites = np.zeros((60, 400), np.int32)
    for number in range(1, count + 1):
        sites[20:24, 12 * number : 12 * number + 4] = number
    found = Found(sites, [SimpleNamespace(hectares=0.5, score=1 - one / 100) for one in range(1, count + 1)], 0)
    shown = site_gallery(found, np.random.default_rng(0).random((60, 400, 1), np.float32), 32)
    rows = shown[0].rows if shown else {}
    assert {
        name: [int(one.caption.split(":")[0].split()[1]) for one in looks] for name, looks in rows.items()
    } == numbers
    assert all(one.shape == (32, 32) for looks in rows.values() for one in looks)


def test_a_large_scene_says_how_long_it_takes(study_run, tmp_path, monkeypatch):
    seconds = itertools.chain([0.0], itertools.count(100.0, 30.0))  # compilation, then half a minute for some windows
    monkeypatch.setattr(networks, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    said: list[str] = []
    image = np.random.default_rng(0).random((64, 64 * 16, 1), np.float32)  # twice 8 windows at once
    options = OutlineOptions(tmp_path, tmp_path, tmp_path, overlap=0.0)
    found = probability_of(dataclasses.replace(study_run, seeds=(0, 0)), image, options, said.append)
    assert said == [f"{done} % of the scene looked at; about {left} s left" for done, left in ((50, 60), (75, 30))]
    np.testing.assert_allclose(found, probability_of(study_run, image, options, said.append), atol=1e-6)


class Bright:
    """As a network that segments: a logit of the brightness. As a classifier: of the mean brightness."""

    def __init__(self, is_classifier: bool) -> None:
        self.is_classifier = is_classifier

    def init(self, key, image):
        return {"slope": jnp.float32(10)}

    def apply(self, variables, image):
        logit = image.mean((1, 2, 3)) if self.is_classifier else image[..., 0]
        return jnp.stack([jnp.zeros_like(logit), variables["slope"] * (logit - 0.5)], -1)


def test_windows_in_which_the_classifier_is_not_sure_enough_stay_empty():
    image = np.full((16, 32, 1), 0.45, np.float32)  # on the left below a half, on the right mostly above
    image[4:8, 4:8], image[:, 16:], image[4:8, 20:24] = 0.9, 0.55, 0.9
    gated = networks.Gated(Bright(False), Bright(True))
    both = gated.init(jax.random.key(0), jnp.asarray(image[None]))
    plain = networks.blended_probability(gated.network, both["network"], image, 16, 0)
    np.testing.assert_array_equal(networks.blended_probability(gated, both, image, 16, 0), plain)
    found = networks.blended_probability(gated, {**both, "gate": 0.5}, image, 16, 0)
    assert plain[5, 5] > 0.9 and not found[:, :16].any()
    np.testing.assert_array_equal(found[:, 16:], plain[:, 16:])


# ---- the command


def run(monkeypatch, *options):
    monkeypatch.setattr(sys, "argv", ["outline_sites", *map(str, options)])
    command.main()


def test_a_missing_scene_stops_the_command(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"none\.tif: there is no such file"):
        run(monkeypatch, "--run", tmp_path, "--scene", tmp_path / "none.tif", "--out", tmp_path / "out")


FILES = {"found.html", "mask.tif", "sites.csv", "sites.geojson", "sites.gpkg", "sites.qml"}


def test_all_files_appear_together_or_none(tmp_path, monkeypatch, capsys, study_run):
    pixels = np.random.default_rng(0).integers(1, 255, (1, 96, 130)).astype(np.uint8)
    out, scene = tmp_path / "found", write(tmp_path / "scene.tif", pixels)
    options = ("--run", study_run.config.run.out, "--scene", scene, "--out", out)
    with pytest.raises(InputError, match="networks trained on points failed on held-out pictures"):
        run(monkeypatch, *options, "--learnt", "points")
    with monkeypatch.context() as broken, pytest.raises(RuntimeError, match="broken"):
        broken.setattr(command, "write_found_page", lambda *_: (_ for _ in ()).throw(RuntimeError("broken")))
        run(monkeypatch, *options, "--learnt", "outlines")
    assert not out.exists() and {path.name for path in tmp_path.iterdir()} == {"scene.tif"}

    run(monkeypatch, *options, "--learnt", "points", "--force", "--threshold", 0)
    printed = capsys.readouterr().out
    assert "caution: The networks failed on held-out pictures: their Dice is 0.050" in printed
    assert "1 site of 55 ha: " in printed and f"report: {out / 'found.html'}" in printed
    limit = r"No piece was left out as smaller than 0\.\d+ ha \(half of the smallest outlined site of the run\)"
    assert re.search(f"\n{limit}", printed)
    assert {path.name for path in out.iterdir()} == FILES
    page = (out / "found.html").read_text()
    assert "1 site of 55 ha was marked in scene.tif, but that means nothing" in page
    assert "About the run: This is the smoke scale" in page and "here a threshold of 0 takes its place" in page
    assert re.search(limit, page)
    with rasterio.open(out / "mask.tif") as file:
        assert file.read(1).all() and file.crs.to_epsg() == 32637
    table = pd.read_csv(out / "sites.csv")
    assert list(table["site"]) == [1] and table["hectares"][0] == pytest.approx(55.0, rel=0.01)
    with pytest.raises(InputError, match=r"out: .*found is not an empty folder; give another"):
        run(monkeypatch, *options)
