"""The published statements are judged as one would by hand."""

import numpy as np
import pytest

from experiments.annotation_errors.statements import judged
from experiments.harness.statements import statements_table
from tests.experiments.made_up_costs import made_up

STEPS = np.array([0.0, 0.01, 0.02, 0.01, 0.03])
NOISE = np.array([0.001, -0.001, 0.002, 0.0, -0.002])
CLEAN = {(network, "none", 0.0): 0.90 + STEPS for network in ("unet", "segnet", "msd")}
FREE, AHEAD, GROW = (
    "At most 30 % omitted cells cost less than a Dice point",
    "With many omitted cells, MSD is ahead",
    "Outline errors cost more the larger they are",
)


def verdicts(values, kind=None, coarsening=1.0):
    return {
        (one.statement, one.case): (round(one.decision.mean, 2), one.decision.verdict)
        for one in judged(made_up({**CLEAN, **values}, coarsening), kind)
    }


def test_small_omissions_are_nearly_free_where_the_whole_interval_is_under_a_point():
    found = verdicts(
        {
            ("unet", "omission", 0.1): 0.5 + STEPS,  # only the highest rate up to 30 % is judged
            ("unet", "omission", 0.3): 0.896 + STEPS + NOISE,
            ("msd", "omission", 0.3): 0.88 + STEPS + NOISE,
            ("segnet", "omission", 0.3): 0.90 + STEPS,  # nothing was published for it
        }
    )
    assert found == {
        (FREE, "U-Net, 30 % omitted cells"): (0.6, "ahead"),
        (FREE, "MSD, 30 % omitted cells"): (-1.0, "behind"),
    }


def test_msd_is_compared_with_each_network_where_many_cells_are_omitted():
    found = verdicts(
        {(name, "omission", 0.7): at + NOISE for name, at in (("unet", 0.5), ("segnet", 0.9), ("msd", 0.8))}
    )
    assert found == {
        (AHEAD, "U-Net, 70 % omitted cells"): (30.0, "ahead"),
        (AHEAD, "SegNet, 70 % omitted cells"): (-10.0, "behind"),
    }


def test_outline_errors_grow_from_each_strength_to_the_next():
    found = verdicts({("msd", "bias", level): 0.9 - level / 100 + STEPS for level in (4.0, 8.0, 12.0)}, coarsening=4.0)
    assert found == {
        (GROW, "MSD, outline errors of up to 2 px against up to 1 px"): (4.0, "ahead"),
        (GROW, "MSD, outline errors of up to 3 px against up to 2 px"): (4.0, "ahead"),
    }


@pytest.mark.parametrize(("kind", "count"), [("granulocytes", 1), ("hl60", 1), (None, 0)])
def test_included_objects_are_judged_by_the_size_of_the_cells(kind, count):
    values = {
        ("unet", "inclusion", 0.0): 0.8 + STEPS,  # what foreign objects cost by themselves does not count
        ("unet", "inclusion", 0.7): 0.3 + STEPS,
        ("unet", "bias", 6.0): 0.8 + STEPS,
        ("unet", "omission", 0.2): 0.5 + STEPS,
    }
    own = {key: value for key, value in verdicts(values, kind).items() if key[0] != FREE}
    assert len(own) == count
    if kind == "granulocytes":
        (key,) = own
        assert key[1] == "U-Net, 70 % wrongly included objects against outline errors of up to 6 px"
        assert own[key] == (40.0, "ahead")
    if kind == "hl60":
        (key,) = own
        assert key[1] == "U-Net, 20 % omitted cells against 70 % wrongly included objects"
        assert own[key] == (-10.0, "behind")


def test_the_table_says_holds_or_too_few():
    values = {("msd", "bias", level): 0.9 - level / 100 + STEPS for level in (2.0, 4.0)}
    table = statements_table(judged(made_up({**CLEAN, **values}), None))
    assert table.iloc[0].to_dict() == {
        "published statement": GROW,
        "case": "MSD, outline errors of up to 4 px against up to 2 px",
        "margin, Dice points": "+2.0",
        "95 % interval": "+2.0 to +2.0",
        "test sets": 5,
        "verdict": "holds",
    }
    few = {key: value[:4] for key, value in {**CLEAN, **values}.items()}
    assert statements_table(judged(made_up(few), None))[["95 % interval", "verdict"]].iloc[0].tolist() == [
        "-",
        "too few test sets",
    ]
