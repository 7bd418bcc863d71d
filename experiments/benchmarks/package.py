"""How large is the library's wheel, how long does its import take, and how many names has it?

    python -m experiments.benchmarks.package a691434 HEAD

The wheel of each commit is built and unpacked, and its library is imported from there. `import_s` is the time of
`import segjax.models` in a new process that has imported JAX, flax.linen and NumPy, the median of the rounds; commits
take turns. `public_names` counts the names in `__all__` of all rooms of the library, such as `segjax.models`.
`trained_weights_mb` is the part of the wheel that weights and what is said of them take.
"""

import io
import statistics
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Annotated

import tyro

from experiments.benchmarks.timing import RESULTS, Row, header_of, report, rounded
from experiments.harness.start import run_command
from segjax.types import InputError

_IMPORTED = """
import time, jax, jax.numpy, flax.linen, numpy
start = time.perf_counter()
import segjax.models
print(time.perf_counter() - start, segjax.__file__)
"""
_COUNTED = """
import importlib, pkgutil, segjax
rooms = [importlib.import_module(f"segjax.{one.name}") for one in pkgutil.iter_modules(segjax.__path__)]
print(sum(len(getattr(room, "__all__", ())) for room in rooms), segjax.__file__)
"""
MB = 1e6


def package(commits: Annotated[tuple[str, ...], tyro.conf.Positional], rounds: int = 7, out: Path = RESULTS) -> None:
    """Print a row per commit, and keep them as OUT/package.csv.

    Args:
        commits: What to measure, for example: a691434 HEAD.
        rounds: Number of times that the library of every commit is imported.
        out: Folder for the table.
    """
    if not commits or rounds < 1:
        raise InputError("commits, rounds: give at least one commit and one round")
    header, commits = header_of("package"), tuple(map(named, commits))
    with tempfile.TemporaryDirectory() as folder:
        wheels = {commit: built(commit, Path(folder) / str(place)) for place, commit in enumerate(commits)}
        places = {commit: unpacked(wheel) for commit, wheel in wheels.items()}
        times: dict[str, list[float]] = {commit: [] for commit in commits}
        for number in range(rounds + 1):
            for commit, place in places.items():
                found = answer(_IMPORTED, place)
                times[commit] += [found] if number else []  # the first import compiles the modules
        rows: list[Row] = [
            {
                "commit": commit,
                "wheel_mb": rounded(wheel.stat().st_size / MB),
                "trained_weights_mb": rounded(_weights(wheel) / MB),
                "import_s": rounded(statistics.median(times[commit])),
                "public_names": int(answer(_COUNTED, places[commit])),
            }
            for commit, wheel in wheels.items()
        ]
    report("package", header, rows, out)


def named(commit: str) -> str:
    """The number of a commit.

    Raises:
        InputError: there is no such commit.
    """
    command = ["git", "rev-parse", "--short", "--verify", "--quiet", f"{commit}^{{commit}}"]
    found = subprocess.run(command, capture_output=True, encoding="utf-8", check=False).stdout.strip()
    if not found:
        raise InputError(f"commits: there is no commit {commit!r}; give commits of this repository")
    return found


def built(commit: str, folder: Path) -> Path:
    """The wheel of a commit.

    Raises:
        InputError: it cannot be built.
    """
    archive = subprocess.run(["git", "archive", commit], capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder / "source", filter="data")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "wheel", "--no-deps"]
    made = subprocess.run(
        [*pip, "--wheel-dir", folder, folder / "source"], capture_output=True, encoding="utf-8", check=False
    )
    if made.returncode:
        raise InputError(f"commits: the wheel of {commit} cannot be built: {made.stderr.strip()}")
    (wheel,) = folder.glob("*.whl")
    return wheel


def unpacked(wheel: Path) -> Path:
    """A folder with what the wheel holds."""
    place = wheel.parent / "library"
    with zipfile.ZipFile(wheel) as files:
        files.extractall(place)
    return place


def _weights(wheel: Path) -> int:
    """Bytes of trained weights in a wheel, as they are compressed there."""
    with zipfile.ZipFile(wheel) as files:
        return sum(one.compress_size for one in files.infolist() if one.filename.startswith("segjax/pretrained/"))


def answer(code: str, library: Path) -> float:
    """The number that some lines print in a new process that imports the library from a folder."""
    begun = f"import sys; sys.path.insert(0, {str(library)!r})\n{code}"
    ended = subprocess.run(
        [sys.executable, "-c", begun], cwd=library, capture_output=True, encoding="utf-8", check=True
    )
    number, place = ended.stdout.split()
    assert Path(place).is_relative_to(library), place
    return float(number)


def main() -> None:
    """Reads the command line."""
    tyro.cli(package, description=__doc__)


if __name__ == "__main__":
    run_command(main)
