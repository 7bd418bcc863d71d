"""A small study on a disk that fills up just when a file of a certain kind is written.

    python -m tests.integration.full_disk DIR

DIR lies on a small disk of its own. For every kind of file: the study starts, the disk is filled when it begins to
write one, and the study waits, says which file, and ends with 2; with room again, the same command goes on to the end.
Prints JSON: per kind the exit codes, what was said, and whether the rows are those of a run that always had room.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import segjax.files
from experiments.harness.run import run
from experiments.harness.start import run_command
from tests.experiments.harness.tiny import study
from tests.integration.forked import forked

REPLACING = segjax.files.replacing
KINDS = ("plan.json", "splits", "networks", "checkpoints", "examples", "trials", "results.csv", "results.parquet",
         "report.html")  # fmt: skip
SHORT, LONG = 1.0, 120.0  # seconds that a process waits for room
FREED_AFTER = 0.5  # seconds, in the run that gets it


def fill(filler: Path) -> None:
    """Take all room that is left on the disk."""
    with contextlib.suppress(OSError), filler.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def armed(out: Path, kind: str, filler: Path, patience: float) -> None:
    """This process finds the disk full as soon as it writes a file of the kind; it is filled once."""

    def is_of_kind(path: Path) -> bool:
        if not path.is_relative_to(out):
            return False
        place = path.relative_to(out)  # the plan is linked into place
        return place.parts[:1] == (kind,) or (
            kind == "plan.json" and place.name == str(place) != "." and place.suffix == ".unfinished"
        )

    @contextlib.contextmanager
    def replacing(path: Path) -> Iterator[Path]:
        if is_of_kind(path) and not filler.exists():
            fill(filler)
        with REPLACING(path) as unfinished:
            yield unfinished

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        is_checkpoint = kind == "checkpoints" and event == "os.mkdir" and is_of_kind(Path(str(arguments[0])))
        if is_checkpoint and not filler.exists():
            fill(filler)

    segjax.files._BETWEEN_TRIES = 0.05
    changes = (("replacing", segjax.files.replacing, replacing), ("PATIENCE", segjax.files.PATIENCE, patience))
    for module in list(sys.modules.values()):  # whoever has imported them
        for name, there, new in changes:
            if getattr(module, name, None) is there:
                setattr(module, name, new)
    sys.addaudithook(watch)


def start(out: Path, prepare: Callable[[], None]) -> tuple[int, Path]:
    """A process that runs the study, with little patience; what it says goes into a file off the small disk."""
    said = Path(os.environ["SAID"]) / f"{out.name}.{time.monotonic_ns()}.txt"

    def command() -> None:
        prepare()
        sys.argv = ["tiny", "--checkpoint-every", "0.001s", "--out", str(out)]
        run_command(lambda: run(study(keeps_networks=True)))

    return forked(command, said), said


def end(process: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def rows(out: Path) -> list[str]:
    """The results, in their order."""
    path = out / "results.csv"
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def trial_files(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (out / "trials").glob("*.csv")}


def main() -> None:
    folder = Path(sys.argv[1])
    filler, whole = folder / "filler", folder / "whole"
    found: dict[str, Any] = {"whole": end(start(whole, lambda: None)[0]), "rows": len(rows(whole))}
    for kind in KINDS:
        out = folder / f"full-{kind}"
        process, said = start(out, lambda out=out, kind=kind: armed(out, kind, filler, SHORT))
        codes, kept = [end(process)], trial_files(out)
        filler.unlink(missing_ok=True)
        codes.append(end(start(out, lambda: None)[0]))
        after = trial_files(out)
        found[kind] = {
            "codes": codes,
            "said": said.read_text(encoding="utf-8"),
            "lost": [name for name in kept if kept[name] != after.get(name)],
            "same": rows(out) == rows(whole),
            "left": [str(path) for path in out.rglob("*.unfinished")],
        }
    out = folder / "freed"
    process, said = start(out, lambda: armed(out, "trials", filler, LONG))
    while not filler.exists():
        time.sleep(0.01)
    time.sleep(FREED_AFTER)
    os.truncate(filler, 0)
    found["freed"] = {
        "codes": [end(process)],
        "said": said.read_text(encoding="utf-8"),
        "same": rows(out) == rows(whole),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
