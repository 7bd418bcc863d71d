"""Working through trials: what is done is not done again, and one failure does not stop the rest."""

import io
import signal
import threading
import time
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from rich.console import Console

from segjax import interruption
from segjax.sweeps import Ledger, Outcome, Row, run_trials
from segjax.sweeps import run as module
from segjax.sweeps.ledger import failure_file
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
    def opened(**options):
        return Ledger(tmp_path, Trial, PLAN, **options)

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
        said = failure_file(ledger.out, TRIALS[2]).read_text()
        assert said.startswith("network unet, level 0.3\n\nTraceback (most recent call last):")
        assert 'raise RuntimeError("out of memory")' in said and said.endswith("RuntimeError: out of memory\n\n")
        assert "6 of 6 trials are done already; 0 to do" in run_all(ledger, broken)
    with folder(retry_failed=True) as ledger:
        assert ledger.missing(TRIALS) == TRIALS[2:4]
        assert "4 of 6 trials are done already; 2 to do" in run_all(ledger, score)
        assert ledger.missing(TRIALS) == ledger.failed(TRIALS) == []
        ledger.table(TRIALS)
        before = ledger.path.read_bytes()
        assert "6 of 6 trials are done already; 0 to do" in run_all(ledger, score)
        ledger.table(TRIALS)
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
        assert ledger.failed(TRIALS) == TRIALS[:4]
    with folder(retry_failed=True) as ledger:
        assert ledger.missing(TRIALS) == TRIALS[:4]
        assert "failed: nothing came of it" in run_all(ledger, early_end, pack=3)
        assert ledger.failed(TRIALS) == TRIALS[:4]
        assert failure_file(ledger.out, TRIALS[0]).read_text() == "network unet, level 0\n\nnothing came of it\n"


def test_a_trial_that_gives_an_error_has_failed_and_the_others_of_its_pack_have_not(folder):
    def one_fails(trials, on_share):
        yield 0, MemoryError("full")
        yield from ((index, Outcome([], "fine")) for index in range(1, len(trials)))

    with folder() as ledger:
        assert "failed: MemoryError: full" in run_all(ledger, one_fails, pack=2)
        failed = {(one.network, one.level) for one in ledger.failed(TRIALS)}  # the first of each pack
        assert failed == {(network, level) for network in ("unet", "msd") for level in (0.0, 0.7)}
        assert failure_file(ledger.out, TRIALS[0]).read_text().endswith("MemoryError: full\n\n")


@pytest.mark.parametrize("error", [InputError("levels: no"), OSError(28, "No space left on device", "levels: no")])
def test_an_error_that_is_no_trial_s_fault_stops_the_study_also_where_it_is_given(folder, error):
    with folder() as ledger, pytest.raises(InputError, match="levels: no"):
        run_all(ledger, lambda trials, on_share: iter([(0, error)]))
    with folder() as ledger:
        assert ledger.failed(TRIALS) == []


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


@pytest.mark.parametrize(("cost", "listings"), [(0.0, 3), (10.0, 1)])
def test_looks_at_what_others_have_done_are_rare_where_they_are_slow(folder, monkeypatch, cost, listings):
    now, seen = [100.0], []
    with folder() as ledger:
        missing = ledger.missing

        def slow(trials):
            seen.append(now[0])
            now[0] += cost
            return missing(trials)

        monkeypatch.setattr(ledger, "missing", slow)
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
        kinds = {trial: trial.network for trial in TRIALS}
        display = module._Display(kinds, ledger, Console(file=io.StringIO()))
        for trial in TRIALS[:3]:
            display.begin([trial])
            display.ended(trial, Outcome([], "fine"))
            now[0] += 6.0
    assert len(seen) == listings


@pytest.fixture
def quick(monkeypatch):
    """Nobody waits long for what others hold."""
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.01)


def test_what_a_process_that_is_known_to_live_holds_is_left_to_it(folder, quick):
    with folder() as ledger, folder() as other:
        assert other.claim(TRIALS[2])
        assert "[5/6]" in run_all(ledger, score)
        assert ledger.missing(TRIALS) == TRIALS[2:3]


def test_what_an_unknown_process_holds_is_waited_for_until_it_counts_as_dead(folder, quick, monkeypatch):
    with folder() as ledger, folder() as other:
        assert other.claim(TRIALS[2])
        monkeypatch.setattr("segjax.claims._machine", lambda workers: "elsewhere")
        monkeypatch.setattr(ledger._claims, "_expiry", 0.2)
        began = time.monotonic()
        assert "[6/6]" in run_all(ledger, score)
        assert time.monotonic() - began > 0.2 and ledger.missing(TRIALS) == []


def test_an_old_sign_of_life_of_a_process_elsewhere_counts_no_more_once_there_is_nothing_else_to_do(
    folder, quick, monkeypatch
):
    with folder() as ledger, folder() as other:
        assert other.claim(TRIALS[2])
        monkeypatch.setattr("segjax.claims._machine", lambda workers: "elsewhere")
        monkeypatch.setattr(ledger._claims, "_expiry", 0.5)
        (beat,) = (ledger.out / ".claims" / "workers").glob("*.beat")
        assert not ledger.claim(TRIALS[2])
        beat.write_bytes(b"%012d" % 7)
        assert not ledger.claim(TRIALS[2]) and ledger.is_left_to_others(TRIALS[2])  # and then it died
        assert "[6/6]" in run_all(ledger, score)
        assert ledger.missing(TRIALS) == []


def test_what_a_process_elsewhere_holds_that_still_gives_signs_of_life_is_left_to_it(folder, quick, monkeypatch):
    with folder() as ledger, folder() as other:
        monkeypatch.setattr(other._claims, "_beat", 0.02)
        assert other.claim(TRIALS[2])
        monkeypatch.setattr("segjax.claims._machine", lambda workers: "elsewhere")
        assert "[5/6]" in run_all(ledger, score)
        assert ledger.missing(TRIALS) == TRIALS[2:3]


def test_what_an_unknown_process_ends_or_gives_back_meanwhile_is_not_waited_for(folder, quick, monkeypatch):
    with folder() as ledger, folder() as other:
        assert other.claim(TRIALS[2]) and other.claim(TRIALS[3])
        monkeypatch.setattr("segjax.claims._machine", lambda workers: "elsewhere")

        def end():
            other.append(TRIALS[2], [Row("dice_pooled", 0.5)], 0, "ok")
            other.release(TRIALS[2])
            other.release(TRIALS[3])

        timer = threading.Timer(0.2, end)
        timer.start()
        text = run_all(ledger, score)
        timer.join()
        assert ledger.missing(TRIALS) == []
    assert "6/6" in text and "unet, level 0.3: fine" not in text and "msd, level 0.3: fine" in text


def test_a_stop_between_trials_keeps_what_is_done_and_is_no_failure(folder, monkeypatch):
    def stopped(trials, on_share):
        yield from score(trials, on_share)
        if trials[0] == TRIALS[1]:
            monkeypatch.setattr(interruption._request, "kind", signal.SIGTERM)
            raise RuntimeError("what a library makes of a stop")

    with folder() as ledger:
        with pytest.raises(interruption.Stopped):
            run_all(ledger, stopped)
        monkeypatch.undo()
        assert ledger.missing(TRIALS) == TRIALS[2:] and ledger.failed(TRIALS) == []
        assert ledger.claim(TRIALS[2])


def test_what_others_have_done_is_listed_seldom(folder, monkeypatch):
    listings, missing = [], Ledger.missing

    def noted(ledger, trials):
        listings.append(1)
        return missing(ledger, trials)

    monkeypatch.setattr(Ledger, "missing", noted)
    many = [Trial("unet", float(level)) for level in range(40)]
    with folder() as ledger:
        run_trials(many, score, ledger, lambda one: one.network, Console(file=io.StringIO()), 1)
    assert len(listings) == 4  # at the start, for the first line, and twice at the end


def test_trials_of_many_kinds_are_asked_for_once_each(folder):
    asked = []
    many = [Trial(f"network {level % 7}", float(level)) for level in range(50)]

    class Counting(Ledger):
        def claim(self, trial):
            asked.append(trial)
            return super().claim(trial)

    with folder() as ledger:
        ledger.__class__ = Counting
        run_trials(many, score, ledger, lambda one: one.network, Console(file=io.StringIO()), 3)
    assert sorted(asked, key=lambda one: one.level) == many
