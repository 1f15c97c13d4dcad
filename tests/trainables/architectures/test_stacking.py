"""Compares what ``act`` and ``skip`` do between layers with NumPy at depth 3."""

import itertools

import numpy as np
import pytest
import torch

from tests.support.networks import noise, randomize
from trainables.architectures import ARCHITECTURES, build

ACTS = {"identity": lambda z: z, "tanh": np.tanh, "relu": lambda z: np.maximum(z, 0)}


def make(name, depth=3, lanes=2, hidden=4, **options):
    """Return a network of 3 inputs and 2 outputs with asymmetric random weights."""
    return randomize(
        build(
            name,
            inputs=3,
            outputs=2,
            hidden=hidden,
            depth=depth,
            lanes=lanes,
            options=options,
            dtype=torch.float64,
        )
    )


def rnn(layer, lane, h, x):
    w_h, w_x = (p[lane].numpy().T for p in (layer.recurrent_weight, layer.input_weight))
    return np.tanh(w_h @ h + w_x @ x + layer.bias[lane].numpy())


def deep_transition(layer, lane, h, x):
    upper, bias = layer.transition_weights[0], layer.transition_biases[0]
    return np.tanh(upper[lane].numpy().T @ rnn(layer, lane, h, x) + bias[lane].numpy())


STEPS = {"rnn": rnn, "deep_transition": deep_transition}


@torch.no_grad()
@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("name", STEPS)
def test_outputs_of_three_layers_are_those_worked_out_by_hand(name, act, skip):
    net = make(name, act=act, skip=skip, nonlinearity="tanh")
    x = noise(2, 5, 2, 3)
    outputs, finals = net(x)
    for lane, sample in itertools.product(range(2), range(2)):
        states = [layer.initial_state[lane].numpy() for layer in net.layers]
        for t in range(5):
            below = x[lane, t, sample].numpy()
            for index, layer in enumerate(net.layers):
                # The recurrence carries the state as it is before act.
                states[index] = STEPS[name](layer, lane, states[index], below)
                above = ACTS[act](states[index])
                below = above + below if skip and index > 0 else above
            read = net.readout_weight[lane].numpy().T @ below + net.readout_bias[lane].numpy()
            np.testing.assert_allclose(outputs[lane, t, sample], read, rtol=0, atol=1e-12)
        for (final,), state in zip(finals, states, strict=True):
            np.testing.assert_allclose(final[lane, sample], state, rtol=0, atol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_applies_act_and_skip_alike(name):
    """The test runs layer by layer, with ``act`` and ``skip`` written out between them."""
    net = make(name, act="relu", skip=True)
    x = noise(2, 5, 2, 3)
    outputs, finals = net(x)
    below = x
    for index, layer in enumerate(net.layers):
        own, last = layer(below)
        torch.testing.assert_close(finals[index], last, rtol=0, atol=0)
        above = own.clamp_min(0)
        below = above + below if index else above
    for weight, bias in zip(net.readout_layer_weights, net.readout_layer_biases, strict=True):
        below = torch.tanh(below @ weight.unsqueeze(1) + bias[:, None, None])
    torch.testing.assert_close(
        outputs,
        below @ net.readout_weight.unsqueeze(1) + net.readout_bias[:, None, None],
        rtol=0,
        atol=1e-12,
    )


@torch.no_grad()
def test_an_input_as_wide_as_the_layers_is_not_added_to_the_first_one():
    net = make("rnn", depth=1, hidden=3, skip=True)
    plain = make("rnn", depth=1, hidden=3)
    x = noise(2, 5, 2, 3)
    assert torch.equal(net(x)[0], plain(x)[0])


@torch.no_grad()
@pytest.mark.parametrize("name", STEPS)
def test_a_sequence_in_two_parts_gives_the_outputs_of_the_whole_sequence(name):
    net = make(name, act="tanh", skip=True)
    x = noise(2, 9, 2, 3)
    undivided, last = net(x)
    first, between = net(x[:, :4])
    second, end = net(x[:, 4:], between)
    torch.testing.assert_close(torch.cat([first, second], dim=1), undivided, rtol=0, atol=1e-13)
    torch.testing.assert_close(end, last, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_first_output_leaves_out_only_outputs(name):
    net = make(name, act="tanh", skip=True)
    x = noise(2, 9, 2, 3)
    (all_outputs, last), (late, end) = net(x), net(x, first_output=6)
    torch.testing.assert_close(late, all_outputs[:, 6:], rtol=0, atol=1e-13)
    torch.testing.assert_close(end, last, rtol=0, atol=1e-13)
    weights = noise(*late.shape, seed=2)
    parameters = list(net.parameters())
    gradients = torch.autograd.grad((late * weights).sum(), parameters)
    expected = torch.autograd.grad((all_outputs[:, 6:] * weights).sum(), parameters)
    torch.testing.assert_close(gradients, expected, rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_stacking_options_add_no_parameters():
    plain, other = make("gru"), make("gru", act="relu", skip=True)
    assert plain.parameter_count() == other.parameter_count()
    assert list(plain.state_dict()) == list(other.state_dict())
