"""What the table of a benchmark says, with a clock that the test moves."""

import sys
import time

import pandas as pd
import pytest

from experiments.benchmarks import timing
from experiments.benchmarks.timing import (
    Contest,
    TimingOptions,
    begin,
    chosen,
    command,
    cores,
    header_of,
    measure,
    report,
)
from segjax.types import InputError


@pytest.fixture
def clock(monkeypatch):
    """A call that takes so many seconds of a clock that nothing else moves."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def takes(*seconds: float):
        def call(number: int) -> None:
            now[0] += seconds[number % len(seconds)]

        return call

    return takes


def test_ratios_are_those_of_medians_to_the_fastest_rival(clock):
    ours = {"quick": clock(1.0, 9.0, 2.0), "slow": clock(8.0)}
    contest = Contest(ours, {"first": clock(6.0), "second": clock(4.0, 4.0, 9.0)}, {"pixels": 3})
    rows = measure({"sums": lambda: contest}, rounds=3)
    assert [(row["side"], row["way"], row["median_ms"], row["ratio"]) for row in rows] == [
        ("ours", "quick", 2000, 2.0),
        ("ours", "slow", 8000, 0.5),
        ("rival", "first", 6000, 0.6667),
        ("rival", "second", 4000, 1.0),
    ]
    assert (rows[0]["low_ms"], rows[0]["high_ms"]) == (1500, 5500)
    assert all(row["contest"] == "sums" and row["rounds"] == 3 and row["pixels"] == 3 for row in rows)


def test_short_calls_are_repeated_within_a_turn(clock):
    calls = []
    call = clock(0.01)
    counted = {"short": lambda number: (calls.append(number), call(number))}
    rows = measure({"": lambda: Contest(counted, {})}, rounds=2)
    # Two calls to judge by, then per round one that is not timed and 20 in 0.2 s.
    assert len(calls) == 2 + 2 * 21 and calls[2:] == [0] * 21 + [1] * 21
    assert rows[0]["median_ms"] == 10 and rows[0]["ratio"] == ""


def test_ways_take_turns_within_a_round(clock):
    order = []

    def noting(name):
        call = clock(1.0)
        return lambda number: (order.append((name, number)), call(number))

    measure({"": lambda: Contest({"a": noting("a")}, {"b": noting("b")})}, rounds=2)
    assert order[4:] == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]


def test_only_those_asked_for_are_built():
    contests = {"unet, 8": lambda: 1, "msd, 8": lambda: 1 / 0}
    assert list(chosen(contests, ("unet",))) == ["unet, 8"]
    assert list(chosen(contests, ())) == list(contests)
    with pytest.raises(InputError, match="no contest has a name like vnet; choose from unet, 8; msd, 8"):
        chosen(contests, ("vnet",))


@pytest.mark.parametrize("threads", [0, cores() + 1])
def test_cores_that_are_not_there(threads):
    with pytest.raises(InputError, match="threads must be from 1 to"):
        begin("sums", TimingOptions(threads=threads))


def test_no_rounds():
    with pytest.raises(InputError, match="rounds must be at least 1, not 0"):
        TimingOptions(rounds=0)


def test_the_table_says_where_it_comes_from(tmp_path, monkeypatch):
    monkeypatch.delenv("XLA_FLAGS")
    monkeypatch.setattr(sys, "argv", ["sums", "--only", "two words"])
    rows = [{"contest": "a, b", "ratio": 1.5}, {"contest": "c", "ratio": "", "pixels": 4}]
    path = report("sums", header_of("sums"), rows, tmp_path / "new")
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert header[0] == "# command: python -m experiments.benchmarks.sums --only 'two words'"
    assert [line[2:].split(":")[0] for line in header] == [
        "command", "commit", "machine", "load average at start",
    ]  # fmt: skip
    assert f"{cores()} cores" in header[2] and "jax " in header[2]
    table = pd.read_csv(path, comment="#")
    assert list(table.columns) == ["contest", "ratio", "pixels"] and list(table["contest"]) == ["a, b", "c"]
    assert table["ratio"].isna().tolist() == [False, True] and table["pixels"].isna().tolist() == [True, False]


def test_a_command_that_is_given_too_much(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["sums", "--only", "b", "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as exit:
        command("sums", "Sums.", lambda scale: {"a": lambda: Contest({}, {})})
    assert exit.value.code == 2 and "no contest has a name like b" in capsys.readouterr().err
    assert timing.RESULTS.parts[-2:] == ("benchmarks", "results") and not list(tmp_path.iterdir())
