"""Rivals from elsewhere, labels that another program predicted: how they are given and what their trials are called."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from experiments.harness.options import arranges
from segjax.types import InputError

NOT_KNOWN = "not known here"  # what a rival learnt from
ELSEWHERE = "elsewhere"  # the method of their trials, where trials have one
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_DIGITS = 8  # of the digest, in the factor `network`


@dataclass(frozen=True)
class RivalOptions:
    """Programs from elsewhere to compare with."""

    rival: tuple[str, ...] = arranges(())
    """Other programs to compare with, each as NAME=folder:PATH. The folder holds the test pictures and the labels that
    the program predicted for them, in any format that --data reads. Every picture that --write-test-pictures writes
    needs a prediction. Where the pictures have one class, or the labels tell no classes apart, everything that is
    marked counts. Elsewhere classes are matched by name if the folder names them (class_names=FILE.csv), and by number
    if it does not."""
    write_test_pictures: Path | None = arranges(None)
    """Write the test pictures that any seed judges into this new folder, for another program to predict; train
    nothing."""

    def check(self) -> None:
        """Raises InputError where a rival is not NAME=folder:PATH, or a name is given twice."""
        self.specs()

    def specs(self) -> dict[str, str]:
        """The data spec of every rival by its name.

        Raises:
            InputError: as `check`.
        """
        found: dict[str, str] = {}
        for text in self.rival:
            name, _, spec = text.partition("=")
            if not spec.startswith("folder:"):
                raise InputError(
                    f"rival: {text!r} is not NAME=folder:PATH; write it as Cellpose-SAM=folder:predicted_by_cellpose"
                )
            if not _NAME.fullmatch(name):
                raise InputError(
                    f"rival: the name {name!r} cannot be used; give letters, digits, dots, hyphens and underscores, at "
                    "most 40"
                )
            if name in found:
                raise InputError(f"rival: the name {name} is given twice; give each rival a name of its own")
            found[name] = spec
        return found


def factor_of(name: str, digest: str) -> str:
    """The factor `network` of a rival's trials: its name and, so that other predictions are other trials, a digest."""
    return f"{name}@{digest[:_DIGITS]}"


def is_rival(network: str) -> bool:
    """Whether a factor `network` is that of a rival."""
    return "@" in network


def rivals_among(networks: Iterable[str]) -> list[str]:
    """The rivals among the factors `network` of some trials, each once."""
    return [network for network in dict.fromkeys(networks) if is_rival(network)]
