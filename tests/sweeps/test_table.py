"""The table of results against means, intervals and p values worked out by hand or by SciPy."""

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from segjax.sweeps import Replicates, ResultTable
from segjax.types import InputError


@dataclass(frozen=True)
class Trial:
    network: str
    seed: int
    error: str = "none"
    level: float = 0.0


FIVE = Replicates(("a", "b", "c", "d", "e"))
COLUMNS = ["study", "data", "network", "seed", "error", "level", "picture", "metric", "value", "status", "code"]


def rows_of(trial, values, metric="dice", status="ok"):
    """Rows of a trial: one value, or several by picture."""
    several = values if isinstance(values, dict) else {"": values}
    factors = (trial.network, trial.seed, trial.error, trial.level)
    rows = [("tiny", "x", *factors, picture, metric, value, status, "c0de") for picture, value in several.items()]
    return [*rows, ("tiny", "x", *factors, "", "restarts", 0.0, status, "c0de")]


def table_from(*parts, replicates=FIVE):
    return ResultTable.from_rows(pd.DataFrame(list(itertools.chain(*parts)), columns=COLUMNS), Trial, replicates)


def test_seeds_of_a_folder_that_are_not_asked_for_are_left_out():
    table = table_from(
        *(rows_of(Trial("unet", seed), seed / 8) for seed in range(4)), replicates=Replicates(("a", "b"))
    )
    assert table.frame["seed"].tolist() == [0, 1]
    assert table.values("dice", Trial("unet", 0)).tolist() == [0.0, 0.125]


def seeds(network, values, **factors):
    """Rows of a setting, a value per seed from 0 on; None: the seed failed."""
    parts = (
        rows_of(
            Trial(network, seed, **factors),
            0.0 if value is None else value,
            status="failed" if value is None else "ok",
        )
        for seed, value in enumerate(values)
    )
    return list(itertools.chain.from_iterable(parts))


def test_pictures_are_averaged_first_then_seeds_of_one_test_set_then_test_sets():
    found = table_from(
        rows_of(Trial("unet", 0), {"p": 0.2, "q": 0.4}),  # mean 0.3
        rows_of(Trial("unet", 1), {"r": 0.9}),
        rows_of(Trial("unet", 2), {"p": 0.1, "q": 0.1, "s": 0.4}),  # mean 0.2
        replicates=Replicates(("a", "b", "a")),
    )
    values = found.values("dice", Trial("unet", 0))
    assert values.to_dict() == {"a": pytest.approx(0.25), "b": pytest.approx(0.9)}
    assert found.interval("dice", Trial("unet", 0))[0] == pytest.approx(0.575)  # not 0.35, the mean of six pictures
    assert found.interval("dice", Trial("unet", 0)).n == 2


def test_a_picture_without_a_value_is_left_out_and_a_trial_without_one_too():
    nan = float("nan")
    found = table_from(
        rows_of(Trial("unet", 0), {"p": 0.2, "q": nan}),
        rows_of(Trial("unet", 1), {"p": nan}),
        rows_of(Trial("unet", 2), 0.6),
    )
    assert found.values("dice", Trial("unet", 0)).to_dict() == {"a": 0.2, "c": 0.6}


def test_intervals_are_those_of_student_and_widen_where_training_sets_overlap():
    values = [0.5, 0.6, 0.7, 0.8, 0.9]
    mean, s, t = 0.7, np.sqrt(0.025), 2.776445  # t(0.975, 4) from the printed table
    apart = table_from(seeds("unet", values)).interval("dice", Trial("unet", 0))
    assert apart == pytest.approx((mean, mean - t * s * np.sqrt(1 / 5), mean + t * s * np.sqrt(1 / 5), 5), abs=1e-6)
    folds = table_from(seeds("unet", values), replicates=Replicates(FIVE.names, 0.5))
    half = t * s * np.sqrt(1 / 5 + 0.5)
    assert folds.interval("dice", Trial("unet", 0)) == pytest.approx((mean, mean - half, mean + half, 5), abs=1e-6)


def test_five_seeds_on_one_test_set_are_one_value():
    found = table_from(seeds("unet", [0.5, 0.6, 0.7, 0.8, 0.9]), replicates=Replicates(("a",) * 5))
    value = found.interval("dice", Trial("unet", 0))
    assert value.n == 1 and value.mean == pytest.approx(0.7) and np.isnan(value.low)


def test_any_seed_asks_for_all_seeds_and_what_is_not_said_is_neutral():
    found = table_from(seeds("unet", [0.8, 0.9]), seeds("unet", [0.4, 0.5], error="omission", level=0.3))
    for seed in (0, 1, 7):
        assert found.values("dice", Trial("unet", seed)).tolist() == [0.8, 0.9]
    assert found.values("dice", Trial("unet", 0, "omission", 0.3)).tolist() == [0.4, 0.5]
    assert found.values("dice", Trial("unet", 0, "omission")).empty  # level 0 was not tried
    assert found.values("pq", Trial("unet", 0)).empty
    assert found.interval("dice", Trial("msd", 0)).n == 0


def test_of_several_trials_the_mean_over_those_that_have_a_value():
    found = table_from(
        seeds("unet", [0.2, 0.4]), seeds("unet", [0.6, None], level=1.0), seeds("unet", [None, None], level=2.0)
    )
    both = [Trial("unet", 0), Trial("unet", 0, level=1.0), Trial("unet", 0, level=2.0)]
    assert found.values("dice", both).to_dict() == {"a": pytest.approx(0.4), "b": 0.4}


@pytest.mark.parametrize("status", ["failed", "collapsed", "diverged"])
def test_trials_that_did_not_end_ok_have_no_values_and_are_listed(status):
    found = table_from(rows_of(Trial("unet", 0), 0.1, status=status), rows_of(Trial("unet", 1), 0.9))
    assert found.values("dice", Trial("unet", 0)).to_dict() == {"b": 0.9}
    assert found.failures().to_dict("records") == [
        {"network": "unet", "seed": 0, "error": "none", "level": 0.0, "what happened": status}
    ]
    assert table_from(rows_of(Trial("unet", 0), 0.1, status=status)).trials() == []


def test_a_training_that_was_begun_again_is_listed_though_it_ended_well():
    rows = rows_of(Trial("unet", 0), 0.5)
    again = [(*row[:8], 2.0, *row[9:]) if row[7] == "restarts" else row for row in rows]
    assert table_from(again).failures()["what happened"].tolist() == ["restarted, then ended well"]
    assert table_from(rows).failures().empty


def test_settings_come_once_in_the_order_of_the_results():
    found = table_from(seeds("msd", [0.1, 0.2]), seeds("unet", [0.1], error="bias", level=6.0), seeds("unet", [0.3]))
    assert found.trials() == [Trial("msd", 0), Trial("unet", 0, "bias", 6.0), Trial("unet", 0)]


def test_differences_are_of_seeds_that_both_have_before_seeds_of_a_test_set_are_averaged():
    found = table_from(
        seeds("unet", [0.5, 0.9, 0.7, 0.8]),
        seeds("msd", [0.4, None, 0.4, 0.9]),
        replicates=Replicates(("a", "a", "a", "b")),
    )
    differences = found.differences("dice", Trial("unet", 0), Trial("msd", 0))
    # a: seeds 0 and 2 differ by 0.1 and 0.3; seed 1 has no partner and counts nowhere
    assert differences.to_dict() == {"a": pytest.approx(0.2), "b": pytest.approx(-0.1)}
    assert found.differences("dice", Trial("unet", 0), Trial("segnet", 0)).empty


def test_differences_of_several_trials_go_pair_by_pair():
    found = table_from(
        seeds("unet", [0.5]), seeds("unet", [0.9], level=1.0), seeds("msd", [0.2]), seeds("msd", [None], level=1.0)
    )
    ours, theirs = ([Trial(name, 0), Trial(name, 0, level=1.0)] for name in ("unet", "msd"))
    assert found.differences("dice", ours, theirs).to_dict() == {"a": pytest.approx(0.3)}  # level 1 has no partner
    with pytest.raises(ValueError, match="shorter"):
        found.differences("dice", ours, theirs[:1])


def test_a_rival_may_be_measured_by_another_name():
    found = table_from(rows_of(Trial("unet", 0), 0.9), rows_of(Trial("msd", 0), 0.4, "cam_dice"))
    assert found.differences("dice", Trial("unet", 0), Trial("msd", 0), "cam_dice").tolist() == [pytest.approx(0.5)]


def test_the_verdicts_of_a_family_are_holm_corrected_over_the_rivals_that_have_results():
    ours = np.array([0.80, 0.82, 0.81, 0.83, 0.84])
    worse, near = np.array([0.70, 0.74, 0.71, 0.71, 0.76]), np.array([0.79, 0.80, 0.82, 0.81, 0.80])
    found = table_from(seeds("msd", ours), seeds("unet", worse), seeds("segnet", near), seeds("vgg16", [0.1, 0.2]))
    rivals = {name: Trial(name, 0) for name in ("unet", "segnet", "vgg16", "absent")}
    first, second, third = found.compare("dice", ("MSD", Trial("msd", 0)), rivals)
    p_worse, p_near = (stats.ttest_rel(ours, other).pvalue for other in (worse, near))
    assert p_worse < 0.025 and p_near > 0.05
    assert first.decision.p == pytest.approx(2 * p_worse) and first.decision.verdict == "ahead"  # two have five sets
    assert second.decision.p == pytest.approx(p_near)
    assert second.decision.verdict == "not decided"
    assert third.decision.verdict == "too few" and third.decision.n == 2
    assert [(claim.subject, claim.rival, claim.metric, claim.unit) for claim in (first, second, third)] == [
        ("MSD", name, "Dice", "Dice points") for name in ("unet", "segnet", "vgg16")
    ]
    assert first.decision.mean == pytest.approx(100 * np.mean(ours - worse))
    assert first.decision[1:3] == pytest.approx(tuple(stats.ttest_1samp(100 * (ours - worse), 0).confidence_interval()))


def test_a_family_may_have_several_subjects_and_pairs_without_results():
    parts = {"msd": [0.5, 0.6, 0.7, 0.6, 0.6], "unet": [0.4, 0.5, 0.5, 0.5, 0.6], "segnet": [0.3, 0.6, 0.4, 0.6, 0.5]}
    found = table_from(*(seeds(name, values) for name, values in parts.items()))
    wanted = [("msd", "unet"), ("msd", "none"), ("unet", "segnet")]
    named = [((one, Trial(one, 0)), (other, Trial(other, 0))) for one, other in wanted]
    claims = found.compare_pairs("dice", named)
    assert [(claim.subject, claim.rival) for claim in claims] == wanted
    assert [claim.decision.n for claim in claims] == [5, 0, 5]
    first, second = (stats.ttest_rel(parts[one], parts[other]).pvalue for one, other in (wanted[0], wanted[2]))
    smaller, larger = sorted((first, second))
    expected = {smaller: 2 * smaller, larger: max(2 * smaller, larger)}  # Holm over the two that have results
    np.testing.assert_allclose([claims[0].decision.p, claims[2].decision.p], [expected[first], expected[second]])


def test_where_lower_is_better_the_sign_of_the_scale_turns_the_verdict():
    found = table_from(seeds("unet", [1.0, 1.1, 1.2, 1.3, 1.4]), seeds("msd", [3.1, 3.0, 3.3, 3.2, 3.5]))
    (claim,) = found.compare(
        "dice", ("U-Net", Trial("unet", 0)), {"MSD": Trial("msd", 0)}, label="distance", unit="pixels", scale=-1.0
    )
    assert claim.decision.verdict == "ahead" and claim.decision.mean == pytest.approx(2.02)
    assert (claim.metric, claim.unit) == ("distance", "pixels")


def test_an_overview_leaves_out_what_never_varies():
    found = table_from(
        seeds("unet", [0.5, 0.6, 0.7, 0.8, 0.9]), seeds("unet", [0.5], level=1.0), seeds("unet", [None], level=2.0)
    )
    assert found.overview(["dice"]).to_dict("records") == [
        {"level": 0.0, "mean": "0.7000", "95 % interval": "0.5037 to 0.8963", "test sets": 5},
        {"level": 1.0, "mean": "0.5000", "95 % interval": "-", "test sets": 1},
    ]
    several = found.overview(["dice", "restarts"]).to_dict("records")
    assert several[0] == {"level": 0.0, "dice": "0.7", "restarts": "0", "test sets": 5}


names = st.text("abc017. ,\"'-äN", min_size=1, max_size=6).filter(lambda name: name == name.strip())
numbers = st.none() | st.floats(-1e6, 1e6, allow_nan=False)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    st.dictionaries(
        st.builds(
            Trial, names | st.sampled_from(["1", "007", "nan", "NA", "1e5"]), st.integers(0, 4), names, st.floats(0, 9)
        ),
        st.fixed_dictionaries({"dice": numbers, "pq": numbers, "status": st.sampled_from(["ok", "failed"])}),
        min_size=1,
        max_size=8,
    )
)
def test_a_table_that_was_written_and_read_says_the_same_to_six_digits(tmp_path_factory, values):
    rows = []
    for trial, found in values.items():
        for metric in ("dice", "pq"):
            if found[metric] is not None:
                rows += rows_of(trial, found[metric], metric, found["status"])[:1]
        rows += rows_of(trial, 0.0, status=found["status"])[1:]
    table = table_from(rows, replicates=Replicates(FIVE.names, 0.25))
    path = tmp_path_factory.mktemp("table") / "trials.csv"
    table.write(path)
    again = ResultTable.read(path, Trial, 0.25, coarsening=2.0)
    assert again.trials() == table.trials() and again.coarsening == 2.0 and again.replicates.overlap == 0.25
    assert again.frame["status"].tolist() == table.frame["status"].tolist()
    for trial in values:
        for metric in ("dice", "pq"):
            before, after = table.values(metric, trial), again.values(metric, trial)
            assert before.index.tolist() == after.index.tolist()
            np.testing.assert_allclose(after, before, rtol=1e-5)
    again.write(path.with_name("again.csv"))
    assert path.with_name("again.csv").read_bytes() == path.read_bytes()


def test_published_seeds_need_not_begin_at_zero_or_follow_each_other(tmp_path):
    table = table_from(rows_of(Trial("unet", 1), 0.5), rows_of(Trial("unet", 4), 0.7))
    table.write(tmp_path / "trials.csv")
    again = ResultTable.read(tmp_path / "trials.csv", Trial, 0.0)
    assert again.values("dice", Trial("unet", 0)).to_dict() == {"b": 0.5, "e": 0.7}


def test_a_file_without_a_factor_of_the_trials_is_refused(tmp_path):
    table_from(rows_of(Trial("unet", 0), 0.5)).write(tmp_path / "trials.csv")
    pd.read_csv(tmp_path / "trials.csv").drop(columns=["level", "code"]).to_csv(tmp_path / "trials.csv", index=False)
    with pytest.raises(InputError, match=r"trials.csv: has no column level, code; publish the run again"):
        ResultTable.read(tmp_path / "trials.csv", Trial, 0.0)
