"""What a network says about a scene, window by window."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.outline_sites.networks import blended_probability
from segjax.models import create


def test_windows_of_a_network_with_batch_statistics_have_their_own():
    network = create("unet", width=2, levels=1, norm="batch")
    image = np.random.default_rng(0).random((24, 40, 1), np.float32)
    variables = network.init(jax.random.key(0), jnp.asarray(image[None, :, :24]))
    found = blended_probability(network, variables, image, side=24, overlap=8)
    parts = {
        start: np.asarray(jax.nn.softmax(network.apply(variables, jnp.asarray(image[None, :, start : start + 24]))[0]))
        for start in (0, 16)
    }
    # row 11 is furthest from the border: column 20 lies 4 pixels inside the first window and 5 inside the second
    np.testing.assert_allclose(found[11, 20], (4 * parts[0][11, 20, 1] + 5 * parts[16][11, 4, 1]) / 9, atol=1e-5)
    np.testing.assert_allclose(found[:, 24:], parts[16][:, 8:, 1], atol=1e-5)
