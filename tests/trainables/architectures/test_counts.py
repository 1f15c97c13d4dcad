"""Counted parameters against closed formulas, layer by layer: published ones where there are."""

import pytest
import torch

from tests.support.networks import every_network
from trainables.architectures import ARCHITECTURES, build, check_options

GATES = {"ugrnn": 2, "gru": 3, "lstm": 4, "ur_lstm": 4}


def vanilla(n, n_in):
    return n * n_in + n * n + n


def layer_parameters(name, n, n_in, options):
    """One bias a gate, and the learned initial state: n numbers for each part of the state."""
    match name:
        case "intersection":
            projection = n_in * n + n if n_in != n else 0
            return 4 * (2 * n * n + n) + projection + n
        case "lstm" | "ur_lstm":
            return 4 * vanilla(n, n_in) + 2 * n
        case "second_order":
            return (n + 1) * (n_in + 1) * n + n
        case "cprnn":
            return options.get("rank", 8) * (2 * n + n_in) + vanilla(n, n_in) + n
        case "mirnn":
            return n * n_in + n * n + 4 * n + n
        case "deep_transition" | "deep_transition_skip" | "deep_transition_shortcut":
            above = options.get("transition_depth", 2) - 1
            dense = above + options.get("input_depth", 1) - 1
            shortcuts = above if name == "deep_transition_shortcut" else 0
            return vanilla(n, n_in) + dense * (n * n + n) + shortcuts * n * n + n
        case "s4d":
            projection = n_in * n + n if n_in != n else 0
            state = options.get("state_size", 64)
            # log_step and D; then A and C, both real and imaginary, for half the state size
            channels = 2 * n + 4 * n * (state // 2)
            return projection + channels + 2 * n * n + 2 * n + n * state
        case _:
            return GATES.get(name, 1) * vanilla(n, n_in) + n


def network_parameters(name, n, depth, inputs, outputs, options=None):
    options = options or {}
    layers = layer_parameters(name, n, inputs, options)
    layers += (depth - 1) * layer_parameters(name, n, n, options)
    readout_layers = options.get("output_depth", 1) - 1
    return layers + readout_layers * (n * n + n) + n * outputs + outputs


def width_multiple(options):
    """Rotations take units by pairs."""
    return 2 if options.get("residual") in ("rotational", "informed") else 1


@every_network
@pytest.mark.parametrize(("inputs", "outputs", "hidden"), [(1, 10, 7), (5, 3, 5), (300, 100, 2)])
def test_a_network_has_as_many_parameters_as_the_formulas_say(
    name, options, depth, inputs, outputs, hidden
):
    hidden += hidden % width_multiple(options)
    net = build(
        name,
        inputs=inputs,
        outputs=outputs,
        hidden=hidden,
        depth=depth,
        lanes=3,
        options=options,
        device=torch.device("meta"),
    )
    expected = network_parameters(name, hidden, depth, inputs, outputs, options)
    assert net.parameter_count() == expected
    assert sum(parameter[0].numel() for parameter in net.parameters()) == expected


@every_network
def test_widths_are_multiples_of_two_where_units_rotate_by_pairs(name, options, depth):
    checked = check_options(name, options)
    assert ARCHITECTURES[name].width_multiple(checked) == width_multiple(options)


def stack(name, n, depth, d, o, options=None):
    return network_parameters(name, n, depth, d, o, options) - depth * n


@pytest.mark.parametrize(("n", "d", "o"), [(7, 5, 3), (5, 5, 1), (2, 30, 10)])
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_the_formulas_are_those_of_the_depth_paper(n, d, o, depth):
    """But for the learned initial states, n a layer, which it does not have."""
    readout = n * o + o
    upper = (depth - 1) * (2 * n * n + n)
    for name in ("rnn", "linear_rnn", "irnn", "elman", "wcrnn"):
        assert stack(name, n, depth, d, o) == n * d + n * n + n + upper + readout
    r = 4
    upper = (depth - 1) * (3 * r * n + 2 * n * n + n)
    expected = r * (2 * n + d) + n * d + n * n + n + upper + readout
    assert stack("cprnn", n, depth, d, o, {"rank": r}) == expected
    assert stack("second_order", n, 1, d, o) == (n + 1) * (d + 1) * n + readout
    assert stack("mirnn", n, 1, d, o) == n * d + n * n + 4 * n + readout


def test_numbers_by_hand():
    # W_1 3x3, U 2x3, b_1; W_2 3x3, b_2; h_0; readout 3x1 and a bias
    assert network_parameters("deep_transition", 3, 1, 2, 1) == (9 + 6 + 3) + (9 + 3) + 3 + 4
    assert network_parameters("deep_transition_skip", 3, 1, 2, 1) == 37
    assert network_parameters("deep_transition_shortcut", 3, 1, 2, 1) == 37 + 9
    deep = {"transition_depth": 1, "input_depth": 2, "output_depth": 2}
    assert network_parameters("deep_transition", 3, 1, 2, 1, deep) == 37 - 12 + 12 + 12
    # projection 2x3 + 3; log_step, D; 4 of 3x2; W 3x6 + 6; initial state 3x4; readout
    s4d = (6 + 3) + (3 + 3) + 4 * 6 + (18 + 6) + 12 + 4
    assert network_parameters("s4d", 3, 1, 2, 1, {"state_size": 4}) == s4d
    # one refine gate more, and no forget bias: as many as an LSTM
    assert network_parameters("ur_lstm", 3, 1, 2, 1) == 4 * (6 + 9 + 3) + 6 + 4
    for name, n, d in (("gru", 3, 2), ("ugrnn", 3, 2)):
        expected = {"gru": 3, "ugrnn": 2}[name] * (n * d + n * n + n) + n + n + 1
        assert network_parameters(name, n, 1, d, 1) == expected
