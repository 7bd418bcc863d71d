"""Scenes cut into tiles, and the whole way from a scene and sites to outlines of what networks found."""

import csv
import sys

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion

from experiments import cut_scene
from experiments.outline_sites.__main__ import main as outline_sites
from experiments.site_segmentation.__main__ import main as study
from segjax.data import open_source
from segjax.data.formats.annotation import Annotation, Picture
from segjax.data.formats.layers import Layer, moved, read_layer, write_layers
from segjax.data.formats.vectors import read, write
from segjax.data.ground.georeference import read_georeference
from segjax.simulators import open_terrain
from segjax.types import Georeference, InputError

rasterio = pytest.importorskip("rasterio", reason="the extra geo is not installed")
pytestmark = pytest.mark.filterwarnings("ignore:Setting the shape on a NumPy array:DeprecationWarning")
UTM = Georeference("EPSG:32637", (6.64, 0.0, 420_000.0, 0.0, -6.64, 4_120_000.0))


def write_scene(path, pixels, place=UTM, **more):
    """A scene of [bands, H, W]."""
    count, height, width = pixels.shape
    size = {"count": count, "height": height, "width": width, "dtype": pixels.dtype.name}
    transform = rasterio.Affine(*place.transform)
    with rasterio.open(path, "w", driver="GTiff", transform=transform, crs=place.crs, **size, **more) as file:
        file.write(pixels)
    return path


def terrain(rows=6):
    """A simulated map sheet of 10 x rows pictures of 64 pixels, a third of them with a mound: uint8 [H, W], labels."""
    options = {"pixels": "64", "metres": "6.64", "sheets": "1", "pictures": str(10 * rows), "without": "2"}
    source = open_terrain("mounds", options)
    pictures, labels = np.zeros((640 * rows // 10, 640), np.uint8), np.zeros((640 * rows // 10, 640), np.int32)
    for number in range(10 * rows):
        sample = source[number]
        y, x = 64 * (number // 10), 64 * (number % 10)
        pictures[y : y + 64, x : x + 64] = np.round(255 * sample.image[..., 0])
        labels[y : y + 64, x : x + 64] = np.where(sample.labels, labels.max() + 1, 0)
    return pictures, labels


def squares(shape, *places):
    labels = np.zeros(shape, np.int32)
    for number, (y, x) in enumerate(places, 1):
        labels[y : y + 8, x : x + 8] = number
    return labels


def picture(shape, place=UTM, name="scene"):
    return Picture(name, f"{name}.tif", shape, place)


def run(monkeypatch, capsys, *options):
    monkeypatch.setattr(sys, "argv", ["cut_scene", *map(str, options)])
    cut_scene.main()
    return capsys.readouterr().out


def rows_of(path):
    with path.open(newline="") as file:
        return [tuple(row) for row in csv.reader(file)]


@pytest.fixture
def made(tmp_path):
    """A scene of 12 bits in 16 and six sites, one of which lies where there are no data."""
    pixels = np.random.default_rng(0).integers(1, 4096, (1, 300, 400)).astype(np.uint16)
    pixels[:, 250:, 350:] = 0
    labels = squares((300, 400), (20, 20), (20, 120), (150, 40), (160, 180), (40, 300), (280, 380))
    scene = write_scene(tmp_path / "scene.tif", pixels, nodata=0)
    write(tmp_path / "sites.gpkg", Annotation(labels), picture(labels.shape))
    return scene, tmp_path / "sites.gpkg", pixels[0], labels


OPTIONS = ("--tile", 32, "--block", 3, "--distance", 100, "--without", 2)


def test_tiles_lie_where_they_lay_in_the_scene(tmp_path, monkeypatch, capsys, made):
    scene, sites, pixels, labels = made
    out = tmp_path / "tiles"
    said = run(monkeypatch, capsys, scene, "--sites", sites, "--out", out, *OPTIONS)
    groups, kinds = dict(rows_of(out / "groups.csv")[1:]), dict(rows_of(out / "image_labels.csv")[1:])
    assert "  tiles around 5 sites: 10\n  tiles without a site: 20\n  blocks: " in said
    assert "6 sites, of which 5 have tiles\n  without a tile: 1 where the scene has no data" in said
    assert len(groups) == len(kinds) == len(list((out / "images").iterdir())) == 30
    for name in groups:
        y, x = map(int, name.split("_")[1:])
        place = UTM.at(y, x)
        with rasterio.open(out / "images" / f"{name}.tif") as file:
            assert file.dtypes == ("uint16",)
            np.testing.assert_array_equal(file.read(1), pixels[y : y + 32, x : x + 32])
        with rasterio.open(out / "labels" / f"{name}.tif") as file:
            np.testing.assert_array_equal(file.read(1), labels[y : y + 32, x : x + 32])
        for folder in ("images", "labels"):
            found = read_georeference(out / folder / f"{name}.tif")
            assert found.crs == place.crs and found.transform == pytest.approx(place.transform)
        assert (kinds[name] == "site") == labels[y : y + 32, x : x + 32].any()
    assert rows_of(out / "sites.csv")[1:] == [
        *(("scene", f"feature {number}", "cut") for number in range(1, 6)),
        ("scene", "feature 6", "where the scene has no data"),
    ]


def test_studies_open_the_folder(tmp_path, monkeypatch, capsys, made):
    scene, sites, _, _ = made
    out = tmp_path / "tiles"
    run(monkeypatch, capsys, scene, "--sites", sites, "--out", out, *OPTIONS)
    source = open_source(f"folder:{out}?groups=groups.csv&image_labels=image_labels.csv&label_names=none,site")
    assert source.label_names == ("none", "site") and len(source) == 30
    sample = next(sample for sample in map(source.__getitem__, range(30)) if sample.label)
    assert sample.labels.any() and sample.group.startswith("scene_block_") and sample.georeference.crs == UTM.crs
    assert len(open_source(f"folder:{out}?groups=groups.csv&empty=keep")) == 30


def test_the_same_seed_cuts_the_same(tmp_path, monkeypatch, capsys, made):
    scene, sites, _, _ = made
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(monkeypatch, capsys, scene, "--sites", sites, "--out", tmp_path / name, "--seed", seed, *OPTIONS)
    files = {
        name: {str(path.relative_to(tmp_path / name)): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in "abc"
    }
    assert files["a"] == files["b"] != files["c"]


def test_colours_stay_bands(tmp_path, monkeypatch, capsys, made):
    _, sites, _, labels = made
    pixels = np.random.default_rng(0).integers(1, 255, (4, *labels.shape)).astype(np.uint8)
    pixels[3] = 255
    scene = write_scene(tmp_path / "colour.tif", pixels, photometric="rgb", alpha="yes")
    said = run(monkeypatch, capsys, scene, "--sites", sites, "--out", tmp_path / "tiles", *OPTIONS)
    assert "label_names=none,site&scale=dtype'" in said  # 8 bits keep the scene's brightness
    source = open_source(f"folder:{tmp_path / 'tiles'}?groups=groups.csv&empty=keep&scale=dtype")
    y, x = map(int, source.names[0].split("_")[1:])
    expected = np.moveaxis(pixels[:3, y : y + 32, x : x + 32], 0, -1) / np.float32(255)
    np.testing.assert_allclose(source[0].image, expected, rtol=1e-6)


def test_ground_of_two_scenes_is_cut_from_the_first(tmp_path, monkeypatch, capsys, made):
    scene, _sites, pixels, labels = made
    # the right half again, and 200 pixels more beyond it
    place = UTM.at(0, 200)
    second = write_scene(tmp_path / "second.tif", np.tile(pixels[None, :, :200], 2) | 1, place)
    more = np.concatenate([labels[:, 200:], squares((300, 200), (100, 100)) * 7], 1)
    write(tmp_path / "more.gpkg", Annotation(np.concatenate([labels, more[:, 200:]], 1)), picture((300, 600)))
    out = tmp_path / "tiles"
    said = run(monkeypatch, capsys, scene, second, "--sites", tmp_path / "more.gpkg", "--out", out, *OPTIONS)
    assert (
        "7 sites, of which 7 have tiles\nlook" in said
    )  # the sixth, where the first scene has no data, is cut from the second
    boxes = []
    for name, group in rows_of(out / "groups.csv")[1:]:
        y, x = map(int, name.split("_")[1:])
        boxes.append((y, x + 200 * name.startswith("second"), group))
    for y, x, group in boxes:
        clash = {other for v, u, other in boxes if abs(v - y) < 32 and abs(u - x) < 32}
        assert clash == {group}
    owners = {}
    whole = np.concatenate([labels, more[:, 200:]], 1)
    for y, x, group in boxes:
        for site in set(np.unique(whole[y : y + 32, x : x + 32]).tolist()) - {0}:
            owners.setdefault(site, set()).add(group)
    assert all(len(found) == 1 for found in owners.values())


def test_points_and_sites_that_give_nothing_are_said(tmp_path, monkeypatch, capsys, made):
    import shapely

    scene, _, _, _ = made
    x, y = 420_000 + 6.64 * np.array([50.2, 900.0, 200.2]), 4_120_000 - 6.64 * np.array([50.2, 50.2, 100.2])
    sites = tmp_path / "points.geojson"
    shapes, _ = moved(shapely.points(x, y), UTM.crs, "EPSG:4326")
    write_layers(sites, {"sites": Layer("EPSG:4326", np.append(shapes, shapely.Point()))})
    out = ("--out", tmp_path / "tiles")
    with pytest.raises(InputError, match=r"points\.geojson: holds points \(3 of 4 features\); say how far"):
        run(monkeypatch, capsys, scene, "--sites", sites, *out)
    said = run(monkeypatch, capsys, scene, "--sites", sites, *out, "--radius", 20, *OPTIONS)
    assert (
        "4 sites, of which 2 have tiles\n  without a tile: 1 beyond the scene\n  without a tile: 1 too small for"
        in said
    )
    assert "blocks with a site: 2; training" in said and "train networks" not in said
    small = ("--radius", 1, *OPTIONS)  # a circle between the centres of pixels
    with pytest.raises(InputError, match="no tile could be cut"):
        run(monkeypatch, capsys, scene, "--sites", sites, "--out", tmp_path / "small", *small)
    assert not (tmp_path / "small" / "groups.csv").exists()


def test_what_is_refused(tmp_path, monkeypatch, capsys, made):
    scene, sites, pixels, _ = made
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    (tmp_path / "other").mkdir()
    write_scene(tmp_path / "other" / "scene.tif", pixels[None])
    for options, message in (
        ((scene, "--out", tmp_path / "full"), "full is not an empty folder"),
        ((scene, tmp_path / "other" / "scene.tif", "--out", tmp_path / "o"), "two have the name scene"),
        ((scene, "--out", tmp_path / "p", "--tile", "512"), r"scene\.tif: is 400 x 300 pixels, smaller than a tile"),
        (("--out", tmp_path / "q"), "scenes: none given"),
    ):
        with pytest.raises(InputError, match=message):
            run(monkeypatch, capsys, *options, "--sites", sites)
    with pytest.raises(InputError, match=r"none\.gpkg: there is no such file"):
        run(monkeypatch, capsys, scene, "--out", tmp_path / "r", "--sites", tmp_path / "none.gpkg")
    assert (tmp_path / "full" / "notes.txt").read_text() == "mine"


def in_web_mercator(path, scene, shape):
    """The scene in EPSG:3857 with pixels of about 6.64 m, each the nearest one's value, and a border without data."""
    import rasterio.warp
    from rasterio.enums import Resampling

    with rasterio.open(scene) as file:
        pixels, box = file.read(1), file.bounds
        left, low, right, high = rasterio.warp.transform_bounds(file.crs, "EPSG:3857", *box)
        side = 6.64 * (right - left) / (box.right - box.left)
        place = Georeference("EPSG:3857", (side, 0.0, left, 0.0, -side, high))
        warped = np.zeros([int(np.ceil((high - low) / side)), int(np.ceil((right - left) / side))], np.uint8)
        source = {"src_transform": file.transform, "src_crs": file.crs, "src_nodata": 0}
        target = {"dst_transform": rasterio.Affine(*place.transform), "dst_crs": "EPSG:3857", "dst_nodata": 0}
        rasterio.warp.reproject(pixels, warped, **source, **target, resampling=Resampling.nearest)
    return write_scene(path, warped[None], place, nodata=0), place, warped


def offset(found, truth):
    """By how many rows and columns one mask has to be moved to lie on another as well as it can."""
    shifts = [(y, x) for y in range(-3, 4) for x in range(-3, 4)]
    return max(shifts, key=lambda shift: (np.roll(found, shift, (0, 1)) & truth).sum() - 1e-3 * np.hypot(*shift))


@pytest.mark.slow
def test_from_a_scene_and_sites_to_outlines_in_two_coordinate_systems(tmp_path, monkeypatch, capsys):
    """Sites in WGS84, scenes in UTM and in Web Mercator: tiles, study 4B at smoke scale, outlines for QGIS.

    The mounds are made bright, so that a network learns in seconds where they are.
    """
    ground, labels = terrain(10)
    ground = np.where(labels > 0, 255, 1 + ground // 4).astype(np.uint8)
    utm = write_scene(tmp_path / "utm.tif", ground[None])
    web, place, warped = in_web_mercator(tmp_path / "web.tif", utm, labels.shape)
    write(tmp_path / "own.gpkg", Annotation(labels), picture(labels.shape))
    layer = read_layer(tmp_path / "own.gpkg")
    sites = tmp_path / "sites.gpkg"
    write_layers(sites, {"sites": Layer("EPSG:4326", moved(layer.shapes, layer.crs, "EPSG:4326")[0])})
    scenes = {"utm": (utm, UTM, ground == 255), "web": (web, place, warped == 255)}

    for name, (path, _, bright) in scenes.items():
        options = ("--tile", 64, "--block", 2, "--per-site", 1, "--without", 1, "--distance", 50)
        said = run(monkeypatch, capsys, path, "--sites", sites, "--out", tmp_path / name, *options)
        assert name == "web" or f"{labels.max()} sites, of which {labels.max()} have tiles" in said
        # the pictures show where the labels of a tile should be: the outlines, warped, are those of the warped pixels
        # but where a pixel's centre lies within half a pixel of an outline
        wrong = total = 0
        for file in (tmp_path / name / "labels").iterdir():
            y, x = map(int, file.stem.split("_")[1:])
            with rasterio.open(file) as tile:
                found = tile.read(1) > 0
            expected = bright[y : y + 64, x : x + 64]
            near = binary_dilation(expected, np.ones((3, 3))) & ~binary_erosion(expected, np.ones((3, 3)))
            assert not ((found != expected) & ~near).any()
            wrong, total = wrong + (found != expected).sum(), total + expected.sum()
        assert total > 1000 and (wrong == 0 if name == "utm" else wrong < 0.1 * total)

    tables = "groups=groups.csv&image_labels=image_labels.csv&label_names=none,site&scale=dtype"
    training = [
        "--scale", "smoke", "--data", f"folder:{tmp_path / 'utm'}?{tables}", "--label", "site",
        "--out", tmp_path / "run",
        "--classifiers", "msd_classifier", "--classifier-sizes.msd-depth", "2", "--classify.epochs", "1",
        "--sizes.unet-width", "4", "--sizes.unet-levels", "1", "--strategy", "sequential", "--train.epochs", "12",
        "--epoch-pictures", "40", "--rules", "otsu", "--completions", "none",
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["site_segmentation", *map(str, training)])
    study()
    written = sorted((tmp_path / "run" / "sites").rglob("sites.gpkg"))
    assert written and all(read_layer(path).crs == "EPSG:32637" for path in written)

    for name, (path, where, bright) in scenes.items():
        out = tmp_path / f"found_{name}"
        options = ["--run", tmp_path / "run", "--scene", path, "--learnt", "outlines", "--out", out]
        monkeypatch.setattr(sys, "argv", ["outline_sites", *map(str, options)])
        outline_sites()
        with rasterio.open(out / "mask.tif") as file:
            mask = file.read(1) == 1
        assert (mask & bright).sum() > 0.5 * bright.sum()
        assert offset(mask, bright) == (0, 0)
        assert read_layer(out / "sites.gpkg").crs == where.crs
        for file in ("sites.gpkg", "sites.geojson"):
            np.testing.assert_array_equal(read(out / file, picture(mask.shape, where)).labels > 0, mask)
    # what was found in one scene lies where it was found in the other
    there = read(tmp_path / "found_web" / "sites.gpkg", picture(labels.shape)).labels > 0
    with rasterio.open(tmp_path / "found_utm" / "mask.tif") as file:
        assert offset(there, file.read(1) == 1) == (0, 0)
