"""Compute affine maps of each lane on its own: a lane's result does not depend on the others."""

from trainables.architectures.scans.compiled.blas import (
    add_sum_over_rows,
    multiply,
    multiply_transposed,
)
from trainables.architectures.scans.compiled.loop import Array, compiled


@compiled
def forward(x: Array, weight: Array, bias: Array, out: Array) -> None:
    """Set ``out`` to ``x @ weight + bias`` of each lane.

    Args:
        x: inputs ``[lanes or 1, rows, inputs]``; a single lane is shared by all.
        weight: matrices ``[lanes, inputs, outputs]``.
        bias: biases ``[lanes, outputs]``.
        out: results ``[lanes, rows, outputs]``.
    """
    for lane in range(len(weight)):
        constant = bias[lane]
        for r in range(out.shape[1]):
            row = out[lane, r]
            for i in range(row.size):
                row[i] = constant[i]
        multiply(x[lane % len(x)], weight[lane], out[lane], 1)


@compiled
def backward(
    x: Array, weight: Array, gradient: Array, dx: Array, d_weight: Array, d_bias: Array
) -> None:
    """Compute the gradients of the inputs, the matrix and the bias of each lane.

    Args:
        x: inputs ``[lanes or 1, rows, inputs]``.
        weight: matrices ``[lanes, inputs, outputs]``.
        gradient: gradient of the results ``[lanes, rows, outputs]``.
        dx: gradient of the inputs ``[lanes, rows, inputs]``; without rows it is not computed.
        d_weight: gradient of the matrices ``[lanes, inputs, outputs]``.
        d_bias: gradient of the biases ``[lanes, outputs]``.
    """
    zero = d_weight.dtype.type(0)
    for lane in range(len(weight)):
        given, sums = gradient[lane], d_bias[lane]
        d_weight[lane] = zero
        add_sum_over_rows(x[lane % len(x)], given, d_weight[lane])
        sums[:] = zero
        for r in range(len(given)):
            for i in range(sums.size):
                sums[i] += given[r, i]
        if dx.shape[1]:
            multiply_transposed(given, weight[lane], dx[lane])
