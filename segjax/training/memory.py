"""Errors of memory that does not suffice, and errors that hold none."""

import traceback

import jax

_OUT_OF_MEMORY = ("RESOURCE_EXHAUSTED", "OUT_OF_MEMORY")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device, or the machine, had not enough memory."""
    if isinstance(error, jax.errors.JaxRuntimeError):
        return any(words in str(error) for words in _OUT_OF_MEMORY)
    return isinstance(error, MemoryError)


def without_memory(error: Exception) -> Exception:
    """An error that says where it was raised but keeps alive nothing of what was in memory there."""
    if error.__traceback__ is not None:
        error.add_note("raised there:\n" + "".join(traceback.format_tb(error.__traceback__)))
    return error.with_traceback(None)
