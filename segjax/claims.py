"""Who works on what in a folder that several processes share, also of several machines.

A claim is a directory: making one is exclusive on every disk, while file locks are on some mounts only known to the
machine that takes them. Under FOLDER/.claims, `taken/NAME/1`, `taken/NAME/2`, ... are the claims of NAME, of which the
last one counts, and `workers/ID` and `workers/ID.beat` are a process: what it is, and a counter that moves while it
lives. A process of this machine that has died is known at once, one of another when its counter has not moved for a
while of the observer's own clock, so that clocks may differ.
"""

import contextlib
import itertools
import json
import os
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segjax.files import PATIENCE, explained, patiently, write_file

BEAT_SECONDS = 10.0
EXPIRY_SECONDS = 120.0
_DEAD = ("Z", "X")  # states of a process that has ended
_RELEASED = "released"


@dataclass(frozen=True)
class Holder:
    """Who holds a claim, by this machine's clock.

    Attributes:
        name: of the claim.
        host, pid: of the process; empty and 0 where it is not known.
        age: seconds since its last beat.
        held: seconds since it made the claim.
        is_stale: the process has ended, or no beat came for longer than claims last.
    """

    name: str
    host: str
    pid: int
    age: float
    held: float
    is_stale: bool


class Claims:
    """What this process works on in a folder, and what others do; a process opens a folder once."""

    def __init__(self, folder: Path, beat: float = BEAT_SECONDS, expiry: float = EXPIRY_SECONDS) -> None:
        """Nothing is written before the first claim.

        Args:
            beat: seconds between two beats of this process.
            expiry: seconds after which a process of another machine that shows no beat counts as dead.
        """
        self._taken, self._workers = folder / ".claims" / "taken", folder / ".claims" / "workers"
        self._beat, self._expiry = beat, expiry
        self._id = uuid.uuid4().hex
        self._held: dict[str, Path] = {}
        self._seen: dict[str, tuple[bytes, float, bool]] = {}  # by process: beat, since when it is seen, if it moved
        self._stop = threading.Event()
        self._heart: threading.Thread | None = None

    def __enter__(self) -> "Claims":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def take(self, name: str) -> bool:
        """Claim a name, which must be fit for a file's, until it is released or this process ends.

        Returns:
            False where another process has it.

        Raises:
            InputError: the folder cannot be written.
        """
        if name in self._held:
            return True
        own = patiently(self._taken / name, lambda: self._made(self._taken / name), PATIENCE)
        if own is not None:
            self._held[name] = own
        return own is not None

    def _made(self, place: Path) -> Path | None:
        """A new claim, or None where another process has it."""
        with explained(self._taken):
            self._begin()
            try:
                place.mkdir(parents=True, exist_ok=True)
                last = _last(place)
                if last and not self._is_free(place / str(last)):
                    return None
                own = place / str(last + 1)  # numbers only grow: whoever looked earlier cannot take this one too
                own.mkdir()
            except (FileExistsError, FileNotFoundError):  # another was faster, or has finished and removed it
                return None
            try:
                (own / self._id).touch()
            except OSError as error:
                with contextlib.suppress(OSError):
                    own.rmdir()
                if isinstance(error, FileNotFoundError):
                    return None
                raise
        return own

    def wait(self, name: str, pause: float = 0.5) -> Iterator[None]:
        """Claim a name as soon as it is free; yields every `pause` seconds until then, so that a caller can look up."""
        while not self.take(name):
            yield
            time.sleep(pause)

    def release(self, name: str, done: bool = False) -> None:
        """Give a claim back.

        Args:
            done: what was claimed is finished, which others see elsewhere: nothing of the claim is kept.
        """
        own = self._held.pop(name, None)
        if own is None:
            return
        with contextlib.suppress(OSError):
            if done and _last(own.parent) == int(own.name):  # else another took over from this process, thought dead
                shutil.rmtree(own.parent, ignore_errors=True)
            else:
                (own / _RELEASED).touch()

    def doubt(self) -> None:
        """Know no process of another machine to be alive until its counter moves again: it may have died since."""
        self._seen = {owner: (beat, since, False) for owner, (beat, since, _) in self._seen.items()}

    def is_known_alive(self, name: str) -> bool:
        """Whether the holder of a claim lives for sure.

        It runs on this machine, or two tries to take its claim, both since the last `doubt`, saw its counter move.
        """
        place = self._taken / name
        last = _last(place)
        if not last or self._is_free(place / str(last)):
            return False
        owner = _owner(place / str(last))
        if owner == self._id or _runs(self._facts(owner), self._workers):
            return True
        return self._seen.get(owner or str(place), (b"", 0.0, False))[2]

    def close(self) -> None:
        """Give all claims back and stop beating."""
        for name in list(self._held):
            self.release(name)
        self._stop.set()
        if self._heart is not None:
            self._heart.join()
            self._heart = None
        for path in (self._workers / self._id, self._workers / f"{self._id}.beat"):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def _begin(self) -> None:
        if self._heart is not None:
            return
        self._stop.clear()
        self._workers.mkdir(parents=True, exist_ok=True)
        machine, pid = _machine(self._workers), os.getpid()
        facts = {"host": socket.gethostname(), "machine": machine, "pid": pid, "start": _start(pid)}
        (self._workers / f"{self._id}.beat").write_bytes(_count(0))
        write_file(self._workers / self._id, json.dumps(facts))
        self._heart = threading.Thread(target=self._beats, name="claims", daemon=True)
        self._heart.start()

    def _beats(self) -> None:
        # written in place: on a network disk an open file's content is asked for anew, a new file's name is not
        for count in itertools.count(1):
            if self._stop.wait(self._beat):
                return
            # as long as what is there, so that a full disk has room for it; an absent disk may come back
            with contextlib.suppress(OSError), (self._workers / f"{self._id}.beat").open("r+b") as file:
                file.write(_count(count))

    def _is_free(self, claim: Path) -> bool:
        """Whether a claim was given back, or its holder is dead."""
        if (claim / _RELEASED).exists():
            return True
        owner = _owner(claim)
        if owner == self._id:
            return False
        if (runs := _runs(self._facts(owner), self._workers)) is not None:
            return not runs
        now, beat = time.monotonic(), _read(self._workers / f"{owner}.beat")
        before = self._seen.get(owner or str(claim.parent))
        if before is None or before[0] != beat:
            self._seen[owner or str(claim.parent)] = beat, now, before is not None
            return False
        return now - before[1] > self._expiry

    def _facts(self, owner: str) -> dict[str, Any]:
        return _facts_of(self._workers / owner) if owner else {}


def holders(folder: Path, expiry: float = EXPIRY_SECONDS) -> list[Holder]:
    """The claims in a folder that are not given back; only reads.

    Args:
        expiry: seconds without a beat after which a process counts as dead.
    """
    found = []
    taken, workers = folder / ".claims" / "taken", folder / ".claims" / "workers"
    for place in sorted(path for path in taken.iterdir() if path.is_dir()) if taken.is_dir() else ():
        claim = place / str(_last(place))
        owner = _owner(claim)
        if claim.name == "0" or (claim / _RELEASED).exists():
            continue
        facts = _facts_of(workers / owner) if owner else {}
        beat = workers / f"{owner}.beat" if facts else claim
        with contextlib.suppress(OSError):  # given back just now
            age, held = (max(time.time() - path.stat().st_mtime, 0.0) for path in (beat, claim))
            runs = _runs(facts, workers)
            is_stale = age > expiry if runs is None else not runs
            found.append(Holder(place.name, facts.get("host", ""), facts.get("pid", 0), age, held, is_stale))
    return found


def _last(place: Path) -> int:
    """Number of the newest claim of a name; 0 where there is none."""
    try:
        return max((int(name) for name in os.listdir(place) if name.isdecimal()), default=0)
    except FileNotFoundError:
        return 0


def _owner(claim: Path) -> str:
    """The process that made a claim; empty where it was killed in between, or is about to say so."""
    try:
        return next((name for name in os.listdir(claim) if name != _RELEASED), "")
    except OSError:
        return ""


def _facts_of(path: Path) -> dict[str, Any]:
    """What a process says of itself; empty where it is not there or not whole."""
    try:
        facts = json.loads(_read(path))
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) and {"host", "machine", "pid", "start"} <= facts.keys() else {}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _machine(workers: Path) -> str:
    """What processes must share for one to see whether the other runs; empty where the system does not say.

    The folder is part of it: in a copy, nobody works who works in the other one.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        place = workers.stat()
        return f"{socket.gethostname()} {boot} {os.readlink('/proc/self/ns/pid')} {place.st_dev}:{place.st_ino}"
    except OSError:
        return ""


def _runs(facts: dict[str, Any], workers: Path) -> bool | None:
    """Whether a process runs; None where that cannot be seen from here."""
    if not facts or facts["machine"] != _machine(workers) or not facts["machine"]:
        return None
    pid = int(facts["pid"])
    if (start := _start(pid)) is not None:
        return start == facts["start"]
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        pass
    return None


def _start(pid: int) -> str | None:
    """When a process was started, in the system's ticks, which tells it from another one that got its number later.

    "ended" where it has ended; None where the system shows no such process.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return "ended" if fields[0] in _DEAD else fields[19]


def _count(beats: int) -> bytes:
    return b"%012d" % beats
