"""Commands run with memory in huge pages, importing starts nothing, and how a command ends says why."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.harness.start import HUGE_PAGES

ROOT = Path(__file__).parents[3]
PRINT = "import os; print('tunables', os.environ.get('GLIBC_TUNABLES'))"
WITHOUT = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}


def run(*arguments, environment=WITHOUT, **options):
    """A Python process in the checkout, its compiled programs kept nowhere near the user's."""
    return subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True, check=False, **options
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a setting of the C library of Linux")
@pytest.mark.parametrize(("given", "expected"), [({}, HUGE_PAGES), ({"GLIBC_TUNABLES": "x=1"}, "x=1")])
def test_a_command_starts_anew_with_huge_pages_once(given, expected):
    ended = run("-i", "-m", "experiments.annotation_errors", "--help", environment=WITHOUT | given, input=PRINT)
    assert f"tunables {expected}" in ended.stdout
    assert ended.stdout.count("usage:") == 1


@pytest.mark.parametrize(
    "module", ["experiments", "experiments.harness.start", "experiments.annotation_errors.__main__"]
)
def test_importing_starts_nothing_anew(module):
    ended = run("-c", f"import signal, {module}; {PRINT}; print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)")
    assert ended.stdout == "tunables None\nTrue\n"


def test_a_process_that_is_not_ours_is_not_replaced():
    ended = run("-c", f"from experiments.harness.start import run_command; run_command(lambda: None); {PRINT}")
    assert ended.stdout == "tunables None\n"


COMMAND = """
from experiments.harness.start import run_command

def main():
    {body}

run_command(main)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("print('done')", 0, ""),
        ("from segjax.types import InputError; raise InputError('levels: no')", 2, "error: levels: no\n"),
        (
            "raise KeyboardInterrupt",
            130,
            "stopped; what is finished is kept, and the same command goes on from there\n",
        ),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", 130, "stopped; what is finished is kept"),
    ],
)
def test_how_a_command_ends(tmp_path, body, code, said):
    environment = os.environ | {"GLIBC_TUNABLES": HUGE_PAGES, "XDG_CACHE_HOME": str(tmp_path)}
    ended = run("-c", COMMAND.format(body=body), environment=environment)
    assert ended.returncode == code
    assert ended.stderr.startswith(said) and "Traceback" not in ended.stderr and bool(ended.stderr) == bool(said)


@pytest.mark.slow
def test_a_fault_of_ours_is_shown_as_it_is(tmp_path):
    environment = os.environ | {"GLIBC_TUNABLES": HUGE_PAGES, "XDG_CACHE_HOME": str(tmp_path)}
    ended = run("-c", COMMAND.format(body="raise ValueError('ours')"), environment=environment)
    assert ended.returncode == 1 and "ValueError: ours" in ended.stderr
