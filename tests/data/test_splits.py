"""No group is divided, splits stay put when pictures are added, and a written split is never replaced unseen."""

import json
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segjax.data.splits import Split, group_folds, make_split, read_sides, split_groups
from segjax.types import InputError

GROUPS = st.lists(st.integers(0, 30).map(str), min_size=5, max_size=80).filter(lambda groups: len(set(groups)) >= 5)
few = settings(derandomize=True, deadline=None, max_examples=60)


@dataclass
class Pictures:
    """A source without pictures: names and groups are all that a split looks at."""

    groups: tuple
    test_groups: frozenset = frozenset()
    spec: str = "made"
    digest: str = "0"
    class_names: tuple = ("a",)
    coarsening: float = 1.0
    label_names: tuple[str, ...] = ()
    names: tuple = field(init=False)

    def __post_init__(self):
        self.names = tuple(f"p{index}" for index in range(len(self.groups)))

    def __len__(self):
        return len(self.groups)

    def __getitem__(self, index):
        raise AssertionError("a split reads no picture")


def side_of_group(groups, parts):
    return {groups[index]: part for part, indices in enumerate(parts) for index in indices}


@few
@given(groups=GROUPS, seed=st.integers(0, 5), share=st.floats(0.05, 0.9))
def test_split_divides_no_group_and_takes_every_picture_once(groups, seed, share):
    parts = split_groups(groups, seed, (1 - share, share))
    assert sorted(index for part in parts for index in part) == list(range(len(groups)))
    first, second = ({groups[index] for index in part} for part in parts)
    assert first and second and not first & second
    count = len(set(groups))
    assert abs(len(second) - share * count) <= 0.5 or len(second) == 1 or len(first) == 1


@few
@given(groups=GROUPS, seed=st.integers(0, 5), new=st.integers(100, 200).map(str))
def test_split_stays_when_pictures_are_added(groups, seed, new):
    fractions = (0.5, 0.2, 0.3)
    before = side_of_group(groups, split_groups(groups, seed, fractions))
    more_pictures = groups + groups[::2]
    assert side_of_group(more_pictures, split_groups(more_pictures, seed, fractions)) == before
    after = side_of_group([*groups, new], split_groups([*groups, new], seed, fractions))
    assert sum(after[group] != side for group, side in before.items()) <= len(fractions) - 1


def test_split_order_depends_on_the_seed():
    groups = [str(index) for index in range(40)]
    assert split_groups(groups, 0, (0.7, 0.3)) == split_groups(groups, 0, (0.7, 0.3))
    assert split_groups(groups, 0, (0.7, 0.3)) != split_groups(groups, 1, (0.7, 0.3))
    assert [len(part) for part in split_groups(groups, 0, (0.7, 0.3))] == [28, 12]


@pytest.mark.parametrize(
    ("fractions", "message"), [((0.7, 0.7), "add up to 1"), ((1.2, -0.2), "positive"), ((0.2,) * 5, "3")]
)
def test_unfit_fractions_are_refused(fractions, message):
    with pytest.raises(InputError, match=message):
        split_groups(["a", "b", "c"], 0, fractions)


@few
@given(groups=GROUPS, count=st.integers(2, 5))
def test_folds_divide_no_group_and_are_balanced(groups, count):
    parts = group_folds(groups, count)
    assert sorted(index for part in parts for index in part) == list(range(len(groups)))
    assert len(side_of_group(groups, parts)) == len(set(groups)) and all(parts)
    assert sum(len({groups[index] for index in part}) for part in parts) == len(set(groups))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= max(groups.count(group) for group in groups)


def test_folds_of_single_pictures_by_hand():
    assert group_folds(["d", "a", "b", "c", "a"], 2) == ((0, 1, 4), (2, 3))
    with pytest.raises(InputError, match="folds=4"):
        group_folds(["a", "b", "c"], 4)
    for folds in (1, 2, 4):
        with pytest.raises(
            InputError, match="folds: all pictures belong to one group; give pictures of several volumes"
        ):
            group_folds(["a", "a"], folds)


def test_make_split_takes_the_reserved_groups_or_the_fold():
    groups = tuple("aabbccddee")
    reserved = make_split(Pictures(groups, frozenset("e")), fold=9, folds=3, seed=0)
    assert reserved.test == (8, 9)
    tests = [make_split(Pictures(groups), fold=fold, folds=5, seed=3).test for fold in range(5)]
    assert sorted(index for test in tests for index in test) == list(range(10))
    assert make_split(Pictures(groups), fold=1, folds=5, seed=0).test == tests[1]
    with pytest.raises(InputError, match=r"fold=5 must be from 0 to 4"):
        make_split(Pictures(groups), fold=5, folds=5, seed=0)
    for folds in (0, 1):
        with pytest.raises(InputError, match=rf"folds={folds} must be from 2 to 5"):
            make_split(Pictures(groups), fold=0, folds=folds, seed=0)
    with pytest.raises(InputError, match="validation_share"):
        make_split(Pictures(groups), fold=0, folds=5, validation_share=1.0, seed=0)


def test_groups_that_take_no_part_are_on_no_side():
    source = Pictures(tuple("aabbccddee"), frozenset("e"))
    split = make_split(source, groups="bcd", test_groups="c", validation_share=0.5)
    assert split.test == (4, 5) and {*split.train, *split.validation} == {2, 3, 6, 7}
    folded = make_split(source, groups="bcd", test_groups=(), folds=3, fold=2, validation_share=0.5)
    assert folded.test == (6, 7) and {*folded.train, *folded.validation} == {2, 3, 4, 5}


def test_validation_by_group_keeps_groups_whole_and_by_slice_has_the_exact_share():
    groups = tuple(str(index // 20) for index in range(240))
    source = Pictures(groups, frozenset({"10", "11"}))
    whole = make_split(source, fold=0, folds=2, validation="group", seed=0)
    assert not {groups[i] for i in whole.train} & {groups[i] for i in whole.validation}
    assert (len(whole.train), len(whole.validation)) == (140, 60)
    by_slice = make_split(source, fold=0, folds=2, validation="slice", seed=0)
    assert (len(by_slice.train), len(by_slice.validation)) == (140, 60)
    assert {groups[i] for i in by_slice.train} & {groups[i] for i in by_slice.validation}
    with pytest.raises(InputError, match=r"1 group\(s\)"):
        make_split(Pictures(("a", "a", "b", "b")), fold=0, folds=2, validation="group", seed=0)


def test_split_is_written_once_and_read_back(tmp_path):
    source, path = Pictures(tuple("aabbccddee")), tmp_path / "split.json"
    split = make_split(source, fold=0, folds=5, validation="slice", seed=0)
    split.write(path, source)
    content = path.read_bytes()
    assert Split.read(path, source) == split
    split.write(path, source)
    assert path.read_bytes() == content
    assert read_sides(path)["p0"] == next(side for side in ("train", "validation", "test") if 0 in getattr(split, side))
    other = make_split(source, fold=1, folds=5, validation="slice", seed=0)
    before = path.read_bytes()
    with pytest.warns(
        UserWarning, match=r"split\.json: holds another split .*old file is kept as .*split\.json\.damaged;"
    ):
        other.write(path, source)
    assert Split.read(path, source) == other
    assert path.with_name("split.json.damaged").read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"null", b"[" * 100_000, b'{"train": ["p0"], "validation": [], "test": []}']
)
def test_a_damaged_split_is_set_aside_and_written_anew(content, tmp_path):
    source, path = Pictures(tuple("aabbccdd")), tmp_path / "split.json"
    split = make_split(source, folds=4)
    split.write(path, source)
    path.write_bytes(content)
    with pytest.warns(
        UserWarning, match=r"split\.json.*; the old file is kept as .*split\.json\.damaged; a new one was written"
    ):
        split.write(path, source)
    assert Split.read(path, source) == split
    assert path.with_name("split.json.damaged").read_bytes() == content


def test_a_damaged_split_that_another_process_sets_aside_meanwhile_is_written_anew(tmp_path, monkeypatch):
    source, path = Pictures(tuple("aabbccdd")), tmp_path / "split.json"
    split, read = make_split(source, folds=4), Split.read

    def gone(path, source):
        path.unlink()
        return read(path, source)

    path.write_bytes(b"{")
    monkeypatch.setattr(Split, "read", gone)
    split.write(path, source)
    monkeypatch.undo()
    assert Split.read(path, source) == split and [one.name for one in tmp_path.iterdir()] == ["split.json"]


def test_sides_of_pictures_and_not_of_tiles(tmp_path):
    def sides(by, train, validation, test):
        lists = {"train": train, "validation": validation, "test": test}
        (tmp_path / "split.json").write_text(json.dumps({"validation_by": by, **lists}))
        return read_sides(tmp_path / "split.json")

    tiles = sides("slice", ["a@0,0", "a@0,8", "b@home"], ["a@8,0"], ["c@0,0", "c@0,8"])
    assert tiles == {"a": "train", "b@home": "train", "c": "test"}
    for by, lists in (
        ("group", (["a@0,0"], ["a@0,8"], ["c"])),
        ("slice", (["a@0,0"], ["b"], ["a@0,8"])),
        ("slice", (["a"], ["a"], ["b"])),
    ):
        with pytest.raises(InputError, match=r"split\.json: picture a is in train and in (validation|test); make"):
            sides(by, *lists)
    with pytest.raises(InputError, match="is not a split: needs validation_by"):
        sides("group", [["a"]], [], [])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": (0, 1, 2)}, "7 pictures, made has 8"),
        ({"validation": (3, 4)}, "p3 is in the split twice"),
        ({"validation": ()}, "no validation"),
        ({"train": (0, 1, 2, 4), "validation": (3, 5)}, "group b is on two sides"),
        ({"train": (0, 1, 2, 7), "test": (3, 6), "validation_by": "slice"}, "group b is on two sides"),
    ],
)
def test_unsound_splits_are_refused(change, message):
    source = Pictures(tuple("aabbccdd"))
    sound = Split(train=(0, 1, 2, 3), validation=(4, 5), test=(6, 7))
    sound.check(source)
    with pytest.raises(InputError, match=message):
        replace(sound, **change).check(source)


def test_split_files_that_do_not_fit_are_refused(tmp_path):
    source, path = Pictures(tuple("aabc")), tmp_path / "split.json"
    sound = {"validation_by": "group", "train": ["p0", "p1"], "validation": ["p2"], "test": ["p3"]}
    for change, message in (
        ({"test": ["q9"]}, "q9 is not in made"),
        ({"train": ["p0"]}, "3 pictures, made has 4 of these groups"),
        ({"train": "p0"}, "is not a split"),
        ({"validation_by": "luck"}, "is not a split"),
    ):
        path.write_text(json.dumps(sound | change))
        with pytest.raises(InputError, match=message):
            Split.read(path, source)
    path.write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        Split.read(path, source)
