"""How every command starts and ends. Nothing heavy is loaded, since a command may begin anew at its start."""

import contextlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import NoReturn

HUGE_PAGES = "glibc.malloc.hugetlb=1"
WRONG_INPUT, SOME_FAILED, LEFT_TO_OTHERS, REQUEUE_ME, STOPPED_BY_USER = 2, 3, 4, 75, 130  # exit codes
EXIT_CODES = """Exit codes:
0: all is done.
2: wrong input.
3: some trials failed.
4: trials are left to other processes.
75: stopped by SIGTERM or SIGUSR1; trainings saved their progress; submit the same command again.
130: stopped by Ctrl-C; the same command continues."""
STOPPING = {signal.SIGINT: STOPPED_BY_USER, signal.SIGTERM: REQUEUE_ME, signal.SIGUSR1: REQUEUE_ME}


def _is_started_by_name() -> bool:
    """Whether this process was started as `python -m` with one of our modules; no other process is ours to replace."""
    started = sys.modules["__main__"].__spec__
    return started is not None and started.name.split(".")[0] in ("experiments", "launch")


def _begin_anew() -> None:
    """Replace a process that is ours by one in huge pages that reads and writes UTF-8, where it is not one already.

    Training steps on CPU take a fifth less time in huge pages. The C library reads its settings only at its start, and
    so does Python the encoding of file names.
    """
    in_small_pages = sys.platform == "linux" and "GLIBC_TUNABLES" not in os.environ
    if (in_small_pages or sys.getfilesystemencoding() != "utf-8") and _is_started_by_name():
        os.environ.setdefault("GLIBC_TUNABLES", HUGE_PAGES)
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def _lacking_device() -> str | None:
    """What to do where JAX has no device of the kind that was asked for, which it says in many ways; None: it has."""
    import jax

    if not (chosen := os.environ.get("JAX_PLATFORMS")):
        return None
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        reason = f" (JAX says: {str(error).splitlines()[0]})" if str(error) else ""
        return (
            f"JAX_PLATFORMS: JAX finds no device of {chosen!r} on this machine{reason}; leave the variable out, or "
            "give JAX_PLATFORMS=cpu"
        )
    return None


def _refuse(reason: object) -> NoReturn:
    print(f"error: {reason}", file=sys.stderr)
    sys.exit(WRONG_INPUT)


@contextlib.contextmanager
def requeued(is_wanted: bool) -> Iterator[None]:
    """Where SLURM's warning, SIGUSR1, stops what runs within, it queues this job, or task of an array, again.

    Not where SIGTERM or SIGINT came too, before or after it: scancel and Ctrl-C must not be undone.

    Raises:
        InputError: it is wanted outside of SLURM.
    """
    from segjax.interruption import Stopped, came
    from segjax.types import InputError

    job = _slurm_job()
    if is_wanted and job is None:
        raise InputError(
            "requeue: this process is no job of SLURM (SLURM_JOB_ID is not set); leave --requeue out, or submit the "
            "command by sbatch"
        )
    try:
        yield
    except Stopped:
        if is_wanted and job and came() == {signal.SIGUSR1}:
            _queue_again(job)
        raise


def _slurm_job() -> str | None:
    """The job of this process, or its task of an array; None outside of SLURM."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID") or None


def _queue_again(job: str) -> None:
    _ignore_signals()  # SLURM ends the job that it queues again
    try:
        command = ["scontrol", "requeue", job]
        ended = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, timeout=60)
        problem = (ended.stderr.strip() or f"exit code {ended.returncode}") if ended.returncode else ""
    except FileNotFoundError:
        problem = "scontrol is not installed on this machine"
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = str(error)
    if problem:
        said = f"job {job} is not queued again ({problem}); submit the same command once more"
    else:
        said = f"job {job} is queued again"
    print(said, file=sys.stderr)


def _ignore_signals() -> None:
    for kind in STOPPING:
        signal.signal(kind, signal.SIG_IGN)


def run_command(main: Callable[[], None]) -> None:
    """Run a command's body; wrong input gives one message and exit code 2, a stop says how to go on.

    SIGTERM and SIGUSR1, with which a scheduler warns, end it with exit code 75, which asks to be queued again; Ctrl-C
    with 130. Trainings save where they are first; a second signal waits for no further checkpoint, only for the step
    and the file at hand. Compiled programs are kept for the next run.
    """
    _begin_anew()
    for stream in (sys.stdout, sys.stderr):  # whatever a console cannot show must not end a command
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    from experiments.harness.compilation_cache import keep_compilations
    from segjax.files import refusal
    from segjax.interruption import Stopped, check, request
    from segjax.types import InputError

    shown = sys.unraisablehook  # a stop within a callback of the garbage collector is no fault: the flag stays
    sys.unraisablehook = lambda dropped: None if dropped.exc_type is Stopped else shown(dropped)
    try:
        for kind in STOPPING:
            signal.signal(kind, lambda number, _: request(signal.Signals(number)))
        keep_compilations()
        try:
            main()
        except Exception:
            check()  # libraries make errors of their own of a stop
            raise
    except InputError as error:
        _refuse(error)
    except Exception as error:
        said = refusal(error) if isinstance(error, OSError) else _lacking_device()
        if said is None:
            raise
        _refuse(said)
    except Stopped as stopped:
        _ignore_signals()  # it is ending already, and the exit code stays
        kept = "what is finished is kept, and the same command continues from there"
        print(f"stopped by {stopped.signal.name}; {kept}", file=sys.stderr)
        sys.exit(STOPPING[stopped.signal])
