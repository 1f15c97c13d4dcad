"""Compile the Elman network: h' = carry h + gamma s(z), or h' = s(z) without these constants."""

from trainables.architectures.scans.compiled.blas import multiply
from trainables.architectures.scans.compiled.elementwise import apply, copy, multiply_by_slope
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
    for lane in range(lanes):
        for t in range(time):
            z, h = values[lane, t], state_before(starts, states, 0, lane, t)
            project(x, input_weight, bias, offset, lane, t, z)
            multiply(h, weight[lane], z, 1)
            apply(codes[lane], z.reshape(-1))
            if len(constants):  # without constants, states and values share memory
                carry, gamma, after = constants[0, lane], constants[1, lane], states[0, lane, t]
                for b in range(batch):
                    for i in range(n):
                        after[b, i] = carry[i] * h[b, i] + gamma[i] * z[b, i]


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
    carried = len(constants) > 0
    for lane in range(lanes):
        dh = dstates[0, lane]
        clear(d_input_weight[lane], d_bias[lane], dw[lane])
        for t in range(time - 1, -1, -1):
            d = room_of(dz, lane, t)[0]
            if carried:
                carry, gamma = constants[0, lane], constants[1, lane]
                for b in range(batch):
                    for i in range(n):
                        d[b, i] = gamma[i] * dh[b, i]
                        dh[b, i] *= carry[i]
            else:
                copy(dh.reshape(-1), d.reshape(-1))
            multiply_by_slope(codes[lane], values[lane, t].reshape(-1), d.reshape(-1))
            multiply(d, weight[lane], dh, carried)
            join(gradient, lane, t, time, dh)
            if t % together == 0:
                steps = min(together, time - t)
                rows = add_gradients(
                    x, input_weight, dz, dx, d_input_weight, d_bias, lane, t, steps
                )
                add_by_state(starts, states, rows, dw[lane], lane, t, steps)


ELMAN = Recurrence(1, 1, _forward, _backward)
