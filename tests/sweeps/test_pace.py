"""The time left, against hand-computed times."""

import pytest

from segjax.sweeps import in_words
from segjax.sweeps.pace import UNKNOWN, Pace


@pytest.fixture
def timed():
    """A pace, and a function that runs a pack: seconds to each report of progress, and to the end."""
    now = [0.0]
    pace = Pace(lambda: now[0])

    def pack(kind, trials, reports, end):
        pace.begin(kind, trials)
        began = now[0]
        for seconds, share in reports:
            now[0] = began + seconds
            pace.reach(share)
        if end is not None:
            now[0] = began + end
            pace.end()

    return pace, pack


def test_nothing_is_promised_before_anything_is_measured(timed):
    pace, pack = timed
    assert pace.left({"unet": 3}) == UNKNOWN
    pack("unet", 1, [(60, 0.25)], None)
    assert pace.left({"unet": 3}) == UNKNOWN
    assert pace.left({}) == UNKNOWN


def test_compilation_before_the_first_report_is_not_promised_again(timed):
    pace, pack = timed
    pack("unet", 1, [(60, 0.25), (65, 0.5)], None)  # 20 s per trial after the compilation
    assert pace.left({"unet": 3}) == "70 s left"  # half of this one and three more
    pack("unet", 1, [(60, 0.25), (65, 0.5)], 75)
    assert pace.left({"unet": 3}) == "60 s left"


def test_from_the_second_pack_on_whole_packs_count_and_the_first_does_not(timed):
    pace, pack = timed
    pack("unet", 2, [], 100)
    assert pace.left({"unet": 3}) == UNKNOWN
    pack("unet", 2, [], 22)
    assert pace.left({"unet": 3}) == "33 s left"
    for end in (26, 80):
        pack("unet", 2, [], end)
    assert pace.left({"unet": 3}) == "39 s left"  # the median of 11, 13 and 40 s, three times


def test_kinds_count_by_their_own_time_unseen_ones_by_the_mean_and_other_processes_help(timed):
    pace, pack = timed
    for kind, end in (("unet", 30), ("unet", 10), ("msd", 50), ("msd", 40)):
        pack(kind, 1, [], end)
    assert pace.left({"unet": 2, "msd": 1}) == "60 s left"
    assert pace.left({"unet": 2, "segnet": 1}) == "45 s left"
    assert pace.left({"unet": 2, "msd": 1}, speed=4.0) == "15 s left"
    assert pace.left({}) == "0 s left"


def test_durations_in_words():
    assert [in_words(value) for value in (0.0, 119.0, 600.0, 7200.0)] == ["0 s", "119 s", "10 min", "2.0 h"]
