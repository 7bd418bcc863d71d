"""The options that every launcher takes: the name of a study, and after a lone -- its own options."""

import argparse
import pkgutil
import shlex
from collections.abc import Collection, Sequence
from pathlib import Path

import experiments
from segjax.types import InputError

ALONE = ("--plan", "--report", "--list-failed", "--help", "-h")  # for what no worker is started


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The launcher's own arguments, and those of the study, which stand after the first lone --."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return list(arguments[:end]), list(arguments[end + 1 :])


def study_module(name: str) -> str:
    """The module of a study, given with or without "experiments.".

    Raises:
        InputError: there is no such study; lists those that there are.
    """
    base = Path(experiments.__path__[0])
    parts = ("study.py", "__main__.py")
    rooms = [found.name for found in pkgutil.iter_modules([str(base)])]
    studies = [room for room in rooms if all((base / room / part).exists() for part in parts)]
    short = name.removeprefix("experiments.")
    if short not in studies:
        raise InputError(f"study: unknown {name!r}; choose one of {', '.join(studies)}")
    return f"experiments.{short}"


def out_of(options: Sequence[str]) -> Path:
    """The results folder among the study's options.

    Raises:
        InputError: there is none.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--out", type=Path)
    out = parser.parse_known_args(options)[0].out
    if out is None:
        raise InputError("out: it is missing; give the study's options after a lone --, with --out DIR among them")
    return out


def given(options: Sequence[str], names: Collection[str]) -> str | None:
    """The first of the study's options that is one of these; its words may be joined by _ as well."""
    spelled = (option.replace("_", "-") for option in options)
    return next((option for option in spelled if option in names), None)


def refuse_alone(module: str, options: Sequence[str]) -> None:
    """Refuse what is asked of the study itself, not of its workers.

    Raises:
        InputError: names the option and the command to give instead.
    """
    if asked := given(options, ALONE):
        instead = shlex.join(["python", "-m", module, *options])
        raise InputError(f"{asked.lstrip('-')}: works only for the study itself; give the command {instead}")


def refuse_requeue(options: Sequence[str]) -> None:
    """Refuse --requeue where a worker shares its job with others: it would queue them all again while they work.

    Raises:
        InputError: it is among the options.
    """
    if given(options, ["--requeue"]):
        raise InputError("requeue: works only for a worker that is a job of its own; submit with launch.slurm")
