"""Run the long short-term memory (LSTM) over time."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from trainables.architectures.derivatives import second_wanted
from trainables.architectures.nonlinearity import Nonlinearity
from trainables.architectures.scans import common, twice
from trainables.architectures.scans.inputs import Inputs


def lstm(
    inputs: Inputs, h: Tensor, c: Tensor, weight: Tensor, phi: Nonlinearity, *, first: int = 0
) -> tuple[Tensor, Tensor]:
    """Run an LSTM over time: i, f, o = sigma(.), c' = f c + i phi(.), h' = o tanh(c').

    The package :mod:`.scans` describes the conventions.

    Args:
        inputs: inputs with 4 H columns: input gate, forget gate, candidate, output gate.
        h: initial state ``[L, B, H]``.
        c: initial cell ``[L, B, H]``.
        weight: recurrent weight ``[L, H, 4 H]``, with the same order of columns.
        phi: nonlinearity of the candidate.
        first: first time step whose state is returned.

    Returns:
        The states ``[L, T - first, B, H]`` and the cell after the last step ``[L, B, H]``.
    """
    if second_wanted():
        return twice.lstm(inputs, h, c, weight, phi, first)
    if phi.is_compiled:
        from trainables.architectures.scans import compiled

        codes = phi.codes(weight.shape[0])
        starts = (h, c)
        outputs, final = compiled.layer(compiled.LSTM, inputs, starts, weight, codes, first=first)
        return outputs, final[1]
    u = inputs.projected()
    keep = common.needs_gradient(u, h, c, weight)
    results: tuple[Tensor, Tensor] = _LSTM.apply(u, h, c, weight, phi, first, keep)  # type: ignore[no-untyped-call]
    return results


class _LSTM(torch.autograd.Function):
    """Runs both passes of the LSTM; cells inside are multiplied by the ``scale`` of tanh."""

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
        lanes, time, batch, _ = u.shape
        tanh = Nonlinearity("tanh", like=u)
        scale = float(tanh.scale)
        outputs = torch.empty(lanes, time, batch, n, dtype=u.dtype, device=u.device)
        stored = common.room(outputs[:, 0], time if keep else 1, 4)
        cells = common.room(outputs[:, 0], time if keep else 1)
        c = start_cell = c * scale
        z = u.new_empty(lanes, batch, u.shape[-1])
        z_by_gate = common.by_gate(z, n)
        squashed = torch.empty_like(c)
        for u_t, all_t, i, f, g, o, new, out in zip(
            u.unbind(1),
            *(common.steps_of(part, time) for part in (stored, *stored.unbind(1), cells)),
            outputs.unbind(1),
            strict=True,
        ):
            torch.baddbmm(u_t, h, weight, out=z)
            phi.gate(all_t.copy_(z_by_gate), g, i, f, o)
            c = torch.mul(f, c, out=new).addcmul_(i, g, value=scale)
            h = torch.mul(o, tanh.apply_(squashed.copy_(c)), out=out)
        ctx.phi, ctx.tanh = phi, tanh
        ctx.save_for_backward(start, start_cell, weight, outputs, cells, stored)
        ctx.set_materialize_grads(False)
        return outputs[:, first:], c / scale

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, gradient: Tensor | None, gradient_c: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        start, start_cell, weight, outputs, cells, stored = ctx.saved_tensors
        lanes, time, batch, n = outputs.shape
        tanh, transposed = ctx.tanh, weight.mT
        scale = float(tanh.scale)
        above = common.above(gradient, time)
        dz = torch.empty(lanes, time, batch, 4 * n, dtype=start.dtype, device=start.device)
        dz_by_gate = common.by_gate(dz, n)
        dh = common.last(None if gradient is None else gradient[:, -1], start)
        dc = common.last(gradient_c, start).div_(scale)
        dw = torch.zeros_like(weight) if ctx.needs_input_grad[3] else None
        for begin, end in common.blocks_from_the_end(dz):
            gates = stored[begin:end]
            i, f, g, o = gates.unbind(1)
            # local becomes dc'/dz of the input gate, forget gate and candidate. The place of the
            # output gate first holds do/dz and is overwritten later. h_by_o is dh'/dz of the output
            # gate, h_by_c is dh'/dc'.
            local = torch.addcmul(gates, gates, gates, value=-1)
            by_i, by_f, by_g, by_o = local.unbind(1)
            by_i.mul_(g).mul_(scale)
            squashed = common.before(start_cell, cells, begin, end, out=torch.empty_like(o))
            by_f.mul_(squashed)
            ctx.phi.slope(g, by_g).mul_(i).mul_(scale)
            tanh.apply_(squashed.copy_(cells[begin:end]))
            h_by_o = by_o * squashed
            h_by_c = tanh.slope(squashed, by_o).mul_(o).clone()
            steps = zip(
                local.unbind(0),
                h_by_c.unbind(0),
                h_by_o.unbind(0),
                f.unbind(0),
                dz_by_gate[begin:end].unbind(0),
                by_o.unbind(0),
                dz[:, begin:end].unbind(1),
                above[begin:end],
                strict=True,
            )
            for local_t, by_c_t, by_o_t, f_t, dz_gates, local_o, dz_t, gradient_t in reversed(
                list(steps)
            ):
                dc.addcmul_(dh, by_c_t)
                local_t.mul_(dc)
                torch.mul(by_o_t, dh, out=local_o)
                dz_gates.copy_(local_t)
                dc.mul_(f_t)
                if gradient_t is None:
                    torch.bmm(dz_t, transposed, out=dh)
                else:
                    torch.baddbmm(gradient_t, dz_t, transposed, out=dh)
            if dw is not None:
                common.add_weight_gradient(dw, start, outputs, dz, begin, end)
        return dz, dh, dc.mul_(scale), dw, None, None, None
