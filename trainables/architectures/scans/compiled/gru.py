"""Compile the GRU: r, v = sigma(.), c = s(. + (r h) W_c), h' = v h + (1 - v) c; columns r, v, c."""

import numpy as np

from trainables.architectures.scans.compiled.blas import add_sum_over_rows, multiply
from trainables.architectures.scans.compiled.elementwise import (
    apply,
    copy,
    gates,
    multiply_by_slope,
)
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
    reset_h = np.empty_like(starts[0, 0])
    both = np.empty((batch, 2 * n), dtype=starts.dtype)
    for lane in range(lanes):
        to_gates, to_candidate = weight[lane, :, : 2 * n], weight[lane, :, 2 * n :]
        for t in range(time):
            z, h = values[lane, t], state_before(starts, states, 0, lane, t)
            candidate = states[0, lane, t]
            project(x, input_weight, bias, offset, lane, t, z)
            for b in range(batch):
                copy(z[b, : 2 * n], both[b])
                copy(z[b, 2 * n :], candidate[b])
            multiply(h, to_gates, both, 1)
            gates(both, 2 * n, 0, codes[lane], both)
            for b in range(batch):
                r, before, reset = both[b], h[b], reset_h[b]
                for i in range(n):
                    reset[i] = r[i] * before[i]
            multiply(reset_h, to_candidate, candidate, 1)
            apply(codes[lane], candidate.reshape(-1))
            for b in range(batch):
                v, before, after = both[b, n:], h[b], candidate[b]
                copy(both[b], z[b, : 2 * n])
                copy(after, z[b, 2 * n :])
                for i in range(n):
                    after[i] += v[i] * (before[i] - after[i])


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
    d_reset_h = np.empty_like(starts[0, 0])
    reset_h = np.empty((together, batch, n), dtype=starts.dtype)
    for lane in range(lanes):
        gates_to, candidate_to = weight[lane, : 2 * n], weight[lane, 2 * n :]
        clear(d_input_weight[lane], d_bias[lane], dw[lane])
        for t in range(time - 1, -1, -1):
            d, h = room_of(dz, lane, t)[0], state_before(starts, states, 0, lane, t)
            for b in range(batch):
                v, c = values[lane, t, b, n : 2 * n], values[lane, t, b, 2 * n :]
                by_v, by_c, before, dh = d[b, n : 2 * n], d[b, 2 * n :], h[b], dstates[0, lane, b]
                for i in range(n):
                    candidate = dh[i] * (one - v[i])
                    by_v[i] = candidate * v[i] * (before[i] - c[i])
                    by_c[i] = candidate
                    dh[i] *= v[i]
                multiply_by_slope(codes[lane], c, by_c)
            multiply(d[:, 2 * n :], candidate_to, d_reset_h, 0)
            for b in range(batch):
                r, by_r, before, dh = values[lane, t, b, :n], d[b, :n], h[b], dstates[0, lane, b]
                given, reset = d_reset_h[b], reset_h[t % together, b]
                for i in range(n):
                    reset[i] = r[i] * before[i]
                    by_r[i] = given[i] * reset[i] * (one - r[i])
                    dh[i] += given[i] * r[i]
            multiply(d[:, : 2 * n], gates_to, dstates[0, lane], 1)
            join(gradient, lane, t, time, dstates[0, lane])
            if t % together == 0:
                steps = min(together, time - t)
                rows = add_gradients(
                    x, input_weight, dz, dx, d_input_weight, d_bias, lane, t, steps
                )
                by_gates, by_candidate = dw[lane, :, : 2 * n], dw[lane, :, 2 * n :]
                add_by_state(starts, states, rows[:, : 2 * n], by_gates, lane, t, steps)
                seen = reset_h[:steps].reshape(steps * batch, n)
                add_sum_over_rows(seen, rows[:, 2 * n :], by_candidate)


GRU = Recurrence(3, 1, _forward, _backward)
