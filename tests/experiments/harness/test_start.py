"""Commands run with memory in huge pages; whoever set the C library up differently keeps that."""

import os
import subprocess
import sys

import pytest

from experiments import HUGE_PAGES

PRINT = "import os; print('tunables', os.environ.get('GLIBC_TUNABLES'))"


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of the C library of Linux")
@pytest.mark.parametrize(("given", "expected"), [({}, HUGE_PAGES), ({"GLIBC_TUNABLES": "x=1"}, "x=1")])
def test_a_command_starts_anew_with_huge_pages_once(given, expected):
    environment = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"} | given
    ended = subprocess.run(
        [sys.executable, "-i", "-m", "experiments.check", "--help"],
        input=PRINT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"tunables {expected}" in ended.stdout
    assert ended.stdout.count("usage") == 1


def test_importing_the_package_starts_nothing_anew():
    code = f"import experiments; {PRINT}"
    environment = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout == "tunables None\n"
