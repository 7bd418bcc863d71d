"""The region where repairing pays: what the places of the question region say, drawn and in words."""

import functools
from collections.abc import Mapping

import pandas as pd

from experiments.annotation_upgrade.charts import KNEW, METHODS, USES, Table, error_name
from experiments.annotation_upgrade.grid import ALL_CLEAN, CLEAN, RAW, REGION, Config, Trial, at_place
from experiments.annotation_upgrade.places import Place
from experiments.harness.noisy_labels import (
    AS_THEY_ARE,
    LOOKS,
    NEITHER,
    REPAIRED,
    TOO_FEW,
    UNDECIDED,
    Compared,
    points_of,
)
from segjax.evaluation.claims import Claim, format_test_sets
from segjax.reports import Chart, chart
from segjax.reports.places import Square, place_chart
from segjax.reports.words import joined, network_name


def comparisons(config: Config, table: Table, network: str) -> dict[tuple[str, Place, str], Claim]:
    """Every comparison that the picture shows, one family: (subject, place, rival), where a subject is a method or what
    the upgrade network of repaired labels learnt, and a rival a method."""
    wanted = [
        (subject, place, rival)
        for place in config.region.places()
        for subject in (RAW, *config.region.learnt)
        for rival in ((CLEAN,) if subject == RAW else (CLEAN, RAW))
    ]
    named = functools.partial(_named, config, network, table.coarsening)
    pairs = [(named(subject, place), named(rival, place)) for subject, place, rival in wanted]
    return dict(zip(wanted, table.compare_pairs("dice_pooled", pairs), strict=True))


def answers(config: Config, table: Table, network: str) -> dict[str, dict[Place, Compared]]:
    """By what the upgrade network learnt and by place; places without results are left out."""
    made = {key: claim.decision for key, claim in comparisons(config, table, network).items()}
    found: dict[str, dict[Place, Compared]] = {}
    for learnt in config.region.learnt:
        for place in config.region.places():
            three = Compared(made[learnt, place, CLEAN], made[learnt, place, RAW], made[RAW, place, CLEAN])
            if all(one.n for one in three):
                found.setdefault(learnt, {})[place] = three
    return found


def _named(config: Config, network: str, coarsening: float, subject: str, place: Place) -> tuple[str, Trial]:
    """A method, or the first use of repaired labels by what was learnt, in words and as a trial."""
    methods = {CLEAN: "clean pictures only", RAW: "noisy labels as they are"}
    where = f"{error_name(place.error, coarsening)}, {place.clean} clean + {place.noisy} noisy pictures"
    if subject in methods:
        return f"{methods[subject]} ({where})", at_place(config, network, subject, place)
    words = f"repaired labels, by a network that {KNEW[subject]} ({where})"
    return words, at_place(config, network, config.repairs[0], place, subject)


def region_chart(config: Config, table: Table, network: str) -> Chart | None:
    """Place by place, whether repairing is ahead; a panel per thing that the upgrade network learnt."""
    found = answers(config, table, network) if REGION in config.questions else {}
    if not found:
        return None
    region, coarsening = config.region, table.coarsening
    columns = [(clean, noisy) for clean in region.clean for noisy in region.noisy]
    panels = {
        f"The upgrade network {KNEW[learnt]}": {
            (region.errors.index(place.error), columns.index(place[1:])): Square(
                three.look,
                f"{three.over_clean.mean:+z.1f}\n{three.over_noisy.mean:+z.1f}",
                _tip(place, three, coarsening),
            )
            for place, three in decided.items()
        }
        for learnt, decided in found.items()
    }
    rows = [error_name(error, coarsening) for error in region.errors]
    heads = [f"{clean} clean\n+ {noisy} noisy" for clean, noisy in columns]
    return chart(
        region_verdict(config, table, network).rstrip("."),
        f"For which noisy labels does it pay to repair them before {network_name(network)} learns from them?",
        lambda narrow: place_chart(panels, rows, heads, LOOKS, narrow),
        region_table(config, table, network),
        "Each field is one case: a kind of noisy labels, and numbers of pictures with clean and with noisy labels. Its "
        "upper number is how many Dice points the repaired labels gain over the clean pictures alone, its lower number "
        "how many over the noisy labels as they are.",
    )


def _tip(place: Place, decided: Compared, coarsening: float) -> str:
    names = ("repaired over clean only", "repaired over noisy", "noisy over clean only")
    parts = [f"{name} {points_of(one)}" for name, one in zip(names, decided, strict=True)]
    return f"{error_name(place.error, coarsening)}, {place.clean} + {place.noisy}: {'; '.join(parts)}"


def region_verdict(config: Config, table: Table, network: str) -> str:
    """The answer in one sentence, of what the upgrade network learnt first."""
    found = answers(config, table, network)
    if not found:
        return "There is no answer yet: no case has the trials that are compared."
    learnt, decided = next(iter(found.items()))
    looks, count = [three.look for three in decided.values()], len(decided)
    where, network_said = f"{count} case{'' if count == 1 else 's'}", f"an upgrade network that {KNEW[learnt]}"
    if TOO_FEW in looks:
        highest = sum(min(one.mean for one in three[:2]) > 0 for three in decided.values())
        sets = min(one.n for three in decided.values() for one in three)
        return (
            f"In {format_test_sets(sets)}, labels repaired by {network_said} gave a higher Dice than noisy labels "
            f"as they are and than clean labels alone in {highest} of {where}."
        )
    said = {
        REPAIRED: "repairing is ahead",
        AS_THEY_ARE: "noisy labels gain as they are",
        NEITHER: "neither gains",
        UNDECIDED: "nothing is decided",
    }
    numbers = [(words, looks.count(look)) for look, words in said.items() if look in looks]
    parts = [f"{words} in {number}{'' if place else f' of {where}'}" for place, (words, number) in enumerate(numbers)]
    return f"With {network_said}, {joined(parts)}."


def region_claims(config: Config, table: Table, network: str) -> tuple[list[Claim], list[Claim]]:
    """The claims of the main list, which are means over the places of an error, and those of every place."""
    if REGION not in config.questions:
        return [], []
    main = [claim for error in config.region.errors for claim in _claims_of_error(config, table, network, error)]
    return main, [claim for claim in comparisons(config, table, network).values() if claim.decision.n]


def _claims_of_error(config: Config, table: Table, network: str, error: str) -> list[Claim]:
    """Repaired labels against all rivals with one error: one family."""
    places = [place for place in config.region.places() if place.error == error]
    rivals = {
        "clean pictures only": CLEAN,
        "noisy labels as they are": RAW,
        **_rival_names(config),
        "all clean": ALL_CLEAN,
    }
    first, learnt = config.repairs[0], config.region.learnt[0]
    rivals |= {f"repaired labels{USES[use]}": use for use in config.repairs[1:]}
    trials = {
        name: [at_place(config, network, method, place, learnt) for place in places] for name, method in rivals.items()
    }
    ours = [at_place(config, network, first, place, learnt) for place in places]
    several = f", mean of {len(places)} cases" if len(places) > 1 else ""
    subject = f"{network_name(network)}, {error_name(error, table.coarsening)}: repaired labels{USES[first]}{several}"
    return table.compare("dice_pooled", (subject, ours), trials)


def region_table(config: Config, table: Table, network: str) -> pd.DataFrame:
    """A row per place and thing learnt: Dice of every method, and the answer."""
    methods = {"clean only": CLEAN, "noisy": RAW, **_rival_names(config), "all clean": ALL_CLEAN}
    methods |= {METHODS[use]: use for use in config.repairs[1:]}
    rows = []
    for learnt, decided in answers(config, table, network).items():
        for place, three in decided.items():
            rows.append(_row(config, table, network, place, learnt, three, methods))
    return pd.DataFrame(rows)


def _rival_names(config: Config) -> dict[str, str]:
    return {METHODS[rival]: rival for rival in config.rivals}


def _row(
    config: Config, table: Table, network: str, place: Place, learnt: str, three: Compared, methods: Mapping[str, str]
) -> dict[str, object]:
    first, use = config.region.learnt[0], config.repairs[0]  # other uses are compared for what was learnt first alone
    trials = {METHODS[use]: at_place(config, network, use, place, learnt)}
    trials |= {name: at_place(config, network, method, place, first) for name, method in methods.items()}
    values = {name: table.interval("dice_pooled", trial) for name, trial in trials.items()}
    return {
        "noisy labels with": error_name(place.error, table.coarsening),
        "clean pictures": place.clean,
        "noisy pictures": place.noisy,
        "the upgrade network": KNEW[learnt],
        **{f"Dice, {name}": f"{value.mean:.3f}" if value.n else "-" for name, value in values.items()},
        "repaired over clean only, points": points_of(three.over_clean),
        "repaired over noisy, points": points_of(three.over_noisy),
        "answer": three.look,
        "test sets": min(one.n for one in three),
    }
