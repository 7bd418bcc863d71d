"""How every command starts and ends. Nothing heavy is loaded, since a command may begin anew at its start."""

import os
import signal
import sys
from collections.abc import Callable

HUGE_PAGES = "glibc.malloc.hugetlb=1"


def _is_started_by_name() -> bool:
    """Whether this process was started as `python -m` with one of our modules; no other process is ours to replace."""
    started = sys.modules["__main__"].__spec__
    return started is not None and started.name.split(".")[0] in ("experiments", "launch")


def run_command(main: Callable[[], None]) -> None:
    """Run a command's body; wrong input gives one message and exit code 2, an interruption says how to go on.

    Training steps on CPU take a fifth less time in huge pages. The C library reads its settings only at its start, so
    the process is replaced by one with the setting. Compiled programs are kept for the next run. SIGTERM is treated
    like Ctrl-C, so that open files are closed.
    """
    if sys.platform == "linux" and "GLIBC_TUNABLES" not in os.environ and _is_started_by_name():
        os.environ["GLIBC_TUNABLES"] = HUGE_PAGES
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    from experiments.harness.compilation_cache import keep_compilations
    from segjax.types import InputError

    keep_compilations()
    try:
        main()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped; what is finished is kept, and the same command goes on from there", file=sys.stderr)
        sys.exit(130)
