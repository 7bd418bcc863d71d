"""Check pictures and label images before you train on them, and list everything that is wrong.

    python -m experiments.check my_pictures
    python -m experiments.check my_pictures --card data_card.html
    python -m experiments.check 'folder:my_pictures?labels=components&groups=^(patient[0-9]+)_'
    python -m experiments.check 'terrain:mounds?pixels=128'

A folder holds images/ and labels/ (or masks/ or instances/), whose PNG or TIFF files have equal names. Labels are 0
for background and 1, 2, ... for the objects. ImageJ ROI zips, QuPath GeoJSON, COCO JSON and more are read in their
place. Any other source that studies take can be checked as well. A study refuses a folder with problems, so run this
first, with the options that you will give the study. It changes nothing.

Problems: unreadable or truncated files, sizes that differ between picture and labels, JPEG labels, ids cut to 8 bits,
fractional, negative or colour labels, masks given as instances, smoothed masks, masks of 0 and 1 beside masks of 0 and
255, a background that is an object, pictures without objects, constant pictures, the same picture twice (also across a
split), files without a partner or with nearly its name, mixed numbers of channels. In class images also values above
64, values without a name, and classes that contradict the objects. Tables that cannot be read, that list a picture
twice, or that spell a value in two ways. Of all pictures together: different sizes, no object of the target class, and
groups that cannot be divided into folds.

Remarks (the pictures can still be used): labels that seem to be shifted, nearly the same picture in two groups or on
two sides of a split, pictures without a place on the ground where others have one, GeoTIFF files without a coordinate
system, masks that may be inverted or whose pieces may be separate objects, and label images without background.

Suggestions: options such as tile=, shrink=, labels=components and channels=, where they are needed or would help.

The data card (--card) is a page to keep with the pictures. It has all of this, counts, sizes of the objects, a gallery,
and the exact commands that can be run on the pictures.

Exit code: 0 the pictures can be used, 2 they cannot.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from experiments.check.counts import Facts, folder_facts, source_facts
from experiments.check.findings import Asked, Findings, in_order, look, shown_path
from segjax.data import Problem
from segjax.data.spec import divide_options, parse_spec
from segjax.data.splits import read_sides
from segjax.types import InputError

_PIPED_WIDTH = 160


def check(
    data: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="PATH|SPEC")],
    split: Annotated[Path | None, tyro.conf.arg(metavar="FILE.json")] = None,
    card: Annotated[Path | None, tyro.conf.arg(metavar="FILE.html")] = None,
    use: Literal["study", "pictures"] = Asked.use,
    target: int = Asked.target,
    folds: int = Asked.folds,
    validation: Literal["group", "slice"] = Asked.validation,
) -> int:
    """Print what there is, and every problem and remark; returns the exit code.

    Args:
        data: A folder, or any data spec of a study, such as 'folder:PATH?labels=components&tile=256', 'tfds:NAME' or
            'microscope:hl60?size=quarter' (quote it for the shell). Options of folders: images=FOLDER,
            annotations=FOLDER|FILE, format=NAME, colours=FILE.csv, class_column=NAME, layer=NAME, radius=METRES,
            all_touched=false|true, stacks=refuse|planes, bands=A,B, labels=instances|components,
            class_names=A,B|FILE.csv, groups=REGEX|FILE.csv,
            keep=REGEX, scale=max|dtype, channels=1|3, empty=refuse|keep, unlabelled=refuse|skip,
            image_labels=FILE.csv, label_names=A,B, volumes=false|true, shrink=N, tile=PIXELS, crop=PIXELS,
            presence=PIXELS.
        split: A split that a study wrote. The command then lists pictures that are on two sides under different names.
        card: File for the data card, a page with counts, a gallery and the commands to run.
        use: study: the pictures have one size and are divided into folds. pictures: they may be few and differ in size,
            such as shots for segment_new_type or annotations for upgrade_folder.
        target: Class of the objects that a study segments.
        folds: Number of a study's test groups.
        validation: Whether a study holds out whole groups or single pictures to choose the best epoch.
    """
    console, asked = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH), Asked(use, target, folds, validation)
    try:
        if card is not None and not card.absolute().parent.is_dir():
            raise InputError(f"card: the folder {card.absolute().parent} of {card.name} does not exist; make it first")
        found = look(data, asked, read_sides(split) if split else {}, is_thorough=card is not None)
    except InputError as error:
        console.print(f"[red]cannot be checked:[/red] {escape(str(error))}", soft_wrap=True)
        return 2
    _print(console, found)
    if card is not None:
        from experiments.check.card import write  # on use: it loads every study

        write(card, found, asked)
        console.print(f"data card: {escape(str(card))}", soft_wrap=True)
    return 0 if found.is_usable else 2


def _print(console: Console, found: Findings) -> None:
    what = "folder" if found.inspection is not None else "pictures"
    cuts: dict[str, int] = {}
    if found.inspection is not None:
        console.print(_summary(str(found.place), folder_facts(found.inspection)))
        _, cuts = divide_options(parse_spec(found.spec))
    elif found.source is not None and found.seen:
        console.print(_summary(found.spec, source_facts(found.source, found.seen)))
    if found.remarks:
        console.print(_table(found.place, "remark", found.remarks))
        console.print(f"[yellow]{len(found.remarks)} remark(s); studies still accept the {what}[/yellow]")
    if found.problems:
        console.print(_table(found.place, "problem", found.problems))
    for suggestion in found.suggestions:
        console.print(f"suggestion: {escape(str(suggestion))}: {escape(suggestion.why)}", soft_wrap=True)
    if found.problems:
        console.print(f"[red]{len(found.problems)} problem(s): a study would refuse this {what}[/red]")
    elif found.refusal:
        console.print(f"[red]the {what} cannot be used:[/red] {escape(found.refusal)}", soft_wrap=True)
    else:
        if cuts:
            options = ", ".join(f"{name}={size}" for name, size in cuts.items())
            console.print(f"{len(found.seen)} pictures of {options}")
        console.print(f"[green]no problems: the {what} can be used[/green]")


def _summary(title: str, facts: Facts) -> Table:
    table = Table(title=escape(title), show_header=False, title_justify="left")
    for name, value in facts:
        table.add_row(name, escape(value))
    return table


def _table(place: Path, kind: str, problems: Sequence[Problem]) -> Table:
    columns = [Column(title, overflow="fold") for title in ("file", kind, "what to do")]
    table = Table(*columns, show_lines=True)
    for problem in in_order(problems):
        table.add_row(escape(shown_path(place, problem.path)), escape(problem.reason), escape(problem.remedy))
    return table
