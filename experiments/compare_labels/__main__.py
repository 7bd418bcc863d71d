"""Compare two annotations: the command."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

import experiments.compare_labels as room
from experiments.harness.start import run_command

TABLE, RECIPE = "differences.csv", "recipe.json"
SAID = {
    "missing": "missing objects",
    "additional": "additional objects",
    "outline": "other outlines",
    "other_class": "other classes",
    "merged": "merged objects",
    "split": "split objects",
}
PER = {"objects": "object", "same": "object in both", "touching": "touching pair"}


@dataclass(frozen=True)
class CompareOptions:
    """Which annotations are compared."""

    first: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="FIRST")]
    """The annotation that is believed: a folder, or a spec with options such as 'folder:PATH?annotations=labels'."""
    second: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SECOND")]
    """The other annotation of the same pictures."""
    out: Path
    """Folder for differences.csv and recipe.json."""


def main() -> None:
    """Print the differences; write them as a table and as a recipe.

    Raises:
        InputError: the annotations cannot be read, or are not of the same pictures.
    """
    options = tyro.cli(CompareOptions, prog="python -m experiments.compare_labels", description=room.__doc__)
    from experiments.compare_labels.estimate import CHANCES, compare, read_pair, recipe_of
    from segjax.data import open_source
    from segjax.files import write_file, write_table

    first, second = (open_source(spec_of(one)) for one in (options.first, options.second))
    has_classes = min(len(first.class_names), len(second.class_names)) > 1
    if not has_classes and max(len(first.class_names), len(second.class_names)) > 1:
        print("classes are not compared, since only one of the annotations has them")
    found = compare(read_pair(first, second), has_classes)
    recipe = recipe_of(found)
    header = ("difference", "events", "per", "chances", "rate", "low", "high", "pictures")
    rows: list[tuple[object, ...]] = [header]
    for kind, each in found.rates.items():
        rows.append((kind, found.events[kind], CHANCES[kind], found.chances[kind], *_rounded(each)))
        if each.n:
            share = f"{100 * each.mean:.2f} %{_bounds(100 * each.low, 100 * each.high)} per {PER[CHANCES[kind]]}"
            print(f"{SAID[kind]}: {found.events[kind]}, {share}{'; the recipe takes 100 %' if each.mean > 1 else ''}")
    for name, said, each in (("jitter", "jitter of outlines", found.jitter), ("offset", "outlines lie", found.offset)):
        rows.append((name, "", "pixels", "", *_rounded(each)))
        if each.n:
            ends, where = (each.low, each.high), " further out" if name == "offset" else ""
            if name == "offset" and each.mean < 0:
                ends, where = (-each.high, -each.low), " further in"
            print(f"{said}: {abs(each.mean):.2f} px{where}{_bounds(*ends)}")
    write_table(options.out / TABLE, rows)
    write_file(options.out / RECIPE, recipe.to_json() + "\n")
    print(f"recipe: {recipe}; it is in {options.out / RECIPE}")


def spec_of(given: str) -> str:
    """The spec of a folder; a picture in which nobody found an object takes part, as that may be a difference."""
    from segjax.data.spec import parse_spec

    text = given if given.startswith("folder:") else f"folder:{given}"
    options = parse_spec(text).options
    return text if "empty" in options else f"{text}{'&' if options else '?'}empty=keep"


def _bounds(low: float, high: float) -> str:
    return f" (95 % interval {low:.2f} to {high:.2f})" if low == low else ""


def _rounded(each: tuple[float, float, float, int]) -> tuple[object, ...]:
    return (*("" if value != value else round(value, 5) for value in each[:3]), each[3])


if __name__ == "__main__":
    run_command(main)
