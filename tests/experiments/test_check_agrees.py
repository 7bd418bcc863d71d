"""What training refuses of a folder `check` reports, and the reverse: every refusal in the code is in the table."""

import ast
import json
import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.activation_maps.study import STUDY as MAPS
from experiments.annotation_errors.study import STUDY as ERRORS
from experiments.check import command
from experiments.harness import classifiers, pictures
from experiments.harness.options import overlaid
from experiments.harness.parsing import defaults_of, resolved
from segjax.data import shrink, spec, splits, tiles
from segjax.data.folders import check, folder, folder_options, image_labels, inspected, listing, masks, tables
from segjax.data.folders.listing import Problem
from segjax.types import InputError

SIDE, COUNT = 36, 8
MODULES = (check, folder, folder_options, image_labels, inspected, listing, masks, shrink, spec, splits, tables, tiles)
NOT_OF_A_FOLDER = {
    "_places": "a place on the ground is remarked, not refused (tests/experiments/test_check.py)",
    "write": "files that studies write themselves",
    "read": "files that studies write themselves",
    "read_sides": "files that studies write themselves",
    "_read_json": "files that studies write themselves",
    "check": "a split that `make_split` made cannot have these faults",
    "problem_of": "passes on what the readers of single files refuse (tests/data/pictures/test_images.py)",
}
UNREACHABLE = {
    "is not SCHEME:NAME": "the command puts folder: before what has no scheme",
    "problem(s) in the folder": "the command lists these problems instead",
    "label: ": "an option of studies that classify",
    "classifiers: ": "likewise",
    "fractions {tuple(fractions)}": "studies give fractions of their own",
    "validation_share={validation_share}": "studies give a share of their own",
    "fold={fold} must be": "the fold is the seed modulo the number of folds",
    "give its spec as text": "the command line gives text",
    "cannot be read ({error.strerror})": "a table without leave to read it, which root has always",
}


def discs(*centres, radius=3):
    y, x = np.mgrid[:SIDE, :SIDE]
    labels = np.zeros((SIDE, SIDE), np.uint8)
    for number, (row, column) in enumerate(centres, start=1):
        labels[np.hypot(y - row, x - column) <= radius] = number
    return labels


TWO = discs((6, 6), (16, 15))


def save(path, pixels):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)


def build(path):
    """A sound folder of eight pictures with two objects each."""
    path.mkdir()
    for index in range(COUNT):
        save(path / f"images/p{index}.png", noise(index))
        save(path / f"labels/p{index}.png", np.roll(TWO, index % 4, 1))


def noise(seed, *shape):
    return np.random.default_rng(seed).integers(0, 255, shape or (SIDE, SIDE), np.uint8)


def labels(change):
    """Changes every label image."""

    def of(path):
        for file in sorted((path / "labels").iterdir()):
            save(file, change(np.asarray(Image.open(file)), int(file.stem[1:])))

    return of


def classes(change):
    """Adds class images, made from the labels."""

    def of(path):
        for file in sorted((path / "labels").iterdir()):
            save(path / "classes" / file.name, change(np.asarray(Image.open(file)), int(file.stem[1:])))

    return of


def table(text, name="t.csv"):
    return lambda path: (path / name).write_bytes(text if isinstance(text, bytes) else text.encode())


def rows(value_of, column, name="t.csv"):
    return table(f"picture,{column}\n" + "".join(f"p{index},{value_of(index)}\n" for index in range(COUNT)), name)


def add_line(name):
    """Adds a line, which is no object, to a file of QuPath."""

    def of(path):
        file = path / f"labels/{name}.geojson"
        line = {
            "type": "Feature",
            "geometry": {"type": "LineString", "coordinates": [[1, 1], [9, 9]]},
            "properties": {},
        }
        file.write_text(json.dumps([json.loads(file.read_text()), line]))

    return of


def both(*changes):
    return lambda path: [change(path) for change in changes]


def renamed(one, other):
    return lambda path: (path / one).rename(path / os.fsdecode(os.fsencode(other)))


def geojson(class_name="", names=None):
    """Replaces label images by files of QuPath, with one square."""
    square = {"type": "Polygon", "coordinates": [[[4, 4], [9, 4], [9, 9], [4, 9], [4, 4]]]}
    properties = {"classification": {"name": class_name}} if class_name else {}
    text = json.dumps({"type": "Feature", "geometry": square, "properties": properties})

    def of(path):
        for name in names or [f"p{index}" for index in range(COUNT)]:
            (path / f"labels/{name}.png").unlink()
            (path / f"labels/{name}.geojson").write_text(text)

    return of


def without_labels(path):
    shutil.rmtree(path / "labels")


def resized(path):
    save(path / "images/p3.png", noise(3, SIDE, SIDE + 2))
    save(path / "labels/p3.png", np.pad(TWO, ((0, 0), (0, 2))))


def unlabelled(count):
    def of(path):
        for index in range(count):
            (path / f"labels/p{index}.png").unlink()

    return of


@dataclass(frozen=True)
class Case:
    """A change of the sound folder, the options of the spec and of the study, and words of the refusal."""

    words: str
    change: object = lambda path: None
    options: str = ""
    target: int = 1
    folds: int = 4
    place: str = ""
    study: str = field(default="errors")


def crossed(labels, _):
    """Nine specks of two values."""
    specks = np.zeros_like(labels)
    specks[2:22:4, 2:22:4] = np.array([[1, 2, 1, 2, 1]] * 5)
    return specks


SOFT = np.round(255 * np.exp(-((np.mgrid[:SIDE, :SIDE] - 11.5) ** 2).sum(0) / 30))


def specks(values):
    """Single pixels with these values, one after the other, none beside another; 324 in all."""
    labels = np.zeros((SIDE, SIDE), int)
    labels[::2, ::2] = np.resize(values, (SIDE // 2, SIDE // 2))
    return labels


REFUSED = [
    # the spec and its options
    Case("is not option=value", options="tile"),
    Case("option tile is given twice", options="tile=8&tile=8"),
    Case("'colour' is unknown for folder", options="colour=1"),
    Case("scale=mean is unknown", options="scale=mean"),
    Case("is not a regular expression", options="groups=^(a"),
    Case("has no bracket", options="groups=^p"),
    Case("volumes=true needs ids", options="volumes=true&labels=components"),
    Case("is not a whole number of pixels", options="tile=a"),
    Case("tile=0: must be at least 1 pixel", options="tile=0"),
    Case("crop=0: must be at least 1 pixel", options="crop=0"),
    Case("shrink=0: must be at least 1", options="shrink=0"),
    Case("nothing would be left of picture p0", options="shrink=37"),
    Case("presence=0: must be at least 1 pixel", options="presence=0", study="maps"),
    Case("has no label image, so its objects are unknown", both(unlabelled(2), rows(lambda i: i % 2, "label")),
         options="image_labels=t.csv&presence=9", study="maps"),
    Case("is not UTF-8; rename", place="\udce4"),
    # which files belong together
    Case("is not a folder; give the folder that holds", place="nowhere"),
    Case("would not be read", lambda path: (path / "Classes").mkdir()),
    Case("keep=x matches no group", options="keep=x"),
    Case("gives no group for p7", table("picture,group\n" + "".join(f"p{i},{i}\n" for i in range(7))), "groups=t.csv"),
    Case("images=photos: ", options="images=photos"),
    Case("annotations=outlines: ", options="annotations=outlines"),
    Case("several label folders", lambda path: (path / "masks").mkdir()),
    Case("holds no pictures", lambda path: [file.unlink() for file in (path / "images").iterdir()]),
    Case("has no labels", lambda path: [file.unlink() for file in (path / "labels").iterdir()]),
    Case("is not UTF-8; rename the file", renamed("images/p1.png", b"images/\xe4.png")),
    Case("same name as p1.png", lambda path: save(path / "images/p1.tif", noise(9))),
    Case("has no label image", unlabelled(1)),
    Case("differs only in capital letters", renamed("labels/p1.png", "labels/P1.png")),
    Case("has no class image", both(classes(lambda own, i: own > 0), lambda path: (path / "classes/p1.png").unlink())),
    Case("label image without a picture", lambda path: save(path / "labels/p99.png", TWO)),
    # tables
    Case("neither ", options="groups=t.csv"),
    Case("neither UTF-8 nor marked", table("picture,group\n\xe4,1\n".encode("cp1252")), "groups=t.csv"),
    Case("NUL bytes", table("picture,group\na,\0\n"), "groups=t.csv"),
    Case("must name the columns picture and group", table("file,group\n"), "groups=t.csv"),
    Case("has two columns named group", table("picture,group,group\n"), "groups=t.csv"),
    Case("line 2 has 3 fields", table("picture,group\na,b,c\n"), "groups=t.csv"),
    Case("line 2 cannot be read", table('picture,group\na,"b\n'), "groups=t.csv"),
    Case("picture p0 has the groups 0 and 1", table("picture,group\np0,0\np0.png,1\n"), "groups=t.csv"),
    Case("differ only in spelling", rows(lambda i: ("A", "a", "b", "c")[i % 4], "group"), "groups=t.csv"),
    Case("differ only in spelling", rows(lambda i: (1, "1.0")[i % 2], "label"), "image_labels=t.csv", study="maps"),
    Case("class '0' is not a whole number", table("class,name\n0,a\n"), "class_names=t.csv"),
    Case("class 1 appears twice", table("class,name\n1,a\n1,b\n"), "class_names=t.csv"),
    Case("two classes are named a", options="class_names=a,a"),
    Case("gives no label for p7", table("picture,label\n" + "".join(f"p{i},{i % 2}\n" for i in range(7))),
         "image_labels=t.csv", study="maps"),
    Case("is not among label_names", rows(lambda i: i % 2, "label"),
         "image_labels=t.csv&label_names=0,2", study="maps"),
    Case("all pictures have the label 5", rows(lambda i: 5, "label"), "image_labels=t.csv", study="maps"),
    # one picture and its labels
    Case("cannot be read", lambda path: (path / "images/p1.png").write_bytes(b"damaged")),
    Case("cannot be read", lambda path: (path / "labels/p1.png").write_bytes(b"damaged")),
    Case("every pixel has the same value", lambda path: save(path / "images/p1.png", noise(0) * 0 + 9)),
    Case("no object in the label image", lambda path: save(path / "labels/p1.png", TWO * 0)),
    Case("but the picture's is", lambda path: save(path / "labels/p1.png", TWO[:9])),
    Case("pixels beside labels of", both(classes(lambda own, _: own > 0),
         lambda p: save(p / "classes/p1.png", TWO[9:]))),
    Case("ids above 255 were cut off", lambda path: save(path / "labels/p1.png", specks(np.arange(1, 325) % 256))),
    Case("several classes in object 1", classes(lambda own, i: (own > 0) * (1 + (np.arange(SIDE) % 2)))),
    # annotations that are no label images
    Case("annotations in several formats", geojson(names=["p1"])),
    Case("labels=components is only for label images", geojson(), "labels=components"),
    Case("radius=5 is only for files with sites", options="radius=5"),
    Case("label_names names the labels of image_labels", options="label_names=a,b"),
    Case("radius=far is not a number of metres", options="radius=far"),
    Case("format=tiff is unknown", options="format=tiff"),
    Case("its ending does not tell its format", table("", "t.coco"), "annotations=t.coco"),
    Case("may hold the annotations (s.json, t.json)", both(without_labels, table("", "s.json"), table("", "t.json"))),
    Case("class_names=b,c lacks a", geojson("a"), "class_names=b,c"),
    Case("is not a COCO file", both(without_labels, table("", "t.json"))),
    # all pictures together
    Case("same picture as p0.png", lambda path: save(path / "images/p5.png", noise(0))),
    Case("number of channels", lambda path: save(path / "images/p5.png", noise(0, SIDE, SIDE, 3))),
    Case("class value 99", classes(lambda own, i: (own > 0) * 99)),
    Case("has no name in class_names", classes(lambda own, i: own), "class_names=a"),
    Case("255 would mean not judged", labels(lambda own, i: (own > 0) * (255 if i < 2 else 1)), "labels=components"),
    Case("a smoothed mask, not ids", labels(lambda own, i: np.where(SOFT > 20, SOFT, 0))),
    Case("not ids of objects", labels(lambda own, i: specks(np.arange(1, 71)))),
    Case("masks, not instances", labels(crossed)),
    Case("masks of 0 and 255, not instances", labels(lambda own, i: (own > 0) * 255)),
    Case("set the background to 0", labels(lambda own, i: own * 0 + 1)),
    Case("one object covers most of the picture and of its border", labels(lambda own, i: own + 1)),
    # what studies make of it
    Case("pictures differ in size (p0 36x36x1, p3 36x38x1", resized),
    Case("class 2 is not among those", target=2),
    Case("no picture shows an object of class 1", classes(lambda own, i: (own > 0) * 2)),
    Case("no picture shows an object of class 1", labels(lambda own, i: np.where(own == 1, 1, 0)), "crop=1&empty=keep"),
    Case("cannot be divided into 2 parts", rows(lambda i: i % 2, "group"), "groups=t.csv", folds=2),
    Case("all pictures belong to one group", rows(lambda i: 0, "group"), "groups=t.csv"),
    Case("folds=4 must be from 2 to 3", rows(lambda i: i % 3, "group"), "groups=t.csv"),
    Case("no picture shows the object", options="presence=900", study="maps"),
    Case("no picture is without the object", options="presence=1", study="maps"),
    Case("all lack the object", rows(lambda i: int(i == 0), "label"),
         "image_labels=t.csv&label_names=0,1", study="maps"),
]  # fmt: skip
ACCEPTED = [
    Case(""),
    Case("", options="tile=20"),
    Case("", resized, "crop=34"),
    Case("", rows(lambda i: i % 4, "group"), "groups=t.csv"),
    Case("", both(unlabelled(3), rows(lambda i: i % 2, "label"), rows(lambda i: i // 2, "group", "g.csv")),
         "image_labels=t.csv&label_names=0,1&groups=g.csv", study="maps"),
    Case("", labels(lambda own, i: own > 0), "labels=components"),
    Case("", geojson()),
    Case("", geojson("a"), "class_names=a,b"),
    Case("which count as one object", labels(lambda own, i: own > 0)),
    Case("files in these formats are not read: p9.bmp", table("", "images/p9.bmp")),
    Case("1 of 8 annotations change when they are read (p1)", both(geojson(), add_line("p1"))),
    Case("one object covers most of the picture", labels(lambda own, i: own == 0), "labels=components"),
    Case("if one of the values means background", labels(lambda own, i: np.arange(SIDE)[:, None] // 12 + 1 + 0 * own)),
    Case("if one of the values means background", classes(lambda own, i: 1 + (own > 0)),
         "annotations=classes&labels=components"),
]  # fmt: skip


def trained(path, case):
    """Opens and reads the folder as a study does before its first training."""
    study = {"errors": ERRORS, "maps": MAPS}[case.study]
    config = defaults_of(study, "smoke")
    config = overlaid(
        config, {"run": {"out": path, "seeds": 4}, "source": {"data": path_of(path, case), "folds": case.folds}}
    )
    if study is ERRORS:
        config = overlaid(config, {"errors": ("bias",), "levels": (6.0,), "annotations": {"target": case.target}})
        config = overlaid(config, {"segmentation": {"networks": ("msd",)}})
    study.read(resolved(study, config))


def path_of(path, case):
    return f"folder:{path}{case.place}" + (f"?{case.options}" if case.options else "")


def made(tmp_path, case):
    build(tmp_path / "set")
    case.change(tmp_path / "set")
    return tmp_path / "set"


def said(capsys):
    """All that the command printed, without the frames of tables."""
    return " ".join("".join(" " if sign in "│┃" else sign for sign in capsys.readouterr().out).split())


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.words)
def test_what_training_refuses_is_reported(tmp_path, capsys, case):
    path = made(tmp_path, case)
    with pytest.raises(InputError) as refusal:
        trained(path, case)
    assert case.words in str(refusal.value)
    assert command.check(path_of(path, case), target=case.target, folds=case.folds) == 2
    capsys.readouterr()


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: f"{case.words} {case.options}")
def test_what_training_takes_is_not_refused(tmp_path, capsys, case):
    path = made(tmp_path, case)
    trained(path, case)
    assert command.check(path_of(path, case), target=case.target, folds=case.folds) == 0
    assert ("remark" in said(capsys)) == bool(case.words)


def test_pictures_alone_may_be_few_and_of_several_sizes(tmp_path, capsys):
    path = made(tmp_path, Case("", resized))
    assert command.check(str(path), use="pictures") == 0
    assert command.check(f"{path}?keep=^p3$") == 2 and command.check(f"{path}?keep=^p3$", use="pictures") == 0
    capsys.readouterr()


def sites():
    """Every place in the code that refuses: module, first and last line, and its source."""
    for module in (*MODULES, pictures, classifiers):
        text = Path(module.__file__).read_text()
        functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
        for function in functions:
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("InputError", "Problem"):
                    yield (
                        module.__name__,
                        function.name,
                        node.lineno,
                        node.end_lineno,
                        ast.get_source_segment(text, node),
                    )


def test_every_refusal_in_the_code_is_in_the_table(tmp_path, monkeypatch, capsys):
    reached = set()

    def recording(build):
        def recorded(self, *args, **named):
            caller = sys._getframe(1)
            reached.add((caller.f_globals["__name__"], caller.f_lineno))
            build(self, *args, **named)

        return recorded

    monkeypatch.setattr(InputError, "__init__", recording(InputError.__init__))
    monkeypatch.setattr(Problem, "__init__", recording(Problem.__init__))
    for number, case in enumerate([*REFUSED, *ACCEPTED]):
        (tmp_path / str(number)).mkdir()
        path = made(tmp_path / str(number), case)
        command.check(path_of(path, case), target=case.target, folds=case.folds)
    capsys.readouterr()
    missed = [
        (module, function, text)
        for module, function, first, last, text in sites()
        if not any((module, line) in reached for line in range(first, last + 1))
    ]
    left = [
        (module, function, text)
        for module, function, text in missed
        if function not in NOT_OF_A_FOLDER and not any(words in text for words in UNREACHABLE)
    ]
    assert not left, "\n".join(map(str, left))
