"""Run recurrences over time such that results can be differentiated twice.

The functions take the arguments of those of :mod:`.scans` and return the same results. Gated
recurrences repeat PyTorch's own operations. The simple recurrence has hand-written passes, also for
the second derivative: autograd would keep several times as much, and take twice as long.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from trainables.architectures.nonlinearity import Nonlinearity
from trainables.architectures.scans.inputs import Inputs


def ugrnn(inputs: Inputs, h: Tensor, weight: Tensor, phi: Nonlinearity, first: int) -> Tensor:
    """Run a UGRNN over time; see :func:`.scans.ugrnn`."""
    states = []
    for u in inputs.projected().unbind(1):
        gate, candidate = torch.baddbmm(u, h, weight).chunk(2, dim=-1)
        h = torch.lerp(phi.of_scaled(candidate), h, torch.sigmoid(gate))
        states.append(h)
    return torch.stack(states[first:], dim=1)


def gru(inputs: Inputs, h: Tensor, weight: Tensor, phi: Nonlinearity, first: int) -> Tensor:
    """Run a GRU over time; see :func:`.scans.gru`."""
    n = h.shape[-1]
    to_gates, to_candidate = weight[..., : 2 * n], weight[..., 2 * n :]
    states = []
    for u in inputs.projected().unbind(1):
        reset, update = torch.sigmoid(torch.baddbmm(u[..., : 2 * n], h, to_gates)).chunk(2, dim=-1)
        z = torch.baddbmm(u[..., 2 * n :], reset * h, to_candidate)
        h = torch.lerp(phi.of_scaled(z), h, update)
        states.append(h)
    return torch.stack(states[first:], dim=1)


def lstm(
    inputs: Inputs, h: Tensor, c: Tensor, weight: Tensor, phi: Nonlinearity, first: int
) -> tuple[Tensor, Tensor]:
    """Run an LSTM over time; see :func:`.scans.lstm`."""
    states = []
    for u in inputs.projected().unbind(1):
        i, f, z, o = torch.baddbmm(u, h, weight).chunk(4, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * phi.of_scaled(z)
        h = torch.sigmoid(o) * torch.tanh(c)
        states.append(h)
    return torch.stack(states[first:], dim=1), c


def elman(
    inputs: Inputs,
    h: Tensor,
    weight: Tensor,
    phi: Nonlinearity,
    carry: Tensor | None,
    gamma: Tensor | None,
    first: int,
) -> Tensor:
    """Run h' = carry h + gamma phi(u_t + h weight) over time; see :func:`.scans.elman`."""
    _, _, outputs = _Forward.apply(  # type: ignore[no-untyped-call]
        inputs.projected(), h, weight, phi, carry, gamma, first
    )
    result: Tensor = outputs
    return result


# In the passes below h_t are states, p_t = phi(z_t) and g_t = dL/dh_t:
#     z_t = u_t + h_{t-1} W              h_t = carry h_{t-1} + gamma p_t
#     d_t = phi'(z_t) (gamma g_t + e_t)  g_{t-1} = carry g_t + d_t W^T + (gradient of h_{t-1})
# with d_t = dL/du_t, and e_t the gradient that reaches p_t from elsewhere: in a second derivative,
# from phi'. The gradient of W is the sum of h_{t-1}^T d_t.


class _Forward(torch.autograd.Function):
    """Computes the states before all steps, all p_t, and the states after the steps from ``first``.

    The last are an output of their own: their gradient then needs no zeros at other steps.
    """

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
    ) -> tuple[Tensor, Tensor, Tensor]:
        lanes, time, batch, n = u.shape
        states, values = u.new_empty(lanes, time + 1, batch, n), torch.empty_like(u)
        states[:, 0] = h
        h, *steps = states.unbind(1)
        for u_t, p, out in zip(u.unbind(1), values.unbind(1), steps, strict=True):
            p.copy_(phi.of_scaled(torch.baddbmm(u_t, h, weight)))
            torch.mul(p, 1.0 if gamma is None else gamma, out=out)
            h = out if carry is None else out.addcmul_(carry, h)
        before = states[:, :-1]
        ctx.phi, ctx.carry, ctx.gamma = phi, carry, gamma
        ctx.save_for_backward(weight, before, values)
        ctx.set_materialize_grads(False)
        return before, values, states[:, first + 1 :].clone()

    @staticmethod
    def backward(
        ctx: Any, of_before: Tensor | None, of_values: Tensor | None, of_outputs: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        if of_values is not None and torch.is_grad_enabled():
            raise RuntimeError("this recurrence has no third derivative")
        weight, before, values = ctx.saved_tensors
        constants = ctx.phi, ctx.carry, ctx.gamma
        needs = ctx.needs_input_grad[0], torch.is_grad_enabled()
        d, g, dw = _Backward.apply(  # type: ignore[no-untyped-call]
            of_before, of_values, of_outputs, before, values, weight, *constants, *needs
        )
        return d, g, dw, None, None, None, None


class _Backward(torch.autograd.Function):
    """Computes all d_t, the gradient of the initial state and that of the weight.

    The first time that a program writes to memory of all steps takes as long as some of the
    products do. So d_t are returned only where ``needs_d``, all g_t are kept for a derivative only
    where ``needs_derivative``, and a derivative's results lie in memory that the next one uses
    again: they are gradients of no one's but of :class:`_Forward`, which reads them at once.
    """

    @staticmethod
    def forward(
        ctx: Any,
        of_before: Tensor | None,
        of_values: Tensor | None,
        of_outputs: Tensor | None,
        before: Tensor,
        values: Tensor,
        weight: Tensor,
        phi: Nonlinearity,
        carry: Tensor | None,
        gamma: Tensor | None,
        needs_d: bool,
        needs_derivative: bool,
    ) -> tuple[Tensor | None, Tensor, Tensor]:
        time, transposed = values.shape[1], weight.mT
        ctx.first = time if of_outputs is None else time - of_outputs.shape[1]
        ctx.phi, ctx.carry, ctx.gamma = phi, carry, gamma
        ctx.set_materialize_grads(False)
        g, dw = torch.zeros_like(values[:, 0]), torch.zeros_like(weight)
        all_g = None
        if needs_derivative:
            # J v is the derivative of J^T u at u = 0, where nothing flows back.
            if of_outputs is None or not of_outputs.any():
                ctx.save_for_backward(before, values, weight, None)
                return torch.zeros_like(values) if needs_d else None, g, dw
            all_g, ctx.results = torch.empty_like(values), None
            ctx.save_for_backward(before, values, weight, all_g)
        all_d = torch.empty_like(values) if needs_d else None
        of_p, slope = torch.empty_like(g), torch.empty_like(g)
        gain = g.new_ones(()) if gamma is None else gamma
        for t in range(time - 1, -1, -1):
            if of_outputs is not None and t >= ctx.first:
                g += of_outputs[:, t - ctx.first]
            if all_g is not None:
                all_g[:, t] = g
            if of_values is None:
                torch.mul(g, gain, out=of_p)
            else:
                torch.addcmul(of_values[:, t], g, gain, out=of_p)
            d = torch.mul(phi.slope_by_value(values[:, t], out=slope), of_p, out=of_p)
            if all_d is not None:
                all_d[:, t] = d
            if carry is not None:
                if of_before is None:
                    g *= carry
                else:
                    torch.addcmul(of_before[:, t], g, carry, out=g)
                g.baddbmm_(d, transposed)
            elif of_before is None:
                torch.bmm(d, transposed, out=g)
            else:
                torch.baddbmm(of_before[:, t], d, transposed, out=g)
            dw.baddbmm_(before[:, t].mT, d)
        return all_d, g, dw

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, of_d: Tensor | None, of_g: Tensor | None, of_dw: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        # a_t is the gradient of g_t and b_t that of d_t: a recurrence forward in time.
        before, values, weight, all_g = ctx.saved_tensors
        phi, carry, gamma = ctx.phi, ctx.carry, ctx.gamma
        a = torch.zeros_like(values[:, 0]) if of_g is None else of_g.clone()
        b, d, slope = torch.empty_like(a), torch.empty_like(a), torch.empty_like(a)
        # The recurrence takes gamma b_t alone: the weights that b_t is made of are multiplied.
        gain = a.new_ones(()) if gamma is None else gamma
        weight, of_dw = weight * gain, None if of_dw is None else of_dw * gain
        of_before = of_values = of_weight = of_outputs = None
        if ctx.needs_input_grad[2]:
            of_outputs = torch.empty_like(values[:, ctx.first :])
        if all_g is not None:
            if ctx.results is None:
                ctx.results = torch.empty_like(values), torch.empty_like(values)
            of_weight, of_values = torch.zeros_like(weight), ctx.results[0]
            of_before = None if of_dw is None else ctx.results[1]
        for t in range(values.shape[1]):
            torch.bmm(a, weight, out=b)
            if of_d is not None:
                b.addcmul_(of_d[:, t], gain)
            if of_dw is not None:
                b.baddbmm_(before[:, t], of_dw)
            phi.slope_by_value(values[:, t], out=slope)
            if all_g is not None and of_values is not None and of_weight is not None:
                torch.mul(slope, all_g[:, t], out=d)
                if of_before is not None and of_dw is not None:
                    torch.bmm(d, of_dw.mT, out=of_before[:, t])
                of_weight.baddbmm_(a.mT, d)
                torch.mul(b, all_g[:, t], out=of_values[:, t])
            if carry is None:
                torch.mul(slope, b, out=a)
            else:
                a.mul_(carry).addcmul_(slope, b)
            if of_outputs is not None and t >= ctx.first:
                of_outputs[:, t - ctx.first] = a
            if of_values is not None:
                of_values[:, t] *= phi.curvature_by_value(values[:, t], out=d)
        if of_weight is not None:
            of_weight *= gain
        constants = (None,) * 5
        return None, None, of_outputs, of_before, of_values, of_weight, *constants
