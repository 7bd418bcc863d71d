"""When stop="plateau" ends a training: the published rule, worked out by hand and by an independent loop."""

import dataclasses
import itertools
import math
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segjax.training import LoopConfig, Pictures
from segjax.training.checkpoints import save_checkpoint
from segjax.training.fit import Member, Run, training
from segjax.types import InputError

ONE = Pictures(np.zeros((1, 1, 1, 1), np.float32), np.ones((1, 1, 1), np.int32))
NAN = math.nan


class State(NamedTuple):
    """Of a network whose only weight is the number of its epoch."""

    variables: Any


def weights(epoch):
    return {"epoch": np.full((), epoch, np.int32)}


def fitted(losses, loop, **options):
    """A training, of one step an epoch, whose network has these validation losses."""
    work, remaining = training(Member(jax.random.key(0), ONE, ONE, **options), loop), iter(losses)
    call = next(work)
    try:
        while True:
            if call.name == "init":
                answer = State(weights(-1))
            elif call.name == "train":
                answer = State(weights(call.arguments[0].variables["epoch"] + 1)), np.float32(1)
            else:
                answer = [next(remaining, 1.0)], [1]
            call = work.send(answer)
    except StopIteration as ended:
        return ended.value


def plateau(patience=10, epochs=1000):
    return LoopConfig(epochs=epochs, stop="plateau", patience=patience, restarts=0)


def epochs_by_the_published_rule(losses, patience):
    """Early stopping as the authors of the annotation studies describe it, loss by loss; None: it goes on."""
    lowest, since = losses[0], 0
    for epoch, loss in enumerate(losses[1:], start=2):
        if not math.isfinite(loss):
            return epoch
        if lowest > 0 and (lowest - loss) / lowest >= 0.001:
            lowest, since = loss, 0
        else:
            since += 1
        if since == patience + 1:
            return epoch
    return None


def falling(share, epochs):
    return [(1 - share) ** epoch for epoch in range(epochs)]


@pytest.mark.parametrize(
    ("losses", "epochs", "best"),
    [
        # every second fall of 0.07 % is a gain, the last one in the 39th epoch
        pytest.param(falling(0.0007, 40) + [1.0] * 20, 39 + 11, 39, id="small falls add up"),
        # 11 falls of 0.009 % make 0.099 %
        pytest.param(falling(0.00009, 40), 1 + 11, 11, id="falls too small for 0.1 % in 11 epochs"),
        # 5 falls of 0.02 % make 0.09996 %, so every 6th is a gain
        pytest.param(falling(0.0002, 40) + [1.0] * 20, 37 + 11, 39, id="the reference is that of the last gain"),
        pytest.param([1.0, 0.999] + [0.999] * 20, 2 + 11, 1, id="exactly 0.1 % is a gain"),
        pytest.param([1.0, 0.9991] + [1.0] * 20, 1 + 11, 1, id="0.09 % is none, but the lowest"),
        pytest.param([1.0] * 20, 1 + 11, 0, id="ties"),
        pytest.param([0.0] * 20, 1 + 11, 0, id="nothing left to gain"),
        pytest.param([0.5, *[0.7] * 10, 0.4, *[0.6] * 20], 12 + 11, 11, id="a gain in the last epoch that waits"),
        pytest.param([0.5, *[0.7] * 11, 0.4], 1 + 11, 0, id="a gain one epoch too late"),
        pytest.param([1.0, 2.0, 1.5, 1.2] + [1.1] * 20, 1 + 11, 0, id="falls after a rise"),
        pytest.param([0.5, NAN, 0.1], 2, 0, id="not a number"),
        pytest.param([math.inf, 0.1], 1, 0, id="infinite in the first epoch"),
    ],
)
def test_a_plateau_ends_where_the_published_rule_ends(losses, epochs, best):
    found = fitted(losses, plateau())
    assert len(found.losses) == epochs
    assert found.best_epoch == best
    if math.isfinite(losses[0]):
        assert epochs_by_the_published_rule(losses, patience=10) == epochs
        assert found.variables["epoch"] == best
    assert found.status == ("ok" if np.isfinite(losses[:epochs]).all() else "diverged")


@given(
    st.floats(0.01, 100),
    st.lists(st.sampled_from([0.99, 0.9985, 0.9993, 0.9997, 1.0, 1.0004, 1.002]), max_size=40),
    st.integers(1, 4),
)
def test_any_losses_end_a_plateau_where_the_published_rule_ends(first, factors, patience):
    losses = list(itertools.accumulate(factors, lambda loss, factor: loss * factor, initial=first))
    epochs = epochs_by_the_published_rule(losses, patience) or len(losses)
    found = fitted(losses, plateau(patience, len(losses)))
    np.testing.assert_array_equal(found.losses[:, 1], losses[:epochs])
    assert found.variables["epoch"] == found.best_epoch == np.argmin(losses[:epochs])


def test_fixed_epochs_never_wait():
    assert len(fitted([1.0] * 30, dataclasses.replace(plateau(epochs=30), stop="fixed")).losses) == 30


def test_a_checkpoint_that_counted_every_gain_goes_on_by_the_published_rule(tmp_path):
    losses, loop = falling(0.0007, 40) + [1.0] * 20, plateau(epochs=60)
    history = np.full((60, 2), np.nan)
    history[:12] = np.stack([np.ones(12), losses[:12]], axis=1)
    run = Run(
        state=State(weights(11)),
        best=weights(11),
        best_loss=np.full((), losses[11]),
        best_epoch=np.full((), 11),
        waited=np.full((), 11),  # no single fall was 0.1 %
        epoch=np.full((), 12),
        steps=np.zeros((), np.int64),
        total=np.zeros((), np.float32),
        losses=history,
    )
    save_checkpoint(tmp_path / "attempt-0", run)
    resumed = fitted(losses[12:], loop, checkpoints=tmp_path)
    np.testing.assert_array_equal(resumed.losses, fitted(losses, loop).losses)


def test_the_first_epoch_is_kept_only_where_it_counts():
    losses = [0.1, 0.4, 0.3, 0.35]
    for counts, best in ((True, 0), (False, 2)):
        loop = LoopConfig(epochs=4, restarts=0, first_epoch_counts=counts)
        found = fitted(losses, loop)
        assert found.best_epoch == best == found.variables["epoch"]
    with pytest.raises(InputError, match="epochs: where the first epoch does not count, 1 leaves none to keep"):
        LoopConfig(epochs=1, first_epoch_counts=False)
