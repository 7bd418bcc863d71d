"""A stop that is asked for from outside: a flag that long work looks at, beside the exception that ends other work.

An exception alone is not enough: Python drops those that a signal handler raises in a callback of the garbage
collector. A flag alone is not enough either: most code never looks at one.
"""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator

ONE_STOP_SECONDS = 1.0  # signals so close together are one request, which a parent process passes on as well


class Stopped(BaseException):
    """Work ends since a signal asked for it. No Exception, so that nothing takes it for a fault of a trial.

    Attributes:
        signal: the first that came.
        anywhere: it came by itself, in the middle of anything, not since somebody looked.
    """

    def __init__(self, kind: signal.Signals, anywhere: bool) -> None:
        super().__init__(f"stopped by {kind.name}")
        self.signal, self.anywhere = kind, anywhere


class _Request:
    """What was asked of this process."""

    kind: signal.Signals | None = None
    since, is_second = 0.0, False
    regions = 0  # of `later` that the main thread is in

    def __init__(self) -> None:
        self.came = set[signal.Signals]()


_request = _Request()


def request(kind: signal.Signals) -> None:
    """Ask for a stop; for handlers of signals, which run in the main thread.

    Raises:
        Stopped: at once, except within `later`; also there where it is asked for once more.
    """
    first = _request.kind is None
    _request.came.add(kind)
    if first:
        _request.kind, _request.since = kind, time.monotonic()
    elif time.monotonic() - _request.since > ONE_STOP_SECONDS:
        _request.is_second = True
    if not _request.regions or _request.is_second:
        raise Stopped(_request.kind or kind, anywhere=True)


def check() -> None:
    """Look whether a stop was asked for; from any thread.

    Raises:
        Stopped: it was.
    """
    if _request.kind is not None:
        raise Stopped(_request.kind, anywhere=False)


def check_second() -> None:
    """Look whether a stop was asked for a second time, so that nothing more is saved; from any thread.

    Raises:
        Stopped: it was.
    """
    if _request.is_second and _request.kind is not None:
        raise Stopped(_request.kind, anywhere=True)


def came() -> frozenset[signal.Signals]:
    """All signals that asked for a stop, the first and those after it."""
    return frozenset(_request.came)


@contextlib.contextmanager
def later() -> Iterator[None]:
    """Within, a stop only sets the flag: what runs here looks at it with `check`, or is over soon.

    Raises:
        Stopped: at the end of the outermost region, where a stop was asked for within.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread is interrupted
        yield
        return
    _request.regions += 1
    try:
        yield
    finally:
        _request.regions -= 1
    if not _request.regions:
        check()
