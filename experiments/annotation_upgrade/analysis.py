"""The answer, the decisions and the tables of study 2."""

from collections.abc import Callable, Mapping

import pandas as pd

from experiments.annotation_upgrade.charts import (
    KNEW,
    LABELS,
    METHODS,
    USES,
    Table,
    charts_of,
    error_name,
    from_elsewhere,
    retrained,
    rungs_of,
    trained,
    variants,
)
from experiments.annotation_upgrade.grid import REGION, Config, Trial, labels_upgraded, train_part
from experiments.annotation_upgrade.region import region_chart, region_claims, region_table, region_verdict
from experiments.harness.study import Analysis
from segjax.evaluation import Decision
from segjax.evaluation.claims import Claim, format_test_sets
from segjax.evaluation.decision import REPLICATES_FOR_VERDICT
from segjax.evaluation.picture import METRICS, Metric
from segjax.reports.words import METRIC_NAMES, data_name, joined, network_name

_POOLED = "2 TP / (2 TP + FP + FN), pixels of all pictures summed first"
LABEL_DICE = Metric(_POOLED, "1", "higher", "both empty: NaN", 1)
NO_ANSWER = "There is no answer yet: the trials that compare repaired labels with noisy and clean ones have no results."
COLUMNS = {
    "method": "labels",
    "error": "error of the noisy labels",
    "learnt": "the upgrade network",
    "clean_pictures": "clean pictures in all",
    "volumes": "volumes at most",
    "clean_error": "error of the clean labels",
    "trained_clean": "clean pictures trained on",
    "trained_total": "pictures trained on",
}
ERRORS = {"predictions": "predicted labels", "none": "-"}


def analyse(config: Config, table: Table) -> Analysis:
    """Whether it pays to repair noisy labels, and how good repaired labels are."""
    networks, coarsening = config.segmentation.networks, table.coarsening
    main = [claim for network in networks for claim in methods_compared(config, table, network)]
    others = [claim for network in networks for claim in _others(config, table, network)]
    over_places, by_place = region_claims(config, table, networks[0])
    region, tables = region_chart(config, table, networks[0]), {}
    if region is not None:
        tables["Where repairing pays"] = region_table(config, table, networks[0])
    if "mismatch" in config.questions:
        tables["Dice of labels repaired by networks that learnt another error"] = mismatch(config, table)
    for metric in METRIC_NAMES:
        if metric in table.frame:
            tables[metric] = readable(table.overview([metric]), coarsening)
    asked = f"Does {network_name(networks[0])} segment better if it is trained on the repaired labels too?"
    if not config.asks_of_networks:
        asked = "How good are the repaired labels?"
    told = (
        f"{config.clean} pictures have clean labels. {config.noisy} others have noisy labels, with "
        f"{error_name(config.error, coarsening)}. An upgrade network learns from the clean labels to repair the "
        f"noisy ones. {asked}"
    )
    if config.questions == (REGION,):
        told = (
            "An upgrade network learns from clean labels to repair noisy ones. For which errors and numbers of "
            f"pictures does {network_name(networks[0])} segment better if it is trained on the repaired labels too?"
        )
    return Analysis(
        title=f"Repairing cheap annotations: {data_name(config.source.data)}",
        question=told,
        verdict=_verdict(config, table),
        claims=[*main, *over_places, *others, *by_place],
        main=main or over_places,
        charts=charts_of(config, table) | ({} if region is None else {"region": region}),
        tables=tables,
        cautions=_cautions(config, coarsening),
        metrics={**METRICS, "label_dice": LABEL_DICE, "upgraded_dice": LABEL_DICE},
        shown=["does_it_pay", "labels_before_and_after", *([] if region is None else ["region"])],
        glossary=_glossary(config),
        failures=readable(table.failures(), coarsening),
    )


def verdict_on_networks(network: str, without: Decision, as_they_are: Decision) -> str:
    """Whether repairing pays, in a sentence.

    It does where a network with repaired labels is better than one without the noisy pictures, and than one with their
    labels as they are.
    """
    compared = {"with the clean labels alone": without, "with the noisy labels as they are": as_they_are}
    sets = min(found.n for found in compared.values())
    if sets < REPLICATES_FOR_VERDICT:
        points = {rival: round(found.mean, 1) for rival, found in compared.items()}
        paid = "paid" if min(points.values()) > 0 else "did not pay"
        said = _amounts(points)
        return f"In {format_test_sets(sets)}, repairing {paid}: with the repaired labels {network} scored {said}."
    verdicts = {found.verdict for found in compared.values()}
    known = {rival: round(found.mean, 1) for rival, found in compared.items() if found.verdict != "not decided"}
    unknown = [
        f"{rival.removeprefix('with ')} ({found.mean:+z.1f} Dice points)"
        for rival, found in compared.items()
        if rival not in known
    ]
    parts = [f"with the repaired labels {network} scores {_amounts(known)}"] if known else []
    if unknown:
        is_one = len(unknown) == 1
        differences = "the difference from" if is_one else "the differences from"
        parts.append(f"{differences} {joined(unknown)} {'is' if is_one else 'are'} not decided")
    pays = "Repairing pays" if verdicts == {"ahead"} else "It is not decided whether repairing pays"
    answer = "Repairing does not pay" if "behind" in verdicts else pays
    return f"{answer}: {', but '.join(parts)}."


def _amounts(points: Mapping[str, float]) -> str:
    """How much more or less than each rival: "2.0 Dice points less than A, but 10.4 more than B"."""
    parts: list[str] = []
    for rival, value in points.items():
        amount = f"{abs(value):.1f}{'' if parts else ' Dice points'} {'more' if value > 0 else 'less'} than"
        parts.append(f"{amount if value else 'the same as'} {rival}")
    return (", and " if len({value > 0 for value in points.values()}) == 1 else ", but ").join(parts)


def verdict_on_labels(raised: Decision, before: float, after: float) -> str:
    """Whether repair makes labels better, in a sentence, where no network was trained on them."""
    amount = f"from {before:.3f} to {after:.3f}"
    if raised.verdict == "too few":
        changed = "raised" if raised.mean > 0 else "did not raise"
        by = f", {amount}" if raised.mean > 0 else f" ({amount})"
        return f"In {format_test_sets(raised.n)}, repair {changed} the Dice of the labels{by}."
    answers = {"ahead": "Repair raises the Dice of the labels", "behind": "Repair lowers the Dice of the labels"}
    undecided = "It is not decided whether repair raises the Dice of the labels"
    return f"{answers.get(raised.verdict, undecided)}: it changes {amount}."


def methods_compared(config: Config, table: Table, network: str) -> list[Claim]:
    """Training on clean and repaired labels against every other method, the ladder, and other programs."""
    (_, upgraded), *others = trained(config, network).items()
    subject = f"{network_name(network)} with repaired labels{USES[config.repairs[0]]}"
    return table.compare("dice_pooled", (subject, upgraded), dict(others) | rungs_of(config) | from_elsewhere(table))


def labels_raised(config: Config, table: Table, network: str) -> list[Claim]:
    """Repaired labels of the main error against the same labels as they were."""
    return _raised(table, "Noisy labels", labels_upgraded(config, network))


def _raised(table: Table, labels: str, trial: Trial) -> list[Claim]:
    subject, rival = (f"{labels} after repair", trial), {"the same labels before": trial}
    return table.compare("upgraded_dice", subject, rival, label="Dice of the labels", rival_metric="label_dice")


def _others(config: Config, table: Table, network: str) -> list[Claim]:
    """Three families: retraining on predictions, labels before and after, and labels by upgrade network."""
    name = network_name(network)
    (_, repaired), *rivals = retrained(config, network).items()
    claims = table.compare("dice_pooled", (f"{name} with repaired predictions", repaired), dict(rivals))
    claims += labels_raised(config, table, network)
    claims += _raised(table, f"Predictions of {name}", repaired)
    less = {f"by {name} {words}": trial for words, trial in variants(config, network, table.coarsening).items()}
    full = (f"Labels repaired by {name} that knows the error", labels_upgraded(config, network))
    return claims + table.compare("upgraded_dice", full, less, label="Dice of the repaired labels")


def mismatch(config: Config, table: Table) -> pd.DataFrame:
    """Dice of repaired labels: a row per error they have, a column per error that the network learnt."""
    network, coarsening, rows = config.segmentation.networks[0], table.coarsening, []
    for error in config.all_errors():
        trials = {"before repair": ("label_dice", labels_upgraded(config, network, error=error))}
        for learnt in (*config.all_errors(), "mixture"):
            trial = labels_upgraded(config, network, error=error, learnt="known" if learnt == error else learnt)
            trials[f"learnt {error_name(learnt, coarsening)}"] = ("upgraded_dice", trial)
        values = {name: table.interval(metric, trial) for name, (metric, trial) in trials.items()}
        shown = {name: f"{value.mean:.3f}" if value.n else "-" for name, value in values.items()}
        rows.append({"labels with": error_name(error, coarsening), **shown})
    return pd.DataFrame(rows)


def readable(frame: pd.DataFrame, coarsening: float) -> pd.DataFrame:
    """A table of trials in words."""
    words: dict[str, Callable[[str], str]] = {
        "network": network_name,
        "method": lambda method: METHODS[method],
        "error": lambda error: ERRORS.get(error) or error_name(error, coarsening),
        "learnt": lambda learnt: {**KNEW, "none": "-"}.get(learnt) or f"learnt {error_name(learnt, coarsening)}",
        "clean_error": lambda error: ERRORS.get(error) or error_name(error, coarsening),
    }
    said = {column: frame[column].map(name) for column, name in words.items() if column in frame}
    return frame.assign(**said).rename(columns=COLUMNS)


def _verdict(config: Config, table: Table) -> str:
    network = config.segmentation.networks[0]
    _, clean, raw, *_ = trained(config, network)
    found = {claim.rival: claim.decision for claim in methods_compared(config, table, network)}
    if clean in found and raw in found:
        return verdict_on_networks(network_name(network), found[clean], found[raw])
    if REGION in config.questions and not config.asks_of_networks:
        return region_verdict(config, table, network)
    raised = labels_raised(config, table, network)
    if not raised or config.asks_of_networks:
        return NO_ANSWER
    before, after = (table.interval(metric, labels_upgraded(config, network)).mean for metric in LABELS)
    return verdict_on_labels(raised[0].decision, before, after)


def _cautions(config: Config, coarsening: float) -> list[str]:
    said = [
        "The noisy labels are clean labels with errors drawn at random. An annotator's errors are less regular and may "
        "be harder to repair."
    ]
    if coarsening != 1:
        said.append(
            f"A pixel of these pictures is as wide as {coarsening:g} published pixels. Outline errors are given in "
            "pixels of these pictures. The options count published pixels."
        )
    if len(config.segmentation.networks) > 1:
        name = network_name(config.segmentation.networks[0])
        said.append(f"The verdict and the charts are about {name}. The tables have all networks.")
    if config.segmentation.sizes.encoder_weights:
        said.append(
            "Networks that segment start from the weights of --sizes.encoder-weights. Networks that repair labels "
            "start from random ones: they take the noisy mask as an extra channel, and those weights have none for it."
        )
    return said


def _glossary(config: Config) -> str:
    train = train_part(config.clean)
    return (
        "Clean labels were made with care. Noisy labels have errors. Repaired labels are noisy labels that an upgrade "
        "network has corrected. It learns from pictures with clean labels, to which errors are added. Unless something "
        "else is said, it is told which errors the noisy labels have. "
        f"Of the {config.clean} clean pictures {train} train the networks and {config.clean - train} "
        f"choose{'s' if config.clean - train == 1 else ''} the best epoch. A Dice of 1 is perfect, and a Dice point is "
        "0.01. Intervals count test sets, each of which has its own pictures."
    )
