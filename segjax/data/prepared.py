"""Prepared sets of tensorflow-datasets as sources, read without TensorFlow: our own, and any stored as array_record."""

import io
import json
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int32
from PIL import Image

from segjax.ops.components import components
from segjax.simulators.microscope import scaled
from segjax.types import InputError, Sample, digest_of

try:
    import tensorflow_datasets as tfds
except ImportError as error:
    raise ImportError("sets of tensorflow-datasets need more packages: pip install 'segjax[studies]'") from error

OPTIONS = ("dir", "split", "image", "labels", "mask", "class_names", "group", "label", "least_objects")
_OF_OTHERS = ("image", "labels", "mask", "class_names", "group", "label")  # our sets know these of themselves
_MASKS = ("instances", "classes", "trimap")
_OBJECT, _BORDER = 1, 3  # of a trimap; 2 is background


class _Place(NamedTuple):
    """Where a picture lies, and what is known of it without reading it."""

    split: str
    row: int
    name: str
    group: str
    shape: tuple[int, int] | None = None
    objects: int | None = None


class PreparedSource:
    """The pictures of a prepared set in stored order, splits one after the other; meets `segjax.types.Source`.

    Besides the source's own attributes: `remarks`, what was found wrong with the set when it was prepared.
    """

    def __init__(self, directory: Path, spec: str, options: dict[str, str]):
        self.spec = spec
        self._options = options
        builder = tfds.builder_from_directory(str(directory))
        self._features = dict(builder.info.features.items())
        for option in ("image", "labels", "group", "label"):
            feature = options.get(option, option)
            if feature not in self._features and (option in ("image", "labels") or option in options):
                raise InputError(
                    f"{spec}: the set has no feature {feature!r} for {option}; "
                    f"name one of {', '.join(sorted(self._features))} by the option {option}="
                )
        self._image, self._labels = options.get("image", "image"), options.get("labels", "labels")
        splits = _chosen_splits(builder, spec, options.get("split"))
        skipped = {key: tfds.decode.SkipDecoding() for key, part in self._features.items() if _is_picture(part)}
        self._parts = {split: builder.as_data_source(split=split, decoders=skipped) for split in splits}
        described = json.loads((builder.info.metadata or {}).get("segjax", "null"))
        self._knows_classes = described is not None
        self._places = self._described_places(described) if described else self._places_of_others()
        least = _least_objects(spec, options)
        if least and not described:
            raise InputError(f"{spec}: only sets prepared by segjax tell the number of objects; leave the option out")
        self._places = [place for place in self._places if (place.objects or 0) >= least]
        if not self._places:
            raise InputError(f"{spec}: no picture has {least} objects or more; give a smaller number")
        self.names = tuple(place.name for place in self._places)
        self.groups = tuple(place.group for place in self._places)
        if described:
            self._take_over(described)
        else:
            self._describe(directory)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Sample:
        place = self._places[index]
        record = self._record(place.split, place.row)
        image, labels = _decoded(record[self._image]), _decoded(record[self._labels])
        if labels.ndim == 3 and labels.shape[-1] == 1:
            labels = labels[..., 0]
        if labels.ndim != 2 or labels.shape != image.shape[:2]:
            raise InputError(
                f"{self.spec}, picture {place.name}: labels of shape {labels.shape} do not fit an image of shape "
                f"{image.shape}; both need the same height and width, labels one channel"
            )
        labels, ignored = labels.astype(np.int32), None
        if self._knows_classes:
            classes = np.asarray(record["classes"], np.int32)
            ignored = _decoded(record["ignored"]) > 0 if "ignored" in record else None
        else:
            labels, classes, ignored = self._objects(labels, place.name)
        if ignored is not None and not ignored.any():
            ignored = None
        label = int(record[self._options.get("label", "label")]) if self.label_names else None
        return Sample(_unit_range(image), labels, classes, place.group, place.name, ignored, label)

    def _record(self, split: str, row: int) -> dict[str, Any]:
        try:
            return self._parts[split][row]
        except Exception as error:  # the reader raises nearly anything on damaged files
            raise InputError(
                f"{self.spec}: picture {row} of the split {split} cannot be read ({error}); "
                "its file is damaged, prepare the set again"
            ) from error

    def _objects(
        self, labels: Int32[np.ndarray, "H W"], name: str
    ) -> tuple[Int32[np.ndarray, "H W"], Int32[np.ndarray, " N"], Bool[np.ndarray, "H W"] | None]:
        mask, highest = self._options.get("mask", "instances"), int(labels.max(initial=0))
        if mask == "instances":
            return labels, np.ones(highest, np.int32), None
        ignored = None
        if mask == "trimap":
            if highest > _BORDER or labels.min(initial=_OBJECT) < _OBJECT:
                raise InputError(
                    f"{self.spec}, picture {name}: mask values from {labels.min()} to {highest}; "
                    "a trimap has 1 (object), 2 (background) and 3 (border)"
                )
            labels, ignored, highest = (labels == _OBJECT).astype(np.int32), labels == _BORDER, 1
        if highest > len(self.class_names):
            raise InputError(
                f"{self.spec}, picture {name}: mask value {highest} is above the {len(self.class_names)} classes; "
                "name all of them by class_names=FIRST,SECOND,..."
            )
        parted = np.zeros_like(labels)
        classes: list[int] = []
        for index in range(1, highest + 1):
            pieces = components(labels == index)
            parted = np.where(pieces > 0, pieces + len(classes), parted)
            classes += [index] * int(pieces.max(initial=0))
        return parted.astype(np.int32), np.array(classes, np.int32), ignored

    def _described_places(self, described: Mapping[str, Any]) -> list[_Place]:
        """What one of our sets tells of its pictures, for the chosen splits."""
        if "pictures" not in described:
            raise InputError(
                f"{self.spec}: was prepared by an earlier version of segjax; remove it and prepare it again"
            )
        for option in _OF_OTHERS:
            if option in self._options:
                raise InputError(f"{self.spec}: a set prepared by segjax knows its {option}; leave the option out")
        places = []
        for split, part in self._parts.items():
            rows = described["pictures"][split]
            if len(rows) != len(part):
                raise InputError(
                    f"{self.spec}: {len(part)} of {len(rows)} pictures of the split {split} are there; "
                    "files were lost, prepare the set again"
                )
            for row, (name, group, height, width, objects, _) in enumerate(rows):
                places.append(_Place(split, row, name, group, (height, width), objects))
        return places

    def _places_of_others(self) -> list[_Place]:
        """Names from split and position; a picture is its own group unless a feature says otherwise."""
        places = []
        feature = self._options.get("group")
        for split, part in self._parts.items():
            for row in range(len(part)):
                group = name = f"{split}-{row:06d}"
                if feature is not None:
                    value = self._record(split, row)[feature]
                    group = value.decode() if isinstance(value, bytes) else str(value)
                places.append(_Place(split, row, name, group))
        return places

    def _take_over(self, described: Mapping[str, Any]) -> None:
        self.shapes = tuple(place.shape for place in self._places)
        self.class_names = tuple(described["class_names"])
        self.label_names = tuple(described["label_names"])
        self.test_groups = frozenset(described["test_groups"]) & frozenset(self.groups)
        self.coarsening = float(described["coarsening"])
        self.remarks: tuple[str, ...] = tuple(described["remarks"])
        is_whole = len(self._places) == sum(len(rows) for rows in described["pictures"].values())
        self.digest = described["digest"] if is_whole else digest_of(described["digest"], *self.names)

    def _describe(self, directory: Path) -> None:
        self.class_names = tuple(self._options.get("class_names", "object").split(","))
        self.label_names = _label_names(self._features, self.spec, self._options.get("label"))
        of_split: dict[bool, set[str]] = {True: set(), False: set()}
        for place in self._places:
            of_split[place.split == "test"].add(place.group)
        self.test_groups = frozenset(of_split[True] - of_split[False])
        self.coarsening = 1.0
        self.remarks = ()
        chosen = {key: value for key, value in self._options.items() if key != "dir"}
        self.digest = digest_of(*sorted(chosen.items()), *(_file_digest(file) for file in _record_files(directory)))


def open_tfds(name: str, options: dict[str, str]) -> PreparedSource:
    """Open the prepared set `name` ("set", "set/config" or "set/config/1.0.0").

    Options of every set: dir (folder of sets; TFDS_DATA_DIR or ~/tensorflow_datasets), split (else all). Of sets
    prepared by segjax: least_objects (pictures that show fewer are left out). Of others: image, labels, group (names of
    features), label (a feature: class of the whole picture), mask (instances; classes: connected regions of one value
    become objects; trimap: regions of 1 are objects, 2 is background, 3 is not judged), class_names (joined by commas).
    Images of 8 bits are divided by 255, others by their own maximum.

    Raises:
        InputError: an option is unknown or wrong, the set is not there, not unique, or not stored as array_record.
    """
    for option in options:
        if option not in OPTIONS:
            raise InputError(f"tfds:{name} has no option {option!r}; its options are {', '.join(OPTIONS)}")
    mask = options.get("mask", "instances")
    if mask not in _MASKS:
        raise InputError(f"tfds:{name}: mask={mask} is unknown; choose one of {', '.join(_MASKS)}")
    if mask != "classes" and "," in options.get("class_names", ""):
        raise InputError(
            f"tfds:{name}: several class_names need mask=classes, as mask={mask} holds one class; give mask=classes"
        )
    root = data_dir(options.get("dir"))
    spec = f"tfds:{name}"
    if options:
        spec += "?" + "&".join(f"{key}={_escaped(options[key])}" for key in OPTIONS if key in options)
    return PreparedSource(_directory(root, name), spec, options)


def data_dir(given: str | None = None) -> Path:
    """The folder of prepared sets: the given one, else that of TFDS_DATA_DIR, else ~/tensorflow_datasets."""
    return Path(given or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


def _least_objects(spec: str, options: Mapping[str, str]) -> int:
    least = options.get("least_objects", "0")
    if not least.isdecimal():
        raise InputError(f"{spec}: least_objects={least} is no whole number; give for example least_objects=1")
    return int(least)


def _label_names(features: Mapping[str, Any], spec: str, feature: str | None) -> tuple[str, ...]:
    """Names of the classes of whole pictures; () where no feature for them is named."""
    if feature is None:
        return ()
    names = getattr(features[feature], "names", None)
    if not names:
        raise InputError(f"{spec}: feature {feature!r} names no classes; name another one by label=")
    return tuple(names)


def _escaped(value: str) -> str:
    return value.replace("%", "%25").replace("&", "%26")


def _directory(root: Path, name: str) -> Path:
    """The folder that holds the set's newest version."""
    found = [
        file.parent
        for file in (root / name).rglob("dataset_info.json")
        if not any(part.startswith("incomplete.") for part in file.relative_to(root).parts)
    ]
    if not found:
        raise InputError(
            f"tfds:{name}: no prepared set under {root / name}; prepare it there (python -m experiments.prepare, or "
            "tfds build with file_format=array_record) or give its folder by dir="
        )
    kinds = sorted({str(folder.parent.relative_to(root)) for folder in found})
    if len(kinds) > 1:
        raise InputError(f"tfds:{name}: {root} holds several sets of that name; name one of {', '.join(kinds)}")
    newest = max(found, key=lambda folder: [int(part) for part in folder.name.split(".")])
    if not _record_files(newest):
        raise InputError(
            f"tfds:{name}: {newest} is not stored as array_record; prepare it with file_format=array_record"
        )
    return newest


def _chosen_splits(builder: tfds.core.DatasetBuilder, spec: str, split: str | None) -> list[str]:
    there = sorted(builder.info.splits, key=lambda name: (name != "train", name == "test", name))
    if split is not None and split not in there:
        raise InputError(f"{spec}: the set has no split {split!r}; take one of {', '.join(there)}")
    return there if split is None else [split]


def _record_files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.array_record*"))


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        hashed = sha256()
        while block := file.read(1 << 20):
            hashed.update(block)
    return hashed.hexdigest()


def _is_picture(feature: Any) -> bool:
    return isinstance(feature, tfds.features.Image)


def _decoded(stored: Any) -> np.ndarray:
    """An encoded picture is decoded; an array comes as it is."""
    if isinstance(stored, bytes):
        with Image.open(io.BytesIO(stored)) as picture:
            return np.asarray(picture)
    return np.asarray(stored)


def _unit_range(image: np.ndarray) -> np.ndarray:
    if image.ndim == 2 and image.dtype != np.uint8:
        return scaled(image)
    image = image if image.ndim == 3 else image[..., None]
    largest = 255.0 if image.dtype == np.uint8 else max(float(image.max()), 1.0)
    return image.astype(np.float32) / np.float32(largest)
