"""What launchers are told of a study."""

import sys
from pathlib import Path

import pytest

from launch import local, slice, slurm
from launch.study import given, out_of, split, study_module
from segjax.types import InputError

LAUNCHERS = {"local": local.main, "slice": lambda: slice.main(None), "slurm": slurm.main}  # type: ignore[arg-type]


def launch(monkeypatch, name: str, *options: str) -> None:
    monkeypatch.setattr(sys, "argv", [name, "annotation_errors", "--", "--out", "x", *options])
    LAUNCHERS[name]()


@pytest.mark.parametrize("name", LAUNCHERS)
@pytest.mark.parametrize("option", ["--plan", "--report", "--list-failed", "--list_failed", "--help", "-h"])
def test_what_a_study_does_alone_is_refused_with_the_command_to_give(monkeypatch, name, option):
    said = f"{option.strip('-').replace('_', '-')}: works only for the study itself; give the command python -m "
    with pytest.raises(InputError, match=f"^{said}experiments.annotation_errors --out x {option}$"):
        launch(monkeypatch, name, option)


@pytest.mark.parametrize("name", ["local", "slice"])
def test_workers_of_one_job_may_not_queue_it_again(monkeypatch, name):
    with pytest.raises(
        InputError, match=r"^requeue: works only for a worker that is a job of its own; submit with launch\.slurm$"
    ):
        launch(monkeypatch, name, "--requeue")


def test_the_study_has_what_follows_the_first_lone_dashes():
    assert split(["a", "--x", "--", "--out", "x", "--", "y"]) == (["a", "--x"], ["--out", "x", "--", "y"])
    assert split(["a"]) == (["a"], [])


def test_an_option_is_found_however_it_is_spelled():
    assert given(["--out", "x", "--no_requeue"], ["--no-requeue"]) == "--no-requeue"
    assert given(["--planned"], ["--plan"]) is None


@pytest.mark.parametrize("name", ["annotation_errors", "experiments.annotation_errors"])
def test_a_study_may_be_named_either_way(name):
    assert study_module(name) == "experiments.annotation_errors"


@pytest.mark.parametrize("name", ["anotation_errors", "results", "check", "harness", ""])
def test_an_unknown_study_is_refused_with_those_there_are(name):
    with pytest.raises(InputError, match=r"study: unknown .*choose one of .*annotation_errors"):
        study_module(name)


def test_the_results_folder_is_found_among_the_options():
    assert out_of(["--scale", "demo", "--out", "runs/x"]) == out_of(["--out=runs/x", "--seeds", "2"]) == Path("runs/x")
    for options in ([], ["--scale", "demo"], ["--outer", "x"]):
        with pytest.raises(InputError, match="out: it is missing; give"):
            out_of(options)
