"""Where repairing pays: what places say, in a picture, in words and in claims, from tables written by hand."""

import pytest

from experiments.annotation_upgrade.analysis import analyse
from experiments.annotation_upgrade.grid import CLEAN, RAW, TEACHER, at_place, laboratory
from experiments.annotation_upgrade.places import Place
from experiments.annotation_upgrade.region import answers, comparisons
from experiments.annotation_upgrade.study import STUDY
from experiments.harness.noisy_labels import Compared
from experiments.harness.options import flag_of, flags, overlaid
from experiments.harness.parsing import defaults_of, resolved
from segjax.evaluation import Decision
from segjax.evaluation.decision import holm
from segjax.types import InputError
from tests.experiments.annotation_upgrade.tables import rows, table_of

HALF, MIXED = "omission=0.5", "omission=0.3+inclusion=0.3+bias=6"
LOW, MIDDLE, HIGH = ([0.70, 0.72, 0.74, 0.71, 0.73], [0.80, 0.83, 0.83, 0.81, 0.83], [0.90, 0.92, 0.93, 0.90, 0.93])
BETWEEN = [0.70, 0.85, 0.84, 0.72, 0.95]


@pytest.fixture
def config(tmp_path):
    return configured(tmp_path)


def configured(out, **changes):
    asked = {
        "run": {"out": out},
        "questions": ("region",),
        "rivals": ("confident_learning", "mean_teacher"),
        "region": {"errors": (HALF, MIXED), "clean": (5, 20), "noisy": (40,), "learnt": ("known", "estimated")},
        **changes,
    }
    return resolved(STUDY, overlaid(defaults_of(STUDY, "reduced"), asked))


def measured(config, place, clean, raw, **learnt):
    found = [rows(at_place(config, "unet", CLEAN, place), dice_pooled=clean)]
    found.append(rows(at_place(config, "unet", RAW, place), dice_pooled=raw))
    return [
        *found,
        *(rows(at_place(config, "unet", "upgraded", place, one), dice_pooled=learnt[one]) for one in learnt),
    ]


FIRST, SECOND, THIRD, LAST = (Place(error, clean, 40) for error in (HALF, MIXED) for clean in (5, 20))


def four_places(config):
    # clean only has no error, so that places with as many clean pictures share it
    parts = measured(config, FIRST, LOW, MIDDLE, known=HIGH, estimated=MIDDLE)
    parts += measured(config, SECOND, MIDDLE, LOW, known=LOW, estimated=BETWEEN)
    return table_of(*parts, *measured(config, THIRD, LOW, LOW, known=HIGH)[1:])


def test_every_place_has_its_own_look(config):
    found = answers(config, four_places(config), "unet")
    looks = {learnt: {place: three.look for place, three in decided.items()} for learnt, decided in found.items()}
    assert looks == {
        "known": {FIRST: "repairing is ahead", SECOND: "neither gains", THIRD: "repairing is ahead"},
        "estimated": {FIRST: "noisy labels gain as they are", SECOND: "not decided"},
    }
    assert LAST not in found["known"]  # it has no results


@pytest.mark.parametrize(
    ("verdicts", "look"),
    [
        (("ahead", "ahead", "behind"), "repairing is ahead"),
        (("ahead", "not decided", "ahead"), "noisy labels gain as they are"),
        (("ahead", "not decided", "not decided"), "not decided"),
        (("not decided", "ahead", "behind"), "not decided"),
        (("behind", "ahead", "behind"), "neither gains"),
        (("ahead", "ahead", "too few"), "too few test sets"),
    ],
)
def test_looks_by_the_rule_of_decisions(verdicts, look):
    assert Compared(*(Decision(1.0, 0.5, 1.5, 5, 0.01, verdict) for verdict in verdicts)).look == look


def test_all_comparisons_of_the_picture_are_one_family(config):
    table = four_places(config)
    found = [claim.decision for claim in comparisons(config, table, "unet").values() if claim.decision.n]
    alone = [
        table.compare_pairs("dice_pooled", [(("", one), ("", other))])[0].decision.p
        for (subject, place, rival) in comparisons(config, table, "unet")
        for one, other in [(_trial(config, subject, place), at_place(config, "unet", rival, place))]
    ]
    assert len(found) == 3 + 3 * 2 + 2 * 2  # noisy, known and estimated, where they have results
    assert [one.p for one in found] == pytest.approx(holm([p for p in alone if p == p]))


def _trial(config, subject, place):
    if subject == RAW:
        return at_place(config, "unet", RAW, place)
    return at_place(config, "unet", "upgraded", place, subject)


def test_the_answer_is_told_drawn_and_listed(config):
    found = analyse(config, four_places(config))
    assert found.verdict == (
        "With an upgrade network that knew the error, repairing is ahead in 2 of 3 cases and neither gains in 1."
    )
    assert list(found.charts)[-1] == "region" and "region" in found.shown
    assert [claim.rival for claim in found.main] == ["clean pictures only", "noisy labels as they are"] * 2
    assert found.main[0].decision.mean == pytest.approx((19.6 - 10) / 2)  # of the first error
    assert found.main[2].decision.mean == pytest.approx(19.6)
    first = found.tables["Where repairing pays"].iloc[0]
    assert first["repaired over noisy, points"].startswith("9.6 (") and first["answer"] == "repairing is ahead"
    assert "For which" in found.charts["region"].question and found.charts["region"].table.shape[0] == 5


def test_the_rivals_of_one_error_are_one_family(config):
    table = four_places(config)
    found = [claim.decision.p for claim in analyse(config, table).main[:2]]
    ours = [at_place(config, "unet", "upgraded", place, "known") for place in (FIRST, SECOND)]
    pairs = [
        ((("", ours), ("", [at_place(config, "unet", rival, place) for place in (FIRST, SECOND)])))
        for rival in (CLEAN, RAW)
    ]
    alone = [table.compare_pairs("dice_pooled", [pair])[0].decision.p for pair in pairs]
    assert found == pytest.approx(holm(alone)) and found != pytest.approx(alone)


def test_the_first_use_of_repaired_labels_is_compared_with_the_others(tmp_path):
    both = configured(tmp_path, repairs=("upgraded_iterated", "upgraded"))
    assert at_place(both, "unet", "upgraded", FIRST, "known") in both.trials(5)
    assert at_place(both, "unet", "upgraded", FIRST, "estimated") not in both.trials(5)
    uses = {"upgraded_iterated": HIGH, "upgraded": MIDDLE}
    found = analyse(both, table_of(*(rows(at_place(both, "unet", use, FIRST), dice_pooled=uses[use]) for use in uses)))
    (claim,) = found.main
    assert (claim.subject, claim.rival) == (
        "U-Net, 50 % omitted cells: repaired labels, in two rounds, mean of 2 cases", "repaired labels",
    )  # fmt: skip
    assert claim.decision.mean == pytest.approx(9.6)


def test_the_table_has_each_use_of_repaired_labels_under_its_own_name(tmp_path):
    both = configured(tmp_path, repairs=("upgraded_iterated", "upgraded"))
    parts = [rows(at_place(both, "unet", CLEAN, FIRST), dice_pooled=LOW)]
    parts += [rows(at_place(both, "unet", RAW, FIRST), dice_pooled=LOW)]
    for learnt, values in (("known", HIGH), ("estimated", BETWEEN)):
        parts.append(rows(at_place(both, "unet", "upgraded_iterated", FIRST, learnt), dice_pooled=values))
    parts.append(rows(at_place(both, "unet", "upgraded", FIRST, "known"), dice_pooled=MIDDLE))
    shown = analyse(both, table_of(*parts)).tables["Where repairing pays"]
    assert shown["Dice, repaired, in two rounds"].tolist() == ["0.916", "0.812"]
    assert shown["Dice, repaired"].tolist() == ["0.820", "0.820"]  # for what was learnt first alone


def test_too_few_test_sets_decide_nothing(config):
    few = measured(config, FIRST, LOW, MIDDLE, known=HIGH)
    found = analyse(config, table_of(*([row for row in part if row["seed"] < 2] for part in few)))
    assert found.verdict == (
        "In 2 test sets, labels repaired by an upgrade network that knew the error gave a higher Dice than noisy "
        "labels as they are and than clean labels alone in 1 of 1 case."
    )
    assert found.tables["Where repairing pays"]["answer"].tolist() == ["too few test sets"]


def test_trials_of_other_questions_are_the_same_trials(tmp_path):
    here = {"clean": 20, "noisy": 40, "error": HALF}
    both = configured(tmp_path, questions=("rivals", "region"), **here)
    trials = both.trials(5)
    assert len(set(trials)) == len(trials)
    for method in (CLEAN, RAW, "upgraded", "confident_learning", "all_clean"):
        assert at_place(both, "unet", method, SECOND) == laboratory(both, "unet", method)
    # a mean teacher sees no noisy label, so it is trained once for all errors
    assert at_place(both, "unet", TEACHER, LAST) == at_place(both, "unet", TEACHER, SECOND)
    assert at_place(both, "unet", TEACHER, SECOND) == laboratory(both, "unet", TEACHER)


@pytest.mark.parametrize(
    ("region", "message"),
    [
        ({"errors": ("omision=0.5",)}, "region.errors: 'omision'"),
        ({"clean": (1,)}, "region.clean: 1 is too few"),
        ({"noisy": (0, 20)}, "region.noisy: 0 is too few"),
        ({"learnt": ()}, "region.learnt: give at least one"),
        ({"learnt": ("guessed",)}, "region.learnt: unknown 'guessed'"),
    ],
)
def test_places_that_cannot_be_are_refused(tmp_path, region, message):
    with pytest.raises(InputError, match=message.replace(".", r"\.")):
        configured(tmp_path, region=region)


def test_every_option_is_named_as_the_command_line_names_it(config):
    named = dict(flags(config))
    assert named[flag_of(config, ("region", "errors"))] == (HALF, MIXED)
    assert named[flag_of(config, ("segmentation", "networks"))] == ("unet",)
    assert flag_of(config, ("region", "errors")) == "--region.errors"
