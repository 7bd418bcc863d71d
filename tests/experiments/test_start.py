"""Commands run with memory in huge pages and with oneDNN; whoever set them up differently keeps that."""

import os
import platform
import subprocess
import sys
from importlib.metadata import version

import pytest

from experiments import HUGE_PAGES, ONEDNN, ONEDNN_VERSIONS

PRINT = "import os; print('tunables', os.environ.get('GLIBC_TUNABLES')); print('flags', os.environ.get('XLA_FLAGS'))"
KNOWN = version("jaxlib").startswith(ONEDNN_VERSIONS) and platform.machine() == "x86_64"
CHOSEN = "--xla_cpu_experimental_onednn_custom_call=false"
OTHER = "--xla_force_host_platform_device_count=2"


def without_settings():
    return {name: value for name, value in os.environ.items() if name not in ("GLIBC_TUNABLES", "XLA_FLAGS")}


def told(given):
    """What a command prints of its settings, started with these."""
    ended = subprocess.run(
        [sys.executable, "-i", "-m", "experiments.check", "--help"],
        input=PRINT,
        env=without_settings() | given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout.count("usage") == 1
    return ended.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of the C library of Linux")
@pytest.mark.parametrize(("given", "expected"), [({}, HUGE_PAGES), ({"GLIBC_TUNABLES": "x=1"}, "x=1")])
def test_a_command_starts_anew_with_huge_pages_once(given, expected):
    assert f"tunables {expected}\n" in told(given)


@pytest.mark.skipif(sys.platform != "linux", reason="tried on Linux only")
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ONEDNN if KNOWN else None),
        ({"XLA_FLAGS": OTHER}, f"{OTHER} {ONEDNN}" if KNOWN else OTHER),
        ({"XLA_FLAGS": CHOSEN}, CHOSEN),
    ],
)
def test_a_command_convolves_by_onednn_where_xla_is_known_to_have_it(given, expected):
    assert f"flags {expected}\n" in told(given)


def test_importing_the_package_changes_nothing():
    code = f"import experiments; {PRINT}"
    ended = subprocess.run(
        [sys.executable, "-c", code], env=without_settings(), capture_output=True, text=True, check=True
    )
    assert ended.stdout == "tunables None\nflags None\n"
