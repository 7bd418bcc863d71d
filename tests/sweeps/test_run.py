"""Working through cells: what is done is not done again, and one failure does not stop the rest."""

import io

import pytest
from rich.console import Console

from segjax.sweeps import Ledger, Outcome, cell, in_words, run_cells
from segjax.sweeps.run import time_left
from segjax.types import InputError

CELLS = [cell(network="unet", level=level) for level in (0.0, 0.3, 0.7)]


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path, "study", ("network", "level"), {"fingerprint": "a"}) as opened:
        yield opened


def run_all(ledger, run):
    out = io.StringIO()
    run_cells(CELLS, run, ledger, lambda one: str(one["network"]), Console(file=out, width=200))
    return out.getvalue()


def score(one, on_share):
    on_share(1.0)
    return Outcome([{"metric": "dice_pooled", "value": one["level"]}], "ok", 0, "fine")


def test_a_failing_cell_is_named_and_the_rest_go_on(ledger):
    def broken(one, on_share):
        if one["level"] == 0.3:
            raise RuntimeError("out of memory")
        return score(one, on_share)

    text = run_all(ledger, broken)
    assert "RuntimeError: out of memory" in text and "[3/3]" in text
    assert ledger.missing(CELLS) == [CELLS[1]]
    assert "2 of 3 cells are done already; 1 to do" in run_all(ledger, score)
    assert ledger.missing(CELLS) == []
    before = ledger.path.read_bytes()
    assert "3 of 3 cells are done already; 0 to do" in run_all(ledger, score)
    assert ledger.path.read_bytes() == before


def test_wrong_input_stops_the_study(ledger):
    def refuse(one, on_share):
        raise InputError("levels: no")

    with pytest.raises(InputError, match="levels"):
        run_all(ledger, refuse)


def test_time_left_counts_each_kind_by_its_own_median():
    seconds = {"unet": [30.0, 10.0, 11.0], "msd": [5.0]}
    assert time_left(["unet", "unet", "msd", "segnet"], seconds) == in_words(11 + 11 + 5 + 11)
    assert [in_words(value) for value in (0.0, 119.0, 600.0, 7200.0)] == ["0 s", "119 s", "10 min", "2.0 h"]
