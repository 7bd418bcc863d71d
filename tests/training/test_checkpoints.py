"""A checkpoint is whole or not there, says who made it, and is never what ends a training."""

import errno
import json
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from orbax.checkpoint import v1 as ocp

from segjax import interruption
from segjax.interruption import Stopped
from segjax.training import checkpoints
from segjax.training.checkpoints import Checkpoints, restore_checkpoint, save_checkpoint
from segjax.types import InputError

TREE = {"a": np.arange(3)}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_and_the_one_before_it_are_kept(tmp_path):
    assert restore_checkpoint(tmp_path / "none", TREE) is None
    for value in (1, 2, 3):
        save_checkpoint(tmp_path, {"a": np.full(3, value)})
    assert names(tmp_path) == ["2", "3"]
    np.testing.assert_array_equal(restore_checkpoint(tmp_path, TREE)["a"], [3, 3, 3])


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_waits_for_the_checkpoint(tmp_path, monkeypatch, kind):
    save, written = ocp.save, []

    def interrupted(*arguments, **options):
        signal.raise_signal(kind)
        save(*arguments, **options)
        written.append(arguments[0].name)

    monkeypatch.setattr(interruption, "_request", interruption._Request())
    monkeypatch.setattr(ocp, "save", interrupted)
    usual = signal.signal(kind, lambda number, _: interruption.request(signal.Signals(number)))
    try:
        with pytest.raises(Stopped):
            save_checkpoint(tmp_path, TREE)
    finally:
        signal.signal(kind, usual)
    assert written == ["1"]
    np.testing.assert_array_equal(restore_checkpoint(tmp_path, TREE)["a"], TREE["a"])


@pytest.mark.slow
def test_threads_that_save_at_once_do_not_disturb_each_other(tmp_path):
    wrong, together = [], threading.Barrier(4)

    def work(number):
        for value in range(10):
            together.wait(60)
            try:
                save_checkpoint(tmp_path / str(number), {"a": np.full(3, value)})
            except Exception as error:
                wrong.append(error)
        assert restore_checkpoint(tmp_path / str(number), TREE)["a"][0] == 9

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert wrong == [] and not any(thread.is_alive() for thread in threads)


FULL = """
import resource, sys
from pathlib import Path
import numpy as np
from segjax.training.checkpoints import restore_checkpoint, save_checkpoint
from segjax.types import InputError

folder, tree = Path(sys.argv[1]), {"a": np.random.default_rng(0).random(40_000)}
save_checkpoint(folder, tree)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
try:
    save_checkpoint(folder, tree)
except InputError as error:
    print(error)
assert [path.name for path in folder.iterdir()] == ["1"]
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
np.testing.assert_array_equal(restore_checkpoint(folder, tree)["a"], tree["a"])
save_checkpoint(folder, tree)
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
    save_checkpoint(tmp_path, tree := {"a": np.arange(3), "key": jax.random.key(0)})
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=20))  # 24 bytes are needed, and a key
    with pytest.raises(InputError, match=r"No space left on device; free space there"):
        save_checkpoint(tmp_path, tree)
    assert names(tmp_path) == ["1"]


def test_a_file_where_the_folder_of_checkpoints_should_be_is_refused(tmp_path):
    (tmp_path / "kept").write_text("")
    with pytest.raises(InputError, match=r"kept: .*a file is where a folder should be"):
        save_checkpoint(tmp_path / "kept", TREE)


def cut(folder):
    for file in folder.rglob("*"):
        if file.is_file() and file.stat().st_size:
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip(folder):
    largest = max((file for file in folder.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 16
    largest.write_bytes(content)


def empty(folder):
    for file in folder.rglob("*"):
        if file.is_file():
            file.write_bytes(b"")


def forge(folder):
    file = next(file for file in folder.rglob("*") if file.is_file() and b"arm-1" in file.read_bytes())
    file.write_bytes(file.read_bytes().replace(b"arm-1", b"arm-2"))


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("damage", [cut, flip, empty])
def test_a_damaged_checkpoint_is_set_aside_and_named(tmp_path, damage):
    noise = np.random.default_rng(0).random((64, 64), np.float32)
    for step in (1, 2):
        save_checkpoint(tmp_path, {"weights": noise + step})
    damage(tmp_path / "2")
    with pytest.warns(UserWarning, match=r"checkpoint \S*/2 is damaged.*; it is now 2.damaged; going"):
        restored = restore_checkpoint(tmp_path, {"weights": noise})
    np.testing.assert_array_equal(restored["weights"], noise + 1)
    assert names(tmp_path) == ["1", "2.damaged"]


@pytest.mark.parametrize("kind", ["folder", "file", "read-only"])
def test_what_bears_the_name_of_a_damaged_one_already_stops_nothing(tmp_path, monkeypatch, kind):
    save_checkpoint(tmp_path, TREE)
    save_checkpoint(tmp_path, {"other": np.arange(3)})
    there = tmp_path / "2.damaged"
    if kind == "folder":
        (there / "kept").mkdir(parents=True)
    elif kind == "file":
        there.write_text("kept")
    else:
        monkeypatch.setattr(checkpoints, "set_aside", refused)
    with pytest.warns(UserWarning, match="is damaged"):
        assert restore_checkpoint(tmp_path, TREE) is not None
    assert names(tmp_path) == (["1", "2"] if kind == "read-only" else ["1", "2.damaged", "2.damaged-2"])
    monkeypatch.undo()
    save_checkpoint(tmp_path, TREE)
    assert names(tmp_path)[-1] == ("3" if kind == "read-only" else "2.damaged-2")
    assert restore_checkpoint(tmp_path, TREE) is not None


def refusing(error):
    """A library that hides what happened in an error of its own."""

    def load(*arguments, **options):
        try:
            raise error
        except Exception as cause:
            raise ValueError("incompatible handler") from cause

    return load


EXHAUSTED = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(
    ("error", "raised", "said"),
    [
        (EXHAUSTED, jax.errors.JaxRuntimeError, "RESOURCE_EXHAUSTED"),
        (MemoryError("no room"), MemoryError, "no room"),
        (OSError(errno.EIO, "Input/output error"), InputError, r"1\S*: Input/output error; "),
        (OSError(errno.ESTALE, "Stale file handle"), InputError, r"1\S*: Stale file handle; "),
        (OSError(errno.ETIMEDOUT, "Connection timed out"), OSError, "Connection timed out"),
        (ValueError("UNKNOWN: [os_error_code='5']"), InputError, "Input/output error"),
    ],
)
def test_what_is_no_fault_of_a_checkpoint_leaves_it_where_it_is(tmp_path, monkeypatch, processes, error, raised, said):
    with monkeypatch.context() as patch:
        patch.setattr(jax, "process_count", lambda: processes)
        save_checkpoint(tmp_path, TREE)
        patch.setattr(ocp, "load", refusing(error))
        patch.setattr(checkpoints, "load_alone", refusing(error))
        with pytest.raises(raised, match=said):
            restore_checkpoint(tmp_path, TREE)
    assert restore_checkpoint(tmp_path, TREE) is not None


def test_a_disk_that_refuses_to_say_who_made_a_checkpoint_leaves_it_where_it_is(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, TREE)

    def unreadable(path):
        raise OSError(errno.EIO, "Input/output error", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", unreadable)
        with pytest.raises(InputError, match=r"1: Input/output error; "):
            restore_checkpoint(tmp_path, TREE)
    assert restore_checkpoint(tmp_path, TREE) is not None


def refused(path):
    raise InputError(f"{path}: Read-only file system; choose another folder")


MADE = {"training": "unet, seed 0", "configuration": "farm-1", "code": "c0de"}


@pytest.mark.parametrize(
    ("name", "other", "said"),
    [
        ("training", "unet, seed 1", r"another training \(unet, seed 0, not unet, seed 1\)"),
        ("configuration", "farm-2", r"another configuration \(farm-1, not farm-2\)"),
        ("code", "d0ce", r"another code \(c0de, not d0ce\)"),
        ("machine", "x", r"another machine \(not said, not x\)"),
    ],
)
def test_a_checkpoint_of_another_maker_is_set_aside_with_the_difference(tmp_path, name, other, said):
    save_checkpoint(tmp_path, TREE, MADE)
    assert restore_checkpoint(tmp_path, TREE, MADE) is not None
    with pytest.warns(UserWarning, match=rf"checkpoint \S*/1 was made with {said}; it is now 1.damaged; going back to"):
        assert restore_checkpoint(tmp_path, TREE, {**MADE, name: other}) is None
    assert names(tmp_path) == ["1.damaged"]


def test_a_checkpoint_of_another_jax_is_set_aside_whatever_else_is_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "__version__", "0.0.1")
    save_checkpoint(tmp_path, TREE)
    monkeypatch.undo()
    with pytest.warns(UserWarning, match=rf"another JAX \(0.0.1, not {jax.__version__}\)"):
        assert restore_checkpoint(tmp_path, TREE) is None


def test_a_checkpoint_whose_maker_was_changed_is_damaged(tmp_path):
    save_checkpoint(tmp_path, TREE, MADE)
    forge(tmp_path / "1")
    with pytest.warns(UserWarning, match="its content hash does not hold"):
        assert restore_checkpoint(tmp_path, TREE, json.loads(json.dumps(MADE).replace("arm-1", "arm-2"))) is None


@pytest.fixture
def clock(monkeypatch):
    """Seconds that a test sets."""
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: now.seconds)
    return now


def test_checkpoints_are_due_by_seconds(tmp_path, clock):
    kept = Checkpoints(tmp_path, {}, seconds=60.0)
    found = []
    for seconds in (0, 59, 1, 59, 30, 31):
        clock.seconds += seconds
        kept.keep_where_due(TREE, epoch=0)
        found.append(max(names(tmp_path), default=""))
    assert found == ["", "", "1", "1", "2", "2"]


def test_checkpoints_are_due_by_epochs(tmp_path):
    kept = Checkpoints(tmp_path, {}, seconds=0.0, epochs=2)
    found = []
    for epoch in (0, 0, 1, 2, 2, 3, 4):
        kept.keep_where_due(TREE, epoch)
        found.append(max(names(tmp_path), default=""))
    assert found == ["", "", "", "1", "1", "1", "2"]


def test_a_save_that_fails_is_said_once_and_tried_again_when_the_next_is_due(tmp_path, monkeypatch, clock):
    kept, save, failing = Checkpoints(tmp_path, {}, seconds=60.0), ocp.save, [True]

    def broken(*arguments, **options):
        if failing[0]:
            raise RuntimeError("no luck")
        save(*arguments, **options)

    monkeypatch.setattr(ocp, "save", broken)
    with pytest.warns(UserWarning, match=r"no checkpoint can be written there \(no luck\); the training goes on"):
        kept.keep(TREE)
    clock.seconds += 60
    kept.keep_where_due(TREE, 0)  # an error now, if it warned again
    failing[0] = False
    clock.seconds += 59
    kept.keep_where_due(TREE, 0)
    assert names(tmp_path) == []
    clock.seconds += 1
    kept.keep_where_due(TREE, 0)
    assert names(tmp_path) == ["1"]
