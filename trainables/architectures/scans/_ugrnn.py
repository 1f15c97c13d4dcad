"""The update-gate network."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from trainables.architectures.nonlinearity import Nonlinearity
from trainables.architectures.scans import common


def ugrnn(u: Tensor, h: Tensor, weight: Tensor, phi: Nonlinearity, *, first: int = 0) -> Tensor:
    """Over time g = sigma(.), c = phi(.), h' = g h + (1 - g) c; see the package.

    Args:
        u: ``[L, T, B, 2 H]``, columns update, candidate; consumed.
        h: the initial state ``[L, B, H]``.
        weight: ``[L, H, 2 H]``.
        first: the first output's time step.

    Returns:
        The states ``[L, T - first, B, H]``.
    """
    outputs: Tensor = _UGRNN.apply(u, h, weight, phi, first)  # type: ignore[no-untyped-call]
    return outputs


class _UGRNN(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, u: Tensor, h: Tensor, weight: Tensor, phi: Nonlinearity, first: int
    ) -> Tensor:
        start, hidden = h, h.shape[-1]
        outputs = u.new_empty(*u.shape[:-1], hidden)
        gates = u[..., :hidden].unbind(1)
        for z, g, out in zip(u.unbind(1), gates, outputs.unbind(1), strict=True):
            candidate = phi.apply_beside_gates_(z.baddbmm_(h, weight), hidden)
            h = torch.lerp(candidate, h, g, out=out)
        ctx.phi = phi
        ctx.save_for_backward(start, weight, outputs, u.detach())
        ctx.set_materialize_grads(False)
        return outputs[:, first:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor | None) -> tuple[Tensor | None, ...]:
        start, weight, outputs, gates = ctx.saved_tensors
        hidden = start.shape[-1]
        transposed = weight.mT
        above = common.by_step(gradient, gates.shape[1])
        dz = torch.empty(gates.shape, dtype=gates.dtype, device=gates.device)
        dh = common.at_the_end(above[-1], start)
        for begin, end in common.blocks_from_the_end(dz):
            g, c = gates[:, begin:end].split(hidden, -1)
            block = dz[:, begin:end]
            local_g, local_c = block.split(hidden, -1)
            # dh'/dz of the update gate, (h - c) g (1 - g), and of the candidate, (1 - g) c'.
            keep = 1 - g
            torch.mul(keep, ctx.phi.slope(c, local_c), out=local_c)
            common.before(start, outputs, begin, end, out=local_g).sub_(c).mul_(g).mul_(keep)
            locals_ = block.unflatten(-1, (2, hidden)).unbind(1)
            g_steps, dz_steps = g.unbind(1), block.unbind(1)
            for t in range(end - 1, begin - 1, -1):
                locals_[t - begin].mul_(dh.unsqueeze(-2))
                above_t = above[t - 1] if t else None
                if above_t is None:
                    dh.mul_(g_steps[t - begin])
                else:
                    torch.addcmul(above_t, dh, g_steps[t - begin], out=dh)
                dh.baddbmm_(dz_steps[t - begin], transposed)
        dw = common.weight_gradient(start, outputs, dz) if ctx.needs_input_grad[2] else None
        return dz, dh, dw, None, None
