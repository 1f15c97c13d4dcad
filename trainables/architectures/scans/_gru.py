"""Run the gated recurrent unit over time; its reset gate acts before the recurrent product."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from trainables.architectures.derivatives import second_wanted
from trainables.architectures.nonlinearity import Nonlinearity
from trainables.architectures.products import add_products
from trainables.architectures.scans import common, twice
from trainables.architectures.scans.inputs import Inputs


def gru(inputs: Inputs, h: Tensor, weight: Tensor, phi: Nonlinearity, *, first: int = 0) -> Tensor:
    """Run a GRU over time: r, v = sigma(.), c = phi(. + (r h) W_c), h' = v h + (1 - v) c.

    The package :mod:`.scans` describes the conventions. r is the reset gate, v the update gate.

    Args:
        inputs: inputs with 3 H columns: reset gate, update gate, candidate.
        h: initial state ``[L, B, H]``.
        weight: recurrent weight ``[L, H, 3 H]``, with the same order of columns.
        phi: nonlinearity of the candidate.
        first: first time step whose state is returned.

    Returns:
        The states ``[L, T - first, B, H]``.
    """
    if second_wanted():
        return twice.gru(inputs, h, weight, phi, first)
    if phi.is_compiled:
        from trainables.architectures.scans import compiled

        codes = phi.codes(weight.shape[0])
        return compiled.layer(compiled.GRU, inputs, (h,), weight, codes, first=first)[0]
    u = inputs.projected()
    keep = common.needs_gradient(u, h, weight)
    outputs: Tensor = _GRU.apply(u, h, weight, phi, first, keep)  # type: ignore[no-untyped-call]
    return outputs


class _GRU(torch.autograd.Function):
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
        stored = common.room(outputs[:, 0], time if keep else 1, 3)
        weight_g, weight_c = weight[..., : 2 * n], weight[..., 2 * n :]
        z = u.new_empty(lanes, batch, 2 * n)
        z_by_gate = common.by_gate(z, n)
        reset_h = torch.empty_like(outputs[:, 0])
        gates, r_v_c = stored[:, :2], stored.unbind(1)
        for u_g, u_c, both, r, v, c, out in zip(
            u[..., : 2 * n].unbind(1),
            u[..., 2 * n :].unbind(1),
            *(common.steps_of(part, time) for part in (gates, *r_v_c)),
            outputs.unbind(1),
            strict=True,
        ):
            torch.baddbmm(u_g, h, weight_g, out=z)
            both.copy_(z_by_gate).sigmoid_()
            torch.mul(r, h, out=reset_h)
            torch.baddbmm(u_c, reset_h, weight_c, out=c)
            phi.apply_(c)
            h = torch.lerp(c, h, v, out=out)
        ctx.phi = phi
        ctx.save_for_backward(start, weight, outputs, stored)
        ctx.set_materialize_grads(False)
        return outputs[:, first:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor | None) -> tuple[Tensor | None, ...]:
        start, weight, outputs, stored = ctx.saved_tensors
        lanes, time, batch, n = outputs.shape
        to_gates, to_candidate = weight[..., : 2 * n].mT, weight[..., 2 * n :].mT
        states = outputs.transpose(0, 1)
        above = common.above(gradient, time)
        dz = torch.empty(lanes, time, batch, 3 * n, dtype=start.dtype, device=start.device)
        dz_by_gate = common.by_gate(dz, n)
        dh = common.last(None if gradient is None else gradient[:, -1], start)
        d_reset_h = torch.empty_like(dh)
        dw = torch.zeros_like(weight) if ctx.needs_input_grad[2] else None
        for begin, end in common.blocks_from_the_end(dz):
            r, v, c = stored[begin:end].unbind(1)
            # Local derivatives by the pre-activations z of r, v and c: d(r h)/dz_r = h r (1 - r);
            # dh'/dz_v = (h - c) v (1 - v); dh'/dz_c = (1 - v) phi'(z_c).
            local = common.room(start, end - begin, 3)
            by_r, by_v, by_c = local.unbind(1)
            h = common.before(start, states, begin, end, out=by_v)
            # r h is recomputed: it is the input of the candidate's recurrent product.
            reset_h = h.new_empty(lanes, end - begin, batch, n)
            reset_by_step = torch.mul(h, r, out=reset_h.transpose(0, 1))
            torch.addcmul(reset_by_step, reset_by_step, r, value=-1, out=by_r)
            one_minus_v = 1 - v
            h.sub_(c).mul_(v).mul_(one_minus_v)
            ctx.phi.slope(c, by_c).mul_(one_minus_v)
            steps = zip(
                local.unbind(0),
                local[:, 1:].unbind(0),
                by_r.unbind(0),
                by_c.unbind(0),
                r.unbind(0),
                v.unbind(0),
                dz_by_gate[begin:end].unbind(0),
                dz[:, begin:end, :, : 2 * n].unbind(1),
                above[begin:end],
                strict=True,
            )
            for local_t, by_v_c, by_r, by_c, r_t, v_t, dz_gates, dz_g, gradient_t in reversed(
                list(steps)
            ):
                by_v_c.mul_(dh)
                torch.bmm(by_c, to_candidate, out=d_reset_h)
                by_r.mul_(d_reset_h)
                dz_gates.copy_(local_t)
                if gradient_t is None:
                    dh.mul_(v_t)
                else:
                    torch.addcmul(gradient_t, dh, v_t, out=dh)
                dh.addcmul_(d_reset_h, r_t).baddbmm_(dz_g, to_gates)
            if dw is not None:
                dw_g, dz_g = dw[..., : 2 * n], dz[..., : 2 * n]
                common.add_weight_gradient(dw_g, start, outputs, dz_g, begin, end)
                dz_c = dz[:, begin:end, :, 2 * n :].flatten(1, 2)
                add_products(dw[..., 2 * n :], reset_h.flatten(1, 2), dz_c)
        return dz, dh, dw, None, None, None
