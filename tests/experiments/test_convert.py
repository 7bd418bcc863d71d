"""What is converted comes back as it was, what is not says why, and nothing half-written is left."""

import csv
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from experiments.__main__ import BASE, commands
from experiments.benchmarks.round_trips import round_trips
from experiments.convert import convert
from segjax.data import open_source
from segjax.data.folders.conversion import REPORT
from segjax.data.formats import FORMATS, formats_of
from segjax.data.formats.annotation import Loss
from segjax.data.pictures.images import read_labels
from tests.data.folders.test_annotation_files import ALL_CLASSES, CLASSES, TRUTHS, save, save_stack

for package in ("roifile", "shapely", "rasterio", "pycocotools"):
    pytest.importorskip(package)
NUCLEI = Path("/work/shared/data/cells_instances")
OPTIONS = {"labels": "?class_names=class_names.csv", "colours": "?colours=colours.csv"}
WITHOUT_PLACE = [name for name in formats_of("write") if name != "vectors"]


def report(out):
    with (out / REPORT).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def given(tmp_path):
    save(tmp_path / "in", "qupath", CLASSES)
    return tmp_path / "in"


@pytest.mark.parametrize("to", WITHOUT_PLACE)
def test_every_format_comes_back(given, tmp_path, capsys, to):
    out = tmp_path / "out"
    assert convert(str(given), out, to) == 0
    # colours hold no objects: three that touch are one (128 of 256 pixels are the largest's), two parts are two (16)
    changed = ["0", "128", "16"] if to == "colours" else ["0", "0", "0"]
    assert [row["pixels_changed"] for row in report(out)] == changed
    for name in TRUTHS:
        place = FORMATS[to].pictures.format(name=name, ending=".png")
        assert (out / place).read_bytes() == (given / f"images/{name}.png").read_bytes()
    opened = capsys.readouterr().out.split("open it as: '")[1].split("'")[0]
    assert opened == f"folder:{out}{OPTIONS.get(to, '')}"
    source = open_source(opened)
    if to not in ("object_masks", "cellpose"):  # which hold no classes
        assert source.class_names == ALL_CLASSES
    for sample in source:
        np.testing.assert_array_equal(sample.labels > 0, TRUTHS[sample.name] > 0)
        if to != "colours":
            np.testing.assert_array_equal(sample.labels, TRUTHS[sample.name])


def test_names_are_no_formulas_where_people_look_and_stay_as_they_are_where_we_read(tmp_path, capsys):
    save(tmp_path / "in", "qupath", CLASSES)
    name = next(iter(TRUTHS))
    for file in sorted((tmp_path / "in").rglob(f"{name}.*")):
        file.rename(file.with_name(f"=1+1{file.suffix}"))
    groups = [f"{one},@group" for one in ("=1+1", *TRUTHS) if one != name]
    (tmp_path / "in" / "groups.csv").write_text("\n".join(["picture,group", *groups]) + "\n")
    assert convert(f"folder:{tmp_path / 'in'}?groups=groups.csv", tmp_path / "out", "labels") == 0
    assert "'=1+1" in [row["picture"] for row in report(tmp_path / "out")]
    source = open_source(capsys.readouterr().out.split("open it as: '")[1].split("'")[0])
    assert "=1+1" in source.names and set(source.groups) == {"@group"}


def test_the_report_counts_what_reading_and_writing_lost(tmp_path, capsys):
    """A polygon beyond the border, two that overlap, a hole that COCO polygons fill, a bow tie, a point."""
    import json

    def square(left, top, side, *holes):
        corners = [(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]
        rings = [[[left + side * x, top + side * y] for x, y in corners], *holes]
        return {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": rings}, "properties": {}}

    save(tmp_path / "in", "qupath")
    hole = [[12, 12], [14, 12], [14, 14], [12, 14], [12, 12]]
    bow = square(0, 16, 4)
    bow["geometry"]["coordinates"][0] = [[0, 16], [4, 20], [4, 16], [0, 20], [0, 16]]
    point = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 1]}, "properties": {"name": "p"}}
    features = [square(-2, 0, 4), square(20, 0, 6), square(24, 0, 4), square(10, 10, 6, hole), bow, point]
    (tmp_path / "in/labels/a.geojson").write_text(json.dumps(features))
    assert convert(str(tmp_path / "in"), tmp_path / "out", "coco_polygons") == 0
    row = report(tmp_path / "out")[0]
    counts = {name: int(row[name]) for name in row if name not in ("picture", "notes")}
    assert counts == {
        "objects_in": 6,
        "objects_out": 5,
        "pixels_changed": 4,
        "overlapping": 8,
        "holes_filled": 1,
        "invalid": 1,
        "outside": 1,
    }
    assert row["notes"] == "1 lost as they are points or lines, not areas: p"
    assert "the largest is painted first" in " ".join(capsys.readouterr().out.split())


def test_pictures_that_no_training_takes_are_converted(tmp_path):
    save(tmp_path / "in", "imagej")
    Image.fromarray(np.full((24, 32, 3), 7, np.uint8)).save(tmp_path / "in/images/b.png")
    (tmp_path / "in/images/c.png").write_bytes((tmp_path / "in/images/a.png").read_bytes())
    assert convert(str(tmp_path / "in"), tmp_path / "out", "labels") == 0


def test_int32_for_napari(given, tmp_path):
    assert convert(f"folder:{given}", tmp_path / "out", "labels", "int32") == 0
    assert tifffile.imread(tmp_path / "out/labels/a.tif").dtype == np.int32
    assert convert(f"folder:{given}", tmp_path / "out2", "labels") == 0
    assert tifffile.imread(tmp_path / "out2/labels/a.tif").dtype == np.uint16


def test_planes_of_a_stack_become_files_of_their_own(tmp_path):
    pixels = save_stack(tmp_path / "in")
    (tmp_path / "in/labels").mkdir()
    truths = np.stack(list(TRUTHS.values())).astype(np.uint16)
    tifffile.imwrite(tmp_path / "in/labels/cells.tif", truths, imagej=True, metadata={"axes": "ZYX"})
    assert convert(f"folder:{tmp_path / 'in'}?stacks=planes", tmp_path / "out", "coco") == 0
    source = open_source(f"folder:{tmp_path / 'out'}?scale=dtype")
    assert source.names == ("cells@z1", "cells@z2", "cells@z3")
    for number, sample in enumerate(source):
        np.testing.assert_array_equal(sample.labels, truths[number])
        np.testing.assert_array_equal(tifffile.imread(tmp_path / f"out/images/{sample.name}.tif"), pixels[number])


def opened_as(capsys):
    return open_source(capsys.readouterr().out.split("open it as: '")[1].split("'")[0])


def test_groups_and_image_level_labels_come_along(given, tmp_path, capsys):
    names = sorted(TRUTHS)
    patients, kinds = ["p1"] + ["p2"] * (len(names) - 1), ["sick"] + ["well"] * (len(names) - 1)
    rows = [f"{name},{patient},{kind}" for name, patient, kind in zip(names, patients, kinds, strict=True)]
    (given / "table.csv").write_text("\n".join(["picture,group,label", *rows]))
    asked = f"folder:{given}?groups=table.csv&image_labels=table.csv&label_names=well,sick"
    for to in ("imagej", "object_masks", "coco"):
        assert convert(asked, tmp_path / to, to) == 0
        source = opened_as(capsys)
        assert source.groups == tuple(patients) and source.label_names == ("well", "sick")
        assert [sample.label for sample in source] == [1] + [0] * (len(names) - 1)


def test_objects_of_volumes_stay_shared_or_the_conversion_is_refused(tmp_path, capsys):
    save_stack(tmp_path / "in")
    (tmp_path / "in/labels").mkdir()
    slices = np.zeros((3, *TRUTHS["a"].shape), np.uint16)
    slices[0, 2:9, 2:9], slices[1:, 12:18, 12:18] = 1, 2
    tifffile.imwrite(tmp_path / "in/labels/cells.tif", slices, imagej=True, metadata={"axes": "ZYX"})
    asked = f"folder:{tmp_path / 'in'}?stacks=planes&volumes=true"
    assert convert(asked, tmp_path / "rois", "imagej") == 2
    assert "slices would not share them" in " ".join(capsys.readouterr().out.split())
    assert convert(asked, tmp_path / "out", "labels") == 0
    source = opened_as(capsys)
    assert source.options.volumes == "true" and set(source.groups) == {"cells"}
    assert [int(sample.labels.max()) for sample in source] == [1, 2, 2]


def test_an_existing_folder_is_refused_and_left_alone(given, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    assert convert(str(given), tmp_path / "out", "coco") == 2
    assert list((tmp_path / "out").iterdir()) == []
    assert "out: exists already; choose a new folder" in capsys.readouterr().out


def test_a_damaged_file_is_named_and_nothing_written(given, tmp_path, capsys):
    (given / "labels/b.geojson").write_text("{")
    assert convert(str(given), tmp_path / "out", "coco") == 2
    assert "labels/b.geojson: cannot be read as GeoJSON" in capsys.readouterr().out
    assert os.listdir(tmp_path) == ["in"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_stop_halfway_leaves_nothing(given, tmp_path, monkeypatch, capsys, error):
    def stop(*_):
        yield Loss()
        raise error

    one = FORMATS["imagej"]
    monkeypatch.setitem(FORMATS, "imagej", type(one)(one.line, one.read, stop))
    if isinstance(error, OSError):
        assert convert(str(given), tmp_path / "out", "imagej") == 2
        assert "out: No space left on device; free space there" in capsys.readouterr().out
    else:
        with pytest.raises(KeyboardInterrupt):
            convert(str(given), tmp_path / "out", "imagej")
    assert os.listdir(tmp_path) == ["in"]


def test_options_that_change_pictures_are_refused(given, tmp_path, capsys):
    assert convert(f"folder:{given}?tile=16", tmp_path / "out", "coco") == 2
    assert "option tile would change the pictures" in capsys.readouterr().out


def test_pictures_without_labels_do_not_become_background(given, tmp_path, capsys):
    first, *_ = sorted((given / "labels").iterdir())
    names = [path.stem for path in sorted((given / "labels").iterdir())]
    first.unlink()
    rows = "".join(f"{name},{'ab'[number % 2]}\n" for number, name in enumerate(names))
    (given / "kinds.csv").write_text(f"picture,label\n{rows}")
    assert convert(f"folder:{given}?image_labels=kinds.csv", tmp_path / "out", "labels") == 2
    assert f"{names[0]} have no labels, and their pixels would become background" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_the_table_of_round_trips(given, tmp_path, capsys):
    round_trips((str(given),), ("coco", "colours"), tmp_path / "table")
    table = pd.read_csv(tmp_path / "table/round_trips.csv", comment="#")
    assert table.iloc[0].tolist() == ["in", "coco", 3, 8, 8, 2304, 0, 0]
    assert table.iloc[1, :6].tolist() == ["in", "colours", 3, 8, 7, 2304] and table.iloc[1, -1] == 144
    assert "coco" in capsys.readouterr().out


def test_convert_is_listed():
    assert dict(commands(BASE))["convert"].startswith("Convert a folder of annotated pictures into another format")


@pytest.mark.slow
@pytest.mark.skipif(not NUCLEI.is_dir(), reason="the pictures of nuclei are not here")
@pytest.mark.parametrize("to", ["object_masks", "coco", "imagej", "qupath"])
def test_nuclei_that_people_drew_come_back(tmp_path, to):
    assert convert(f"folder:{NUCLEI}?keep=^[01]", tmp_path / "out", to) == 0  # benchmarks/round_trips has all of them
    rows = report(tmp_path / "out")
    assert sum(int(row["objects_out"]) for row in rows) == sum(int(row["objects_in"]) for row in rows) > 300
    assert sum(int(row["pixels_changed"]) for row in rows) == 0
    source = open_source(f"folder:{tmp_path / 'out'}?channels=1")
    for sample in source:
        ids, numbers = np.unique(read_labels(NUCLEI / f"labels/{sample.name}.png"), return_inverse=True)
        assert ids[0] == 0
        np.testing.assert_array_equal(sample.labels, numbers.reshape(sample.labels.shape))
