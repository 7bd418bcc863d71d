"""3x3 convolution by Winograd's minimal filtering F(2x2, 3x3): 16 matrix products where the plain sum needs 36.

Every 2x2 tile of the output depends on a 4x4 tile of the input. With the matrices below, Y = A' [(G k G') * (B' d B)] A
for a kernel k and an input tile d of one channel; over channels the elementwise product becomes 16 matrix products. The
kernel's gradient is the transpose of that: G' [(B' d B) * (A dY A')] G, summed over tiles.

Source: Lavin and Gray, CVPR 2016.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], np.float32)


def convolve(x: Float[Array, "B H W C"], kernel: Float[Array, "3 3 C F"]) -> Float[Array, "B H W F"]:
    """out[p] = sum over taps t of x[p + t - 1] @ kernel[t], the picture padded with zeros."""
    b, h, w, c = x.shape
    tiles = _input_tiles(x)
    kernels = jnp.einsum("iu,jv,uvcf->ijcf", G, G, kernel)
    products = [[tiles[i][j].reshape(-1, c) @ kernels[i, j] for j in range(4)] for i in range(4)]
    columns = [_to_output([products[i][j] for i in range(4)]) for j in range(4)]
    out = [_to_output([columns[j][row] for j in range(4)]) for row in range(2)]
    # Apart from the sums: put together in one loop with them, every number would be computed under a branch.
    out = jax.lax.optimization_barrier(out)
    shape = (b, (h + 1) // 2, (w + 1) // 2, kernel.shape[-1])
    rows = [jnp.stack([part.reshape(shape) for part in row], 3) for row in out]
    whole = jnp.stack(rows, 2).reshape(b, h + h % 2, w + w % 2, -1)
    return whole[:, :h, :w]


def kernel_gradient(x: Float[Array, "B H W C"], gradient: Float[Array, "B H W F"]) -> Float[Array, "3 3 C F"]:
    """Gradient of sum(convolve(x, kernel) * gradient) with respect to the kernel."""
    tiles = _input_tiles(x)
    c, f = x.shape[-1], gradient.shape[-1]
    phases = _phases(jnp.pad(gradient, _to_even(gradient)))
    rows = [_from_output([phases[0][j], phases[1][j]]) for j in range(2)]
    gradients = [_from_output([rows[0][i], rows[1][i]]) for i in range(4)]
    products = [
        jnp.stack([tiles[i][j].reshape(-1, c).T @ gradients[i][j].reshape(-1, f) for j in range(4)]) for i in range(4)
    ]
    return jnp.einsum("iu,jv,ijcf->uvcf", G, G, jnp.stack(products))


def _input_tiles(x: Float[Array, "B H W C"]) -> list[list[Float[Array, "B T S C"]]]:
    """B' d B of every tile: entry i, j of all tiles as one array, T x S of them."""
    (_, odd_rows), (_, odd_columns) = _to_even(x)[1:3]
    phases = _phases(jnp.pad(x, ((0, 0), (1, 1 + odd_rows), (1, 1 + odd_columns), (0, 0))))
    down, across = (length - 1 for length in phases[0][0].shape[1:3])
    taps = [
        [phases[i % 2][j % 2][:, i // 2 : i // 2 + down, j // 2 : j // 2 + across] for j in range(4)] for i in range(4)
    ]
    rows = [_from_input([taps[i][j] for i in range(4)]) for j in range(4)]
    return [_from_input([rows[j][i] for j in range(4)]) for i in range(4)]


def _phases(x: Float[Array, "B H W C"]) -> list[list[Float[Array, "B H/2 W/2 C"]]]:
    """Pixels of even and odd rows and columns apart, so that what follows reads contiguous memory."""
    b, h, w, c = x.shape
    pairs = x.reshape(b, h // 2, 2, w // 2, 2, c)
    return jax.lax.optimization_barrier([[pairs[:, :, i, :, j] for j in range(2)] for i in range(2)])


def _to_even(x: Float[Array, "B H W C"]) -> list[tuple[int, int]]:
    """Margins that give rows and columns in pairs."""
    return [(0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0)]


def _from_input(d):
    """B' d."""
    return [d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]]


def _to_output(m):
    """A' m."""
    return [m[0] + m[1] + m[2], m[1] - m[2] - m[3]]


def _from_output(y):
    """A y."""
    return [y[0], y[0] + y[1], y[0] - y[1], -y[1]]
