"""Processes that work as one JAX machine: where one of them dies, the others end soon and say which one it was.

JAX itself ends the others after up to 100 s, by a C++ error of many lines that names no host, and nothing public
changes that. So every process is the child of a guard, which knows nothing of JAX. The guards are connected to that of
process 0. The system closes the connections of a process that dies at once; those of a machine that vanishes count as
closed after LOST_SECONDS.
"""

import collections
import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from experiments.harness.start import REQUEUE_ME, STOPPED_BY_USER, run_command

VARIABLE = "SEGJAX_GUARD"  # tells a child where its guard is: number of an open socket, port, token
LOST_SECONDS = 15
BLAME_SECONDS = 2.0  # for which a death is waited for after a failure, which may follow from it
SAVING_SECONDS = 10.0  # that the others have to save and end before they are killed
HELD_SECONDS = 3.0  # for which errors of a process are held back: after a death elsewhere they only follow from it
TICK_SECONDS = 0.1
STOPPED = (REQUEUE_ME, STOPPED_BY_USER)
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class Verdict(NamedTuple):
    """Why all end: the process that was the first, its host, what became of it, and the exit code of all."""

    process: int
    host: str
    what: str
    code: int

    def __str__(self) -> str:
        what = f"error: process {self.process} ({self.host}) {self.what}, so all other processes are stopping too"
        if self.code in STOPPED:
            return f"{what}; start the same command again (exit code {self.code}): it goes on from what is saved"
        return f"{what}; mend what that process printed first, then start the same command again"


class _Wire:
    """JSON values over a socket, one a line."""

    def __init__(self, link: socket.socket) -> None:
        self.link = link
        self._rest = b""

    def send(self, **message: Any) -> None:
        with contextlib.suppress(OSError):  # that the other one is gone is noticed where it is listened to
            self.link.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> Iterator[dict[str, Any]]:
        """What has come; waits where nothing has. Raises OSError where the other side is gone."""
        data = self.link.recv(65536)
        if not data:
            raise ConnectionResetError
        *lines, self._rest = (self._rest + data).split(b"\n")
        yield from map(json.loads, lines)


class Child:
    """What a guarded process says to its guard."""

    def __init__(self) -> None:
        number, self._port, self._token = os.environ.pop(VARIABLE).split(":")
        self._wire = _Wire(socket.socket(fileno=int(number)))
        self._wire.link.set_inheritable(False)
        self._noted = threading.Event()
        threading.Thread(target=self._listen, name="guard", daemon=True).start()

    def introduction(self, address: str | None = None) -> str:
        """What all others must know of this process: text of less than 1,000 characters.

        Args:
            address: where it can be reached, if that is known.
        """
        host = socket.gethostname()
        addresses = list(dict.fromkeys([*([address] if address else []), host, *_own_addresses(host)]))[:5]
        return json.dumps({"host": host, "addresses": addresses, "port": int(self._port), "token": self._token})

    def meet(self, process: int, introductions: Sequence[str]) -> None:
        """From now on the processes end together; given this one's number, and the introductions of all."""
        self._wire.send(meet=process, everyone=[json.loads(text) for text in introductions])

    def finish(self) -> None:
        """However this process ends from now on, the others need it no more."""
        self._wire.send(finished=True)

    def fail(self, what: str, code: int) -> None:
        """Say so while the connections of this process are open: what fails from their end is said later."""
        self._wire.send(failed=what, code=code)
        self._noted.wait(BLAME_SECONDS)

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                for _ in self._wire.receive():
                    self._noted.set()
        os._exit(REQUEUE_ME)  # the guard was killed, and the others are told by the end of its connections


def run(main: Callable[[Child], None]) -> None:
    """Run a command's body in a guarded process, as `run_command` does; ends this process."""
    if VARIABLE not in os.environ:
        # another program takes this one's place, so that a guard needs little memory
        os.execv(sys.executable, [sys.executable, "-m", "launch.guard", *sys.orig_argv[1:]])
    child: list[Child] = []

    def body() -> None:
        child.append(Child())
        main(child[0])

    code: Any = 0
    what = ""
    try:
        run_command(body)
    except SystemExit as ended:
        code = ended.code or 0
        what = "was stopped" if code in STOPPED else f"ended with exit code {code}"
    except BaseException as error:
        traceback.print_exc()
        code, what = 1, f"failed ({type(error).__name__}: {str(error).partition(chr(10))[0][:200]})"
    sys.stdout.flush()
    sys.stderr.flush()
    if code and child:
        child[0].fail(what, code)
    os._exit(code)  # JAX's functions at exit wait for processes that may not come


class _Guard:
    """Starts a process, watches it and the guards of the others, and ends it where one of them is gone."""

    def __init__(self, command: Sequence[str]) -> None:
        own, others = socket.socketpair()
        server, token = socket.create_server(("", 0), backlog=1024), os.urandom(16).hex()
        self._token = token
        self._process = subprocess.Popen(
            command,
            env={**os.environ, VARIABLE: f"{others.fileno()}:{server.getsockname()[1]}:{token}"},
            pass_fds=[others.fileno()],
            stderr=subprocess.PIPE,
            start_new_session=True,  # so that Ctrl-C reaches it once, through this process
        )
        others.close()
        for kind in FORWARDED:
            signal.signal(kind, lambda number, _: self._process.send_signal(number))
        assert self._process.stderr is not None
        self._errors = self._process.stderr
        os.set_blocking(self._errors.fileno(), False)
        self._held: collections.deque[tuple[float, bytes]] = collections.deque()
        self._child = _Wire(own)
        self._number = 0
        self._hosts = {0: ""}  # of the processes that this guard may name
        self._links: dict[int, _Wire] = {}  # to the guards of all others where this is process 0, else to that of 0
        self._finished: set[int] = set()
        self._suspect: tuple[float, Verdict] | None = None
        self._has_reported = False
        self._verdict: Verdict | None = None
        self._selector = selectors.DefaultSelector()
        self._selector.register(own, selectors.EVENT_READ, self._hear_child)
        self._selector.register(self._errors, selectors.EVENT_READ, self._hold)
        self._selector.register(server, selectors.EVENT_READ, lambda: self._welcome(server.accept()[0]))

    def run(self) -> int:
        """Until the process has ended, and the others where they wait for this one; the exit code."""
        while self._verdict is None and (self._process.poll() is None or self._is_awaited()):
            self._turn()
        if self._verdict is None:
            self._release(0.0)
            return self._ended_with()
        for link in self._links.values():
            link.send(verdict=self._verdict)
        self._end_process()
        if self._verdict.process == self._number or self._process.returncode == 2:  # else it follows from the verdict
            self._release(0.0)
        print(self._verdict, file=sys.stderr, flush=True)
        return self._verdict.code

    def _is_awaited(self) -> bool:
        """Whether others must hear how the process ended, or this guard from them, before it may go."""
        code = self._ended_with()
        if code == 0 or self._number in self._finished:
            if self._number not in self._finished:
                self._finish()
            return self._number == 0 and bool(self._links)
        if not self._has_reported:
            ended = self._process.returncode
            if ended < 0:
                # JAX aborts a process where it notices that another one is gone
                is_sure = ended != -signal.SIGABRT
                self._report(f"was killed by {signal.Signals(-ended).name}", REQUEUE_ME, is_sure)
            else:
                self._report(f"ended with exit code {code}", code, False)
        return bool(self._links)

    def _ended_with(self) -> int:
        code = self._process.returncode
        return 128 - code if code < 0 else code

    def _turn(self) -> None:
        for key, _ in self._selector.select(TICK_SECONDS):
            key.data()
        self._release(HELD_SECONDS)
        if self._suspect and time.monotonic() - self._suspect[0] > BLAME_SECONDS:
            self._verdict = self._verdict or self._suspect[1]

    def _hear_child(self) -> None:
        try:
            for message in self._child.receive():
                if "meet" in message:
                    self._meet(message["meet"], message["everyone"])
                elif "failed" in message:
                    self._report(message["failed"], message["code"], False)
                    self._child.send(noted=True)
                else:
                    self._finish()
        except OSError:
            self._selector.unregister(self._child.link)

    def _meet(self, number: int, everyone: list[dict[str, Any]]) -> None:
        self._number, self._hosts = number, {index: one["host"] for index, one in enumerate(everyone)}
        if number == 0:
            return
        first = everyone[0]
        for address in first["addresses"]:
            with contextlib.suppress(OSError):
                link = socket.create_connection((address, first["port"]), timeout=5)
                link.settimeout(None)
                self._add(0, _Wire(link))
                self._links[0].send(token=first["token"], process=number, host=self._hosts[number])
                return
        print(
            f"warning: process 0 ({first['host']}) cannot be reached at {', '.join(first['addresses'])}, port "
            f"{first['port']}; where it dies, this process ends only after about 100 s",
            file=sys.stderr,
        )

    def _welcome(self, link: socket.socket) -> None:
        """A guard has connected to that of process 0; it says first who it is."""
        wire = _Wire(link)

        def hear() -> None:
            self._selector.unregister(link)
            messages = wire.receive()
            try:
                hello = next(messages)
                is_known = hello["token"] == self._token
            except (OSError, ValueError, KeyError, TypeError, StopIteration):
                is_known = False
            if not is_known:
                link.close()
                return
            number = hello["process"]
            self._hosts[number] = hello["host"]  # it may come before the own process has met the others
            self._add(number, wire)
            for message in messages:  # which came together with the first one
                self._heed(number, message)

        self._selector.register(link, selectors.EVENT_READ, hear)

    def _add(self, number: int, wire: _Wire) -> None:
        wire.link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        settings = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 2, "TCP_USER_TIMEOUT": LOST_SECONDS * 1000}
        for name, value in settings.items():
            if hasattr(socket, name):
                wire.link.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        self._links[number] = wire
        self._selector.register(wire.link, selectors.EVENT_READ, lambda: self._hear(number))

    def _hear(self, number: int) -> None:
        """Something came from the guard of another process, or its connection was closed."""
        try:
            for message in self._links[number].receive():
                self._heed(number, message)
        except OSError:
            self._selector.unregister(self._links.pop(number).link)
            if number not in self._finished and self._number not in self._finished:
                self._consider(number, "is gone: it was killed, or its machine was lost", REQUEUE_ME, True)

    def _heed(self, number: int, message: dict[str, Any]) -> None:
        if "verdict" in message:
            self._verdict = Verdict(*message["verdict"])
        elif "report" in message:
            self._consider(number, *message["report"])
        else:
            self._finished.add(number)

    def _report(self, what: str, code: int, is_sure: bool) -> None:
        self._has_reported = True
        if self._number == 0:
            self._consider(0, what, code, is_sure)
        else:
            for link in self._links.values():
                link.send(report=[what, code, is_sure])

    def _consider(self, number: int, what: str, code: int, is_sure: bool) -> None:
        """A death decides; of failures, which follow from one another or from a death, the first one."""
        verdict = Verdict(number, self._hosts[number], what, code)
        if is_sure:
            self._verdict = self._verdict or verdict
        else:
            self._suspect = self._suspect or (time.monotonic(), verdict)

    def _finish(self) -> None:
        self._finished.add(self._number)
        for link in self._links.values():
            link.send(finished=True)

    def _end_process(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        until = time.monotonic() + SAVING_SECONDS
        while self._process.poll() is None:
            if time.monotonic() > until:
                self._process.kill()
            time.sleep(TICK_SECONDS)
            self._hold()  # a full pipe would stop it

    def _hold(self) -> None:
        data = self._errors.read()
        if data:
            self._held.append((time.monotonic(), data))
        elif data == b"":
            with contextlib.suppress(KeyError):
                self._selector.unregister(self._errors)

    def _release(self, held: float) -> None:
        """Show errors that came earlier than some seconds ago."""
        if not held:
            self._hold()
        while self._held and time.monotonic() - self._held[0][0] >= held:
            sys.stderr.buffer.write(self._held.popleft()[1])
            sys.stderr.flush()


def _own_addresses(host: str) -> list[str]:
    """Addresses of this machine that others may reach, as the system and its routes know them."""
    found: list[str] = []
    with contextlib.suppress(OSError):
        found += [str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing
        found.append(probe.getsockname()[0])
    return found


if __name__ == "__main__":
    sys.exit(_Guard([sys.executable, *sys.argv[1:]]).run())
