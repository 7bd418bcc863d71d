"""Tables, charts, claims and pictures of study 2."""

from collections.abc import Mapping

import pandas as pd

from experiments.annotation_upgrade.grid import (
    ALL_CLEAN,
    CLEAN,
    PREDICTIONS,
    RAW,
    UPGRADED,
    UPGRADED_PREDICTIONS,
    Config,
    Trial,
    labels_upgraded,
    laboratory,
    within_budget,
)
from experiments.annotation_upgrade.pictures import AnnotatedPictures
from experiments.harness.recipes import PIXEL_ERRORS, RATE_ERRORS
from experiments.harness.study import Analysis, Context
from segjax.evaluation import METRICS, Claim, Metric
from segjax.reports import (
    BeforeAfter,
    Compared,
    Illustration,
    Line,
    UpgradeTile,
    before_after_chart,
    comparison_chart,
    data_name,
    line_chart,
    svg,
    upgrade_gallery,
)
from segjax.reports.words import METRIC_NAMES, error_words, joined, network_name
from segjax.sweeps import ResultTable

_POOLED = "2 TP / (2 TP + FP + FN), pixels of all pictures concerned summed first"
LABEL_DICE = Metric(_POOLED, "1", "higher", "both empty: NaN", 1)
LABELS = ("label_dice", "upgraded_dice")  # before and after
LEARNT = {"known": "the error is known", "mixture": "a mixture of errors", "estimated": "the error is estimated"}
INTERVALS = "Means over test sets; bars are 95 % intervals, where there are enough test sets for one."
GLOSSARY = (
    "Clean labels were made with care, noisy ones suffer from an error. Upgraded labels are noisy ones that a network "
    "has repaired, which learnt from the clean ones. A Dice point is 0.01. Intervals count distinct sets of test "
    "pictures."
)
Table = ResultTable[Trial]


def analyse(config: Config, table: Table) -> Analysis:
    """Whether it pays to upgrade noisy labels, and how good upgraded labels are."""
    networks, coarsening = config.segmentation.networks, table.coarsening
    claims = [claim for network in networks for claim in _claims(config, table, network)]
    upgraded, clean, raw, *_ = trained(config, networks[0])
    main = [claim for claim in claims if claim.subject == upgraded and claim.rival in (clean, raw)]
    tables = {}
    if "mismatch" in config.questions:
        tables["Labels with one error, upgraded by networks that learnt another: Dice"] = mismatch(config, table)
    question = (
        f"{config.clean} pictures have clean labels and {config.noisy} noisy ones, with "
        f"{error_name(config.error, coarsening)}. Can a network that learns from the clean ones repair the others, and "
        f"is a {network_name(networks[0])} trained on the repaired ones better for it?"
    )
    cautions = []
    if coarsening != 1:
        cautions.append(
            f"The pictures have pixels {coarsening:g} times as coarse as the published ones; strengths in pixels "
            "count published pixels."
        )
    if len(networks) > 1:
        cautions.append(f"Figures are about {network_name(networks[0])}; sentences and tables have all networks.")
    return Analysis(
        title=f"Does repairing cheap annotations pay: {data_name(config.source.data)}",
        question=question,
        claims=claims,
        main=main,
        tables=tables | {metric: table.overview([metric]) for metric in METRIC_NAMES if metric in table.frame},
        figures=_figures(config, table, networks[0]),
        cautions=cautions,
        metrics={**METRICS, "label_dice": LABEL_DICE, "upgraded_dice": LABEL_DICE},
        shown=["Does it pay", "Labels before and after"],
        glossary=GLOSSARY,
    )


def trained(config: Config, network: str) -> dict[str, Trial]:
    """Networks of the laboratory by name: trained on upgraded labels, clean ones only, noisy ones, then the others."""
    clean, noisy = config.clean, config.noisy
    how = {
        UPGRADED: f"on {clean} clean + {noisy} upgraded pictures",
        CLEAN: f"on {clean} clean pictures only",
        RAW: f"on {clean} clean + {noisy} noisy pictures",
        **{rival: f"with {rival.replace('_', ' ')}" for rival in config.rivals},
        ALL_CLEAN: f"on {clean + noisy} clean pictures",
    }
    return {f"{network_name(network)} {words}": laboratory(config, network, method) for method, words in how.items()}


def variants(config: Config, network: str, coarsening: float) -> dict[str, Trial]:
    """Upgrade networks that know less about the main error, or learnt from worse clean labels."""
    found = {
        "that learnt a mixture of errors": labels_upgraded(config, network, learnt="mixture"),
        "that estimated the error": labels_upgraded(config, network, learnt="estimated"),
    }
    for count in config.volumes:
        name = f"that learnt from {count} volume{'s' if count > 1 else ''}"
        found[name] = labels_upgraded(config, network, volumes=count)
    for error in config.clean_errors:
        name = f"that learnt from clean labels with {error_name(error, coarsening)}"
        found[name] = labels_upgraded(config, network, clean_error=error)
    return found


def _claims(config: Config, table: Table, network: str) -> list[Claim]:
    """Four families: networks by their labels, retraining on predictions, and labels before and by upgrade network."""
    name, known = network_name(network), labels_upgraded(config, network)
    claims = methods_compared(config, table, network)
    again = laboratory(config, network, UPGRADED_PREDICTIONS)
    rivals = {
        f"{name} on {config.clean} clean pictures only": laboratory(config, network, CLEAN),
        f"{name} retrained on its predictions": laboratory(config, network, PREDICTIONS),
    }
    claims += table.compare("dice_pooled", (f"{name} retrained on its upgraded predictions", again), rivals)
    before = {
        f"Upgrading of noisy labels by {name}": ("the labels as they are", known),
        f"Upgrading of predictions of {name}": ("the predictions as they are", again),
    }
    for subject, (rival, trial) in before.items():
        claims += table.compare(
            "upgraded_dice", (subject, trial), {rival: trial}, label="Dice of the labels", rival_metric="label_dice"
        )
    less = {f"{name} {words}": trial for words, trial in variants(config, network, table.coarsening).items()}
    full = (f"{name} that knows the error", known)
    return claims + table.compare("upgraded_dice", full, less, label="Dice of the upgraded labels")


def methods_compared(config: Config, table: Table, network: str) -> list[Claim]:
    """Training on clean and upgraded labels against every other method of the laboratory."""
    upgraded, *others = trained(config, network).items()
    return table.compare("dice_pooled", upgraded, dict(others))


def mismatch(config: Config, table: Table) -> pd.DataFrame:
    """Dice of upgraded labels: a row per error they have, a column per error that the network learnt."""
    network, coarsening, rows = config.segmentation.networks[0], table.coarsening, []
    for error in config.all_errors():
        trials = {"before": ("label_dice", labels_upgraded(config, network, error=error))}
        for learnt in (*config.all_errors(), "mixture"):
            trial = labels_upgraded(config, network, error=error, learnt="known" if learnt == error else learnt)
            trials[f"learnt {error_name(learnt, coarsening)}"] = ("upgraded_dice", trial)
        values = {name: table.interval(metric, trial) for name, (metric, trial) in trials.items()}
        shown = {name: f"{value.mean:.3f}" if value.n else "-" for name, value in values.items()}
        rows.append({"labels with": error_name(error, coarsening), **shown})
    return pd.DataFrame(rows)


def _figures(config: Config, table: Table, network: str) -> dict[str, Illustration]:
    """The charts that there are results for."""
    compared, labels = compared_rows(config, table, network), label_rows(config, table, network)
    quality, budgets = quality_lines(config, table, network), budget_panels(config, table, network)
    predicted = predicted_label_rows(config, table, network)
    captions = {
        "Does it pay": "Left, the Dice of networks trained in different ways; right, how far clean + upgraded is ahead "
        "of each, as paired differences of the same test sets.",
        "Labels before and after": "Noisy labels of test pictures before and after upgrading, by networks that learnt "
        f"from {config.compare_at} clean pictures.",
        "Quality against clean pictures": f"Labels with {error_name(config.error, table.coarsening)}.",
        "Budgets": "Equal numbers of training pictures, of which a share has clean labels.",
        "Predictions upgraded": "Predictions of the network of few clean pictures for the other training pictures.",
    }
    charts = (
        comparison_chart(compared, "clean + upgraded") if compared else None,
        before_after_chart(labels) if labels else None,
        line_chart({"": quality}, "clean pictures", "Dice of the upgraded labels") if quality else None,
        line_chart(budgets, "training pictures", "Dice of the test pictures") if budgets else None,
        before_after_chart(predicted) if predicted else None,
    )
    drawn = zip(captions.items(), charts, strict=True)
    return {name: Illustration(svg(chart), f"{said} {INTERVALS}") for (name, said), chart in drawn if chart}


def compared_rows(config: Config, table: Table, network: str) -> list[Compared]:
    """Every method of the laboratory, upgrading first, and how far that one is ahead."""
    behind = {claim.rival: claim.decision for claim in methods_compared(config, table, network)}
    values = {name: table.interval("dice_pooled", trial) for name, trial in trained(config, network).items()}
    return [Compared(name, value, behind.get(name)) for name, value in values.items() if value.n] if behind else []


def label_rows(config: Config, table: Table, network: str) -> list[BeforeAfter]:
    """Labels before and after: by error, and the main error by what the upgrade network knows."""
    coarsening = table.coarsening
    rows = {error_name(e, coarsening): labels_upgraded(config, network, error=e) for e in config.all_errors()}
    less = variants(config, network, coarsening)
    return _before_after(table, rows | {f"main error, by a network {name}": less[name] for name in less})


def predicted_label_rows(config: Config, table: Table, network: str) -> list[BeforeAfter]:
    """Predicted labels of the other pictures, before and after upgrading."""
    rounds = range(1, config.rounds + 1)
    rows = {f"predictions, round {n}": laboratory(config, network, UPGRADED_PREDICTIONS, n) for n in rounds}
    return _before_after(table, rows)


def _before_after(table: Table, rows: Mapping[str, Trial]) -> list[BeforeAfter]:
    found = [BeforeAfter(name, *(table.interval(m, trial) for m in LABELS)) for name, trial in rows.items()]
    return [row for row in found if row.after.n]


def quality_lines(config: Config, table: Table, network: str) -> list[Line]:
    """Dice of upgraded labels against clean pictures, by what is known of the error, and of the labels before."""
    counts = sorted({*config.clean_counts, config.compare_at})
    lines = []
    for learnt, name in LEARNT.items():
        trials = {n: labels_upgraded(config, network, clean_pictures=n, learnt=learnt) for n in counts}
        lines.append(_line(table, name, "upgraded_dice", trials))
    trials = {n: labels_upgraded(config, network, clean_pictures=n) for n in counts}
    before = _line(table, "noisy labels, not upgraded", "label_dice", trials, grey=True)
    lines.append(before._replace(y=[value._replace(low=float("nan")) for value in before.y]))
    return [line for line in lines if line.x]


def budget_panels(config: Config, table: Table, network: str) -> dict[str, list[Line]]:
    """Dice against the number of training pictures, a panel per share of clean ones."""
    panels = {}
    names = {UPGRADED: "clean + upgraded", RAW: "clean + noisy", CLEAN: "clean only", ALL_CLEAN: "all clean"}
    for share in config.clean_shares if "pays" in config.questions else ():
        lines = []
        for method, name in names.items():
            trials = {budget: within_budget(config, network, method, budget, share) for budget in config.budgets}
            lines.append(_line(table, name, "dice_pooled", trials, grey=method == ALL_CLEAN))
        panels[f"{100 * share:g} % clean"] = [line for line in lines if line.x]
    return {name: lines for name, lines in panels.items() if lines}


def _line(table: Table, name: str, metric: str, trials: Mapping[int, Trial], grey: bool = False) -> Line:
    values = {x: value for x, trial in trials.items() if (value := table.interval(metric, trial)).n}
    return Line(name, list(values), list(values.values()), grey)


def error_name(error: str, coarsening: float = 1.0) -> str:
    """An error in words: "30 % omitted cells and outline errors of up to 4 px"."""
    if error in ("mixture", "none"):
        return {"mixture": "a mixture", "none": "no error"}[error]
    parts = []
    for part in error.split("+"):
        name, _, level = part.partition("=")
        words = error_words(name, coarsening if name in PIXEL_ERRORS else 1.0)
        if name in RATE_ERRORS:
            parts.append(f"{100 * float(level):g} % {words.thing}")
        else:
            parts.append(f"{words.thing} of {words.amount.format(f'{float(level):g}')}")
    return joined(parts)


def gallery(context: Context[Config, AnnotatedPictures, Trial]) -> Mapping[str, Illustration]:
    """Labels of a test picture before and after, an error each."""
    config, domain = context.config, context.data.domain
    network, tiles = config.segmentation.networks[0], []
    for error in config.all_errors():
        kept = context.examples.load(labels_upgraded(config, network, error=error))
        if kept is not None:
            middle = len(kept["indices"]) // 2
            index, before, after = (kept[name][middle] for name in ("indices", "before", "after"))
            name = error_name(error, domain.source.coarsening)
            tiles.append(UpgradeTile(name, domain.images[index], domain.labels[index], before, after))
    if not tiles:
        return {}
    caption = (
        f"One test picture: noisy labels, what a network that learnt from {config.compare_at} clean pictures makes of "
        "them, and the clean labels (seed 0)."
    )
    return {"Labels upgraded": Illustration(upgrade_gallery(tiles), caption, "labels")}
