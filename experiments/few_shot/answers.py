"""The study's answers in plain sentences; every number comes from the findings."""

import numpy as np

from experiments.few_shot.findings import Findings, bank_words, method_words
from segjax.evaluation import Difference
from segjax.reports.words import joined, network_name

TARGET = 0.2  # published: with five pictures Dice is on average less than 20 % lower than with several hundred
PUBLISHED_SHOTS = 5


def question(found: Findings) -> str:
    """What the page answers."""
    return (
        f"Several types of cells are annotated in plenty, a new one in {joined([str(count) for count in found.shots])} "
        f"pictures only. How near does a head on the feature maps of {network_name(found.network)} extractors, which "
        "never learnt the new type, come to a network with all labels of it?"
    )


def answers(found: Findings) -> list[str]:
    """The verdict first, then what it rests on; questions without results are left out."""
    return [*_verdict(found), *_shots(found), *_features(found), *_heads(found), *_banks(found)]


def main_shots(found: Findings) -> int:
    """Five, as published, or the number of shots of the study that is nearest."""
    return min(found.shots, key=lambda count: (abs(count - PUBLISHED_SHOTS), count))


def _verdict(found: Findings) -> list[str]:
    shots = main_shots(found)
    gaps = found.gaps(shots)
    if not gaps:
        return []
    relative = float(np.mean([gap.relative for gap in gaps.values()]))
    absolute = float(np.mean([gap.absolute for gap in gaps.values()]))
    kept = "is reached" if relative < TARGET else "is not reached"
    said = [
        f"With {_pictures(shots)} of a new type, Dice is on average {relative:.0%} ({100 * absolute:.0f} Dice points) "
        f"lower than with all labels; the published figure, less than 20 % with five, {kept} here."
    ]
    for name, gap in sorted(gaps.items(), key=lambda item: item[1].relative):
        said.append(
            f"{_pictures(shots).capitalize()} of {name} reach {1 - gap.relative:.0%} of full supervision: median Dice "
            f"{gap.few.median:.3f} (quartiles {gap.few.low:.3f} to {gap.few.high:.3f}, {gap.few.n} draws) against "
            f"{gap.reference:.3f}."
        )
    return said


def _shots(found: Findings) -> list[str]:
    few, many = found.shots[0], found.shots[-1]
    first, last = found.gaps(few), found.gaps(many)
    both = [name for name in first if name in last]
    if few == many or not both:
        return []
    median = [float(np.mean([gaps[name].few.median for name in both])) for gaps in (first, last)]
    width = [float(np.mean([gaps[name].few.high - gaps[name].few.low for name in both])) for gaps in (first, last)]
    moved = "shrinks" if width[1] < width[0] else "grows"
    return [
        f"From {few} to {many} shots the median over draws goes from {median[0]:.3f} to {median[1]:.3f}, and the range "
        f"between the quartiles {moved} from {width[0]:.3f} to {width[1]:.3f}: which pictures are annotated matters "
        f"{'less' if width[1] < width[0] else 'no less'} with more of them. Part of that is because draws of {many} "
        f"out of at most {found.config.candidates} candidates share pictures."
    ]


def _features(found: Findings) -> list[str]:
    if len(found.counts) < 2:
        return []
    shots = main_shots(found)
    count = found.saturation(shots)
    tried = f"tried: {joined([str(number) for number in found.counts])}, chosen by {joined(found.config.choices)}"
    if count == found.counts[-1]:
        largest = found.counts[-2]
        return [f"With {_pictures(shots)}, {largest} of {count} features lose over 0.02 Dice against all ({tried})."]
    return [f"With {_pictures(shots)}, {count} of {found.counts[-1]} features are within 0.02 Dice of all ({tried})."]


def _heads(found: Findings) -> list[str]:
    said = []
    for shots in found.config.compare_shots:
        rows = [(name, behind) for name, _, behind in found.compared(shots) if behind is not None and behind.n]
        words = {name: _against(found, name, shots, behind) for name, behind in rows}
        better = [words[name] for name, behind in rows if behind.high < 0]
        worse = [words[name] for name, behind in rows if behind.low > 0]
        parts = []
        if worse:
            parts.append(f"ahead of {joined(worse)}")
        if better:
            parts.append(f"behind {joined(better)}")
        even = [method_words(name) for name, behind in rows if behind.low <= 0 <= behind.high]
        if even:
            parts.append(f"level with {joined(even)}")
        if parts:
            own = method_words(found.config.head)
            said.append(f"With {_pictures(shots)} the {own} is {'; '.join(parts)}.")
    return said


def _against(found: Findings, name: str, shots: int, behind: Difference) -> str:
    known, all_types = found.types_with(name, shots), len(found.types)
    where = "" if known == all_types else f" on the {known} of {all_types} types for which no training collapsed"
    return f"{method_words(name)} ({abs(behind.mean):.1f} points{where})"


def _banks(found: Findings) -> list[str]:
    said = []
    for bank, _, behind in found.banks(main_shots(found)):
        if behind is not None and behind.n:
            verb = "loses" if behind.mean > 0 else "gains"
            interval = f", 95 % interval {_bounds(behind)}" if behind.low == behind.low else ""
            relative = np.mean([gap.relative for gap in found.gaps(main_shots(found), bank=bank).values()])
            said.append(
                f"Another bank, {bank_words(bank)}, {verb} {abs(behind.mean):.1f} Dice points against "
                f"{bank_words(found.config.banks[0])}{interval}; with it Dice is {relative:.0%} lower than with all "
                "labels."
            )
    return said


def _bounds(difference: Difference) -> str:
    sign = 1 if difference.mean >= 0 else -1
    low, high = sorted((sign * difference.low, sign * difference.high))
    return f"{low:.1f} to {high:.1f}"


def _pictures(shots: int) -> str:
    words = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    count = words[shots - 1] if shots <= len(words) else str(shots)
    return f"{count} annotated picture{'s' if shots > 1 else ''}"
