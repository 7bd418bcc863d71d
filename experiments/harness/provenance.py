"""Where numbers come from: the code, its commit, the machine, and the lines above every file of results."""

import datetime
import hashlib
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

import segjax
from segjax.training.parallel import cores

ROOT = Path(__file__).parents[2]
VERSIONS_OF = ("jax", "numpy", "scipy", "scikit-image", "scikit-learn", "torch", "opencv-python-headless")


def sources_of(study: str, folder: Path | None = None) -> dict[str, str]:
    """Hashes of the files that a study stands on, by their path: segjax, the harness, and the study itself.

    Args:
        study: its name.
        folder: where its modules lie, if not in `experiments/STUDY`.
    """
    harness, own = ROOT / "experiments" / "harness", folder or ROOT / "experiments" / study
    folders = {"segjax": Path(segjax.__file__).parent, "harness": harness, study: own}
    return {
        f"{name}/{path.relative_to(folder).as_posix()}": hashlib.sha256(path.read_bytes()).hexdigest()[:8]
        for name, folder in folders.items()
        for path in sorted(folder.rglob("*.py"))
    }


def code_of(sources: Mapping[str, str]) -> str:
    """Eight hexadecimal digits that change when any of the sources does: the version of a study's code."""
    return hashlib.sha256("".join(f"{name} {found}\n" for name, found in sorted(sources.items())).encode()).hexdigest()[
        :8
    ]


def commit() -> str:
    """The commit of this checkout, "-dirty" where files differ; of an installed package "segjax VERSION".

    A repository that happens to lie around the package is not asked.
    """
    top = _git("rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != ROOT.resolve() or _git("ls-files", "--", __file__) in (None, ""):
        return f"segjax {segjax.__version__}"
    return _git("describe", "--always", "--dirty", "--exclude", "*") or f"segjax {segjax.__version__}"


def is_committed(found: str) -> bool:
    """Whether a commit, as `commit` gives it, says all of the code."""
    return not found.endswith("-dirty")


def machine() -> str:
    """Cores in use, processor, device, and the versions that numbers and timings depend on."""
    device = jax.devices()[0]
    kind = f" {device.device_kind}" if device.device_kind != device.platform else ""
    versions = [f"{package} {found}" for package in VERSIONS_OF if (found := _version(package))]
    return (
        f"{cores()} core{'s'[: cores() > 1]} in use, {_processor()}, {device.platform}{kind}; "
        f"Python {platform.python_version()}, {', '.join(versions)}"
    )


def provenance(command: str) -> dict[str, str]:
    """Command, commit, machine and flags of XLA of numbers made here and now; take it before files are written."""
    flags = {"XLA_FLAGS": chosen} if (chosen := os.environ.get("XLA_FLAGS")) else {}
    return {"command": command, "commit": commit(), "machine": machine(), **flags}


def opening(name: str, sources: Mapping[str, str]) -> dict[str, Any]:
    """What is noted each time a results folder is opened: when, by which command and code, on which machine.

    Args:
        name: of the study or command, as in `python -m experiments.NAME`.
        sources: as `sources_of` gives them.
    """
    return {
        "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["python", "-m", f"experiments.{name}", *sys.argv[1:]]),
        "code": code_of(sources),
        "commit": commit(),
        "machine": machine(),
        "versions": {package: metadata.version(package) for package in ("jax", "flax", "optax", "numpy")},
    }


def comment(facts: Mapping[str, str]) -> str:
    """The facts as comment lines for the head of a CSV file."""
    return "".join(f"# {name}: {value}\n" for name, value in facts.items())


def _git(*arguments: str) -> str | None:
    try:
        found = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    except OSError:
        return None
    return found.stdout.strip() if found.returncode == 0 else None


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
