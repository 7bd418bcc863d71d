"""Prepare a set once: from our simulators, or from files that the user downloaded. Nothing is ever downloaded."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from segjax.claims import Claims
from segjax.data.builders.base import DESCRIBED, RGB, AnnotatedSet, PublicSet, tfds
from segjax.data.builders.simulated import MicroscopeBuilder
from segjax.simulators import MicroscopeSource, TissueSource
from segjax.types import InputError

_UNFINISHED = "incomplete.*"  # folders that tensorflow-datasets writes into and renames when they are complete


def prepare(source: MicroscopeSource | TissueSource, data_dir: str | Path, name: str) -> Path:
    """Write the source as a set to data_dir/name/VERSION, kept if already there; `tfds:name?dir=data_dir` opens it.

    Raises:
        InputError: name is no lower-case identifier, or such a set of another source is already there.
    """
    if not (name.isidentifier() and name == name.lower()):
        raise InputError(f"the name of a set, {name!r}, must consist of lower-case letters, digits and underscores")
    image = RGB if source.kind == "tissue" else MicroscopeBuilder.IMAGE
    body: dict[str, Any] = {"name": name, "BUILDER_CONFIGS": [], "source": source, "IMAGE": image}
    made = type("PreparedMicroscope", (MicroscopeBuilder,), body, skip_registration=True)
    written = _prepare(made(data_dir=str(data_dir), file_format="array_record"), None)
    found = description(written)
    if found["digest"] != source.digest:
        raise InputError(f"{written} already holds {found['spec']}, not {source.spec}; give another name or folder")
    return written


def prepare_files(
    kind: type[PublicSet], files: Path, data_dir: Path, progress: Callable[[int, int], None] | None = None
) -> Path:
    """Write a public set to data_dir/NAME/VERSION, kept if already there; `tfds:NAME?dir=data_dir` opens it.

    A process that is killed leaves a folder `incomplete.*`, which no reader accepts and the next preparation removes.
    The memory needed is that of the largest split, compressed.

    Args:
        kind: which set.
        files: folder with the owners' files, which are not changed.
        data_dir: folder of prepared sets.
        progress: is told, after every picture, how many are written and how many there are.

    Raises:
        InputError: files are missing (the message shows which are expected), damaged or hold what they should not; or
            another process is preparing the same set.
    """
    if not files.is_dir():
        raise InputError(
            f"{files}: no such folder; name the one with the files of {kind.name}. Expected is:\n{kind.CARD}"
        )
    builder = kind(data_dir=str(data_dir), file_format="array_record")
    if not any(files.iterdir()):
        raise builder.missing(files, "the folder is empty")
    if not Path(builder.data_dir).exists():
        check_archives(kind, files)
    builder.progress = progress
    builder.others = {name: known for name, known in prepared_sets(data_dir).items() if name != kind.name}
    return _prepare(builder, files)


def check_archives(kind: type[PublicSet], files: Path) -> None:
    """Compare the archives beside the files with what was published of them.

    Raises:
        InputError: an archive differs: its download was cut off, or it is another version.
    """
    for archive, digest in kind.CARD.checksums.items():
        if (path := files / archive).is_file():
            with path.open("rb") as file:
                found = file_digest(file, "sha256").hexdigest()
            if found != digest:
                raise InputError(
                    f"{path}: SHA-256 {found}, published is {digest}; download and unpack it again, "
                    "or move it away if you want to use another version"
                )


def description(folder: Path) -> dict[str, Any]:
    """What a prepared set of ours tells of itself: spec, digest, classes, pictures by split, remarks.

    Raises:
        InputError: the set is not one of ours.
    """
    path = folder / "metadata.json"
    text = json.loads(path.read_text(encoding="utf-8")).get(DESCRIBED) if path.exists() else None
    if text is None:
        raise InputError(f"{folder}: was not prepared by segjax; give another name or folder")
    return json.loads(text)


def prepared_sets(data_dir: Path) -> dict[str, dict[str, Any]]:
    """What the public sets in a folder tell of themselves, by name; of each its newest version."""
    found = {}
    for path in sorted(data_dir.glob("*/*/metadata.json")):
        text = json.loads(path.read_text(encoding="utf-8")).get(DESCRIBED)
        if text is not None and not path.match(f"{_UNFINISHED}/*"):
            found[path.parent.parent.name] = json.loads(text)
    return found


def _prepare(builder: AnnotatedSet, files: Path | None) -> Path:
    folder = Path(builder.data_dir)
    options = tfds.download.DownloadConfig(manual_dir=files, try_download_gcs=False)
    if not folder.exists():
        # it makes a folder for downloads, of which there are none
        with _alone(folder.parent), TemporaryDirectory() as nothing:
            builder.download_and_prepare(file_format="array_record", download_config=options, download_dir=nothing)
    return folder


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the set's folder while it is written; what a killed process left unfinished is removed.

    Raises:
        InputError: another process prepares it, or it cannot be written.
    """
    with Claims(folder) as claims:
        for _ in claims.wait("preparing"):
            if claims.is_known_alive("preparing"):
                raise InputError(f"{folder}: another process is preparing this set; wait until it has finished")
        for left in folder.glob(_UNFINISHED):
            shutil.rmtree(left)
        yield
        claims.release("preparing", done=True)
