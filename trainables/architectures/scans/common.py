"""What the recurrences share.

Inside them tensors are ``[T, ..., L, B, H]``, each gate in a piece of memory of its own: an
operation on a few columns of a wide row costs several times one on whole rows.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from trainables.architectures.products import add_products

# Of a block's pre-activation gradients: what stays in a CPU's cache; on a GPU fewer launches count.
BLOCK_BYTES = 1 << 20
GPU_BLOCK_BYTES = 1 << 28


def needs_gradient(*tensors: Tensor) -> bool:
    """Whether a backward pass may come, so that a forward pass must keep what it needs."""
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def by_gate(columns: Tensor, hidden: int) -> Tensor:
    """``[L, T, B, G * H]`` seen as ``[T, G, L, B, H]``; one step, without T, likewise."""
    shape = (*columns.shape[:-1], columns.shape[-1] // hidden, hidden)
    gates = columns.view(shape)
    return gates.permute(1, 3, 0, 2, 4) if gates.dim() == 5 else gates.permute(2, 0, 1, 3)


def room(like: Tensor, steps: int, *gates: int) -> Tensor:
    """New memory ``[steps, *gates, L, B, H]`` for states like ``like [L, B, H]``."""
    return torch.empty(steps, *gates, *like.shape, dtype=like.dtype, device=like.device)


def steps_of(stored: Tensor, time: int) -> tuple[Tensor, ...]:
    """The memory of each of ``time`` steps, which is the same one where one was made."""
    return stored.unbind(0) * (time // stored.shape[0])


def blocks_from_the_end(dz: Tensor) -> Iterator[tuple[int, int]]:
    """Ranges of time steps of ``dz [L, T, B, columns]``, the last ones first."""
    lanes, time, batch, columns = dz.shape
    limit = BLOCK_BYTES if dz.device.type == "cpu" else GPU_BLOCK_BYTES
    length = max(1, limit // max(1, lanes * batch * columns * dz.element_size()))
    for end in range(time, 0, -length):
        yield max(0, end - length), end


def above(gradient: Tensor | None, time: int) -> list[Tensor | None]:
    """The outputs' gradient before each of ``time`` steps, None where there is none.

    That is, the gradient that joins the one which a step hands back to the state before it. The
    initial state is no output.
    """
    steps: list[Tensor | None] = [] if gradient is None else list(gradient.unbind(1)[:-1])
    return [None] * (time - len(steps)) + steps


def last(gradient: Tensor | None, like: Tensor) -> Tensor:
    """The gradient of the state after the last step: new memory ``[L, B, H]``."""
    new = torch.empty(like.shape, dtype=like.dtype, device=like.device)
    return new.zero_() if gradient is None else new.copy_(gradient)


def before(start: Tensor, states: Tensor, begin: int, end: int, out: Tensor) -> Tensor:
    """Copy the states before the steps ``begin`` to ``end`` into ``out [end - begin, L, B, H]``.

    Args:
        start: the initial state ``[L, B, H]``.
        states: those after each step ``[T, L, B, H]``.
    """
    if begin:
        return out.copy_(states[begin - 1 : end - 1])
    out[0] = start
    out[1:] = states[: end - 1]
    return out


def add_weight_gradient(
    total: Tensor, start: Tensor, outputs: Tensor, dz: Tensor, begin: int, end: int
) -> None:
    """Add (state before the step)^T dz of the steps ``begin`` to ``end``.

    Args:
        total: ``[L, H, columns]``.
        start: the initial state ``[L, B, H]``.
        outputs: the states after each step ``[L, T, B, H]``.
        dz: ``[L, T, B, columns]``.
    """
    if not begin:
        total.baddbmm_(start.mT, dz[:, 0])
        begin = 1
    if begin < end:
        states = outputs[:, begin - 1 : end - 1].flatten(1, 2)
        add_products(total, states, dz[:, begin:end].flatten(1, 2))
