"""A published table that was cut, sorted or saved by a spreadsheet: the same content, or refused and left as it is."""

import csv
import io
from dataclasses import dataclass

import pytest

from segjax.sweeps import Ledger, Replicates, ResultTable, Row
from segjax.types import InputError


@dataclass(frozen=True)
class Trial:
    network: str
    seed: int
    level: float = 0.0


PLAN = {"study": "tiny", "data": "folder:Käfer", "fingerprint": "a", "facts": {}, "sources": {}}
PLAN["opening"] = {"code": "1234e567", "commit": "c0ffee"}


def records(frame):
    """Rows as text, NaN equal to itself, whatever their order."""
    return sorted(map(str, frame.astype({"value": str}).itertuples(index=False)))


def saved(delimiter=",", **options):
    """What a spreadsheet makes of a file: read, and written in its own way."""

    def change(text, rows=lambda rows: rows):
        out = io.StringIO()
        csv.writer(out, delimiter=delimiter, lineterminator="\n", **options).writerows(rows(list(csv.reader([*text]))))
        return out.getvalue()

    return lambda text: change(text.splitlines())


def cells(change):
    """Every row's fields changed."""
    return lambda text: "".join(
        ",".join(f'"{field}"' if "," in field else field for field in change(row)) + "\n"
        for row in csv.reader(text.splitlines())
    )


def lines(change):
    return lambda text: "".join(change(text.splitlines(keepends=True)))


SAME = {
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "BOM": lambda text: text.encode("utf-8-sig"),
    "BOM and CRLF": lambda text: text.replace("\n", "\r\n").encode("utf-8-sig"),
    "all quoted": saved(quoting=csv.QUOTE_ALL),
    "turned round": lines(lambda rows: [rows[0], *rows[:0:-1]]),
    "blank lines between": lambda text: text.replace("\n", "\n\n"),
    "capital exponent": lambda text: text.replace("1e-09", "1.00E-09"),
}
REFUSED = {
    "semicolons": saved(";"),
    "semicolons and decimal commas": lambda text: saved(";")(text).replace("0.5", "0,5"),
    "tabs": saved("\t"),
    "quoted decimal commas": lambda text: text.replace("0.5", '"0,5"'),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16 without mark": lambda text: text.encode("utf-16-le"),
    "cp1252": lambda text: text.encode("cp1252"),
    "reordered columns": cells(lambda row: [row[1], row[0], *row[2:]]),
    "row numbers": lines(lambda rows: [f"{number},{row}" for number, row in enumerate(rows)]),
    "no header": lines(lambda rows: rows[1:]),
    "header twice": lines(lambda rows: [rows[0], *rows]),
    "title above": lambda text: "sep=,\n" + text,
    "trailing spaces": lambda text: text.replace("\n", " \n"),
    "capital status": lambda text: text.replace(",ok,", ",OK,"),
    "no last line end": lambda text: text.removesuffix("\n"),
    "a copied row": lines(lambda rows: [*rows, rows[1]]),
    "cut": lambda text: text[:-2],
    "an open quote": lines(lambda rows: [*rows[:2], f'"{rows[2]}', *rows[3:]]),
}


@pytest.fixture
def published(tmp_path):
    rows = [Row("surface_dice", 0.5, "p1"), Row("dice", 1e-9, "p, 2")]
    with Ledger(tmp_path / "run", Trial, PLAN) as ledger:
        trials = [Trial(network, seed, 0.3) for seed in (0, 1) for network in ("unet", "msd")]
        for trial in trials:
            ledger.append(trial, rows, 0, "ok")
        found = ledger.table(trials)
    path = tmp_path / "trials.csv"
    ResultTable.from_rows(found, Trial, Replicates(("sä", "b"))).write(path)
    return path


@pytest.mark.parametrize("name", (*SAME, *REFUSED))
def test_a_published_table_is_read_with_the_same_meaning_or_refused(published, name):
    def values():
        found = ResultTable.read(published, Trial, 0.0)
        return records(found.frame.assign(value=0.0)), found.values("dice", Trial("unet", 0, 0.3)).to_dict()

    before = values()
    text = published.read_text(encoding="utf-8")
    new = {**SAME, **REFUSED}[name](text)
    published.write_bytes(content := new if isinstance(new, bytes) else new.encode())
    if name in SAME:
        assert values() == before
    else:
        assert new != text
        with pytest.raises(InputError, match=r"trials\.csv"):
            values()
    assert published.read_bytes() == content
