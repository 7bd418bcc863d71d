"""A set in parquet as Hugging Face stores it becomes a folder that our sources read."""

import io
import json
from dataclasses import replace

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from experiments.read_parquet import Options, convert
from segjax.data import open_source

SHAPE = 12, 16
NAMES = ["Ambiguous", "Epithelial", "Lymphocyte"]


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def box(y, x, size=4):
    mask = np.zeros(SHAPE, bool)
    mask[y : y + size, x : x + size] = True
    return mask


def picture(seed):
    return np.random.default_rng(seed).integers(0, 255, (*SHAPE, 3), np.uint8)


MASKS = [png(box(1, 1)), png(box(3, 3, 2)), png(box(6, 10))]
ROWS = [
    {"image": png(picture(0)), "instances": MASKS, "categories": [1, 2, 0], "patient": "a"},
    {"image": png(picture(1)), "instances": [png(box(2, 2))], "categories": [2], "patient": "b"},
]


@pytest.fixture
def parquet(tmp_path):
    """Write rows to a file; gives the options to read it."""

    def write(rows=ROWS, names=NAMES, **options):
        table = pyarrow.Table.from_pylist(rows)
        features = {"categories": {"feature": {"names": names, "_type": "ClassLabel"}, "_type": "Sequence"}}
        told = {"huggingface": json.dumps({"info": {"features": features if names else {}}})}
        pyarrow.parquet.write_table(table.replace_schema_metadata(told), tmp_path / "train.parquet")
        return Options((tmp_path / "train.parquet",), tmp_path / "out", **options)

    return write


def test_masks_and_classes_become_a_folder(parquet, tmp_path, capsys):
    assert convert(parquet(group="patient", not_judged="Ambiguous")) == 0
    told = capsys.readouterr().out
    assert told.startswith(
        "4 pixels of several objects, 0 objects without a pixel of their own, 2 pictures, 4 objects\n"
    )
    assert f"folder:{tmp_path}/out?class_names=class_names.csv&groups=groups.csv" in told
    source = open_source(f"folder:{tmp_path}/out?class_names=class_names.csv&groups=groups.csv")
    assert source.groups == ("a", "b") and source.class_names[1:] == ("Epithelial", "Lymphocyte")
    sample = source[0]
    np.testing.assert_array_equal(sample.labels, np.where(box(3, 3, 2), 2, box(1, 1)))  # the smaller one is on top
    np.testing.assert_array_equal(sample.classes, [2, 3])
    np.testing.assert_array_equal(sample.ignored, box(6, 10))
    np.testing.assert_array_equal(np.rint(sample.image * picture(0).max()), picture(0))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "train.parquet"]


def test_label_images_need_no_classes(parquet, tmp_path):
    labels = (box(1, 1) + 300 * box(6, 6)).astype(np.uint16)
    rows = [{"image": png(picture(0)[..., 0]), "mask": png(labels)}]
    assert convert(parquet(rows, None, labels="mask")) == 0
    sample = open_source(f"folder:{tmp_path}/out")[0]
    np.testing.assert_array_equal(sample.labels, box(1, 1) + 2 * box(6, 6))
    assert sample.image.shape == (*SHAPE, 1)


def changed(**values):
    return [{**ROWS[0], **values}]


@pytest.mark.parametrize(
    ("rows", "names", "options", "message"),
    [
        (ROWS, NAMES, {"image": "photo"}, "has no column photo, only image, instances, categories, patient"),
        (ROWS, None, {}, "names no classes for column categories; give --categories ''"),
        (ROWS, NAMES, {"not_judged": "Stroma"}, "has no class 'Stroma', only Ambiguous, Epithelial, Lymphocyte"),
        (changed(categories=[1]), NAMES, {}, "train_000000: has 3 masks, but 1 classes"),
        (changed(categories=[1, 2, 7]), NAMES, {}, "train_000000: class 7 is not one of the 3"),
        (changed(categories=[1, 2, None]), NAMES, {}, "train_000000: class None is not one of the 3"),
        (changed(instances=[png(picture(0)[..., 0])] * 3), NAMES, {}, "more than two values"),
        (changed(image={"bytes": b"no picture", "path": None}), NAMES, {}, "cannot be read"),
        (changed(image={"bytes": None, "path": "a.png"}), NAMES, {}, "the file holds no picture"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_and_leaves_nothing(parquet, tmp_path, capsys, rows, names, options, message):
    assert convert(parquet(rows, names, **options)) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["train.parquet"]


def test_files_that_are_there_or_no_parquet_are_refused(parquet, tmp_path, capsys):
    options = parquet()
    (tmp_path / "out").mkdir()
    assert convert(options) == 2 and "exists already" in capsys.readouterr().err
    (tmp_path / "out").rmdir()
    assert (
        convert(replace(options, files=options.files * 2)) == 2 and "two have the same name" in capsys.readouterr().err
    )
    assert (
        convert(replace(options, files=())) == 2
        and "there are none; give one or more parquet" in capsys.readouterr().err
    )
    missing = tmp_path / "test.parquet"
    assert convert(replace(options, files=(missing,))) == 2
    assert f"{missing}: there is no such file" in capsys.readouterr().err
    (tmp_path / "train.parquet").write_bytes(b"PAR1")
    assert convert(options) == 2 and "cannot be read as parquet" in capsys.readouterr().err
