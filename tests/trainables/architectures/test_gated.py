"""Compares UGRNN, GRU and LSTM with TensorFlow's published numbers and other implementations."""

import pytest
import torch
import torchrecurrent

from tests.support.networks import add_to_gate, cell, noise, set_gate
from trainables.architectures import build


def constant(name, inputs, *, state=0.1, kernels=0.5):
    """Return the layer of TensorFlow's tests: two units, no bias, equal kernels, equal states."""
    layer = cell(name, inputs=inputs, hidden=2)
    with torch.no_grad():
        layer.input_weight.fill_(kernels)
        layer.recurrent_weight.fill_(kernels)
        layer.bias.zero_()
        layer.initial_state.fill_(state)
    return layer


def one_step(layer, x):
    """Return output and state after one step over ``x [batch, inputs]``."""
    x = torch.tensor(x, dtype=torch.float64)[None, None]
    with torch.no_grad():
        return layer(x)


def test_ugrnn_has_the_numbers_of_tensorflow():
    layer = constant("ugrnn", 4)
    add_to_gate(layer, "update", 1.0)
    output, _ = one_step(layer, [[1.0] * 4, [2.0] * 4, [3.0] * 4])
    expected = torch.tensor([0.13752282, 0.10545051, 0.10074195], dtype=torch.float64)
    torch.testing.assert_close(output[0, 0], expected[:, None].expand(3, 2), rtol=0, atol=1e-7)


@pytest.mark.parametrize(("inputs", "expected"), [(2, 0.175991), (3, 0.156736)])
def test_gru_has_the_numbers_of_tensorflow(inputs, expected):
    layer = constant("gru", inputs)
    ones, zeros = torch.ones(2), torch.zeros(2)
    for gate, bias in (("reset", ones), ("update", ones), ("candidate", zeros)):
        set_gate(layer, gate, torch.full((2, inputs), 0.5), torch.full((2, 2), 0.5), bias)
    output, _ = one_step(layer, [[1.0] * inputs])
    assert output.flatten().tolist() == pytest.approx([expected] * 2, abs=1e-6)


def test_gru_takes_the_forget_bias_as_a_bias_of_the_update_gate():
    layer = constant("gru", 2)
    with torch.no_grad():
        layer.bias[0, :2] = 1.0  # reset
    add_to_gate(layer, "update", 1.0)
    output, _ = one_step(layer, [[1.0, 1.0]])
    assert output.flatten().tolist() == pytest.approx([0.175991] * 2, abs=1e-6)


def test_two_lstm_layers_have_the_numbers_of_tensorflow():
    net = build("lstm", inputs=2, outputs=1, hidden=2, depth=2, dtype=torch.float64)
    for index in range(2):
        net.layers[index] = constant("lstm", 2)
        add_to_gate(net.layers[index], "forget", 1.0)
    x = torch.ones(1, 1, 1, 2, dtype=torch.float64)
    with torch.no_grad():
        net.readout_weight.zero_()
        net.readout_bias.zero_()
        _, ((h1, c1), (h2, c2)) = net(x)
    for state, expected in (
        (c1, 0.68967271),
        (h1, 0.44848421),
        (c2, 0.39897051),
        (h2, 0.24024698),
    ):
        assert state.flatten().tolist() == pytest.approx([expected] * 2, abs=1e-7)


def run_cell(step, x, state):
    """Run a cell of another library over ``x [time, batch, inputs]``; return its first results."""
    outputs = []
    for x_t in x:
        output, state = step(x_t, state)
        outputs.append(output)
    return torch.stack(outputs)


def gates_of(other, order):
    """Map each gate to (input weight, recurrent weight, bias) of a cell built like torch.nn's."""
    hidden = other.weight_hh.shape[1]
    return {
        gate: (
            other.weight_ih[i * hidden : (i + 1) * hidden],
            other.weight_hh[i * hidden : (i + 1) * hidden],
            (other.bias_ih + other.bias_hh)[i * hidden : (i + 1) * hidden],
        )
        for i, gate in enumerate(order)
    }


@torch.no_grad()
def test_lstm_is_that_of_torch():
    torch.manual_seed(0)
    other = torch.nn.LSTMCell(3, 5, dtype=torch.float64)
    layer = cell("lstm", inputs=3, hidden=5)
    for gate, weights in gates_of(other, ["input", "forget", "candidate", "output"]).items():
        set_gate(layer, gate, *weights)
    layer.bias[0, 5:10] -= 1.7  # the forget gate's columns; torch has no forget bias
    add_to_gate(layer, "forget", 1.7)
    x = noise(1, 8, 4, 3)
    h, c = layer.start(4)

    def step(x_t, state):
        state = other(x_t, state)
        return state[0], state

    expected = run_cell(step, x[0], (h[0], c[0]))
    torch.testing.assert_close(layer(x)[0][0], expected, rtol=0, atol=1e-12)


@torch.no_grad()
def test_ugrnn_is_that_of_torchrecurrent():
    torch.manual_seed(0)
    other = torchrecurrent.UGRNNCell(3, 5, dtype=torch.float64)
    other.bias_ih.normal_()
    layer = cell("ugrnn", inputs=3, hidden=5)
    for gate, weights in gates_of(other, ["candidate", "update"]).items():
        set_gate(layer, gate, *weights)
    layer.bias[0, :5] -= 1.7  # the update gate's columns; that library has no forget bias
    add_to_gate(layer, "update", 1.7)
    x = noise(1, 8, 4, 3)
    expected = run_cell(lambda x_t, h: (other(x_t, h),) * 2, x[0], layer.start(4)[0][0])
    torch.testing.assert_close(layer(x)[0][0], expected, rtol=0, atol=1e-12)


@torch.no_grad()
def test_gru_resets_before_the_product_unlike_that_of_torch():
    torch.manual_seed(0)
    other = torch.nn.GRUCell(3, 5, dtype=torch.float64)
    other.bias_hh[10:] = 0  # torch resets this bias too; without it only the products differ
    layer = cell("gru", inputs=3, hidden=5)
    for gate, weights in gates_of(other, ["reset", "update", "candidate"]).items():
        set_gate(layer, gate, *weights)
    x, (h,) = noise(1, 1, 4, 3), layer.start(4)
    expected = other(x[0, 0], h[0])
    assert (layer(x)[0][0, 0] - expected).abs().max() > 1e-3
    # With an open reset gate both are one cell.
    layer.bias[0, :5] = other.bias_ih[:5] = 50.0
    torch.testing.assert_close(layer(x)[0][0, 0], other(x[0, 0], h[0]), rtol=0, atol=1e-12)
