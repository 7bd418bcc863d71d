"""An interruption that comes while a checkpoint is written waits until it is whole; a full disk keeps those before."""

import resource
import signal
import subprocess
import sys
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from segjax.training import checkpoints
from segjax.types import InputError


@pytest.mark.parametrize("kind", checkpoints.INTERRUPTIONS)
def test_an_interruption_waits_for_the_checkpoint(tmp_path, monkeypatch, kind):
    save, tree, written = checkpoints.ocp.save, {"a": np.arange(3)}, []

    def interrupted(*arguments, **options):
        signal.raise_signal(kind)
        save(*arguments, **options)
        written.append(arguments[0].name)

    def stop(number, frame):
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints.ocp, "save", interrupted)
    usual = signal.signal(kind, stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            checkpoints.save_checkpoint(tmp_path, 4, tree)
        assert signal.getsignal(kind) is stop
    finally:
        signal.signal(kind, usual)
    assert written == ["4"]
    np.testing.assert_array_equal(checkpoints.restore_checkpoint(tmp_path, tree)["a"], tree["a"])


FULL = """
import resource, sys
from pathlib import Path
import numpy as np
from segjax.training.checkpoints import restore_checkpoint, save_checkpoint
from segjax.types import InputError

folder, tree = Path(sys.argv[1]), {"a": np.random.default_rng(0).random(40_000)}
save_checkpoint(folder, 1, tree)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
try:
    save_checkpoint(folder, 2, tree)
except InputError as error:
    print(error)
assert [path.name for path in folder.iterdir()] == ["1"]
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
np.testing.assert_array_equal(restore_checkpoint(folder, tree)["a"], tree["a"])
save_checkpoint(folder, 2, tree)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="a limit of POSIX systems")
def test_a_disk_that_fills_meanwhile_is_said_in_one_line_and_the_checkpoint_before_stays(tmp_path):
    ended = subprocess.run([sys.executable, "-c", FULL, tmp_path / "kept"], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == (
        f"{tmp_path / 'kept'}: File too large; free space there, then give the same command again; what was finished "
        "is kept\n"
    )
    assert "os_error_code" not in ended.stderr


def test_a_full_disk_is_said_before_anything_is_written(tmp_path, monkeypatch):
    checkpoints.save_checkpoint(tmp_path, 1, tree := {"a": np.arange(3), "key": jax.random.key(0)})
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=20))  # 24 bytes are needed, and a key
    with pytest.raises(InputError, match=r"No space left on device; free space there"):
        checkpoints.save_checkpoint(tmp_path, 2, tree)
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_a_second_damaged_checkpoint_of_a_step_is_put_beside_the_first(tmp_path):
    tree = {"a": np.arange(3)}
    for expected in (["3.damaged"], ["3.damaged", "3.damaged1"]):
        checkpoints.save_checkpoint(tmp_path, 3, tree)
        with pytest.warns(UserWarning, match="is damaged"):
            assert checkpoints.restore_checkpoint(tmp_path, {"other": np.arange(3)}) is None
        assert sorted(path.name for path in tmp_path.iterdir()) == expected


def test_a_file_where_the_folder_of_checkpoints_should_be_is_refused(tmp_path):
    (tmp_path / "kept").write_text("")
    with pytest.raises(InputError, match=r"kept: .*a file is where a folder should be"):
        checkpoints.save_checkpoint(tmp_path / "kept", 1, {"a": np.arange(3)})
