"""Our own simulators as builders: `tfds.builder("segjax_hl60/quarter")`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from segjax.data.builders.base import GREY_16, RGB, AnnotatedSet, Entry, Record, tfds
from segjax.data.builders.remarks import Written
from segjax.simulators import MicroscopeSource, TissueSource, open_microscope
from segjax.simulators.phantoms import COARSENINGS


@dataclass(kw_only=True)
class MicroscopeConfig(tfds.core.BuilderConfig):
    """Options of the microscope as in a source's spec; `name` names the set's folder.

    Attributes:
        options: size, volumes, slices, crop, seed as text, as `open_microscope` takes them.
    """

    options: dict[str, str]


class MicroscopeBuilder(AnnotatedSet, skip_registration=True):  # type: ignore[call-arg]
    """Simulated microscopy of nuclei with perfect instance labels and classes; the split "test" holds the volumes that
    the protocol reserves for testing."""

    VERSION = tfds.core.Version("3.0.0")
    BUILDER_CONFIGS: ClassVar = [MicroscopeConfig(name=size, options={"size": size}) for size in COARSENINGS]
    IMAGE: ClassVar[tuple[int, type]] = GREY_16
    KIND: ClassVar[str]

    @cached_property
    def source(self) -> MicroscopeSource | TissueSource:
        return open_microscope(self.KIND, self.builder_config.options)

    def _root(self, dl_manager: Any) -> Path:
        return Path()  # no file is read

    def entries(self, root: Path) -> Iterator[Entry]:
        for index, (name, group) in enumerate(zip(self.source.names, self.source.groups, strict=True)):
            yield Entry("test" if group in self.source.test_groups else "train", name, group, index)

    def read(self, entry: Entry) -> Record:
        return Record(*self.source.recorded(entry.place))

    def described(self, written: Sequence[Written]) -> dict[str, Any]:
        plain = {
            key: getattr(self.source, key) for key in ("spec", "digest", "class_names", "label_names", "coarsening")
        }
        return plain | {"test_groups": sorted(self.source.test_groups), "remarks": []}


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
    IMAGE = RGB
