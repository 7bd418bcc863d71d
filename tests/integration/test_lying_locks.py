"""A disk whose file locks always succeed: nothing here may rest on them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.contest import check_each_once, contend

LIES = Path(__file__).with_name("lying_locks.c")
HOLDS_TWICE = """
import fcntl, os, sys
files = [open(sys.argv[1], "w") for _ in range(2)]
for file in files:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
fcntl.lockf(files[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
child = os.fork()
if not child:
    fcntl.lockf(files[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.fixture(scope="module")
def lying(tmp_path_factory) -> str:
    """The library that makes every file lock succeed."""
    if not sys.platform.startswith("linux"):
        pytest.skip("a library can be put before the system's on Linux only")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("there is no C compiler here")
    library = tmp_path_factory.mktemp("lying") / "lying_locks.so"
    built = subprocess.run([compiler, "-shared", "-fPIC", "-o", library, LIES, "-ldl"], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return str(library)


def test_the_library_lies(lying, tmp_path):
    command = [sys.executable, "-c", HOLDS_TWICE, str(tmp_path / "file")]
    assert subprocess.run(command, capture_output=True).returncode != 0
    assert subprocess.run(command, capture_output=True, env={"LD_PRELOAD": lying}).returncode == 0


@pytest.mark.slow
def test_each_trial_is_done_once_where_locks_lie(lying, tmp_path):
    found = contend(tmp_path, "--workers", "3", "--trials", "60", LD_PRELOAD=lying)
    check_each_once(found)
    assert found["again"] == []
