"""How many pictures, objects, classes and groups there are, in words and tables."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from experiments.check.survey import Seen
from segjax.data.folders.check import Inspection
from segjax.data.folders.inspected import UNCLASSIFIED
from segjax.types import Source

Facts = list[tuple[str, str]]
_MOST_GROUPS = 30


def folder_facts(inspection: Inspection) -> Facts:
    """What the files of a folder hold, whatever is made of them afterwards."""
    found = [picture for _, picture in inspection.pictures]
    facts = [("pictures read", str(len(found)))]
    if not found:
        return facts
    facts += _sizes([picture.shape for picture in found], [picture.channels for picture in found])
    facts.append(("objects", _objects([len(picture.ids) for picture in found])))
    if inspection.has_classes():
        shown = Counter(int(value) for picture in found for value in picture.class_values)
        names = {UNCLASSIFIED: "not judged"} | inspection.names
        classes = (f"{names.get(value, value)} in {count}" for value, count in sorted(shown.items()))
        facts.append(("classes", f"{', '.join(classes)} pictures"))
    return [*facts, ("groups", str(len({entry.group for entry, _ in inspection.pictures})))]


def source_facts(source: Source, seen: Sequence[Seen]) -> Facts:
    """What the pictures of a source hold, as a study gets them."""
    facts = [("pictures read", str(len(seen)))]
    facts += _sizes([one.shape[:2] for one in seen], [one.shape[2] for one in seen])
    facts.append(("objects", _objects([len(one.diameters) for one in seen])))
    if (empty := sum(not len(one.diameters) for one in seen)) and empty < len(seen):
        facts.append(("without objects", number_of(empty, "picture")))
    if (unjudged := 1 - float(np.mean([one.judged for one in seen]))) > 0:
        facts.append(("not judged", f"{100 * unjudged:.1f} % of all pixels"))
    if len(source.class_names) > 1:
        facts.append(("classes", str(len(source.class_names))))
    facts.append(("groups", str(len(set(source.groups)))))
    if source.test_groups:
        facts.append(("groups that test", ", ".join(sorted(source.test_groups))))
    return facts


def class_table(source: Source, seen: Sequence[Seen]) -> pd.DataFrame:
    """Objects, pictures and sizes of each class, and pictures of each image-level label."""
    rows = []
    for index, name in enumerate(source.class_names, start=1):
        diameters = np.concatenate([one.diameters[one.classes == index] for one in seen])
        rows.append(
            {
                "class": f"{index} {name}",
                "objects": len(diameters),
                "pictures": sum(bool((one.classes == index).any()) for one in seen),
                "median diameter, px": f"{np.median(diameters):.1f}" if len(diameters) else "-",
            }
        )
    return pd.DataFrame(rows)


def label_table(source: Source, seen: Sequence[Seen]) -> pd.DataFrame:
    """Pictures of each image-level label."""
    counts = Counter(one.label for one in seen)
    return pd.DataFrame([{"label": name, "pictures": counts[place]} for place, name in enumerate(source.label_names)])


def group_table(source: Source, seen: Sequence[Seen]) -> pd.DataFrame:
    """Pictures and objects of each group, where there are groups of several pictures; the largest first."""
    pictures, objects = Counter(source.groups), Counter[str]()
    for group, one in zip(source.groups, seen, strict=True):
        objects[group] += len(one.diameters)
    if len(pictures) == len(seen):
        return pd.DataFrame()
    rows = [(name, count, objects[name]) for name, count in pictures.most_common()]
    left = rows[_MOST_GROUPS:]
    if left:
        rest = (f"{len(left)} more", sum(row[1] for row in left), sum(row[2] for row in left))
        rows = [*rows[:_MOST_GROUPS], rest]
    return pd.DataFrame(rows, columns=["group", "pictures", "objects"])


def _sizes(shapes: Sequence[tuple[int, int]], channels: Sequence[int]) -> Facts:
    kinds = Counter({1: "grey", 3: "RGB"}.get(count, f"{count} channels") for count in channels)
    return [
        ("width", f"{span([shape[1] for shape in shapes])} pixels"),
        ("height", f"{span([shape[0] for shape in shapes])} pixels"),
        ("channels", ", ".join(f"{kind} ({count})" for kind, count in kinds.items())),
    ]


def _objects(counts: Sequence[int]) -> str:
    return f"{sum(counts)} in all, {span(counts)} per picture"


def number_of(count: int, thing: str) -> str:
    """ "1 picture", "2 pictures"."""
    return f"{count} {thing}{'s' * (count != 1)}"


def span(values: Sequence[int]) -> str:
    """ "7", or "7 to 9"."""
    return str(min(values)) if min(values) == max(values) else f"{min(values)} to {max(values)}"
