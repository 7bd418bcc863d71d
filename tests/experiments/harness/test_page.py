"""What every page says of a run before anybody believes it, and its table of decisions."""

from pathlib import Path

import numpy as np
import pytest

from experiments.harness.options import DataOptions, RunOptions
from experiments.harness.page import cautions, claims_table, missing_table, save_charts, shared_in_title, undecided
from segjax.evaluation import decide
from segjax.evaluation.claims import Claim
from segjax.reports import svg
from tests.experiments.harness.tiny import Config, Source, Trial, charted


def said(seeds=10, scale="reduced", replicates=None, openings=(("aa", "c0ffee"),), source=None, **options):
    """Cautions of a run; by default ten seeds with test sets of their own, on real pictures."""
    config = Config(RunOptions(Path(), seeds=seeds, scale=scale), DataOptions(**{"data": "folder:mine", **options}))
    plan = {
        "replicates": replicates or [str(seed) for seed in range(seeds)],
        "openings": [{"code": code, "commit": commit} for code, commit in openings],
    }
    return cautions(config, source or Source(), plan)


def test_a_sound_run_needs_no_caution():
    assert said() == []
    assert said(scale="paper", seeds=5) == []
    assert said(openings=[("aa", "c0ffee"), ("aa", "c0ffee")]) == []


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ({"data": "microscope:hl60?size=half"}, ["The pictures are simulated; the published ones came from another"]),
        ({"data": "terrain:mounds"}, ["The pictures are simulated; real settlements differ"]),
        ({"scale": "smoke"}, ["This is the smoke scale: small networks, few pictures and few seeds"]),
        ({"scale": "demo"}, ["This is the demo scale"]),
        ({"validation": "slice"}, ["Validation pictures share volumes with training pictures"]),
        ({"seeds": 4}, []),  # a note beside the answer says that nothing is decided
        ({"seeds": 4, "replicates": list("abab")}, ["All 4 seeds together have 2 test sets. Give as many --folds as"]),
        ({"seeds": 2, "replicates": ["a"] * 2}, ["All 2 seeds together have 1 test set. Give as many --folds as"]),
        (
            {"replicates": ["a"] * 10, "source": Source(test_groups=frozenset({"g1"}))},
            ["10 seeds share 1 test set. Intervals count test sets."],
        ),
        ({"replicates": list("abcdeabcde")}, ["10 seeds share 5 test sets. Intervals count test sets."]),
        ({"openings": [("aa", "c0"), ("bb", "c1"), ("aa", "c0")]}, ["were made by 2 versions of the code: aa, bb."]),
        ({"openings": [("aa", "c0-dirty"), ("aa", "c1")]}, ["The code had uncommitted changes"]),
    ],
)
def test_each_caution_comes_where_it_applies_and_alone(run, expected):
    found = said(**run)
    assert len(found) == len(expected)
    assert all(part in sentence for part, sentence in zip(expected, found, strict=True))


STEPS = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
CLAIMS = [
    Claim("MSD", name, "Dice", decision, "Dice points")
    for name, decision in zip(("U-Net", "SegNet", "VGG"), decide([STEPS, STEPS - 3, STEPS[:2]]), strict=True)
]


def test_claims_become_rows_with_everything_that_decides_them():
    rows = claims_table([*CLAIMS, Claim("MSD", "U-Net", "IoU", decide([STEPS / 1000])[0])]).to_dict("records")
    assert rows[0] == {
        "compared": "MSD",
        "against": "U-Net",
        "measured as": "Dice points",
        "difference": "+3.0",
        "95 % interval": "+1.0 to +5.0",
        "p": f"{CLAIMS[0].decision.p:.3g}",
        "test sets": 5,
        "verdict": "ahead",
    }
    assert [row["verdict"] for row in rows] == ["ahead", "not decided", "too few", "ahead"]
    assert (rows[1]["difference"], rows[1]["p"]) == ("+0.0", "1")
    assert (rows[2]["95 % interval"], rows[2]["p"], rows[2]["test sets"]) == ("-", "-", 2)
    assert (rows[3]["measured as"], rows[3]["difference"]) == ("IoU", "+0.003")
    assert claims_table([]).empty


def test_a_measure_says_its_metric_and_its_unit_once():
    metrics = [("Dice", "Dice points"), ("Dice at score 0", "Dice points"), ("IoU", "")]
    claims = [CLAIMS[0]._replace(metric=metric, unit=unit) for metric, unit in metrics]
    assert claims_table(claims)["measured as"].tolist() == ["Dice points", "Dice at score 0, Dice points", "IoU"]


def test_where_nothing_can_be_decided_there_are_no_columns_for_it():
    assert list(claims_table([CLAIMS[2]] * 3)) == ["compared", "against", "measured as", "difference", "test sets"]


def test_what_all_rows_of_a_table_share_is_said_in_its_heading():
    title, shown = shared_in_title(claims_table(CLAIMS[:2]))
    assert title == "Decisions: MSD, Dice points, 5 test sets"
    assert list(shown) == ["against", "difference", "95 % interval", "p", "verdict"]
    title, shown = shared_in_title(claims_table([CLAIMS[2], CLAIMS[2]._replace(subject="U-Net")]))
    assert title == "Differences: Dice points, 2 test sets" and list(shown) == ["compared", "against", "difference"]
    assert shared_in_title(claims_table(CLAIMS[:1]))[0] == "Decisions"
    assert list(shared_in_title(claims_table(CLAIMS[:1]))[1]) == list(claims_table(CLAIMS[:1]))
    assert shared_in_title(claims_table([]))[1].empty


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ([], []),
        (CLAIMS[:2], []),
        (CLAIMS, ["1 of 3 differences are not decided: a verdict needs 5 test sets, and there are 2 test sets."]),
        ([CLAIMS[2]] * 3, ["No difference is decided: a verdict needs 5 test sets, and there are 2 test sets."]),
        (
            [CLAIMS[2]._replace(decision=decide([[1.0]])[0])],
            ["No difference is decided: a verdict needs 5 test sets, and there is 1 test set."],
        ),
    ],
)
def test_one_sentence_says_that_there_are_too_few_test_sets(claims, said):
    assert undecided(claims) == said


def test_charts_are_files_of_their_own(tmp_path):
    chart = charted("Dice")
    save_charts(tmp_path / "new" / "figures", {"dice_of_cells": chart})
    (path,) = (tmp_path / "new" / "figures").iterdir()
    assert path.name == "dice_of_cells.svg" and path.read_text() == svg(chart.wide)


def test_what_is_missing_is_counted_by_the_values_of_the_factors_that_vary():
    trials = [Trial("careful", seed, strength) for seed in (0, 1) for strength in (1.0, 2.0, 3.0)]
    assert missing_table(trials, [trials[1], trials[4], trials[5]]).to_numpy().tolist() == [
        ["all", "", 3, 6],
        ["seed", "0", 1, 3],
        ["seed", "1", 2, 3],
        ["strength", "2.0", 2, 2],
        ["strength", "3.0", 1, 2],
    ]
