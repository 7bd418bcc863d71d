"""How long commands take, each in a process of its own, from its start to its end."""

import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

from experiments.harness.provenance import ROOT
from segjax.types import InputError


class Timed(NamedTuple):
    """A command that ended well.

    Attributes:
        seconds: by the clock.
        processor_seconds: of all its threads, which other work on the machine lengthens less.
        said: the end of what it printed.
    """

    seconds: float
    processor_seconds: float
    said: str


def timed(name: str, options: Sequence[str]) -> Timed:
    """Run `python -m experiments.NAME` with some options.

    Raises:
        InputError: what the command says where it fails.
    """
    used, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", f"experiments.{name}", *options],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    seconds, since = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise InputError(f"{name}: {done.stderr.strip()}")
    return Timed(seconds, since.ru_utime + since.ru_stime - used.ru_utime - used.ru_stime, done.stdout[-1000:])
