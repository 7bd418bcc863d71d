"""Event files hold what the results hold, for whoever watches a run; nobody gets any who did not ask."""

import errno
import struct
import threading

import numpy as np
import pytest
from tensorboardX import event_file_writer
from tensorboardX.proto.event_pb2 import Event

from experiments.harness.events import Events, check_tensorboard
from experiments.harness.options import RunOptions
from experiments.harness.store import TrainingStore
from segjax.sweeps import Row
from segjax.types import InputError
from tests.experiments.harness.tiny import CountingTrainer, Training


def scalars(folder):
    """(tag, step) -> value of an event file: records of a length, its checksum, an event, and its checksum."""
    (path,) = folder.iterdir()
    content, found = path.read_bytes(), {}
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        event = Event.FromString(content[12 : 12 + length])
        found |= {(value.tag, event.step): value.simple_value for value in event.summary.value}
        content = content[16 + length :]
    return found


def test_losses_and_means_are_written(tmp_path):
    events = Events(tmp_path, True)
    events.training("unet_1", np.array([[0.75, 0.5], [0.25, np.nan]]))
    events.trial("unet", [Row("dice", 0.25, "a"), Row("dice", 0.75, "b"), Row("iou", 0.125)])
    assert scalars(tmp_path / "tensorboard" / "trainings" / "unet_1") == {
        ("loss/training", 0): 0.75, ("loss/validation", 0): 0.5, ("loss/training", 1): 0.25,
    }  # fmt: skip
    assert scalars(tmp_path / "tensorboard" / "trials" / "unet") == {("metric/dice", 0): 0.5, ("metric/iou", 0): 0.125}


def test_what_cannot_be_written_is_said_once_and_fails_nothing(tmp_path):
    (tmp_path / "tensorboard").write_text("in the way")
    run = RunOptions(tmp_path, strategy="sequential", tensorboard=True)
    store, base = TrainingStore(run, CountingTrainer()), Training("base", 0)
    with pytest.warns(UserWarning, match=r"tensorboard: event files cannot be written there \(.*; the results") as said:
        store.ensure([base, Training("base", 1)])
        store.events.trial("unet", [Row("dice", 0.25, "a")])
    assert len(said) == 1 and store.load(base).status == "ok"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_disk_that_fills_meanwhile_stops_nothing(tmp_path, monkeypatch):
    def full(writer, event):
        if event.summary.value:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(event_file_writer.EventsWriter, "write_event", full)
    writing = threading.Thread(target=Events(tmp_path, True).training, args=("a", np.zeros((40, 2))), daemon=True)
    writing.start()
    writing.join(20)
    assert not writing.is_alive()


def test_nothing_is_written_unless_asked_for(tmp_path):
    Events(tmp_path, False).training("a", np.zeros((1, 2)))
    assert not list(tmp_path.iterdir())


def test_without_the_library_the_option_is_refused(monkeypatch):
    check_tensorboard()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'segjax\[tensorboard\]'"):
        check_tensorboard()
