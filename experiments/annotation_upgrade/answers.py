"""The study's answers in plain sentences; every number comes from the findings."""

from experiments.annotation_upgrade.findings import Findings, error_name, method_name
from experiments.annotation_upgrade.grid import ALL_CLEAN, CLEAN, PREDICTIONS, RAW, UPGRADED, UPGRADED_PREDICTIONS
from segjax.evaluation import Difference, Interval
from segjax.reports.words import network_name, seeds


def question(found: Findings) -> str:
    """What the page answers."""
    config = found.config
    return (
        f"{config.careful} pictures are annotated carefully and {config.careless} carelessly, with "
        f"{error_name(config.error, found.coarsening)}. Can a network that learns from the careful ones repair the "
        f"others, and is a {network_name(found.network)} trained on the repaired ones better for it?"
    )


def answers(found: Findings) -> list[str]:
    """The verdict first, then what it rests on; questions without results are left out."""
    said = [*_verdict(found), *_rivals(found), *_quality(found), *_robustness(found), *_predictions(found)]
    return said


def verdict(difference: Difference) -> str:
    """What an interval of a gain in Dice points says."""
    if difference.n == 0:
        return "There is no result yet."
    if difference.low != difference.low:
        return f"With {seeds(difference.n)} this is an impression, not a finding."
    if difference.low > 0:
        return "Repairing pays."
    return (
        "Repairing does harm here." if difference.high < 0 else "Whether repairing pays is not decided by these runs."
    )


def _verdict(found: Findings) -> list[str]:
    ahead = dict(found.ahead())
    if CLEAN not in ahead:
        return []
    config = found.config
    upgraded = found.interval("dice_pooled", **found.method(UPGRADED))
    clean = found.interval("dice_pooled", **found.method(CLEAN))
    gain = f"upgrading {_verb(ahead[CLEAN])} {_points(ahead[CLEAN])}"
    said = [
        f"{verdict(ahead[CLEAN])} Trained on {method_name(CLEAN, config)}, the network reaches Dice {clean.mean:.3f}; "
        f"on {method_name(UPGRADED, config)}, {upgraded.mean:.3f}: {gain}."
    ]
    if ALL_CLEAN in ahead:
        behind = -ahead[ALL_CLEAN].mean
        whole = found.interval("dice_pooled", **found.method(ALL_CLEAN))
        gap = f"{behind:.1f} Dice points ahead" if behind > 0 else f"{-behind:.1f} Dice points behind"
        said.append(f"With all pictures annotated carefully it reaches {whole.mean:.3f}, {gap}.")
    return said


def _rivals(found: Findings) -> list[str]:
    said = []
    for name, difference in found.ahead():
        if name not in (CLEAN, ALL_CLEAN):
            what = "training on the careless annotations as they are" if name == RAW else name
            said.append(f"Against {what}, upgrading {_verb(difference)} {_points(difference)}.")
    return said


def _quality(found: Findings) -> list[str]:
    rows = [
        (count, found.interval("label_dice", **found.upgrade(careful=count)), after)
        for count in sorted({*found.config.careful_counts, found.config.compare_at})
        if (after := found.interval("upgraded_dice", **found.upgrade(careful=count))).n
    ]
    if not rows:
        return []
    _, before, _ = rows[-1]
    steps = ", ".join(f"{_interval(after)} with {count}" for count, _, after in rows)
    return [
        f"Careless labels of new pictures have Dice {before.mean:.3f}. Upgraded by networks that learnt from careful "
        f"pictures they have {steps} of them."
    ]


def _robustness(found: Findings) -> list[str]:
    said = []
    known = found.values("upgraded_dice", **found.upgrade())
    for learnt, what in (("mixture", "a mixture of errors"), ("estimated", "an error estimated from a few pairs")):
        other = found.difference(known, found.values("upgraded_dice", **found.upgrade(learnt=learnt)))
        if other.n:
            verb = "loses" if other.mean >= 0 else "gains"
            said.append(f"Learning {what} instead of the known error {verb} {_points(other)} of label quality.")
    for imperfection in found.config.imperfections:
        other = found.difference(known, found.values("upgraded_dice", **found.upgrade(careful_error=imperfection)))
        if other.n:
            what, verb = error_name(imperfection, found.coarsening), "cost" if other.mean >= 0 else "bring"
            said.append(f"Careful labels that have {what} themselves {verb} {_points(other)} of label quality.")
    return said


def _predictions(found: Findings) -> list[str]:
    base = {"error": "predictions", "round": 1}
    rows = found.prediction_rows()
    if not rows:
        return []
    first = rows[0]
    said = [
        f"The network of {method_name(CLEAN, found.config)} predicts the other pictures with Dice "
        f"{first.before.mean:.3f}; upgraded, these predictions have {first.after.mean:.3f}."
    ]
    upgraded = found.values("dice_pooled", **found.method(UPGRADED_PREDICTIONS, **base))
    for name, what in (
        (CLEAN, "the network of careful pictures only"),
        (PREDICTIONS, "one retrained on its predictions as they are"),
    ):
        other = found.values("dice_pooled", **found.method(name, **(base if name == PREDICTIONS else {})))
        difference = found.difference(upgraded, other)
        if difference.n:
            place = "ahead of" if difference.mean >= 0 else "behind"
            said.append(f"A network retrained on the upgraded predictions is {place} {what} by {_points(difference)}.")
    return said


def _verb(difference: Difference) -> str:
    return "gains" if difference.mean >= 0 else "loses"


def _points(difference: Difference) -> str:
    """The size of a difference: "5.2 Dice points (95 % interval 3.1 to 7.3, 5 seeds, Wilcoxon p = 0.062)"."""
    known = difference.low == difference.low
    sign = 1 if difference.mean >= 0 else -1
    bounds = sorted((sign * difference.low, sign * difference.high))
    interval = f"95 % interval {bounds[0]:.1f} to {bounds[1]:.1f}, " if known else ""
    p = f", Wilcoxon p = {difference.p:.3f}" if known else ""
    return f"{abs(difference.mean):.1f} Dice points ({interval}{seeds(difference.n)}{p})"


def _interval(value: Interval) -> str:
    known = value.low == value.low
    return f"{value.mean:.3f}" + (f" ({value.low:.3f} to {value.high:.3f})" if known else "")
