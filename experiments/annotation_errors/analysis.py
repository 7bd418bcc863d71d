"""Answer, tables, charts and claims of study 1, beside the published curves."""

import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from experiments.annotation_errors.beside import rung_claims
from experiments.annotation_errors.elsewhere import LEVEL_LINES, again, against_clean, level_lines, rival_claims
from experiments.annotation_errors.grid import Config, Trial, includes
from experiments.annotation_errors.statements import (
    MARK_NAME,
    MARKED,
    corrected_nuclei,
    judged,
    published,
    published_kind,
)
from experiments.harness.ladder_options import is_rung
from experiments.harness.recipes import is_combined
from experiments.harness.rival_options import NOT_KNOWN, is_rival
from experiments.harness.statements import statements_table
from experiments.harness.study import Analysis
from segjax.evaluation import Interval
from segjax.evaluation.claims import Claim, format_test_sets
from segjax.evaluation.decision import REPLICATES_FOR_VERDICT
from segjax.evaluation.picture import METRICS, Metric
from segjax.reports import Chart, Panel, chart, dose_response, dot_chart, words
from segjax.reports.charts import means_said
from segjax.reports.words import data_name, joined, network_name
from segjax.sweeps import ResultTable

CURVES = {"dice_pooled": "Dice", "surface_dice": "surface Dice", "pq": "panoptic quality"}
STEMS = {"dice_pooled": "dice_of_the_test_set", "surface_dice": "surface_dice", "pq": "panoptic_quality"}
SOURCE = "Vădineanu et al., MIDL 2022, PMLR 172:1251-1267 (means of 10 runs)"
QUESTION = (
    "How wrong may training labels be? Networks were trained on labels with one kind of error at a time and tested on "
    "clean labels."
)
GLOSSARY = (
    "Dice says how well a prediction covers the true cells: 1 is perfect, 0 is no overlap. A Dice point is 0.01. The "
    "cost of an error is the Dice after training on clean labels minus the Dice after training on labels with that "
    "error. A seed is one repetition, with other errors and another start of the network. Intervals count test sets. "
    "Where foreign objects are pasted into the training pictures, they are pasted into the test pictures too. A "
    "network that marks them there is wrong."
)
LABEL_DICE = Metric(
    "2 TP / (2 TP + FP + FN) of the noisy labels against the clean labels, all training pictures summed first",
    "1",
    "higher",
    "both empty: NaN",
    1,
)
LEARNT = 0.5  # Dice with clean labels that a network needs before its costs say anything
PASTED = "foreign objects pasted in, none of them marked"
Table = ResultTable[Trial]


class Cost(NamedTuple):
    """How far a network falls, in Dice points, from the baseline of a trial to the trial."""

    trial: Trial
    claim: Claim


def analyse(config: Config, table: Table) -> Analysis:
    """What annotation errors cost."""
    kind = published_kind(config.source.data)
    paper = published(kind) if kind else None
    costs = costs_of(table)
    weak = untaught(table)
    shown = strongest([cost for cost in costs if cost.trial.network not in weak and not is_rung(cost.trial.network)])
    named = functools.partial(_named, coarsening=table.coarsening)
    families = [*rung_claims(table, named), *rival_claims(table, named)]
    return Analysis(
        title=f"What annotation errors cost: {data_name(config.source.data)}",
        question=QUESTION,
        verdict=verdict(shown, weak, table.coarsening),
        notes=notes(shown, weak),
        claims=[*(cost.claim for cost in costs), *(claim for family in families for claim in family)],
        main=[*(cost.claim for own in shown.values() for cost in own), *against_clean(families)],
        charts=_charts(table, shown, paper),
        tables=_tables(table, paper, kind),
        cautions=_cautions(config, table),
        metrics={**METRICS, "label_dice": LABEL_DICE},
        shown=["costs", STEMS["dice_pooled"]],
        glossary=GLOSSARY,
        failures=_failures(table),
    )


def costs_of(table: Table) -> list[Cost]:
    """Clean labels against every kind of noisy ones, a family per network and baseline.

    Wrongly included objects are pasted into the pictures, so their baseline has them in the pictures, not marked; what
    that alone costs is counted from clean labels.
    """
    found: list[Cost] = []
    for network in dict.fromkeys(trial.network for trial in table.trials()):
        own = [trial for trial in table.trials() if trial.network == network]
        clean, pasted = Trial(network, 0), Trial(network, 0, "inclusion")
        on_pasted = [trial for trial in own if includes(trial.error) and trial.level > 0 and pasted in own]
        others = [trial for trial in own if trial != clean and trial not in on_pasted]
        for baseline, rivals in ((clean, others), (pasted, on_pasted)):
            names = [(_named(one, table.coarsening), one) for one in (baseline, *rivals)]
            claims = table.compare_pairs("dice_pooled", [(names[0], rival) for rival in names[1:]])
            found += [Cost(*pair) for pair in zip(rivals, claims, strict=True) if pair[1].decision.n]
    return found


def strongest(costs: Sequence[Cost]) -> dict[str, list[Cost]]:
    """Of every error, by name, its strongest level for each network, the error that costs any network most first.

    The last entry, under the name `PASTED`, is what foreign objects cost without any error in the labels.
    """
    found: dict[str, list[Cost]] = {}
    for error in words.in_order({cost.trial.error for cost in costs}):
        levels = words.by_severity(error, [c.trial.level for c in costs if c.trial.error == error and c.trial.level])
        if levels:
            found[error] = [cost for cost in costs if (cost.trial.error, cost.trial.level) == (error, levels[-1])]
    found = dict(sorted(found.items(), key=lambda entry: -_highest(entry[1])))
    if pasted := [cost for cost in costs if _is_pasted(cost.trial)]:
        found[PASTED] = pasted
    return found


def untaught(table: Table) -> dict[str, float]:
    """Networks that do not reach `LEARNT` with clean labels, with their Dice: what errors cost them says nothing."""
    networks = [one for one in table.trials() if not (is_rival(one.network) or is_rung(one.network))]
    own = [one for one in networks if one == Trial(one.network, 0)]
    clean = {one.network: table.interval("dice_pooled", one) for one in own}
    return {network: dice.mean for network, dice in clean.items() if dice.mean < LEARNT}


def verdict(shown: Mapping[str, Sequence[Cost]], weak: Mapping[str, float], coarsening: float) -> str:
    """Which of the strongest errors is dear and which is cheap, and for which networks."""
    errors = [own for name, own in shown.items() if name != PASTED]
    if weak and not errors:
        best = max(weak, key=lambda network: weak[network])
        why = f"even with clean labels, {network_name(best)} reaches a Dice of only {weak[best]:.3f}"
        return f"Nothing can be concluded about annotation errors: {why}."
    if not errors:
        return "No cost is known yet: it takes a network trained on clean labels and the same network on noisy labels."
    sets = max(cost.claim.decision.n for own in errors for cost in own)
    opening = "" if sets >= REPLICATES_FOR_VERDICT else f"In {format_test_sets(sets)}, "
    if max(cost.claim.decision.mean for own in errors for cost in own) < 0.05:
        said = "none of the errors lowers the Dice of any network"
    else:
        first, last = (labels_of(own[0].trial, coarsening) for own in (errors[0], errors[-1]))
        said = f"{first} cost {cost_words(errors[0])}"
        if len(errors) > 1:
            said = f"{first} cost most, {cost_words(errors[0])}, and {last} least, {cost_words(errors[-1])}"
            said += "".join(f"; {exception}" for exception in _exceptions(errors, coarsening))
    return _capital(f"{opening}{said}.")


def _exceptions(errors: Sequence[Sequence[Cost]], coarsening: float) -> list[str]:
    """Networks that lose most to another error than the first, and how much."""
    own: dict[str, list[Cost]] = {}
    for cost in (cost for costs in errors for cost in costs):
        own.setdefault(_network(cost), []).append(cost)
    dearest = {name: max(costs, key=lambda cost: cost.claim.decision.mean) for name, costs in own.items()}
    return [
        f"{name} loses most to {labels_of(cost.trial, coarsening)} ({cost.claim.decision.mean:.1f})"
        for name, cost in dearest.items()
        if cost not in errors[0]
    ]


def notes(shown: Mapping[str, Sequence[Cost]], weak: Mapping[str, float]) -> list[str]:
    """Networks that do not count, and the cost of foreign objects, which is paid before any label is wrong."""
    said = []
    if weak and shown:
        names, verb = joined(map(network_name, weak)), "is" if len(weak) == 1 else "are"
        said.append(f"{names} {verb} left out here: the Dice with clean labels is below {LEARNT:g}.")
    if PASTED in shown:
        said.append(
            f"Even where no label is wrong, foreign objects in the pictures cost {cost_words(shown[PASTED])}. The cost "
            "of including them comes on top."
        )
    return said


def cost_words(costs: Sequence[Cost]) -> str:
    """The costs of the networks in words: "from 7.2 Dice points (U-Net) to 18.5 (SegNet)"."""
    low, *_, high = sorted([costs[0], *costs], key=lambda cost: cost.claim.decision.mean)
    (least, most), (first, last) = zip(
        *((cost.claim.decision.mean, _network(cost)) for cost in (low, high)), strict=True
    )
    if most < 0.05:
        said = "nothing"
    elif len(costs) == 1:
        said = f"{most:.1f} Dice points ({last})"
    elif least < 0.05:
        said = f"up to {most:.1f} Dice points ({last})"
    else:
        said = f"from {least:.1f} Dice points ({first}) to {most:.1f} ({last})"
    known = [cost for cost in costs if cost.claim.decision.verdict != "too few" and cost.claim.decision.mean >= 0.05]
    decided = [_network(cost) for cost in known if cost.claim.decision.verdict == "ahead"]
    if len(decided) == len(known):
        return said
    return f"{said}, decided for {joined(decided)} only" if decided else f"{said}, which is not decided"


def labels_of(trial: Trial, coarsening: float) -> str:
    """The labels that a trial is trained on."""
    if is_rival(trial.network):
        return NOT_KNOWN
    if _is_pasted(trial):
        return "clean labels, foreign objects pasted in"
    return words.amount_of(trial.error, trial.level, coarsening)


def doses(table: Table, metric: str) -> pd.DataFrame:
    """Every network, single error and level with mean, low, high, n and label_dice; level 0 first.

    At level 0 stand the trials with clean labels, but for inclusion those of pasted objects that nobody annotated,
    where there are any.
    """
    trials, lines = [trial for trial in table.trials() if not is_rival(trial.network)], []
    for network in dict.fromkeys(trial.network for trial in trials):
        own = [trial for trial in trials if trial.network == network]
        for error in words.in_order({trial.error for trial in own if not is_combined(trial.error)}):
            there = {trial.level: trial for trial in own if trial.error == error}
            for level in words.by_severity(error, [0.0, *there]):
                trial = there.get(level, Trial(network, 0))
                value, label = table.interval(metric, trial), table.interval("label_dice", trial)
                lines.append((network, error, level, *value, label.mean))
    return pd.DataFrame(lines, columns=["network", "error", "level", "mean", "low", "high", "n", "label_dice"])


def beside_published(table: Table, paper: pd.DataFrame) -> pd.DataFrame:
    """Our Dice and the published one, where the same strength was published on pictures of the same kind."""
    frame = doses(table, "dice_pooled").merge(paper.drop(columns="data"), on=["network", "error", "level"])
    if any(_is_pasted(trial) for trial in table.trials()):  # published without foreign objects
        frame = frame[(frame["error"] != "inclusion") | (frame["level"] > 0)]
    labels = [words.amount_of(line.error, line.level, table.coarsening) for line in frame.itertuples()]
    found = pd.DataFrame(
        {
            "network": frame["network"].map(network_name),
            "labels": labels,
            "Dice here": frame["mean"].map("{:.3f}".format),
            "Dice published": frame["dice"].map("{:.3f}".format),
            "standard deviation of the published runs": frame["sd"],
        }
    )
    return found.drop_duplicates(["network", "labels"]).reset_index(drop=True)


def _charts(table: Table, shown: Mapping[str, Sequence[Cost]], paper: pd.DataFrame | None) -> dict[str, Chart]:
    charts = {}
    if shown:
        charts["costs"] = _cost_chart(shown, table.coarsening)
    errors, marks = [own for name, own in shown.items() if name != PASTED], corrected_nuclei()
    for metric, name in CURVES.items():
        found, beside = doses(table, metric), paper if metric == "dice_pooled" else None
        if found["n"].sum():
            title = f"{_capital(name)} by kind and strength of the error"
            if errors:
                title = _curve_title(table, metric, name, errors[0])
            drawn = level_lines(table, metric, found)
            charts[STEMS[metric]] = chart(
                title,
                f"{_capital(name)} on clean test labels after training on noisy labels",
                lambda narrow, drawn=drawn, name=name, beside=beside: dose_response(  # type: ignore[misc]
                    drawn, _capital(name), beside, table.coarsening, narrow, marks, MARK_NAME
                ),
                _numbers(drawn[~again(drawn)], _capital(name), table.coarsening),
                _caption(drawn, beside, any(_is_pasted(trial) for trial in table.trials())),
            )
    return charts


def _cost_chart(shown: Mapping[str, Sequence[Cost]], coarsening: float) -> Chart:
    rows = {PASTED if name == PASTED else labels_of(own[0].trial, coarsening): own for name, own in shown.items()}
    series: dict[str, dict[str, Interval]] = {}
    for row, own in rows.items():
        for cost in own:
            series.setdefault(_network(cost), {})[row] = Interval(*cost.claim.decision[:4])
    names = [row for row, name in zip(rows, shown, strict=True) if name != PASTED]
    title = "What foreign objects cost without an error in the labels"
    if names:
        title = f"{names[0]} cost most, {names[-1]} least" if len(names) > 1 else f"What {names[0]} cost"
    table = pd.DataFrame(
        [
            {"error": row, "network": network, "Dice points lost": round(value.mean, 2), "test sets": value.n}
            for network, values in series.items()
            for row, value in values.items()
        ]
    )
    caption = means_said(value for own in series.values() for value in own.values())
    if PASTED in shown:
        caption += (
            " Wrongly included objects are compared with clean labels of the same pictures, which have the foreign "
            "objects pasted in. The last row has what these objects cost by themselves."
        )
    return chart(
        _capital(title),
        "Dice points that each network loses to the strongest error of each kind",
        lambda narrow: dot_chart([Panel("Dice points lost", series, digits=1)], narrow=narrow, rows=list(rows)),
        table,
        caption,
    )


def _curve_title(table: Table, metric: str, name: str, own: Sequence[Cost]) -> str:
    """The best and the worst network with the dearest error."""
    means = {_network(cost): table.interval(metric, cost.trial).mean for cost in own}
    best, worst = max(means, key=means.__getitem__), min(means, key=means.__getitem__)
    said = f"With {labels_of(own[0].trial, table.coarsening)}, {best} reaches a {name} of {means[best]:.3f}"
    return said if best == worst else f"{said} and {worst} {means[worst]:.3f}"


def _numbers(found: pd.DataFrame, name: str, coarsening: float) -> pd.DataFrame:
    """The numbers of a chart of curves, as its CSV file has them."""
    trials = [Trial(line.network, 0, line.error, line.level) for line in found.itertuples()]
    shown = [
        labels_of(t, coarsening) if is_rival(t.network) else words.amount_of(t.error, t.level, coarsening)
        for t in trials
    ]
    columns = {"network": found["network"].map(network_name), "labels": shown, name: found["mean"].round(4)}
    bounds = {"95 % interval from": found["low"].round(4), "to": found["high"].round(4), "test sets": found["n"]}
    return pd.DataFrame({**columns, **bounds, words.METRIC_NAMES["label_dice"]: found["label_dice"].round(4)})


def _caption(found: pd.DataFrame, paper: pd.DataFrame | None, is_pasted: bool) -> str:
    said = [means_said(Interval(row.mean, row.low, row.high, row.n) for row in found.itertuples())]
    if corrected_nuclei().keys() & set(found["error"]):
        said.append(MARKED)
    if is_pasted:
        said.append("At 0 % wrongly included objects, foreign objects are in the pictures, and none is marked.")
    if any(map(is_rival, found["network"])):
        said.append(LEVEL_LINES)
    if paper is not None:
        said.append(f"Dashed: {SOURCE}{'; there, none are in the pictures at 0 %' if is_pasted else ''}.")
    return " ".join(said)


def _tables(table: Table, paper: pd.DataFrame | None, kind: str | None) -> dict[str, pd.DataFrame]:
    tables = {}
    if statements := judged(table, kind):
        tables["The published statements"] = statements_table(statements)
    if paper is not None:
        tables["Dice beside the published curves"] = beside_published(table, paper)
    for metric in words.METRIC_NAMES:
        if metric in table.frame:
            tables[metric] = _metric_table(table, metric)
    return tables


def _metric_table(table: Table, metric: str) -> pd.DataFrame:
    lines = []
    for trial in table.trials():
        value = table.interval(metric, trial)
        bounds = f"{value.low:.4f} to {value.high:.4f}" if value.low == value.low else "-"
        named = (network_name(trial.network), labels_of(trial, table.coarsening))
        lines.append((*named, f"{value.mean:.4f}" if value.n else "-", bounds, value.n))
    return pd.DataFrame(lines, columns=["network", "labels", "mean", "95 % interval", "test sets"])


def _failures(table: Table) -> pd.DataFrame:
    found = table.failures()
    trials = [Trial(line.network, line.seed, line.error, line.level) for line in found.itertuples()]
    found.insert(2, "labels", [labels_of(trial, table.coarsening) for trial in trials])
    return found.drop(columns=["error", "level"])


def _cautions(config: Config, table: Table) -> list[str]:
    coarsening = table.coarsening
    said = [f"Surface Dice lets outlines differ by {config.segmentation.tolerance:g} px."]
    if coarsening != 1:
        said.append(
            f"A pixel of these pictures is as wide as {coarsening:g} pixels of the published ones. This page counts "
            "pixels of these pictures. The option --levels counts published pixels."
        )
        if "bias" in config.errors:
            said.append(
                f"Outline errors move by at least 1 px, which is {coarsening:g} published pixels. Published errors "
                "start at 1 published pixel. With the same upper limit, they are smaller and cost less."
            )
    return said


def _named(trial: Trial, coarsening: float) -> str:
    name = network_name(trial.network)
    return name if is_rival(trial.network) else f"{name} with {labels_of(trial, coarsening)}"


def _is_pasted(trial: Trial) -> bool:
    return trial.error == "inclusion" and trial.level == 0


def _network(cost: Cost) -> str:
    return network_name(cost.trial.network)


def _highest(costs: Sequence[Cost]) -> float:
    return max(cost.claim.decision.mean for cost in costs)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
