"""Charts of study 3."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from experiments.few_shot.findings import METHODS, SELECTIONS, Findings, bank_words, counted, nearest_shots
from experiments.few_shot.trials import Trial
from experiments.harness.ladder_options import is_rung
from segjax.evaluation.claims import Claim
from segjax.reports import Chart, chart
from segjax.reports.charts import means_said
from segjax.reports.lines import Compared, comparison_chart
from segjax.reports.shots import Band, Spread, heat_chart, shots_chart
from segjax.reports.words import network_name

PUBLISHED = "In the published study, 5 pictures gave on average less than 20 % less Dice than several hundred."
MEAN, SHARE = "mean of the types", "behind all labels, %"
# F1 of detection, mean of 4 types; SAM-H, "Amount", in the logs of github.com/TIO-IKIM/CellViT-plus-plus
CONSEP = {1: 0.37, 5: 0.56, 10: 0.60, 15: 0.60}
ELSEWHERE = (
    "Dotted: CellViT++ on the set CoNSeP, mean of 4 types (arXiv 2501.05269, logs in the repository "
    "TIO-IKIM/CellViT-plus-plus). Its pictures, types and rule for a hit differ, so only the shapes can be compared."
)


def charts_of(found: Findings) -> dict[str, Chart]:
    """The charts that there are results for."""
    charts: dict[str, Chart] = {}
    if not found.shots:
        return charts
    charts["dice_against_shots"] = _shots_chart(found)
    if (objects := _objects_chart(found)) is not None:
        charts["f1_against_shots"] = objects
    charts |= _charts_of_bank(found)
    shots = nearest_shots(found.shots)
    others = (*found.config.banks[1:], *found.files)
    rivals = {found.words(bank): found.few(shots, bank=bank) for bank in others}
    rows = _compared(found, bank_words(found.config.banks[0]), rivals, shots, found.banks())
    if len(rows) > 1:
        caption = "An extractor that had the new type as background has been told about it."
        question = f"Extractors, with {counted(shots)}, mean over types and draws"
        charts["extractors"] = _comparison(rows, "the first", question, caption, shots)
    for bank in found.files:
        name = found.words(bank).removeprefix("features ").replace(" (", "_").rstrip(")")
        charts |= {f"{stem}_{name}": one for stem, one in _charts_of_bank(found.on(bank)).items()}
    return charts


def _charts_of_bank(found: Findings) -> dict[str, Chart]:
    """The number of features, and the methods beside the study's head."""
    charts: dict[str, Chart] = {}
    if len(found.features) > 1:
        charts["dice_against_features"] = _features_chart(found)
        charts["shots_and_features"] = _heat_chart(found)
    for shots in found.config.compare_shots:
        methods = [name for name in (*found.config.heads, *found.baselines) if name != found.config.head]
        rivals = {found.method_name(name, shots): found.few(shots, name) for name in methods} | found.elsewhere()
        claims = [*found.heads(shots), *found.against_baselines(shots)]
        rows = _compared(found, METHODS[found.config.head], rivals, shots, claims)
        if len(rows) > 1:
            caption = ""
            first = f"the first {found.config.first_draws} draws"
            if not all(map(is_rung, found.baselines)):
                caption = (
                    f"Networks trained on the annotated pictures have {first} and predict pixels that score above 0. "
                    "In the difference to them, the head does the same."
                )
            if any(map(is_rung, found.baselines)):
                caption = f"{caption} Ways without a network have {first}.".strip()
            question = f"Ways to learn a new type from {counted(shots)}{found.with_bank}, mean over types and draws"
            charts[f"heads_and_baselines_with_{shots}_shots"] = _comparison(rows, "the first", question, caption, shots)
    return charts


def _shots_chart(found: Findings) -> Chart:
    config = found.config
    wholes = [found.table.interval(found.of_all_labels, whole) for whole in found.whole()]
    panels = {
        kind: ([_band(own, place, own.features[-1], name) for name, own in found.lines.items()], wholes[place])
        for place, kind in enumerate(found.types)
    }
    shots = nearest_shots(found.shots)
    values = {kind: found.median(found.few(shots)[place]) for place, kind in enumerate(found.types)}
    order = sorted((kind for kind, value in values.items() if value == value), key=lambda kind: -values[kind])
    title = "Dice by number of annotated pictures"
    if order:
        said = [
            f"{values[kind]:.3f} for {kind} ({wholes[found.types.index(kind)].mean:.3f} with all labels)"
            for kind in (order[0], order[-1])
        ]
        title = f"Dice is {' and '.join(dict.fromkeys(said))}"
        if len(order) > 2:
            title = f"Dice is between {said[0]} and {said[1]}"
        title = f"With {counted(shots)}{' and our extractors' if found.files else ''}, {title}"
    caption = (
        f"Lines are medians of {config.draws} draws from at most {config.candidates} pictures. Half of the draws lie "
        f"in the band. Dashed: {network_name(found.network)} with all labels. {_share(found, shots)}"
    ).strip()
    question = "Dice against the number of annotated pictures, for each type while it is the new one"
    table = type_table(found)
    if found.files:
        tables = [type_table(own).assign(features=name) for name, own in found.lines.items()]
        table = pd.concat(tables, ignore_index=True)
        table.insert(0, "features", table.pop("features"))
    return chart(title, question, lambda narrow: shots_chart(panels, narrow), table, caption)


def _share(found: Findings, shots: int) -> str:
    """By how much a few pictures are behind full supervision, beside what was published."""
    behind = found.share_behind(shots, metric="dice_pooled_median")
    if not behind.n:
        return ""
    said = f"{behind.mean:.0f} %" + (f" ({behind.low:.0f} to {behind.high:.0f} %)" if behind.low == behind.low else "")
    return f"With {counted(shots)}, Dice is {said} lower than with all labels, {found.of_types()}. {PUBLISHED}"


def _objects_chart(found: Findings) -> Chart | None:
    """F1 of objects against shots, for each type and their mean; None without any."""
    config, shots = found.config, sorted(found.config.compare_shots)
    means = {line: _object_means(own, shots) for line, own in found.lines.items()}
    known = [value for value in next(iter(means.values()))[MEAN] if value == value]
    if not known:
        return None
    wholes = dict(zip(found.types, found.whole(), strict=True)) | {MEAN: found.whole()}
    panels = {
        name: ([_line(line, shots, own[name]) for line, own in means.items()], found.table.interval("f1", whole))
        for name, whole in wholes.items()
    }
    other = Band("CellViT++ on CoNSeP", list(CONSEP), [Spread(value, value, value) for value in CONSEP.values()])
    lines = [
        {"type": name, "annotated pictures": count, "F1 of objects": round(value, 4)}
        | ({"features": line} if found.files else {})
        for line, own in means.items()
        for name, values in own.items()
        for count, value in zip(shots, values, strict=True)
    ]
    lines += [{"type": other.name, "annotated pictures": n, "F1 of objects": value} for n, value in CONSEP.items()]
    title = f"F1 of objects is {known[0]:.3f} with {counted(shots[0])}"
    if len(known) == len(shots) > 1:
        title += f" and {known[-1]:.3f} with {counted(shots[-1])}"
    if found.files:
        title += ", with our extractors"
    return chart(
        title,
        "F1 of objects against the number of annotated pictures, for each type while it is the new one",
        lambda narrow: shots_chart(panels, narrow, "F1 of objects", {MEAN: other}),
        pd.DataFrame(lines),
        f"Lines are means of the first {config.first_draws} draws. Dashed: {network_name(found.network)} with all "
        f"labels. {ELSEWHERE}",
    )


def _object_means(found: Findings, shots: Sequence[int]) -> dict[str, list[float]]:
    """F1 of objects with each number of shots, of every type and in their mean."""
    trials = [found.few(count) for count in shots]
    means = {name: [found.mean("f1", own[place]) for own in trials] for place, name in enumerate(found.types)}
    return means | {MEAN: [found.mean("f1", own) for own in trials]}


def _line(name: str, shots: Sequence[int], values: Sequence[float]) -> Band:
    """Means without a spread, where they are known."""
    nan = float("nan")
    known = {count: Spread(value, nan, nan) for count, value in zip(shots, values, strict=True) if value == value}
    return Band(name, list(known), list(known.values()))


def _features_chart(found: Findings) -> Chart:
    selection, features = found.config.feature_selections[-1], found.features
    counts = sorted({features[-1], *features[: -1 : max(1, len(features) // 3)]}, reverse=True)
    names = {count: f"{count} feature{'s' if count > 1 else ''}" for count in counts} | {
        features[-1]: f"all {features[-1]} features"
    }
    panels = {
        kind: (
            [_band(found, place, count, names[count]) for count in counts],
            found.table.interval(found.of_all_labels, found.whole()[place]),
        )
        for place, kind in enumerate(found.types)
    }
    shots = nearest_shots(found.shots)
    values = {count: found.median(found.subset(shots, count, selection)) for count in (counts[0], counts[-1])}
    first, last = (f"{value:.3f} with {names[count]}" for count, value in values.items())
    lines = [
        {"type": kind, "features": count, "annotated pictures": place, "median Dice": round(value.median, 4)}
        for kind, (bands, _) in panels.items()
        for count, band in zip(counts, bands, strict=True)
        for place, value in zip(band.shots, band.values, strict=True)
    ]
    return chart(
        f"With {counted(shots)}{found.with_bank}, Dice is {first} and {last}",
        f"Dice against the number of annotated pictures, for several numbers of features{found.with_bank}",
        lambda narrow: shots_chart(panels, narrow),
        pd.DataFrame(lines),
        f"Fewer features are {SELECTIONS[selection]}. Lines are medians; half of the draws lie in the band.",
    )


def _heat_chart(found: Findings) -> Chart:
    maps = {
        f"features {SELECTIONS[selection]}": _heat(found, selection) for selection in found.config.feature_selections
    }
    rows = [
        {"choice of features": name, "features": count, "annotated pictures": shots, "median Dice": round(value, 4)}
        for name, values in maps.items()
        for count, line in zip(found.features, values, strict=True)
        for shots, value in zip(found.shots, line, strict=True)
    ]
    table = pd.DataFrame(rows)
    title = "Dice by number of annotated pictures and of features"
    if table["median Dice"].notna().any():
        best = table.loc[table["median Dice"].idxmax()]
        title = (
            f"Dice is highest, {best['median Dice']:.3f}, with {best['features']} features and "
            f"{counted(best['annotated pictures'])}{found.with_bank}"
        )
    return chart(
        title,
        f"Median Dice, mean over types, by number of annotated pictures and of features{found.with_bank}",
        lambda narrow: heat_chart(maps, found.features, found.shots, narrow),
        table,
        "Each panel is one way to choose the features." if len(maps) > 1 else "",
    )


def _comparison(rows: Sequence[Compared], ahead: str, question: str, caption: str, shots: int) -> Chart:
    known = sorted((row for row in rows if row.dice.n), key=lambda row: -row.dice.mean)
    best, worst = known[0], known[-1]
    title = f"With {counted(shots)}, Dice is {best.dice.mean:.3f} for {best.name}"
    if best is not worst:
        title += f" and {worst.dice.mean:.3f} for {worst.name}"
    if len(known) > 2:
        title = (
            f"With {counted(shots)}, Dice is highest, {best.dice.mean:.3f}, for {best.name}, and lowest, "
            f"{worst.dice.mean:.3f}, for {worst.name}"
        )
    table = pd.DataFrame(
        [
            {
                "method": row.name,
                "Dice": round(row.dice.mean, 4),
                "behind the first, Dice points": round(row.behind.mean, 2) if row.behind else None,
                "test sets": row.dice.n,
            }
            for row in rows
        ]
    )
    caption = f"{means_said(row.dice for row in rows)} {caption}".strip()
    return chart(title, question, lambda narrow: comparison_chart(rows, ahead, narrow), table, caption)


def _band(found: Findings, place: int, count: int, name: str) -> Band:
    """Dice of a type against shots with a number of features, by the last selection."""
    selection = found.config.feature_selections[-1]
    trials = {shots: found.subset(shots, count, selection)[place] for shots in found.shots}
    values = {
        shots: Spread(*(found.mean(f"dice_pooled_{part}", trial) for part in ("median", "q25", "q75")))
        for shots, trial in trials.items()
    }
    known = {shots: value for shots, value in values.items() if value.median == value.median}
    return Band(name, list(known), list(known.values()))


def _heat(found: Findings, selection: str) -> np.ndarray:
    """Median Dice [features, shots], mean of the types."""
    trials = [[found.subset(shots, count, selection) for shots in found.shots] for count in found.features]
    return np.array([[found.median(one) for one in row] for row in trials])


def _compared(
    found: Findings, own: str, rivals: Mapping[str, Sequence[Trial]], shots: int, claims: Sequence[Claim]
) -> list[Compared]:
    decisions = {claim.rival: claim.decision for claim in claims}
    rows = [Compared(own, found.table.interval("dice_pooled", found.few(shots)), None)]
    for name, trials in rivals.items():
        if name in decisions:
            rows.append(Compared(name, found.table.interval("dice_pooled", trials), decisions[name]))
    return rows


def type_table(found: Findings) -> pd.DataFrame:
    """One line per type and number of shots, and the mean of all types; without columns that have no value."""
    lines = [_type_line(found, place, shots) for place in range(len(found.types)) for shots in found.shots]
    frame = pd.DataFrame(lines).dropna(subset="median Dice").dropna(axis=1, how="all") if lines else pd.DataFrame()
    if len(frame):
        counts = frame.groupby("annotated pictures").filter(lambda lines: len(lines) == len(found.types))
        means = counts.drop(columns="type").groupby("annotated pictures", as_index=False)
        means = means.agg(lambda values: values.mean(skipna=False))  # no mean of some types only
        if found.weak:  # the answer is about the others alone
            means = means.drop(columns=[SHARE, "behind all labels, Dice points"], errors="ignore")
        name = "mean of all types" if found.weak else MEAN
        frame = pd.concat([frame, means.assign(type=name)], ignore_index=True).reindex(columns=frame.columns)
    digits = {name: 1 if "behind" in name else 3 for name in frame.select_dtypes("number")}
    return frame.round(digits).astype(object).where(frame.notna(), None)


def _type_line(found: Findings, place: int, shots: int) -> dict[str, object]:
    whole, trial = found.whole()[place], found.few(shots)[place]
    median, all_labels = found.median(trial), found.mean(found.of_all_labels, whole)
    return {
        "type": trial.type,
        "annotated pictures": shots,
        "median Dice": median,
        "lower quartile": found.mean("dice_pooled_q25", trial),
        "upper quartile": found.mean("dice_pooled_q75", trial),
        "mean Dice": found.mean("dice_pooled", trial),
        "mean Dice at score 0": found.mean("dice_pooled_zero", trial),
        "intersection over union": found.mean("iou_pooled", trial),
        "Dice, mean over pictures": found.mean("dice", trial),
        "F1 of objects": found.mean("f1", trial),
        "Dice with all labels": all_labels,
        "intersection over union with all labels": found.mean("iou_pooled", whole),
        "F1 of objects with all labels": found.mean("f1", whole),
        "behind all labels, Dice points": 100 * (all_labels - median),
        SHARE: 100 * (1 - median / all_labels) if all_labels and trial.type not in found.weak else float("nan"),
    }
