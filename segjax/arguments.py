"""Refusing arguments of a wrong type or shape in one line, by the annotations of the function that they are for."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, get_args

from jaxtyping import AbstractArray, Bool, Float, Integer, jaxtyped

from segjax.types import InputError, Network

Function = TypeVar("Function", bound=Callable[..., Any])
_WORDS = {"Bool": "bool", "Integer": "whole numbers", "Float": "floating-point numbers"}


def checked(function: Function) -> Function:
    """The function, which refuses arrays and objects of this library that are not what its annotations say.

    Arrays of NumPy and JAX are taken alike, and numbers of any width. Letters of a shape stand for one size in all
    arguments. Arguments whose annotation allows anything else are for the function itself to check.
    """
    signature = inspect.signature(function)
    kinds = {name: found for name, one in signature.parameters.items() if (found := _kinds(one.annotation))}

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        try:
            bound = signature.bind(*arguments, **named).arguments
        except TypeError:
            return function(*arguments, **named)  # Python says what is missing or too many
        with jaxtyped("context"):
            for name, given in bound.items():
                # asked here, because letters have their sizes in this frame alone
                if name in kinds and not any(isinstance(given, kind) for kind in kinds[name]):
                    raise InputError(_refusal(name, given, kinds[name]))
        return function(*arguments, **named)

    return call  # type: ignore[return-value]


def _kinds(annotation: Any) -> tuple[Any, ...]:
    """What may be given, () where that is not for us to say."""
    kinds = get_args(annotation) or (annotation,)
    if not all(isinstance(kind, type) and (_is_array(kind) or _is_ours(kind)) for kind in kinds):
        return ()
    return tuple(dict.fromkeys(_of_any_width(kind) if _is_array(kind) else kind for kind in kinds))


def _is_array(kind: type) -> bool:
    return issubclass(kind, AbstractArray)


def _is_ours(kind: type) -> bool:
    is_open = getattr(kind, "_is_protocol", False) and kind is not Network  # a Source would read all files to answer
    return kind is type(None) or (kind.__module__.startswith("segjax.") and not is_open)


def _of_any_width(kind: Any) -> Any:
    wide: Any
    for wide in (Bool, Integer, Float):
        if isinstance(kind.dtypes, list | tuple) and set(kind.dtypes) <= set(wide.dtypes):
            return wide[Any, kind.dim_str]
    return kind.dtype[Any, kind.dim_str]


def _refusal(name: str, given: Any, kinds: tuple[Any, ...]) -> str:
    alike = any(_is_array(kind) and isinstance(given, kind.dtype[Any, "..."]) for kind in kinds)
    remedy = "; sizes with one letter are equal in all arguments" if alike else ""
    return f"{name} must be {' or '.join(dict.fromkeys(map(_said, kinds)))}, not {_found(given)}{remedy}"


def _said(kind: Any) -> str:
    if not _is_array(kind):
        return "None" if kind is type(None) else kind.__name__
    if kind.dtype.__name__ == "Key":
        return "a key, as jax.random.key(0) gives,"
    shape = ", ".join(kind.dim_str.split())
    return f"{_WORDS.get(kind.dtype.__name__, 'array')} [{shape}]".removesuffix(" []")


def _found(given: Any) -> str:
    if hasattr(given, "shape") and hasattr(given, "dtype"):
        return f"{given.dtype} {list(given.shape)}"
    return f"{type(given).__name__} {given!r}" if isinstance(given, int | float | str) else type(given).__name__
