"""Look through a folder of pictures and label images before training on it, and list everything that is wrong.

    python -m experiments.check my_pictures
    python -m experiments.check 'folder:my_pictures?labels=components&groups=^(patient[0-9]+)_'

The folder holds images/ and labels/ (or masks/ or instances/) with files of equal names, PNG or TIFF. Labels are 0 for
background and 1, 2, ... for the objects; ROI zips of ImageJ, GeoJSON of QuPath, COCO JSON and more may take their
place. A study refuses a folder with problems, so run this first, with the options that the study will get. It changes
nothing.

Problems: unreadable or truncated files, sizes that differ between picture and labels, JPEG labels, ids cut to 8 bits,
fractional, negative or colour labels, masks given as instances, smoothed masks, masks of 0 and 1 beside masks of 0 and
255, a background that is an object, pictures without objects, constant pictures, the same picture twice (also across a
split), files without a partner or nearly named like it, mixed numbers of channels; in class images also values above
64, values without a name, and classes that contradict the objects; tables that cannot be read, that have a picture
twice, or a value in two spellings. Then what a study refuses of the pictures together: sizes that differ, no object of
the class that is looked for, groups that cannot be divided into folds.

Remarks (the folder can be used all the same): pictures without a place on the ground where others have one, GeoTIFF
files without a coordinate system, masks that may be inverted or have pieces that are objects of their own, and label
images without background.

Exit code: 0 the folder can be used, 2 it cannot.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from experiments.harness.classifiers import check_kinds, check_sides
from experiments.harness.options import DataOptions
from experiments.harness.pictures import Splitting, check_shown, check_target, read_samples
from experiments.harness.start import run_command
from segjax.data import FolderOptions, FolderSource, Problem, parse_spec, read_sides
from segjax.data.check import Inspection, inspect_folder
from segjax.data.inspected import UNCLASSIFIED
from segjax.data.spec import cut_source, divide_options, folder_spec
from segjax.types import InputError, Source

_PIPED_WIDTH = 160


def check(
    data: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="PATH")],
    split: Annotated[Path | None, tyro.conf.arg(metavar="FILE.json")] = None,
    use: Literal["study", "pictures"] = "study",
    target: int = 1,
    folds: int = DataOptions().folds,
    validation: Literal["group", "slice"] = "group",
) -> int:
    """Print what a folder holds and every problem and remark; returns the exit code.

    Args:
        data: The folder, or a spec with options such as 'folder:PATH?labels=components&tile=256' (quote it for the
            shell). Options: images=FOLDER, annotations=FOLDER|FILE, format=NAME, colours=FILE.csv, class_column=NAME,
            layer=NAME, radius=METRES, all_touched=false|true, stacks=refuse|planes, bands=A,B,
            labels=instances|components, class_names=A,B|FILE.csv,
            groups=REGEX|FILE.csv, keep=REGEX, scale=max|dtype, channels=1|3, empty=refuse|keep, unlabelled=refuse|skip,
            image_labels=FILE.csv, label_names=A,B, volumes=false|true, shrink=N, tile=PIXELS, crop=PIXELS,
            presence=PIXELS.
        split: A split written by a study; the command then names pictures that are on two of its sides under two names.
        use: study: pictures of one size that are divided into folds. pictures: pictures alone, such as shots for
            segment_new_type or annotations for upgrade_folder, which may be few and of several sizes.
        target: Class of the objects to segment; in a study.
        folds: Number of test groups; in a study.
        validation: Whether a study holds out whole groups or single pictures to choose the best epoch.
    """
    console = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH)
    try:
        spec = parse_spec(data if data.startswith("folder:") else f"folder:{data}")
        options, cuts = divide_options(spec)
        folder = Path(spec.name).expanduser()
        inspection = inspect_folder(folder, FolderOptions.parse(options), read_sides(split) if split else None)
    except InputError as error:
        console.print(f"[red]cannot be checked:[/red] {escape(str(error))}", soft_wrap=True)
        return 2
    console.print(_summary(folder, inspection))
    if inspection.remarks:
        console.print(_table(folder, "remark", inspection.remarks))
        console.print(f"[yellow]{len(inspection.remarks)} remark(s); studies accept the folder all the same[/yellow]")
    if inspection.problems:
        console.print(_table(folder, "problem", inspection.problems))
        console.print(f"[red]{len(inspection.problems)} problem(s): a study would refuse this folder[/red]")
        return 2
    try:
        given = FolderOptions.parse(options)
        source = cut_source(FolderSource(folder, given, folder_spec(spec.name, options), inspection), cuts)
        if use == "study":
            check_for_studies(source, Splitting(folds, validation), target)
        else:
            for index in range(len(source)):
                source[index]
    except InputError as error:
        console.print(f"[red]the folder cannot be used:[/red] {escape(str(error))}", soft_wrap=True)
        return 2
    if cuts:
        console.print(f"{len(source)} pictures of {', '.join(f'{name}={size}' for name, size in cuts.items())}")
    console.print("[green]no problems: the folder can be used[/green]")
    return 0


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


def _summary(folder: Path, inspection: Inspection) -> Table:
    found = [picture for _, picture in inspection.pictures]
    table = Table(title=escape(str(folder)), show_header=False, title_justify="left")
    table.add_row("pictures read", str(len(found)))
    if found:
        channels = Counter({1: "grey", 3: "RGB"}.get(p.channels, f"{p.channels} channels") for p in found)
        objects = [len(picture.ids) for picture in found]
        table.add_row("width", _span([p.shape[1] for p in found]) + " pixels")
        table.add_row("height", _span([p.shape[0] for p in found]) + " pixels")
        table.add_row("channels", ", ".join(f"{kind} ({count})" for kind, count in channels.items()))
        table.add_row("objects", f"{sum(objects)} in all, {_span(objects)} per picture")
        if inspection.has_classes():
            shown = Counter(int(value) for picture in found for value in picture.class_values)
            names = {UNCLASSIFIED: "not judged"} | inspection.names
            classes = (f"{names.get(value, value)} in {count}" for value, count in sorted(shown.items()))
            table.add_row("classes", escape(", ".join(classes)) + " pictures")
        table.add_row("groups", str(len({entry.group for entry, _ in inspection.pictures})))
    return table


def _table(folder: Path, kind: str, problems: Sequence[Problem]) -> Table:
    columns = [Column(title, overflow="fold") for title in ("file", kind, "what to do")]
    table = Table(*columns, show_lines=True)
    for problem in sorted(problems, key=lambda problem: str(problem.path)):
        is_inside = problem.path.is_relative_to(folder) and problem.path != folder
        path = problem.path.relative_to(folder) if is_inside else problem.path
        table.add_row(escape(str(path)), escape(problem.reason), escape(problem.remedy))
    return table


def _span(values: Sequence[int]) -> str:
    return str(min(values)) if min(values) == max(values) else f"{min(values)} to {max(values)}"


if __name__ == "__main__":
    run_command(lambda: sys.exit(tyro.cli(check, description=__doc__)))
