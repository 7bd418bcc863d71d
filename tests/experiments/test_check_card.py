"""The data card: each command on it is accepted by the study itself, and what is refused there is said."""

import dataclasses
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import tyro
from PIL import Image

from experiments.check.card import _chosen, _uses
from experiments.check.command import check
from experiments.check.findings import Asked, look, spec_of
from experiments.check.suggestions import suggest, with_suggestions
from experiments.check.survey import Seen
from experiments.check.uses import STUDIES
from experiments.harness.parsing import parse
from experiments.harness.run import opened
from experiments.segment_new_type.config import NewTypeOptions
from experiments.segment_new_type.pictures import open_shots
from experiments.upgrade_folder.config import FolderConfig, check_folder_config
from experiments.upgrade_folder.pictures import open_folder
from segjax.data.builders.preparing import prepare
from segjax.simulators import open_microscope
from segjax.types import InputError

USUAL = Asked()
BY_NAME = {study.name: study for study in STUDIES}
OUTLINED = {"annotation_errors", "annotation_upgrade", "annotation_budget"}  # studies that outlines are enough for
TERRAIN = "terrain:mounds?pixels=64&metres=6.64&sheets=12&pictures=12&without=1"
HL60 = "microscope:hl60?size=sixth&volumes=8&slices=2&crop=48"
TISSUE = "microscope:tissue?size=quarter&volumes=4&slices=4&crop=48"


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels).astype(np.uint8)).save(path)


def discs(seed, shape=(64, 64), count=6, radius=5):
    random = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    labels = np.zeros(shape, np.uint8)
    for number in range(1, count + 1):
        row, column = random.integers(0, shape[0]), random.integers(0, shape[1])
        labels[np.hypot(y - row, x - column) <= radius] = number
    return labels


def folder(path, shapes, noisy=0, classes=False):
    for index, shape in enumerate(shapes):
        labels, name = discs(index, shape), f"p{index:02}.png"
        save(path / "images" / name, np.random.default_rng(index).integers(0, 90, shape) + 120 * (labels > 0))
        save(path / ("noisy" if index < noisy else "labels") / name, labels)
        if classes:
            save(path / "classes" / name, np.where(labels > 0, 1 + labels % 2, 0))
    return path


def found(data, asked=USUAL):
    findings = look(data, asked, {}, is_thorough=True)
    return findings, {use.name: use for use in _uses(findings, asked)}


def accepted(use, *more):
    """Runs what a command does before it trains, from its text alone and further options."""
    module, *args = [*shlex.split(use.command.removeprefix("python -m ")), *more]
    name = module.removeprefix("experiments.")
    if name in BY_NAME:
        config = parse(BY_NAME[name], args)
        assert opened(BY_NAME[name], config)[1]
    elif name == "upgrade_folder":
        config = tyro.cli(FolderConfig, args=args)
        check_folder_config(config)
        open_folder(config)
    else:
        options = tyro.cli(NewTypeOptions, args=args)
        open_shots(options.shots, options.target)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "runs"),
    [
        (HL60, OUTLINED),
        (TISSUE, OUTLINED | {"few_shot"}),
        (TERRAIN, OUTLINED | {"activation_maps", "site_segmentation"}),
    ],
)
def test_simulators(data, runs):
    findings, uses = found(data)
    assert findings.is_usable and len(uses) == 8
    assert {name for name, use in uses.items() if use.command} == runs
    for use in uses.values():
        if use.command:
            accepted(use, "--replicates", "1")  # the other sets of pictures are as large and take as long to draw
        else:
            assert use.reason
            if use.name in BY_NAME:
                refuses(BY_NAME[use.name], data)


def refuses(study, data):
    with pytest.raises(InputError):
        study.read(parse(study, ["--data", data, "--out", "runs/x"]))


@pytest.mark.slow
def test_a_folder_of_mixed_sizes_gets_a_tile(tmp_path):
    path = folder(tmp_path / "set", [(64, 64), (96, 80)] * 12)
    findings, uses = found(str(path))
    assert "differ in size" in findings.refusal and not findings.is_usable
    assert "tile=64" in {str(one) for one in findings.suggestions}
    for name in ("annotation_errors", "annotation_upgrade"):
        assert "tile=64" in uses[name].command
        accepted(uses[name])
    assert uses["few_shot"].command == "" and "no types" in uses["few_shot"].reason
    assert uses["segment_new_type"].command
    accepted(uses["segment_new_type"])
    assert uses["upgrade_folder"].command == "" and "noisy is missing" in uses["upgrade_folder"].reason


def test_a_folder_with_noisy_labels_is_for_the_repair(tmp_path):
    path = folder(tmp_path / "set", [(64, 64)] * 10, noisy=4)
    findings, uses = found(str(path))
    assert len(findings.problems) == 4
    accepted(uses["upgrade_folder"])
    assert all(not uses[name].command for name in BY_NAME)


@pytest.mark.slow
def test_few_pictures_of_types_get_fewer_shots(tmp_path):
    path = folder(tmp_path / "set", [(64, 64)] * 8, classes=True)
    _, uses = found(str(path), Asked(target=2))
    assert "--shots" in uses["few_shot"].command and "--target" not in uses["few_shot"].command
    assert "--target 2" in uses["annotation_errors"].command
    for use in uses.values():
        if use.command:
            accepted(use)


def test_large_sets_are_not_tried(tmp_path, monkeypatch):
    path = folder(tmp_path / "set", [(64, 64)] * 8)
    monkeypatch.setattr("experiments.check.uses.LARGEST_HELD", 1000)
    _, uses = found(str(path))
    assert all("--plan" in uses[name].reason for name in BY_NAME)


def test_the_page(tmp_path, capsys):
    path = folder(tmp_path / "set", [(64, 64)] * 12, classes=True)
    (path / "labels/p00.png").unlink()
    (path / "images/p01.png").write_bytes(b"damaged")
    save(path / "images/p03.png", Image.open(path / "images/p02.png"))
    page = tmp_path / "data_card.html"
    assert check(str(path), card=page) == 2
    assert f"data card: {page}" in capsys.readouterr().out
    text = page.read_text()
    first = text[text.index("<main>") :]
    assert first.index("cannot be used yet: 3 problems") < first.index("has no label image") < first.index("Counts")
    assert text.count('src="data:image/png') == 8 and '<svg role="img"' in text
    assert not re.search(r'(?:src|href)="(?!data:|#)', text)
    for words in (
        "most objects",
        "fewest objects",
        "same picture as p02.png",
        "smaller than 5",
        "class 1",
        "correlates",
    ):
        assert words in text
    assert check(str(path), card=page) == 2 and page.read_text() == text


@pytest.mark.parametrize("place", ["nowhere/card.html", "set"])
def test_a_page_that_cannot_be_written(tmp_path, capsys, place):
    path = folder(tmp_path / "set", [(64, 64)] * 8)
    if place == "set":
        with pytest.raises(InputError, match="Is a directory"):
            check(str(path), card=tmp_path / place)
    else:
        assert check(str(path), card=tmp_path / place) == 2
        assert "card: the folder" in capsys.readouterr().out


def test_the_gallery_shows_fewest_median_and_most(tmp_path):
    for index in range(21):
        save(tmp_path / f"images/p{index:02}.png", np.random.default_rng(index).integers(0, 200, (40, 40)))
        labels = np.zeros((40, 40))
        labels[::4, 0][: 1 + index % 9] = np.arange(1, 2 + index % 9)
        labels[20, 20] = 10
        save(tmp_path / f"labels/p{index:02}.png", labels)
    findings = look(str(tmp_path), Asked(), {}, is_thorough=True)
    chosen = _chosen(findings)
    counts = [len(one.diameters) for one in findings.seen]
    assert len(chosen) == len(dict(chosen)) == 8
    assert [counts[place] for place, _ in chosen[:3]] == [min(counts), sorted(counts)[10], max(counts)]


def test_a_prepared_set_is_checked(tmp_path, capsys):
    prepare(open_microscope("hl60", {"size": "sixth", "volumes": "4", "slices": "2"}), tmp_path, "segjax_hl60")
    assert check(f"tfds:segjax_hl60?dir={tmp_path}") == 0
    assert "the pictures can be used" in capsys.readouterr().out


@pytest.mark.parametrize("data", ["microscope:nowhere", "tfds:nowhere_at_all", "terrain:mounds?colour=1"])
def test_other_sources_that_cannot_be_opened(data, capsys):
    assert check(data) == 2
    assert "cannot be checked" in capsys.readouterr().out


def test_equal_pictures_of_other_sources_are_remarked(capsys, monkeypatch):
    class Twice:
        def __init__(self, source):
            self.__dict__.update({name: getattr(source, name) for name in dir(source) if not name.startswith("_")})
            self._source = source

        def __len__(self):
            return len(self._source)

        def __getitem__(self, index):
            return dataclasses.replace(self._source[index], image=self._source[0 if index == 5 else index].image)

    real = open_microscope("hl60", {"size": "sixth", "volumes": "4", "slices": "2"})
    monkeypatch.setattr("experiments.check.findings.open_source", lambda spec: Twice(real))
    assert check("microscope:hl60") == 0
    assert f"same picture as {real.names[0]}" in " ".join(capsys.readouterr().out.split())


def test_paths_and_specs():
    assert spec_of("a/b") == "folder:a/b" and spec_of("folder:a") == "folder:a"
    assert spec_of("terrain:mounds?a=b") == "terrain:mounds?a=b" and spec_of("microscope") == "folder:microscope"


def one(shape, *diameters):
    values = np.asarray(diameters, float)
    return Seen(
        (*shape, 1), "", values, np.ones(len(values), np.int32), 1.0, None, np.zeros((32, 32), np.float32), None
    )


@pytest.mark.parametrize(
    ("seen", "options"),
    [
        ([one((256, 256), 20)] * 3, []),
        ([one((256, 256), 20), one((256, 300), 20)], ["tile=128"]),
        ([one((512, 512), 20)], []),
        ([one((513, 600), 20)], ["tile=128"]),
        ([one((2000, 2000), 40)], ["tile=256"]),
        ([one((2000, 2000), 3)], ["tile=64"]),
        ([one((2000, 100), 40)], ["tile=64"]),
        ([one((2000, 2000), 300)], ["shrink=3", "tile=512"]),
        ([one((400, 400), 129)], ["shrink=2"]),
        ([one((400, 400))], []),
    ],
)
def test_sizes_that_suit_the_objects(seen, options):
    assert [str(found) for found in suggest("folder:a", seen, None)] == options


def test_options_that_are_given_are_not_suggested():
    seen = [one((2000, 2000), 300)]
    assert [str(found) for found in suggest("folder:a?tile=100&shrink=2", seen, None)] == []
    assert with_suggestions("folder:a?x=1", suggest("folder:a?x=1", seen, None)) == "folder:a?x=1&shrink=3&tile=512"
    assert with_suggestions("folder:a", []) == "folder:a"


def test_masks_and_mixed_channels(tmp_path, capsys):
    for index in range(8):
        mask = discs(index) > 0
        channels = (64, 64, 3) if index == 3 else (64, 64)
        save(tmp_path / f"images/p{index}.png", np.random.default_rng(index).integers(0, 200, channels))
        save(tmp_path / f"labels/p{index}.png", 255 * mask)
    findings = look(str(tmp_path), Asked(), {}, is_thorough=True)
    assert {str(found) for found in findings.suggestions} == {"channels=1", "labels=components"}
    better = with_suggestions(findings.spec, findings.suggestions)
    assert check(better) == 0
    assert check(str(tmp_path)) == 2 and "suggestion: channels=1" in capsys.readouterr().out


def test_every_study_is_asked():
    rooms = Path(__file__).resolve().parents[2] / "experiments"
    assert set(BY_NAME) == {path.parent.name for path in rooms.glob("*/study.py")} - {"harness"}
