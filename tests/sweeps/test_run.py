"""Working through cells: what is done is not done again, and one failure does not stop the rest."""

import io

import pytest
from rich.console import Console

from segjax.sweeps import Ledger, Outcome, cell, run_cells
from segjax.types import InputError

CELLS = [cell(network=network, level=level) for level in (0.0, 0.3, 0.7) for network in ("unet", "msd")]


@pytest.fixture
def folder(tmp_path):
    def opened():
        return Ledger(tmp_path, "study", ("network", "level"), {"fingerprint": "a"})

    return opened


def run_all(ledger, run, pack=1):
    out = io.StringIO()
    run_cells(CELLS, run, ledger, lambda one: str(one["network"]), Console(file=out, width=200), pack)
    return out.getvalue()


def score(cells, on_share):
    for index, one in enumerate(cells):
        on_share((index + 1) / len(cells))
        yield index, Outcome([{"metric": "dice_pooled", "value": one["level"]}], "ok", 0, "fine")


def test_a_failing_cell_is_named_and_the_rest_go_on(folder):
    def broken(cells, on_share):
        if cells[0]["level"] == 0.3:
            raise RuntimeError("out of memory")
        yield from score(cells, on_share)

    with folder() as ledger:
        text = run_all(ledger, broken)
        assert "RuntimeError: out of memory" in text and "[6/6]" in text
    with folder() as ledger:
        assert ledger.missing(CELLS) == CELLS[2:4]
        assert "4 of 6 cells are done already; 2 to do" in run_all(ledger, score)
        assert ledger.missing(CELLS) == []
        before = ledger.path.read_bytes()
        assert "6 of 6 cells are done already; 0 to do" in run_all(ledger, score)
        assert ledger.path.read_bytes() == before


def test_packs_hold_cells_of_one_kind_in_the_order_of_the_plan(folder):
    packs = []

    def note(cells, on_share):
        packs.append([(one["network"], one["level"]) for one in cells])
        yield from score(cells, on_share)

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


def test_of_a_pack_that_raises_only_the_cells_without_outcome_have_failed(folder):
    def last_first_then_break(cells, on_share):
        yield len(cells) - 1, Outcome([], "ok", 0, "fine")
        raise MemoryError("full")

    def early_end(cells, on_share):
        return iter(())

    with folder() as ledger:
        assert "failed: MemoryError: full" in run_all(ledger, last_first_then_break, pack=3)
    with folder() as ledger:
        assert ledger.missing(CELLS) == CELLS[:4]
        assert "failed: nothing came of it" in run_all(ledger, early_end, pack=3)
    with folder() as ledger:
        assert ledger.missing(CELLS) == CELLS[:4]


def test_wrong_input_stops_the_study(folder):
    def refuse(cells, on_share):
        raise InputError("levels: no")

    with folder() as ledger, pytest.raises(InputError, match="levels"):
        run_all(ledger, refuse)


def test_cells_that_others_finish_meanwhile_are_counted_and_left_alone(folder):
    done = []

    def beside_another(cells, on_share):
        if not done:
            ledger.append(CELLS[-1], [], 0, "ok")  # as another process would
        done.extend(cells)
        yield from score(cells, on_share)

    with folder() as ledger:
        text = run_all(ledger, beside_another)
    assert done == CELLS[:-1]
    assert "[2/6]" in text and "[6/6]" in text and "[1/6]" not in text
