"""An interruption that comes while a checkpoint is written waits until it is whole."""

import signal

import numpy as np
import pytest

from segjax.training import checkpoints


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
