"""How every command ends: wrong input gives one message and exit code 2, an interruption says how to go on."""

import signal
import sys
from collections.abc import Callable

from rich.console import Console

from experiments.compilation_cache import keep_compilations
from segjax.types import InputError


def run_command(main: Callable[[], None]) -> None:
    """Run a command's body; compiled programs are kept for the next run.

    SIGTERM is treated like Ctrl-C, so that open files are closed.
    """
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    keep_compilations()
    errors = Console(stderr=True, highlight=False)
    try:
        main()
    except InputError as error:
        errors.print(f"error: {error}", markup=False, soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        errors.print("stopped; what is finished is kept, and the same command goes on from there", markup=False)
        sys.exit(130)
