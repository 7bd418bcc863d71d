"""Labels that another program predicted for a study's test pictures: written for it, read from it, and measured.

A rival trains nothing here. Its trials stand beside those of networks in the same tables. Every picture that any seed
judges must have a prediction for the very picture that the study tests on, or the run is refused before anything is
trained: nothing is imputed.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from experiments.harness.rival_options import RivalOptions, factor_of, rivals_among
from segjax.data.folders.check import inspect_folder
from segjax.data.folders.folder import FolderSource
from segjax.data.folders.folder_options import FolderOptions
from segjax.data.folders.tables import first_few
from segjax.data.formats.annotation import UNNAMED
from segjax.data.formats.files import write_picture
from segjax.data.spec import cut_source, divide_options, parse_spec
from segjax.files import read_json, replacing, write_file, write_table
from segjax.reports.words import joined, network_name
from segjax.sweeps import ResultTable
from segjax.types import InputError, Sample, Source

_SAME = 2 / 255  # pictures of 8 bits, scaled by their maximum, differ by less from what was written
_WRITE = "--write-test-pictures FOLDER writes the test pictures as the study cuts them"


@dataclass(frozen=True, eq=False)
class Rival:
    """What a program predicted.

    Attributes:
        network: the factor `network` of its trials.
        source: its pictures and labels.
        places: the index in `source` of the study's test pictures, by their index.
        classes: the class in `source` of each class of the study; None where the labels tell no classes apart.
    """

    network: str
    source: Source
    places: Mapping[int, int]
    classes: Mapping[int, int] | None

    def masks(self, indices: Iterable[int] | Int[np.ndarray, " P"], target: int) -> Bool[np.ndarray, "P H W"]:
        """Where it marks objects of a class of the study in some of the test pictures; any object without classes."""
        samples = (self.source[self.places[int(index)]] for index in indices)
        own = None if self.classes is None else self.classes.get(target, 0)  # no object is of class 0
        return np.stack([(sample.labels if own is None else sample.of_class(own)) > 0 for sample in samples])


def read_rivals(
    options: RivalOptions, pictures: Source, test: Iterable[int], needs_classes: bool = False
) -> dict[str, Rival]:
    """Rivals by the factor `network` of their trials.

    Args:
        pictures: of the study.
        test: index in them of the pictures that are judged.
        needs_classes: the study asks for several classes.

    Raises:
        InputError: a folder cannot be read, lacks a test picture or has another picture of that name, a pixel that was
            not predicted, or classes that the study does not know.
    """
    found = {}
    for name, text in options.specs().items():
        try:
            one = _read(name, text, pictures, list(test), needs_classes)
        except InputError as error:
            raise InputError(f"rival {name}: {error}") from error
        found[one.network] = one
    return found


def _read(name: str, text: str, pictures: Source, test: Sequence[int], needs_classes: bool) -> Rival:
    source, has_classes = _opened(text)
    index_of = {picture: index for index, picture in enumerate(source.names)}
    if missing := [pictures.names[index] for index in test if pictures.names[index] not in index_of]:
        raise InputError(
            f"{len(missing)} of {len(test)} test pictures have no prediction in {text}: {first_few(missing)}; predict "
            f"these as well ({_WRITE})"
        )
    places = {index: index_of[pictures.names[index]] for index in test}
    for index, place in places.items():
        _check_picture(source[place], pictures[index], text)
    known = pictures.class_names
    if needs_classes and not has_classes:
        raise InputError(
            f"the labels in {text} tell no classes apart, but this study asks for {first_few(known)}; add class images "
            "as classes/, or give labels=components for masks whose values are classes"
        )
    classes = _classes(source.class_names, known, text) if has_classes and len(known) > 1 else None
    return Rival(factor_of(name, source.digest), source, places, classes)


def _opened(text: str) -> tuple[Source, bool]:
    """A folder that may hold more pictures than those with labels, pictures without objects, and equal or flat ones;
    and whether it tells classes apart."""
    spec = parse_spec(text)
    given, cuts = divide_options(spec)
    path, options = Path(spec.name).expanduser(), FolderOptions.parse({"unlabelled": "skip", "empty": "keep", **given})
    inspection = inspect_folder(path, options)
    problems = [problem for problem in inspection.problems if problem.spoils == "anything"]
    source = FolderSource(path, options, text, dataclasses.replace(inspection, problems=problems))
    return cut_source(source, cuts), source.has_classes and source.class_names != (UNNAMED,)


def _check_picture(found: Sample, own: Sample, text: str) -> None:
    """Raises InputError where a prediction belongs to another picture, or leaves pixels out."""
    if found.image.shape[:2] != own.image.shape[:2]:
        sizes = [f"{width} x {height}" for height, width in (found.image.shape[:2], own.image.shape[:2])]
        raise InputError(
            f"the picture {own.name} in {text} is {sizes[0]} pixels, but the test picture is {sizes[1]}; predict the "
            f"test picture itself ({_WRITE})"
        )
    if not is_same_picture(found.image, own.image):
        raise InputError(
            f"the picture {own.name} in {text} is not the test picture of that name; predict the test picture itself "
            f"({_WRITE})"
        )
    judged = True if own.ignored is None else ~own.ignored
    if found.ignored is not None and (left_out := int((found.ignored & judged).sum())):
        raise InputError(
            f"{left_out} pixels of {own.name} in {text} are not predicted (class 255, or no data); predict every pixel"
        )


def is_same_picture(one: Float[np.ndarray, "H W _"], other: Float[np.ndarray, "H W _"]) -> bool:
    """Whether two pictures of one size show the same, but for colour and rounding to 8 bits."""
    return bool(np.abs(_grey(one) - _grey(other)).max() <= _SAME)


def _grey(image: Float[np.ndarray, "H W C"]) -> Float[np.ndarray, "H W"]:
    return image.mean(-1) / max(float(image.max()), 1e-6)


def _classes(names: tuple[str, ...], known: tuple[str, ...], text: str) -> dict[int, int]:
    """The rival's class of each class of the study, by name where it names them."""
    is_named = names != tuple(f"class {number}" for number in range(1, len(names) + 1))
    unknown = sorted(set(names) - set(known)) if is_named else names[len(known) :]
    if unknown:
        raise InputError(
            f"{text} has the class {unknown[0]!r}, but the classes of the study are {', '.join(known)}; call them so, "
            "as with class_names=FILE.csv (columns class, name)"
        )
    if is_named:
        return {known.index(name) + 1: number for number, name in enumerate(names, 1)}
    return {number: number for number in range(1, len(names) + 1)}


def keep_origins(out: Path, rivals: Mapping[str, Rival]) -> None:
    """Note in OUT/rivals which files each rival's results are of.

    Raises:
        InputError: the results there are of other predictions under the same name.
    """
    for network, rival in rivals.items():
        name, _, _ = network.partition("@")
        path, facts = out / "rivals" / f"{name}.json", {"network": network, "digest": rival.source.digest}
        there = read_json(path, "the origin of a rival", {"network": str}, "remove it") if path.exists() else facts
        if there["network"] != network:
            raise InputError(
                f"rival {name}: {out} has results of other predictions of that name ({there['network']}, now "
                f"{network}); give these another name, so that both are compared, or choose another --out"
            )
        if not path.exists():
            write_file(path, json.dumps({**facts, "data": rival.source.spec}, indent=1) + "\n")


def rival_cautions(table: ResultTable[Any]) -> list[str]:
    """What has to be known of the rivals in a table."""
    rivals = [network.partition("@")[0] for network in rivals_among(table.frame.get("network", ()))]
    if not rivals:
        return []
    its = "Its" if len(rivals) == 1 else "Their"
    return [
        f"The labels of {joined(rivals)} were predicted elsewhere. {its} training data are not known here: test "
        "pictures may be among them. The labels are taken as they are, and objects are told apart in them as in "
        "the predictions of the other networks."
    ]


def class_cautions(rivals: Iterable[Rival], pictures: Source) -> list[str]:
    """Rivals that mark everything where the study asks for one class of several."""
    names = [network_name(one.network) for one in rivals if one.classes is None]
    if not names or len(pictures.class_names) < 2:
        return []
    verb = "tells" if len(names) == 1 else "tell"
    return [
        f"{joined(names)} {verb} no classes apart. Everything marked counts as the target class, although the pictures "
        f"show {len(pictures.class_names)} classes."
    ]


def write_test_pictures(folder: Path, source: Source, tested: Mapping[int, Sequence[int]]) -> int:
    """Write test pictures as FOLDER/images/NAME.tif, and pictures.csv; returns how many there are.

    Args:
        tested: index in the source to the seeds that test on the picture.

    Raises:
        InputError: the folder exists, a picture's name is no file name, or the disk cannot be written.
    """
    if folder.exists():
        raise InputError(f"write_test_pictures: {folder} exists already; choose a new folder")
    if unfit := [source.names[index] for index in tested if Path(source.names[index]).name != source.names[index]]:
        raise InputError(f"write_test_pictures: {unfit[0]!r} is no file name; rename the picture")
    with replacing(folder) as unfinished:
        (unfinished / "images").mkdir(parents=True)
        for index in tested:
            write_picture(unfinished / "images" / f"{source.names[index]}.tif", source[index].image)
        rows = [(source.names[i], source.groups[i], " ".join(map(str, seeds))) for i, seeds in tested.items()]
        write_table(unfinished / "pictures.csv", [("picture", "group", "tested by seeds"), *rows])
    return len(tested)
