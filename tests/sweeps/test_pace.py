"""The time left, against hand-computed times and against studies on a simulated clock."""

import re
from collections import Counter

import pytest

from segjax.sweeps.pace import NONE_LEFT, UNKNOWN, Pace, in_words


@pytest.fixture
def timed():
    """A pace, and a function that runs a pack: seconds to each report of progress, and to the end of each trial."""
    now = [0.0]
    pace = Pace(lambda: now[0])

    def pack(kind, trials, reports=(), ends=()):
        pace.begin(kind, trials)
        began = now[0]
        for seconds, share in reports:
            now[0] = began + seconds
            pace.reach(share)
        for seconds in ends:
            now[0] = began + seconds
            pace.end()

    return pace, pack


def test_no_number_is_given_before_anything_is_known(timed):
    pace, pack = timed
    assert pace.left({"unet": 3}) == UNKNOWN
    pack("unet", 1, [(60, 0.25)])
    assert pace.left({"unet": 3}) == UNKNOWN
    assert pace.left({}) == UNKNOWN
    assert Pace().left({"unet": 0}) == NONE_LEFT


def test_training_alone_is_what_the_rest_takes_at_least_until_trials_have_been_measured(timed):
    pace, pack = timed
    pack("unet", 2, [(60, 0.25), (65, 0.5)])  # 20 s for both after the compilation
    assert pace.left({}) == "at least 10 s left"
    assert pace.left({"unet": 3}) == "at least 40 s left"  # 10 s of this pack, 10 s for each of the others
    pack("unet", 2, [(60, 0.25), (75, 1.0)], [80])
    assert pace.left({"unet": 3}) == "at least 30 s left"  # one trial was measured, which says little of the next


def test_after_the_first_pack_of_a_kind_the_range_is_without_and_with_its_compilation(timed):
    pace, pack = timed
    pack("unet", 2, [(60, 0.25), (65, 0.5), (75, 1.0)], [80, 82])  # 10 s and 2 s per trial, 41 s with the compilation
    assert pace.left({"unet": 3}) == "36 s to 2 min left"
    assert pace.left({"unet": 3, "msd": 1}) == "at least 36 s left"  # of the other kind nothing is known
    assert pace.left({}) == NONE_LEFT


def test_from_the_second_pack_on_whole_packs_count_and_the_first_does_not(timed):
    pace, pack = timed
    pack("unet", 1, [], [100])
    pack("unet", 1, [], [11])
    assert pace.left({"unet": 3}) == "about 33 s left"
    for end in (13, 12, 80):
        pack("unet", 1, [], [end])
    assert pace.left({"unet": 10}) == "about 2 min left"  # 12 to 13 s each, without the outlier
    assert pace.left({"unet": 10}, speed=4.0) == "about 31 s left"


def test_a_kind_that_never_ran_is_like_the_others_on_average(timed):
    pace, pack = timed
    for kind, ends in (("unet", [30]), ("unet", [10]), ("msd", [50]), ("msd", [40])):
        pack(kind, 1, [], ends)
    assert pace.left({"unet": 2, "msd": 1}) == "about 60 s left"
    assert pace.left({"segnet": 3}) == "about 2 min left"  # 30 s and 50 s on average


def test_trials_that_are_measured_at_length_are_not_forgotten_when_all_is_trained(timed):
    pace, pack = timed
    pack("maps", 5, [(20, 0.5), (22, 1.0)])
    assert pace.left({}) == UNKNOWN
    pack("maps", 5, [(20, 0.5), (22, 1.0)], [23, 33])
    assert pace.left({}) == UNKNOWN
    pace.end()  # with the last one, in no time
    assert pace.left({}) == "at most 20 s left"


def test_trainings_that_were_there_before_are_not_waited_for(timed):
    pace, pack = timed
    pack("unet", 1, [(60, 0.25), (75, 1.0)], [80])
    pack("unet", 1)
    assert pace.left({}) == "5 s to 25 s left"
    pack("unet", 2, [], [5])
    assert pace.left({}) == "about 5 s left"


MEASURED = {
    "alike": [("unet", 8, 40, 8, [2, *[0.2] * 7]), ("msd", 8, 12, 14, [2, *[0.2] * 7])] * 4,
    "maps": [("resnet", 6, 15, 8, [1.5, 12, 4, 11, 13, 10]), ("", 5, 0, 0, [0.3, 0.2, 0.2, 0.2, 0.2])],
    "at once": [("all", 1, 12, 9, [1]), ("logistic", 12, 0, 0, [14, *[0.01] * 11]), ("cosine", 1, 0, 0, [1.2])] * 2,
    "networks after masks": [("masks", 4, 25, 7, [2, 9, 4, 5]), ("unet", 6, 30, 15, [3, *[0.3] * 5])],
}


@pytest.mark.parametrize("name", MEASURED)
def test_what_is_said_of_a_simulated_study_is_true_whenever_it_is_said(name):
    """Packs of a kind, trials, seconds of compilation before the first epoch and of training, and of measuring each."""
    packs = MEASURED[name]
    said, seen, now = [], set(), [0.0]
    pace, waiting = Pace(lambda: now[0]), Counter()
    for kind, trials, *_ in packs:
        waiting[kind] += trials
    for kind, trials, compiling, training, measuring in packs:
        waiting[kind] -= trials
        pace.begin(kind, trials)
        now[0] += 0 if kind in seen else compiling
        seen.add(kind)
        for epoch in range(8 if training else 0):
            now[0] += training / 8
            pace.reach((epoch + 1) / 8)
            said.append((now[0], pace.left(waiting)))
        for seconds in measuring:
            now[0] += seconds
            pace.end()
            said.append((now[0], pace.left(waiting)))
    assert said[-1][1] == NONE_LEFT and len({text for _, text in said}) > 5
    for time, text in said[:-1]:
        assert _is_true(text, now[0] - time), (name, time, now[0] - time, text)


def _is_true(text, left):
    numbers = [float(number) * (60 if unit == "min" else 1) for number, unit in re.findall(r"([\d.]+) (s|min)", text)]
    if text.startswith("at least"):
        return numbers[0] <= 1.3 * left + 1
    if text.startswith("at most"):
        return numbers[0] >= left / 1.3 - 1
    return not numbers or (numbers[0] <= 1.3 * left + 1 and numbers[-1] >= left / 1.3 - 1)


def test_durations_in_words():
    assert [in_words(value) for value in (0.0, 119.0, 600.0, 7200.0)] == ["0 s", "119 s", "10 min", "2.0 h"]
