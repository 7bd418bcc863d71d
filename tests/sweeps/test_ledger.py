"""Results grow cell by cell, survive a kill at any byte, and never mix configurations."""

import pytest

from segjax.sweeps import Cell, Ledger, cell, fingerprint
from segjax.types import InputError

FACTORS = ("network", "seed", "level")
CELLS = [cell(network=network, seed=seed, level=0.3) for seed in (0, 1) for network in ("unet", "msd")]
PLAN = {"fingerprint": "a", "facts": {"data": "x"}}


def open_ledger(out, plan=PLAN):
    return Ledger(out, "study", FACTORS, plan)


def add(ledger, one: Cell, status="ok"):
    rows = [{"picture": "p,1", "metric": "dice", "value": 0.5}, {"metric": "dice_pooled", "value": 0.25}]
    ledger.append(one, rows, restarts=0, status=status)


@pytest.fixture
def ledger(tmp_path):
    with open_ledger(tmp_path) as opened:
        yield opened


def test_rows_come_back_and_only_missing_cells_are_left(ledger):
    assert ledger.missing(CELLS) == CELLS
    add(ledger, CELLS[1])
    assert ledger.missing(CELLS) == [CELLS[0], *CELLS[2:]]
    table = ledger.table()
    assert list(table.columns) == ["study", *FACTORS, "picture", "metric", "value", "status"]
    assert table["picture"].tolist() == ["p,1", "", ""]
    assert table["value"].tolist() == [0.5, 0.25, 0.0]


def test_a_file_cut_at_any_byte_loses_only_the_unfinished_cell(tmp_path):
    with open_ledger(tmp_path) as ledger:
        add(ledger, CELLS[0])
        whole = ledger.path.read_bytes()
        add(ledger, CELLS[1])
        both = ledger.path.read_bytes()
    for size in range(len(whole), len(both)):
        (tmp_path / "results.csv").write_bytes(both[:size])
        with open_ledger(tmp_path) as ledger:
            assert ledger.missing(CELLS) == CELLS[1:]
            assert ledger.path.read_bytes() == whole


def test_failed_cells_are_done_again(tmp_path):
    with open_ledger(tmp_path) as ledger:
        add(ledger, CELLS[0], status="failed")
        add(ledger, CELLS[1], status="collapsed")
        assert ledger.missing(CELLS[:2]) == [CELLS[0]]
    with open_ledger(tmp_path) as ledger:
        assert set(ledger.table()["status"]) == {"collapsed"}


def test_another_configuration_is_refused_and_nothing_is_overwritten(tmp_path):
    with open_ledger(tmp_path) as ledger:
        add(ledger, CELLS[0])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match=r"another configuration.*data"):
        open_ledger(tmp_path, {"fingerprint": "b", "facts": {"data": "y"}})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_results_without_a_plan_and_a_broken_plan_are_refused(tmp_path):
    (tmp_path / "results.csv").write_text("something\n")
    with pytest.raises(InputError, match=r"no plan\.json"):
        open_ledger(tmp_path)
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(InputError, match="not readable"):
        open_ledger(tmp_path)


def test_one_writer_at_a_time(tmp_path):
    with open_ledger(tmp_path), pytest.raises(InputError, match="another run is writing"):
        open_ledger(tmp_path)
    with open_ledger(tmp_path) as ledger:
        assert ledger.missing(CELLS) == CELLS


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        open_ledger(tmp_path / "file" / "runs")


def test_a_full_disk_loses_nothing(ledger, monkeypatch):
    add(ledger, CELLS[0])
    before = ledger.path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match="No space left"):
        add(ledger, CELLS[1])
    assert ledger.path.read_bytes() == before


def test_fingerprint_depends_on_content_not_order():
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
