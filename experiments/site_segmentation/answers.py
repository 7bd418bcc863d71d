"""The study's answers in plain sentences; every number comes from the findings."""

from experiments.activation_maps.answers import shown
from experiments.classifiers import USABLE_AUC
from experiments.harness.map_options import OURS
from experiments.site_segmentation.findings import DICE, Findings, Learnt
from segjax.evaluation import Difference, Interval
from segjax.reports import data_name
from segjax.reports.words import joined, network_name, seeds


def question(found: Findings) -> str:
    """What the page answers."""
    return (
        f"Of {data_name(found.config.data)} it is known only which show what is looked for. Masks are made of what a "
        "classifier looks at. How good is a segmentation network that learns from them, and how many drawn outlines "
        "are they worth?"
    )


def answers(found: Findings) -> list[str]:
    """The verdict first, then what it rests on; questions without results are left out."""
    said = []
    for network in found.config.networks:
        said += [*_verdict(found, network), *_ours(found, network), *_cheap(found, network)]
    return [*said, *_classifiers(found)]


def _verdict(found: Findings, network: str) -> list[str]:
    full = found.interval(DICE, **found.outlined(network, 0).factors)
    best = _best(found, found.maps(network))
    if best is None or not full.n:
        return []
    if full.mean == 0:
        return [f"{network_name(network)} finds nothing even with all outlines: nothing can be compared; train longer."]
    dice, share = found.interval(DICE, **best.factors), found.share(best)
    said = (
        f"{network_name(network)} trained on masks of {best.name} reaches Dice {shown(dice)}, that is "
        f"{percent(share)} of the {full.mean:.3f} that all outlines give ({seeds(dice.n)}). The masks are "
        f"worth {in_sites(found.worth(best))}"
    )
    few = found.outlined(network, max(found.config.outlines, default=0))
    against = found.difference(best, few)
    said += f"; against {few.name}: {points(against)}." if found.config.outlines and against.n else "."
    sites, alarms = (found.interval(metric, **best.factors) for metric in ("found", "false_alarms"))
    if sites.n and alarms.n:
        said += (
            f" The network finds something in {sites.mean:.0%} of the pictures with a site and in "
            f"{alarms.mean:.0%} of those without."
        )
    return [said]


def _ours(found: Findings, network: str) -> list[str]:
    ours = _best(found, [one for one in found.maps(network) if one.factors["map"] == OURS])
    other = _best(found, [one for one in found.maps(network) if one.factors["map"] != OURS])
    if ours is None or other is None:
        return []
    return [f"Masks of {ours.name} against masks of {other.name}: {points(found.difference(ours, other))}."]


def _cheap(found: Findings, network: str) -> list[str]:
    best, said = _best(found, found.maps(network)), []
    for learnt in found.cheap(network):
        dice, share = found.interval(DICE, **learnt.factors), found.share(learnt)
        if not (dice.n and share.n):
            continue
        sentence = (
            f"Learning from {learnt.name} reaches Dice {shown(dice)}, {percent(share)} of full "
            f"supervision, and is worth {in_sites(found.worth(learnt))}"
        )
        if best is not None:
            sentence += f"; against the best maps: {points(found.difference(learnt, best))}"
        said.append(f"{sentence}.")
    return said


def _classifiers(found: Findings) -> list[str]:
    said = []
    for name in found.config.classifiers:
        auc = found.auc(name)
        if auc.n:
            weak = f" It is under {USABLE_AUC:g}: it has not learnt its task." if auc.mean < USABLE_AUC else ""
            said.append(f"The maps are of {network_name(name)} with an area under the curve of {shown(auc)}.{weak}")
    masks = {name: max(values.items(), key=lambda item: item[1].mean) for name, values in found.masks_series().items()}
    if masks:
        parts = [f"{way} of {name} with Dice {value.mean:.3f}" for name, (way, value) in masks.items()]
        said.append(f"Of all masks themselves, nearest to the outlines are {joined(parts)}.")
    return said


def _best(found: Findings, learnt: list[Learnt]) -> Learnt | None:
    known = [one for one in learnt if found.interval(DICE, **one.factors).n]
    return max(known, key=lambda one: found.interval(DICE, **one.factors).mean, default=None)


def percent(share: Interval) -> str:
    """A share in per cent with its interval, where there is one."""
    return f"{100 * share.mean:.0f} %" + (
        f" ({100 * share.low:.0f} to {100 * share.high:.0f} %)" if share.low == share.low else ""
    )


def in_sites(worth: str) -> str:
    """A number in words with what it counts: "about 8 outlined sites", "less than one outlined site"."""
    return f"{worth} outlined site" + ("" if worth.endswith(("one", " 1")) else "s")


def points(difference: Difference) -> str:
    """A difference in Dice points, and what its interval says."""
    if difference.n == 0:
        return "nothing to compare yet"
    said = f"{100 * difference.mean:+.1f} Dice points"
    if difference.low != difference.low:
        return f"{said} ({seeds(difference.n)}: an impression, not a finding)"
    interval = f"95 % interval {100 * difference.low:+.1f} to {100 * difference.high:+.1f}, {seeds(difference.n)}"
    decided = "" if difference.low > 0 or difference.high < 0 else ", not decided"
    return f"{said} ({interval}{decided})"
