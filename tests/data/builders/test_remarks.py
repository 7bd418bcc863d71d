"""What is said of a set as a whole, on rows made by hand."""

import json

import pytest

from segjax.data import open_source
from segjax.data.builders import PUBLIC_SETS, prepare_files
from segjax.data.builders.remarks import Written, remarks_on
from tests.data.builders.owners import OWNERS


def row(name, split="train", group="", objects=5, image="", commonest=1, remarks=()):
    return Written(split, name, group or name, 8, 8, objects, commonest, image or f"pixels of {name}", "", remarks)


def said(rows, published=None, is_evenly_filled=False, others=None):
    return remarks_on(rows, published or {}, is_evenly_filled, others or {})


def test_nothing_is_said_of_a_set_in_order():
    rows = [row("a"), row("b", "test")]
    assert (
        said(rows, {"train": 1, "test": 1}, True, {"other": {"pictures": {"train": [["c", "c", 8, 8, 1, "x"]]}}}) == []
    )


@pytest.mark.parametrize(
    ("rows", "published", "expected"),
    [
        ([row("a")], {"train": 2}, "train holds 1 picture, published are 2"),
        ([row("a"), row("b")], {"all": 1000}, "the set holds 2 pictures, published are 1,000"),
        (
            [row("a")],
            {"train": 2, "test": 1},
            "train holds 1 picture, published are 2, as many as there are in test: were files mixed up?",
        ),
        ([row("a", remarks=("x",)), row("b")], {}, "x: in 1 of 2 pictures, a"),
        (
            [row("a", objects=0), row("b")],
            {},
            "no object is annotated in 1 of 2 pictures (least_objects=1 leaves them out): a",
        ),
        (
            [row("a", group="p"), row("b", "test", "p"), row("c")],
            {},
            "1 group with pictures in several splits, so none counts as test: p (test, train)",
        ),
        (
            [row("a", image="i"), row("b"), row("c", "test", image="i")],
            {},
            "1 picture there more than once, pixel by pixel: a (train) = c (test)",
        ),
    ],
)
def test_defects_are_said(rows, published, expected):
    assert expected in said(rows, published)


def test_pictures_with_few_objects_are_compared_with_those_of_their_class():
    rows = [*(row(f"a{i}", objects=100) for i in range(3)), row("a3", objects=9), row("a4", objects=10)]
    rows += [*(row(f"b{i}", objects=20, commonest=2) for i in range(3)), row("b3", objects=3, commonest=2)]
    expected = "nearly nothing is annotated in 1 of 9 pictures (least_objects=10 leaves them out): a3 (9, usual 100)"
    assert said(rows, is_evenly_filled=True) == [expected]
    assert said(rows) == []


def test_pictures_groups_and_names_that_two_sets_share_are_said():
    other = {"pictures": {"train": [["x", "slide 1", 8, 8, 1, "pixels of a"], ["b", "y", 8, 8, 1, "others"]]}}
    rows = [row("a", group="slide 1"), row("b"), row("c")]
    assert said(rows, others={"kumar": other}) == [
        "1 picture also in kumar, pixel by pixel (never train on the one and test on the other): a = x",
        "1 group of the same name in kumar, perhaps the same: slide 1",
        "1 name also in kumar, where other pictures have them: b",
    ]


def test_a_set_is_compared_with_those_beside_it(tmp_path):
    for name in ("lizard", "conic"):
        OWNERS[name](tmp_path / name)
        folder = prepare_files(PUBLIC_SETS[name], tmp_path / name, tmp_path / "sets")
    found = open_source(f"tfds:conic?dir={tmp_path}/sets").remarks
    # both fixtures draw three discs with the same noise, as CoNIC's patches are cut from Lizard
    assert any("also in lizard, pixel by pixel" in remark and "consep_1-0001 = consep_1" in remark for remark in found)
    assert "4 groups of the same name in lizard, perhaps the same: consep_1, crag_1, glas_2, pannuke_3" in found
    assert tuple(json.loads(json.loads((folder / "metadata.json").read_text())["segjax"])["remarks"]) == found
