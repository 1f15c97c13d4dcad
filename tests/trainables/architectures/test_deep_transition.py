"""Compares deep transitions with NumPy, one sample and one time step at a time."""

import itertools

import numpy as np
import pytest
import torch

from tests.support.networks import configuration, noise, randomize
from trainables.architectures import build

NAMES = ("deep_transition", "deep_transition_skip", "deep_transition_shortcut")
NONLINEARITIES = {"tanh": np.tanh, "relu": lambda z: np.maximum(z, 0)}


def make(name, *, nonlinearity="tanh", lanes=2, **options):
    """Return a network of 4 units, 3 inputs and 2 outputs with asymmetric random weights."""
    return randomize(
        build(
            name,
            inputs=3,
            outputs=2,
            hidden=4,
            lanes=lanes,
            options={"nonlinearity": nonlinearity, **options},
            dtype=torch.float64,
        )
    )


def left(weight, lane):
    """Return a weight as a matrix that acts from the left."""
    return weight[lane].detach().numpy().T


def input_part(layer, lane, x, s):
    """Return what the input adds to the first layer of the transition, without its bias."""
    weights = [layer.input_weight, *layer.input_layer_weights]
    for weight, bias in zip(weights[:-1], layer.input_layer_biases, strict=True):
        x = s(left(weight, lane) @ x + bias[lane].detach().numpy())
    return left(weights[-1], lane) @ x


def transition(name, layer, lane, h, u, s):
    """Return the new state; ``u`` is what the input adds."""
    g = s(left(layer.recurrent_weight, lane) @ h + u + layer.bias[lane].detach().numpy())
    for k, weight in enumerate(layer.transition_weights):
        z = left(weight, lane) @ g + layer.transition_biases[k][lane].detach().numpy()
        if name == "deep_transition_shortcut":
            z = z + left(layer.shortcut_weights[k], lane) @ h
        g = s(z)
    return h + g if name == "deep_transition_skip" else g


def readout(net, lane, h, s):
    layers = zip(net.readout_layer_weights, net.readout_layer_biases, strict=True)
    for weight, bias in layers:
        h = s(left(weight, lane) @ h + bias[lane].detach().numpy())
    return left(net.readout_weight, lane) @ h + net.readout_bias[lane].detach().numpy()


@torch.no_grad()
@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
@pytest.mark.parametrize(
    ("transitions", "input_depth", "output_depth"),
    [(1, 1, 1), (2, 1, 1), (3, 1, 1), (3, 2, 1), (2, 1, 2), (2, 3, 3)],
)
@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_those_of_the_definition(
    name, transitions, input_depth, output_depth, nonlinearity
):
    net = make(
        name,
        nonlinearity=nonlinearity,
        transition_depth=transitions,
        input_depth=input_depth,
        output_depth=output_depth,
    )
    layer, s = net.layers[0], NONLINEARITIES[nonlinearity]
    assert len(layer.transition_weights) == transitions - 1
    assert len(layer.input_layer_weights) == input_depth - 1
    assert len(net.readout_layer_weights) == output_depth - 1
    x = noise(2, 5, 3, 3)
    (states, _), (outputs, ((last,),)) = layer(x), net(x)
    for lane, sample in itertools.product(range(2), range(3)):
        h = layer.initial_state[lane].numpy()
        for t in range(5):
            h = transition(
                name, layer, lane, h, input_part(layer, lane, x[lane, t, sample].numpy(), s), s
            )
            np.testing.assert_allclose(states[lane, t, sample], h, rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(
                outputs[lane, t, sample], readout(net, lane, h, s), rtol=1e-12, atol=1e-12
            )
    assert torch.equal(last, states[:, -1])


@torch.no_grad()
@pytest.mark.parametrize("name", NAMES)
def test_a_network_of_one_transition_is_the_vanilla_network(name):
    net = make(name, transition_depth=1)
    kind = ("elman", {"residual": "identity"}) if name == "deep_transition_skip" else ("rnn", {})
    plain = build(
        kind[0], inputs=3, outputs=2, hidden=4, lanes=2, options=kind[1], dtype=torch.float64
    )
    plain.load_state_dict(net.state_dict())  # the same parameters under the same names
    x = noise(2, 5, 3, 3)
    torch.testing.assert_close(net(x)[0], plain(x)[0], rtol=0, atol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize("time", [2, 5])  # as many steps as lanes, and another number
@pytest.mark.parametrize("name", NAMES)
def test_tanh_and_relu_lanes_of_one_network_equal_networks_of_one_kind(name, time):
    options = {"transition_depth": 3, "input_depth": 2, "output_depth": 2}
    mixed = make(name, nonlinearity="searched", **options)
    mixed.layers[0].relu[1] = True
    x = noise(2, time, 3, 3)
    for lane, nonlinearity in enumerate(NONLINEARITIES):
        alone = make(name, nonlinearity=nonlinearity, **options)
        torch.testing.assert_close(mixed(x)[0][lane], alone(x)[0][lane], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_layer_is_drawn_with_scales_of_its_own(name):
    options = {"transition_depth": 3, "input_depth": 3, "output_depth": 3}
    drawn = configuration(name, options, 0, bias_distribution="constant")
    kinds = {"transition": 0.3, "input_layer": 0.5, "readout_layer": 0.7}
    for kind, scale in kinds.items():
        drawn |= {
            f"{kind}_square": "orthogonal",
            f"{kind}_square_scale": scale,
            f"{kind}_bias_scale": -scale,
        }
    drawn |= {"shortcut_square": "orthogonal", "shortcut_square_scale": 0.9}
    net = make(name, lanes=1, **options)
    net.initialize([drawn], [torch.Generator().manual_seed(0)])
    layer = net.layers[0]
    groups = [
        (layer.transition_weights, layer.transition_biases, 0.3),
        (layer.input_layer_weights, layer.input_layer_biases, 0.5),
        (net.readout_layer_weights, net.readout_layer_biases, 0.7),
    ]
    if name == "deep_transition_shortcut":
        groups.append((layer.shortcut_weights, [], 0.9))
    for weights, biases, scale in groups:
        assert len(weights) == 2
        assert not torch.equal(weights[0], weights[1])
        for weight in weights:
            square = weight[0].detach()
            torch.testing.assert_close(
                square @ square.T, scale**2 * torch.eye(4, dtype=torch.float64)
            )
        for bias in biases:
            assert bias.tolist() == [[-scale] * 4]


# -- the chapter's three perceptrons -----------------------------------------------------------


def perceptron(weights, biases, lane, z, s, residual):
    """Return MLP(z), plus z where that is asked for and has the same width."""
    y = z
    for weight, bias in zip(weights, biases, strict=True):
        y = s(left(weight, lane) @ y + bias[lane].detach().numpy())
    return y + z if residual and len(y) == len(z) else y


def chapters_state(layer, lane, h, x, s, residual):
    over_time = (
        [layer.recurrent_weight, *layer.transition_weights],
        [layer.bias, *layer.transition_biases],
    )
    from_input = (
        [layer.input_weight, *layer.input_layer_weights],
        [*layer.input_layer_biases, layer.input_bias],
    )
    return perceptron(*over_time, lane, h, s, residual) + perceptron(
        *from_input, lane, x, s, residual
    )


@torch.no_grad()
@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
@pytest.mark.parametrize("inputs", [3, 4])  # with four inputs, the first layer has a skip, too
@pytest.mark.parametrize("residual", ["none", "identity"])
@pytest.mark.parametrize("depths", [(1, 1, 1), (2, 2, 2), (3, 1, 2), (1, 3, 1), (2, 2, 3)])
def test_the_chapters_outputs_are_those_of_its_equations(depths, residual, inputs, nonlinearity):
    transitions, input_depth, output_depth = depths
    s, with_skips = NONLINEARITIES[nonlinearity], residual == "identity"
    options = {
        "nonlinearity": nonlinearity,
        "transition_depth": transitions,
        "input_depth": input_depth,
        "output_depth": output_depth,
        "residual": residual,
    }
    net = randomize(
        build(
            "deep_transition_mlp",
            inputs=inputs,
            outputs=2,
            hidden=4,
            depth=2,
            lanes=2,
            options=options,
            dtype=torch.float64,
        )
    )
    x = noise(2, 5, 3, inputs)
    outputs, finals = net(x)
    for lane, sample in itertools.product(range(2), range(3)):
        states = [layer.initial_state[lane].numpy() for layer in net.layers]
        for t in range(5):
            below = x[lane, t, sample].numpy()
            for index, layer in enumerate(net.layers):
                below = chapters_state(layer, lane, states[index], below, s, with_skips)
                states[index] = below
            layers = (net.readout_layer_weights, net.readout_layer_biases)
            top = perceptron(*layers, lane, below, s, with_skips)
            expected = left(net.readout_weight, lane) @ top + net.readout_bias[lane].numpy()
            np.testing.assert_allclose(outputs[lane, t, sample], expected, rtol=1e-12, atol=1e-12)
        for (final,), state in zip(finals, states, strict=True):
            np.testing.assert_allclose(final[lane, sample], state, rtol=1e-12, atol=1e-12)
    assert len(net.readout_layer_weights) == output_depth
    assert len(net.layers[0].transition_weights) == transitions - 1
    assert len(net.layers[0].input_layer_weights) == input_depth - 1


def test_the_last_bias_of_the_chapters_input_perceptron_is_drawn_as_the_others():
    drawn = configuration("deep_transition_mlp", {}, 0, bias_distribution="constant")
    net = make("deep_transition_mlp", lanes=1)
    scale = {"input_layer_bias_scale": 0.7, "h_bias_scale": -0.3}
    net.initialize([drawn | scale], [torch.Generator().manual_seed(0)])
    layer = net.layers[0]
    for bias, expected in (
        (layer.input_bias, 0.7),
        (layer.input_layer_biases[0], 0.7),
        (layer.bias, -0.3),
    ):
        assert bias.tolist() == [[expected] * 4]
