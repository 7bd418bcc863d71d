"""Commands in forked processes, which inherit all modules: a start takes no time, and JAX has not begun yet."""

import contextlib
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path


def forked(command: Callable[[], None], log: Path) -> int:
    """Run a command in a process of its own, whose output is added to a file; gives the number of the process."""
    if process := os.fork():
        return process
    code: int | str | None = 1
    try:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
        command()
        code = 0
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)
