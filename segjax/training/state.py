"""What a training step reads and writes."""

from dataclasses import dataclass
from typing import Any

import jax
import optax
from jaxtyping import Array, Int32, Key

Variables = dict[str, Any]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """One immutable pytree: everything but the pictures that decides the next step.

    Attributes:
        step: number of steps taken.
        params: parameters of the network.
        model_state: running averages of the network, if it keeps any.
        opt_state: state of the optimizer.
        key: root of the randomness of the steps; step n draws from fold_in(key, n).
    """

    step: Int32[Array, ""]
    params: Any
    model_state: Variables
    opt_state: optax.OptState
    key: Key[Array, ""]

    @property
    def variables(self) -> Variables:
        """What `network.apply` takes."""
        return {"params": self.params, **self.model_state}
