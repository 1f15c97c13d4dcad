"""Compares counted parameters with closed formulas, which are published ones where they exist."""

import pytest
import torch

from tests.support.counting import network_parameters, width_multiple
from tests.support.networks import every_network
from trainables.architectures import ARCHITECTURES, build, check_options


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
    """The paper has no learned initial states; ``stack`` subtracts these n numbers per layer."""
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


def test_the_formulas_give_numbers_counted_by_hand():
    # W_1 3x3, U 2x3, b_1; W_2 3x3, b_2; h_0; readout 3x1 and a bias
    assert network_parameters("deep_transition", 3, 1, 2, 1) == (9 + 6 + 3) + (9 + 3) + 3 + 4
    assert network_parameters("deep_transition_skip", 3, 1, 2, 1) == 37
    assert network_parameters("deep_transition_shortcut", 3, 1, 2, 1) == 37 + 9
    deep = {"transition_depth": 1, "input_depth": 2, "output_depth": 2}
    assert network_parameters("deep_transition", 3, 1, 2, 1, deep) == 37 - 12 + 12 + 12
    # W_1, W_2 3x3 and b_1, b_2; U_1 2x3, U_2 3x3 and c_1, c_2; h_0; two layers of 12; readout
    chapters = 2 * 12 + (6 + 3) + 12 + 3 + 2 * 12 + 4
    assert network_parameters("deep_transition_mlp", 3, 1, 2, 1) == chapters
    # projection 2x3 + 3; log_step, D; 4 of 3x2; W 3x6 + 6; initial state 3x4; readout
    s4d = (6 + 3) + (3 + 3) + 4 * 6 + (18 + 6) + 12 + 4
    assert network_parameters("s4d", 3, 1, 2, 1, {"state_size": 4}) == s4d
    # one refine gate more, and no forget bias: as many as an LSTM
    assert network_parameters("ur_lstm", 3, 1, 2, 1) == 4 * (6 + 9 + 3) + 6 + 4
    for name, n, d in (("gru", 3, 2), ("ugrnn", 3, 2)):
        expected = {"gru": 3, "ugrnn": 2}[name] * (n * d + n * n + n) + n + n + 1
        assert network_parameters(name, n, 1, d, 1) == expected
