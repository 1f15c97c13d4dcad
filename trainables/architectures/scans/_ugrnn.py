"""Run the update-gate network (UGRNN) over time."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from trainables.architectures.derivatives import second_wanted
from trainables.architectures.nonlinearity import Nonlinearity
from trainables.architectures.scans import common, twice
from trainables.architectures.scans.inputs import Inputs


def ugrnn(
    inputs: Inputs, h: Tensor, weight: Tensor, phi: Nonlinearity, *, first: int = 0
) -> Tensor:
    """Run a UGRNN over time: g = sigma(.), c = phi(.), h' = g h + (1 - g) c.

    The package :mod:`.scans` describes the conventions.

    Args:
        inputs: inputs with 2 H columns: update gate, candidate.
        h: initial state ``[L, B, H]``.
        weight: recurrent weight ``[L, H, 2 H]``, with the same order of columns.
        phi: nonlinearity of the candidate.
        first: first time step whose state is returned.

    Returns:
        The states ``[L, T - first, B, H]``.
    """
    if second_wanted():
        return twice.ugrnn(inputs, h, weight, phi, first)
    if phi.is_compiled:
        from trainables.architectures.scans import compiled

        codes = phi.codes(weight.shape[0])
        return compiled.layer(compiled.UGRNN, inputs, (h,), weight, codes, first=first)[0]
    u = inputs.projected()
    keep = common.needs_gradient(u, h, weight)
    outputs: Tensor = _UGRNN.apply(u, h, weight, phi, first, keep)  # type: ignore[no-untyped-call]
    return outputs


class _UGRNN(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        u: Tensor,
        h: Tensor,
        weight: Tensor,
        phi: Nonlinearity,
        first: int,
        keep: bool,
    ) -> Tensor:
        start, n = h, h.shape[-1]
        lanes, time, batch, _ = u.shape
        outputs = torch.empty(lanes, time, batch, n, dtype=u.dtype, device=u.device)
        stored = common.room(outputs[:, 0], time if keep else 1, 2)
        z = u.new_empty(lanes, batch, u.shape[-1])
        z_by_gate = common.by_gate(z, n)
        for u_t, both, g, c, out in zip(
            u.unbind(1),
            *(common.steps_of(part, time) for part in (stored, stored[:, 0], stored[:, 1])),
            outputs.unbind(1),
            strict=True,
        ):
            torch.baddbmm(u_t, h, weight, out=z)
            phi.gate(both.copy_(z_by_gate), c, g)
            h = torch.lerp(c, h, g, out=out)
        ctx.phi = phi
        ctx.save_for_backward(start, weight, outputs, stored)
        ctx.set_materialize_grads(False)
        return outputs[:, first:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor | None) -> tuple[Tensor | None, ...]:
        start, weight, outputs, stored = ctx.saved_tensors
        lanes, time, batch, n = outputs.shape
        transposed, states = weight.mT, outputs.transpose(0, 1)
        above = common.above(gradient, time)
        dz = torch.empty(lanes, time, batch, 2 * n, dtype=start.dtype, device=start.device)
        dz_by_gate = common.by_gate(dz, n)
        dh = common.last(None if gradient is None else gradient[:, -1], start)
        dw = torch.zeros_like(weight) if ctx.needs_input_grad[2] else None
        for begin, end in common.blocks_from_the_end(dz):
            g, c = stored[begin:end].unbind(1)
            # Local derivatives dh'/dz: (h - c) g (1 - g) of the update gate, and (1 - g) phi'(z) of
            # the candidate.
            local = common.room(start, end - begin, 2)
            by_update, by_candidate = local.unbind(1)
            one_minus_g = 1 - g
            h = common.before(start, states, begin, end, out=by_update)
            h.sub_(c).mul_(g).mul_(one_minus_g)
            phi_slope = ctx.phi.slope(c, by_candidate)
            phi_slope.mul_(one_minus_g)
            for local_t, g_t, dz_t, dz_gates, gradient_t in zip(
                reversed(local.unbind(0)),
                reversed(g.unbind(0)),
                reversed(dz[:, begin:end].unbind(1)),
                reversed(dz_by_gate[begin:end].unbind(0)),
                reversed(above[begin:end]),
                strict=True,
            ):
                dz_gates.copy_(local_t.mul_(dh))
                if gradient_t is None:
                    dh.mul_(g_t)
                else:
                    torch.addcmul(gradient_t, dh, g_t, out=dh)
                dh.baddbmm_(dz_t, transposed)
            if dw is not None:
                common.add_weight_gradient(dw, start, outputs, dz, begin, end)
        return dz, dh, dw, None, None, None
