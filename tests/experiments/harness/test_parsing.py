"""Options of studies are read before anything heavy is loaded, and mean what they mean to the study itself."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from experiments.harness.parsing import Grid, parse
from experiments.publish import study_names, study_of

ROOT = Path(__file__).parents[3]
HEAVY = ("matplotlib", "scipy.stats", "orbax.checkpoint", "jinja2")


@pytest.mark.parametrize("name", study_names())
def test_a_grid_declares_what_its_study_has(name):
    grid, study = import_module(f"experiments.{name}.grid"), study_of(name)
    declared = Grid(name, grid.BASE, grid.SCALES)
    for part in ("name", "config", "base", "scales"):
        assert getattr(declared, part) == getattr(study, part)
    args = ["--scale", "reduced", "--seeds", "3", "--out", "x"]
    assert parse(declared, args) == parse(study, args)


@pytest.mark.slow
def test_typing_errors_are_told_before_anything_heavy_is_loaded():
    code = f"""
import importlib, sys
for name in {study_names()}:
    for wrong in (["--no-such-option"], ["--seeds", "many"], ["--seeds", "0", "--out", "x"], ["--scale", "huge"]):
        sys.argv = [name, *wrong]
        try:
            importlib.import_module(f"experiments.{{name}}.__main__").main()
        except (SystemExit, Exception) as error:
            print(type(error).__name__, getattr(error, "code", error))
print([module for module in {HEAVY} if module in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    *ended, heavy = done.stdout.splitlines()
    every = ["SystemExit 2", "SystemExit 2", "InputError seeds must be from 1 to 1000, not 0"]
    every += ["InputError scale: unknown 'huge'; choose one of smoke, demo, reduced, paper"]
    assert ended == every * len(study_names()) and heavy == "[]"
