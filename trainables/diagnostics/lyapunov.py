"""Measures Lyapunov exponents along held-out sequences (fading-memory paper, appendix A)."""

import torch
from torch import Tensor

from trainables.architectures.layer import Layer

SEQUENCES = 5  # sequences that exponents are averaged over
# Bytes of the Jacobians that are computed at once. Computing them takes several times as much.
BLOCK_BYTES = 1 << 23
# Jacobians count as equal if their entries differ by at most this share of the largest entry.
EQUAL = 1e-12


def lyapunov_exponents(layer: Layer, x: Tensor) -> Tensor:
    """Return the Lyapunov exponents of a layer's whole state along sequences of its inputs.

    With the Jacobian J_t of the state after step t by the state before it, Q_t R_t = J_t Q_{t-1} is
    a QR decomposition and Q_0 the identity. An exponent is the mean of log |R_t,ii| over t (fading-
    memory paper, appendix A). The exponents of each sequence are sorted, then averaged over the
    sequences.

    If all Jacobians are the same, as in a linear layer, the limit of long sequences is known: the
    logarithms of the moduli of the Jacobian's eigenvalues. It is returned in the place of the mean
    over a finite time. A diagonal element that rounding errors alone can explain counts as zero:
    its direction is removed, and its exponent is minus infinity.

    Args:
        layer: the layer, in float64.
        x: inputs ``[lanes, time, sequences, inputs]``.

    Returns:
        Exponents per time step (natural logarithm), ``[lanes, width of the whole state]``,
        descending. They are NaN in a lane whose states or Jacobians are not finite.
    """
    with torch.no_grad():
        known = layer.exponents()
        if known is not None:
            return known.sort(dim=-1, descending=True).values
        before = _states_before(layer, x)
    lanes, time, sequences, _ = x.shape
    width = before.shape[-1]
    q = torch.eye(width, dtype=x.dtype, device=x.device).expand(lanes, sequences, -1, -1)
    logarithms = x.new_zeros(lanes, sequences, width)
    constant = torch.ones(lanes, dtype=torch.bool, device=x.device)
    first: Tensor | None = None
    steps = max(1, BLOCK_BYTES // (lanes * sequences * width**2 * x.element_size()))
    for begin in range(0, time, steps):
        block = slice(begin, begin + steps)
        jacobians = step_jacobians(layer, x[:, block], before[:, block])
        if first is None:
            first = jacobians[:, :1, :1]
        changes = (jacobians - first).abs().amax((1, 2, 3, 4))
        constant &= changes <= EQUAL * first.abs().amax((1, 2, 3, 4))
        for jacobian in jacobians.unbind(1):
            q, r = torch.linalg.qr(jacobian @ q)
            logarithms += _logarithms(r.diagonal(dim1=-2, dim2=-1).abs(), jacobian)
    exponents = (logarithms / time).sort(dim=-1, descending=True).values.mean(1)
    if first is not None and constant.any():
        matrices = first[constant, 0, 0]
        moduli = torch.linalg.eigvals(matrices).abs()
        exponents[constant] = _logarithms(moduli, matrices).sort(dim=-1, descending=True).values
    return exponents


def step_jacobians(layer: Layer, x: Tensor, before: Tensor) -> Tensor:
    """Return the Jacobians of single time steps: of the state after a step by the state before it.

    Args:
        layer: the layer.
        x: inputs of the steps, ``[lanes, steps, batch, inputs]``.
        before: states before the steps, their parts side by side, ``[lanes, steps, batch, width]``.

    Returns:
        Jacobians ``[lanes, steps, batch, width, width]``: a row for each number of the state after
        the step, a column for each number of the state before it.
    """
    lanes, steps, batch, width = before.shape
    # Every step is a sample of its own, repeated for each row of its Jacobian.
    count = steps * batch
    inputs = x.reshape(lanes, 1, count, -1).repeat(1, 1, width, 1)
    start = before.reshape(lanes, count, width).repeat(1, width, 1).requires_grad_()
    with torch.enable_grad():
        _, state = layer.run(inputs, start.split(list(layer.state_widths), dim=-1), 0)
        after = torch.cat(state, dim=-1).view(lanes, width, count, width)
        (rows,) = torch.autograd.grad(after.diagonal(dim1=1, dim2=3).sum(), start)
    rows = rows.view(lanes, width, steps, batch, width)
    return rows.permute(0, 2, 3, 1, 4)


def _states_before(layer: Layer, x: Tensor) -> Tensor:
    """Return the whole state before each time step, ``[lanes, time, batch, width]``."""
    state = layer.start(x.shape[2])
    states = []
    for x_t in x.split(1, dim=1):
        states.append(torch.cat(state, dim=-1))
        _, state = layer.run(x_t, state, 0)
    return torch.stack(states, dim=1)


def _logarithms(sizes: Tensor, matrix: Tensor) -> Tensor:
    """Return logarithms of ``sizes [..., n]``; zero if rounding in a product with ``matrix``."""
    rounding = torch.finfo(sizes.dtype).eps * matrix.shape[-1] * matrix.abs().amax((-2, -1))
    return torch.where(sizes <= rounding.unsqueeze(-1), 0.0, sizes).log()
