"""The options of training on a command line: two groups whose flags look like one."""

import dataclasses
import json
import re
import shlex
from dataclasses import dataclass, field

import pytest
import tyro
from experiments.annotation_errors.config import StudyConfig, defaults_of, resolve
from experiments.running import command_of

from experiments.harness.options import UNNAMED, TrainOptions
from segjax.training import LoopConfig, StepConfig


@dataclass(frozen=True)
class Command:
    """A command with two ways of training."""

    train: TrainOptions = field(default_factory=TrainOptions)
    classify: TrainOptions = field(default_factory=lambda: TrainOptions(StepConfig(loss="cross_entropy")))


def test_flags_name_the_way_of_training_and_the_option_alone(capsys):
    with pytest.raises(SystemExit):
        tyro.cli(Command, args=["--help"])
    shown = capsys.readouterr().out
    assert shown.count("How networks are trained.") == 2
    flags = set(re.findall(r"--(train\.[a-z.-]+)", shown))
    fields = [*dataclasses.fields(StepConfig), *dataclasses.fields(LoopConfig)]
    expected = {f"train.{one.name.replace('_', '-')}" for one in fields}
    assert flags == expected | {"train.no-augment", "train.no-shuffle"}


def test_flags_reach_both_halves_and_leave_other_ways_of_training_alone():
    args = ["--train.loss", "both", "--train.learning-rate", "0.01", "--train.epochs", "3", "--train.no-shuffle"]
    found = tyro.cli(Command, args=args)
    assert found.train == TrainOptions(StepConfig(loss="both", learning_rate=0.01), LoopConfig(epochs=3, shuffle=False))
    assert found.classify == Command().classify


def test_the_halves_are_those_that_flags_do_not_name():
    assert tuple(one.name for one in dataclasses.fields(TrainOptions)) == UNNAMED


def test_the_command_of_a_plan_trains_as_the_plan_says(tmp_path):
    usual = resolve(dataclasses.replace(defaults_of("smoke"), out=tmp_path))
    train = TrainOptions(dataclasses.replace(usual.train.step, learning_rate=0.5), LoopConfig(epochs=7, patience=4))
    config = dataclasses.replace(usual, train=train)
    stored = json.loads(json.dumps(dataclasses.asdict(config), default=str))
    command = command_of({"study": "annotation_errors", "config": stored}, usual)
    assert "--train.learning-rate 0.5 --train.batch-size 1 --train.epochs 7 --train.patience 4" in command
    args = shlex.split(command)[3:]
    assert resolve(tyro.cli(StudyConfig, args=args, default=defaults_of("smoke"))) == config
