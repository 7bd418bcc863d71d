"""What a study will take, counted by hand, and what would make it cheaper."""

import dataclasses

import pytest

from experiments.harness import estimate
from experiments.harness.estimate import Speed, Work, cheaper, megabytes_of, time_steps, work_of
from experiments.harness.options import RunOptions
from experiments.harness.parsing import parse
from experiments.harness.run import opened
from experiments.publish import study_of
from segjax.types import InputError
from tests.experiments.harness.tiny import Config, Training, study


@pytest.fixture
def here(tmp_path):
    """The tiny study with two seeds, opened: context and trials."""
    return opened(study(), Config(RunOptions(tmp_path / "run", seeds=2, strategy="sequential")))


def test_work_is_the_sum_over_all_trainings_that_are_needed(here):
    context, trials = here
    work = work_of(study(), context, trials)
    # Six trials need four heads and two bases. Each has two epochs of two steps, and validates two pictures, one batch,
    # which takes a third of a step.
    assert work == Work({"head": pytest.approx(4 * 2 * (2 + 1 / 3)), "base": pytest.approx(2 * 2 * (2 + 1 / 3))}, 6)
    assert Speed({"head": 10.0, "base": 1.0}, 3.0, frozenset()).seconds(work) == pytest.approx(42 * (2 + 1 / 3) * 2 + 6)
    assert megabytes_of(context, work) == pytest.approx(6 * (8 * 2 + 4) * 100 / 1e6)
    assert work_of(study(), context, trials[:1]).steps == {"base": pytest.approx(2 * (2 + 1 / 3))}


def test_passes_that_several_trials_have_in_common_count_once(here):
    context, trials = here
    base = Training("base", 0)
    alone = study(passes=lambda context, trial: {(base, trial): 120.0} if trial.method == "careful" else {})
    shared = study(passes=lambda context, trial: {(base, "a map"): 120.0})
    plain = work_of(study(), context, trials).steps["base"]
    assert work_of(alone, context, trials).steps["base"] == pytest.approx(plain + 4 * 120 / 3 / 2)
    assert work_of(shared, context, trials).steps["base"] == pytest.approx(plain + 120 / 3 / 2)


def test_the_kind_with_most_to_do_is_timed_and_others_as_long_as_it_is_quick(here, monkeypatch):
    now, timed = [0.0], []
    operations = {"head": 100.0, "base": 50.0, "third": 10.0}

    def step_seconds(run, steps, blank, loop):
        timed.append(steps)
        now[0] += 4.0
        return 0.5

    context, _ = here
    trainer = context.store.trainer
    monkeypatch.setattr(estimate, "step_seconds", step_seconds)
    monkeypatch.setattr(estimate, "operations_of", lambda trainer, kind: operations[kind])
    monkeypatch.setattr(estimate.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(trainer, "steps", lambda kind: kind, raising=False)
    speed = time_steps(context, Work({"base": 10.0, "head": 10.0, "third": 10.0}, 3))
    assert timed == ["head", "base"] and speed.timed == {"head", "base"}
    assert speed.step == {"head": 0.5, "base": 0.5, "third": pytest.approx(1.0 / 150 * 10)}
    assert speed.compiling == pytest.approx(
        3.0
    )  # two of its four seconds are one step each that warms up and that counts


def test_what_is_left_out_is_computed_and_the_cheapest_comes_first(here):
    context, trials = here
    known, speed = study(), Speed({"head": 10.0, "base": 1.0}, 0.0, frozenset())
    seconds = speed.seconds(work_of(known, context, trials))
    each = 2 * (2 + 1 / 3)
    assert seconds == pytest.approx(42 * each)
    assert cheaper(known, context, speed, seconds) == [
        ("--seeds 1", pytest.approx(21 * each)),
        ("--strengths 2", pytest.approx(22 * each)),
    ]


def test_options_that_save_little_or_cannot_be_are_not_offered(here):
    context, trials = here
    speed = Speed({"head": 10.0, "base": 1.0}, 0.0, frozenset())

    def refuse(config):
        if len(config.strengths) < 2:
            raise InputError("strengths: too few")
        return config

    known = study(resolve=refuse)
    seconds = speed.seconds(work_of(known, context, trials))
    assert [option for option, _ in cheaper(known, context, speed, seconds)] == ["--seeds 1"]
    assert cheaper(known, context, speed, seconds / 2) == []  # nothing is below half of half
    quick = Speed({"head": 0.001, "base": 0.0001}, 0.0, frozenset())  # all of it reads "0 s"
    assert cheaper(known, context, quick, quick.seconds(work_of(known, context, trials))) == []
    fewer = dataclasses.replace(
        context, config=dataclasses.replace(context.config, run=RunOptions(context.config.run.out, seeds=20))
    )
    assert [option for option, _ in cheaper(known, fewer, speed, 10 * seconds)] == ["--seeds 5"]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), [("annotation_upgrade", 3), ("site_segmentation", 1)])
def test_the_steps_of_a_study_are_counted_without_compiling_them(name, options, tmp_path):
    known = study_of(name)
    context, trials = opened(known, parse(known, ["--scale", "smoke", "--out", str(tmp_path)]))
    work = work_of(known, context, trials)
    counted = {kind: estimate.operations_of(context.store.trainer, kind) for kind in work.steps}
    assert all(value > 1e4 for value in counted.values())
    speed = Speed(dict.fromkeys(work.steps, 1.0), 0.0, frozenset())
    found = cheaper(known, context, speed, speed.seconds(work))
    assert len(found) == options and any(option == "--train.epochs 1" for option, _ in found)
    assert not any(tmp_path.iterdir())
