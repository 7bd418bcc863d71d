"""The data card: one page to keep with a set of pictures."""

import functools
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

import segjax
from experiments.check.counts import Facts, class_table, folder_facts, group_table, label_table, number_of, source_facts
from experiments.check.findings import Asked, Findings, in_order, shown_path
from experiments.check.suggestions import Suggestion, with_suggestions
from experiments.check.survey import Observed, Seen, memory_of
from experiments.check.suspicions import SHIFT_RULE, TWIN_RULE
from experiments.check.uses import STUDIES, Use, uses_of
from segjax.data import Problem, open_source
from segjax.data.splits import picture_of
from segjax.reports import Chart, Gallery, Look, chart, look
from segjax.reports.gallery import outline_layer, outline_legend
from segjax.reports.page import write_card
from segjax.reports.sizes import size_chart
from segjax.types import Source

SMALL = 5.0  # pixels; what a smaller object looks like cannot be told
MOST_SHOWN = 8
STEPS = ("picture", "annotations")
_SHOWN_FINDINGS = 200
RULES = {
    "Sizes": "The equivalent diameter of an object is that of a disc with the same area. Of an object that the border "
    "of a tile cuts, the part inside counts. An object counts once in every slice.",
    "Shifted labels": SHIFT_RULE,
    "Nearly equal pictures": TWIN_RULE,
    "Suggestions": "tile= is a power of two from 64 to 512, near 8 median diameters. It is suggested where pictures "
    "differ in size or are larger than 512 pixels. shrink= makes the median object at most 128 pixels wide.",
}


def write(path: Path, found: Findings, asked: Asked) -> None:
    """Write the card of what was found.

    Raises:
        InputError: the file cannot be written.
    """
    uses = _uses(found, asked)
    source, seen = found.source, found.seen
    shown = [] if source is None or not seen else _chosen(found)
    write_card(
        path,
        title=f"Data card: {found.place.name.partition('?')[0] or found.place}",
        verdict=_verdict(found, uses),
        is_usable=found.is_usable,
        findings={
            "Problems": _frame(found, found.problems),
            "Remarks": _frame(found, found.remarks),
            "Suggestions": _suggested(found.suggestions),
        },
        facts=_facts(found),
        sizes=_sizes(seen),
        tables=_tables(source, seen) if source is not None and seen else {},
        gallery=_gallery(source, seen, shown),
        uses=[(use.name, use.command, _first_line(use.reason)) for use in uses],
        rules=RULES if found.twins is not None else {**RULES, "Nearly equal pictures": "Not checked."},
        provenance=_provenance(found),
    )


def _uses(found: Findings, asked: Asked) -> list[Use]:
    sure = [one for one in found.suggestions if one.is_needed or one.option in ("tile", "shrink")]
    better = with_suggestions(found.spec, sure)
    specs = (found.spec, better) if found.is_usable else (better, found.spec)

    @functools.cache
    def opener(spec: str) -> Source:
        if spec == found.spec and found.source is not None and not found.problems:
            return found.source
        return Observed(open_source(spec), keep=True)

    return uses_of(
        found.spec, tuple(dict.fromkeys(specs)), opener, asked, sum(memory_of(one.shape) for one in found.seen)
    )


def _verdict(found: Findings, uses: Sequence[Use]) -> str:
    names = {study.name for study in STUDIES}
    taken = [use for use in uses if use.name in names and use.command]
    studies = f"{len(taken)} of the {len(names)} studies take them"
    if found.is_usable:
        objects = sum(len(one.diameters) for one in found.seen)
        careful = f" Look at the {number_of(len(found.remarks), 'remark')} first." if found.remarks else ""
        return f"These {len(found.seen):,} pictures with {objects:,} objects can be used: {studies}.{careful}"
    why = number_of(len(found.problems), "problem") if found.problems else found.refusal
    if taken:
        options = "&".join(str(one) for one in found.suggestions if one.is_needed)
        return f"These pictures cannot be used as they are ({why}); with {options}, {studies}."
    return f"These pictures cannot be used yet: {why}."


def _first_line(reason: str) -> str:
    """Of a folder with problems, without the list of them."""
    first, *others = reason.splitlines()
    return f"{first.rstrip(':')}, listed above" if others else first


def _frame(found: Findings, problems: Sequence[Problem]) -> pd.DataFrame:
    rows = [(shown_path(found.place, one.path), one.reason, one.remedy) for one in in_order(problems)]
    if len(rows) > _SHOWN_FINDINGS:
        rows = [*rows[:_SHOWN_FINDINGS], (f"{len(rows) - _SHOWN_FINDINGS} more", "", "the command lists all of them")]
    return pd.DataFrame(rows, columns=["file", "what", "what to do"])


def _suggested(suggestions: Iterable[Suggestion]) -> pd.DataFrame:
    rows = [(str(one), "needed" if one.is_needed else "would help", one.why) for one in suggestions]
    return pd.DataFrame(rows, columns=["option", "needed or not", "why"])


def _facts(found: Findings) -> Facts:
    if found.source is None or not found.seen:
        return [] if found.inspection is None else folder_facts(found.inspection)
    return source_facts(found.source, found.seen)


def _tables(source: Source, seen: Sequence[Seen]) -> dict[str, pd.DataFrame]:
    tables = {"Image-level labels": label_table(source, seen), "Groups": group_table(source, seen)}
    if len(source.class_names) > 1:
        tables = {"Classes": class_table(source, seen), **tables}
    return {name: table for name, table in tables.items() if len(table)}


def _sizes(seen: Sequence[Seen]) -> Chart | None:
    diameters = np.concatenate([one.diameters for one in seen]) if seen else np.zeros(0)
    if not len(diameters):
        return None
    halves = np.concatenate([np.full(len(one.diameters), min(one.shape[:2]) / 2) for one in seen])
    low, middle, high = np.percentile(diameters, (5, 50, 95))
    title = f"Half of the objects are wider than {middle:.1f} px, and 90 % lie between {low:.1f} and {high:.1f} px"
    caption = (
        f"Objects smaller than {SMALL:g} px: {_share(diameters < SMALL)}. Objects wider than half the shorter side of "
        f"their picture: {_share(diameters > halves)}."
    )
    large = float(np.median(halves))
    question = "How large are the objects?"
    drawn = pd.DataFrame({"equivalent diameter, pixels": diameters.round(2)})
    return chart(title, question, lambda narrow: size_chart(diameters, SMALL, large, narrow), drawn, caption)


def _share(which: np.ndarray) -> str:
    """ "none", "0.3 %": of all."""
    share = 100 * float(which.mean())
    return "none" if not which.any() else f"{share:.1f} %" if share >= 0.05 else "less than 0.1 %"


def _chosen(found: Findings) -> list[tuple[int, str]]:
    """Pictures for the gallery, and why: fewest, median and most objects, those with remarks, then evenly between."""
    source, counts = found.source, [len(one.diameters) for one in found.seen]
    assert source is not None
    order = sorted(range(len(counts)), key=lambda place: counts[place])
    order = [place for place in order if counts[place]] or order
    chosen = {order[0]: "fewest objects"}
    chosen.setdefault(order[len(order) // 2], "median number of objects")
    chosen.setdefault(order[-1], "most objects")
    named = {picture_of(name): place for place, name in reversed(list(enumerate(source.names)))}
    for kind, problems in (("a problem", found.problems), ("a remark", found.remarks)):
        for problem in in_order(problems):
            place = named.get(problem.path.name, named.get(problem.path.stem))
            if place is not None and len(chosen) < MOST_SHOWN:
                chosen.setdefault(place, f"{kind}: {problem.reason}")
    for place in (order[round(at)] for at in np.linspace(0, len(order) - 1, MOST_SHOWN)):
        if len(chosen) < MOST_SHOWN:
            chosen.setdefault(place, "")
    return list(chosen.items())


def _gallery(source: Source | None, seen: Sequence[Seen], shown: Sequence[tuple[int, str]]) -> Gallery:
    if source is None:
        return Gallery("Gallery", "No picture can be shown.", (), (), {})
    legend = outline_legend(_classes(source, seen), any(seen[place].judged < 1 for place, _ in shown))
    looks = [_picture(source, seen, *choice) for choice in shown]
    return Gallery("Gallery", "Some of the pictures with their annotations.", STEPS, legend, {"": looks})


def _picture(source: Source, seen: Sequence[Seen], place: int, why: str) -> Look:
    sample, one = source[place], seen[place]
    layer = outline_layer(sample.labels, sample.classes, sample.ignored)
    size, objects = f"{one.shape[1]} x {one.shape[0]} px", number_of(len(one.diameters), "object")
    group = f", group {sample.group}" if sample.group not in (sample.name, picture_of(sample.name)) else ""
    said = f"{sample.name}: {objects}, {size}{group}{f'; {why}' if why else ''}"
    return look(said, sample.image, layer)


def _classes(source: Source, seen: Sequence[Seen]) -> dict[int, str]:
    """The classes that are there, by index."""
    present = sorted({int(index) for one in seen for index in one.classes})
    names = dict(enumerate(source.class_names, start=1))
    return {index: names.get(index, f"class {index}") for index in present} if len(names) > 1 else {1: "object"}


def _provenance(found: Findings) -> dict[str, str]:
    origin = {"pictures": found.spec}
    if found.source is not None and not found.problems:
        origin["digest"] = found.source.digest
    return {**origin, "segjax": segjax.__version__, "made by": f"python -m experiments.check {shlex.quote(found.spec)}"}
