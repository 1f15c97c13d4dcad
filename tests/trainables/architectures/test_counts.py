"""Counted parameters against the formulas of the published comparison, layer by layer."""

import pytest

from tests.trainables.helpers import every_network
from trainables.architectures import build


def elman(n, n_in):
    return n * n_in + n * n + n


def layer_parameters(name, n, n_in):
    """One bias a gate; the learned initial state is added by the caller."""
    if name == "intersection":
        projection = n_in * n + n if n_in != n else 0
        return 4 * (2 * n * n + n) + projection
    gates = {"rnn": 1, "irnn": 1, "wcrnn": 1, "ugrnn": 2, "gru": 3, "lstm": 4}[name]
    return gates * elman(n, n_in)


def network_parameters(name, n, depth, inputs, outputs):
    states = 2 if name == "lstm" else 1
    widths = [inputs] + [n] * (depth - 1)
    layers = sum(layer_parameters(name, n, width) + states * n for width in widths)
    return layers + n * outputs + outputs


@every_network
@pytest.mark.parametrize(("inputs", "outputs", "hidden"), [(1, 10, 7), (5, 3, 5), (300, 100, 2)])
def test_a_network_has_as_many_parameters_as_the_formulas_say(
    name, options, depth, inputs, outputs, hidden
):
    net = build(
        name,
        inputs=inputs,
        outputs=outputs,
        hidden=hidden,
        depth=depth,
        lanes=3,
        options=options,
    )
    expected = network_parameters(name, hidden, depth, inputs, outputs)
    assert net.parameter_count() == expected
    assert sum(parameter[0].numel() for parameter in net.parameters()) == expected
