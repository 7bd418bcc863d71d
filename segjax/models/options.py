"""What each option of a network may be, and the refusal of everything else."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from segjax.types import InputError


@dataclass(frozen=True)
class Option:
    """One option: the values it may take, in words and as a test."""

    values: str
    accepts: Callable[[object], bool]


def whole_number(lowest: int, highest: int) -> Option:
    """A whole number within the two bounds."""
    return Option(
        f"a whole number from {lowest} to {highest}",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest,
    )


def number(lowest: float, highest: float, *, above: bool = False) -> Option:
    """A number from the first bound (with `above`, from just above it) up to the second."""
    start = f"above {lowest:g}" if above else f"of at least {lowest:g}"

    def accepts(value: object) -> bool:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return False
        return lowest <= value <= highest and not (above and value == lowest)

    return Option(f"a number {start}, up to {highest:g}", accepts)


def one_of(*values: str | bool) -> Option:
    """One of the listed values."""
    return Option(
        "one of " + ", ".join(repr(value) for value in values),
        lambda value: isinstance(value, type(values[0])) and value in values,
    )


def per_channel(*, above: float = float("-inf")) -> Option:
    """A finite number above a bound, or a tuple of such numbers, one per channel of the picture."""

    def accepts(value: object) -> bool:
        numbers = value if isinstance(value, tuple) else (value,)
        return bool(numbers) and all(
            isinstance(x, (int, float)) and not isinstance(x, bool) and above < x < float("inf") for x in numbers
        )

    positive = "" if above == float("-inf") else f" above {above:g}"
    return Option(f"a number{positive}, or a tuple of them, one per channel", accepts)


# Fixed normalisation of the picture; see `segjax.models.layers.standardised`.
INPUT_OPTIONS = {"input_mean": per_channel(), "input_std": per_channel(above=0.0)}


def check_options(network: str, given: Mapping[str, object], options: Mapping[str, Option]) -> None:
    """Refuse an unknown option or a value outside its range.

    Raises:
        InputError: names the network, the option and what exists.
    """
    for name, value in given.items():
        if name not in options:
            raise InputError(f"network {network}: unknown option {name!r}; its options are {', '.join(options)}")
        if not options[name].accepts(value):
            raise InputError(f"network {network}: {name} must be {options[name].values}, not {value!r}")


def options_of(network: Any) -> dict[str, Any]:
    """The options that `create` makes a network with, with their values."""
    return {name: getattr(network, name) for name in type(network).OPTIONS}
