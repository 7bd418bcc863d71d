"""What came out of study 4A, in names and sentences: which map finds the object best, what classifiers rely on."""

from collections.abc import Callable, Mapping, Sequence

from experiments.activation_maps.grid import (
    CLASSIFIER,
    CUES,
    FIXED_DISC,
    MATCHED_DISC,
    REFERENCE,
    REFERENCES,
    Config,
    Trial,
)
from experiments.activation_maps.measure import ELSEWHERE
from experiments.harness.classifiers import USABLE_AUC
from experiments.harness.map_options import MAP_TITLES, OURS
from segjax.evaluation import Interval
from segjax.evaluation.claims import Claim
from segjax.reports.words import joined, network_name
from segjax.sweeps import ResultTable

Table = ResultTable[Trial]
TITLES = {
    **MAP_TITLES,
    FIXED_DISC: "disc of fixed size",
    MATCHED_DISC: "disc of the true area",
    **{kind: f"perfect map, {kind.replace('_', ' ')}" for kind in REFERENCES[2:]},
}
REGION_NAMES = {
    "inside": "inside of the object",
    "rim": "rim of the object",
    "halo": "halo around the object, one radius wide",
    "surroundings": "rest of the picture",
    ELSEWHERE: "for comparison: patch elsewhere, as large as the object",
}
LEAST_AREA = 0.01  # share of the picture: removing or keeping a part that is smaller says nothing about it
COPIES = 0.5  # correlation with the brightness of the picture from which on a map says little else
LOST, LEFT = "cue_lost_without_", "cue_left_with_"


def usable(config: Config, table: Table) -> dict[str, bool]:
    """Classifiers with results, and whether they have learnt their task: mean area under the curve of at least 0.9."""
    found = {name: table.interval("auc", Trial(name, 0, CLASSIFIER)) for name in config.classification.classifiers}
    return {name: value.mean >= USABLE_AUC for name, value in found.items() if value.n}


def fit(config: Config, table: Table) -> list[str]:
    """Classifiers that have learnt their task."""
    return [name for name, is_usable in usable(config, table).items() if is_usable]


def by_value(table: Table, network: str, kinds: Sequence[str], metric: str) -> list[tuple[str, float]]:
    """Maps of a classifier that have a value, the highest first."""
    found = {kind: table.interval(metric, Trial(network, 0, kind)) for kind in kinds}
    return sorted(((kind, value.mean) for kind, value in found.items() if value.n), key=lambda pair: -pair[1])


def cues(table: Table, network: str, prefix: str = LOST) -> dict[str, Interval]:
    """Share of the evidence that is lost without each part of the picture (or left with it alone), largest first."""
    trial = Trial(network, 0, CUES)
    found = {part: table.interval(f"{prefix}{part}", trial) for part in REGION_NAMES if has_part(table, network, part)}
    known = {part: value for part, value in found.items() if value.n}
    return dict(sorted(known.items(), key=lambda pair: -pair[1].mean))


def has_part(table: Table, network: str, part: str) -> bool:
    """Whether the pictures have enough of a part for its removal to say something."""
    area = table.interval(f"cue_area_{part}", Trial(network, 0, CUES))
    return not area.n or area.mean >= LEAST_AREA


def copied(table: Table, network: str, kind: str) -> float:
    """Correlation of a classifier's map with the brightness of the picture where it largely copies it; else 0."""
    value = table.interval("brightness_correlation", Trial(network, 0, kind)).mean
    return value if abs(value) >= COPIES else 0.0


def percent(share: float) -> str:
    """A share as the page writes it."""
    return f"{100 * share:.0f} %"


def span(values: Sequence[float], show: Callable[[float], str]) -> str:
    """One value, or the lowest and the highest of several."""
    low, high = show(min(values)), show(max(values))
    return low if low == high else f"{low.removesuffix(' %')} to {high}"


# ---- the answer


def verdict(config: Config, table: Table, claims: Sequence[Claim]) -> list[str]:
    """Which map finds the object best, or why that cannot be said; then its faults, and what classifiers rely on."""
    if not (known := usable(config, table)):
        return ["No classifier has been trained yet."]
    if not (names := fit(config, table)):
        aucs = {name: table.interval("auc", Trial(name, 0, CLASSIFIER)).mean for name in known}
        said = joined(f"{network_name(name)} {auc:.2f}" for name, auc in aucs.items())
        return [
            "Nothing can be concluded about maps: no classifier has learnt to tell the pictures apart (area under the "
            f"curve: {said}; {USABLE_AUC:g} is needed)."
        ]
    rest = [*_of_cues(config, table, names), *_of_training(config, table, names)]
    return [*_of_maps(config, table, names, claims), *rest] or [
        f"{joined(map(network_name, names))} learnt to tell the pictures apart. No map has been judged yet."
    ]


def _of_maps(config: Config, table: Table, names: Sequence[str], claims: Sequence[Claim]) -> list[str]:
    if "maps" not in config.questions:  # those that are followed over the training are too few for one to be the best
        return []
    ranked = {name: values for name in names if (values := by_value(table, name, config.maps, "iou"))}
    if not ranked:
        return ["Without outlines it cannot be said which map finds the object best."]
    said, flaws = list[str](), list[str]()
    for best, those in _grouped({name: values[0][0] for name, values in ranked.items()}).items():
        ious = [ranked[name][0][1] for name in those]
        alarms = [table.interval("false_positive_rate", Trial(name, 0, best)) for name in those]
        ours = {f"{MAP_TITLES[OURS]} of {network_name(name)}" for name in those}
        verdicts = {claim.decision.verdict for claim in claims if claim.metric == "IoU" and claim.subject in ours}
        is_ahead = best == OURS and verdicts == {"ahead"}
        does = "better than every other map" if is_ahead else "best on average"
        text = f"with {_who(config, table, those)}, {MAP_TITLES[best]} matches the object {does} "
        text += f"(IoU {span(ious, '{:.2f}'.format)}"
        if len(those) == 1 and len(ranked[those[0]]) > 1:
            text += f", the next map {ranked[those[0]][1][1]:.2f}"
        text += "; 1 is perfect)"
        faults = []
        if all(value.n for value in alarms):
            rate = span([value.mean for value in alarms], percent)
            faults.append(f"marks something in {rate} of the pictures without the object")
        if all(copied(table, name, best) for name in those):
            faults.append("largely copies the brightness of the picture")
        said.append(text)
        if faults:
            flaws.append(f"{MAP_TITLES[best]} {joined(faults)}.")
    highest = max(values[0][1] for values in ranked.values())
    disc = table.interval("iou", Trial(REFERENCE, 0, FIXED_DISC)).mean
    if disc > highest:
        flaws.append(f"A plain disc of fixed size on the true centre would match the object better ({disc:.2f}).")
    answer = "; ".join(said)
    return [f"{answer[0].upper()}{answer[1:]}.", *flaws]


def _of_cues(config: Config, table: Table, names: Sequence[str]) -> list[str]:
    lost = {name: found for name in names if (found := cues(table, name))}
    said = []
    for region, those in _grouped({name: next(iter(found)) for name, found in lost.items()}).items():
        shares = [min(lost[name][region].mean, 1.0) for name in those]
        much = "all of the evidence" if min(shares) == 1 else f"{span(shares, percent)} of the evidence"
        who = _who(config, table, those)
        verb = "rely" if who.count(" and ") else "relies"
        said.append(
            f"{who[0].upper()}{who[1:]} {verb} most on the {REGION_NAMES[region]}: without it, {much} for the object "
            "is gone."
        )
    return said


def _of_training(config: Config, table: Table, names: Sequence[str]) -> list[str]:
    after = {name: epochs for name in names if (epochs := learnt_after(config, table, name))}
    if not after:
        return []
    last, who = config.train.loop.epochs, _who(config, table, list(after))
    needed = span(list(after.values()), "{:.0f}".format)
    return [f"{who[0].upper()}{who[1:]} learnt the task within {needed} of {last} epochs."]


def learnt_after(config: Config, table: Table, network: str) -> int:
    """The first number of epochs looked at after which a classifier has learnt its task; 0 where that is not known."""
    looks = sorted(config.epochs_looked_at) if "training" in config.questions else []
    aucs = {epochs: table.interval("auc", Trial(network, 0, CLASSIFIER, epochs)) for epochs in looks}
    if not any(auc.n for auc in aucs.values()):
        return 0
    return next((epochs for epochs, auc in aucs.items() if auc.mean >= USABLE_AUC), config.train.loop.epochs)


def _grouped(of: Mapping[str, str]) -> dict[str, list[str]]:
    """Names by what they have in common."""
    return {value: [name for name in of if of[name] == value] for value in dict.fromkeys(of.values())}


def _who(config: Config, table: Table, names: Sequence[str]) -> str:
    """Classifiers as the subject of a sentence."""
    is_all = len(names) > 1 and set(names) == set(usable(config, table))
    return "every classifier" if is_all else joined(map(network_name, names))
