"""Define the form of a compiled recurrence and the functions that all of its loops call.

A recurrence is two loops over time. Arrays are C-contiguous. Sequences are ``[lanes, time, batch,
columns]`` and weights ``[lanes, rows, columns]``. The states of a cell (one, or two in an LSTM) are
an additional first dimension.

The forward loop projects the inputs of each step and leaves the values of its gates in ``values``.
If ``x`` has no columns, the inputs are already projected and ``values`` holds them at the start.

The backward loop goes from the last step to the first. The gradients of pre-activations, ``dz``,
serve only the products of weight gradients, which are computed for a few steps at a time. So ``dz``
has room for these few steps alone, and stays in the cache. If the inputs were already projected,
``dz`` is the gradient of the inputs and has room for all steps.
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
# Smallest number of rows, steps times batch size, in a product of a weight gradient: products of
# fewer rows are slower.
ROWS = 128


class Recurrence(NamedTuple):
    """Holds the two compiled loops over time of a recurrence.

    Attributes:
        gates: number of gates, whose columns stand side by side.
        states: number of states of the cell.
        forward: loop of the forward pass. It takes the inputs, the input weight, the bias and the
            constant added to it, the recurrent weight, the code of each lane's nonlinearity,
            constants ``[constants, lanes, hidden]`` and the initial states ``[states, lanes, batch,
            hidden]``. It fills ``values``, the values of the gates, and ``states``, the states
            after each step ``[states, lanes, time, batch, hidden]``.
        backward: loop of the backward pass. It takes the arrays of the forward pass except the bias
            and its constant, with the recurrent weight transposed. Then follow the gradient of the
            last outputs (as many as it covers) and ``dstates``, the gradient of the final states,
            which includes that of the last output and becomes that of the initial states. The loop
            fills the gradients of pre-activations (``dz``), of inputs (``dx``, unless it has no
            columns), of the input weight, of the bias and of the recurrent weight.
    """

    gates: int
    states: int
    forward: Callable[..., None]
    backward: Callable[..., None]


def compiled(function: Callable[..., Any]) -> Any:
    """Compile ``function`` by Numba at its first call, and cache the machine code if possible.

    Numba caches the machine code for other processes under the function's name. It notices changes
    of the function's own file, but not of the functions that it calls, so a hash of all files of
    this package is made part of the name.

    Args:
        function: function to compile. Its ``__qualname__`` changes.

    Returns:
        The compiled function.
    """
    function.__qualname__ += f"_{_VERSION}"
    try:
        return njit(function, cache=True, **OPTIONS)
    except RuntimeError:  # Numba finds no folder in which it may write its cache
        return njit(function, **OPTIONS)


@compiled
def steps_at_a_time(batch: int) -> int:
    """Return the number of steps in a product of a weight gradient: ``ROWS`` rows or more."""
    return -(-ROWS // max(batch, 1))


@compiled
def project(
    x: Array, weight: Array, bias: Array, offset: Array, lane: int, t: int, z: Array
) -> None:
    """Write the projected inputs of step ``t`` into ``z [batch, columns]``.

    ``z`` stays as it is if ``x`` has no columns: the inputs are then already projected.
    """
    if x.shape[-1]:
        for b in range(len(z)):
            row, constant, added = z[b], bias[lane], offset[lane]
            for i in range(row.size):
                row[i] = constant[i] + added[i]
        multiply(x[lane % len(x), t], weight[lane], z, 1)


@compiled
def state_before(starts: Array, states: Array, part: int, lane: int, t: int) -> Array:
    """Return one state of a lane before step ``t``, ``[batch, hidden]``.

    Args:
        starts: initial states ``[states, lanes, batch, hidden]``.
        states: states after each step ``[states, lanes, time, batch, hidden]``.
        part: index of the state.
        lane: index of the lane.
        t: time step.
    """
    return states[part, lane, t - 1] if t else starts[part, lane]


@compiled
def join(gradient: Array, lane: int, t: int, time: int, dh: Array) -> None:
    """Add the gradient of the output of step ``t - 1``, if there is one, to ``dh``.

    Args:
        gradient: gradient of the last outputs ``[lanes, outputs, batch, hidden]``.
        lane: index of the lane.
        t: time step whose backward pass has just been computed.
        time: number of time steps.
        dh: gradient of the state before step ``t``, ``[batch, hidden]``.
    """
    index = t - 1 - (time - gradient.shape[1])
    if index >= 0:
        given, sums = gradient[lane, index].reshape(-1), dh.reshape(-1)
        for i in range(sums.size):
            sums[i] += given[i]


@compiled
def room_of(dz: Array, lane: int, t: int) -> Array:
    """Return the part of ``dz`` that holds step ``t`` and the later steps of its product.

    Step ``t`` comes first: the part is ``[steps, batch, columns]``.
    """
    return dz[lane % len(dz), t % dz.shape[1] :]


@compiled
def clear(d_input_weight: Array, d_bias: Array, dw: Array) -> None:
    """Set the gradients of one lane's input weight, bias and recurrent weight to zero."""
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
    """Add the contributions of ``steps`` steps from ``t`` on to a lane's input weight and bias.

    The sums are the gradients ``d_input_weight`` and ``d_bias``. The gradient of the inputs of
    these steps is written into ``dx``, unless it has no columns.

    Args:
        x: inputs ``[lanes or 1, time, batch, inputs]``; no columns if they are already projected,
            and nothing is added then.
        input_weight: input weight ``[lanes, inputs, columns]``.
        dz: gradients of pre-activations ``[lanes or 1, room, batch, columns]``, see
            :func:`room_of`.
        dx: gradient of the inputs ``[lanes, time, batch, inputs]``, or without columns.
        d_input_weight: gradient of the input weight ``[lanes, inputs, columns]``.
        d_bias: gradient of the bias ``[lanes, columns]``.
        lane: index of the lane.
        t: first step.
        steps: number of steps.

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
    """Add the contributions of ``steps`` steps from ``t`` on to the gradient of a recurrent weight.

    Args:
        starts: initial states ``[states, lanes, batch, hidden]``.
        states: states after each step ``[states, lanes, time, batch, hidden]``.
        rows: gradients of these steps' pre-activations ``[steps * batch, columns]``.
        dw: gradient of the lane's weight ``[hidden, columns]``.
        lane: index of the lane.
        t: first step.
        steps: number of steps.
    """
    batch, n = states.shape[3:]
    if t == 0:
        add_sum_over_rows(starts[0, lane], rows[:batch], dw)
        rows, t, steps = rows[batch:], 1, steps - 1
    if steps:
        before = states[0, lane, t - 1 : t - 1 + steps].reshape(steps * batch, n)
        add_sum_over_rows(before, rows, dw)
