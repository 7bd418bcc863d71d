"""Charts and pictures of study 4A."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from experiments.activation_maps.findings import (
    LEAST_AREA,
    LEFT,
    LOST,
    REGION_NAMES,
    TITLES,
    Table,
    cues,
    fit,
    has_part,
    learnt_after,
    percent,
    usable,
)
from experiments.activation_maps.grid import CLASSIFIER, CUES, FIXED_DISC, MATCHED_DISC, REFERENCE, Config, Trial
from experiments.activation_maps.measure import REGIONS
from experiments.harness.classifiers import USABLE_AUC, LabelledDomain
from experiments.harness.examples import ranks_shown
from experiments.harness.map_options import MAP_TITLES
from experiments.harness.study import Context
from segjax.evaluation import Interval
from segjax.reports import Chart, Gallery, Line, Look, Panel, chart, dot_chart, line_chart, look
from segjax.reports.charts import means_said
from segjax.reports.gallery import MAP_LEGEND, map_layer, truth_layer
from segjax.reports.words import joined, network_name

Series = Mapping[str, Mapping[str, Interval]]
MAPS_SHOWN = 4  # per classifier, so that a page with all maps of all classifiers can still be loaded
UNFIT = "No classifier has learnt its task, so its maps and cues mean nothing"
OF_MAPS = {
    "outlines_by_overlap": ("iou", "IoU", "How well does the area that each map marks match the object?"),
    "outlines_by_boundary": (
        "boundary_f_4px", "boundary F at 4 px",
        "How near do the outlines of the marked area and of the object lie to each other?",
    ),
    "ranking_of_pixels": (
        "pxap", "pixel average precision", "Do pixels of the object have higher values than all other pixels?",
    ),
    "faithfulness": (
        "road", "ROAD", "Does the score fall faster when pixels with high values are removed than with low ones?",
    ),
}  # fmt: skip
OF_CUES = {
    "what_the_decision_rests_on": (
        LOST,
        "evidence lost, %",
        "How much evidence is lost without each part of the picture?",
    ),
    "what_is_enough": (LEFT, "evidence left, %", "How much evidence is left with nothing but one part of the picture?"),
}


def charts_of(config: Config, table: Table) -> dict[str, Chart]:
    """The charts that there are results for."""
    overlap, *others = [_of_map(config, table, stem) for stem in OF_MAPS]
    lost, left = [_of_cue(config, table, stem) for stem in OF_CUES]
    ordered = [overlap, lost, left, *others, _over_training(config, table)]
    stems = ["outlines_by_overlap", *OF_CUES, *list(OF_MAPS)[1:], "what_is_learnt_first"]
    return {stem: one for stem, one in zip(stems, ordered, strict=True) if one is not None}


def _of_map(config: Config, table: Table, stem: str) -> Chart | None:
    """All maps by one metric; overlap with false alarms beside it."""
    metric, label, question = OF_MAPS[stem]
    series = _series(config, table, {MAP_TITLES[kind]: (kind, metric) for kind in config.maps})
    if not series:
        return None
    discs, rungs = (
        {TITLES.get(kind, network_name(kind)): table.interval(metric, Trial(REFERENCE, 0, kind)) for kind in kinds}
        for kinds in ((FIXED_DISC, MATCHED_DISC), config.classical.baselines)
    )
    panels = [Panel(label, series, discs | rungs)]
    alarms = _series(config, table, {MAP_TITLES[kind]: (kind, "false_positive_rate") for kind in config.maps})
    if metric == "iou" and alarms:
        panels.append(Panel("false alarms, % of the pictures without the object", alarms, is_share=True))
    said = [means_said(value for rows in series.values() for value in rows.values()), _pale(config, table)]
    if any(value.n for value in discs.values()):
        said.append("Grey lines: discs on the true centre, which no map knows.")
    if any(value.n for value in rungs.values()):
        said.append(f"Grey lines, too: {joined(rungs)}, fitted to the outlined pictures that choose thresholds.")
    return chart(
        _highest(config, table, series, label),
        question + (" How often does it mark pictures without the object?" if len(panels) > 1 else ""),
        lambda narrow: dot_chart(panels, _unfit(config, table), narrow),
        _numbers(panels, "map"),
        " ".join(filter(None, said)),
    )


def _of_cue(config: Config, table: Table, stem: str) -> Chart | None:
    """Evidence that is lost without each part of the picture, or left with nothing else."""
    prefix, axis, question = OF_CUES[stem]
    found = {name: cues(table, name, prefix) for name in config.classification.classifiers}
    series = {
        network_name(name): {REGION_NAMES[part]: value for part, value in values.items()}
        for name, values in found.items()
        if values
    }
    if not series:
        return None
    most = dict.fromkeys(REGION_NAMES[next(iter(found[name]))] for name in fit(config, table) if found[name])
    title = f"The decision rests most on the {joined(most)}" if most else UNFIT
    if prefix == LEFT and most:
        title = f"Most of the evidence is left with the {' or the '.join(most)} alone"
    panels = [Panel(axis, series, is_share=True)]
    said = ["Removed parts are filled in from their neighbours. Below 0 the classifier is surer without that part."]
    if prefix == LEFT:
        said = ["Everything else is filled in from its neighbours. Below 0 the picture looks emptier than one without."]
    if not all(has_part(table, name, part) for name in found for part in REGION_NAMES):
        said.append(f"Parts that cover less than {percent(LEAST_AREA)} of the pictures are left out.")
    said += [means_said(value for rows in series.values() for value in rows.values()), _pale(config, table)]
    return chart(
        title,
        question,
        lambda narrow: dot_chart(panels, _unfit(config, table), narrow),
        _numbers(panels, "part of the picture"),
        " ".join(filter(None, said)),
    )


def _over_training(config: Config, table: Table) -> Chart | None:
    """AUC, overlap and cues of every classifier against epochs."""
    panels = {network_name(name): _lines(config, table, name) for name in config.classification.classifiers}
    panels = {name: lines for name, lines in panels.items() if lines}
    if not panels:
        return None
    after = {name: learnt_after(config, table, name) for name in fit(config, table)}
    slowest, last = max(after.values(), default=0), config.train.loop.epochs
    title = f"Every classifier that learns the task does so within {slowest} of {last} epochs" if after else UNFIT
    values = [value for lines in panels.values() for line in lines for value in line.y]
    numbers = [
        {"classifier": name, "line": line.name, "epochs": x, "value": round(value.mean, 4)}
        for name, lines in panels.items()
        for line in lines
        for x, value in zip(line.x, line.y, strict=True)
    ]
    return chart(
        title,
        "What do classifiers learn first: to tell pictures apart, or where the object is?",
        lambda narrow: line_chart(panels, "epochs", "AUC, IoU or share of the evidence", narrow),
        pd.DataFrame(numbers),
        f"The same training, looked at after some of its epochs. {means_said(values)}",
    )


def _lines(config: Config, table: Table, network: str) -> list[Line]:
    wanted = {"area under the curve (AUC)": (CLASSIFIER, "auc")}
    wanted |= {f"IoU of {MAP_TITLES[kind]}": (kind, "iou") for kind in config.maps_over_training}
    wanted |= {f"evidence lost without the {region}": (CUES, f"{LOST}{region}") for region in REGIONS}
    lines = []
    for name, (kind, metric) in wanted.items() if "training" in config.questions else ():
        places = {epochs: Trial(network, 0, kind, epochs) for epochs in config.epochs_looked_at}
        places[config.train.loop.epochs] = Trial(network, 0, kind)
        points = {x: table.interval(metric, trial) for x, trial in places.items()}
        known = {x: value for x, value in points.items() if value.n}
        if len(known) > 1:
            lines.append(Line(name, list(known), list(known.values())))
    return lines


def _series(config: Config, table: Table, wanted: Mapping[str, tuple[str, str]]) -> dict[str, dict[str, Interval]]:
    """For a chart: of every classifier the rows that have results; `wanted` gives what is looked at and the metric."""
    found = {}
    for name in config.classification.classifiers:
        values = {row: table.interval(metric, Trial(name, 0, kind)) for row, (kind, metric) in wanted.items()}
        found[network_name(name)] = {row: value for row, value in values.items() if value.n}
    return {name: values for name, values in found.items() if values}


def _highest(config: Config, table: Table, series: Series, label: str) -> str:
    """The map with the highest value among classifiers that have learnt their task, as a title."""
    names = [network_name(name) for name in fit(config, table)]
    best = [(value.mean, row, name) for name, rows in series.items() if name in names for row, value in rows.items()]
    if not best:
        return UNFIT
    value, row, name = max(best)
    return f"{row}{f' of {name}' if len(series) > 1 else ''} reaches the highest {label}, {value:.3f}"


def _unfit(config: Config, table: Table) -> list[str]:
    return [network_name(name) for name, is_usable in usable(config, table).items() if not is_usable]


def _pale(config: Config, table: Table) -> str:
    return f"Pale: classifiers with an area under the curve below {USABLE_AUC:g}." if _unfit(config, table) else ""


def _numbers(panels: Sequence[Panel], row: str) -> pd.DataFrame:
    """The numbers of a chart of dots, a line per classifier and row."""
    lines: dict[tuple[str, str], dict[str, Any]] = {}
    for panel in panels:
        for name, values in panel.series.items():
            for title, value in values.items():
                line = lines.setdefault((name, title), {"classifier": name, row: title})
                line[panel.axis] = round((100 if panel.is_share else 1) * value.mean, 4)
    return pd.DataFrame(lines.values())


# ---- pictures


def gallery(context: Context[Config, Any, Any]) -> list[Gallery]:
    """The best maps of each classifier, each on its worst, median and best picture of seed 0."""
    examples = context.examples
    rows: dict[str, list[tuple[float, str, list[Look]]]] = {}
    for trial in context.config.trials(True):
        kept, told = examples.load(trial), examples.load(Trial(trial.network, 0, CLASSIFIER))
        if trial.seed or kept is None or told is None or "maps" not in kept:
            continue
        is_unfit = float(told["auc"]) < USABLE_AUC
        heading = f"{MAP_TITLES[trial.map]} of {network_name(trial.network)}"
        heading += ", which has not learnt its task" if is_unfit else ""
        values = kept["iou"] if "iou" in kept else kept["road"]
        found = (-float(np.nanmedian(values)), heading, _looks(context.data.domain, kept, is_unfit))
        rows.setdefault(trial.network, []).append(found)
    best = [sorted(those, key=lambda one: one[0])[:MAPS_SHOWN] for those in rows.values()]
    if not best:
        return []
    caption = "For each map: the worst, the median and the best test picture with the object (seed 0)."
    if any(len(those) > MAPS_SHOWN for those in rows.values()):
        caption += f" The {MAPS_SHOWN} best maps of each classifier are shown."
    shown = {heading: looks for those in best for _, heading, looks in those}
    return [Gallery("Maps on pictures", caption, ("picture", "true outline", "map"), MAP_LEGEND, shown)]


def _looks(domain: LabelledDomain, kept: Mapping[str, np.ndarray], is_unfit: bool) -> list[Look]:
    name, values = ("IoU", kept["iou"]) if "iou" in kept else ("ROAD", kept["road"])
    ranks = ranks_shown(len(values))
    return [
        look(
            f"{rank}: {name} {value:.2f}",
            domain.images[index],
            truth_layer(domain.labels[index] > 0),
            map_layer(found, domain.labels[index] > 0, is_unfit),
        )
        for rank, value, index, found in zip(ranks, values, kept["indices"].tolist(), kept["maps"], strict=True)
    ]
