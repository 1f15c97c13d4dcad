"""Compile the LSTM: i, f, o = sigma(.), g = s(.), c' = f c + i g, h' = o tanh(c').

Columns of the gates are in the order i, f, g, o.
"""

import numpy as np

from trainables.architectures.scans.compiled.blas import multiply
from trainables.architectures.scans.compiled.elementwise import copy, gates, multiply_by_slope, tanh
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
            cell = state_before(starts, states, 1, lane, t)
            project(x, input_weight, bias, offset, lane, t, z)
            multiply(h, weight[lane], z, 1)
            gates(z, 2 * n, n, codes[lane], spare)
            new_h, new_cell = states[0, lane, t], states[1, lane, t]
            for b in range(batch):
                i, f, g = z[b, :n], z[b, n : 2 * n], z[b, 2 * n : 3 * n]
                before, after = cell[b], new_cell[b]
                for k in range(n):
                    after[k] = f[k] * before[k] + i[k] * g[k]
            copy(new_cell.reshape(-1), new_h.reshape(-1))
            tanh(new_h.reshape(-1))
            for b in range(batch):
                o, squashed = z[b, 3 * n :], new_h[b]
                for k in range(n):
                    squashed[k] *= o[k]


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
    squashed = np.empty_like(starts[0, 0])
    for lane in range(lanes):
        clear(d_input_weight[lane], d_bias[lane], dw[lane])
        for t in range(time - 1, -1, -1):
            dz_t, cell = room_of(dz, lane, t)[0], state_before(starts, states, 1, lane, t)
            copy(states[1, lane, t].reshape(-1), squashed.reshape(-1))
            tanh(squashed.reshape(-1))
            for b in range(batch):
                z, d = values[lane, t, b], dz_t[b]
                i, f, g, o = z[:n], z[n : 2 * n], z[2 * n : 3 * n], z[3 * n :]
                by_i, by_f, by_g, by_o = d[:n], d[n : 2 * n], d[2 * n : 3 * n], d[3 * n :]
                before, new = cell[b], squashed[b]
                dh, dc = dstates[0, lane, b], dstates[1, lane, b]
                for k in range(n):
                    by_c = dc[k] + dh[k] * o[k] * (one - new[k] * new[k])
                    by_o[k] = dh[k] * new[k] * o[k] * (one - o[k])
                    by_i[k] = by_c * g[k] * i[k] * (one - i[k])
                    by_f[k] = by_c * before[k] * f[k] * (one - f[k])
                    by_g[k] = by_c * i[k]
                    dc[k] = by_c * f[k]
                multiply_by_slope(codes[lane], g, by_g)
            multiply(dz_t, weight[lane], dstates[0, lane], 0)
            join(gradient, lane, t, time, dstates[0, lane])
            if t % together == 0:
                steps = min(together, time - t)
                rows = add_gradients(
                    x, input_weight, dz, dx, d_input_weight, d_bias, lane, t, steps
                )
                add_by_state(starts, states, rows, dw[lane], lane, t, steps)


LSTM = Recurrence(4, 2, _forward, _backward)
