"""A study's grid as a list of trials, and the shard of it that one of several processes takes."""

import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, runtime_checkable

from segjax.types import InputError

Factor = str | int | float


@runtime_checkable
class Trial(Protocol):
    """One point of a grid: a frozen dataclass whose fields, the factors, are text or numbers."""

    if TYPE_CHECKING:  # whether a class has fields cannot be checked while running
        __dataclass_fields__: ClassVar[dict[str, Any]]


AnyTrial = TypeVar("AnyTrial", bound=Trial)


def factors_of(trial: Trial) -> dict[str, Factor]:
    """The value of every factor, in the order of the result columns."""
    return {field.name: getattr(trial, field.name) for field in dataclasses.fields(trial)}


def texts_of(trial: Trial) -> dict[str, str]:
    """The value of every factor as results spell it: that of a factor with decimals has some, however it was given."""
    return {field.name: str(field.type(getattr(trial, field.name))) for field in dataclasses.fields(trial)}  # type: ignore[operator]


def key_of(texts: Mapping[str, str]) -> str:
    """16 hexadecimal digits that no other trial of the study has, from its factors as results spell them."""
    return fingerprint(texts)


def trial_key(trial: Trial) -> str:
    """The name of a trial's results."""
    return _known_key(trial)  # type: ignore[arg-type]  # trials are frozen


@functools.lru_cache(maxsize=1 << 17)
def _known_key(trial: Any) -> str:
    return key_of(texts_of(trial))


def described(trial: Trial) -> str:
    """A trial for people: the factors without a default, and those that differ from theirs."""
    shown = []
    for field in dataclasses.fields(trial):
        value = getattr(trial, field.name)
        if value != field.default:
            shown.append(f"{field.name} {value:g}" if isinstance(value, float) else f"{field.name} {value}")
    return ", ".join(shown)


def file_stem(trial: Trial) -> str:
    """A file name without suffix: the factors, and eight digits that no other trial of the study has."""
    factors = factors_of(trial)
    return f"{readable(factors.values())}_{fingerprint(factors)[:8]}"


def readable(factors: Iterable[Factor]) -> str:
    """The factors in a file name."""
    text = "_".join(re.sub(r"[^\w.=+-]", "-", str(value)) for value in factors)
    return text.encode()[:150].decode(errors="ignore")  # names have 255 bytes


def shard_of(trials: Sequence[AnyTrial], shard: str) -> list[AnyTrial]:
    """Every N-th trial, for one of N processes: the shards "1/N" to "N/N" hold each trial exactly once.

    Raises:
        InputError: `shard` is not I/N with I from 1 to N.
    """
    parts = re.fullmatch(r"(\d+)/(\d+)", shard)
    number, count = (int(part) for part in parts.groups()) if parts else (0, 0)
    if not 1 <= number <= count:
        raise InputError(f"shard: {shard!r} is not I/N with I from 1 to N; write 2/8 for the second of eight shards")
    return list(trials[number - 1 :: count])


def fingerprint(facts: Mapping[str, object]) -> str:
    """16 hexadecimal digits that change when any of the facts does; facts must be plain JSON values."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
