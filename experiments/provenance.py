"""Where numbers come from: the lines that stand above every file of results."""

import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np


def commit() -> str:
    """The commit of the checkout this file lies in, "-dirty" where files differ; "unknown" where it is none."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or "unknown"


def machine() -> str:
    """Cores, processor, device, and the versions that numbers and timings depend on."""
    return (
        f"{os.cpu_count()} cores, {platform.machine()}, {jax.devices()[0].device_kind}; "
        f"JAX {jax.__version__}, NumPy {np.__version__}"
    )


def provenance(command: str) -> dict[str, str]:
    """Command, commit and machine of numbers made here and now; take it before files are written."""
    return {"command": command, "commit": commit(), "machine": machine()}


def comment(facts: Mapping[str, str]) -> str:
    """The facts as comment lines for the head of a CSV file."""
    return "".join(f"# {name}: {value}\n" for name, value in facts.items())
