"""Labels that other programs predicted: written pictures, folders in every layout, and each thing that is refused."""

import dataclasses
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from experiments.harness.options import deciding
from experiments.harness.rival_options import RivalOptions, factor_of, is_rival
from experiments.harness.rivals import class_cautions, keep_origins, read_rivals, rival_cautions, write_test_pictures
from experiments.harness.study import RivalPart, judged_pictures
from experiments.publish import study_names, study_of
from segjax.data import Split, open_source
from segjax.data.folders.conversion import convert_folder
from segjax.reports.words import network_name
from segjax.types import InputError, Sample

TEST = (1, 3)
TESTED = {1: [0], 3: [1]}


class Pictures:
    """Four pictures of 40 x 48 pixels with two discs each, the first of class 1, and a margin that is not judged."""

    spec, digest, coarsening = "folder:own", "0" * 16, 1.0
    names, groups = tuple(f"slide.{number}@0,8" for number in range(4)), ("g0", "g1", "g2", "g3")
    label_names, test_groups = (), frozenset()

    def __init__(self, channels=1, class_names=("round", "flat")):
        self.channels, self.class_names = channels, class_names

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        rows, columns = np.mgrid[:40, :48]
        labels = np.zeros((40, 48), np.int32)
        labels[np.hypot(rows - 12 - index, columns - 12) < 6] = 1
        labels[np.hypot(rows - 26, columns - 34 + index) < 5] = 2
        image = np.random.default_rng(index).uniform(0.05, 0.3, (40, 48, self.channels)) + 0.4 * (labels[..., None] > 0)
        ignored = columns > 45
        classes = np.array([1, min(2, len(self.class_names))], np.int32)
        return Sample(image.astype(np.float32), labels, classes, self.groups[index], self.names[index], ignored)


def pictures(**options):
    """Pictures of a study; even seeds test on the second and odd ones on the fourth."""
    return SimpleNamespace(source=Pictures(**options), split=lambda seed: Split((0,), (2,), (TEST[seed % 2],)))


def test_every_test_picture_is_judged_unless_the_study_says_otherwise():
    config = SimpleNamespace(run=SimpleNamespace(seeds=3))
    every, some = RivalPart(None, None), RivalPart(None, None, judged=lambda config, data, seed: [seed])
    found = [judged_pictures(SimpleNamespace(rivals=part), config, pictures()) for part in (every, some, None)]
    assert found == [{1: [0, 2], 3: [1]}, {0: [0], 1: [1], 2: [2]}, {}]


@pytest.fixture
def data():
    return pictures()


@pytest.fixture
def folder(data, tmp_path) -> Path:
    """The written test pictures with their true labels."""
    write_test_pictures(tmp_path / "rival", data.source, TESTED)
    save(data, tmp_path / "rival" / "labels" / "{}.png")
    return tmp_path / "rival"


def save(data, place, made=lambda sample: sample.labels, kind=np.uint8):
    for index in TEST:
        sample = data.source[index]
        path = Path(str(place).format(sample.name))
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.asarray(made(sample)).astype(kind)).save(path)


def rival(data, folder, options="", test=TEST, **needs):
    (found,) = read_rivals(RivalOptions((f"other=folder:{folder}{options}",)), data.source, test, **needs).values()
    return found


def truth(data, target=None):
    samples = [data.source[index] for index in TEST]
    return np.stack([(one.labels if target is None else one.of_class(target)) > 0 for one in samples])


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_written_pictures_are_the_test_pictures(tmp_path, channels):
    data = pictures(channels=channels)
    assert write_test_pictures(tmp_path / "new", data.source, TESTED) == 2
    table = pd.read_csv(tmp_path / "new" / "pictures.csv")
    assert table.to_numpy().tolist() == [["slide.1@0,8", "g1", 0], ["slide.3@0,8", "g3", 1]]
    save(data, tmp_path / "new" / "labels" / "{}.png")
    found = open_source(f"folder:{tmp_path / 'new'}")
    assert found.names == tuple(data.source.names[index] for index in TEST)
    for sample, index in zip(found, TEST, strict=True):
        image = data.source[index].image
        np.testing.assert_allclose(sample.image, image / image.max(), atol=0.0021 if channels == 3 else 1e-5)
    again = tmp_path / "again"
    write_test_pictures(again, data.source, TESTED)
    assert all(
        path.read_bytes() == (tmp_path / "new" / "images" / path.name).read_bytes() for path in again.glob("images/*")
    )
    assert rival(data, tmp_path / "new").network.startswith("other@")


def test_a_folder_that_is_there_is_not_written_into(tmp_path, data):
    with pytest.raises(InputError, match="exists already; choose a new folder"):
        write_test_pictures(tmp_path, data.source, TESTED)


def test_everything_marked_counts_where_no_classes_are_told_apart(data, folder):
    found = rival(data, folder)
    np.testing.assert_array_equal(found.masks(TEST, 1), truth(data))
    np.testing.assert_array_equal(found.masks([3], 1), truth(data)[1:])
    assert class_cautions([found], data.source) == [
        "other (predicted elsewhere) tells no classes apart. Everything marked counts as the target class, although "
        "the pictures show 2 classes."
    ]
    assert class_cautions([found], Pictures(class_names=("cell",))) == []


def test_class_images_that_show_one_class_alone_are_of_that_class(data, folder):
    save(data, folder / "classes" / "{}.png", lambda one: (one.labels > 0).astype(np.int32))
    found = rival(data, folder, needs_classes=True)
    np.testing.assert_array_equal(found.masks(TEST, 1), truth(data))
    assert not found.masks(TEST, 2).any() and class_cautions([found], data.source) == []


def test_label_files_beside_the_pictures_are_read_as_another_program_leaves_them(data, folder):
    shutil.rmtree(folder / "labels")
    save(data, folder / "images" / "{}_cp_masks.png", kind=np.uint16)
    np.testing.assert_array_equal(rival(data, folder).masks(TEST, 1), truth(data))


@pytest.mark.parametrize("to", ["object_masks", "colours", "coco"])
def test_other_formats_are_read_too(data, folder, tmp_path, to):
    if to == "coco":
        pytest.importorskip("pycocotools")
    convert_folder(f"folder:{folder}", tmp_path / "other", to)
    options = "?colours=colours.csv" if to == "colours" else ""
    np.testing.assert_array_equal(rival(data, tmp_path / "other", options).masks(TEST, 1), truth(data))


def test_a_picture_without_any_object_is_a_prediction(data, folder):
    save(data, folder / "labels" / "{}.png", lambda one: one.labels * (one.name != data.source.names[1]))
    found = rival(data, folder).masks(TEST, 1)
    assert not found[0].any() and found[1].any()


def test_equal_and_flat_pictures_such_as_tiles_of_an_empty_margin_are_predicted_like_others(tmp_path, monkeypatch):
    whole = Pictures.__getitem__
    black = np.zeros((40, 48, 1), np.float32)
    monkeypatch.setattr(Pictures, "__getitem__", lambda own, index: dataclasses.replace(whole(own, index), image=black))
    data = pictures()
    write_test_pictures(tmp_path / "flat", data.source, TESTED)
    save(data, tmp_path / "flat" / "labels" / "{}.png")
    np.testing.assert_array_equal(rival(data, tmp_path / "flat").masks(TEST, 1), truth(data))


def test_predictions_of_whole_pictures_are_cut_as_the_test_pictures(tmp_path):
    draw = np.random.default_rng(0)
    for name in ("a", "b", "c", "d"):
        labels = np.zeros((40, 40), np.uint8)
        labels[3:30, 5:33] = 1
        for folder, content in (("images", draw.integers(1, 255, (40, 40), np.uint8)), ("predicted", labels)):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(content).save(tmp_path / folder / f"{name}.png")
    source = open_source(f"folder:{tmp_path}?annotations=predicted&tile=24")
    data, test = SimpleNamespace(source=source), (8, 9, 10, 11)
    found = rival(data, tmp_path, "?annotations=predicted&tile=24", test)
    np.testing.assert_array_equal(found.masks([9, 11], 1), [source[index].labels > 0 for index in (9, 11)])
    with pytest.raises(InputError, match=r"4 of 4 test pictures have no prediction in folder:.*: c@0,0, c@0,16, "):
        rival(data, tmp_path, "?annotations=predicted", test)


def classes_of(sample):
    return np.append(0, sample.classes)[sample.labels]


def test_classes_are_matched_by_number_and_by_name(data, folder):
    save(data, folder / "classes" / "{}.png", classes_of)
    for options, classes in (("", (1, 2)), ("?class_names=flat,round", (2, 1)), ("?class_names=round,flat", (1, 2))):
        found = rival(data, folder, options, needs_classes=True)
        for target, own in zip((1, 2), classes, strict=True):
            np.testing.assert_array_equal(found.masks(TEST, target), truth(data, own))
    assert class_cautions([found], data.source) == []
    single = pictures(class_names=("cell",))  # a binary task: everything counts
    np.testing.assert_array_equal(rival(single, folder).masks(TEST, 1), truth(single))


def test_a_class_that_is_predicted_nowhere_is_marked_nowhere(folder):
    three = pictures(class_names=("round", "flat", "rare"))
    save(three, folder / "classes" / "{}.png", classes_of)
    found = rival(three, folder, needs_classes=True)
    assert not found.masks(TEST, 3).any() and found.masks(TEST, 2).any()


def without(folder, data):
    (folder / "labels" / "slide.3@0,8.png").unlink()


def other_picture(folder, data):
    path = folder / "images" / "slide.3@0,8.tif"
    Image.fromarray(np.asarray(Image.open(path))[::-1].copy()).save(path)


def other_size(folder, data):
    for place in ("images/slide.3@0,8.tif", "labels/slide.3@0,8.png"):
        Image.fromarray(np.asarray(Image.open(folder / place))[:-1].copy()).save(folder / place)


def labels_of_other_size(folder, data):
    save(data, folder / "labels" / "{}.png", lambda one: one.labels[:-1])


def fractions(folder, data):
    shutil.rmtree(folder / "labels")
    save(data, folder / "labels" / "{}.tif", lambda one: one.labels / 2, np.float32)


def colours(folder, data):
    save(data, folder / "labels" / "{}.png", lambda one: np.stack([one.labels] * 3, -1))


def cut_off_ids(folder, data):
    points = np.zeros((40, 48), int)
    points[::2, ::2] = np.arange(1, 481).reshape(20, 24) % 256
    save(data, folder / "labels" / "{}.png", lambda one: points)


def left_out(folder, data):
    save(data, folder / "classes" / "{}.png", lambda one: np.where(one.labels == 2, 255, one.labels))


def no_labels(folder, data):
    shutil.rmtree(folder / "labels")


def unnamed_classes(folder, data):
    save(data, folder / "classes" / "{}.png", lambda one: 3 * (one.labels == 1) + one.labels)


def classed(folder, data):
    save(data, folder / "classes" / "{}.png", classes_of)


def too_many(folder, data):
    shutil.copy(folder / "labels" / "slide.3@0,8.png", folder / "labels" / "extra.png")


REFUSED = {
    without: ("", r"1 of 2 test pictures have no prediction in folder:.*: slide\.3@0,8; predict these as well"),
    other_picture: ("", r"slide\.3@0,8 in folder:.* is not the test picture of that name; predict the test picture"),
    other_size: ("", r"slide\.3@0,8 in folder:.* is 48 x 39 pixels, but the test picture is 48 x 40; predict"),
    labels_of_other_size: (
        "",
        "its size is 48 x 39 pixels, but the picture's is 48 x 40 pixels; export both at the same size",
    ),
    fractions: ("", "labels are not whole numbers; save integer ids"),
    colours: ("", "colour picture .* given as labels; save one channel"),
    cut_off_ids: ("", "8-bit labels hold 479 separate objects; ids above 255 were cut off"),
    left_out: ("", r"[0-9]+ pixels of slide\.1@0,8 in folder:.* are not predicted .*; predict every pixel"),
    no_labels: ("", "has no labels: .*; put label images there"),
    unnamed_classes: ("", "has the class 'class 3', but the classes of the study are round, flat; call them so"),
    classed: ("?class_names=round,long", "has the class 'long', but the classes of the study are round, flat; call"),
    too_many: ("", "label image without a picture; add the picture or remove it"),
}


@pytest.mark.parametrize("spoil", REFUSED, ids=lambda spoil: spoil.__name__)
def test_a_folder_that_says_too_little_or_another_thing_is_refused_by_name(data, folder, spoil):
    options, message = REFUSED[spoil]
    spoil(folder, data)
    with pytest.raises(InputError, match=rf"(?s)^rival other: .*{message}"):
        rival(data, folder, options)


def test_several_classes_are_asked_for_where_a_study_needs_them(data, folder):
    with pytest.raises(
        InputError, match="tell no classes apart, but this study asks for round, flat; add class images"
    ):
        rival(data, folder, needs_classes=True)


def test_pixels_that_nobody_judged_need_no_prediction(data, folder):
    save(data, folder / "classes" / "{}.png", lambda one: np.where(one.ignored, 255, classes_of(one)))
    assert rival(data, folder).masks(TEST, 1).any()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("folder:x",), "'folder:x' is not NAME=folder:PATH; write it as"),
        (("a=x",), "'a=x' is not NAME=folder:PATH"),
        (("a=tfds:x",), "'a=tfds:x' is not NAME=folder:PATH"),
        (("a b=folder:x",), "the name 'a b' cannot be used; give letters"),
        (("=folder:x",), "the name '' cannot be used"),
        (("a=folder:x", "a=folder:y"), "the name a is given twice; give each"),
    ],
)
def test_options_that_name_no_rival_are_refused(given, message):
    with pytest.raises(InputError, match=f"rival: {message}"):
        RivalOptions(given).check()


def test_other_predictions_are_other_trials_and_need_another_name(data, folder, tmp_path):
    first = rival(data, folder)
    assert first.network == factor_of("other", first.source.digest) == rival(data, folder).network
    assert is_rival(first.network) and not is_rival("unet") and not is_rival("vgg16+puzzle")
    assert network_name(first.network) == "other (predicted elsewhere)"
    keep_origins(tmp_path, {first.network: first})
    keep_origins(tmp_path, {first.network: first})
    save(data, folder / "labels" / "{}.png", lambda one: one.labels > 0)
    second = rival(data, folder)
    assert second.network != first.network
    with pytest.raises(
        InputError, match=r"rival other: .* has results of other predictions of that name .*another name"
    ):
        keep_origins(tmp_path, {second.network: second})


def test_a_page_says_that_the_training_data_are_not_known():
    table = SimpleNamespace(frame=pd.DataFrame({"network": ["unet", "a@1", "b@2", "a@1"]}))
    (said,) = rival_cautions(table)
    assert said.startswith("The labels of a and b were predicted elsewhere. Their training data are not known here: ")
    assert rival_cautions(SimpleNamespace(frame=pd.DataFrame({"network": ["unet"]}))) == []
    assert rival_cautions(SimpleNamespace(frame=pd.DataFrame({"method": ["x"]}))) == []


@pytest.mark.parametrize("name", [one for one in study_names() if hasattr(study_of(one).base, "elsewhere")])
def test_rivals_decide_no_number_of_a_network(name):
    study = study_of(name)
    assert study.rivals is not None
    assert not {"rival", "write_test_pictures"} & set(deciding(study.base))
