"""The capacity paper's equations 1 to 20 in NumPy, one sample and one time step at a time.

``p[gate](h, x)`` is the pre-activation of a gate: W_h h + W_x x + b, matrices from the left.
"""

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def relu(z):
    return np.maximum(z, 0)


def rnn(p, x, state, s, forget):
    (h,) = state
    h = s(p["h"](h, x))
    return h, (h,)


def ugrnn(p, x, state, s, forget):
    (h,) = state
    c = s(p["candidate"](h, x))
    g = sigmoid(p["update"](h, x) + forget)
    h = g * h + (1 - g) * c
    return h, (h,)


def gru(p, x, state, s, forget):
    (h,) = state
    r = sigmoid(p["reset"](h, x))
    u = sigmoid(p["update"](h, x) + forget)
    c = s(p["candidate"](r * h, x))
    h = u * h + (1 - u) * c
    return h, (h,)


def lstm(p, x, state, s, forget):
    h, c = state
    i = sigmoid(p["input"](h, x))
    f = sigmoid(p["forget"](h, x) + forget)
    o = sigmoid(p["output"](h, x))
    c = f * c + i * s(p["candidate"](h, x))
    h = o * np.tanh(c)
    return h, (h, c)


def intersection(p, x, state, s, forget):
    (h,) = state
    y_in = relu(p["y"](h, x))
    h_in = np.tanh(p["h"](h, x))
    g_y = sigmoid(p["y_gate"](h, x) + forget)
    g_h = sigmoid(p["h_gate"](h, x) + forget)
    return g_y * x + (1 - g_y) * y_in, (g_h * h + (1 - g_h) * h_in,)


STEPS = {
    "rnn": rnn,
    "irnn": rnn,
    "linear_rnn": rnn,
    "elman": rnn,
    "ugrnn": ugrnn,
    "gru": gru,
    "lstm": lstm,
    "intersection": intersection,
}


def run(name, layer, x, s, forget=0.0, lane=0):
    """Outputs ``[time, batch, hidden]`` of one lane over its ``x [time, batch, inputs]``."""
    n = layer.hidden

    def gate(index):
        columns = slice(index * n, (index + 1) * n)
        w_h = layer.recurrent_weight[lane, :, columns].detach().numpy().T
        w_x = layer.input_weight[lane, :, columns].detach().numpy().T
        b = layer.bias[lane, columns].detach().numpy()
        return lambda h, x: w_h @ h + w_x @ x + b

    gates = {gate_name: gate(index) for index, gate_name in enumerate(layer.gates)}
    start = layer.initial_state[lane].detach().numpy().reshape(-1, n)
    samples = []
    for sample in x.numpy().transpose(1, 0, 2):
        state, outputs = tuple(start), []
        for x_t in sample:
            output, state = STEPS[name](gates, x_t, state, s, forget)
            outputs.append(output)
        samples.append(outputs)
    return np.array(samples).transpose(1, 0, 2)
