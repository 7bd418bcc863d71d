"""Working through trials: what is done is not done again, and one failure does not stop the rest."""

import io
from dataclasses import dataclass

import pytest
from rich.console import Console

from segjax.sweeps import Ledger, Outcome, Row, run_trials
from segjax.types import InputError


@dataclass(frozen=True)
class Trial:
    network: str
    level: float


TRIALS = [Trial(network, level) for level in (0.0, 0.3, 0.7) for network in ("unet", "msd")]
PLAN = {"study": "tiny", "data": "x", "fingerprint": "a", "facts": {}, "sources": {}}
PLAN["opening"] = {"code": "b", "commit": "c"}


@pytest.fixture
def folder(tmp_path):
    def opened():
        return Ledger(tmp_path, Trial, PLAN)

    return opened


def run_all(ledger, run, pack=1):
    out = io.StringIO()
    run_trials(TRIALS, run, ledger, lambda one: one.network, Console(file=out, width=200), pack)
    return out.getvalue()


def score(trials, on_share):
    for index, one in enumerate(trials):
        on_share((index + 1) / len(trials))
        yield index, Outcome([Row("dice_pooled", one.level)], "fine")


def test_a_failing_trial_is_named_and_the_rest_go_on(folder):
    def broken(trials, on_share):
        if trials[0].level == 0.3:
            raise RuntimeError("out of memory")
        yield from score(trials, on_share)

    with folder() as ledger:
        text = run_all(ledger, broken)
        assert "RuntimeError: out of memory" in text and "[6/6]" in text
    with folder() as ledger:
        assert ledger.missing(TRIALS) == TRIALS[2:4]
        assert "4 of 6 trials are done already; 2 to do" in run_all(ledger, score)
        assert ledger.missing(TRIALS) == []
        before = ledger.path.read_bytes()
        assert "6 of 6 trials are done already; 0 to do" in run_all(ledger, score)
        assert ledger.path.read_bytes() == before


def test_packs_hold_trials_of_one_kind_in_the_order_of_the_plan(folder):
    packs = []

    def note(trials, on_share):
        packs.append([(one.network, one.level) for one in trials])
        yield from score(trials, on_share)

    with folder() as ledger:
        run_all(ledger, note, pack=2)
        assert packs == [
            [("unet", 0.0), ("unet", 0.3)],
            [("msd", 0.0), ("msd", 0.3)],
            [("unet", 0.7)],
            [("msd", 0.7)],
        ]
        pooled = ledger.table().query("metric == 'dice_pooled'")
        assert (pooled["value"] == pooled["level"]).all() and len(pooled) == 6


def test_of_a_pack_that_raises_only_the_trials_without_outcome_have_failed(folder):
    def last_first_then_break(trials, on_share):
        yield len(trials) - 1, Outcome([], "fine")
        raise MemoryError("full")

    def early_end(trials, on_share):
        return iter(())

    with folder() as ledger:
        assert "failed: MemoryError: full" in run_all(ledger, last_first_then_break, pack=3)
    with folder() as ledger:
        assert ledger.missing(TRIALS) == TRIALS[:4]
        assert "failed: nothing came of it" in run_all(ledger, early_end, pack=3)
    with folder() as ledger:
        assert ledger.missing(TRIALS) == TRIALS[:4]


def test_wrong_input_stops_the_study(folder):
    def refuse(trials, on_share):
        raise InputError("levels: no")

    with folder() as ledger, pytest.raises(InputError, match="levels"):
        run_all(ledger, refuse)


def test_trials_that_others_finish_meanwhile_are_counted_and_left_alone(folder):
    done = []

    def beside_another(trials, on_share):
        if not done:
            ledger.append(TRIALS[-1], [], 0, "ok")  # as another process would
        done.extend(trials)
        yield from score(trials, on_share)

    with folder() as ledger:
        text = run_all(ledger, beside_another)
    assert done == TRIALS[:-1]
    assert "[2/6]" in text and "[6/6]" in text and "[1/6]" not in text
