"""Provide the helpers that the recurrences of PyTorch's operations share.

Inside these recurrences tensors are ``[T, ..., L, B, H]``, and each gate has contiguous memory of
its own: an operation on some columns of wide rows takes several times as long as one on whole rows.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from trainables.architectures.products import add_products

# Bytes of pre-activation gradients in a block of time steps. On a CPU they have to stay in its
# cache; on a GPU larger blocks need fewer kernel launches.
BLOCK_BYTES = 1 << 20
GPU_BLOCK_BYTES = 1 << 28


def needs_gradient(*tensors: Tensor) -> bool:
    """Return whether a backward pass may follow, for which the forward pass must keep values."""
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def by_gate(columns: Tensor, hidden: int) -> Tensor:
    """Return a view of ``columns`` in which gates are a dimension of their own.

    Args:
        columns: columns of all gates ``[L, T, B, G * H]``, or those of one step ``[L, B, G * H]``.
        hidden: hidden width H.

    Returns:
        The view ``[T, G, L, B, H]``, or ``[G, L, B, H]`` for one step.
    """
    shape = (*columns.shape[:-1], columns.shape[-1] // hidden, hidden)
    gates = columns.view(shape)
    return gates.permute(1, 3, 0, 2, 4) if gates.dim() == 5 else gates.permute(2, 0, 1, 3)


def room(like: Tensor, steps: int, *gates: int) -> Tensor:
    """Allocate uninitialised memory for values of several steps.

    Args:
        like: a state ``[L, B, H]`` that gives shape, number format and device.
        steps: number of steps.
        *gates: further dimensions between steps and lanes, such as the number of gates.

    Returns:
        The memory ``[steps, *gates, L, B, H]``.
    """
    return torch.empty(steps, *gates, *like.shape, dtype=like.dtype, device=like.device)


def steps_of(stored: Tensor, time: int) -> tuple[Tensor, ...]:
    """Return the memory of each time step; all steps share it if ``stored`` holds a single step.

    Args:
        stored: memory ``[time, ...]``, or ``[1, ...]`` if nothing is kept for a backward pass.
        time: number of time steps.
    """
    return stored.unbind(0) * (time // stored.shape[0])


def blocks_from_the_end(dz: Tensor) -> Iterator[tuple[int, int]]:
    """Yield blocks of time steps as pairs (begin, end), from the last block to the first.

    Args:
        dz: gradients of pre-activations ``[L, T, B, columns]``; a block takes at most
            ``BLOCK_BYTES`` of them (``GPU_BLOCK_BYTES`` on a GPU), but at least one step.
    """
    lanes, time, batch, columns = dz.shape
    limit = BLOCK_BYTES if dz.device.type == "cpu" else GPU_BLOCK_BYTES
    length = max(1, limit // max(1, lanes * batch * columns * dz.element_size()))
    for end in range(time, 0, -length):
        yield max(0, end - length), end


def above(gradient: Tensor | None, time: int) -> list[Tensor | None]:
    """Return, for each time step, the gradient of the output of the step before it.

    The backward pass of a step adds it to the gradient that the step passes back to its old state.

    Args:
        gradient: gradient of the last outputs ``[L, outputs, B, H]``, at most ``time`` of them, or
            None.
        time: number of time steps.

    Returns:
        One gradient ``[L, B, H]`` per step, or None where that output has no gradient: at the first
        step, whose old state is the initial state, and before the outputs that ``gradient`` covers.
    """
    steps: list[Tensor | None] = [] if gradient is None else list(gradient.unbind(1)[:-1])
    return [None] * (time - len(steps)) + steps


def last(gradient: Tensor | None, like: Tensor) -> Tensor:
    """Return the gradient of the state after the last step, in new memory.

    Args:
        gradient: gradient of the last output ``[L, B, H]``; None: zero.
        like: a state ``[L, B, H]`` that gives shape, number format and device.
    """
    new = torch.empty(like.shape, dtype=like.dtype, device=like.device)
    return new.zero_() if gradient is None else new.copy_(gradient)


def before(start: Tensor, states: Tensor, begin: int, end: int, out: Tensor) -> Tensor:
    """Copy the states before the steps ``begin`` to ``end`` into ``out [end - begin, L, B, H]``.

    Args:
        start: initial state ``[L, B, H]``.
        states: states after each step ``[T, L, B, H]``.
        begin: first step.
        end: step after the last one.
        out: memory that is overwritten.

    Returns:
        ``out``.
    """
    if begin:
        return out.copy_(states[begin - 1 : end - 1])
    out[0] = start
    out[1:] = states[: end - 1]
    return out


def add_weight_gradient(
    total: Tensor, start: Tensor, outputs: Tensor, dz: Tensor, begin: int, end: int
) -> None:
    """Add the sum of (state before a step)^T dz over the steps ``begin`` to ``end`` to ``total``.

    Args:
        total: gradient of the recurrent weight ``[L, H, columns]``.
        start: initial state ``[L, B, H]``.
        outputs: states after each step ``[L, T, B, H]``.
        dz: gradients of pre-activations ``[L, T, B, columns]``.
        begin: first step.
        end: step after the last one.
    """
    if not begin:
        total.baddbmm_(start.mT, dz[:, 0])
        begin = 1
    if begin < end:
        states = outputs[:, begin - 1 : end - 1].flatten(1, 2)
        add_products(total, states, dz[:, begin:end].flatten(1, 2))
