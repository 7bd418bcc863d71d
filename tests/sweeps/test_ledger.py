"""Results grow cell by cell, survive a kill at any byte, and never mix configurations."""

import pytest

from segjax.sweeps import Cell, Ledger, cell, fingerprint, share_of
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


def test_rows_after_a_cut_do_not_mix_with_what_a_killed_process_left(ledger):
    add(ledger, CELLS[0])
    one = ledger.path.read_bytes()
    add(ledger, CELLS[1])
    two = ledger.path.read_bytes()
    for size in range(len(two)):
        ledger.path.write_bytes(two[:size])
        add(ledger, CELLS[1])
        assert ledger.missing(CELLS[:2]) == ([] if size >= len(one) else [CELLS[0]])
        assert ledger.path.read_bytes() == (two if size >= len(one) else two.replace(one[two.index(b"\n") + 1 :], b""))


def test_failed_cells_are_done_again_when_the_folder_is_opened_again(tmp_path):
    with open_ledger(tmp_path) as ledger:
        add(ledger, CELLS[0], status="failed")
        add(ledger, CELLS[1], status="collapsed")
        assert ledger.missing(CELLS[:2]) == []
    with open_ledger(tmp_path) as ledger:
        assert ledger.missing(CELLS[:2]) == [CELLS[0]]
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


def test_a_finished_cell_cannot_be_claimed(ledger):
    assert ledger.claim(CELLS[0])
    add(ledger, CELLS[0])
    ledger.release(CELLS[0])
    assert not ledger.claim(CELLS[0])
    assert ledger.claim(CELLS[1])


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


@pytest.mark.parametrize("count", [1, 2, 3, 7, 11])
def test_shares_hold_every_cell_once(count):
    cells = [cell(seed=seed) for seed in range(7)]
    shares = [share_of(cells, f"{number}/{count}") for number in range(1, count + 1)]
    assert sorted(one["seed"] for share in shares for one in share) == list(range(7))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert share_of(cells, "2/3") == [cells[1], cells[4]]


@pytest.mark.parametrize("share", ["", "3", "0/2", "3/2", "1/0", "-1/2", "1/2/3", "a/b", "1 / 2", "1/2\n"])
def test_what_is_no_share_is_refused(share):
    with pytest.raises(InputError, match=r"share: .* is not I/N"):
        share_of([], share)


def test_fingerprint_depends_on_content_not_order():
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
