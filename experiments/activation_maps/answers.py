"""The study's answers in plain sentences; every number comes from the findings."""

from experiments.activation_maps.cues import REGIONS
from experiments.activation_maps.findings import MAIN, REGION_NAMES, Findings
from experiments.activation_maps.grid import CLASSIFIER, CUES, MATCHED_DISC, REFERENCE
from experiments.classifiers import USABLE_AUC
from experiments.harness.map_options import MAP_TITLES, OURS
from segjax.evaluation import Difference, Interval
from segjax.reports import data_name
from segjax.reports.words import joined, network_name, seeds

NAMES = {"iou": "IoU", "boundary_f_4px": "boundary F at 4 px"}
DEAF = 0.75  # rank correlation of maps before and after shuffling from which on they hardly depend on weights
COPIES = 0.5  # correlation with the brightness of the picture from which on a map says little else


def question(found: Findings) -> str:
    """What the page answers."""
    networks = joined(network_name(name) for name in found.config.classifiers)
    return (
        f"{networks} learnt from {data_name(found.config.data)} only whether a picture shows what is looked for. Was "
        "it learnt, what does the decision rest on, and do activation maps end where the object ends?"
    )


def answers(found: Findings) -> list[str]:
    """The verdict first, then what it rests on; questions without results are left out."""
    # maps that are followed over time are too few for one to be the best
    contest = [*_verdict(found), *_faithful(found)] if "maps" in found.config.questions else []
    return [
        *_classifiers(found),
        *contest,
        *_coarse(found),
        *_cautions(found),
        *_cues(found),
        *_first(found),
    ]


def _classifiers(found: Findings) -> list[str]:
    said = []
    for name in found.config.classifiers:
        auc, balanced = (found.interval(name, CLASSIFIER, metric) for metric in ("auc", "balanced_accuracy"))
        if not auc.n:
            continue
        sentence = (
            f"{network_name(name)} tells new pictures apart with an area under the curve of {shown(auc)} and a "
            f"balanced accuracy of {shown(balanced)} ({seeds(auc.n)})."
        )
        if name in found.meaningless:
            sentence += f" That is below {USABLE_AUC:g}: it has not learnt its task, and its maps are meaningless."
        said.append(sentence)
    return said


def _verdict(found: Findings) -> list[str]:
    said = []
    for name in found.usable:
        if OURS not in found.kinds(name):
            continue
        parts = []
        for metric in MAIN:
            rival = found.best_rival(name, metric)
            if rival is None:
                continue
            ours, other = found.interval(name, OURS, metric), found.interval(name, rival, metric)
            difference = found.difference(name, OURS, (name, rival), metric)
            parts.append(
                f"in {NAMES[metric]} Contour-CAM has {ours.mean:.3f} and the best other map, {MAP_TITLES[rival]}, "
                f"{other.mean:.3f}: {verdict(difference)}"
            )
        if parts:
            said.append(f"{network_name(name)}: {'; '.join(parts)}.")
    return said


def _faithful(found: Findings) -> list[str]:
    """Another order than by outlines: what the classifier itself goes by."""
    said = []
    for name in found.usable:
        known = {kind: found.interval(name, kind, "road").mean for kind in found.kinds(name)}
        known = {kind: value for kind, value in known.items() if value == value}
        if OURS in known and len(known) > 1:
            best = max(known, key=lambda kind: known[kind])
            rank = 1 + sum(value > known[OURS] for value in known.values())
            ours = f"Contour-CAM is number {rank} of {len(known)} with {known[OURS]:.3f}"
            said.append(
                f"{network_name(name)}: as rankings of the pixels that the classifier goes by (ROAD), {ours}"
                + ("." if best == OURS else f"; the most faithful is {MAP_TITLES[best]} with {known[best]:.3f}.")
            )
    return said


def verdict(difference: Difference) -> str:
    """What an interval of a difference says of our map."""
    if difference.n == 0:
        return "nothing to compare yet"
    ahead = f"{'ahead' if difference.mean >= 0 else 'behind'} by {abs(difference.mean):.3f}"
    if difference.low != difference.low:
        return f"{ahead} ({seeds(difference.n)}: an impression, not a finding)"
    bounds = sorted(abs(bound) if difference.low * difference.high > 0 else bound for bound in difference[1:3])
    interval = f"95 % interval {bounds[0]:.3f} to {bounds[1]:.3f}, {seeds(difference.n)}"
    if difference.low > 0:
        return f"it wins, {ahead} ({interval})"
    return f"it loses, {ahead} ({interval})" if difference.high < 0 else f"not decided, {ahead} ({interval})"


def _coarse(found: Findings) -> list[str]:
    disc = found.interval(REFERENCE, MATCHED_DISC, "iou")
    if not disc.n:
        return []
    best = [(found.interval(name, kind, "iou").mean, name, kind) for name in found.usable for kind in found.kinds(name)]
    said = [f"A disc of the true area on the true centre has an IoU of {disc.mean:.3f}, which no map is told."]
    if best:
        value, name, kind = max(best)
        place = "above" if value > disc.mean else "below"
        said[0] += f" The best map, {MAP_TITLES[kind]} of {network_name(name)}, is {place} it with {value:.3f}."
    return said


def _cautions(found: Findings) -> list[str]:
    said = []
    for name in found.usable:
        copies = [
            f"{MAP_TITLES[kind]} ({value.mean:+.2f})"
            for kind in found.kinds(name)
            if abs((value := found.interval(name, kind, "brightness_correlation")).mean) >= COPIES
        ]
        if copies:
            said.append(f"{network_name(name)}: maps that largely copy the picture's brightness: {joined(copies)}.")
        deaf = [MAP_TITLES[kind] for kind in found.kinds(name) if found.interval(name, kind, "sanity").mean >= DEAF]
        if deaf:
            said.append(
                f"{network_name(name)}: maps that hardly change when the weights are shuffled, so that they say little "
                f"about what was learnt: {joined(deaf)}."
            )
    return said


def _cues(found: Findings) -> list[str]:
    said = []
    for name in found.usable:
        lost = {region: found.interval(name, CUES, f"cue_lost_without_{region}") for region in REGIONS}
        if not all(value.n for value in lost.values()):
            continue
        order = sorted(lost, key=lambda region: -lost[region].mean)
        parts = [f"{100 * lost[region].mean:.0f} % without {REGION_NAMES[region]}" for region in order]
        said.append(f"{network_name(name)} loses of what speaks for the object {joined(parts)}.")
    return said


def _first(found: Findings) -> list[str]:
    said: list[str] = []
    if "training" not in found.config.questions:
        return said
    for name in found.usable:
        lines = found.over_training(name)
        when = {line: _reached(points) for line, points in lines.items() if not line.startswith("lost")}
        known = [f"the {line} after {epochs}" for line, epochs in when.items() if epochs is not None]
        if known:
            said.append(
                f"{network_name(name)} has reached nine tenths of its final value in epochs: {joined(known)} of "
                f"{found.config.train.loop.epochs}."
            )
    return said


def _reached(points: list[tuple[int, Interval]]) -> int | None:
    """The first moment with nine tenths of the last value; None where the last is not above 0."""
    last = points[-1][1].mean
    return next((x for x, value in points if value.mean >= 0.9 * last), None) if last > 0 else None


def shown(value: Interval) -> str:
    """A mean with its interval, where there is one."""
    return f"{value.mean:.3f}" + (f" ({value.low:.3f} to {value.high:.3f})" if value.low == value.low else "")
