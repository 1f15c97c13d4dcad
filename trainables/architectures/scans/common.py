"""What the backward passes share."""

from collections.abc import Iterator

import torch
from torch import Tensor

BLOCK_BYTES = 1 << 18  # of a block's pre-activation gradients: a part of a core's second cache


def needs_gradient(*tensors: Tensor) -> bool:
    """Whether a backward pass may come, so that a forward pass must keep what it needs."""
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def blocks_from_the_end(dz: Tensor) -> Iterator[tuple[int, int]]:
    """Ranges of time steps of ``dz [L, T, B, columns]``, the last ones first."""
    lanes, time, batch, columns = dz.shape
    length = max(1, BLOCK_BYTES // max(1, lanes * batch * columns * dz.element_size()))
    for end in range(time, 0, -length):
        yield max(0, end - length), end


def by_step(gradient: Tensor | None, time: int) -> list[Tensor | None]:
    """The outputs' gradient at each of ``time`` steps, None where there is none."""
    if gradient is None:
        return [None] * time
    steps: list[Tensor | None] = list(gradient.unbind(1))
    return [None] * (time - len(steps)) + steps


def through(gradient: Tensor | None, dz: Tensor, transposed: Tensor, out: Tensor) -> Tensor:
    """``gradient + dz @ transposed`` into ``out``: what reaches a state from the step after."""
    if gradient is None:
        return torch.bmm(dz, transposed, out=out)
    return torch.baddbmm(gradient, dz, transposed, out=out)


def at_the_end(gradient: Tensor | None, like: Tensor) -> Tensor:
    """The gradient of the last state: a new tensor ``[L, B, H]``."""
    if gradient is None:
        return torch.zeros(like.shape, dtype=like.dtype, device=like.device)
    return gradient.clone(memory_format=torch.contiguous_format)


def before(
    start: Tensor, states: Tensor, begin: int, end: int, out: Tensor | None = None
) -> Tensor:
    """The states before the steps ``begin`` to ``end``, ``[L, end - begin, B, H]``, copied.

    Args:
        start: the initial state ``[L, B, H]``.
        states: those after each step ``[L, T, B, H]``.
    """
    if begin:
        earlier = states[:, begin - 1 : end - 1]
        return earlier.clone() if out is None else out.copy_(earlier)
    if out is None:
        out = torch.empty_like(states[:, :end])
    out[:, 0] = start
    out[:, 1:] = states[:, : end - 1]
    return out


def weight_gradient(h: Tensor, outputs: Tensor, dz: Tensor) -> Tensor:
    """Sum over steps of (state before the step)^T dz: ``[L, H, columns]``.

    Args:
        h: the initial state ``[L, B, H]``.
        outputs: the states after each step ``[L, T, B, H]``.
        dz: ``[L, T, B, columns]``.
    """
    total = torch.bmm(h.mT, dz[:, 0])
    if dz.shape[1] > 1:
        total.baddbmm_(outputs[:, :-1].flatten(1, 2).mT, dz[:, 1:].flatten(1, 2))
    return total
