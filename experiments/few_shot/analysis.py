"""Answer, tables, charts and claims of study 3."""

from collections.abc import Sequence

import pandas as pd

from experiments.few_shot.charts import SHARE, charts_of, type_table
from experiments.few_shot.findings import (
    METHODS,
    Findings,
    Gap,
    Table,
    bank_words,
    counted,
    nearest_shots,
)
from experiments.few_shot.grid import Config
from experiments.few_shot.trials import CALIBRATED, NONE, TRAIN
from experiments.harness.ladder_options import is_rung
from experiments.harness.study import Analysis
from segjax.evaluation.claims import format_interval, format_test_sets
from segjax.evaluation.decision import REPLICATES_FOR_VERDICT
from segjax.evaluation.picture import METRICS, Metric
from segjax.fewshot.baselines import BASELINES
from segjax.reports.words import data_name, joined, network_name

ENOUGH = 5.0  # Dice points behind all labels that an annotator may well accept
GLOSSARY = (
    "Dice says how well a prediction covers the true cells: 1 is perfect, 0 is no overlap. A Dice point is 0.01. An "
    "extractor is a network that was trained on the other types; its feature maps are the features. A head is the "
    "small model that finds the new type by its features. A draw is one random choice of the pictures that are "
    "annotated, and half of the draws lie between the quartiles. All labels (full supervision) stands for a network "
    "that was trained on the new type in every training picture. Draws share extractors and test pictures, so "
    "intervals and verdicts count test sets, never draws."
)
_POOLED = "2 TP / (2 TP + FP + FN), pixels of all test pictures summed first"
_AT_ZERO = "pixels that score above 0 are predicted, not those above the threshold with the highest Dice on the shots"
_FIRST = "mean over the first few draws, in which baselines are trained"
_PARTS = {"q25": "lower quartile", "median": "median", "q75": "upper quartile"}
OWN_METRICS = {
    **{f"dice_pooled_{part}": f"{_POOLED}; {words} of the draws" for part, words in _PARTS.items()},
    "dice_pooled_zero": f"{_POOLED}; {_AT_ZERO}",
    "dice_first_draws": f"{_POOLED}; {_FIRST}",
    "dice_zero_first_draws": f"{_POOLED}; {_AT_ZERO}; {_FIRST}",
    "iou_pooled": "TP / (TP + FP + FN), pixels of all test pictures summed first",
}


def analyse(config: Config, table: Table) -> Analysis:
    """How near a few annotated pictures come to all labels."""
    found = Findings(config, table)
    gaps, behind = found.behind()
    banks, nearest = [*found.banks(), *found.unseen()], nearest_shots(config.compare_shots)
    compared = [
        claim for shots in config.compare_shots for claim in (*found.heads(shots), *found.against_baselines(shots))
    ]
    files = [found.on(bank) for bank in found.files]
    for own in files:
        compared += [*own.behind()[1], *(claim for shots in config.compare_shots for claim in own.heads(shots))]
    rivals = [claim for claim in found.heads(nearest) if claim.rival in found.elsewhere()]
    metrics = {name: Metric(text, "1", "higher", "NaN", 1) for name, text in OWN_METRICS.items()}
    metrics = {**METRICS, **metrics, "f1": _f1_of(config)}
    network = network_name(found.network)
    tables = {
        f"{network} extractors and {METHODS[config.head]}, by type": type_table(found),
        "Heads and baselines, Dice over types": methods_table(found),
    }
    for own in files:
        tables[f"By type: {METHODS[config.head]}{own.with_bank}"] = type_table(own)
        tables[f"Dice over types: heads{own.with_bank}"] = methods_table(own)
    curves = ["f1_against_shots"] if len(config.compare_shots) > 1 else []  # one point per type is no curve
    return Analysis(
        title=f"How few annotated pictures are enough: {data_name(config.source.data)}",
        question=(
            f"How near does a model that saw only {_choice(config.shots)} annotated pictures of a new cell type come "
            f"to a {network} with all labels of that type? The model works on the feature maps of networks that "
            "learnt the other types."
        ),
        verdict=verdict(found, gaps),
        notes=notes(found),
        claims=[*behind, *compared, *banks],
        main=[*behind, *found.against_baselines(nearest), *banks, *rivals],
        charts=charts_of(found),
        tables={name: frame for name, frame in tables.items() if len(frame)},
        cautions=cautions(found),
        metrics={name: metric for name, metric in metrics.items() if name in table.frame},
        shown=["dice_against_shots", *curves, f"heads_and_baselines_with_{nearest}_shots"],
        glossary=GLOSSARY,
        failures=_failures(table),
    )


def verdict(found: Findings, gaps: Sequence[Gap]) -> str:
    """How many annotated pictures come within `ENOUGH` Dice points of all labels.

    With enough test sets for intervals, these have to lie below it, or above it, whole.
    """
    if found.shots and found.weak and not found.judged(found.whole()):
        return (
            f"There is no answer yet: {network_name(found.network)} with all labels is too weak to stand for full "
            "supervision."
        )
    if not gaps:
        return "There is no answer yet: it takes results of a few annotated pictures and of all labels."
    decided = gaps[0].decision.n >= REPLICATES_FOR_VERDICT
    opening = "" if decided else f"In {format_test_sets(gaps[0].decision.n)}, "
    near = [gap for gap in gaps if (gap.decision.high if decided else gap.decision.mean) <= ENOUGH]
    shots, decision = near[0] if near else gaps[-1]
    whole = f"{ENOUGH:g} Dice points of {network_name(found.network)} with all labels"
    if near:
        said = f"{counted(shots)} of a new type come{'s' if shots == 1 else ''} within {whole}"
    elif decided and decision.low <= ENOUGH:
        said = f"it is not decided whether {counted(shots)} of a new type come within {whole}"
    else:
        said = f"not even {counted(shots)} of a new type come within {whole}"
    all_labels = found.mean(found.of_all_labels, found.judged(found.whole()))
    pair = f"{found.median(found.judged(found.few(shots))):.3f} against {all_labels:.3f}"
    sentence = f"{opening}{said} (Dice {pair}, {found.of_types()})."
    return sentence[0].upper() + sentence[1:]


def notes(found: Findings) -> list[str]:
    """For which types there is no full supervision; else which need the fewest and the most pictures."""
    if found.low:
        return [weakness(found)]
    needed: dict[str, int | None] = {}
    for place, name in enumerate(found.types):
        gaps = {shots: found.gap(place, shots) for shots in found.shots}
        if any(gap == gap for gap in gaps.values()):
            needed[name] = next((shots for shots, gap in gaps.items() if gap <= ENOUGH), None)
    if len(set(needed.values())) < 2:
        return []
    most = found.shots[-1]
    fewest, last = (pick(needed.values(), key=lambda shots: shots or most + 1) for pick in (min, max))
    first, others = (joined(name for name in needed if needed[name] == shots) for shots in (fewest, last))
    near = f"{counted(fewest or most)} come{'s' if fewest == 1 else ''} that near for {first}"
    far = f"not even {most} do for {others}" if last is None else f"it takes {last} for {others}"
    return [f"It depends on the type: {near}; {far}."]


def weakness(found: Findings) -> str:
    """For which types the network with all labels is no full supervision."""
    types = joined(f"{name} ({value:.3f})" for name, value in found.low.items())
    return (
        f"{network_name(found.network)} with all labels stays below Dice {CALIBRATED}, the least that simulated types "
        f"are calibrated to, for {types} (on the test pictures): a distance to it says little."
    )


def cautions(found: Findings) -> list[str]:
    """What is left out, and what the networks that a few pictures rest on and are compared with have seen."""
    config, said = found.config, list[str]()
    if len(config.segmentation.networks) > 1:
        said.append(f"The page is about {network_name(found.network)}. results.csv has all networks.")
    if config.candidates_from == TRAIN:
        said.append(
            "The annotated pictures are chosen from those that the extractors learnt the other types from. "
            "--candidates-from both compares them with pictures that no extractor saw."
        )
    if found.files:
        names = joined(found.words(bank).removeprefix("features ") for bank in found.files)
        said.append(
            f"Another model computed the features {names}. The study does not train it, so no label reaches them here. "
            "That model may have seen these pictures before, the test pictures among them. Our extractors learnt from "
            "the training pictures and the labels of the other types."
        )
    if any(method in BASELINES for method in found.baselines):
        said.append(
            f"Networks trained on the annotated pictures, for comparison, get {config.baseline_steps} steps each "
            "(--baseline-steps): no annotated picture is left over to tell when to stop."
        )
    if config.train.loop.stop == "fixed":
        said.append(
            f"Networks are trained for {config.train.loop.epochs} epochs, whether or not their validation loss still "
            "falls. --train.stop plateau goes on until it does not."
        )
    return said


def methods_table(found: Findings) -> pd.DataFrame:
    """One line per head or baseline and number of shots; baselines have only the first few draws."""
    lines = []
    for shots in found.config.compare_shots:
        for method in dict.fromkeys((found.config.head, *found.config.heads, *found.baselines)):
            if found.known_types(method, shots):
                trials = found.few(shots, method)
                own = ("dice_pooled", "dice_first_draws", "dice_zero_first_draws")
                of_networks = ("", "", "dice_pooled") if method in BASELINES else own
                metrics = ("", "dice_pooled", "") if is_rung(method) else of_networks
                values = [format_interval(found.table.interval(one, trials)) if one else "-" for one in metrics]
                f1 = format_interval(found.table.interval("f1", trials))
                behind = format_interval(found.share_behind(shots, method), 1)
                lines.append((shots, found.method_name(method, shots), *values, f1, behind))
    for name, trials in found.elsewhere().items():
        dice, f1 = (format_interval(found.table.interval(metric, trials)) for metric in ("dice_pooled", "f1"))
        lines.append(("-", name, dice, "-", "-", f1, "-"))
    columns = ["annotated pictures", "method", "Dice", "Dice, first draws", "Dice at score 0, first draws"]
    return pd.DataFrame(lines, columns=[*columns, "F1 of objects", SHARE])


def _f1_of(config: Config) -> Metric:
    """F1 of objects as this study parts them, in the first draws."""
    parted = {"components": "its 8-connected components", "watershed": "parted along a watershed of its distance map"}
    formula = METRICS["f1"].formula.replace("its 8-connected components", parted[config.grouping])
    return METRICS["f1"]._replace(formula=f"{formula}; of the first {config.first_draws} draws")


def _failures(table: Table) -> pd.DataFrame:
    found = table.failures()
    banks = [bank_words(bank) if bank != NONE else "-" for bank in found["bank"]]
    return found.assign(method=found["method"].map(METHODS), bank=banks).rename(
        columns={"bank": "extractors", "feature_selection": "choice of features", "shots": "annotated pictures"}
    )


def _choice(numbers: Sequence[int]) -> str:
    return joined(map(str, numbers)).replace(" and ", " or ")
