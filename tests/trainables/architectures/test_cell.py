"""Every cell of the capacity paper against its equations, and where hyperparameters go."""

import numpy as np
import pytest
import torch

from tests.trainables.architectures import reference
from tests.trainables.helpers import HIDDEN, add_to_gate, cell, configuration, noise
from trainables.architectures import ARCHITECTURES

NONLINEARITIES = {"tanh": np.tanh, "relu": reference.relu}
FORGET_GATES = {
    "rnn": [],
    "irnn": [],
    "ugrnn": ["update"],
    "gru": ["update"],
    "lstm": ["forget"],
    "intersection": ["y_gate", "h_gate"],
    "wcrnn": [],
}
INPUTS = {"intersection": HIDDEN}


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
@pytest.mark.parametrize("forget", [0.0, 2.5])
@pytest.mark.parametrize("name", reference.STEPS)
def test_outputs_are_those_of_the_papers_equations(name, forget, nonlinearity):
    inputs = INPUTS.get(name, 3)
    layer = cell(name, inputs=inputs, relu=nonlinearity == "relu")
    for gate in FORGET_GATES[name]:
        add_to_gate(layer, gate, forget)
    x = noise(1, 7, 2, inputs)
    outputs, _ = layer(x)
    expected = reference.run(name, layer, x[0], NONLINEARITIES[nonlinearity], forget)
    np.testing.assert_allclose(outputs[0].detach().numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["rnn", "ugrnn", "gru", "lstm"])
def test_tanh_and_relu_lanes_stand_side_by_side(name):
    layer = cell(name, lanes=3)
    layer.relu[1] = True
    x = noise(3, 5, 2, 3)
    outputs, _ = layer(x)
    for lane, s in enumerate([np.tanh, reference.relu, np.tanh]):
        expected = reference.run(name, layer, x[lane], s, lane=lane)
        np.testing.assert_allclose(outputs[lane].detach().numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_forget_bias_is_added_to_its_gates_and_to_no_other(name):
    cls = ARCHITECTURES[name]
    layer = cls(2, INPUTS.get(name, 3), HIDDEN, cls.Options())
    options = cls.Options()
    fixed = [
        {hyperparameter: 1.5 + lane for hyperparameter in cls.forget_gates()} for lane in range(2)
    ]
    drawn = [configuration(name, {}, lane, **fixed[lane]) for lane in range(2)]
    layer.initialize(drawn, [torch.Generator().manual_seed(lane) for lane in range(2)])
    assert options == layer.options
    for lane in range(2):
        for gate, offset in zip(layer.gates, layer.gate_offset[lane].split(HIDDEN), strict=True):
            expected = 1.5 + lane if gate in FORGET_GATES[name] else 0.0
            assert offset.tolist() == [expected] * HIDDEN, gate


@pytest.mark.parametrize("name", ["rnn", "ugrnn", "gru", "lstm"])
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
