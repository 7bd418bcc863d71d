"""Options of studies: every field says what it decides, groups compose, and flags name them."""

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import pytest
import tyro

from experiments.harness.options import (
    AnnotationOptions,
    DataOptions,
    Flat,
    RunOptions,
    SegmentationOptions,
    Sizes,
    TrainOptions,
    arranges,
    check_choices,
    check_run,
    checkpoint_options,
    decides,
    deciding,
    flags,
    overlaid,
)
from experiments.harness.parsing import parse
from experiments.publish import study_names, study_of
from segjax.training import LoopConfig, Member, Pictures, StepConfig
from segjax.types import InputError


@dataclass(frozen=True)
class Command:
    """A command with two ways of training."""

    train: TrainOptions = decides(TrainOptions())
    classify: TrainOptions = decides(TrainOptions(StepConfig(loss="cross_entropy")))


@dataclass(frozen=True)
class Small:
    """A configuration of two groups, one of them without a prefix."""

    run: Annotated[RunOptions, Flat]
    train: TrainOptions = decides(TrainOptions())
    sizes: Sizes = decides(Sizes())
    levels: tuple[float, ...] = arranges((0.5,))


SMALL = Small(RunOptions(Path("x")))


def own_fields(config: Any):
    """Name and value of every field that is marked or is no group."""
    for one in dataclasses.fields(config):
        value = getattr(config, one.name)
        if "decides" in one.metadata or not dataclasses.is_dataclass(value):
            yield one
        else:
            yield from own_fields(value)


@pytest.mark.parametrize("name", study_names())
def test_every_field_of_every_study_says_whether_it_decides(name):
    config = study_of(name).base
    for one in own_fields(config):
        assert "decides" in one.metadata, one.name
    names = [one.name for one in own_fields(config) if one.metadata["decides"]]
    assert len(names) == len(set(names)), "groups share the name of an option, so one hides the other"
    assert list(deciding(config)) == names
    assert {"data", "folds", "validation"} <= set(names) and not {"out", "seeds", "shard", "pack", "plan"} & set(names)


def test_deciding_options_come_by_name_and_marked_groups_whole():
    sizes = dataclasses.asdict(SMALL.sizes)
    del sizes["encoder_width"], sizes["encoder_weights"]  # which came later and have their defaults
    assert deciding(SMALL) == {"train": dataclasses.asdict(SMALL.train), "sizes": sizes}


def test_a_field_that_says_neither_is_an_error():
    @dataclass(frozen=True)
    class Unmarked:
        run: RunOptions
        depth: int = 1

    with pytest.raises(TypeError, match=r"Unmarked.depth says neither that it decides nor that it arranges"):
        deciding(Unmarked(RunOptions(Path())))


def test_overlays_go_into_groups_and_leave_the_rest():
    found = overlaid(SMALL, {"run": {"seeds": 3}, "train": {"loop": {"epochs": 7}}, "levels": (1.0,)})
    assert (found.run.seeds, found.run.out, found.train.loop.epochs, found.levels) == (3, Path("x"), 7, (1.0,))
    assert found.train.step == SMALL.train.step and SMALL.run.seeds == 10
    whole = TrainOptions(loop=LoopConfig(epochs=2))
    assert overlaid(SMALL, {"train": whole}).train is whole
    assert overlaid(SMALL, {}) == SMALL
    for wrong in ({"depth": 1}, {"run": {"depth": 1}}):
        with pytest.raises((TypeError, AttributeError), match="depth"):
            overlaid(SMALL, wrong)


def test_flags_are_those_of_the_command_line(capsys):
    with pytest.raises(SystemExit):
        tyro.cli(Small, args=["--help"])
    shown = set(re.findall(r"^(?:│ |  )(--[a-z][a-z.-]+)", capsys.readouterr().out, re.MULTILINE))
    found = dict(flags(SMALL))
    assert shown == set(found)
    assert found["--out"] == Path("x") and found["--train.epochs"] == 20 and found["--sizes.msd-depth"] == 100


@pytest.mark.parametrize("name", study_names())
def test_flags_of_every_study_are_different_and_complete(name):
    config = study_of(name).base
    found = [flag for flag, _ in flags(config)]
    assert len(found) == len(set(found))

    def leaves(value):
        if not dataclasses.is_dataclass(value):
            return 1
        return sum(leaves(getattr(value, one.name)) for one in dataclasses.fields(value))

    assert len(found) == leaves(config)


@pytest.mark.parametrize("name", study_names())
def test_a_studys_help_names_no_option_that_it_does_not_have(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")
    with pytest.raises(SystemExit):
        parse(study_of(name), ["--help"])
    text = capsys.readouterr().out
    negated = {re.sub(r"([a-z-]+)$", r"no-\1", flag.removeprefix("--")) for flag, _ in flags(study_of(name).base)}
    known = {"help", "logdir", *negated, *(flag.removeprefix("--") for flag, _ in flags(study_of(name).base))}
    named = {word.rstrip(".") for word in re.findall(r"--([a-z][a-z.-]*)", text)}
    assert len(named) > 30 and named - known == set()


def test_flags_of_training_name_the_way_of_training_and_the_option_alone(capsys):
    with pytest.raises(SystemExit):
        tyro.cli(Command, args=["--help"])
    text = capsys.readouterr().out
    assert text.count("How networks are trained.") == 2  # each way, and not what its halves are
    shown = set(re.findall(r"--(train\.[a-z.-]+)", text))
    fields = [*dataclasses.fields(StepConfig), *dataclasses.fields(LoopConfig)]
    expected = {f"train.{one.name.replace('_', '-')}" for one in fields}
    assert shown == expected | {"train.no-augment", "train.no-shuffle", "train.no-first-epoch-counts"}


def test_flags_reach_both_halves_and_leave_other_ways_of_training_alone():
    args = ["--train.loss", "both", "--train.learning-rate", "0.01", "--train.epochs", "3", "--train.no-shuffle"]
    found = tyro.cli(Command, args=args)
    assert found.train == TrainOptions(StepConfig(loss="both", learning_rate=0.01), LoopConfig(epochs=3, shuffle=False))
    assert found.classify == Command().classify


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("microscope:hl60", "microscope:hl60?size=sixth&volumes=4"),
        ("terrain:mounds", "terrain:mounds?pixels=64"),
        ("microscope:hl60?volumes=9", "microscope:hl60?volumes=9"),
        ("folder:mine", "folder:mine"),
        ("tfds:nuclei", "tfds:nuclei"),
    ],
)
def test_the_size_of_a_simulation_goes_into_a_spec_that_is_open(data, expected):
    options = DataOptions(data=data, simulation="microscope:size=sixth&volumes=4 terrain:pixels=64")
    assert options.resolved() == DataOptions(data=expected)
    assert options.resolved().resolved() == options.resolved()
    assert options.name == options.resolved().name == data.partition("?")[0]


def test_a_simulator_that_the_study_has_no_size_for_is_refused_with_an_example():
    with pytest.raises(InputError, match=r"no size of its own for terrain:mounds; give one, such as terrain:mounds\?p"):
        DataOptions(data="terrain:mounds", simulation="microscope:size=sixth").resolved()


def test_without_a_size_a_spec_stays():
    assert DataOptions(data="microscope:hl60").resolved().data == "microscope:hl60"


@pytest.mark.parametrize(
    ("data", "extra", "expected"),
    [
        ("microscope:hl60?size=half", None, "microscope:granulocytes?size=half"),
        ("microscope:granulocytes", None, "microscope:hl60"),
        ("microscope:mixed", None, None),
        ("folder:mine", None, None),
        ("microscope:hl60", "folder:/debris", "folder:/debris"),
    ],
)
def test_foreign_objects_come_from_the_other_published_set_unless_named(data, extra, expected):
    assert AnnotationOptions(extra=extra).resolved(data).extra == expected


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: AnnotationOptions(target=0).resolved("folder:x"), "target: classes count from 1, not 0"),
        (lambda: check_run(RunOptions(Path(), seeds=0), DataOptions()), "seeds must be from 1 to 1000, not 0"),
        (lambda: check_run(RunOptions(Path(), pack=1001), DataOptions()), "pack must be from 1 to 1000"),
        (
            lambda: check_run(RunOptions(Path(), checkpoint_every="often"), DataOptions()),
            "checkpoint_every: 'often' is none of 60s, 5min, 2h, 3epochs",
        ),
        (lambda: check_run(RunOptions(Path()), DataOptions(folds=1)), "folds must be from 2"),
        (lambda: check_run(RunOptions(Path(), shard="0/2"), DataOptions()), "shard: '0/2' is not I/N"),
        (lambda: check_run(RunOptions(Path()), DataOptions(data="x")), "is not SCHEME:NAME"),
        (lambda: check_choices("errors", ("a", "b"), ("a",)), "errors: unknown 'b'; choose from a"),
        (lambda: check_choices("errors", ("a", "a"), ("a",)), "errors: a value is given twice"),
        (lambda: SegmentationOptions(networks=("vnet",)).check(), "networks: unknown 'vnet'"),
        (lambda: SegmentationOptions(tolerance=0.0).check(), "tolerance must be a positive number of pixels"),
        (lambda: SegmentationOptions(sizes=Sizes(msd_depth=0)).check(), "network msd: depth must be"),
    ],
)
def test_what_is_refused_names_the_option(check, message):
    with pytest.raises(InputError, match=message):
        check()


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        ("60s", {"checkpoint_seconds": 60.0}),
        ("0.5s", {"checkpoint_seconds": 0.5}),
        ("5min", {"checkpoint_seconds": 300.0}),
        ("2h", {"checkpoint_seconds": 7200.0}),
        ("3epochs", {"checkpoint_epochs": 3}),
        ("1epoch", {"checkpoint_epochs": 1}),
    ],
)
def test_checkpoints_are_asked_for_by_time_or_epochs(every, expected):
    assert checkpoint_options(every) == expected
    Member(jax.random.key(0), *[Pictures(np.zeros((1, 2, 2, 1), np.float32), None)] * 2, **expected)


@pytest.mark.parametrize(
    "every", ["", "60", "60 s", "0s", "0.0min", "0epochs", "1.5epochs", "-5s", "5m", "infs", "1e3s"]
)
def test_what_is_no_time_and_no_epochs_is_refused(every):
    with pytest.raises(InputError, match=r"checkpoint_every: .* is none of 60s, 5min, 2h, 3epochs"):
        checkpoint_options(every)


def test_what_is_sound_is_not_refused():
    check_run(RunOptions(Path()), DataOptions())
    SegmentationOptions().check()
    check_choices("errors", (), ("a",))


@pytest.mark.parametrize("name", ["folder:more", "folder:more/", "folder:./more", "folder:{here}/more"])
def test_foreign_objects_of_a_folder_are_the_same_option_however_it_is_named(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = AnnotationOptions(extra=f"{name.format(here=tmp_path)}?tile=64").resolved("folder:x")
    assert options.extra == f"folder:{tmp_path}/more?tile=64"
    assert options.resolved("folder:x") == options
