"""What a training step reads and writes."""

from dataclasses import dataclass
from typing import Any

import jax

Variables = dict[str, Any]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """One immutable pytree: everything but the pictures that decides the next step.

    Attributes:
        step: number of steps taken, int32 [].
        params: parameters of the network.
        model_state: running averages of the network, if it keeps any.
        opt_state: state of the optimizer.
        learning_rate: step size, float32 []; in the state, so that one compiled step serves every learning rate.
        key: PRNG key [], root of the randomness of the steps; step n draws from fold_in(key, n).
    """

    step: Any
    params: Any
    model_state: Any
    opt_state: Any
    learning_rate: Any
    key: Any

    @property
    def variables(self) -> Variables:
        """What `network.apply` takes."""
        return {"params": self.params, **self.model_state}
