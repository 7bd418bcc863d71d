"""What pictures can be used for: every study and command is asked itself, with options that suit few pictures too."""

import itertools
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from experiments.activation_maps.study import STUDY as ACTIVATION_MAPS
from experiments.annotation_budget.study import STUDY as ANNOTATION_BUDGET
from experiments.annotation_errors.study import STUDY as ANNOTATION_ERRORS
from experiments.annotation_upgrade.study import STUDY as ANNOTATION_UPGRADE
from experiments.check.findings import Asked
from experiments.check.survey import LARGEST_HELD
from experiments.few_shot.study import STUDY as FEW_SHOT
from experiments.harness.options import DataOptions, overlaid
from experiments.harness.parsing import parse
from experiments.harness.pictures import Opener, Splitting
from experiments.harness.run import AnyStudy
from experiments.segment_new_type.pictures import open_shots
from experiments.site_segmentation.study import STUDY as SITE_SEGMENTATION
from experiments.upgrade_folder.config import FolderConfig, check_folder_config
from experiments.upgrade_folder.pictures import divide, open_folder, stacked
from segjax.types import InputError, Source

STUDIES: tuple[AnyStudy, ...] = (
    ANNOTATION_ERRORS,
    ANNOTATION_UPGRADE,
    FEW_SHOT,
    ACTIVATION_MAPS,
    SITE_SEGMENTATION,
    ANNOTATION_BUDGET,
)
Words = tuple[str, ...]
# without foreign objects to include, with one object in a picture, and with pixels that 6 published ones do not fill
_ERRORS: dict[str, tuple[Words, ...]] = {
    "annotation_errors": (
        ("--errors", "omission", "bias"),
        ("--errors", "omission", "bias", "--scope", "object"),
        ("--errors", "omission", "--scope", "object"),
    ),
    "annotation_upgrade": (("--error", "omission=0.8+bias=6"), ("--error", "omission=0.8", "--scope", "object")),
}
_FEWER: dict[str, tuple[Words, ...]] = {
    "annotation_upgrade": (
        ("--clean", "5", "--noisy", "10", "--clean-counts", "2", "5", "--compare-at", "5"),
        ("--clean", "3", "--noisy", "4", "--clean-counts", "2", "3", "--compare-at", "3"),
    ),
    "few_shot": (("--shots", "1", "3", "5"), ("--shots", "1", "2", "--compare-shots", "2")),
    "site_segmentation": (("--outlines", "1", "2"), ("--outlines", "1")),
    # pictures in colour, and those that no trained weights can take
    "annotation_budget": (("--extractors", "blood_cells"), ("--arms", "careful", "quick", "points", "boxes")),
}
_MOST_LABELS = 6


@dataclass(frozen=True)
class Use:
    """What a study or command says of the pictures.

    Attributes:
        name: of the study or command.
        command: with the options to give; "" where it cannot be used.
        reason: why it cannot, or which options differ from the usual ones.
    """

    name: str
    command: str
    reason: str


def uses_of(given: str, specs: Sequence[str], opener: Opener, asked: Asked, size: int) -> list[Use]:
    """Whether each study and command can use the pictures, with the first spec and options that it accepts.

    Args:
        given: the pictures as they were checked.
        specs: ways to read the same pictures, the best first.
        opener: opens them.
        asked: other options that were given.
        size: bytes that the pictures take in memory; above 2 GiB studies are not asked.
    """
    if size <= LARGEST_HELD:
        studies = [_study(study, given, specs, opener, asked) for study in STUDIES]
    else:
        told = f"not tried here, because it needs {size / 2**30:.1f} GiB of memory for the pictures; try it with --plan"
        studies = [Use(study.name, _command(study.name, _args(study, specs[0], ())), told) for study in STUDIES]
    return [*studies, _upgrade_folder(given, specs), _new_type(given, specs, asked)]


def _study(study: AnyStudy, given: str, specs: Sequence[str], opener: Opener, asked: Asked) -> Use:
    refusal = ""
    for spec in specs:
        try:
            source = opener(spec)
        except InputError as error:
            refusal = refusal or str(error)
            continue
        candidates = list(_candidates(study.name, source, asked))
        refusals = {words: _refusal(study, spec, words, opener) for words in (candidates[0], candidates[-1])}
        if refusals[candidates[0]] and len(set(refusals.values())) == 1:  # no option makes a difference
            candidates = candidates[:1]
        said = ""
        for words in candidates:
            said = refusals[words] if words in refusals else _refusal(study, spec, words, opener)
            if not said:
                return Use(study.name, _command(study.name, _args(study, spec, words)), _told(given, spec, words))
        refusal = refusal or said
    return Use(study.name, "", refusal)


def _refusal(study: AnyStudy, spec: str, words: Words, opener: Opener) -> str:
    """Why a study refuses the pictures with these options; "" where it does not."""
    try:
        # other replicates of a simulated set are like the first
        config = overlaid(parse(study, _args(study, spec, words)), {"source": {"replicates": 1}})
        study.trials(config, study.read(config, opener))
    except InputError as error:
        return str(error)
    return ""


def _args(study: AnyStudy, spec: str, words: Words) -> Words:
    return ("--data", spec, "--out", f"runs/{study.name}", *words)


def _candidates(name: str, source: Source, asked: Asked) -> Iterator[Words]:
    """Options to try, the usual ones first."""
    fixed = () if asked.target == 1 or name == "few_shot" else ("--target", str(asked.target))
    labels: tuple[Words, ...] = ((),)
    if name in ("activation_maps", "site_segmentation"):
        labels = ((), *(("--label", label) for label in source.label_names[:_MOST_LABELS]))
    grid = itertools.product(
        ((), *_FEWER.get(name, ())), _foldings(source, asked), labels, ((), *_ERRORS.get(name, ()))
    )
    for fewer, folds, label, errors in grid:
        yield (*folds, *fixed, *label, *errors, *fewer)


def _foldings(source: Source, asked: Asked) -> tuple[Words, ...]:
    """Options by which the groups can be divided: those asked for, else fewer folds, else single pictures validate."""
    usual = DataOptions()
    found = []
    choices: tuple[Literal["group", "slice"], ...] = (asked.validation, "slice")
    for validation in dict.fromkeys(choices):
        for folds in dict.fromkeys((asked.folds, *range(min(asked.folds, 4) - 1, 1, -1))):
            splitting = Splitting(folds, validation)
            try:
                for seed in range(folds):
                    splitting.split(source, seed)
            except InputError:
                continue
            words: Words = () if folds == usual.folds else ("--folds", str(folds))
            found.append(words if validation == usual.validation else (*words, "--validation", validation))
        if found:
            break
    return tuple(found) or ((),)


def _told(usual: str, spec: str, words: Words) -> str:
    """What is unusual about a command."""
    options = [*([f"the option {spec.removeprefix(usual).lstrip('?&')}"] if spec != usual else [])]
    options += [shlex.join(words)] if words else []
    return f"with {' and '.join(options)}" if options else "as they are"


def _command(name: str, args: Sequence[str]) -> str:
    return f"python -m experiments.{name} {shlex.join(args)}"


def _tried(
    name: str, given: str, specs: Sequence[str], args: Callable[[str], Words], look: Callable[[str], object]
) -> Use:
    """A command that reads folders itself: the first spec that it accepts."""
    refusal = ""
    for spec in specs:
        try:
            look(spec)
        except InputError as error:
            refusal = refusal or str(error)
        else:
            return Use(name, _command(name, args(spec)), _told(given, spec, ()))
    return Use(name, "", refusal)


def _upgrade_folder(given: str, specs: Sequence[str]) -> Use:
    out = "runs/repaired"

    def look(spec: str) -> None:
        if not spec.startswith("folder:"):
            raise InputError(f"{spec} is not a folder; noisy labels are repaired in a folder with labels/ and noisy/")
        config = FolderConfig(spec, Path(out))
        check_folder_config(config)
        folder = open_folder(config)
        divide(folder, stacked(folder.clean)[1], config.seed)

    return _tried("upgrade_folder", given, specs, lambda spec: ("--data", spec, "--out", out), look)


def _new_type(given: str, specs: Sequence[str], asked: Asked) -> Use:
    target = () if asked.target == 1 else ("--target", str(asked.target))

    def args(spec: str) -> Words:
        extractors = ("--extractors", "runs/few_shot/extractors/NAME")
        return (*extractors, "--shots", spec, "--query", "my_pictures", "--out", "my_labels", *target)

    return _tried("segment_new_type", given, specs, args, lambda spec: open_shots(spec, asked.target))
