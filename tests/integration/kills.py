"""Kills a study at random moments until it is done, again and again, and compares what it left with an unkilled run.

    python -m tests.integration.kills --study annotation_errors --kills 30

The study runs at its smallest and saves a checkpoint after every epoch. A process is killed (SIGKILL) at a moment that
is drawn evenly over half the length of a whole run, every other one not then but at the next sight of a file that is
being written. The same command goes on in the same folder until the study is done; then the next folder begins.
Whatever is there of the finished ones is compared byte for byte with a run without kills. The exit code is 1 where
anything was lost, doubled, failed or differs.
"""

import csv
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro

from experiments.harness.run import run
from experiments.harness.start import run_command
from tests.integration.forked import forked

CELLS = "microscope:hl60?size=sixth&volumes=4&slices=1&crop=48"
MIXED = "microscope:mixed?size=sixth&volumes=8&slices=2&crop=48"
MOUNDS = "terrain:mounds?pixels=64&metres=6.64&sheets=4&pictures=4&without=1"
SMALL_UNET = ("--sizes.unet-width", "2", "--sizes.unet-levels", "1")
STUDIES = {
    "annotation_errors": (
        "--data", CELLS, "--networks", "msd", "--sizes.msd-depth", "1", "--train.epochs", "4",
        "--errors", "omission", "bias", "--seeds", "2",
    ),
    "annotation_budget": (
        "--data", MIXED, *SMALL_UNET, "--train.epochs", "2", "--arms", "careful", "repaired",
        "--budgets", "0.3",
    ),
    "annotation_upgrade": (
        "--data", MIXED, *SMALL_UNET, "--train.epochs", "2", "--questions", "quality", "rivals",
        "--rivals", "mean_teacher",
    ),
    "few_shot": (*SMALL_UNET, "--train.epochs", "2"),
    "activation_maps": (
        "--data", MOUNDS, "--folds", "4", "--classifiers", "msd_classifier", "--classifier-sizes.msd-depth", "2",
        "--train.epochs", "3", "--test-pictures", "2", "--threshold-pictures", "1", "--maps", "cam", "grad_cam",
        "--maps-over-training", "cam",
    ),
    "site_segmentation": (
        "--data", MOUNDS, "--folds", "4", "--classifiers", "msd_classifier", "--classifier-sizes.msd-depth", "2",
        *SMALL_UNET, "--classify.epochs", "2", "--train.epochs", "2",
    ),
}  # fmt: skip
SHARED = ("--scale", "smoke", "--strategy", "sequential", "--checkpoint-every", "1epochs")
COMPARED = ("results.csv", "trials", "networks", "splits", "examples")
PATIENCE = 600  # seconds that one start of a study may take
GLANCE = 0.0005  # seconds between two looks at a folder


@dataclass(frozen=True)
class Options:
    study: Literal[*STUDIES] = "annotation_errors"  # type: ignore[valid-type]
    """Which study is killed."""
    kills: int = 30
    """How many processes are killed."""
    seed: int = 0
    """Chooses the moments."""
    out: Path | None = None
    """Folder for the runs, kept at the end. Default: a temporary one."""


@dataclass
class Tally:
    """What the kills did; all but the first four should stay empty."""

    kills: int = 0
    in_saves: Counter[str] = field(default_factory=Counter)
    finished: int = 0
    rows: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        return not (self.lost or self.doubled or self.failed or self.differing)

    def __str__(self) -> str:
        places = ", ".join(f"{count} {place}" for place, count in self.in_saves.most_common())
        found = {name: getattr(self, name) for name in ("lost", "doubled", "failed", "differing")}
        lines = [
            f"kills {self.kills}, during a save {self.in_saves.total()} ({places}); runs finished {self.finished}, "
            f"rows compared {self.rows}; " + ", ".join(f"{name} {len(those)}" for name, those in found.items())
        ]
        return "\n".join(lines + [f"{name}: {one}" for name, those in found.items() for one in those])


def begin(study: str, out: Path) -> int:
    """Fork a process that runs the study in a folder; it inherits all modules, and JAX has not begun yet."""

    def command() -> None:
        sys.argv = [study, *SHARED, *STUDIES[study], "--out", str(out)]
        run_command(lambda: run(importlib.import_module(f"experiments.{study}.study").STUDY))

    return forked(command, out.with_suffix(".log"))


def ended(process: int) -> int | None:
    """The exit code of a process; None while it runs."""
    found, status = os.waitpid(process, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def unfinished(out: Path) -> set[str]:
    """Files and folders that are being written, or were when a process was killed."""
    return {
        os.path.relpath(os.path.join(folder, name), out)
        for folder, folders, files in os.walk(out)
        for name in (*folders, *files)
        if name.endswith(".unfinished") or ".orbax-checkpoint-tmp" in name
    }


def kill(process: int, out: Path, moment: float, in_save: bool) -> int | set[str]:
    """Wait and kill; what was being written then, or the exit code of a process that was faster."""
    before, start = unfinished(out), time.monotonic()
    while (now := time.monotonic() - start) < moment or (in_save and not unfinished(out) - before):
        if (code := ended(process)) is not None:
            return code
        if now > PATIENCE:
            break
        time.sleep(GLANCE)
    os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    code = os.waitstatus_to_exitcode(status)
    if now > PATIENCE:
        raise RuntimeError(f"{out}: hung for {PATIENCE} s")
    return unfinished(out) - before if code == -signal.SIGKILL else code


def files(out: Path, places: tuple[str, ...]) -> dict[str, bytes]:
    """The finished files of some places, by their paths in the folder."""
    found = [path for place in places for path in (out / place, *(out / place).glob("*")) if path.is_file()]
    return {str(path.relative_to(out)): content(path) for path in found if not path.name.endswith(".unfinished")}


def content(path: Path) -> bytes:
    """The bytes of a file; of safetensors with the header's names in order, which the library writes in any."""
    data = path.read_bytes()
    if path.suffix != ".safetensors":
        return data
    end = 8 + int.from_bytes(data[:8], "little")
    return json.dumps(json.loads(data[8:end]), sort_keys=True).encode() + data[end:]


def keys(results: bytes) -> Iterator[str]:
    """What each row of a table is about, without its value."""
    for row in csv.DictReader(results.decode().splitlines()):
        yield ",".join(value for name, value in row.items() if name not in ("value", "status", "code"))


def compare(out: Path, whole: dict[str, bytes], tally: Tally) -> None:
    """Hold a finished folder against a run that nobody killed."""
    found = files(out, COMPARED)
    expected, got = Counter(keys(whole["results.csv"])), Counter(keys(found.get("results.csv", b"")))
    tally.finished += 1
    tally.rows += got.total()
    tally.lost += [f"{out}: {key}" for key in expected - got]
    tally.doubled += [f"{out}: {key}" for key in got - expected]
    tally.differing += [f"{out / name}" for name in sorted({*found, *whole}) if found.get(name) != whole.get(name)]
    if not (out / "report.html").is_file():
        tally.differing.append(f"{out / 'report.html'} is missing")


def attempt(study: str, out: Path, moment: float, in_save: bool, tally: Tally) -> bool:
    """Start the study in a folder and kill it; True where it was faster and is done."""
    before = files(out, ("trials",))
    process = begin(study, out)
    outcome = kill(process, out, moment, in_save)
    after = files(out, ("trials",))
    tally.lost += [f"{out / name} after a kill" for name in before if after.get(name) != before[name]]
    tally.failed += [f"{out / name}" for name in after if name.endswith(".failed")]
    if not isinstance(outcome, int):
        tally.kills += 1
        for path in list(outcome)[:1]:
            tally.in_saves[path.lstrip(".").partition("/")[0].partition(".")[0]] += 1
        return False
    if outcome:
        tally.failed.append(f"{out}: exit code {outcome}, see {out.with_suffix('.log')}")
    return True


def torment(study: str, kills: int, seed: int, folder: Path) -> Tally:
    """All kills of a study, in as many folders as it takes."""
    importlib.import_module(f"experiments.{study}.study")
    tally, chance = Tally(), random.Random(seed)
    for name in ("warm", "whole"):  # the first one compiles
        start = time.monotonic()
        if not attempt(study, folder / name, PATIENCE, False, tally) or tally.failed:
            raise RuntimeError(f"the run without kills failed; see {folder / name}.log")
    length, whole = time.monotonic() - start, files(folder / "whole", COMPARED)
    print(f"{study}: {length:.1f} s without kills, {len(files(folder / 'whole', ('trials',)))} trials", flush=True)
    number, is_done = 0, False
    while tally.kills < kills or not is_done:
        out = folder / f"run-{number}"
        moment = chance.uniform(0, length / 2) if tally.kills < kills else PATIENCE
        is_done = attempt(study, out, moment, bool(tally.kills % 2) and tally.kills < kills, tally)
        if is_done:
            compare(out, whole, tally)
            number += 1
            if not tally.is_sound:
                break
    return tally


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    folder = options.out or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    tally = torment(options.study, options.kills, options.seed, folder)
    print(f"{options.study}: {tally}")
    if options.out is None and tally.is_sound:
        shutil.rmtree(folder)
    sys.exit(not tally.is_sound)


if __name__ == "__main__":
    main()
