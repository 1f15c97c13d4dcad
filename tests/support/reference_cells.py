"""Computes the capacity paper's equations 1 to 20 in NumPy, one sample and one time step at a time.

All functions of a cell have the same arguments:

- ``p``: a function for each gate; ``p[gate](h, x)`` is the gate's pre-activation W_h h + W_x x + b,
  whose matrices act from the left.
- ``x``: input of one sample at one time step, ``[inputs]``.
- ``state``: parts of the state before the step, each ``[hidden]``.
- ``s``: the nonlinearity.
- ``forget``: forget bias.

They return the output of the step and the state after it.
"""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
from torch import Tensor

from trainables.architectures.cell import Cell

Array = npt.NDArray[np.float64]
Gates = Mapping[str, Callable[[Array, Array], Array]]
State = tuple[Array, ...]
Elementwise = Callable[[Array], Array]
Step = Callable[[Gates, Array, State, Elementwise, float], tuple[Array, State]]


def sigmoid(z: Array) -> Array:
    """Return the logistic function of each number."""
    return 1 / (1 + np.exp(-z))


def relu(z: Array) -> Array:
    """Return each number, or 0 if it is negative."""
    return np.maximum(z, 0)


def rnn(p: Gates, x: Array, state: State, s: Elementwise, forget: float) -> tuple[Array, State]:
    """Compute one step of a vanilla RNN."""
    (h,) = state
    h = s(p["h"](h, x))
    return h, (h,)


def ugrnn(p: Gates, x: Array, state: State, s: Elementwise, forget: float) -> tuple[Array, State]:
    """Compute one step of an update-gate RNN."""
    (h,) = state
    c = s(p["candidate"](h, x))
    g = sigmoid(p["update"](h, x) + forget)
    h = g * h + (1 - g) * c
    return h, (h,)


def gru(p: Gates, x: Array, state: State, s: Elementwise, forget: float) -> tuple[Array, State]:
    """Compute one step of a gated recurrent unit."""
    (h,) = state
    r = sigmoid(p["reset"](h, x))
    u = sigmoid(p["update"](h, x) + forget)
    c = s(p["candidate"](r * h, x))
    h = u * h + (1 - u) * c
    return h, (h,)


def lstm(p: Gates, x: Array, state: State, s: Elementwise, forget: float) -> tuple[Array, State]:
    """Compute one step of a long short-term memory."""
    h, c = state
    i = sigmoid(p["input"](h, x))
    f = sigmoid(p["forget"](h, x) + forget)
    o = sigmoid(p["output"](h, x))
    c = f * c + i * s(p["candidate"](h, x))
    h = o * np.tanh(c)
    return h, (h, c)


def intersection(
    p: Gates, x: Array, state: State, s: Elementwise, forget: float
) -> tuple[Array, State]:
    """Compute one step of an intersection RNN."""
    (h,) = state
    y_in = relu(p["y"](h, x))
    h_in = np.tanh(p["h"](h, x))
    g_y = sigmoid(p["y_gate"](h, x) + forget)
    g_h = sigmoid(p["h_gate"](h, x) + forget)
    return g_y * x + (1 - g_y) * y_in, (g_h * h + (1 - g_h) * h_in,)


STEPS: dict[str, Step] = {
    "rnn": rnn,
    "irnn": rnn,
    "linear_rnn": rnn,
    "elman": rnn,
    "ugrnn": ugrnn,
    "gru": gru,
    "lstm": lstm,
    "intersection": intersection,
}


def run(
    name: str, layer: Cell, x: Tensor, s: Elementwise, forget: float = 0.0, lane: int = 0
) -> Array:
    """Return the outputs of one lane of a layer, ``[time, batch, hidden]``.

    Args:
        name: name of the architecture, a key of ``STEPS``.
        layer: layer whose parameters are used.
        x: inputs of the lane, ``[time, batch, inputs]``.
        s: the nonlinearity.
        forget: forget bias.
        lane: the lane.
    """
    n = layer.hidden

    def gate(index: int) -> Callable[[Array, Array], Array]:
        columns = slice(index * n, (index + 1) * n)
        w_h: Array = layer.recurrent_weight[lane, :, columns].detach().numpy().T
        w_x: Array = layer.input_weight[lane, :, columns].detach().numpy().T
        b: Array = layer.bias[lane, columns].detach().numpy()
        return lambda h, x: w_h @ h + w_x @ x + b

    gates = {gate_name: gate(index) for index, gate_name in enumerate(layer.gates)}
    start = layer.initial_state[lane].detach().numpy().reshape(-1, n)
    samples = []
    for sample in x.numpy().transpose(1, 0, 2):
        state: State = tuple(start)
        outputs = []
        for x_t in sample:
            output, state = STEPS[name](gates, x_t, state, s, forget)
            outputs.append(output)
        samples.append(outputs)
    return np.array(samples).transpose(1, 0, 2)
