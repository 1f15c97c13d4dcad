"""Compares gated cells with their equations and tests what each hyperparameter sets."""

import numpy as np
import pytest
import torch

from tests.support import reference_cells
from tests.support.networks import HIDDEN, add_to_gate, cell, configuration, noise
from trainables.architectures import ARCHITECTURES, check_options, search_space
from trainables.architectures.cell import Cell
from trainables.space import FORGET_BIAS

NONLINEARITIES = {"tanh": np.tanh, "relu": reference_cells.relu}
FIXED = {"irnn": reference_cells.relu, "linear_rnn": lambda z: z, "elman": np.tanh}
FORGET_GATES = {
    "ugrnn": ["update"],
    "gru": ["update"],
    "lstm": ["forget"],
    "intersection": ["y_gate", "h_gate"],
}
INPUTS = {"intersection": HIDDEN}
SEARCHED = ["rnn", "ugrnn", "gru", "lstm"]


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
@pytest.mark.parametrize("forget", [0.0, 2.5])
@pytest.mark.parametrize("name", reference_cells.STEPS)
def test_outputs_are_those_of_the_papers_equations(name, forget, nonlinearity):
    inputs = INPUTS.get(name, 3)
    layer = cell(name, inputs=inputs, relu=nonlinearity == "relu")
    for gate in FORGET_GATES.get(name, []):
        add_to_gate(layer, gate, forget)
    x = noise(1, 7, 2, inputs)
    outputs, _ = layer(x)
    s = FIXED.get(name, NONLINEARITIES[nonlinearity])
    expected = reference_cells.run(name, layer, x[0], s, forget)
    np.testing.assert_allclose(outputs[0].detach().numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", SEARCHED)
def test_tanh_and_relu_lanes_of_one_layer_follow_their_own_equations(name):
    layer = cell(name, lanes=3)
    layer.relu[1] = True
    x = noise(3, 5, 2, 3)
    outputs, _ = layer(x)
    for lane, s in enumerate([np.tanh, reference_cells.relu, np.tanh]):
        expected = reference_cells.run(name, layer, x[lane], s, lane=lane)
        np.testing.assert_allclose(outputs[lane].detach().numpy(), expected, rtol=0, atol=1e-12)


def initialized(name, options, drawn):
    """Return a layer of one lane per configuration, each drawn by a generator of the same seed."""
    cls = ARCHITECTURES[name]
    checked = check_options(name, options)
    layer = cls(len(drawn), INPUTS.get(name, 3), HIDDEN, checked, dtype=torch.float64)
    layer.initialize(drawn, [torch.Generator().manual_seed(0) for _ in drawn])
    return layer


@pytest.mark.parametrize(
    "name", [name for name, cls in ARCHITECTURES.items() if issubclass(cls, Cell)]
)
def test_a_forget_bias_is_added_to_its_gates_and_to_no_other(name):
    gates = FORGET_GATES.get(name, [])
    names = [key for key, domain in search_space(name).items() if domain == FORGET_BIAS]
    assert len(names) == len(gates)
    fixed = [dict.fromkeys(names, 1.5 + lane) for lane in range(2)]
    layer = initialized(name, {}, [configuration(name, {}, lane, **fixed[lane]) for lane in (0, 1)])
    for lane in range(2):
        for gate, offset in zip(layer.gates, layer.gate_offset[lane].split(HIDDEN), strict=True):
            expected = 1.5 + lane if gate in gates else 0.0
            assert offset.tolist() == [expected] * HIDDEN, gate


def test_the_two_forget_biases_of_an_intersection_go_to_a_gate_each():
    drawn = configuration("intersection", {}, 0, forget_bias_y=1.0, forget_bias_h=2.0)
    layer = initialized("intersection", {}, [drawn])
    offsets = layer.gate_offset[0].split(HIDDEN)
    assert {gate: float(x[0]) for gate, x in zip(layer.gates, offsets, strict=True)} == {
        "y_gate": 1.0,
        "y": 0.0,
        "h_gate": 2.0,
        "h": 0.0,
    }


@pytest.mark.parametrize("value", [0.0, 1.5, -2.0])
@pytest.mark.parametrize("name", ["ugrnn", "gru", "lstm"])
def test_a_forget_bias_option_acts_like_the_hyperparameter(name, value):
    drawn = configuration(name, {}, 0, nonlinearity="relu")
    searched = initialized(name, {}, [drawn | {"forget_bias": value}])
    # The option holds whatever a configuration says.
    for also_drawn in ({}, {"forget_bias": 5.0}):
        others = {key: number for key, number in drawn.items() if key != "forget_bias"}
        fixed = initialized(name, {"forget_bias": value}, [others | also_drawn])
        assert set(fixed.gate_offset.flatten().tolist()) == {0.0, value}
        for key, expected in searched.state_dict().items():
            assert torch.equal(fixed.state_dict()[key], expected), key


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
@pytest.mark.parametrize(
    "name", [*SEARCHED, "ur_lstm", "deep_transition", "deep_transition_shortcut"]
)
def test_a_nonlinearity_option_acts_like_the_hyperparameter(name, nonlinearity):
    drawn = configuration(name, {}, 0, nonlinearity=nonlinearity)
    searched = initialized(name, {}, [drawn])
    others = {key: value for key, value in drawn.items() if key != "nonlinearity"}
    fixed = initialized(name, {"nonlinearity": nonlinearity}, [others])
    x = noise(1, 5, 2, 3)
    assert torch.equal(searched(x)[0], fixed(x)[0])
    other = {"tanh": "relu", "relu": "tanh"}[nonlinearity]
    assert not torch.allclose(
        fixed(x)[0], initialized(name, {"nonlinearity": other}, [others])(x)[0]
    )


@torch.no_grad()
@pytest.mark.parametrize("name", SEARCHED)
def test_a_changed_nonlinearity_of_a_lane_takes_effect_at_the_next_call(name):
    """A layer remembers which lanes are ReLU and must determine them again after a change."""
    layer, x = cell(name, lanes=2), noise(2, 5, 2, 3)
    tanh, _ = layer(x)
    layer.relu[1] = True
    mixed, _ = layer(x)
    torch.testing.assert_close(mixed[0], tanh[0], rtol=0, atol=1e-12)
    assert not torch.allclose(mixed[1], tanh[1])
    saved = {key: value.clone() for key, value in layer.state_dict().items()}
    layer.relu.fill_(False)
    assert torch.equal(layer(x)[0], tanh)
    layer.load_state_dict(saved)
    assert torch.equal(layer(x)[0], mixed)


@pytest.mark.parametrize("name", SEARCHED)
def test_the_nonlinearity_of_a_lane_is_its_hyperparameter(name):
    layer = cell(name, lanes=2)
    drawn = [configuration(name, {}, 0, nonlinearity=s) for s in ("relu", "tanh")]
    layer.initialize(drawn, [torch.Generator().manual_seed(0), torch.Generator().manual_seed(0)])
    assert layer.relu.flatten().tolist() == [True, False]


@pytest.mark.parametrize("name", ["rnn", "ugrnn", "gru", "lstm", "intersection"])
def test_every_gate_is_drawn_with_the_scales_of_its_own(name):
    hidden, inputs = 40, 40 if name == "intersection" else 30
    cls = ARCHITECTURES[name]
    layer = cls(1, inputs, hidden, cls.Options(), dtype=torch.float64)
    drawn = configuration(name, {}, 0, bias_distribution="constant")
    for index, gate in enumerate(cls.gates, start=1):
        drawn |= {
            f"{gate}_square": "orthogonal",
            f"{gate}_square_scale": 0.1 * index,
            f"{gate}_input_scale": 0.3 * index,
            f"{gate}_bias_scale": -0.2 * index,
        }
    layer.initialize([drawn], [torch.Generator().manual_seed(0)])
    for index in range(1, len(cls.gates) + 1):
        columns = slice((index - 1) * hidden, index * hidden)
        square = layer.recurrent_weight[0, :, columns].detach()
        torch.testing.assert_close(
            square @ square.T, (0.1 * index) ** 2 * torch.eye(hidden, dtype=torch.float64)
        )
        deviation = layer.input_weight[0, :, columns].std().item()
        assert deviation == pytest.approx(0.3 * index / inputs**0.5, rel=0.1)
        assert layer.bias[0, columns].tolist() == [-0.2 * index] * hidden
    assert not layer.initial_state.any()
