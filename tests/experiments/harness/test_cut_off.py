"""A network that was cut off while it may still have gained is kept as such, and pages and published results say so."""

import dataclasses
import sys

import numpy as np
import pytest

from experiments.harness import publish, run
from experiments.harness.cut_off import was_cut_off
from experiments.harness.options import RunOptions
from experiments.harness.publish import published_runs, take_run
from experiments.harness.store import TrainingStore
from segjax.models import load_weights
from segjax.training import LoopConfig
from segjax.training.fit import Fit
from tests.experiments.harness.tiny import LOOP, CountingTrainer, Training, study

PLATEAU = LoopConfig(epochs=2, batch_size=2, stop="plateau", patience=1)
SAID = "rest on a network that may still have improved when its training reached the limit of --train.epochs."


class EndingTrainer(CountingTrainer):
    """Its bases end where nothing is gained, its heads after a fixed number of epochs."""

    def loop(self, kind):
        return PLATEAU if kind == "base" else LOOP


@pytest.mark.parametrize(
    ("epochs", "loop", "expected"),
    [
        (4, LoopConfig(epochs=4, stop="plateau"), True),
        (3, LoopConfig(epochs=4, stop="plateau"), False),
        (4, LoopConfig(epochs=4, stop="fixed"), False),
    ],
)
def test_only_a_training_that_reached_its_limit_was_cut_off(epochs, loop, expected):
    assert was_cut_off(Fit({}, "ok", np.zeros((epochs, 2)), 0), loop) is expected


def test_what_rests_on_a_network_that_was_cut_off_says_so(tmp_path):
    def store():
        return TrainingStore(RunOptions(tmp_path, strategy="sequential"), EndingTrainer())

    head = Training("head", 0, 1.0)
    first, second = store(), store()
    first.ensure([head])
    assert load_weights(first.path(Training("base", 0))).facts["cut_off"]
    assert not second.any_cut_off([head])  # it was not used yet
    assert set(second.load(head).facts) == {"bases", "strength"}
    assert second.any_cut_off([head])


@pytest.mark.parametrize("stop", ["plateau", "fixed"])
def test_the_page_and_published_results_say_so(stop, tmp_path, monkeypatch, capsys):
    out, loop = tmp_path / "run", dataclasses.replace(PLATEAU, stop=stop)
    monkeypatch.setattr(CountingTrainer, "loop", lambda self, kind: loop)
    monkeypatch.setattr(publish, "ROOT", tmp_path / "checkout")
    monkeypatch.setattr("experiments.harness.provenance.commit", lambda: "c0ffee")
    monkeypatch.setattr(sys, "argv", ["tiny", "--out", str(out)])
    run.run(known := study())
    capsys.readouterr()
    take_run(known, out, "first")
    (published,) = published_runs(known)
    for text in ((out / "report.html").read_text(), " ".join(published.marks)):
        assert (SAID in text) == (stop == "plateau")
