"""Compile the UGRNN: g = sigma(.), c = s(.), h' = g h + (1 - g) c; columns g, c."""

import numpy as np

from trainables.architectures.scans.compiled.blas import multiply
from trainables.architectures.scans.compiled.elementwise import gates, multiply_by_slope
from trainables.architectures.scans.compiled.loop import (
    Array,
    Recurrence,
    add_by_state,
    add_gradients,
    clear,
    compiled,
    join,
    project,
    room_of,
    state_before,
    steps_at_a_time,
)


@compiled
def _forward(
    x: Array,
    input_weight: Array,
    bias: Array,
    offset: Array,
    weight: Array,
    codes: Array,
    constants: Array,
    starts: Array,
    values: Array,
    states: Array,
) -> None:
    lanes, time, batch, _ = values.shape
    n = starts.shape[-1]
    spare = np.empty_like(starts[0, 0])
    for lane in range(lanes):
        for t in range(time):
            z, h = values[lane, t], state_before(starts, states, 0, lane, t)
            project(x, input_weight, bias, offset, lane, t, z)
            multiply(h, weight[lane], z, 1)
            gates(z, n, n, codes[lane], spare)
            for b in range(batch):
                g, c, before, after = z[b, :n], z[b, n:], h[b], states[0, lane, t, b]
                for i in range(n):
                    after[i] = c[i] + g[i] * (before[i] - c[i])


@compiled
def _backward(
    x: Array,
    input_weight: Array,
    weight: Array,
    codes: Array,
    constants: Array,
    starts: Array,
    values: Array,
    states: Array,
    gradient: Array,
    dstates: Array,
    dz: Array,
    dx: Array,
    d_input_weight: Array,
    d_bias: Array,
    dw: Array,
) -> None:
    lanes, time, batch, _ = values.shape
    n = starts.shape[-1]
    together = steps_at_a_time(batch)
    one = weight.dtype.type(1)
    for lane in range(lanes):
        clear(d_input_weight[lane], d_bias[lane], dw[lane])
        for t in range(time - 1, -1, -1):
            d, h = room_of(dz, lane, t)[0], state_before(starts, states, 0, lane, t)
            for b in range(batch):
                g, c = values[lane, t, b, :n], values[lane, t, b, n:]
                by_g, by_c, before, dh = d[b, :n], d[b, n:], h[b], dstates[0, lane, b]
                for i in range(n):
                    candidate = dh[i] * (one - g[i])
                    by_g[i] = candidate * g[i] * (before[i] - c[i])
                    by_c[i] = candidate
                    dh[i] *= g[i]
                multiply_by_slope(codes[lane], c, by_c)
            multiply(d, weight[lane], dstates[0, lane], 1)
            join(gradient, lane, t, time, dstates[0, lane])
            if t % together == 0:
                steps = min(together, time - t)
                rows = add_gradients(
                    x, input_weight, dz, dx, d_input_weight, d_bias, lane, t, steps
                )
                add_by_state(starts, states, rows, dw[lane], lane, t, steps)


UGRNN = Recurrence(2, 1, _forward, _backward)
