"""Light workers on one folder, in processes of their own: those of a test cannot fork, since JAX has threads."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def contend(out: Path, *options: str, **environment: str) -> dict[str, Any]:
    """What `experiments.benchmarks.workers` found."""
    done = subprocess.run(
        [sys.executable, "-m", "experiments.benchmarks.workers", str(out), *options],
        cwd=ROOT, env={**os.environ, **environment}, text=True, capture_output=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check_each_once(found: dict[str, Any]) -> None:
    """Every trial has its rows once, from the last who began it, and was begun again only after a kill."""
    for fault in ("twice", "missing", "doubled", "by_another", "ended_badly"):
        assert found[fault] == [], (fault, found)
