"""`python -m experiments` lists everything that can be run, without importing it."""

import subprocess
import sys
from pathlib import Path

from experiments.__main__ import BASE, commands, main

ROOT = Path(__file__).parents[2]


def test_every_study_command_calibration_and_benchmark_has_its_line(capsys):
    main()
    text = capsys.readouterr().out
    for name in ("annotation_errors", "few_shot", "check", "publish", "calibration.tissue", "benchmarks.packs"):
        assert f"python -m experiments.{name}\n" in text
    assert "harness" not in text and "experiments.__main__" not in text and "timing" not in text


def test_every_line_says_something():
    lines = [line for folder in (BASE, BASE / "calibration", BASE / "benchmarks") for _, line in commands(folder)]
    assert len(lines) > 15 and all(len(line) > 20 for line in lines)


def test_listing_loads_nothing_heavy():
    code = "import sys, experiments.__main__; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
