"""Tables, charts, claims and pictures of study 4A."""

from collections.abc import Mapping

import pandas as pd

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
from experiments.harness.study import Analysis, Context
from segjax.evaluation import Claim, Interval, Metric, size_class
from segjax.reports import Illustration, Line, MapTile, data_name, dot_chart, line_chart, map_panel, svg
from segjax.reports.words import joined, network_name
from segjax.sweeps import ResultTable

Table = ResultTable[Trial]
MAIN = {"iou": "IoU", "boundary_f_4px": "boundary F at 4 px"}
CONTESTS = {**MAIN, "road": "ROAD"}
MAP_METRICS = (
    *("pxap", "iou", "oracle_iou", "boundary_f_2px", "boundary_f_4px", "boundary_f_8px", "hd95_px"),
    *("pointing_game", "energy", "road", "insertion", "deletion", "average_drop", "increase", "sanity"),
    *("contour_level_iou", "contour_level_boundary_f_4px", "false_positive_rate", "brightness_correlation"),
)
UNCHANGED = 0.75  # rank correlation of maps before and after shuffling from which on they hardly depend on weights
COPIES = 0.5  # correlation with the brightness of the picture from which on a map says little else
TITLES = {
    **MAP_TITLES,
    FIXED_DISC: "fixed disc",
    MATCHED_DISC: "area-matched disc",
    **{kind: f"perfect map, {kind.replace('_', ' ')}" for kind in REFERENCES[2:]},
}
REGION_NAMES = {
    "inside": "the inside of the object",
    "rim": "its rim",
    "halo": "its halo, one radius around it",
    "surroundings": "everything further away",
    ELSEWHERE: "as much of the picture elsewhere",
}
OF_MAPS = {
    "Outlines by overlap": ("iou", "IoU of the test pictures"),
    "Outlines by boundary": ("boundary_f_4px", "boundary F at 4 pixels"),
    "Ranking of pixels": ("pxap", "PxAP, one scale for all pictures"),
    "Faithfulness": ("road", "ROAD: above 0 the map is faithful"),
}
OF_CUES = {
    "What the decision rests on": ("cue_lost_without", "is lost without", "A part of the picture is"),
    "What is enough": ("cue_left_with", "is left with nothing else", "Everything but a part of the picture is"),
}
HEADINGS = {"curves": "Maps, cues and training", "labels": "Maps on pictures"}
GLOSSARY = (
    "A classifier is shown pictures and told only whether they show the object. An activation map says where in the "
    "picture what spoke for it stands. IoU, from 0 to 1, is the area that a mask and the expert's outline share, over "
    "what either covers. Boundary F, from 0 to 1, says how much of either outline lies near the other. The area under "
    "the curve (AUC) is the chance that a picture with the object is ranked above one without: 0.5 is guessing. A seed "
    "is one complete repetition with another start. Intervals count distinct sets of test pictures."
)
INTERVALS = (
    "Points are means over test sets, bars their 95 % intervals, where there are enough test sets for one. Pale: "
    f"classifiers under AUC {USABLE_AUC:g}."
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
    "boundary_f_4px": Metric(f"2 P R / (P + R), P and R the shares of either outline within 4 pixels of the other, "
                             f"{_OUTLINE}", "1", "higher", "left out; one empty: 0", 1),
    "hd95_px": Metric("larger of the two 95th percentiles of the distances between outlines", "pixel", "lower",
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
    """What classifiers look at."""
    data, networks = data_name(config.source.data), joined(map(network_name, config.classification.classifiers))
    claims, main = _claims(config, table)
    failures = table.failures()
    return Analysis(
        title=f"What classifiers look at: {data}",
        question=(
            f"{networks} learnt from {data} only whether a picture shows what is looked for. Was it learnt, what does "
            "the decision rest on, and do activation maps end where the object ends?"
        ),
        claims=claims,
        main=main,
        tables=_tables(config, table),
        figures=_figures(config, table),
        cautions=_cautions(config, table),
        metrics=METRICS,
        shown=["Outlines by boundary", "What is learnt first"],
        headings=HEADINGS,
        glossary=GLOSSARY,
        # a line per classifier, not per look at it
        failures=failures[(failures["map"] == CLASSIFIER) | (failures["what happened"] == "failed")],
    )


def usable(config: Config, table: Table) -> dict[str, bool]:
    """Classifiers with results, and whether they have learnt their task: mean area under the curve of at least 0.9."""
    found = {name: table.interval("auc", Trial(name, 0, CLASSIFIER)) for name in config.classification.classifiers}
    return {name: value.mean >= USABLE_AUC for name, value in found.items() if value.n}


def _claims(config: Config, table: Table) -> tuple[list[Claim], list[Claim]]:
    """Contour-CAM against all other maps, a family per usable classifier and metric; and the best rival of each."""
    claims, main = [], []
    # maps that are followed over the training are too few for one to be the best
    for name in [name for name, can in usable(config, table).items() if can and "maps" in config.questions]:
        subject = f"Contour-CAM of {network_name(name)}", Trial(name, 0, OURS)
        rivals = {MAP_TITLES[kind]: Trial(name, 0, kind) for kind in config.maps if kind != OURS}
        for metric, label in CONTESTS.items():
            family = table.compare(metric, subject, rivals, label=label, unit="", scale=1.0)
            means = [table.interval(metric, rivals[claim.rival]).mean for claim in family]
            claims += family
            if metric in MAIN and family:
                main.append(family[means.index(max(means))])
    return claims, main


def _cautions(config: Config, table: Table) -> list[str]:
    said = []
    for network, is_usable in usable(config, table).items():
        name = network_name(network)
        if not is_usable:
            said.append(f"{name} is under an AUC of {USABLE_AUC:g}: what is said of its maps means nothing.")
            continue
        brightness = {kind: _mean(table, "brightness_correlation", network, kind) for kind in config.maps}
        copies = [f"{MAP_TITLES[kind]} ({value:+.2f})" for kind, value in brightness.items() if abs(value) >= COPIES]
        if copies:
            said.append(f"{name}: maps that largely copy the picture's brightness: {joined(copies)}.")
        unchanged = [MAP_TITLES[kind] for kind in config.maps if _mean(table, "sanity", network, kind) >= UNCHANGED]
        if unchanged:
            said.append(
                f"{name}: maps that hardly change when the weights are shuffled, so that they say little about what "
                f"was learnt: {joined(unchanged)}."
            )
    disc = _mean(table, "iou", REFERENCE, MATCHED_DISC)
    if disc == disc:
        said.append(f"A disc of the true area on the true centre has an IoU of {disc:.3f}, which no map is told.")
    return said


def _mean(table: Table, metric: str, network: str, kind: str) -> float:
    return table.interval(metric, Trial(network, 0, kind)).mean


def _tables(config: Config, table: Table) -> dict[str, pd.DataFrame]:
    cues = [f"cue_lost_without_{region}" for region in REGION_NAMES] + [f"cue_left_with_{region}" for region in REGIONS]
    found = {
        "Classifiers on held-out pictures": table.overview(["auc", "accuracy", "balanced_accuracy", "blur_px"]),
        "All maps of all classifiers": table.overview(MAP_METRICS),
        "By the area of the object": _by_size(table),
        "What the decision rests on": table.overview(cues),
    }
    titles = {
        "network": network_name,
        "map": lambda kind: TITLES.get(kind, kind),
        "epochs": lambda epochs: epochs or config.train.loop.epochs,
    }
    return {
        name: frame.assign(**{column: frame[column].map(of) for column, of in titles.items() if column in frame})
        for name, frame in found.items()
        if len(frame)
    }


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


def _figures(config: Config, table: Table) -> dict[str, Illustration]:
    """The charts that there are results for."""
    faded = [network_name(name) for name, is_usable in usable(config, table).items() if not is_usable]
    figures = {}
    for heading, (metric, label) in OF_MAPS.items():
        references = {TITLES[kind]: table.interval(metric, Trial(REFERENCE, 0, kind)) for kind in REFERENCES}
        if series := _series(config, table, {MAP_TITLES[kind]: (kind, metric) for kind in config.maps}):
            grey = " Grey lines: what discs on the true centre, and perfect maps of a layer's stride, reach."
            caption = INTERVALS + (grey if any(value.n for value in references.values()) else "")
            figures[heading] = Illustration(svg(dot_chart(series, label, references, faded)), caption)
    for heading, (metric, label, what) in OF_CUES.items():
        if series := _series(
            config, table, {title: (CUES, f"{metric}_{name}") for name, title in REGION_NAMES.items()}
        ):
            content = svg(dot_chart(series, f"share of what speaks for the object that {label}", None, faded))
            figures[heading] = Illustration(content, f"{what} filled in from its surroundings. {INTERVALS}")
    panels = {network_name(name): _over_training(config, table, name) for name in config.classification.classifiers}
    if any(panels.values()):
        content = svg(line_chart({name: lines for name, lines in panels.items() if lines}, "epochs", "value"))
        caption = f"Classifiers after some epochs of the same training. {INTERVALS}"
        figures["What is learnt first"] = Illustration(content, caption)
    return figures


def _series(config: Config, table: Table, wanted: Mapping[str, tuple[str, str]]) -> dict[str, dict[str, Interval]]:
    """For a chart: of every classifier the rows that have results; `wanted` gives what is looked at and the metric."""
    found = {}
    for name in config.classification.classifiers:
        values = {row: table.interval(metric, Trial(name, 0, kind)) for row, (kind, metric) in wanted.items()}
        found[network_name(name)] = {row: value for row, value in values.items() if value.n}
    return {name: values for name, values in found.items() if values}


def _over_training(config: Config, table: Table, network: str) -> list[Line]:
    """AUC, outline quality and cues of a classifier against epochs."""
    wanted = {"area under the curve (AUC)": (CLASSIFIER, "auc")}
    wanted |= {f"IoU of {MAP_TITLES[kind]}": (kind, "iou") for kind in config.maps_over_training}
    wanted |= {f"lost without the {region}": (CUES, f"cue_lost_without_{region}") for region in REGIONS}
    lines = []
    for name, (kind, metric) in wanted.items() if "training" in config.questions else ():
        places = {epochs: Trial(network, 0, kind, epochs) for epochs in config.epochs_looked_at}
        places[config.train.loop.epochs] = Trial(network, 0, kind)
        points = {x: table.interval(metric, trial) for x, trial in places.items()}
        known = {x: value for x, value in points.items() if value.n}
        if len(known) > 1:
            lines.append(Line(name, list(known), list(known.values())))
    return lines


def gallery(context: Context) -> Mapping[str, Illustration]:
    """The maps of the first seed on the middle one of the pictures that were kept."""
    domain, examples, tiles = context.data.domain, context.examples, []
    for trial in context.config.trials(True):
        kept, told = examples.load(trial), examples.load(Trial(trial.network, 0, CLASSIFIER))
        if kept is None or told is None or "maps" not in kept:
            continue
        middle, auc = len(kept["indices"]) // 2, float(told["auc"])
        index, row = int(kept["indices"][middle]), f"{network_name(trial.network)} (AUC {auc:.2f})"
        outline = domain.labels[index] > 0
        tiles.append(MapTile(row, trial.map, domain.images[index], kept["maps"][middle], outline, auc < USABLE_AUC))
    if not tiles:
        return {}
    caption = (
        "One test picture: networks in rows, maps in columns, each from 0 to its own maximum, the expert's outline in "
        "red (seed 0)."
    )
    return {"Panel of maps": Illustration(map_panel(tiles, MAP_TITLES), caption, "labels")}
