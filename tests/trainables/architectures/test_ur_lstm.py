"""Compares the UR-LSTM with its equations and torch's LSTM, and tests how its gates start."""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from tests.support.networks import configuration, noise, randomize, set_gate
from trainables.architectures import build, search_space


def make(*, hidden=4, lanes=1, nonlinearity="tanh", dtype=torch.float64):
    return randomize(
        build(
            "ur_lstm",
            inputs=3,
            outputs=1,
            hidden=hidden,
            lanes=lanes,
            options={"nonlinearity": nonlinearity},
            dtype=dtype,
        )
    ).layers[0]


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


@torch.no_grad()
@pytest.mark.parametrize(
    ("nonlinearity", "s"), [("tanh", np.tanh), ("relu", lambda z: np.maximum(z, 0))]
)
def test_outputs_of_two_lanes_are_those_worked_out_by_hand(nonlinearity, s):
    layer = make(lanes=2, nonlinearity=nonlinearity)
    x = noise(2, 6, 3, 3)
    outputs, (last_h, last_c) = layer(x)
    for lane, sample in itertools.product(range(2), range(3)):
        w_h, w_x = layer.recurrent_weight[lane].numpy().T, layer.input_weight[lane].numpy().T
        h, c = layer.initial_state[lane].numpy().reshape(2, 4)
        for t in range(6):
            z = w_h @ h + w_x @ x[lane, t, sample].numpy() + layer.bias[lane].numpy()
            f, r, o = sigmoid(z[:4]), sigmoid(z[4:8]), sigmoid(z[8:12])
            g = r * (1 - (1 - f) ** 2) + (1 - r) * f**2
            c = g * c + (1 - g) * s(z[12:])
            h = o * np.tanh(c)
            np.testing.assert_allclose(outputs[lane, t, sample], h, rtol=0, atol=1e-12)
        np.testing.assert_allclose(last_h[lane, sample], h, rtol=0, atol=1e-12)
        np.testing.assert_allclose(last_c[lane, sample], c, rtol=0, atol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize("f", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("r", [0.0, 0.25, 0.5, 1.0])
def test_the_effective_gate_lies_between_the_square_of_f_and_its_mirror_image(f, r):
    """After one step from c = 1 with candidate 0, the new c is the effective gate g."""
    layer = make()
    for parameter in layer.parameters():
        parameter.zero_()
    layer.initial_state[0, 4:] = 1.0
    for gate, value in (("forget", f), ("refine", r)):
        columns = layer._columns(gate)
        layer.bias[0, columns] = torch.logit(torch.tensor(value, dtype=torch.float64)).clamp(
            -60, 60
        )
    _, (_, c) = layer(torch.zeros(1, 1, 1, 3, dtype=torch.float64))
    low, high = f**2, 1 - (1 - f) ** 2
    assert c.flatten().tolist() == pytest.approx([low + r * (high - low)] * 4, abs=1e-12)
    if r == 0.5:
        assert c.flatten().tolist() == pytest.approx([f] * 4, abs=1e-12)


@torch.no_grad()
def test_ur_lstm_with_a_half_open_refine_gate_is_torchs_lstm_with_coupled_gates():
    torch.manual_seed(0)
    other = torch.nn.LSTMCell(3, 5, dtype=torch.float64)
    for weight in other.parameters():  # input gate = 1 - forget gate
        weight[:5] = -weight[5:10]
    layer = make(hidden=5)
    zeros = torch.zeros_like(other.weight_ih[:5]), torch.zeros_like(other.weight_hh[:5])
    set_gate(layer, "refine", *zeros, torch.zeros(5))
    for index, gate in ((1, "forget"), (2, "candidate"), (3, "output")):
        rows = slice(index * 5, index * 5 + 5)
        bias = (other.bias_ih + other.bias_hh)[rows]
        set_gate(layer, gate, other.weight_ih[rows], other.weight_hh[rows], bias)
    x = noise(1, 8, 4, 3)
    h, c = (part[0] for part in layer.start(4))
    for x_t, output in zip(x[0], layer(x)[0][0], strict=True):
        h, c = other(x_t, (h, c))
        torch.testing.assert_close(output, h, rtol=0, atol=1e-12)


def test_gates_start_uniform_and_the_refine_gate_opposite_to_the_forget_gate():
    n = 500
    drawn = [configuration("ur_lstm", {}, lane) for lane in range(2)]
    net = build("ur_lstm", inputs=3, outputs=1, hidden=n, lanes=2)  # float32, as it is trained
    net.initialize(drawn, [torch.Generator().manual_seed(lane) for lane in range(2)])
    bias = net.layers[0].bias.detach()
    forget, refine = bias[:, :n], bias[:, n : 2 * n]
    assert torch.equal(refine, -forget)
    assert not torch.equal(forget[0], forget[1])
    for lane in range(2):
        q = sigmoid(forget[lane].double().numpy())
        assert q.min() >= 1 / n - 1e-6
        assert q.max() <= 1 - 1 / n + 1e-6
        assert stats.kstest(q, stats.uniform(1 / n, 1 - 2 / n).cdf).pvalue > 1e-3


def test_neither_a_forget_bias_nor_scales_of_forget_and_refine_biases_are_searched():
    space = search_space("ur_lstm")
    assert not {"forget_bias", "forget_bias_scale", "refine_bias_scale"} & set(space)
    assert {"output_bias_scale", "candidate_bias_scale", "forget_square_scale"} <= set(space)


def test_a_single_unit_starts_with_its_gates_half_open():
    layer = make(hidden=1)
    layer.initialize([configuration("ur_lstm", {}, 0)], [torch.Generator().manual_seed(0)])
    assert layer.bias[0, :2].tolist() == [0.0, 0.0]
