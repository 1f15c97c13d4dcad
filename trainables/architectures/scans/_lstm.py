"""Long short-term memory."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from trainables.architectures.nonlinearity import Nonlinearity
from trainables.architectures.scans import common


def lstm(
    u: Tensor, h: Tensor, c: Tensor, weight: Tensor, phi: Nonlinearity, *, first: int = 0
) -> tuple[Tensor, Tensor]:
    """Over time i, f, o = sigma(.), c' = f c + i phi(.), h' = o tanh(c'); see the package.

    Args:
        u: ``[L, T, B, 4 H]``, columns input, forget, output, candidate; consumed.
        h: the initial state ``[L, B, H]``.
        c: the initial cell ``[L, B, H]``.
        weight: ``[L, H, 4 H]``.
        first: the first output's time step.

    Returns:
        The states ``[L, T - first, B, H]`` and the last cell ``[L, B, H]``.
    """
    keep = common.needs_gradient(u, h, c, weight)
    outputs: tuple[Tensor, Tensor] = _LSTM.apply(u, h, c, weight, phi, first, keep)  # type: ignore[no-untyped-call]
    return outputs


class _LSTM(torch.autograd.Function):
    """Inside, cells are multiplied by the scale that tanh wants of its argument."""

    @staticmethod
    def forward(
        ctx: Any,
        u: Tensor,
        h: Tensor,
        c: Tensor,
        weight: Tensor,
        phi: Nonlinearity,
        first: int,
        keep: bool,
    ) -> tuple[Tensor, Tensor]:
        start, n = h, h.shape[-1]
        tanh = Nonlinearity("tanh", like=u)
        scale = float(tanh.scale)
        outputs = u.new_empty(*u.shape[:-1], n)
        cells = torch.empty_like(outputs if keep else outputs[:, :1])
        c = start_cell = c * scale
        squashed = torch.empty_like(c)
        parts = [part.unbind(1) for part in u[..., : 3 * n].split(n, -1)]
        new_cells = cells.unbind(1) if keep else cells.unbind(1) * u.shape[1]
        for z, i, f, o, new, out in zip(
            u.unbind(1), *parts, new_cells, outputs.unbind(1), strict=True
        ):
            candidate = phi.apply_beside_gates_(z.baddbmm_(h, weight), n)
            c = torch.mul(f, c, out=new).addcmul_(i, candidate, value=scale)
            h = torch.mul(o, tanh.apply_(squashed.copy_(c)), out=out)
        ctx.phi, ctx.tanh = phi, tanh
        ctx.save_for_backward(start, start_cell, weight, outputs, cells, u.detach())
        ctx.set_materialize_grads(False)
        return outputs[:, first:], c / scale

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, gradient: Tensor | None, gradient_c: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        start, start_cell, weight, outputs, cells, gates = ctx.saved_tensors
        tanh, n = ctx.tanh, start.shape[-1]
        scale = float(tanh.scale)
        transposed = weight.mT
        above = common.by_step(gradient, gates.shape[1])
        dz = torch.empty(gates.shape, dtype=gates.dtype, device=gates.device)
        dh = common.at_the_end(above[-1], start)
        dc = common.at_the_end(gradient_c, start).div_(scale)
        for begin, end in common.blocks_from_the_end(dz):
            i, f, o, g = gates[:, begin:end].split(n, -1)
            block = dz[:, begin:end]
            local_i, local_f, local_o, local_g = block.split(n, -1)
            # dc'/dz of input gate, forget gate and candidate; dh'/dz_o and dh'/dc' aside.
            sigmoids, local = gates[:, begin:end, ..., : 3 * n], block[..., : 3 * n]
            torch.addcmul(sigmoids, sigmoids, sigmoids, value=-1, out=local)
            local_i.mul_(g).mul_(scale)
            local_f.mul_(common.before(start_cell, cells, begin, end))
            torch.mul(ctx.phi.slope(g, local_g), i, out=local_g).mul_(scale)
            squashed = tanh.apply_(cells[:, begin:end].clone())
            h_by_z = (local_o * squashed).unbind(1)
            h_by_c = tanh.slope(squashed, torch.empty_like(squashed)).mul_(o).unbind(1)
            by_gate = block.unflatten(-1, (4, n)).unbind(1)
            dz_o, dz_steps, forget = local_o.unbind(1), block.unbind(1), f.unbind(1)
            for t in range(end - begin - 1, -1, -1):
                dc.addcmul_(dh, h_by_c[t])
                by_gate[t].mul_(dc.unsqueeze(-2))  # the output gate's columns come next
                torch.mul(dh, h_by_z[t], out=dz_o[t])
                dc.mul_(forget[t])
                above_t = above[begin + t - 1] if begin + t else None
                common.through(above_t, dz_steps[t], transposed, dh)
        dw = common.weight_gradient(start, outputs, dz) if ctx.needs_input_grad[3] else None
        return dz, dh, dc.mul_(scale), dw, None, None, None
