"""The gated recurrent unit whose reset gate acts before the recurrent product."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from trainables.architectures.nonlinearity import Nonlinearity
from trainables.architectures.scans import common


def gru(u: Tensor, h: Tensor, weight: Tensor, phi: Nonlinearity, *, first: int = 0) -> Tensor:
    """Over time r, v = sigma(.), c = phi(. + (r h) W_c), h' = v h + (1 - v) c; see the package.

    Args:
        u: ``[L, T, B, 3 H]``, columns reset, update, candidate; consumed.
        h: the initial state ``[L, B, H]``.
        weight: ``[L, H, 3 H]``.
        first: the first output's time step.

    Returns:
        The states ``[L, T - first, B, H]``.
    """
    outputs: Tensor = _GRU.apply(u, h, weight, phi, first)  # type: ignore[no-untyped-call]
    return outputs


class _GRU(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, u: Tensor, h: Tensor, weight: Tensor, phi: Nonlinearity, first: int
    ) -> Tensor:
        start, n = h, h.shape[-1]
        outputs = u.new_empty(*u.shape[:-1], n)
        reset_h = torch.empty_like(outputs[:, 0])
        weight_g, weight_c = torch.split(weight, (2 * n, n), -1)
        columns = [u[..., part].unbind(1) for part in _columns(n)]
        for z_g, r, v, c, out in zip(*columns, outputs.unbind(1), strict=True):
            z_g.baddbmm_(h, weight_g).sigmoid_()
            torch.mul(r, h, out=reset_h)
            phi.apply_(c.baddbmm_(reset_h, weight_c))
            h = torch.lerp(c, h, v, out=out)
        ctx.phi = phi
        ctx.save_for_backward(start, weight, outputs, u.detach())
        ctx.set_materialize_grads(False)
        return outputs[:, first:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor | None) -> tuple[Tensor | None, ...]:
        start, weight, outputs, gates = ctx.saved_tensors
        n = start.shape[-1]
        to_gates, to_candidate = (part.mT for part in torch.split(weight, (2 * n, n), -1))
        above = common.by_step(gradient, gates.shape[1])
        dz = torch.empty(gates.shape, dtype=gates.dtype, device=gates.device)
        reset_h = torch.empty_like(outputs)  # the state that the candidate's product saw
        dh = common.at_the_end(above[-1], start)
        d_reset_h = torch.empty_like(dh)
        for begin, end in common.blocks_from_the_end(dz):
            r, v, c = gates[:, begin:end].split(n, -1)
            block = dz[:, begin:end]
            local_r, local_v, local_c = block.split(n, -1)
            # d(r h)/dz_r = h r (1 - r); dh'/dz_v = (h - c) v (1 - v); dh'/dz_c = (1 - v) c'.
            h = common.before(start, outputs, begin, end, out=local_v)
            torch.mul(h, r, out=reset_h[:, begin:end])
            torch.mul(reset_h[:, begin:end], 1 - r, out=local_r)
            rest = 1 - v
            torch.mul(rest, ctx.phi.slope(c, local_c), out=local_c)
            h.sub_(c).mul_(v).mul_(rest)
            from_h = block[..., n:].unflatten(-1, (2, n)).unbind(1)
            steps = [block[..., part].unbind(1) for part in _columns(n)]
            for t in range(end - begin - 1, -1, -1):
                dz_g, dz_r, _, dz_c = (step[t] for step in steps)
                from_h[t].mul_(dh.unsqueeze(-2))
                torch.bmm(dz_c, to_candidate, out=d_reset_h)
                dz_r.mul_(d_reset_h)
                above_t = above[begin + t - 1] if begin + t else None
                if above_t is None:
                    dh.mul_(v[:, t])
                else:
                    torch.addcmul(above_t, dh, v[:, t], out=dh)
                dh.addcmul_(d_reset_h, r[:, t]).baddbmm_(dz_g, to_gates)
        dw = None
        if ctx.needs_input_grad[2]:
            dw = torch.empty_like(weight)
            dw[..., : 2 * n] = common.weight_gradient(start, outputs, dz[..., : 2 * n])
            torch.bmm(
                reset_h.flatten(1, 2).mT, dz[..., 2 * n :].flatten(1, 2), out=dw[..., 2 * n :]
            )
        return dz, dh, dw, None, None


def _columns(n: int) -> tuple[slice, slice, slice, slice]:
    """Both gates, reset, update, candidate."""
    return slice(0, 2 * n), slice(0, n), slice(n, 2 * n), slice(2 * n, 3 * n)
