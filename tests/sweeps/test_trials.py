"""Trials: their words, their file names, and the shards that processes take."""

import re
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segjax.sweeps.trials import described, factors_of, file_stem, fingerprint, shard_of
from segjax.types import InputError

few = settings(derandomize=True, deadline=None, max_examples=100)


@dataclass(frozen=True)
class Trial:
    network: str
    seed: int
    error: str = "none"
    level: float = 0.0


trials = st.builds(
    Trial, st.text(max_size=200), st.integers(0, 10**6), st.text(max_size=200), st.floats(0, 100, allow_nan=False)
)


def test_factors_are_the_fields_in_their_order():
    assert list(factors_of(Trial("unet", 3)).items()) == [
        ("network", "unet"), ("seed", 3), ("error", "none"), ("level", 0.0)
    ]  # fmt: skip


def test_people_are_told_what_differs_from_the_defaults():
    assert described(Trial("unet", 0)) == "network unet, seed 0"
    assert described(Trial("msd", 2, "bias", 6.0)) == "network msd, seed 2, error bias, level 6"
    assert described(Trial("msd", 2, level=1 / 3)) == "network msd, seed 2, level 0.333333"


@few
@given(trials)
def test_a_file_stem_is_one_safe_name(trial):
    stem = file_stem(trial)
    assert re.fullmatch(r"[\w.=+-]+", stem) and stem not in (".", "..")
    assert len(stem) <= 159
    assert stem == file_stem(Trial(**factors_of(trial)))


@few
@given(trials, trials)
def test_different_trials_have_different_file_stems(one, other):
    assert (file_stem(one) == file_stem(other)) == (one == other)


def test_trials_that_look_alike_when_cleaned_or_cut_have_different_file_stems():
    alike = [Trial("a/b", 0), Trial("a b", 0), Trial("a-b", 0), Trial("a" * 200, 0), Trial("a" * 201, 0)]
    assert len({file_stem(trial) for trial in alike}) == len(alike)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 11])
def test_shards_hold_every_trial_once(count):
    trials = [Trial("unet", seed) for seed in range(7)]
    shards = [shard_of(trials, f"{number}/{count}") for number in range(1, count + 1)]
    assert sorted(trial.seed for shard in shards for trial in shard) == list(range(7))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1
    assert shard_of(trials, "2/3") == [trials[1], trials[4]]


@pytest.mark.parametrize("shard", ["", "3", "0/2", "3/2", "1/0", "-1/2", "1/2/3", "a/b", "1 / 2", "1/2\n"])
def test_what_is_no_shard_is_refused(shard):
    with pytest.raises(InputError, match=r"shard: .* is not I/N"):
        shard_of([], shard)


def test_fingerprint_depends_on_content_not_order():
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
