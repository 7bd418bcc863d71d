"""One study over the devices of this machine.

    python -m launch.local annotation_errors -- --scale demo --out runs/x

The command starts the study several times with one --out, and the processes take turns at its trials. Every GPU gets a
process of its own. Without GPUs every process gets equally many physical cores. Linux only.
"""

import argparse
import itertools
import os
import pkgutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import tyro

import experiments
from experiments.harness.start import run_command
from segjax.types import InputError

SHOWN_LINES = 15  # of the log of a process that failed
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class LocalConfig:
    """Run a study in several processes on this machine. The study's own options follow after a lone --."""

    study: tyro.conf.Positional[str]
    """The study: annotation_errors or experiments.annotation_errors."""
    processes: int | None = None
    """Number of processes. Default: one per GPU; without GPUs, one per physical core."""


@dataclass(frozen=True)
class Place:
    """Where one process runs: the processors it may use, and the variables that show it its device."""

    processors: frozenset[int]
    variables: Mapping[str, str]

    def __str__(self) -> str:
        shown = [f"{name}={value}" for name, value in self.variables.items()]
        return ", ".join(shown) or f"processors {', '.join(map(str, sorted(self.processors)))}"


def main() -> None:
    """Parse, start the processes, watch them, say where the report is."""
    arguments = sys.argv[1:]
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = arguments[end + 1 :]
    config = tyro.cli(LocalConfig, prog="python -m launch.local", args=arguments[:end])
    command = [sys.executable, "-m", study_module(config.study), *options]
    out = out_of(options)
    spread = places(config.processes, visible_gpus(), physical_cores())
    page = out / "report.html"
    before = page.stat().st_mtime_ns if page.exists() else None
    code = run_all(command, spread, out / "logs")
    if code:
        sys.exit(code)
    if page.exists() and page.stat().st_mtime_ns != before:
        print(f"report: {page}")
    else:
        print(f"no report was written; {out / 'logs'} says why")


def study_module(name: str) -> str:
    """The module of a study, given with or without "experiments.".

    Raises:
        InputError: there is no such study; lists those that there are.
    """
    base = Path(experiments.__path__[0])
    studies = [found.name for found in pkgutil.iter_modules([str(base)]) if (base / found.name / "study.py").exists()]
    short = name.removeprefix("experiments.")
    if short not in studies:
        raise InputError(f"study: unknown {name!r}; choose one of {', '.join(studies)}")
    return f"experiments.{short}"


def out_of(options: Sequence[str]) -> Path:
    """The results folder among the study's options.

    Raises:
        InputError: there is none.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--out", type=Path)
    out = parser.parse_known_args(options)[0].out
    if out is None:
        raise InputError("out: give the study's options after a lone --, --out DIR among them")
    return out


def places(processes: int | None, gpus: Sequence[str], cores: Sequence[frozenset[int]]) -> list[Place]:
    """One place per process: a GPU each where there are any, else physical cores divided as evenly as they go.

    Args:
        processes: how many; None for as many as there are GPUs or cores.
        gpus: names as in CUDA_VISIBLE_DEVICES.
        cores: the processors (hardware threads) of every physical core.

    Raises:
        InputError: fewer than one process, or more than GPUs or cores.
    """
    most, what = (len(gpus), "GPUs") if gpus else (len(cores), "physical cores")
    count = most if processes is None else processes
    if not 1 <= count <= most:
        raise InputError(f"processes: {count} is not from 1 to {most}, the number of {what} here")
    if gpus:
        return [Place(frozenset().union(*cores), {"CUDA_VISIBLE_DEVICES": gpu}) for gpu in gpus[:count]]
    bounds = [index * most // count for index in range(count + 1)]
    return [Place(frozenset().union(*cores[first:last]), {}) for first, last in itertools.pairwise(bounds)]


def visible_gpus() -> list[str]:
    """Names of the GPUs that JAX would use, as in CUDA_VISIBLE_DEVICES; empty where it would use the CPU.

    Raises:
        InputError: JAX finds no device, or would use neither CPU nor CUDA GPUs.
    """
    # asked in another process: this one must not hold the GPUs' memory
    question = "import jax; print(jax.default_backend(), jax.local_device_count())"
    answer = subprocess.run([sys.executable, "-c", question], stdout=subprocess.PIPE, encoding="utf-8", check=False)
    if answer.returncode:
        raise InputError("study: JAX finds no device here, as said above; check JAX_PLATFORMS and the installation")
    backend, count = answer.stdout.split()[-2:]
    if backend == "cpu":
        return []
    if backend != "gpu":
        raise InputError(f"study: on a {backend} start the study itself; only CPUs and CUDA GPUs are divided here")
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return (named.split(",") if named else [str(index) for index in range(int(count))])[: int(count)]


def physical_cores() -> list[frozenset[int]]:
    """The processors of every physical core, of those that this process may use."""
    cores: dict[str, set[int]] = {}
    for processor in sorted(os.sched_getaffinity(0)):
        siblings = Path(f"/sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list")
        cores.setdefault(siblings.read_text(encoding="utf-8") if siblings.exists() else str(processor), set()).add(
            processor
        )
    return [frozenset(core) for core in cores.values()]


def run_all(command: Sequence[str], spread: Sequence[Place], logs: Path) -> int:
    """Run the command once per place until all have ended, showing what the first one prints.

    What process i prints is added to `logs`/process-i.log. Interrupted, it ends all of them.

    Returns:
        0, or the exit code of the first process that failed (128 + N where signal N ended it).

    Raises:
        InputError: the logs cannot be written.
    """
    try:
        logs.mkdir(parents=True, exist_ok=True)
        paths = [logs / f"process-{number}.log" for number in range(1, len(spread) + 1)]
        files = [path.open("ab") for path in paths]
    except OSError as error:
        raise InputError(f"out: cannot write in {logs} ({error.strerror}); choose another folder") from error
    sizes = [path.stat().st_size for path in paths]  # what earlier runs printed
    running: dict[int, subprocess.Popen] = {}
    try:
        for number, (place, file) in enumerate(zip(spread, files, strict=True), 1):
            running[number] = _start(command, place, file)
            print(f"process {number}: {place}, log {paths[number - 1]}", flush=True)
        with paths[0].open("rb") as first:
            first.seek(sizes[0])
            return _watch(running, first, list(zip(paths, sizes, strict=True)))
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait()
        for file in files:
            file.close()


def _start(command: Sequence[str], place: Place, log: BinaryIO) -> subprocess.Popen:
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, place.processors)  # a process inherits this from the one that starts it
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **place.variables},
            start_new_session=True,  # so that Ctrl-C reaches it once, through this process
        )
    finally:
        os.sched_setaffinity(0, own)


def _watch(running: dict[int, subprocess.Popen], first: BinaryIO, logs: Sequence[tuple[Path, int]]) -> int:
    """Take ended processes out of `running` until it is empty; the first failure's exit code, or 0.

    Args:
        first: the log of the first process, to be shown.
        logs: the log of every process, and where in it this run begins.
    """
    failure, told = 0, set()
    while running:
        time.sleep(POLL_SECONDS)
        ended = {number: code for number, process in running.items() if (code := process.poll()) is not None}
        sys.stdout.write(first.read().decode(errors="replace"))
        sys.stdout.flush()
        for number, code in ended.items():
            del running[number]
            if code == 0:
                continue
            code = 128 - code if code < 0 else code
            failure = failure or code
            path, start = logs[number - 1]
            lines = path.read_bytes()[start:].decode(errors="replace").splitlines()[-SHOWN_LINES:]
            print(f"process {number} ended with exit code {code}; see {path}", file=sys.stderr)
            if number > 1 and tuple(lines) not in told:  # what the first one printed has been seen
                print("\n".join(f"    {line}" for line in lines), file=sys.stderr)
            told.add(tuple(lines))
    return failure


if __name__ == "__main__":
    run_command(main)
