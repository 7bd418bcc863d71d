"""tensorflow-datasets sets without TensorFlow: the virtual microscope as builders, and any prepared set as a source.

Pictures and labels are stored as PNG files inside array_record, so that neither writing nor reading needs TensorFlow.
"""

import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Int32, Shaped
from PIL import Image

from segjax.ops.components import components
from segjax.simulators import COARSENINGS, MicroscopeSource, TissueSource, open_microscope
from segjax.simulators.microscope import scaled
from segjax.types import InputError, Sample, digest_of

try:
    import tensorflow_datasets as tfds
except ImportError as error:
    raise ImportError("sets of tensorflow-datasets need more packages: pip install 'segjax[studies]'") from error

OPTIONS = ("dir", "split", "image", "labels", "mask", "class_names", "group")
_MASKS = ("instances", "classes")
_DESCRIPTION = "Simulated microscopy of nuclei with perfect instance labels and classes, one record per picture."


@dataclass(kw_only=True)
class MicroscopeConfig(tfds.core.BuilderConfig):
    """Options of the microscope as in a source's spec; `name` names the set's folder.

    Attributes:
        options: size, volumes, slices, crop, seed as text, as `open_microscope` takes them.
    """

    options: dict[str, str]


class MicroscopeBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """Writes a microscope source; the split "test" holds the volumes that the protocol reserves for testing."""

    VERSION = tfds.core.Version("2.0.0")
    BUILDER_CONFIGS: ClassVar = [MicroscopeConfig(name=size, options={"size": size}) for size in COARSENINGS]
    KIND: ClassVar[str]

    @cached_property
    def source(self) -> MicroscopeSource | TissueSource:
        return open_microscope(self.KIND, self.builder_config.options)

    def _info(self) -> tfds.core.DatasetInfo:
        grey, colour = (
            tfds.features.Image(shape=(None, None, channels), dtype=dtype, encoding_format="png")
            for channels, dtype in ((1, np.uint16), (3, np.uint8))
        )
        features = {
            "image": colour if self.KIND == "tissue" else grey,
            "labels": grey,
            "classes": tfds.features.Tensor(shape=(None,), dtype=np.int32),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=_DESCRIPTION,
            features=tfds.features.FeaturesDict(
                {**features, "name": tfds.features.Text(), "group": tfds.features.Text()}
            ),
            metadata=tfds.core.MetadataDict(),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
        self.info.metadata["segjax"] = json.dumps(_described(self.source))
        tested = np.array([group in self.source.test_groups for group in self.source.groups], bool)
        parts = {"train": np.flatnonzero(~tested), "test": np.flatnonzero(tested)}
        return {name: self._generate_examples(indices) for name, indices in parts.items() if len(indices)}

    def _generate_examples(self, indices: np.ndarray) -> Iterator[tuple[int, dict[str, Any]]]:
        for index in indices.tolist():
            picture, labels, classes = self.source.recorded(index)
            yield (
                index,
                {
                    "image": _png(picture),
                    "labels": _png(labels.astype(np.uint16)),
                    "classes": classes,
                    "name": self.source.names[index],
                    "group": self.source.groups[index],
                },
            )


class SegjaxHl60(MicroscopeBuilder):
    """tfds.builder("segjax_hl60/quarter"): the HL60-like set."""

    KIND = "hl60"


class SegjaxGranulocytes(MicroscopeBuilder):
    """tfds.builder("segjax_granulocytes/quarter"): the granulocyte-like set."""

    KIND = "granulocytes"


class SegjaxMixed(MicroscopeBuilder):
    """tfds.builder("segjax_mixed/quarter"): both kinds of nuclei in one volume, two classes."""

    KIND = "mixed"


class SegjaxTissue(MicroscopeBuilder):
    """tfds.builder("segjax_tissue/quarter"): stained tissue with six types of nuclei."""

    KIND = "tissue"


def prepare(source: MicroscopeSource | TissueSource, data_dir: str | Path, name: str) -> Path:
    """Write the source as a set to data_dir/name/VERSION, kept if already there; `tfds:name?dir=data_dir` opens it.

    Raises:
        InputError: name is no lower-case identifier, or such a set of another source is already there.
    """
    if not (name.isidentifier() and name == name.lower()):
        raise InputError(f"the name of a set, {name!r}, must consist of lower-case letters, digits and underscores")
    body: dict[str, Any] = {"name": name, "KIND": source.kind, "BUILDER_CONFIGS": [], "source": source}
    builder = type("PreparedMicroscope", (MicroscopeBuilder,), body, skip_registration=True)(
        data_dir=str(data_dir), file_format="array_record"
    )
    builder.download_and_prepare(file_format="array_record")
    written = Path(builder.data_dir)
    found = json.loads(tfds.builder_from_directory(str(written)).info.metadata["segjax"])
    if found["digest"] != source.digest:
        raise InputError(f"{written} already holds {found['spec']}, not {source.spec}; give another name or folder")
    return written


class PreparedSource:
    """The pictures of a prepared set in stored order, splits one after the other; meets `segjax.types.Source`."""

    label_names: tuple[str, ...] = ()

    def __init__(self, directory: Path, spec: str, options: dict[str, str]):
        self.spec = spec
        self._mask = options.get("mask", "instances")
        self._image, self._labels = options.get("image", "image"), options.get("labels", "labels")
        builder = tfds.builder_from_directory(str(directory))
        features = dict(builder.info.features.items())
        for option in ("image", "labels", "group"):
            feature = options.get(option, option)
            if feature not in features and (option != "group" or option in options):
                raise InputError(
                    f"{spec}: the set has no feature {feature!r} for {option}; "
                    f"name one of {', '.join(sorted(features))} by the option {option}="
                )
        splits = _chosen_splits(builder, spec, options.get("split"))
        skipped = {key: tfds.decode.SkipDecoding() for key, part in features.items() if _is_picture(part)}
        self._parts = [(split, builder.as_data_source(split=split, decoders=skipped)) for split in splits]
        self._places = [(part, row) for part, (_, rows) in enumerate(self._parts) for row in range(len(rows))]
        described = json.loads((builder.info.metadata or {}).get("segjax", "null"))
        self._knows_classes = described is not None
        if described:
            self._take_over(described, options)
        else:
            self._describe(directory, options)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Sample:
        part, row = self._places[index]
        record = self._parts[part][1][row]
        image, labels = _decoded(record[self._image]), _decoded(record[self._labels])
        name = self.names[index]
        if labels.ndim == 3 and labels.shape[-1] == 1:
            labels = labels[..., 0]
        if labels.ndim != 2 or labels.shape != image.shape[:2]:
            raise InputError(
                f"{self.spec}, picture {name}: labels of shape {labels.shape} do not fit an image of shape "
                f"{image.shape}; both need the same height and width, labels one channel"
            )
        if self._knows_classes:
            labels, classes = labels.astype(np.int32), np.asarray(record["classes"], np.int32)
        else:
            labels, classes = self._objects(labels.astype(np.int32), name)
        return Sample(_unit_range(image), labels, classes, self.groups[index], name)

    def _objects(
        self, labels: Int32[np.ndarray, "H W"], name: str
    ) -> tuple[Int32[np.ndarray, "H W"], Int32[np.ndarray, " N"]]:
        if self._mask == "instances":
            return labels, np.ones(labels.max(initial=0), np.int32)
        highest = int(labels.max(initial=0))
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
        return parted.astype(np.int32), np.array(classes, np.int32)

    def _take_over(self, described: dict[str, Any], options: dict[str, str]) -> None:
        """What a microscope source knew about itself, for the chosen splits."""
        for option in ("mask", "class_names", "group", "image", "labels"):
            if option in options:
                raise InputError(
                    f"{self.spec}: a set of the virtual microscope knows its {option}; leave the option out"
                )
        tested = set(described["test_groups"])
        splits = {split for split, _ in self._parts}
        wanted = [i for i, g in enumerate(described["groups"]) if ("test" if g in tested else "train") in splits]
        self.names = tuple(described["names"][i] for i in wanted)
        self.groups = tuple(described["groups"][i] for i in wanted)
        self.shapes = tuple(tuple(described["shapes"][i]) for i in wanted)
        self.class_names = tuple(described["class_names"])
        self.test_groups = frozenset(tested & set(self.groups))
        self.coarsening = float(described["coarsening"])
        is_whole = len(wanted) == len(described["names"])
        self.digest = described["digest"] if is_whole else digest_of(described["digest"], *sorted(splits))

    def _describe(self, directory: Path, options: dict[str, str]) -> None:
        """Names from split and position; a picture is its own group unless a feature says otherwise."""
        self.names = tuple(f"{self._parts[part][0]}-{row:06d}" for part, row in self._places)
        self.groups = self.names
        if "group" in options:
            records = (self._parts[part][1][row][options["group"]] for part, row in self._places)
            self.groups = tuple(value.decode() if isinstance(value, bytes) else str(value) for value in records)
        self.class_names = tuple(options.get("class_names", "object").split(","))
        of_split: dict[bool, set[str]] = {True: set(), False: set()}
        for (part, _), group in zip(self._places, self.groups, strict=True):
            of_split[self._parts[part][0] == "test"].add(group)
        self.test_groups = frozenset(of_split[True] - of_split[False])
        self.coarsening = 1.0
        chosen = {key: value for key, value in options.items() if key != "dir"}
        self.digest = digest_of(*sorted(chosen.items()), *(_file_digest(file) for file in _record_files(directory)))


def open_tfds(name: str, options: dict[str, str]) -> PreparedSource:
    """Open the prepared set `name` ("set", "set/config" or "set/config/1.0.0").

    Options: dir (folder of sets; TFDS_DATA_DIR or ~/tensorflow_datasets), split (else all), image, labels, group (names
    of features), mask (instances, or classes: connected regions of one value become objects), class_names (joined by
    commas). Images of 8 bits are divided by 255, others by their own maximum.

    Raises:
        InputError: an option is unknown or wrong, the set is not there, not unique, or not stored as array_record.
    """
    for option in options:
        if option not in OPTIONS:
            raise InputError(f"tfds:{name} has no option {option!r}; its options are {', '.join(OPTIONS)}")
    if options.get("mask", "instances") not in _MASKS:
        raise InputError(f"tfds:{name}: mask={options['mask']} is unknown; take one of {', '.join(_MASKS)}")
    if options.get("mask", "instances") == "instances" and "," in options.get("class_names", ""):
        raise InputError(f"tfds:{name}: several class_names need mask=classes; an instance mask holds one class")
    root = Path(options.get("dir") or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
    spec = f"tfds:{name}"
    if options:
        spec += "?" + "&".join(f"{key}={_escaped(options[key])}" for key in OPTIONS if key in options)
    return PreparedSource(_directory(root, name), spec, options)


def _escaped(value: str) -> str:
    return value.replace("%", "%25").replace("&", "%26")


def _directory(root: Path, name: str) -> Path:
    """The folder that holds the set's newest version."""
    found = [file.parent for file in (root / name).rglob("dataset_info.json") if "incomplete" not in str(file)]
    if not found:
        raise InputError(
            f"tfds:{name}: no prepared set under {root / name}; prepare it there "
            "(segjax.data.tfds_sets.prepare, or tfds build with file_format=array_record) or give its folder by dir="
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


def _described(source: MicroscopeSource | TissueSource) -> dict[str, Any]:
    plain = {key: getattr(source, key) for key in ("spec", "digest", "names", "groups", "shapes", "class_names")}
    return plain | {
        "coarsening": source.coarsening,
        "test_groups": sorted(source.test_groups),
    }


def _png(pixels: Shaped[np.ndarray, "H W *C"]) -> io.BytesIO:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    file.seek(0)
    return file


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
