"""Compares the vanilla network with torch.nn.RNNCell and tests how the IRNN starts."""

import pytest
import torch

from tests.support.networks import cell, configuration, network, noise, set_gate
from trainables.architectures import search_space
from trainables.space import Choice


@torch.no_grad()
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_rnn_is_that_of_torch(nonlinearity):
    torch.manual_seed(0)
    other = torch.nn.RNNCell(3, 5, nonlinearity=nonlinearity, dtype=torch.float64)
    layer = cell("rnn", inputs=3, hidden=5, relu=nonlinearity == "relu")
    set_gate(layer, "h", other.weight_ih, other.weight_hh, other.bias_ih + other.bias_hh)
    x = noise(1, 8, 4, 3)
    outputs, (last,) = layer(x)
    h = layer.start(4)[0][0]
    for x_t, output in zip(x[0], outputs[0], strict=True):
        h = other(x_t, h)
        torch.testing.assert_close(output, h, rtol=0, atol=1e-12)
    assert torch.equal(last[0], outputs[0, -1])


@pytest.mark.parametrize("depth", [1, 3])
def test_irnn_starts_at_the_identity_without_bias_and_with_relu(depth):
    net = network("irnn", {}, depth, configurations=[configuration("irnn", {}, i) for i in (0, 1)])
    for layer in net.layers:
        for lane in range(2):
            assert torch.equal(layer.recurrent_weight[lane], torch.eye(4, dtype=torch.float64))
        assert not layer.bias.any()
        assert not layer.initial_state.any()
        assert (layer(noise(2, 6, 3, layer.inputs))[0] >= 0).all()
        assert layer.input_weight.all()


def test_irnn_remembers_a_positive_input_for_ever():
    net = network("irnn", {}, 1, configurations=[configuration("irnn", {}, 0)])
    layer = net.layers[0]
    x = torch.zeros(1, 50, 1, 3, dtype=torch.float64)
    x[:, 0] = noise(3)
    outputs, _ = layer(x)
    assert outputs[0, 0].any()
    torch.testing.assert_close(outputs[0, -1], outputs[0, 0], rtol=0, atol=1e-15)


def test_linear_rnn_is_linear_in_its_inputs_and_initial_state():
    layer, x, y = cell("linear_rnn"), noise(1, 9, 2, 3), noise(1, 9, 2, 3, seed=2)
    with torch.no_grad():
        layer.bias.zero_()
        (h,) = layer.start(2)
        zero = torch.zeros_like(h)
        of_both = layer(2 * x - 3 * y, (5 * h,))[0]
        sum_of_parts = 2 * layer(x, (zero,))[0] - 3 * layer(y, (zero,))[0]
        sum_of_parts += 5 * layer(torch.zeros_like(x), (h,))[0]
    assert of_both.abs().max() > 1
    torch.testing.assert_close(of_both, sum_of_parts, rtol=0, atol=1e-11)


def test_only_irnn_may_start_the_vanilla_network_at_the_identity():
    for options in ({}, {"nonlinearity": "relu"}, {"act": "relu", "skip": True}):
        kinds = search_space("rnn", options)["h_square"]
        assert kinds == Choice(("orthogonal", "normal"))
    assert not [key for key in search_space("irnn") if "square" in key or "nonlinearity" in key]
