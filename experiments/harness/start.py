"""How every command starts and ends. Nothing heavy is loaded, since a command may begin anew at its start."""

import io
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

HUGE_PAGES = "glibc.malloc.hugetlb=1"


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
    sys.exit(2)


def run_command(main: Callable[[], None]) -> None:
    """Run a command's body; wrong input gives one message and exit code 2, an interruption says how to go on.

    Compiled programs are kept for the next run. SIGTERM is treated like Ctrl-C, so that open files are closed.
    """
    _begin_anew()
    for stream in (sys.stdout, sys.stderr):  # whatever a console cannot show must not end a command
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    from experiments.harness.compilation_cache import keep_compilations
    from segjax.files import refusal
    from segjax.types import InputError

    keep_compilations()
    try:
        main()
    except InputError as error:
        _refuse(error)
    except Exception as error:
        said = refusal(error) if isinstance(error, OSError) else _lacking_device()
        if said is None:
            raise
        _refuse(said)
    except KeyboardInterrupt:
        print("stopped; what is finished is kept, and the same command goes on from there", file=sys.stderr)
        sys.exit(130)
