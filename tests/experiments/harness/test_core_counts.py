"""What a trial was computed on is kept with its values, and a mixture is named on the page and in published results."""

import sys

import numpy as np
import pandas as pd
import pytest

from experiments.harness import core_counts, publish, run
from experiments.harness.core_counts import cores_here, mixture, rows_of
from experiments.harness.options import RunOptions
from experiments.harness.publish import published_runs, take_run, write_results_page
from experiments.harness.store import TrainingStore
from segjax.models import load_weights, save_weights
from segjax.sweeps import Replicates, ResultTable, Row
from tests.experiments.harness.tiny import CountingTrainer, Training, Trial, study

OTHERS = " On another number of cores, the same trial gives slightly different numbers."
BASE, HEAD = Training("base", 0), Training("head", 0, 1.0)


def table(*trials, **columns):
    """Trials by status; the other columns hold a value each."""
    frame = pd.DataFrame({"method": "plain", "seed": range(len(trials)), "strength": 0.0, "status": trials, **columns})
    return ResultTable(frame, Trial, Replicates(("a",) * len(trials)))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (table("ok", "ok"), None),  # of an earlier version
        (table("ok", "ok", cores=[np.nan, np.nan]), None),
        (table("ok", "ok", cores=[2.0, 2.0]), None),
        (table("ok", "failed", cores=[2.0, np.nan]), None),
        (table("ok", "ok", cores=[0.0, 0.0]), None),
        (table("ok", "collapsed", cores=[2.0, 1.0]), "on 1 core and on 2 cores"),
        (table("ok", "ok", "ok", "ok", cores=[2.0, 1.0, 16.0, 2.0]), "on 1 core, on 2 cores and on 16 cores"),
        (table("ok", "ok", cores=[2.0, 2.0], fewest_cores=[np.nan, 1.0]), "on 1 core and on 2 cores"),
        (table("ok", "ok", cores=[0.0, 2.0]), "on a GPU or TPU and on 2 cores"),
        (table("ok", "ok", cores=[np.nan, 2.0]), "on an unknown number of cores and on 2 cores"),
    ],
)
def test_only_a_mixture_is_named(found, expected):
    assert mixture(found) == ([f"The trials ran {expected}.{OTHERS}"] if expected else [])


def test_a_trial_has_the_most_cores_and_the_fewest_where_they_differ():
    assert rows_of({2}) == [Row("cores", 2)]
    assert rows_of({4, 1, 2}) == [Row("cores", 4), Row("fewest_cores", 1)]


def test_the_cores_of_the_host_do_not_matter_where_a_gpu_computes(monkeypatch):
    monkeypatch.setenv("NPROC", "3")
    assert cores_here() == 3
    monkeypatch.setattr(core_counts.jax, "default_backend", lambda: "gpu")
    assert cores_here() == 0


def test_a_network_keeps_the_cores_of_all_that_it_rests_on(tmp_path, monkeypatch):
    def store():
        return TrainingStore(RunOptions(tmp_path, strategy="sequential"), CountingTrainer())

    first, second, third = store(), store(), store()
    monkeypatch.setenv("NPROC", "1")
    first.ensure([BASE])
    monkeypatch.setenv("NPROC", "2")
    second.ensure([HEAD])
    monkeypatch.setenv("NPROC", "4")
    assert third.cores_of([HEAD]) == {4}  # it was not used yet
    assert set(third.load(HEAD).facts) == {"bases", "strength"}
    assert third.cores_of([HEAD]) == {1, 2, 4}
    variables, facts = load_weights(third.path(HEAD))
    save_weights(third.path(HEAD), variables, {name: value for name, value in facts.items() if name != "cores"})
    third.load(HEAD)  # as of an earlier version
    assert third.cores_of([HEAD]) == {4}


@pytest.mark.parametrize(("second", "said"), [("1", None), ("2", f"The trials ran on 1 core and on 2 cores.{OTHERS}")])
def test_a_folder_that_different_numbers_of_cores_worked_in_says_so(second, said, tmp_path, monkeypatch, capsys):
    known, out = study(), tmp_path / "run"
    monkeypatch.setattr(publish, "ROOT", tmp_path / "checkout")
    monkeypatch.setattr("experiments.harness.provenance.commit", lambda: "c0ffee")
    for number, shard in (("1", "1/2"), (second, "2/2")):
        monkeypatch.setenv("NPROC", number)
        monkeypatch.setattr(sys, "argv", ["tiny", "--out", str(out), "--shard", shard])
        try:
            run.run(known)
        except SystemExit as left_to_others:
            assert left_to_others.code == 4
    capsys.readouterr()
    rows = pd.read_csv(out / "results.csv").query("metric == 'cores'")
    assert len(rows) == 6 and set(rows["value"]) == {1, int(second)}
    take_run(known, out, "first")
    (published,) = published_runs(known)
    assert published.marks == ([said] if said else [])
    for text in ((out / "report.html").read_text(), write_results_page(known, [published]).read_text()):
        assert (OTHERS in text) == (said is not None) and (said or "") in text
