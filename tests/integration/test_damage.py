"""Any file of a finished run is damaged, edited, moved or copied: nothing finished is lost or counted twice."""

import random
import shutil
import subprocess
import sys
import warnings
from dataclasses import fields
from pathlib import Path

import pandas as pd
import pytest

from experiments.harness import run as run_module
from segjax.claims import Claims
from segjax.sweeps.merging import collect
from segjax.sweeps.plan import read_plan
from segjax.sweeps.trials import file_stem, trial_key
from segjax.types import InputError
from tests.experiments.harness.tiny import Trial, study

pytestmark = pytest.mark.slow
HOLDS = """
import sys, time
from pathlib import Path
from segjax.claims import Claims
claims = Claims(Path(sys.argv[1]))
print(claims.take(sys.argv[2]), flush=True)
time.sleep(600)
"""


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]


DAMAGE = {
    "emptied": lambda data: b"",
    "cut off": lambda data: data[: len(data) // 2],
    "one bit flipped": lambda data: flipped(data, len(data) // 2),
}
MADE_AGAIN = ("results.parquet", "trials/*.csv", "plan.json", "openings/*.json", "code/*.json")


def excel(data: bytes) -> bytes:
    """As a spreadsheet of a country with decimal commas saves a table."""
    text = data.decode().replace(",", ";").replace(".", ",").replace("\n", "\r\n")
    return b"\xef\xbb\xbf" + text.encode()


def reordered(data: bytes) -> bytes:
    """The columns from last to first."""
    return b"".join(b",".join(reversed(line.split(b","))) + b"\n" for line in data.splitlines())


EDITS = {
    "saved by a spreadsheet": excel,
    "line ends": lambda data: data.replace(b"\n", b"\r\n"),
    "byte order mark": lambda data: b"\xef\xbb\xbf" + data,
    "without header": lambda data: data.partition(b"\n")[2],
    "columns reordered": reordered,
    "a value changed": lambda data: data.replace(b"0.1", b"0.9", 1),
    "a row doubled": lambda data: data + data.splitlines()[-1] + b"\n",
    **DAMAGE,
}


def run(out: Path, monkeypatch, **options) -> str:
    """Give the command; what it warned of, and at the end why it refused or with which code it ended."""
    monkeypatch.setattr(sys, "argv", ["tiny", "--out", str(out)])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            run_module.run(study(keeps_networks=True, **options))
        except InputError as error:
            return "\n".join([*(str(one.message) for one in caught), f"refused: {error}"])
        except SystemExit as ended:
            return f"exit code {ended.code}"
    return "\n".join(str(one.message) for one in caught)


def results(out: Path) -> bytes:
    return (out / "results.csv").read_bytes()


def lines(table: pd.DataFrame) -> list[tuple[object, ...]]:
    return sorted(table.itertuples(index=False, name=None))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run, and a function that copies it: whoever goes on there finds a folder that was moved."""
    out = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert run(out, monkeypatch) == ""
    return out


@pytest.fixture
def out(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "moved")


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("place", MADE_AGAIN)
def test_what_is_damaged_is_named_and_made_again(place, damage, out, finished, monkeypatch):
    victim = sorted(out.glob(place))[0]
    victim.write_bytes(DAMAGE[damage](victim.read_bytes()))
    said = run(out, monkeypatch)
    if (place, damage) != ("results.parquet", "one bit flipped"):  # there it may lie where nothing is read
        assert str(victim) in said, said
    assert "refused" not in said, said
    assert results(out) == results(finished)
    assert run(out, monkeypatch) == ""


def test_no_flipped_bit_in_parquet_gives_other_rows(out, finished, monkeypatch):
    path, chance, named = out / "results.parquet", random.Random(0), 0
    whole = path.read_bytes()
    plan, types = read_plan(out), {field.name: field.type for field in fields(Trial)}
    expected = lines(collect(finished, types, plan))
    for _ in range(60):
        data = bytearray(whole)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert lines(collect(out, types, plan)) == expected
        named += str(path) in "".join(str(one.message) for one in caught)
    assert named > 30


@pytest.mark.parametrize("edit", EDITS)
def test_a_table_that_another_program_has_saved_is_kept_and_written_anew(edit, out, finished, monkeypatch):
    path = out / "results.csv"
    path.write_bytes(EDITS[edit](path.read_bytes()))
    saved = path.read_bytes()
    said = run(out, monkeypatch)
    assert str(path) in said and "results.changed-1.csv" in said
    assert (out / "results.changed-1.csv").read_bytes() == saved
    assert results(out) == results(finished)
    assert run(out, monkeypatch) == ""


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("place", ["networks/*.safetensors", "examples/*.safetensors", "splits/*.json"])
def test_what_a_missing_trial_needs_is_named_and_made_again(place, damage, out, finished, monkeypatch):
    for path in (out / "trials").glob("*"):
        path.unlink()
    victims = sorted(out.glob(place))
    for victim in victims:
        victim.write_bytes(DAMAGE[damage](victim.read_bytes()))
    said = run(out, monkeypatch)
    assert "refused" not in said, said
    assert results(out) == results(finished)
    if not place.startswith("examples"):  # written anew, whatever is there
        assert all(str(victim) in said for victim in victims), said
    assert run(out, monkeypatch) == ""


def test_a_folder_that_is_copied_while_a_trial_runs_goes_on_without_the_process_of_the_other(
    out, finished, monkeypatch
):
    chosen = Trial("careful", 1, 2.0)
    (out / "trials" / f"{trial_key(chosen)}.csv").unlink()
    holder = subprocess.Popen([sys.executable, "-c", HOLDS, out, file_stem(chosen)], stdout=subprocess.PIPE, text=True)
    begun = Claims.__init__
    monkeypatch.setattr(Claims, "__init__", lambda claims, folder: begun(claims, folder, expiry=1.0))
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "True\n"
        copy = shutil.copytree(out, out.with_name("copy"))
        assert run(out, monkeypatch) == "exit code 4"
        assert run(copy, monkeypatch) == ""
    finally:
        holder.kill()
        holder.communicate()
    assert run(out, monkeypatch) == ""
    assert results(copy) == results(out) == results(finished)


def test_a_moved_folder_goes_on(out, finished, monkeypatch):
    for path in sorted((out / "trials").glob("*"))[::2]:
        path.unlink()
    assert run(out, monkeypatch) == ""
    assert results(out) == results(finished)
