"""Compares the intersection network with TensorFlow's published numbers and torchrecurrent."""

import pytest
import torch
import torchrecurrent

from tests.support.networks import add_to_gate, cell, noise, set_gate
from trainables.architectures import Impossible, build


@torch.no_grad()
def test_intersection_has_the_numbers_of_tensorflow():
    layer = cell("intersection", inputs=4, hidden=2)
    layer.input_weight.fill_(0.5)
    layer.recurrent_weight.fill_(0.5)
    layer.projection_weight.fill_(0.5)
    layer.projection_bias.zero_()
    layer.bias.zero_()
    layer.initial_state.fill_(0.1)
    for gate in ("y_gate", "h_gate"):
        add_to_gate(layer, gate, 1.0)
    x = torch.tensor([[1.0] * 4, [2.0] * 4, [3.0] * 4], dtype=torch.float64)[None, None]
    outputs, (state,) = layer(x)
    y = torch.tensor([2.00431061, 4.00060606, 6.00008249], dtype=torch.float64)
    h = torch.tensor([0.13752282, 0.10545051, 0.10074195], dtype=torch.float64)
    torch.testing.assert_close(outputs[0, 0], y[:, None].expand(3, 2), rtol=0, atol=1e-6)
    torch.testing.assert_close(state[0], h[:, None].expand(3, 2), rtol=0, atol=1e-7)


@torch.no_grad()
def test_intersection_is_that_of_torchrecurrent():
    torch.manual_seed(0)
    other = torchrecurrent.IntersectionRNNCell(5, 5, dtype=torch.float64)
    other.bias_ih.normal_()
    other.bias_hh.normal_()
    layer = cell("intersection", inputs=5, hidden=5)
    bias = other.bias_ih + other.bias_hh
    # That library has no forget bias: 1.7 of each gate's bias becomes the constant.
    for i, (gate, constant) in enumerate(
        [("y", 0.0), ("h", 0.0), ("y_gate", 1.7), ("h_gate", 0.6)]
    ):
        rows = slice(5 * i, 5 * i + 5)
        set_gate(layer, gate, other.weight_ih[rows], other.weight_hh[rows], bias[rows] - constant)
        add_to_gate(layer, gate, constant)
    x = noise(1, 8, 4, 5)
    outputs, (last,) = layer(x)
    h = layer.start(4)[0][0]
    for x_t, output in zip(x[0], outputs[0], strict=True):
        y, h = other(x_t, h)
        torch.testing.assert_close(output, y, rtol=0, atol=1e-12)
    torch.testing.assert_close(last[0], h, rtol=0, atol=1e-12)


@torch.no_grad()
def test_the_first_layer_projects_its_input_affinely_without_a_nonlinearity():
    layer = cell("intersection", inputs=3, hidden=5)
    x = noise(1, 6, 4, 3)
    projected = x @ layer.projection_weight[0] + layer.projection_bias[0]
    assert (projected < 0).any()  # otherwise the test would not notice a ReLU
    narrow = cell("intersection", inputs=5, hidden=5)
    shared = {k: v for k, v in layer.state_dict().items() if not k.startswith("projection")}
    narrow.load_state_dict(shared)
    torch.testing.assert_close(layer(x)[0], narrow(projected)[0], rtol=0, atol=1e-12)


def test_only_a_layer_with_another_width_below_it_projects():
    net = build("intersection", inputs=3, outputs=1, hidden=5, depth=3)
    assert [layer.projection_weight is not None for layer in net.layers] == [True, False, False]
    same = build("intersection", inputs=5, outputs=1, hidden=5, depth=2)
    assert [layer.projection_weight is not None for layer in same.layers] == [False, False]


@torch.no_grad()
def test_the_layer_above_and_the_readout_see_y():
    net = build("intersection", inputs=3, outputs=2, hidden=5, depth=2, dtype=torch.float64)
    lower, upper = (cell("intersection", inputs=n, hidden=5) for n in (3, 5))
    net.layers[0], net.layers[1] = lower, upper
    net.readout_weight.copy_(noise(1, 5, 2))
    net.readout_bias.copy_(noise(1, 2, seed=3))
    x = noise(1, 4, 2, 3)
    y, _ = upper(lower(x)[0])
    expected = y @ net.readout_weight[0] + net.readout_bias[0]
    torch.testing.assert_close(net(x)[0], expected, rtol=0, atol=1e-12)


def test_intersection_is_impossible_at_depth_one_as_in_the_paper():
    with pytest.raises(
        Impossible, match="intersection does not exist at depth 1: it needs depth 2"
    ):
        build("intersection", inputs=3, outputs=1, hidden=5, depth=1)
