"""The layers of a mixed-scale dense network as one operation: matrix products over channels and shifted sums."""

from dataclasses import dataclass
from functools import partial
from itertools import groupby

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Float

from segjax.ops.symbols import places


def dense_stack_columns(channels: int, depth: int, width: int) -> int:
    """Columns of the kernel matrix of `dense_dilated_stack`: the summed input channels of its layers."""
    return depth * channels + width * depth * (depth - 1) // 2


@partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def dense_dilated_stack(
    x: Float[Array, "C B H W"],
    kernels: Float[Array, "T S"],
    biases: Float[Array, "R *S"],
    dilations: tuple[int, ...],
    guided: bool = False,
) -> Float[Array, "N B H W"]:
    """Densely connected dilated 3x3 convolutions with ReLU; every layer adds F channels to the stack it reads.

    Layer i computes ReLU(b_i + sum over taps t of W_it @ stack[p + dilation_i * t]) from all channels before it, the
    picture reflected at its border (without repeating the border pixel).

    Args:
        x: input channels, the first rows of the stack.
        kernels: columns of layer i follow those of layer i - 1, one per channel it reads; T = 9 F rows in the order
            (tap row, tap column, output channel).
        biases: R = D F of them, F per layer; [R], [R, 1, 1, 1], or one per pixel [R, B, H, W].
        dilations: one per layer; each below H and W.
        guided: in the gradient, a layer's ReLU lets only positive gradients pass (guided backpropagation).

    Returns:
        All N = C + D F channels, channels first so that the stack grows by contiguous rows.

    Source: Pelt and Sethian, PNAS 115 (2018).
    """
    return _grow_forward(x, kernels, biases, dilations, guided)[0]


# Layers work on whole multiples of this many rows: one allocation serves many layers, and matrix products on CPU are up
# to twice as fast as with an odd number of rows.
ROWS = 16


@dataclass(frozen=True)
class _Layer:
    """Where a layer's numbers lie: rows of the stack, columns of the kernel matrix, entries of the biases."""

    dilation: int
    rows: slice
    columns: slice
    biases: slice


def _blocks(channels: int, width: int, dilations: tuple[int, ...]) -> list[tuple[int, list[_Layer]]]:
    """Layers grouped by the rows that the stack needs to hold them, in multiples of `ROWS`."""
    layers, column = [], 0
    for index, dilation in enumerate(dilations):
        row, bias = channels + index * width, index * width
        layers.append(_Layer(dilation, slice(row, row + width), slice(column, column + row), slice(bias, bias + width)))
        column += row
    return [(end, list(block)) for end, block in groupby(layers, lambda layer: -(-layer.rows.stop // ROWS) * ROWS)]


def _kernel(kernels, layer, rows):
    """The layer's columns, with zeros for the rows of the stack that it does not read."""
    return jnp.pad(kernels[:, layer.columns], ((0, 0), (0, rows - layer.rows.start)))


def _grow(x, kernels, biases, dilations):
    """The whole stack; mapped over pictures alone it is one batch, which XLA computes in a quarter of the time."""
    grow = partial(_grow_batch, dilations=dilations)
    mapped = custom_vmap(grow)

    @mapped.def_vmap
    def rule(size, is_mapped, x, kernels, biases):
        is_per_pixel = biases[0].size > 1
        if is_mapped != [True, False, False] or is_per_pixel:
            return jax.vmap(grow, [0 if part else None for part in is_mapped])(x, kernels, biases), True
        together = x.swapaxes(0, 1).reshape(x.shape[1], -1, *x.shape[3:])
        stack = _grow(together, kernels, biases, dilations)
        return stack.reshape(len(stack), size, *x.shape[2:]).swapaxes(0, 1), True

    return mapped(x, kernels, biases)


def _grow_batch(x, kernels, biases, dilations):
    width = kernels.shape[0] // 9
    stack, biases = x.reshape(x.shape[0], -1), biases.reshape(biases.shape[0], -1)
    for end, block in _blocks(x.shape[0], width, dilations):
        stack = jnp.pad(stack, ((0, end - stack.shape[0]), (0, 0)))
        for layer in block:
            taps = (_kernel(kernels, layer, end) @ stack).reshape(3, 3, width, *x.shape[1:])
            grown = _gather_taps(taps, layer.dilation).reshape(width, -1) + biases[layer.biases]
            stack = stack.at[layer.rows].set(jax.nn.relu(grown))
    return stack.reshape(-1, *x.shape[1:])


def _grow_forward(x, kernels, biases, dilations, guided):
    stack = _grow(x, kernels, biases, dilations)
    channels = x.shape[0] + biases.shape[0]
    return stack[:channels], (stack, kernels, biases, x.shape[0])


def _grow_backward(dilations, guided, residuals, gradient):
    stack, kernels, biases, channels = residuals
    shape, width = stack.shape[1:], kernels.shape[0] // 9
    stack = stack.reshape(stack.shape[0], -1)
    gradient = gradient.reshape(gradient.shape[0], -1)
    gradient = jnp.pad(gradient, ((0, stack.shape[0] - gradient.shape[0]), (0, 0)))
    kernel_parts, bias_parts = [], []
    is_per_pixel = biases[0].size > 1
    for end, block in reversed(_blocks(channels, width, dilations)):
        stack, gradient = stack[:end], gradient[:end]
        for layer in reversed(block):
            passing = jax.nn.relu(gradient[layer.rows]) if guided else gradient[layer.rows]
            active = jnp.where(stack[layer.rows] > 0, passing, 0)
            taps = _scatter_taps(active.reshape(width, *shape), layer.dilation).reshape(9 * width, -1)
            summed = jnp.matmul(taps, stack.T, preferred_element_type=jnp.float32).astype(kernels.dtype)
            kernel_parts.append(summed[:, : layer.rows.start])
            bias_parts.append(active.reshape(width, *biases.shape[1:]) if is_per_pixel else active.sum(1))
            gradient = gradient + _kernel(kernels, layer, end).T @ taps
    kernel_gradient = jnp.concatenate(kernel_parts[::-1], axis=1)
    bias_gradient = jnp.concatenate(bias_parts[::-1]).reshape(biases.shape)
    return gradient[:channels].reshape(channels, *shape), kernel_gradient, bias_gradient


dense_dilated_stack.defvjp(_grow_forward, _grow_backward)


def _gather_taps(taps, dilation):
    """Sum over tap rows u and columns v of taps[u, v] read at (u - 1, v - 1) dilations from each pixel."""
    rows = [sum(_look(taps[u, v], (v - 1) * dilation, -1) for v in range(3)) for u in range(3)]
    return sum(_look(rows[u], (u - 1) * dilation, -2) for u in range(3))


def _scatter_taps(x, dilation):
    """Transpose of `_gather_taps`."""
    rows = jnp.stack([_unlook(x, (u - 1) * dilation, -2) for u in range(3)])
    return jnp.stack([_unlook(rows, (v - 1) * dilation, -1) for v in range(3)], axis=1)


def _look(x, step, axis):
    """out[p] = x[p + step] along an axis, positions outside reflected at the border pixel."""
    last = x.shape[axis] - 1
    position = abs(places(last + 1) + step)
    return jnp.take(x, last - abs(last - position), axis=axis, mode="clip") if step else x


def _unlook(x, step, axis):
    """Transpose of `_look`: a shift back, plus the reflected border; as slices, because a scatter is slow."""
    axis, size = axis % x.ndim, x.shape[axis]

    def placed(part, before):
        margins = [(0, 0)] * x.ndim
        margins[axis] = (before, size - before - part.shape[axis])
        return jnp.pad(part, margins)

    cut = partial(jax.lax.slice_in_dim, x, axis=axis)
    if step > 0:
        return placed(cut(0, size - step), step) + placed(jnp.flip(cut(size - step, size), axis), size - 1 - step)
    if step < 0:
        return placed(cut(-step, size), 0) + placed(jnp.flip(cut(0, -step), axis), 1)
    return x
