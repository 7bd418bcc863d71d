"""The answer, claims, cautions and tables of study 4A."""

import pandas as pd

from experiments.activation_maps.charts import charts_of
from experiments.activation_maps.findings import (
    LEFT,
    LOST,
    REGION_NAMES,
    TITLES,
    Table,
    copied,
    has_part,
    percent,
    usable,
    verdict,
)
from experiments.activation_maps.grid import CLASSIFIER, MATCHED_DISC, REFERENCE, Config, Trial
from experiments.activation_maps.measure import ELSEWHERE
from experiments.harness.classifiers import USABLE_AUC
from experiments.harness.map_options import MAP_TITLES, OURS
from experiments.harness.study import Analysis
from segjax.evaluation.claims import Claim
from segjax.evaluation.picture import Metric
from segjax.evaluation.sites import size_class
from segjax.reports.words import METRIC_NAMES, data_name, joined, network_name

MAIN = {"iou": "IoU", "boundary_f_4px": "boundary F at 4 px"}
CONTESTS = {
    **MAIN,
    "boundary_f_2px": "boundary F at 2 px",  # the tolerance decides who is ahead, so all three are judged
    "boundary_f_8px": "boundary F at 8 px",
    "contour_level_boundary_f_4px": "boundary F at 4 px, contour level",
    "road": "ROAD",
}
TASK = ("auc", "accuracy", "balanced_accuracy", "blur_px")
AS_OUTLINES = (
    *("iou", "false_positive_rate", "oracle_iou", "boundary_f_2px", "boundary_f_4px", "boundary_f_8px", "hd95_px"),
    *("pxap", "pointing_game", "energy", "contour_level_iou", "contour_level_boundary_f_4px", "brightness_correlation"),
)
AS_EXPLANATIONS = ("road", "insertion", "deletion", "average_drop", "increase", "sanity")
SHARES = (
    *("accuracy", "balanced_accuracy", "false_positive_rate", "pointing_game", "energy", "average_drop", "increase"),
    *(f"{prefix}{part}" for prefix in (LOST, LEFT) for part in REGION_NAMES),
)
UNCHANGED = 0.75  # rank correlation of maps before and after shuffling from which on they hardly depend on weights
SHOWN = ("outlines_by_overlap", "what_the_decision_rests_on", "what_is_learnt_first")
GLOSSARY = (
    "A classifier is shown pictures and told only whether they show the object. An activation map gives every pixel a "
    "value: the higher it is, the more that pixel speaks for the object. IoU, from 0 to 1, is the area that a mask and "
    "the true object share, divided by the area that either covers. Boundary F, from 0 to 1, says how much of either "
    "outline lies near the other. A false alarm is a picture without the object in which a map marks anything. The "
    "evidence is the difference in the classifier's score, as log odds, between pictures with the object and pictures "
    "without it. The area under the curve (AUC) is the chance that a picture with the object is ranked above one "
    "without: 0.5 is guessing. A seed is one complete repetition with another start. Intervals count distinct sets of "
    "test pictures."
)
_OUTLINE = "of the mask above the map's one threshold, chosen on a few outlined validation pictures"
METRICS = {
    "auc": Metric("area under the receiver operating characteristic of the test pictures", "1", "higher", "NaN", 1),
    "pxap": Metric("average precision of map values as a detector of object pixels, pictures with and without object "
                   "together", "1", "higher", "NaN", 1),
    "iou": Metric(f"TP / (TP + FP + FN) {_OUTLINE}; maps scaled by their maxima before where that is better there", "1",
                  "higher", "left out", 1),
    "oracle_iou": Metric("the same at the best threshold of each picture, which only its outline tells", "1", "higher",
                         "left out", 1),
    "boundary_f_4px": Metric(f"2 P R / (P + R), P and R the shares of either outline within 4 px of the other, "
                             f"{_OUTLINE}", "1", "higher", "left out; one empty: 0", 1),
    "hd95_px": Metric("larger of the two 95th percentiles of the distances between outlines", "px", "lower",
                      "left out; one empty: the picture's diagonal", 1),
    "contour_level_iou": Metric("IoU at each map's contour level, which needs no outline", "1", "higher", "left out",
                                2),
    "false_positive_rate": Metric("share of pictures without the object in which anything is above the threshold", "1",
                                  "lower", "NaN", 1),
    "pointing_game": Metric("share of pictures whose highest value stands on the object", "1", "higher", "left out", 1),
    "energy": Metric("share of the positive values that stands on the object", "1", "higher", "left out", 1),
    "road": Metric("mean over shares of pixels of (score without the lowest - score without the highest) / 2; removed "
                   "pixels are filled in from their neighbours", "1", "higher", "-", 1),
    "insertion": Metric("mean score while pixels are put into a blurred picture, highest first", "1", "higher", "-", 1),
    "deletion": Metric("mean score while pixels get the picture's mean, highest first", "1", "lower", "-", 1),
    "average_drop": Metric("max(whole - masked, 0) / whole; masked: picture times map", "1", "lower", "-", 1),
    "increase": Metric("share of pictures whose score is higher when masked", "1", "higher", "-", 1),
    "sanity": Metric("rank correlation of maps before and after all weights are shuffled", "1", "lower", "-", 1),
    "brightness_correlation": Metric("correlation of the map with the picture's brightness", "1", "lower", "-", 1),
    "cue_lost_without_inside": Metric(
        "(log odds of the picture - without the region) / (log odds of the picture - mean of pictures without object), "
        "sums over pictures", "1", "higher", "NaN where the classifier does not tell them apart", 1),
}  # fmt: skip


def analyse(config: Config, table: Table) -> Analysis:
    """Which map finds the object best, and what classifiers rely on."""
    data, networks = data_name(config.source.data), joined(map(network_name, config.classification.classifiers))
    claims, main = _claims(config, table)
    failures = table.failures()
    answer, *rest = verdict(config, table, claims)
    of_terms = _claims_of_terms(config, table)
    return Analysis(
        title=f"What classifiers look at: {data}",
        question=(
            "Which activation map finds the object best, and which part of the picture does a classifier rely on? "
            f"{networks} learnt only whether a picture shows the object."
        ),
        verdict=answer,
        notes=[" ".join(rest)] if rest else [],
        claims=claims + of_terms,
        main=main + of_terms,
        tables=_tables(config, table),
        charts=charts_of(config, table),
        cautions=_cautions(config, table),
        metrics=METRICS,
        shown=SHOWN,
        glossary=GLOSSARY,
        # a line per classifier, not per look at it
        failures=failures[(failures["map"] == CLASSIFIER) | (failures["what happened"] == "failed")],
    )


def _claims(config: Config, table: Table) -> tuple[list[Claim], list[Claim]]:
    """Contour-CAM against all other maps, a family per usable classifier and metric; and the best rival of each."""
    claims, main = [], []
    # maps that are followed over the training are too few for one to be the best
    for name in [name for name, can in usable(config, table).items() if can and "maps" in config.questions]:
        subject = f"{MAP_TITLES[OURS]} of {network_name(name)}", Trial(name, 0, OURS)
        rivals = {MAP_TITLES[kind]: Trial(name, 0, kind) for kind in config.maps if kind != OURS}
        for metric, label in CONTESTS.items():
            family = table.compare(metric, subject, rivals, label=label, unit="", scale=1.0)
            means = [table.interval(metric, rivals[claim.rival]).mean for claim in family]
            claims += family
            if family and (metric in MAIN or len(rivals) == 1):  # with one rival every measure is shown
                main.append(family[means.index(max(means))])
    return claims, main


def _claims_of_terms(config: Config, table: Table) -> list[Claim]:
    """Contour-CAM of classifiers taught consistency against that of the same without, a family per one and metric."""
    can = [name for name, is_usable in usable(config, table).items() if is_usable]
    claims = []
    for plain in can:
        named = {name: (f"{MAP_TITLES[OURS]} of {network_name(name)}", Trial(name, 0, OURS)) for name in can}
        pairs = [(named[name], named[plain]) for name in can if name.startswith(f"{plain}+")]
        for metric, label in MAIN.items():
            made = table.compare_pairs(metric, pairs, label=label, unit="", scale=1.0)
            claims += [claim for claim in made if claim.decision.n]
    return claims


def _cautions(config: Config, table: Table) -> list[str]:
    said = []
    for network, is_usable in usable(config, table).items():
        name = network_name(network)
        if not is_usable:
            auc = _mean(table, "auc", network, CLASSIFIER)
            said.append(
                f"{name} has not learnt its task: its area under the curve is {auc:.2f}, below {USABLE_AUC:g}. Its "
                "maps and cues mean nothing."
            )
            continue
        found = {kind: copied(table, network, kind) for kind in config.maps}
        copies = [f"{MAP_TITLES[kind]} ({value:+z.2f})" for kind, value in found.items() if value]
        if copies:
            said.append(
                f"Some maps of {name} largely copy the brightness of the picture (correlation): {joined(copies)}."
            )
        unchanged = [MAP_TITLES[kind] for kind in config.maps if _mean(table, "sanity", network, kind) >= UNCHANGED]
        if unchanged:
            said.append(
                f"Some maps of {name} hardly change when its weights are shuffled, so they say little about what it "
                f"has learnt: {joined(unchanged)}."
            )
    disc = _mean(table, "iou", REFERENCE, MATCHED_DISC)
    if disc == disc:
        said.append(
            f"A disc of the true area on the true centre reaches an IoU of {disc:.3f}. No map knows area and centre."
        )
    return said


def _mean(table: Table, metric: str, network: str, kind: str) -> float:
    return table.interval(metric, Trial(network, 0, kind)).mean


def _tables(config: Config, table: Table) -> dict[str, pd.DataFrame]:
    found = {
        "Classifiers on the test pictures": table.overview(TASK),
        "Maps as outlines": table.overview(AS_OUTLINES),
        "Maps as explanations": table.overview(AS_EXPLANATIONS),
        "Maps by the area of the object": _by_size(table),
        "What the decision rests on": table.overview(_cue_metrics(config, table)),
    }
    return {name: _readable(config, frame) for name, frame in found.items() if len(frame)}


def _cue_metrics(config: Config, table: Table) -> list[str]:
    """Those of the parts that the pictures have."""
    names = config.classification.classifiers
    parts = [part for part in REGION_NAMES if any(has_part(table, name, part) for name in names)]
    return [f"{LOST}{part}" for part in parts] + [f"{LEFT}{part}" for part in parts if part != ELSEWHERE]


def _readable(config: Config, frame: pd.DataFrame) -> pd.DataFrame:
    """With words for names, and shares in percent."""
    titles = {
        "network": lambda network: "no classifier" if network == REFERENCE else network_name(network),
        "map": lambda kind: TITLES.get(kind, network_name(kind)),
        "epochs": lambda epochs: epochs or config.train.loop.epochs,
        **{name: lambda value: None if pd.isna(value) else percent(float(value)) for name in SHARES},
    }
    shown = frame.assign(**{column: frame[column].map(of) for column, of in titles.items() if column in frame})
    return shown.rename(columns={**METRIC_NAMES, "iou": "IoU", "network": "classifier"})


def _by_size(table: Table) -> pd.DataFrame:
    """Means over the pictures of objects of one size; empty where there are no values per picture or no areas."""
    if table.rows is None:
        return pd.DataFrame()
    rows = table.rows[(table.rows["status"] == "ok") & (table.rows["epochs"] == 0) & (table.rows["picture"] != "")]
    wide = rows.pivot_table(index=["network", "map", "seed", "picture"], columns="metric", values="value")
    if "area_ha" not in wide:
        return pd.DataFrame()
    areas = wide["area_ha"].groupby("picture").first().map(size_class)
    wide = wide.dropna(subset=["iou"]).reset_index()
    groups = wide.assign(size=wide["picture"].map(areas)).groupby(["network", "map", "size"], sort=False)
    means = groups[[metric for metric in (*MAIN, "hd95_m") if metric in wide]].mean().round(3)
    return means.assign(pictures=groups.size()).reset_index()
