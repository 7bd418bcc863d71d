"""What all builders share: the features of a record, what is known of a set, what is checked while it is written."""

import io
import json
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from inspect import cleandoc
from pathlib import Path
from textwrap import dedent, indent
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Bool, Int32, Shaped
from PIL import Image

from segjax.data.builders.remarks import Written, remarks_on
from segjax.types import InputError, digest_of

try:
    import tensorflow_datasets as tfds
except ImportError as error:
    raise ImportError("sets of tensorflow-datasets need more packages: pip install 'segjax[studies]'") from error

DESCRIBED = "segjax"  # key of a set's metadata under which it describes itself
GREY_8, GREY_16, RGB = (1, np.uint8), (1, np.uint16), (3, np.uint8)


@dataclass(frozen=True)
class Card:
    """What users have to know of a public set before and after they prepare it.

    Attributes:
        title: one line.
        licence: of the pictures and annotations.
        address: where the owners publish it.
        tree: the files that are read, as they lie after unpacking.
        class_names: of class 1, 2, ...
        checksums: SHA-256 by name of a published archive; an archive that lies beside the files is compared.
        published: number of pictures by split, or of "all".
        tests: splits that the owners' protocol reserves for testing.
        known: what is known of the set that a user should hear, a sentence each.
        is_evenly_filled: whether pictures of one class show about as many objects, so that one with few is suspect.
    """

    title: str
    licence: str
    address: str
    tree: str
    class_names: tuple[str, ...]
    checksums: Mapping[str, str] = field(default_factory=dict)
    published: Mapping[str, int] = field(default_factory=dict)
    tests: frozenset[str] = frozenset({"test"})
    known: tuple[str, ...] = ()
    is_evenly_filled: bool = False

    def __str__(self) -> str:
        tree = indent(dedent(self.tree), "    ")
        lines = [self.title, f"licence: {self.licence}", f"address: {self.address}", f"files:\n{tree}"]
        lines += [f"SHA-256 of {archive}: {digest}" for archive, digest in self.checksums.items()]
        return "\n".join([*lines, *self.known])


class Entry(NamedTuple):
    """One picture before it is read.

    Attributes:
        split: train, test or what else the owners name.
        name: unique in the set.
        group: the patient, slide, volume or well it came from.
        place: what its set needs to read it.
    """

    split: str
    name: str
    group: str
    place: Any


class Record(NamedTuple):
    """One picture as it is written.

    Attributes:
        image: uint8 or uint16 [H, W] or [H, W, 3], as the owners stored it.
        labels: int32 [H, W]; 0 is background, 1..N are objects.
        classes: int32 [N], class of object i at position i - 1, from 1.
        ignored: bool [H, W], pixels that nobody judged; `labels` is 0 there. None: all are judged.
        label: class of the whole picture from 0, where the set has such.
        remarks: what is wrong with it; pictures of one remark are counted together.
    """

    image: Shaped[np.ndarray, "H W *C"]
    labels: Int32[np.ndarray, "H W"]
    classes: Int32[np.ndarray, " N"]
    ignored: Bool[np.ndarray, "H W"] | None = None
    label: int | None = None
    remarks: tuple[str, ...] = ()


class AnnotatedSet(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """A set of annotated pictures. A subclass says where its pictures lie (`entries`) and how one is read (`read`).

    Attributes:
        IMAGE: channels and type of the stored pictures.
        IGNORES: whether some pixels were not judged.
        LABEL_NAMES: classes of whole pictures, where there are such.
        progress: is told, after every picture, how many are written and how many there are.
        others: descriptions of other sets, which may hold the same pictures.
    """

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = "python -m experiments.prepare lists every set with its licence, address and files."
    IMAGE: ClassVar[tuple[int, type]] = RGB
    IGNORES: ClassVar[bool] = False
    LABEL_NAMES: ClassVar[tuple[str, ...]] = ()
    progress: Callable[[int, int], None] | None = None
    others: Mapping[str, Mapping[str, Any]] = MappingProxyType({})

    @abstractmethod
    def entries(self, root: Path) -> Iterable[Entry]:
        """Every picture below the folder that the user names, in stored order within each split.

        Raises:
            InputError: files are missing.
        """

    @abstractmethod
    def read(self, entry: Entry) -> Record:
        """One picture.

        Raises:
            InputError: a file cannot be read, or holds what it should not.
        """

    @abstractmethod
    def described(self, written: Sequence[Written]) -> dict[str, Any]:
        """What a reader of the prepared set is told beside the pictures' names: see `PublicSet.described`."""

    def _info(self) -> tfds.core.DatasetInfo:
        channels, dtype = self.IMAGE
        features = {
            "image": tfds.features.Image(shape=(None, None, channels), dtype=dtype, encoding_format="png"),
            "labels": tfds.features.Tensor(shape=(None, None), dtype=np.int32, encoding="zlib"),
            "classes": tfds.features.Tensor(shape=(None,), dtype=np.int32),
            "name": tfds.features.Text(),
            "group": tfds.features.Text(),
        }
        if self.IGNORES:
            features["ignored"] = tfds.features.Image(shape=(None, None, 1), dtype=np.uint8, encoding_format="png")
        if self.LABEL_NAMES:
            features["label"] = tfds.features.Scalar(dtype=np.int64)
        return tfds.core.DatasetInfo(
            builder=self,
            description=type(self).__doc__,
            features=tfds.features.FeaturesDict(features),
            metadata=tfds.core.MetadataDict(),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
        parts: dict[str, list[Entry]] = {}
        for entry in self.entries(self._root(dl_manager)):
            parts.setdefault(entry.split, []).append(entry)
        names = [entry.name for part in parts.values() for entry in part]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"{self.name}: two pictures are named {twice}; rename or remove one of their files")
        written: list[Written] = []
        return {split: self._generate_examples(part, written, len(names)) for split, part in parts.items()}

    def _root(self, dl_manager: Any) -> Path:
        return Path(dl_manager.manual_dir)

    def _log_download_bytes(self) -> None:
        """Nothing is downloaded, so nothing is printed of it."""

    def _log_download_done(self) -> None:
        """Nothing is downloaded, so nothing is printed of it."""

    def _generate_examples(
        self, entries: Sequence[Entry], written: list[Written], total: int
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for key, entry in enumerate(entries):
            record = self.read(entry)
            check_record(entry.name, record)
            written.append(_written(entry, record))
            if self.progress is not None:
                self.progress(len(written), total)
            yield key, self._encoded(entry, record)
        if len(written) == total:
            self.info.metadata[DESCRIBED] = json.dumps(self.described(written) | {"pictures": _by_split(written)})

    def _encoded(self, entry: Entry, record: Record) -> dict[str, Any]:
        encoded = {
            "image": _png(_with_channels(entry.name, record.image, *self.IMAGE)),
            "labels": record.labels,
            "classes": record.classes,
            "name": entry.name,
            "group": entry.group,
        }
        if self.IGNORES:
            ignored = np.zeros(record.labels.shape, bool) if record.ignored is None else record.ignored
            encoded["ignored"] = _png(ignored.astype(np.uint8))
        if self.LABEL_NAMES:
            encoded["label"] = record.label
        return encoded


class PublicSet(AnnotatedSet, skip_registration=True):  # type: ignore[call-arg]
    """A set that others publish; its docstring ends with its card."""

    CARD: ClassVar[Card]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "CARD" in vars(cls):
            cls.__doc__ = f"{cleandoc(cls.__doc__ or '')}\n\n{cls.CARD}"

    def described(self, written: Sequence[Written]) -> dict[str, Any]:
        """Digest, classes, groups reserved for testing, licence, address, and remarks on what is wrong with the set."""
        card = self.CARD
        of_tests = {row.group for row in written if row.split in card.tests}
        tested = sorted(of_tests - {row.group for row in written if row.split not in card.tests})
        contents = (part for row in written for part in (row.split, row.name, row.group, row.image, row.annotation))
        return {
            "spec": f"{self.name}/{self.version}",
            "digest": digest_of(self.name, card.class_names, self.LABEL_NAMES, tested, *contents),
            "class_names": card.class_names,
            "label_names": self.LABEL_NAMES,
            "test_groups": tested,
            "coarsening": 1.0,
            "licence": card.licence,
            "address": card.address,
            "remarks": [*remarks_on(written, card.published, card.is_evenly_filled, self.others), *card.known],
        }

    def missing(self, root: Path, what: str) -> InputError:
        """The error that tells which files are expected where."""
        return InputError(
            f"{root}: {what}; get the set from its owners, unpack it and name its folder by --from "
            f"(nothing is downloaded for you). Expected is:\n{self.CARD}"
        )


def check_record(name: str, record: Record) -> None:
    """Refuse what no reader of the set could use.

    Raises:
        InputError: labels and picture differ in size, labels without class, or labels where nothing was judged.
    """
    shape = record.labels.shape
    if record.image.shape[:2] != shape:
        raise InputError(f"{name}: its annotation has {shape} pixels, but its picture has {record.image.shape[:2]}")
    highest = int(record.labels.max(initial=0))
    if record.labels.min(initial=0) < 0 or highest > len(record.classes):
        raise InputError(f"{name}: has labels up to {highest}, but classes of {len(record.classes)} objects")
    if record.ignored is not None and (record.labels[record.ignored] != 0).any():
        raise InputError(f"{name}: some pixels of objects are marked as not judged")


def _written(entry: Entry, record: Record) -> Written:
    ids = np.unique(record.labels)
    shown = record.classes[ids[ids > 0] - 1]
    ignored = b"" if record.ignored is None else record.ignored.tobytes()
    return Written(
        *entry[:3],
        height=record.labels.shape[0],
        width=record.labels.shape[1],
        objects=len(shown),
        commonest=int(np.bincount(shown).argmax()) if len(shown) else 0,
        image=_digest(record.image),
        annotation=_digest(record.labels, record.classes, ignored, str(record.label).encode()),
        remarks=record.remarks,
    )


def _digest(*parts: np.ndarray | bytes) -> str:
    hashed = sha256()
    for part in parts:
        hashed.update(f"{part.shape} {part.dtype}".encode() if isinstance(part, np.ndarray) else b"bytes")
        hashed.update(np.ascontiguousarray(part).tobytes() if isinstance(part, np.ndarray) else part)
    return hashed.hexdigest()[:16]


def _by_split(written: Sequence[Written]) -> dict[str, list[tuple]]:
    """What `segjax.data.prepared` reads: name, group, height, width, objects and hash of the image of each picture."""
    parts: dict[str, list[tuple]] = {}
    for row in written:
        known = (row.name, row.group, row.height, row.width, row.objects, row.image)
        parts.setdefault(row.split, []).append(known)
    return parts


def _with_channels(name: str, image: Shaped[np.ndarray, "H W *C"], channels: int, dtype: type) -> np.ndarray:
    """Grey pictures of a colour set repeat their channel."""
    if image.dtype != dtype:
        raise InputError(f"{name}: its picture has the type {image.dtype}, but this set has {np.dtype(dtype)}")
    if image.ndim == 3 and image.shape[-1] == 1:
        image = image[..., 0]
    if image.ndim == 2 and channels == 3:
        return np.repeat(image[..., None], 3, axis=-1)
    if (image.ndim == 2) != (channels == 1):
        raise InputError(f"{name}: its picture has {image.shape[-1]} channels, but this set has {channels}")
    return image


def _png(pixels: Shaped[np.ndarray, "H W *C"]) -> io.BytesIO:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=3)  # five times as fast as 6, files a hundredth larger
    file.seek(0)
    return file
