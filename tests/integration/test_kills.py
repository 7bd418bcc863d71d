"""Studies that are killed at random moments, also while they save, end as if nobody had killed them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.kills import STUDIES, Tally, compare

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_study_1_ends_with_the_same_bits_however_it_is_killed(tmp_path):
    command = [sys.executable, "-m", "tests.integration.kills", "--kills", "3", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    said = re.search(r"kills 3, during a save (\d).*rows compared (\d+); lost 0, doubled 0", done.stdout)
    assert said and int(said[1]) >= 1 and int(said[2]) >= 60, done.stdout


def test_all_studies_can_be_killed():
    studies = {path.parent.name for path in (ROOT / "experiments").glob("*/study.py")} - {"harness"}
    assert set(STUDIES) == studies


HEADER = "study,network,seed,picture,metric,value,status,code\n"
ROW = "tiny,msd,0,p1,dice,0.5,ok,a\n"


@pytest.mark.parametrize(
    ("table", "faults"),
    [
        (HEADER + ROW, {}),
        (HEADER, {"lost": 1, "differing": 1}),
        (HEADER + ROW + ROW, {"doubled": 1, "differing": 1}),
        (HEADER + ROW.replace("0.5", "0.6"), {"differing": 1}),
    ],
)
def test_a_fault_is_seen(table, faults, tmp_path):
    (tmp_path / "report.html").touch()
    (tmp_path / "results.csv").write_text(table)
    tally = Tally()
    compare(tmp_path, {"results.csv": (HEADER + ROW).encode()}, tally)
    assert {
        name: len(getattr(tally, name)) for name in ("lost", "doubled", "differing") if getattr(tally, name)
    } == faults
    assert tally.is_sound == (not faults)
