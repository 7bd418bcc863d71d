"""Compiled programs are kept between processes, in a folder per version and processor."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

PROGRAM = """
import jax, jax.numpy as jnp
from experiments.harness.start import run_command

def main():
    print(float(jax.jit(lambda x: jnp.sin(x) @ jnp.cos(x))(jnp.arange(5.0))))

run_command(main)
"""


def run(**environment):
    clean = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    root = Path(__file__).parents[3]
    command = [sys.executable, "-W", "error", "-c", PROGRAM]
    done = subprocess.run(command, env=clean | environment, cwd=root, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("chosen", [False, True])
def test_a_second_run_compiles_nothing(tmp_path, chosen):
    place = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path)} if chosen else {"XDG_CACHE_HOME": str(tmp_path)}
    first = run(**place)
    programs = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*-cache")}
    assert programs
    folder = next(iter(programs)).parent
    assert folder == tmp_path if chosen else folder.name.startswith(f"jax-{jax.__version__}-")
    assert run(**place) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*-cache")} == programs
