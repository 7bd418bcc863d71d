"""Write what is known of the library's names from the code: the page of all of them, and the list of networks.

    python -m experiments.benchmarks.api_pages

The page is segjax/API.md, made of docstrings. The list stands in the docstring of `segjax.models.create`, so that
`help` shows it. A test says when one of them is out of date.
"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import segjax
from experiments.harness.start import run_command
from segjax.files import write_file
from segjax.models import CLASSIFIERS, ENCODERS, NETWORKS, create
from segjax.models.encoder_unet import EncoderUNet

PAGE, REGISTRY = Path("segjax/API.md"), Path("segjax/models/registry.py")
WIDTH = 116
STARS: dict[Any, str] = {inspect.Parameter.VAR_KEYWORD: "**", inspect.Parameter.VAR_POSITIONAL: "*"}
LIST = re.compile(r"    Networks, .*?(?=\n    Args:\n)", re.DOTALL)
HEAD = """# Names of the library

Each name is imported from its room, as in `from segjax.models import create`. `help(create)` says more. Other names in
the modules are the project's own: they may change with any version. The [guide](README.md) has examples.

`segjax.reports` and `segjax.sweeps` need `pip install 'segjax[studies]'`.
"""
FOOT = "\n`python -m experiments.benchmarks.api_pages` writes this page from the docstrings.\n"
OF_NETWORKS = """Networks, with their options as they are by default, and their parameters for two classes and pictures
of one channel. The receptive field is the side of the window that a pixel of the result depends on, in pixels. A value
that an option cannot have is answered with those that it can have.
"""


def rooms() -> dict[str, ModuleType]:
    """The modules that say which of their names are for users of the library."""
    found = [importlib.import_module(f"segjax.{one.name}") for one in pkgutil.iter_modules(segjax.__path__)]
    return {room.__name__: room for room in found if hasattr(room, "__all__")}


def api_page() -> str:
    """Every public name by room, with the first line of its docstring."""
    tables = [_table(name, room) for name, room in rooms().items()]
    return "\n".join([HEAD, *tables]) + FOOT


def _table(name: str, room: ModuleType) -> str:
    rows = [f"| {_called(one, getattr(room, one))} | {said_of(getattr(room, one))} |" for one in room.__all__]
    about = (room.__doc__ or "").split("\n\n")[0].replace("\n", " ")
    return "\n".join([f"## {name}", "", about, "", "| name | what it is |", "| --- | --- |", *rows, ""])


def _called(name: str, thing: Any) -> str:
    """A function with the names of its arguments."""
    if not inspect.isfunction(thing):
        return f"`{name}`"
    shown: list[str] = []
    for one in inspect.signature(thing).parameters.values():
        if one.kind is one.KEYWORD_ONLY and not any(part.startswith("*") for part in shown):
            shown.append("*")
        shown.append(STARS.get(one.kind, "") + one.name)
    return f"`{name}({', '.join(shown)})`"


def said_of(thing: Any) -> str:
    """The first line of a docstring; of a table its keys."""
    if isinstance(thing, Mapping):
        return "by name: " + ", ".join(f"`{key}`" for key in thing)
    return (inspect.getdoc(thing) or "").split("\n")[0].replace("|", "\\|")


def network_list() -> str:
    """Every network with its options, parameters and receptive field, as it stands in a docstring."""
    lines = [*_wrapped(OF_NETWORKS, ""), ""]
    for name, kind in {**NETWORKS, **CLASSIFIERS}.items():
        lines += _wrapped(f"{name}: {_options(kind)}", "    ")
        lines += [f"    {_facts(create(name), name in CLASSIFIERS)}"]
    lines += _wrapped(f'unet with encoder="resnet18": encoder_weights=None, {_options(EncoderUNet, "encoder")}', "    ")
    lines += [f"    {encoder}: {_facts(create('unet', encoder=encoder), False)}" for encoder in ENCODERS]
    return "\n".join(f"    {line}".rstrip() for line in lines) + "\n"


def _options(kind: Any, without: str = "") -> str:
    defaults = {field.name: field.default for field in fields(kind)}
    return ", ".join(f"{name}={_quoted(defaults[name])}" for name in kind.OPTIONS if name != without)


def _quoted(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _facts(network: Any, classifies: bool) -> str:
    variables = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 64, 64, 1)))
    count = sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(variables["params"]))
    field = "the whole picture" if classifies else f"{network.receptive_field} px"
    return f"{count:,} parameters, receptive field {field}"


def _wrapped(text: str, indent: str) -> Iterator[str]:
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > WIDTH:
            yield line
            line = indent + word
        else:
            line = f"{line} {word}" if line.strip() else f"{line}{word}"
    yield line


def main() -> None:
    """Write both."""
    write_file(PAGE, api_page())
    write_file(REGISTRY, LIST.sub(lambda _: network_list(), REGISTRY.read_text(encoding="utf-8")))
    print(f"written: {PAGE}, {REGISTRY}")


if __name__ == "__main__":
    run_command(main)
