"""Sources from one line of text: `SCHEME:NAME?option=value&option=value`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from segjax.data.backgrounds import read_backgrounds
from segjax.data.folders.folder import FolderSource
from segjax.data.folders.folder_options import CUTS, FolderOptions
from segjax.data.folders.image_labels import with_presence
from segjax.data.folders.tables import is_text
from segjax.data.shrink import shrunk
from segjax.data.tiles import cropped, tiled
from segjax.simulators import open_microscope, open_terrain
from segjax.types import InputError, Source

SCHEMES = ("microscope", "terrain", "folder", "tfds")


@dataclass(frozen=True)
class Spec:
    """A parsed spec: where (`scheme`, `name`) and how (`options`)."""

    scheme: str
    name: str
    options: Mapping[str, str]

    def __str__(self) -> str:
        """The text that it was parsed from."""
        options = "&".join(
            f"{key}={value.replace('%', '%25').replace('&', '%26')}" for key, value in self.options.items()
        )
        return f"{self.scheme}:{self.name}" + (f"?{options}" if options else "")


def parse_spec(text: str) -> Spec:
    """The parts of a spec. In option values %26 stands for & and so on (percent encoding).

    Raises:
        InputError: no or unknown scheme, no name, a name that is not UTF-8, an option without value or given twice.
    """
    if not is_text(text):
        raise InputError(f"data {text!r} is not UTF-8; rename the folder or file with that name")
    scheme, colon, rest = text.partition(":")
    name, _, query = rest.partition("?")
    if not colon or scheme not in SCHEMES or not name:
        hint = f"; did you mean folder:{text}?" if Path(text.partition("?")[0]).is_dir() else ""
        raise InputError(
            f"data {text!r} is not SCHEME:NAME with SCHEME one of {', '.join(SCHEMES)}, "
            f"for example microscope:hl60?size=quarter or folder:my_pictures?tile=256{hint}"
        )
    options: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        key, equals, value = part.partition("=")
        if not (key and equals and value):
            raise InputError(f"data {text!r}: {part!r} is not option=value")
        if key in options:
            raise InputError(f"data {text!r}: option {key} is given twice")
        options[key] = unquote(value)
    return Spec(scheme, name, options)


def open_source(text: str) -> Source:
    """The source that a spec describes; `tile=N` cuts the pictures of any of them, `crop=N` keeps their middles.

    Before that `shrink=N` makes one pixel of N x N; afterwards `presence=N` labels each picture by whether it shows an
    object of at least N pixels.

    Args:
        text: `microscope:hl60?size=quarter&volumes=6`, `terrain:mounds?pixels=128` (options: `open_terrain`),
            `folder:PATH?tile=256` (options: `FolderOptions`), `tfds:NAME`.

    Raises:
        InputError: the spec is malformed, or the source refuses its name, options or files.

    >>> source = open_source("terrain:mounds?pixels=128&sheets=2&pictures=3&tile=64")  # each picture gives four tiles
    >>> len(source), source.groups[0], source[0].image.shape
    (24, 'sheet-00', (64, 64, 1))
    """
    if not isinstance(text, str):
        raise InputError(f"source: give its spec as text, such as 'folder:PATH', not {text!r}")
    spec = parse_spec(text)
    options, cuts = divide_options(spec)
    return cut_source(_open(spec.scheme, spec.name, options), cuts)


def divide_options(spec: Spec) -> tuple[dict[str, str], dict[str, int]]:
    """The options of the source itself, and what is made of its pictures afterwards: option of `CUTS` to pixels.

    Raises:
        InputError: a cut that is no whole number.
    """
    # the microscope crops by itself, past slices that show nothing; mounds lie beside the middle; both have sizes
    own = ("crop", "shrink") if spec.scheme in ("microscope", "terrain") else ()
    given = {name: spec.options[name] for name in CUTS if name in spec.options and name not in own}
    for name, size in given.items():
        if not size.isdecimal():
            raise InputError(f"option {name}={size} is not a whole number of pixels; give for example {name}=256")
    options = {name: value for name, value in spec.options.items() if name not in given}
    return options, {name: int(size) for name, size in given.items()}


def cut_source(source: Source, cuts: Mapping[str, int]) -> Source:
    """The source with its pictures shrunk, cropped, tiled and labelled by presence, in this order, where asked for.

    Raises:
        InputError: a size below 1, or a picture of which nothing would be left.
    """
    wrappers: tuple[Callable[[Source, int], Source], ...] = (shrunk, cropped, tiled, with_presence)
    for name, wrap in zip(CUTS, wrappers, strict=True):
        if name in cuts:
            source = wrap(source, cuts[name])
    return source


def _open(scheme: str, name: str, options: dict[str, str]) -> Source:
    if scheme == "folder":
        path = Path(name).expanduser()
        return FolderSource(path, FolderOptions.parse(options), folder_spec(name, options))
    if scheme == "microscope":
        return open_microscope(name, options)
    if scheme == "terrain":
        return open_terrain(name, options, read_backgrounds)
    from segjax.data.prepared import open_tfds  # on use: it needs tensorflow-datasets, of the extra `studies`

    return open_tfds(name, options)


def folder_spec(name: str, options: Mapping[str, str]) -> str:
    """The spec of a folder with these options."""
    return str(Spec("folder", name, options))
