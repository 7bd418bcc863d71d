"""Trained weights of the package give the logits that they gave, so that `VERSION` rises wherever they do not.

Where weights are new, or VERSION was raised, write the logits anew and commit them:

    python -m tests.models.test_pretrained_logits
"""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.export import channels_of
from segjax.models import card, create
from segjax.models.pretrained import load_pretrained, shipped_names

LOGITS = Path(__file__).with_suffix(".json")
SIDE, COUNT = 32, 6  # of the picture in pixels; logits that are kept of each network
ALL = tuple((name, kind) for name in shipped_names() for kind in card(name).networks)


def logits_of(name: str, kind: str) -> list[float]:
    """Some logits of a network of the package for a picture of waves."""
    network, variables = create(kind, pretrained=name), load_pretrained(kind, name).variables["variables"]
    shape = (1, SIDE, SIDE, channels_of(network, variables))
    image = jnp.asarray(np.sin(0.1 * np.arange(np.prod(shape))).reshape(shape) / 2 + 0.5, jnp.float32)
    logits = np.ravel(jax.jit(network.apply)(variables, image))
    return [round(float(value), 4) for value in logits[np.linspace(0, len(logits) - 1, COUNT).astype(int)]]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), ALL)
def test_weights_give_the_logits_that_they_gave(name, kind):
    np.testing.assert_allclose(
        logits_of(name, kind),
        json.loads(LOGITS.read_text())[f"{name}/{kind}"],
        rtol=0,
        atol=1e-3,
        err_msg=f"{name}/{kind} gives other logits: raise VERSION in segjax.models.pretrained, or, where the weights "
        "themselves are new, write the logits anew with python -m tests.models.test_pretrained_logits",
    )


if __name__ == "__main__":
    LOGITS.write_text(json.dumps({f"{name}/{kind}": logits_of(name, kind) for name, kind in ALL}, indent=1) + "\n")
