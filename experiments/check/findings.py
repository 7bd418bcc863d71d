"""All that the check finds in a set of pictures, which are read once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from experiments.check import suspicions
from experiments.check.suggestions import Suggestion, suggest
from experiments.check.survey import LARGEST_HELD, Observed, Seen, memory_of
from experiments.harness.classifiers import check_kinds, check_sides
from experiments.harness.options import DataOptions
from experiments.harness.pictures import Splitting, check_shown, check_target, read_samples
from segjax.data import Problem, open_source
from segjax.data.folders.check import Inspection, inspect_folder
from segjax.data.folders.folder import FolderSource
from segjax.data.folders.folder_options import FolderOptions
from segjax.data.spec import SCHEMES, Spec, cut_source, divide_options, folder_spec, parse_spec
from segjax.types import InputError, Source


@dataclass(frozen=True)
class Asked:
    """What the pictures are to be used for; the options of the command."""

    use: Literal["study", "pictures"] = "study"
    target: int = 1
    folds: int = DataOptions().folds
    validation: Literal["group", "slice"] = "group"


@dataclass(frozen=True, eq=False)
class Findings:
    """What was found.

    Attributes:
        spec: the pictures, with a scheme.
        inspection: what every file of a folder showed; None of other sources.
        source: the pictures that can be read, with the options where these can be applied; None where there are none.
        problems, remarks: what keeps the pictures from being used, and what one should know.
        refusal: why they cannot be used, where no single picture is to blame; else "".
        suggestions: options to add.
        seen: what was measured in each picture of the source; () where not all were read.
        twins: nearly equal pictures of different groups, as places in the source; None where they were not looked for.
    """

    spec: str
    inspection: Inspection | None = None
    source: Observed | None = None
    problems: tuple[Problem, ...] = ()
    remarks: tuple[Problem, ...] = ()
    refusal: str = ""
    suggestions: tuple[Suggestion, ...] = ()
    seen: tuple[Seen, ...] = ()
    twins: tuple[tuple[int, int], ...] | None = None

    @property
    def is_usable(self) -> bool:
        """Whether studies take the pictures."""
        return not (self.problems or self.refusal)

    @property
    def place(self) -> Path:
        """The folder, or the spec of another source."""
        parsed = parse_spec(self.spec)
        return Path(parsed.name).expanduser() if parsed.scheme == "folder" else Path(self.spec)


def spec_of(data: str) -> str:
    """A spec as it is; a plain path as that of a folder."""
    return data if data.partition(":")[0] in SCHEMES and ":" in data else f"folder:{data}"


def look(data: str, asked: Asked, sides: Mapping[str, str], is_thorough: bool) -> Findings:
    """Read every picture, and find all there is to say.

    Args:
        data: path or spec.
        asked: what the pictures are to be used for.
        sides: picture name to side, where there is a split.
        is_thorough: measure the pictures that can be read even where something is wrong, and keep them in memory.

    Raises:
        InputError: there is nothing to look at: no such folder or source, an unknown option.
    """
    spec = spec_of(data)
    parsed = parse_spec(spec)
    found = _of_folder(parsed, spec, sides) if parsed.scheme == "folder" else Findings(spec)
    if found.problems and not is_thorough:
        return replace(found, suggestions=tuple(suggest(spec, (), found.inspection)))
    try:
        source = _readable(found, parsed)
        if source is not None:
            found = replace(found, source=Observed(source, keep=is_thorough and _fits(source)))
        if found.source is not None and not found.problems:
            _check_use(found.source, asked)
    except InputError as error:
        if found.inspection is None and found.source is None:
            raise
        found = replace(found, refusal=str(error))
    if found.inspection is None:
        found = replace(found, remarks=_of_preparing(parsed, found.place))
    if found.source is None or not (found.is_usable or is_thorough):
        return replace(found, suggestions=tuple(suggest(spec, (), found.inspection)))
    return _with_suspicions(replace(found, seen=tuple(found.source.all_seen())), sides)


def check_for_studies(source: Source, splitting: Splitting, target: int) -> None:
    """Read every picture in turn, and look whether studies can use them together.

    Pictures with labels of their own need not show the target: a classifier learns these labels. Which label is looked
    for is an option of the study where there are more than two.

    Raises:
        InputError: pictures differ in size, none shows the target, or groups cannot be divided.
    """
    if splitting.folds < 2:
        raise InputError(f"folds must be at least 2, not {splitting.folds}; leave the option out")
    check_target(source, target)
    if len(source.label_names) == 2:
        presence = np.asarray([sample.label for sample in read_samples(source)], np.int32)
        check_kinds(source.spec, presence)
        check_sides(source, splitting, presence, seeds=splitting.folds)
    elif source.label_names:
        for _ in read_samples(source):
            pass
    else:
        check_shown(source, read_samples(source), target)
    for seed in range(splitting.folds):
        splitting.split(source, seed)


def _of_folder(parsed: Spec, spec: str, sides: Mapping[str, str]) -> Findings:
    options, _ = divide_options(parsed)
    inspection = inspect_folder(Path(parsed.name).expanduser(), FolderOptions.parse(options), sides)
    return Findings(spec, inspection, None, tuple(inspection.problems), tuple(inspection.remarks))


def _of_preparing(parsed: Spec, place: Path) -> tuple[Problem, ...]:
    """What was found wrong with a public set when it was prepared."""
    if parsed.scheme != "tfds":
        return ()
    whole = open_source(f"tfds{folder_spec(parsed.name, divide_options(parsed)[0]).removeprefix('folder')}")
    return tuple(Problem(place, remark, "") for remark in getattr(whole, "remarks", ()))


def _readable(found: Findings, parsed: Spec) -> Source | None:
    """The source as asked for; of a folder with problems the pictures that can be read, whole."""
    if found.inspection is None:
        return open_source(found.spec)
    options, cuts = divide_options(parsed)
    inspection = found.inspection
    if inspection.problems and not inspection.pictures:
        return None
    if inspection.problems:
        unlabelled = (None,) * len(inspection.pictures)
        inspection = replace(inspection, problems=[], image_labels=unlabelled, label_names=())
        cuts = {}
    given = FolderSource(found.place, FolderOptions.parse(options), folder_spec(parsed.name, options), inspection)
    return cut_source(given, cuts)


def _fits(source: Source) -> bool:
    """Whether all pictures, if they are like the first, can be kept in memory."""
    height, width, channels = source[0].image.shape
    return len(source) * memory_of((height, width, channels)) <= LARGEST_HELD


def _check_use(source: Source, asked: Asked) -> None:
    if asked.use == "study":
        check_for_studies(source, Splitting(asked.folds, asked.validation), asked.target)
        return
    for index in range(len(source)):
        source[index]


def _with_suspicions(found: Findings, sides: Mapping[str, str]) -> Findings:
    """With what only all pictures together tell."""
    source, seen = found.source, found.seen
    assert source is not None
    twins = suspicions.twins(source, seen)
    equal = suspicions.equal_pictures(seen)
    remarks = [
        *suspicions.shifted_labels(found.place, seen),
        *(suspicions.equal_remarks(source, equal, sides) if found.inspection is None else ()),
        *suspicions.twin_remarks(
            source, [pair for pair in twins or () if seen[pair[0]].content != seen[pair[1]].content], sides
        ),
        *suspicions.divided_groups(found.place, source, sides),
    ]
    return replace(
        found,
        remarks=(*found.remarks, *remarks),
        twins=None if twins is None else tuple(twins),
        suggestions=tuple(suggest(found.spec, seen, found.inspection)),
    )


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """By file."""
    return sorted(problems, key=lambda problem: str(problem.path))


def shown_path(place: Path, path: Path) -> str:
    """A path as seen from the folder that is checked."""
    return str(path.relative_to(place)) if path.is_relative_to(place) and path != place else str(path)
