"""The smallest study of CONTRIBUTING.md is one: it runs as it stands there."""

import importlib.util
import re
import sys
from pathlib import Path

import pandas as pd
import pytest

from experiments.harness.run import run
from segjax.sweeps.plan import read_plan
from segjax.types import InputError

ROOT = Path(__file__).parents[1]


@pytest.fixture
def study(tmp_path, monkeypatch):
    """The study, from a folder of its own outside the checkout."""
    (text,) = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    path = tmp_path / "batch_size" / "study.py"
    path.parent.mkdir()
    path.write_text(text)
    spec = importlib.util.spec_from_file_location("batch_size_study", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module.STUDY


def test_the_smallest_study_has_at_most_sixty_lines_of_code():
    (text,) = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    assert sum(bool(line.strip()) for line in text.splitlines()) <= 60
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.slow
def test_the_smallest_study_runs_to_its_page_and_goes_on_where_it_was(study, tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"

    def command(*options):
        monkeypatch.setattr(sys, "argv", ["batch_size", "--scale", "smoke", "--out", str(out), *options])
        run(study)
        return capsys.readouterr().out

    assert "2 trials, about" in command("--plan", "--epochs", "1") and not out.exists()
    assert f"report: {out / 'report.html'}" in command("--epochs", "1")
    rows = pd.read_csv(out / "results.csv", keep_default_na=False)
    assert set(rows["batch_size"]) == {1, 4} and set(rows["status"]) <= {"ok", "collapsed"}
    assert {"dice", "iou", "hd95"} <= set(rows["metric"]) and rows["code"].nunique() == 1
    assert "batch_size/study.py" in next(iter(read_plan(out)["sources"].values()))
    page = (out / "report.html").read_text()
    assert "<h1>Batch sizes</h1>" in page and "This is the smoke scale" in page
    before = (out / "results.csv").read_bytes()
    assert "2 of 2 trials are done already; 0 to do" in command("--epochs", "1", "--resume")
    assert (out / "results.csv").read_bytes() == before
    assert "[1/1]" in command("--epochs", "1", "--batch-sizes", "1", "2", "4")
    with pytest.raises(InputError, match=r"epochs: 1 there, 2 now"):
        command("--epochs", "2")
