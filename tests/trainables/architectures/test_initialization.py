"""Tests kinds, scales and distributions of initial matrices and biases (appendix A)."""

import math

import pytest
import torch
from scipy import stats

from tests.support.networks import configuration
from trainables.architectures import ARCHITECTURES, build, check_options, initialization
from trainables.architectures.cell import Cell

N = 150


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def square(kind, scale, n=N, seed=0):
    weight = torch.full((n, n), torch.nan, dtype=torch.float64)
    initialization.square(weight, kind, scale, generator(seed))
    return weight


def follows(values, distribution):
    return stats.kstest(values.flatten().numpy(), distribution.cdf).pvalue > 1e-3


@pytest.mark.parametrize("scale", [0.01, 1.0, 2.0])
def test_the_identity_has_no_scale(scale):
    assert torch.equal(square("identity", scale), torch.eye(N, dtype=torch.float64))


@pytest.mark.parametrize("scale", [0.01, 1.0, 2.0])
def test_orthogonal_matrices_are_scaled_rotations_or_reflections(scale):
    weight = square("orthogonal", scale)
    product = weight @ weight.T / scale**2
    torch.testing.assert_close(product, torch.eye(N, dtype=torch.float64), rtol=0, atol=1e-12)
    # The entries of a uniformly distributed one have mean 0 and variance 1 / n.
    assert follows(weight * math.sqrt(N) / scale, stats.norm())


def test_orthogonal_matrices_prefer_neither_sign():
    signs = [math.copysign(1, torch.linalg.det(square("orthogonal", 1, 3, s))) for s in range(200)]
    assert abs(sum(signs)) < 50  # 3.5 standard deviations
    corner = torch.stack([square("orthogonal", 1, 3, seed)[0, 0] for seed in range(300)])
    assert follows(corner, stats.uniform(-1, 2))  # on the sphere in three dimensions


@pytest.mark.parametrize("scale", [0.01, 1.0, 2.0])
def test_normal_matrices_have_variance_scale_squared_over_n(scale):
    assert follows(square("normal", scale), stats.norm(scale=scale / math.sqrt(N)))


@pytest.mark.parametrize("scale", [0.001, 0.7])
def test_rectangular_matrices_are_normal_over_the_root_of_their_inputs(scale):
    weight = torch.empty(40, 300, dtype=torch.float64)  # 40 inputs
    initialization.rectangular(weight, scale, generator())
    assert follows(weight, stats.norm(scale=scale / math.sqrt(40)))
    assert not follows(weight, stats.norm(scale=scale / math.sqrt(300)))


def test_biases_are_constant_or_normal_times_a_scale():
    values = torch.empty(3000, dtype=torch.float64)
    initialization.bias(values, "constant", -1.3, generator())
    assert (values == -1.3).all()
    initialization.bias(values, "normal", -1.3, generator())
    assert follows(values, stats.norm(scale=1.3))


def test_linear_weights_are_uniform_within_the_root_of_their_inputs():
    weight = torch.empty(25, 300, dtype=torch.float64)
    initialization.default_linear(weight, 25, generator())
    assert weight.abs().max() <= 0.2
    assert follows(weight, stats.uniform(-0.2, 0.4))


@pytest.mark.parametrize("kind", ["orthogonal", "normal"])
def test_draws_are_those_of_the_generator_in_every_precision(kind):
    double, single = square(kind, 0.3, seed=4), torch.empty(N, N)
    initialization.square(single, kind, 0.3, generator(4))
    assert torch.equal(double.float(), single)
    assert torch.equal(double, square(kind, 0.3, seed=4))
    assert not torch.equal(double, square(kind, 0.3, seed=5))


def drawn_layer(name, options, *, inputs, hidden, dtype=torch.float64, **fixed):
    """Return the upper of two layers: its shapes do not depend on the network's own inputs."""
    configured = configuration(name, options, 0, "initialization") | fixed
    net = build(
        name, inputs=inputs, outputs=1, hidden=hidden, depth=2, options=options, dtype=dtype
    )
    net.initialize([configured], [generator(3)])
    return net.layers[1], configured


CELLS = [
    name
    for name, cls in ARCHITECTURES.items()
    if issubclass(cls, Cell) and name not in ("irnn", "elman", "wcrnn")
]


def squares_of(name, layer):
    """Map each hyperparameter to all square matrices that are drawn by it."""
    squares = {
        f"{gate}_square": [layer.recurrent_weight[0, :, i * layer.hidden : (i + 1) * layer.hidden]]
        for i, gate in enumerate(layer.gates)
    }
    for kind in ("transition", "input_layer", "shortcut"):
        weights = getattr(layer, f"{kind}_weights", [])
        if weights:
            squares[f"{kind}_square"] = [weight[0] for weight in weights]
    return {key: [m.detach() for m in matrices] for key, matrices in squares.items()}


@pytest.mark.parametrize("kind", ["orthogonal", "normal"])
@pytest.mark.parametrize("name", CELLS)
def test_every_square_matrix_of_a_network_starts_as_its_hyperparameters_say(name, kind):
    deep = {"transition_depth": 3, "input_depth": 2} if name.startswith("deep") else {}
    layer = ARCHITECTURES[name](1, 5, 40, check_options(name, deep), dtype=torch.float64)
    names = squares_of(name, layer)
    scales = {f"{key}_scale": 0.2 + 0.1 * i for i, key in enumerate(names)}
    fixed = dict.fromkeys(names, kind) | scales
    layer, configured = drawn_layer(name, deep, inputs=5, hidden=40, **fixed)
    of_readout = {"readout_layer_square"}  # drawn by the network, not by its layer
    assert {key for key in configured if key.endswith("_square")} - of_readout == set(names)
    for key, matrices in squares_of(name, layer).items():
        scale = scales[f"{key}_scale"]
        for matrix in matrices:
            assert follows(matrix, stats.norm(scale=scale / math.sqrt(40)))
            product = matrix @ matrix.T / scale**2
            unit = torch.eye(40, dtype=torch.float64)
            assert torch.allclose(product, unit, rtol=0, atol=1e-12) is (kind == "orthogonal")


@pytest.mark.parametrize(
    ("name", "parameter", "hyperparameter", "fan_in"),
    [
        *[
            (name, "input_weight", f"{gate}_input_scale", 40)
            for name in CELLS
            for gate in ARCHITECTURES[name].gates
        ],
        ("irnn", "input_weight", "h_input_scale", 40),
        ("second_order", "tensor", "tensor_scale", 40 * 40),
        ("cprnn", "state_factor", "state_factor_scale", 40),
        ("cprnn", "input_factor", "input_factor_scale", 40),
        ("cprnn", "output_factor", "output_factor_scale", 20),
    ],
)
def test_every_other_matrix_is_normal_over_the_root_of_its_inputs(
    name, parameter, hyperparameter, fan_in
):
    options = {"rank": 20} if name == "cprnn" else {}
    layer, _ = drawn_layer(name, options, inputs=5, hidden=40, **{hyperparameter: 0.37})
    values = getattr(layer, parameter)[0].detach()
    if parameter == "input_weight":
        gate = layer.gates.index(hyperparameter.removesuffix("_input_scale"))
        values = values[:, gate * 40 : (gate + 1) * 40]
    assert follows(values, stats.norm(scale=0.37 / math.sqrt(fan_in)))


def test_the_tensor_of_a_first_layer_is_scaled_by_inputs_times_units():
    net = build("second_order", inputs=6, outputs=1, hidden=20, dtype=torch.float64)
    net.initialize([configuration("second_order", {}, 0) | {"tensor_scale": 1.0}], [generator()])
    assert follows(net.layers[0].tensor.detach(), stats.norm(scale=1 / math.sqrt(6 * 20)))


def test_gates_of_a_narrow_ur_lstm_start_between_one_nth_and_one_minus_one_nth():
    """With four units, in each of 300 networks, the ends of the range are far from 0 and 1."""
    lanes = 300
    net = build("ur_lstm", inputs=2, outputs=1, hidden=4, lanes=lanes, dtype=torch.float64)
    drawn = [configuration("ur_lstm", {}, lane) for lane in range(lanes)]
    net.initialize(drawn, [generator(lane) for lane in range(lanes)])
    forget, refine = net.layers[0].bias.detach()[:, :8].split(4, dim=1)
    q = torch.sigmoid(forget)
    assert follows(q, stats.uniform(0.25, 0.5))
    assert q.min() >= 0.25 - 1e-12
    assert q.max() <= 0.75 + 1e-12
    assert torch.equal(refine, -forget)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_learned_initial_states_start_at_zero(name):
    layer, _ = drawn_layer(name, {}, inputs=5, hidden=40)
    assert layer.initial_state.requires_grad
    assert not layer.initial_state.any()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_network_starts_alike_in_every_precision(name):
    """The numbers in float32 are those in float64, rounded."""
    single, _ = drawn_layer(name, {}, inputs=5, hidden=40, dtype=torch.float32)
    double, _ = drawn_layer(name, {}, inputs=5, hidden=40)
    for key, value in double.state_dict().items():
        assert torch.equal(single.state_dict()[key], value.to(single.state_dict()[key].dtype)), key
