"""Where numbers come from: the lines that stand above every file of results."""

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import jax

from segjax.training import cores

VERSIONS_OF = ("jax", "numpy", "scipy", "scikit-image", "scikit-learn", "torch", "opencv-python-headless")


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
    """Cores in use, processor, device, and the versions that numbers and timings depend on."""
    device = jax.devices()[0]
    versions = [f"{package} {found}" for package in VERSIONS_OF if (found := _version(package))]
    return (
        f"{cores()} cores in use, {_processor()}, {device.platform} {device.device_kind}; "
        f"Python {platform.python_version()}, {', '.join(versions)}"
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def provenance(command: str) -> dict[str, str]:
    """Command, commit, machine and flags of XLA of numbers made here and now; take it before files are written."""
    flags = {"XLA_FLAGS": chosen} if (chosen := os.environ.get("XLA_FLAGS")) else {}
    return {"command": command, "commit": commit(), "machine": machine(), **flags}


def comment(facts: Mapping[str, str]) -> str:
    """The facts as comment lines for the head of a CSV file."""
    return "".join(f"# {name}: {value}\n" for name, value in facts.items())
