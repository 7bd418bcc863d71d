"""Weights on disk in one format, safetensors, which holds numbers and text only and which other programs read too."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from segjax.files import Damaged, check_regular, write_file
from segjax.types import InputError

_DTYPES = (
    *("float64", "float32", "float16", "bfloat16", "complex64", "bool"),
    *("int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8"),
)
_FACTS, _EMPTY, _HASH = "segjax.facts", "segjax.empty", "segjax.sha256"  # in the file's metadata


class Weights(NamedTuple):
    """What a file of weights holds: nested dicts of NumPy arrays, and what was noted beside them."""

    variables: dict[str, Any]
    facts: dict[str, Any]


def save_weights(
    path: str | Path, variables: Mapping[str, Any], facts: Mapping[str, Any] = {}, patience: float = 0.0
) -> None:
    """Write nested dicts of arrays, named by their paths ("params/conv/kernel"), and facts about them to one file.

    The file appears by renaming, so its name never stands for half a file. Its folder is made where it is missing.

    Args:
        variables: dicts of dicts of NumPy or JAX arrays, of any shape; empty dicts are kept.
        facts: JSON values; tuples come back as lists.
        patience: seconds to wait for room on a full disk, as `write_file` does.

    Raises:
        InputError: a name, a leaf, a type of numbers or a fact that the format cannot hold; what `write_file` raises.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "mine.safetensors"
    >>> save_weights(path, {"params": {"bias": np.zeros(2, np.float32)}}, {"made by": "me"})
    """
    path = Path(path)
    named = dict(_named(variables, path))
    arrays = {name: value for name, value in named.items() if value is not None}
    try:
        text = json.dumps(dict(facts))
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: the facts are not JSON values ({error}); give numbers, text, lists, dicts") from None
    metadata = {_FACTS: text, _EMPTY: json.dumps([name for name, value in named.items() if value is None])}
    metadata[_HASH] = _content(arrays, metadata)
    write_file(path, _in_order(save(arrays, metadata)), patience)


def load_weights(path: str | Path, is_ours: bool = False) -> Weights:
    """Read what `save_weights` wrote, or any other file of this format; nothing is unpickled.

    Files of other programs have no facts; where their names have no "/" the dict of variables is flat. They have no
    content hash either, so that numbers that were changed on the way are not seen: compare the file with the checksum
    that its owners publish.

    Args:
        is_ours: refuse a file without our content hash. Without this, one of ours whose damage took all that tells it
            from others is read like a file of another program.

    Raises:
        Damaged: the file is of another format, cut off, or its content hash does not hold.
        InputError: the file is missing, or no regular file.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "mine.safetensors"
    >>> save_weights(path, {"params": {"bias": np.zeros(2, np.float32)}}, {"made by": "me"})
    >>> found = load_weights(path)
    >>> found.variables["params"]["bias"].tolist(), found.facts["made by"]
    ([0.0, 0.0], 'me')
    """
    path = Path(path)
    remedy = "copy it again or make it anew"
    if path.suffix != ".safetensors":
        remedy = "give a .safetensors file; safetensors.torch.save_file(network.state_dict(), path) makes one"
    try:
        check_regular(path)
        with safe_open(path, framework="np", backend="pread") as file:
            arrays, metadata = file.get_tensors(), file.metadata() or {}
        is_ours = is_ours or bool(metadata.keys() & {_FACTS, _EMPTY, _HASH})
        if is_ours and metadata.pop(_HASH, None) != _content(arrays, metadata):
            raise ValueError("its content hash does not hold")
        variables = _nested(arrays, json.loads(metadata.get(_EMPTY, "[]")))
        return Weights(variables, json.loads(metadata.get(_FACTS, "{}")))
    except OSError as error:
        raise InputError(f"{path} cannot be read as safetensors ({error}); {remedy}") from None
    except InputError:
        raise
    except (SafetensorError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Damaged(f"{path} cannot be read as safetensors ({error}); {remedy}") from None


def _in_order(file: bytes) -> bytes:
    """The same file with its metadata in order of their names: equal content has equal bytes."""
    end = 8 + int.from_bytes(file[:8], "little")
    header = json.loads(file[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # arrays begin at a multiple of eight bytes
    return len(text).to_bytes(8, "little") + text + file[end:]


def _named(tree: Mapping[Any, Any], path: Path, above: str = "") -> Iterator[tuple[str, np.ndarray | None]]:
    """Arrays by their names, and None for every empty dict."""
    for key, value in tree.items():
        name = f"{above}{key}"
        if not isinstance(key, str) or not key or "/" in key or not key.isprintable() or name == "__metadata__":
            raise InputError(f"{path}: {name!r} cannot be the name of an array; use printable text without a slash")
        if isinstance(value, Mapping):
            yield from _named(value, path, f"{name}/") if value else [(name, None)]
        elif not isinstance(value, np.ndarray | np.generic | jax.Array):
            raise InputError(f"{path}: {name} is a {type(value).__name__}; give arrays")
        elif value.dtype.name not in _DTYPES:
            raise InputError(f"{path}: {name} is of {value.dtype.name}; convert it to one of {', '.join(_DTYPES)}")
        else:
            array = np.asarray(value)
            yield name, np.asarray(array, array.dtype.newbyteorder("="), order="C")


def _nested(arrays: Mapping[str, np.ndarray], empty: Sequence[str]) -> dict[str, Any]:
    variables: dict[str, Any] = {}
    for name, value in (*arrays.items(), *((name, {}) for name in empty)):
        *outer, last = name.split("/")
        branch: Any = variables
        for part in outer:
            branch = branch.setdefault(part, {}) if isinstance(branch, dict) else None
        if not isinstance(branch, dict) or last in branch:
            raise ValueError(f"{name} clashes with another name")
        branch[last] = value
    return variables


def _content(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(sorted(metadata.items())).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode() + array.tobytes())
    return digest.hexdigest()
