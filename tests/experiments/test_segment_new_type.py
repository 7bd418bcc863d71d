"""The command segments a folder, keeps what it learnt, and names what is wrong."""

import dataclasses
import html
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tifffile
from PIL import Image

from experiments.harness.provenance import opening
from experiments.segment_new_type.report import write_report
from experiments.segment_new_type.segment import segment_folder
from segjax.data import read_labels
from segjax.fewshot import Extractor, FeatureBank, NewType, Objects, fit_new_type, load_extractors, save_extractors
from segjax.fewshot.bank import with_statistics
from segjax.models import create
from segjax.models.pretrained import CHOSE, LEARNT, SCORED, UsedPicture, picture_digest
from segjax.types import InputError
from tests.new_type_folder import dish, later, two_shots
from tests.weights_folder import write_weights


@pytest.fixture
def options(tmp_path):
    return two_shots(tmp_path)


def test_a_folder_is_segmented_and_again_from_what_was_learnt(options, tmp_path):
    paths = segment_folder(options).labels
    assert [path.name for path in paths] == ["7.tif", "8.tif"]
    for path, seed in zip(paths, (7, 8), strict=True):
        found, truth = read_labels(path) > 0, dish(seed)[1] > 0
        assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.9
    again = later(options, out=tmp_path / "again")
    for one, two in zip(paths, segment_folder(again).labels, strict=True):
        np.testing.assert_array_equal(read_labels(one), read_labels(two))
    with pytest.raises(InputError, match=r"there already; choose another folder, or, .* remove the files that it left"):
        segment_folder(options)


def test_a_stopped_run_goes_on_from_what_it_learnt(options):
    paths = segment_folder(options).labels
    expected = [read_labels(path) for path in paths]
    for path in paths:
        path.unlink()
    again = later(options)
    for labels, path in zip(expected, segment_folder(again).labels, strict=True):
        np.testing.assert_array_equal(labels, read_labels(path))
    paths[0].unlink()
    with pytest.raises(InputError, match=r"8.tif is there already"):
        segment_folder(again)


def test_pixels_that_nobody_judged_are_not_taken_for_background(options, tmp_path):
    (tmp_path / "shots/classes").mkdir()
    images, masks = [], []
    for seed in range(2):
        image, labels = dish(seed)
        image[:3, :8] = 200  # as bright as the type, and left out
        classes = (labels > 0).astype(np.uint8)
        classes[:3, :8] = 255
        Image.fromarray(image).save(tmp_path / f"shots/images/{seed}.png")
        Image.fromarray(classes).save(tmp_path / f"shots/classes/{seed}.png")
        images.append((image.astype(np.float32) / np.float32(image.max()))[..., None])
        masks.append(np.where(classes == 255, -1, labels.astype(np.int32)))
    segment_folder(dataclasses.replace(options, head="logistic"))
    bank = FeatureBank(load_extractors(options.extractors))
    found, expected = NewType.load(options.out / "type.safetensors", bank), fit_new_type(bank, images, masks)
    as_background = fit_new_type(bank, images, [np.maximum(mask, 0) for mask in masks])
    assert abs(found.params["bias"] - as_background.params["bias"]) > 0.1
    np.testing.assert_allclose(found.threshold, expected.threshold, rtol=1e-4)
    for name, value in expected.params.items():
        np.testing.assert_allclose(found.params[name], value, rtol=1e-4)


def test_what_was_learnt_knows_how_pictures_are_read(options, tmp_path):
    dark = np.random.default_rng(0).integers(60, 80, (24, 30), np.uint8)  # background; over its own maximum as bright
    Image.fromarray(dark).save(tmp_path / "query/7.png")
    given = dataclasses.replace(options, shots=f"folder:{options.shots}?scale=dtype")
    again = later(options, out=tmp_path / "again")
    by_maximum = dataclasses.replace(options, out=tmp_path / "maximum")
    first, second, other = (read_labels(segment_folder(each).labels[0]) for each in (given, again, by_maximum))
    assert not first.any() and other.any()
    np.testing.assert_array_equal(first, second)


def test_pictures_of_other_channels_are_named_and_converted_only_if_asked_for(options, tmp_path):
    colour = np.repeat(dish(8)[0][..., None], 3, 2)
    Image.fromarray(colour).save(tmp_path / "query/8.png")
    with pytest.raises(InputError, match=r"query: .*8.png has 3 channel\(s\), the extractors were trained on 1"):
        segment_folder(options)
    assert not options.out.exists()
    given = dataclasses.replace(options, shots=f"folder:{options.shots}?channels=1")
    _, converted = segment_folder(given).labels
    truth, found = dish(8)[1] > 0, read_labels(converted) > 0
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.9
    again = later(options, out=tmp_path / "again")
    np.testing.assert_array_equal(read_labels(segment_folder(again).labels[1]), read_labels(converted))
    for seed in range(2):
        Image.fromarray(np.repeat(dish(seed)[0][..., None], 3, 2)).save(tmp_path / f"shots/images/{seed}.png")
    (tmp_path / "query/8.png").unlink()
    with pytest.raises(InputError, match=r"shots: picture 0 has 3 channel\(s\)"):
        segment_folder(dataclasses.replace(options, out=tmp_path / "third"))


def test_grey_pictures_are_not_repeated_for_colour_extractors(options, tmp_path):
    network = create("msd", depth=2)
    extractor = Extractor(network, network.init(jax.random.key(0), jnp.zeros((1, 16, 16, 3))))
    colour = np.repeat(dish(0)[0].astype(np.float32)[..., None] / 255, 3, 2)
    save_extractors(tmp_path / "colour", [with_statistics(extractor, [colour])])
    with pytest.raises(InputError, match=r"query: .*7.png has 1 channel\(s\), .* trained on 3; .*channels=3"):
        segment_folder(dataclasses.replace(options, extractors=str(tmp_path / "colour")))
    given = dataclasses.replace(
        options, extractors=str(tmp_path / "colour"), shots=f"folder:{options.shots}?channels=3"
    )
    assert read_labels(segment_folder(given).labels[0]).any()


@pytest.mark.parametrize("learnt", [False, True])
@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.full((24, 30), np.nan, np.float32), "9.tif: holds NaN"),
        (np.ones((2, 30), np.uint8), "9.tif cannot be used: .* at least"),
        (np.ones((24, 30, 3), np.uint8), "9.tif has 3 channel"),
        (None, "9.tif: cannot be read"),
    ],
)
def test_a_bad_picture_writes_nothing(picture, message, learnt, options, tmp_path):
    if learnt:
        segment_folder(options)
        options = later(options, out=tmp_path / "again")
    path = tmp_path / "query/9.tif"
    if picture is None:
        path.write_bytes(b"II*\0 and nothing more")
    else:
        tifffile.imwrite(path, picture, photometric="rgb" if picture.ndim == 3 else "minisblack")
    with pytest.raises(InputError, match=message):
        segment_folder(options)
    assert not options.out.exists()


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"head": "ridge"}, "head"),
        ({"target": 2}, "target"),
        ({"check": False}, "check"),
        ({"objects": Objects(minimum_area=5)}, "objects.minimum_area"),
        ({"objects": Objects("border", "watershed")}, "objects.delineation, objects.grouping"),
    ],
)
def test_options_that_the_learnt_type_decides_are_refused(change, name, options):
    given = later(options, **change)
    with pytest.raises(InputError, match=f"^{name}: .* leave the option out"):
        segment_folder(given)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shots": None}, "shots, learnt"),
        ({"head": "svm"}, "head: unknown 'svm'"),
        ({"target": 2}, "target: class 2"),
        ({"shots": "microscope:hl60"}, "is not a folder"),
        ({"shots": "folder:shots?shrink=2"}, "shrink cannot be given here"),
        ({"shots": "folder:shots?bands=3,2,1"}, "bands cannot be given here; choose the bands of the shots and"),
        ({"query": "nothing"}, "there is no folder"),
        ({"query": "shots"}, "has no picture"),
        ({"extractors": "query"}, "has no file"),
    ],
)
def test_what_cannot_be_used_is_named(change, message, options, tmp_path):
    for name in ("query", "extractors"):
        if name in change:
            change = {**change, name: tmp_path / change[name]}
    if message == "has no picture":
        (tmp_path / "shots" / "images").rename(tmp_path / "shots" / "pictures")
    with pytest.raises(InputError, match=message):
        segment_folder(dataclasses.replace(options, **change))


def test_the_networks_of_the_package_are_given_by_name(options, tmp_path, monkeypatch):
    monkeypatch.setattr("segjax.models.pretrained.SHIPPED", tmp_path / "shipped")
    write_weights(tmp_path / "shipped" / "dots")
    by_name = segment_folder(dataclasses.replace(options, extractors="dots")).labels
    by_folder = dataclasses.replace(options, extractors=str(tmp_path / "shipped" / "dots"), out=tmp_path / "again")
    for one, two in zip(by_name, segment_folder(by_folder).labels, strict=True):
        np.testing.assert_array_equal(read_labels(one), read_labels(two))
    with pytest.raises(InputError, match=r"no trained weights 'stars'; choose one of dots"):
        segment_folder(dataclasses.replace(options, extractors="stars"))


def test_trained_weights_say_which_pictures_they_saw_and_whether_objects_are_of_another_kind(options, tmp_path):
    seen = {name: dish(seed)[0].astype(np.float32)[..., None] for name, seed in (("old", 0), ("7", 99), ("8", 8))}
    sides = zip(seen.items(), (LEARNT, CHOSE, SCORED), strict=True)
    used = [UsedPicture(name, name, side, picture_digest(image)) for (name, image), side in sides]
    write_weights(tmp_path / "mine", used=used)
    options = dataclasses.replace(options, extractors=str(tmp_path / "mine"))
    first = segment_folder(options)
    shot, namesake = first.known  # picture 8 gave scores alone, and the discs are bright, as those of the weights
    assert "learnt from 1 of 2 shots (0), or chose their epoch on them" in shot
    assert "1 of 2 pictures to segment (7) have names of some" in namesake and "but another content" in namesake
    assert first.cautions[:2] == [shot, namesake]
    assert segment_folder(later(options, out=tmp_path / "again")).known == first.known

    card = json.loads((tmp_path / "mine/card.json").read_text())
    card["objects"] |= {"brighter": False, "diameters": [20, 30]}
    (tmp_path / "mine/card.json").write_text(json.dumps(card))
    of_another_kind = segment_folder(dataclasses.replace(options, out=tmp_path / "other"))
    bright, small = of_another_kind.known[2:]
    assert "In 2 of 2 annotated pictures the objects are brighter than the background" in bright
    assert "median diameter of 9 px, but the networks learnt from pictures with medians from 20 to 30 px" in small
    page = write_report(options, of_another_kind, opening("segment_new_type", {}))
    text = html.unescape(page.read_text()).replace("\N{NO-BREAK SPACE}", " ")
    for line in of_another_kind.known:
        assert line in text
