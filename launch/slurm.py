"""Run a study as a SLURM array: write the batch script and submit it.

    python -m launch.slurm annotation_errors --tasks 8 --gpus 1 -- --scale paper --out /shared/runs/paper

Every task is a worker. It takes the next trial that no other worker has, until none is left. Tasks are interchangeable,
so any part of the array can be submitted again: sbatch --array=2,3 OUT/slurm/submit.sh.
"""

import importlib
import inspect
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from experiments.harness.parsing import parse
from experiments.harness.start import run_command
from launch.study import given, refuse_alone, split, study_module
from segjax.files import write_file
from segjax.types import InputError

LEAST_TIME_LIMIT = 60  # SLURM keeps limits, and warns before their end, to the minute
MOST_WARNING = 65535  # seconds
LISTED_BY = {"partition": "sinfo", "account": "sacctmgr show associations user=$USER"}
SUBMITTED = """Exit codes:
0: all tasks are queued, or the script is printed.
2: wrong input, or SLURM refuses.
Those of the tasks, as sacct shows them, are the study's; its --help names them."""


@dataclass(frozen=True)
class SlurmConfig:
    """Submit a study as a SLURM array. The study's own options follow after a lone --.

    sbatch takes further options from the environment: SBATCH_QOS=long, SBATCH_CONSTRAINT=a100.
    """

    study: tyro.conf.Positional[str]
    """The study: annotation_errors or experiments.annotation_errors."""
    tasks: int = 8
    """Number of workers. If one array cannot hold them, several arrays are submitted."""
    at_once: int | None = None
    """Largest number of workers that run at the same time. Default: as many as the cluster allows."""
    time: str = "24:00:00"
    """Time limit of a task: HH:MM:SS or D-HH:MM:SS. A task that reaches it saves a checkpoint and is queued again."""
    cpus: int = 4
    """Processor cores of a task."""
    memory: str = "16G"
    """Memory of a task, written as 16G or 800M."""
    gpus: int = 0
    """GPUs of a task."""
    partition: str | None = None
    """Partition. Default: that of the cluster."""
    account: str | None = None
    """Account to charge, if the cluster needs one."""
    warn: int = 300
    """Seconds before the time limit at which a worker is told to save a checkpoint and queue itself again."""
    dry_run: bool = False
    """Print the script; write and submit nothing."""


def main() -> None:
    """Parse both groups of options, write the script, submit it."""
    own, options = split(sys.argv[1:])
    description = f"{inspect.getdoc(SlurmConfig)}\n\n{SUBMITTED}"
    config = tyro.cli(SlurmConfig, prog="python -m launch.slurm", description=description, args=own)
    check(config)
    command, out = worker(config.study, options)
    text = script(config, command, out)
    if config.dry_run:
        print(text, end="")
        return
    path = out / "slurm" / "submit.sh"
    (out / "logs").mkdir(parents=True, exist_ok=True)  # SLURM ends a task whose log it cannot open
    write_file(path, text)
    for number, tasks in submit(config, path):
        print(f"submitted array {number}: {tasks} tasks, logs {out / 'logs'}/slurm-{number}_*.log", flush=True)
    print(f"watch it: python -m launch.status {shlex.quote(str(out))} --watch 30")
    print(f"submit a part again: sbatch --array=2,3 {shlex.quote(str(path))}")


def check(config: SlurmConfig) -> None:
    """Refuse what SLURM would refuse late, or would understand in another way.

    Raises:
        InputError: names the option and what it may be.
    """
    counts = (("tasks", config.tasks, 1), ("cpus", config.cpus, 1), ("gpus", config.gpus, 0), ("warn", config.warn, 1))
    for name, number, least in counts:
        if number < least:
            raise InputError(f"{name}: must be at least {least}, not {number}")
    if config.at_once is not None and config.at_once < 1:
        raise InputError(f"at-once: must be at least 1, not {config.at_once}")
    if not re.fullmatch(r"\d+[KMGT]", config.memory):
        raise InputError(f"memory: {config.memory!r} is not a number with a unit, such as 16G or 800M")
    for name, text in (("partition", config.partition), ("account", config.account)):
        if text is not None and not re.fullmatch(r"[\w.,@+-]+", text):
            raise InputError(f"{name}: {text!r} is not a name that SLURM could give; {LISTED_BY[name]} lists the names")
    if config.warn > MOST_WARNING:
        raise InputError(f"warn: SLURM warns at most {MOST_WARNING} seconds before the end, not {config.warn}")
    if config.warn + LEAST_TIME_LIMIT > seconds_of(config.time):
        raise InputError(
            f"warn: a warning {config.warn} seconds before the end of {config.time} leaves less than a minute to "
            "work; give a smaller --warn or a larger --time"
        )


def seconds_of(time: str) -> int:
    """Seconds of a time limit as SLURM writes it.

    Raises:
        InputError: it is neither HH:MM:SS nor D-HH:MM:SS.
    """
    found = re.fullmatch(r"(?:(\d+)-)?(\d+):([0-5]\d):([0-5]\d)", time)
    if found is None:
        raise InputError(f"time: {time!r} is not HH:MM:SS or D-HH:MM:SS; give for example 24:00:00 or 2-00:00:00")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def worker(study: str, options: Sequence[str]) -> tuple[list[str], Path]:
    """The command of every task, and the results folder; the study's own parser has accepted the options.

    Raises:
        InputError: an unknown study, or options that it does not take or that workers of an array must not have.
        SystemExit: the parser refused an option and said why.
    """
    module = study_module(study)
    refuse_alone(module, options)
    run = parse(importlib.import_module(f"{module}.study").STUDY, options).run
    if run.shard != "1/1":
        raise InputError("shard: every task would take the same shard; leave --shard out, as tasks take turns")
    if not str(run.out).isprintable():
        raise InputError(f"out: {str(run.out)!r} has characters that a batch script cannot hold; choose another folder")
    own = [] if given(options, ["--no-requeue"]) or run.requeue else ["--requeue"]
    return [sys.executable, "-m", module, *options, *own], run.out.absolute()


def script(config: SlurmConfig, command: Sequence[str], out: Path) -> str:
    """The batch script of one array; further arrays are this script with another --array."""
    logs = str(out / "logs").replace("%", "%%")  # SLURM fills in what follows a %
    options = [
        f"--job-name=segjax-{config.study.removeprefix('experiments.')}",
        f"--array={array(config.tasks, config.at_once)}",
        f"--time={config.time}",
        f"--cpus-per-task={config.cpus}",
        f"--mem={config.memory}",
        *([f"--gres=gpu:{config.gpus}"] if config.gpus else []),
        *([f"--partition={config.partition}"] if config.partition else []),
        *([f"--account={config.account}"] if config.account else []),
        "--requeue",
        f"--signal=B:USR1@{config.warn}",
        "--open-mode=append",
        f"--output={shlex.quote(f'{logs}/slurm-%A_%a.log')}",
    ]
    return "\n".join(
        [
            "#!/bin/bash",
            *(f"#SBATCH {option}" for option in options),
            "",
            "# Tasks are alike: any part of the array may be submitted again, as sbatch --array=2,3 and this file.",
            f"cd {shlex.quote(str(Path.cwd()))} || exit 1",
            "# exec: the warning before the time limit goes to this process only, which must be the worker",
            f"exec {shlex.join(command)}",
            "",
        ]
    )


def array(tasks: int, at_once: int | None) -> str:
    """The indices of an array of this many tasks, of which only some may run at a time."""
    return f"1-{tasks}" + (f"%{at_once}" if at_once else "")


def submit(config: SlurmConfig, path: Path) -> Iterator[tuple[str, int]]:
    """Submit the script in as few arrays as the cluster allows; the number and the tasks of each, once it is queued.

    Where only some tasks may run at a time, an array waits for the one before it.

    Raises:
        InputError: SLURM refuses, or is not here.
    """
    most = largest_array() or config.tasks
    before = ""
    for first in range(0, config.tasks, most):
        tasks = min(most, config.tasks - first)
        waiting = [f"--dependency=afterany:{before}"] if before and config.at_once else []
        command = ["sbatch", "--parsable", f"--array={array(tasks, config.at_once)}", *waiting, str(path)]
        before = asked(command, f"{first} of {config.tasks} tasks are queued").split(";")[0].strip()
        yield before, tasks


def largest_array() -> int | None:
    """Most tasks of an array on this cluster, whose indices begin at 1; None where it does not say.

    Raises:
        InputError: SLURM is not here, or does not answer.
    """
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", asked(["scontrol", "show", "config"], "nothing is queued"), re.M)
    if found is None:
        return None
    if int(found[1]) < 2:  # indices lie below this number
        raise InputError(
            "tasks: this cluster does not accept arrays (MaxArraySize); submit single jobs of the study itself"
        )
    return int(found[1]) - 1


def asked(command: Sequence[str], state: str) -> str:
    """What a command of SLURM answers.

    Args:
        state: how far the submission has come, for the message.

    Raises:
        InputError: the command is not here, or fails.
    """
    try:
        ended = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    except FileNotFoundError as error:
        raise InputError(
            f"{command[0]}: was not found ({state}); give the command on a machine that submits to a SLURM cluster, "
            "or print the script with --dry-run"
        ) from error
    if ended.returncode:
        said = ended.stderr.strip() or f"exit code {ended.returncode}"
        raise InputError(f"{shlex.join(command)}: SLURM refuses ({state}): {said}")
    return ended.stdout


if __name__ == "__main__":
    run_command(main)
