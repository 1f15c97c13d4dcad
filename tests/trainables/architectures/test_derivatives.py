"""Tests that every architecture can run operations that have second derivatives."""

import pytest
import torch
from torch.autograd import grad, gradgradcheck

from tests.support.networks import INPUTS, configuration, every_network, network, noise, randomize
from trainables.architectures import nonlinearity
from trainables.architectures.derivatives import second_wanted, twice_differentiable

TIME, BATCH = 4, 2


def tiny(name, options, depth):
    """Return a network of two lanes with lively random weights."""
    configurations = [
        configuration(name, options, 0, nonlinearity="tanh"),
        configuration(name, options, 1, nonlinearity="relu"),
    ]
    return randomize(network(name, options, depth, configurations=configurations))


def results(net, x, first):
    """Return outputs, final states and gradients of a network."""
    outputs, states = net(x, first_output=first)
    everything = [outputs, *[part for state in states for part in state]]
    total = sum(part.square().sum() for part in everything)
    return everything, grad(total, list(net.parameters()))


@every_network
@pytest.mark.parametrize("first", [0, TIME - 1])
def test_results_and_gradients_are_those_of_training(name, options, depth, first):
    net, x = tiny(name, options, depth), noise(2, TIME, BATCH, INPUTS)
    with twice_differentiable():
        assert second_wanted()
        twice = results(net, x, first)
    assert not second_wanted()
    for values, expected in zip(twice, results(net, x, first), strict=True):
        for one, other in zip(values, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


@pytest.mark.slow
@every_network
def test_second_derivatives_are_those_of_finite_differences(name, options, depth):
    net, x = tiny(name, options, depth), noise(2, TIME, BATCH, INPUTS)
    names = [key for key, _ in net.named_parameters()]

    def run(x, *parameters):
        with twice_differentiable():
            outputs, states = torch.func.functional_call(
                net, dict(zip(names, parameters, strict=True)), (x,)
            )
        return outputs, *[part for state in states for part in state]

    parameters = [p.detach().requires_grad_() for p in net.parameters()]
    assert gradgradcheck(run, (x.requires_grad_(), *parameters), fast_mode=True)


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm", "ugrnn"])
def test_results_are_those_of_training_where_loops_are_not_compiled(monkeypatch, kind):
    net, x = tiny(kind, {}, 1), noise(2, TIME, BATCH, INPUTS)
    monkeypatch.setattr(nonlinearity, "compiles", lambda: False)
    for layer in net.layers:
        layer._known = None  # the nonlinearity was made for compiled loops
    with twice_differentiable():
        twice = results(net, x, 0)
    second = second_derivative(net, x)
    for values, expected in zip(twice, results(net, x, 0), strict=True):
        for one, other in zip(values, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)
    monkeypatch.undo()
    for layer in net.layers:
        layer._known = None
    torch.testing.assert_close(second, second_derivative(net, x), rtol=1e-8, atol=1e-9)


def second_derivative(net, x):
    """Return the gradient of the squared gradient by the recurrent weight."""
    weight = net.layers[0].recurrent_weight
    with twice_differentiable():
        (first,) = grad(net(x)[0].square().sum(), weight, create_graph=True)
    return grad(first.square().sum(), weight)[0]


def test_a_third_derivative_is_refused():
    net, x = tiny("rnn", {}, 1), noise(2, TIME, BATCH, INPUTS)
    weight = net.layers[0].recurrent_weight
    with twice_differentiable():
        (first,) = grad(net(x)[0].square().sum(), weight, create_graph=True)
    with pytest.raises(RuntimeError, match="no third derivative"):
        grad(first.square().sum(), weight, create_graph=True)
