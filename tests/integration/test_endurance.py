"""A process that does many trials holds no more at the end than at the beginning."""

import sys

import pytest

from experiments.benchmarks.endurance import rows_of


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory: it is read from /proc")
def test_memory_files_and_threads_stay(tmp_path):
    rows = rows_of(60, "1epochs", tmp_path)
    assert [row["trials"] >= 6 * (number + 1) for number, row in enumerate(rows)] == [True] * 10
    settled, last = rows[4], rows[-1]
    assert last["open_files"] <= settled["open_files"] + 2
    assert last["threads"] <= settled["threads"] + 2
    assert last["resident_mb"] <= 1.05 * settled["resident_mb"] + 10
