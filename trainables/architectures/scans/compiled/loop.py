"""How a recurrence is written for the compiler, and what all of them call.

A recurrence is two loops over time. Arrays are C-contiguous: over time ``[lanes, time, batch,
columns]``, weights ``[lanes, rows, columns]``; the states of a cell (one, or two of an LSTM) have a
dimension in front.

The loop forward projects a step's inputs and leaves the values of its gates in ``values``. Inputs
without columns are projected already: ``values`` holds them.

The loop backward goes through the steps from the last one. The gradient of a step's
pre-activations is wanted for the products of weights' gradients alone, and these are taken for a
few steps at a time: so ``dz`` has room for so many, and stays in the cache. Where inputs were
projected already it is the gradient to hand back, and has room for all steps.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy.typing as npt
from numba import njit

from trainables.architectures.scans.compiled.blas import (
    add_sum_over_rows,
    multiply,
    multiply_transposed,
)
from trainables.architectures.scans.compiled.elementwise import OPTIONS

Array = npt.NDArray[Any]
_SOURCES = sorted(Path(__file__).parent.glob("*.py"))
_VERSION = hashlib.sha256(b"".join(path.read_bytes() for path in _SOURCES)).hexdigest()[:12]
ROWS = 128  # that a weight's gradient sums at a time at least: with fewer the product is slower


class Recurrence(NamedTuple):
    """The two loops.

    Attributes:
        gates: whose columns stand side by side.
        states: parts of its state.
        forward: takes the inputs, their weight, their bias in two parts, the recurrent weight, the
            code of each lane's nonlinearity, constants ``[constants, lanes, hidden]`` and the
            initial states ``[states, lanes, batch, hidden]``; fills ``values`` and the ``states``
            after each step ``[states, lanes, time, batch, hidden]``.
        backward: takes these (the recurrent weight transposed), the outputs' gradient, of as many
            of the last outputs as it holds, and ``dstates``, the gradient of the last states
            (with that of the very last output), which becomes that of the initial ones; fills
            the gradients of ``dz``, the inputs (unless it has no columns), their weight, their
            bias and the recurrent weight.
    """

    gates: int
    states: int
    forward: Callable[..., None]
    backward: Callable[..., None]


def compiled(function: Callable[..., Any]) -> Any:
    """Compile at the first call; what was compiled is kept for other processes, if it can be.

    It is kept by the function's name. Numba sees whether the file of the function has changed, but
    not what the function calls: so the state of all files is part of the name.
    """
    function.__qualname__ += f"_{_VERSION}"
    try:
        return njit(function, cache=True, **OPTIONS)
    except RuntimeError:  # there is no folder that Numba may write to
        return njit(function, **OPTIONS)


@compiled
def steps_at_a_time(batch: int) -> int:
    """Of how many steps the gradients of weights are taken at a time."""
    return -(-ROWS // max(batch, 1))


@compiled
def project(
    x: Array, weight: Array, bias: Array, offset: Array, lane: int, t: int, z: Array
) -> None:
    """Write the projected inputs of step ``t`` into ``z [batch, columns]``."""
    if x.shape[-1]:
        for b in range(len(z)):
            row, constant, added = z[b], bias[lane], offset[lane]
            for i in range(row.size):
                row[i] = constant[i] + added[i]
        multiply(x[lane % len(x), t], weight[lane], z, 1)


@compiled
def state_before(starts: Array, states: Array, part: int, lane: int, t: int) -> Array:
    """A part of the state of a lane before step ``t``."""
    return states[part, lane, t - 1] if t else starts[part, lane]


@compiled
def join(gradient: Array, lane: int, t: int, time: int, dh: Array) -> None:
    """Add the gradient of the output before step ``t``, if there is one, to ``dh``."""
    index = t - 1 - (time - gradient.shape[1])
    if index >= 0:
        given, sums = gradient[lane, index].reshape(-1), dh.reshape(-1)
        for i in range(sums.size):
            sums[i] += given[i]


@compiled
def room_of(dz: Array, lane: int, t: int) -> Array:
    """Where the gradients of step ``t`` and those that go with it lie, that of ``t`` first."""
    return dz[lane % len(dz), t % dz.shape[1] :]


@compiled
def clear(d_input_weight: Array, d_bias: Array, dw: Array) -> None:
    """Set to zero what gradients are added to."""
    zero = dw.dtype.type(0)
    for sums in (d_input_weight.reshape(-1), d_bias, dw.reshape(-1)):
        for i in range(sums.size):
            sums[i] = zero


@compiled
def add_gradients(
    x: Array,
    input_weight: Array,
    dz: Array,
    dx: Array,
    d_input_weight: Array,
    d_bias: Array,
    lane: int,
    t: int,
    steps: int,
) -> Array:
    """Add what the steps from ``t`` on give to the gradients of weight and bias of the inputs.

    Returns:
        The gradients of these steps' pre-activations ``[steps * batch, columns]``.
    """
    _, _, batch, inputs = x.shape
    rows = room_of(dz, lane, t)[:steps].reshape(steps * batch, dz.shape[-1])
    if inputs:
        given = x[lane % len(x), t : t + steps].reshape(steps * batch, inputs)
        add_sum_over_rows(given, rows, d_input_weight[lane])
        sums = d_bias[lane]
        for b in range(len(rows)):
            for i in range(sums.size):
                sums[i] += rows[b, i]
        if dx.shape[-1]:
            handed = dx[lane, t : t + steps].reshape(steps * batch, inputs)
            multiply_transposed(rows, input_weight[lane], handed)
    return rows


@compiled
def add_by_state(
    starts: Array, states: Array, rows: Array, dw: Array, lane: int, t: int, steps: int
) -> None:
    """Add what the steps from ``t`` on give to the gradient of a weight that acts on the state."""
    batch, n = states.shape[3:]
    if t == 0:
        add_sum_over_rows(starts[0, lane], rows[:batch], dw)
        rows, t, steps = rows[batch:], 1, steps - 1
    if steps:
        before = states[0, lane, t - 1 : t - 1 + steps].reshape(steps * batch, n)
        add_sum_over_rows(before, rows, dw)
