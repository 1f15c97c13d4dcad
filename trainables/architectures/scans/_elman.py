"""h' = carry h + gamma s(u + h W): vanilla, linear and residual networks."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from trainables.architectures.nonlinearity import Nonlinearity
from trainables.architectures.scans import common


def elman(
    u: Tensor,
    h: Tensor,
    weight: Tensor,
    phi: Nonlinearity,
    carry: Tensor | None = None,
    gamma: Tensor | float | None = None,
    *,
    first: int = 0,
) -> Tensor:
    """Over time h' = carry h + gamma phi(u_t + h weight); see the package.

    Args:
        u: ``[L, T, B, H]``, consumed.
        h: the initial state ``[L, B, H]``.
        weight: ``[L, H, H]``.
        carry: ``[L, 1, H]``, a constant; without it, the state is not carried over.
        gamma: a number or ``[L, 1, H]``, a constant; without it, one.
        first: the first output's time step.

    Returns:
        The states ``[L, T - first, B, H]``.
    """
    keep = common.needs_gradient(u, h, weight)
    outputs: Tensor = _Elman.apply(u, h, weight, phi, carry, gamma, first, keep)  # type: ignore[no-untyped-call]
    return outputs


class _Elman(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        u: Tensor,
        h: Tensor,
        weight: Tensor,
        phi: Nonlinearity,
        carry: Tensor | None,
        gamma: Tensor | float | None,
        first: int,
        keep: bool,
    ) -> Tensor:
        start = h
        plain = carry is None and gamma is None
        # Unless both a step's s(z) and its state are needed later, one memory serves for both.
        shared = u.is_contiguous() and (plain or not keep)
        outputs = (
            u.detach() if shared else torch.empty_like(u, memory_format=torch.contiguous_format)
        )
        for z, out in zip(u.unbind(1), outputs.unbind(1), strict=True):
            s = phi.apply_(z.baddbmm_(h, weight))
            if gamma is not None:
                s = torch.mul(s, gamma, out=out)
            if carry is not None:
                torch.addcmul(s, carry, h, out=out)
            elif plain and not shared:
                out.copy_(s)
            h = out
        ctx.phi, ctx.carry, ctx.gamma = phi, carry, gamma
        ctx.save_for_backward(start, weight, outputs, outputs if plain else u.detach())
        ctx.set_materialize_grads(False)
        return outputs[:, first:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor | None) -> tuple[Tensor | None, ...]:
        start, weight, outputs, values = ctx.saved_tensors
        carry, gamma = ctx.carry, ctx.gamma
        transposed = weight.mT
        above = common.by_step(gradient, values.shape[1])
        dz = torch.empty(values.shape, dtype=values.dtype, device=values.device)
        dh = common.at_the_end(above[-1], start)
        for begin, end in common.blocks_from_the_end(dz):
            slopes = ctx.phi.slope(values[:, begin:end], dz[:, begin:end])
            if gamma is not None:
                slopes.mul_(gamma if isinstance(gamma, float) else gamma.unsqueeze(1))
            steps = slopes.unbind(1)
            for t in range(end - 1, begin - 1, -1):
                dz_t = steps[t - begin].mul_(dh)
                before = above[t - 1] if t else None
                if carry is None:
                    common.through(before, dz_t, transposed, dh)
                else:
                    dh.mul_(carry) if before is None else torch.addcmul(before, carry, dh, out=dh)
                    dh.baddbmm_(dz_t, transposed)
        needs = ctx.needs_input_grad
        dw = common.weight_gradient(start, outputs, dz) if needs[2] else None
        return dz, dh, dw, None, None, None, None, None
