"""Fifty workers that start in the same second share a folder, and ten of them are killed."""

import pytest

from tests.integration.contest import check_each_once, contend


@pytest.mark.slow
def test_fifty_workers_of_which_ten_are_killed_do_each_trial_once(tmp_path):
    found = contend(tmp_path, "--workers", "50", "--trials", "500", "--kills", "10")
    check_each_once(found)
    assert len(found["killed"]) == 10
    assert 1 <= len(found["again"]) <= 10  # what was running when its worker was killed, and nothing else
