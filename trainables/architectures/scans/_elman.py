"""Run vanilla, linear and residual recurrences over time: h' = carry h + gamma s(u + h W)."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from trainables.architectures.derivatives import second_wanted
from trainables.architectures.nonlinearity import Nonlinearity
from trainables.architectures.scans import common, twice
from trainables.architectures.scans.inputs import Inputs


def elman(
    inputs: Inputs,
    h: Tensor,
    weight: Tensor,
    phi: Nonlinearity,
    carry: Tensor | None = None,
    gamma: Tensor | None = None,
    *,
    first: int = 0,
) -> Tensor:
    """Run a layer with h' = carry h + gamma phi(u_t + h weight) over time.

    The package :mod:`.scans` describes the conventions.

    Args:
        inputs: inputs with H columns, which give u_t.
        h: initial state ``[L, B, H]``.
        weight: recurrent weight ``[L, H, H]``.
        phi: nonlinearity.
        carry: constant factor of the old state, ``[L, 1, H]``; None: zero.
        gamma: constant factor of phi, ``[L, 1, H]``; None: one.
        first: first time step whose state is returned.

    Returns:
        The states ``[L, T - first, B, H]``.
    """
    if second_wanted():
        return twice.elman(inputs, h, weight, phi, carry, gamma, first)
    if phi.is_compiled:
        from trainables.architectures.scans import compiled

        codes = phi.codes(weight.shape[0])
        constants = None
        if carry is not None or gamma is not None:
            shape = (weight.shape[0], weight.shape[1])
            carry = torch.zeros(1, dtype=weight.dtype) if carry is None else carry.squeeze(1)
            gamma = torch.ones(1, dtype=weight.dtype) if gamma is None else gamma.squeeze(1)
            constants = torch.stack([carry.expand(shape), gamma.expand(shape)])
        arguments = (inputs, (h,), weight, codes, constants)
        return compiled.layer(compiled.ELMAN, *arguments, first=first)[0]
    u = inputs.projected()
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
        gamma: Tensor | None,
        first: int,
        keep: bool,
    ) -> Tensor:
        start = h
        plain = carry is None and gamma is None
        # The values s(z) and the states share memory unless the backward pass needs both of them.
        shared = u.is_contiguous() and (plain or not keep)
        outputs = u.detach() if shared else torch.empty(u.shape, dtype=u.dtype, device=u.device)
        steps, apply_ = u.unbind(1), phi.apply_
        if plain and shared:
            for z in steps:
                h = apply_(z.baddbmm_(h, weight))
        else:
            for z, out in zip(steps, outputs.unbind(1), strict=True):
                s = apply_(z.baddbmm_(h, weight))
                if gamma is not None:
                    s = torch.mul(s, gamma, out=out)
                h = out.copy_(s) if carry is None else torch.addcmul(s, carry, h, out=out)
        ctx.phi, ctx.carry, ctx.gamma = phi, carry, gamma
        ctx.save_for_backward(start, weight, outputs, outputs if plain else u.detach())
        ctx.set_materialize_grads(False)
        return outputs[:, first:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor | None) -> tuple[Tensor | None, ...]:
        start, weight, outputs, values = ctx.saved_tensors
        phi, carry, gamma = ctx.phi, ctx.carry, ctx.gamma
        transposed = weight.mT
        above = common.above(gradient, values.shape[1])
        dz = torch.empty(values.shape, dtype=values.dtype, device=values.device)
        dh = common.last(None if gradient is None else gradient[:, -1], start)
        dw = torch.zeros_like(weight) if ctx.needs_input_grad[2] else None
        for begin, end in common.blocks_from_the_end(dz):
            slopes = dz[:, begin:end].transpose(0, 1)
            phi.slope(values[:, begin:end].transpose(0, 1), slopes)
            if gamma is not None:
                slopes.mul_(gamma)
            for dz_t, gradient_t in zip(
                reversed(slopes.unbind(0)), reversed(above[begin:end]), strict=True
            ):
                dz_t.mul_(dh)
                if carry is not None:
                    if gradient_t is None:
                        dh.mul_(carry)
                    else:
                        torch.addcmul(gradient_t, carry, dh, out=dh)
                    dh.baddbmm_(dz_t, transposed)
                elif gradient_t is None:
                    torch.bmm(dz_t, transposed, out=dh)
                else:
                    torch.baddbmm(gradient_t, dz_t, transposed, out=dh)
            if dw is not None:
                common.add_weight_gradient(dw, start, outputs, dz, begin, end)
        return dz, dh, dw, None, None, None, None, None
