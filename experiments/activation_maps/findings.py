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
from experiments.activation_maps.measure import ELSEWHERE, REGIONS
from experiments.harness.classifiers import USABLE_AUC
from experiments.harness.map_options import MAP_TITLES, OURS
from segjax.evaluation import Claim, Interval
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
    "surroundings": "everything further away",
    ELSEWHERE: "for comparison: a patch elsewhere, as large as the object",
}
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


def cues(table: Table, network: str) -> dict[str, Interval]:
    """Share of the evidence that is lost without each part of the picture, the largest first."""
    found = {region: table.interval(f"{LOST}{region}", Trial(network, 0, CUES)) for region in REGIONS}
    known = {region: value for region, value in found.items() if value.n}
    return dict(sorted(known.items(), key=lambda pair: -pair[1].mean))


def percent(share: float) -> str:
    """A share as the page writes it."""
    return f"{100 * share:.0f} %"


def span(values: Sequence[float], show: Callable[[float], str]) -> str:
    """One value, or the lowest and the highest of several."""
    low, high = show(min(values)), show(max(values))
    return low if low == high else f"{low.removesuffix(' %')} to {high}"


# ---- the answer


def verdict(config: Config, table: Table, claims: Sequence[Claim]) -> str:
    """Which map finds the object best, and what the classifiers rely on; first of all whether that can be said."""
    if not (known := usable(config, table)):
        return "No classifier has been trained yet."
    if not (names := fit(config, table)):
        aucs = {name: table.interval("auc", Trial(name, 0, CLASSIFIER)).mean for name in known}
        said = joined(f"{network_name(name)} {auc:.2f}" for name, auc in aucs.items())
        return (
            "Nothing can be concluded about maps: no classifier has learnt to tell the pictures apart (area under the "
            f"curve: {said}; {USABLE_AUC:g} is needed)."
        )
    found = [_of_maps(config, table, names, claims), _of_cues(table, names), _of_training(config, table, names)]
    return " ".join(one for one in found if one) or f"{_list(names)} told the pictures apart; no map was judged."


def _of_maps(config: Config, table: Table, names: Sequence[str], claims: Sequence[Claim]) -> str:
    ranked = {name: by_value(table, name, config.maps, "iou") for name in names}
    ranked = {name: values for name, values in ranked.items() if values}
    if "maps" not in config.questions:  # those that are followed over the training are too few for one to be the best
        return ""
    if not ranked:
        return "Without outlines it cannot be said which map finds the object best."
    said = []
    for best, those in _grouped({name: values[0][0] for name, values in ranked.items()}).items():
        ious, alarms = (
            [ranked[name][0][1] for name in those],
            [value.mean for name in those if (value := table.interval("false_positive_rate", Trial(name, 0, best))).n],
        )
        ours = {f"{MAP_TITLES[OURS]} of {network_name(name)}" for name in those}
        verdicts = {claim.decision.verdict for claim in claims if claim.metric == "IoU" and claim.subject in ours}
        text = f"{MAP_TITLES[best]} of {_list(those)} "
        if best == OURS and verdicts == {"ahead"}:
            text += f"matches the object better than every other map: its IoU is {span(ious, '{:.2f}'.format)}"
        else:
            text += f"has the highest IoU with the object: {span(ious, '{:.2f}'.format)}"
        if len(those) == 1 and len(ranked[those[0]]) > 1:
            text += f"; the next map reaches {ranked[those[0]][1][1]:.2f}"
        text += (
            f". It marks something in {span(alarms, percent)} of the pictures without the object." if alarms else "."
        )
        said.append(text)
    highest = max(pairs[0][1] for pairs in ranked.values())
    disc = table.interval("iou", Trial(REFERENCE, 0, FIXED_DISC)).mean
    if disc > highest:
        said.append(f"A disc of fixed size on the true centre would match the object better ({disc:.2f}).")
    return " ".join(said)


def _of_cues(table: Table, names: Sequence[str]) -> str:
    lost = {name: found for name in names if (found := cues(table, name))}
    said = []
    for region, those in _grouped({name: next(iter(found)) for name, found in lost.items()}).items():
        shares = [min(lost[name][region].mean, 1.0) for name in those]
        amount = "all of the evidence" if min(shares) == 1 else f"{span(shares, percent)} of the evidence"
        verb = "relies" if len(those) == 1 else "rely"
        said.append(
            f"{_list(those)} {verb} most on the {REGION_NAMES[region]}: without it, {amount} for the object is gone."
        )
    return " ".join(said)


def _of_training(config: Config, table: Table, names: Sequence[str]) -> str:
    after = {name: epochs for name in names if (epochs := learnt_after(config, table, name))}
    if not after:
        return ""
    last = config.train.loop.epochs
    return (
        f"{_list(list(after))} learnt the task within {span(list(after.values()), '{:.0f}'.format)} of {last} epochs."
    )


def learnt_after(config: Config, table: Table, network: str) -> int:
    """The first number of epochs looked at after which a classifier has learnt its task; 0 where that is not known."""
    if "training" not in config.questions:
        return 0
    for epochs in sorted(config.epochs_looked_at):
        if table.interval("auc", Trial(network, 0, CLASSIFIER, epochs)).mean >= USABLE_AUC:
            return epochs
    return config.train.loop.epochs


def _grouped(of: Mapping[str, str]) -> dict[str, list[str]]:
    """Names by what they have in common."""
    return {value: [name for name in of if of[name] == value] for value in dict.fromkeys(of.values())}


def _list(names: Sequence[str]) -> str:
    return joined(map(network_name, names))
