"""What every page says of a run before anybody believes it, and its table of decisions."""

from pathlib import Path

import numpy as np
import pytest

from experiments.harness.options import DataOptions, RunOptions
from experiments.harness.page import answers, cautions, claims_table, figure_stem, missing_table, save_figures
from experiments.harness.study import Analysis
from segjax.evaluation import Claim, decide
from segjax.reports import Illustration
from tests.experiments.harness.tiny import Config, Source, Trial


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
        (
            {"seeds": 4},
            ["All seeds together have 4 test sets. Verdicts need 5", "--folds and --seeds with at least that number"],
        ),
        ({"seeds": 1}, ["All seeds together have 1 test set. Verdicts need 5", "--folds and --seeds"]),
        (
            {"replicates": ["a"] * 10, "source": Source(test_groups=frozenset({"g1"}))},
            ["All seeds together have 1 test"],
        ),
        ({"replicates": list("abcdeabcde")}, ["10 seeds share 5 sets of test pictures; intervals count the sets."]),
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
        "subject": "MSD",
        "against": "U-Net",
        "metric": "Dice, Dice points",
        "difference": "+3.0",
        "95 % interval": "+1.0 to +5.0",
        "p": f"{CLAIMS[0].decision.p:.3g}",
        "test sets": 5,
        "verdict": "ahead",
    }
    assert [row["verdict"] for row in rows] == ["ahead", "not decided", "too few", "ahead"]
    assert (rows[1]["difference"], rows[1]["p"]) == ("+0.0", "1")
    assert (rows[2]["95 % interval"], rows[2]["p"], rows[2]["test sets"]) == ("-", "-", 2)
    assert (rows[3]["metric"], rows[3]["difference"]) == ("IoU", "+0.003")
    assert claims_table([]).empty


def test_what_could_be_decided_is_said_and_the_rest_counted():
    found = answers(Analysis("", "", claims=CLAIMS))
    assert found[0].startswith("MSD is ahead of U-Net") and found[1].startswith("MSD and SegNet are not told apart")
    assert found[2:] == [
        "1 comparison has fewer than 5 test sets, too few for a verdict; the table of decisions has the difference."
    ]
    assert answers(Analysis("", "", claims=CLAIMS, main=CLAIMS[:1])) == [found[0], found[2]]
    assert answers(Analysis("", "", claims=[CLAIMS[2]] * 3)) == [
        "3 comparisons have fewer than 5 test sets, too few for a verdict; the table of decisions has the differences."
    ]
    assert answers(Analysis("", "")) == []


def test_figures_are_files_of_their_own(tmp_path):
    figures = {"Dice of cells": Illustration("<svg/>", ""), "Labels": Illustration(b"\x89PNG", "", "labels")}
    save_figures(tmp_path / "new" / "figures", figures)
    assert {path.name: path.read_bytes() for path in (tmp_path / "new" / "figures").iterdir()} == {
        "dice_of_cells.svg": b"<svg/>", "labels.png": b"\x89PNG"
    }  # fmt: skip
    assert figure_stem("Dice of cells") == "dice_of_cells"


def test_what_is_missing_is_counted_by_the_values_of_the_factors_that_vary():
    trials = [Trial("careful", seed, strength) for seed in (0, 1) for strength in (1.0, 2.0, 3.0)]
    assert missing_table(trials, [trials[1], trials[4], trials[5]]).to_numpy().tolist() == [
        ["all", "", 3, 6],
        ["seed", "0", 1, 3],
        ["seed", "1", 2, 3],
        ["strength", "2.0", 2, 2],
        ["strength", "3.0", 1, 2],
    ]
