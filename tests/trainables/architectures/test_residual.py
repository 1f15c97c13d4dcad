"""Works out residual networks of the fading-memory paper by hand, and their fixed residual."""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from tests.support.networks import noise, randomize
from trainables.architectures import Impossible, build, search_space
from trainables.registry import OptionError

RESIDUALS = ("scaled", "heterogeneous", "rotational", "orthogonal", "informed")
PAIRED = ("rotational", "informed")


def make(hidden=4, lanes=1, seed=0, depth=1, name="wcrnn", **options):
    net = build(
        name,
        inputs=3,
        outputs=2,
        hidden=hidden,
        depth=depth,
        lanes=lanes,
        options=options,
        dtype=torch.float64,
    )
    net.initialize([{}] * lanes, [torch.Generator().manual_seed(seed + i) for i in range(lanes)])
    return net


def numbers(parameter, lane=0):
    return parameter[lane].detach().numpy()


def residual_matrix(layer, lane=0):
    """Return dense R by its definition; only drawn numbers are read from the layer's buffers."""
    options, n = layer.options, layer.hidden
    match options.residual:
        case "scaled":
            return options.alpha * np.eye(n)
        case "heterogeneous":
            return np.diag(numbers(layer.residual, lane))
        case "orthogonal":
            return numbers(layer.residual_matrix, lane)
    matrix = np.zeros((n, n))
    cosines, sines = numbers(layer.residual, lane), numbers(layer.residual_across, lane)
    for i in range(0, n, 2):
        # The drawn strength of each unit and angle of each pair: R = rotation x diag(strengths).
        omega = np.arctan2(sines[i + 1], cosines[i])
        strengths = np.hypot(cosines[i], sines[i + 1]), np.hypot(cosines[i + 1], sines[i])
        if options.residual == "rotational":
            strengths = options.alpha, options.alpha
            if not isinstance(options.omega, tuple):
                omega = options.omega
        rotation = np.array([[np.cos(omega), -np.sin(omega)], [np.sin(omega), np.cos(omega)]])
        matrix[i : i + 2, i : i + 2] = rotation @ np.diag(strengths)
    return matrix


@torch.no_grad()
def measured_matrix(**options):
    """Return R of each lane: what an uncoupled network (gamma = 0) makes of unit vectors."""
    layer = make(gamma=0.0, **options).layers[0]
    lanes, n = layer.lanes, layer.hidden
    start = torch.eye(n, dtype=torch.float64).expand(lanes, -1, -1)
    outputs, _ = layer(torch.zeros(lanes, 1, n, 3, dtype=torch.float64), (start,))
    return outputs[:, 0].mT.numpy()


# -- the update -------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize(
    ("nonlinearity", "phi"),
    [("tanh", np.tanh), ("identity", lambda z: z)],
    ids=lambda v: str(v)[:4],
)
@pytest.mark.parametrize("form", ["linear", "A", "B"])
@pytest.mark.parametrize("residual", RESIDUALS)
@pytest.mark.parametrize("drawn", [False, True], ids=["one", "drawn"])
def test_outputs_of_two_lanes_are_those_worked_out_by_hand(
    residual, form, nonlinearity, phi, drawn
):
    options = {"omega": [0.3, 2.0], "gamma": [0.1, 0.5]} if drawn else {"omega": 0.7, "gamma": 0.3}
    if residual == "informed" and drawn:
        options["alpha_per"] = "unit"
    net = make(
        lanes=2,
        residual=residual,
        form=form,
        nonlinearity=nonlinearity,
        alpha=0.9,
        epsilon=0.2,
        **options,
    )
    layer = randomize(net).layers[0]
    x = noise(2, 6, 3, 3)
    outputs, (last,) = layer(x)
    for lane, sample in itertools.product(range(2), range(3)):
        r, gamma = residual_matrix(layer, lane), numbers(layer.gamma, lane)
        w, w_in = numbers(layer.recurrent_weight, lane).T, numbers(layer.input_weight, lane).T
        h = numbers(layer.initial_state, lane)
        for t in range(6):
            a = w @ h + w_in @ x[lane, t, sample].numpy() + numbers(layer.bias, lane)
            match form:
                case "linear":
                    h = r @ h + gamma * phi(a)
                case "A":
                    h = phi(r @ h) + gamma * phi(a)
                case "B":
                    h = phi(r @ h + gamma * a)
            np.testing.assert_allclose(outputs[lane, t, sample], h, rtol=1e-12, atol=1e-12)
    assert torch.equal(last, outputs[:, -1])


@pytest.mark.parametrize("form", ["linear", "A", "B"])
@pytest.mark.parametrize("residual", RESIDUALS)
def test_gradients_are_those_of_finite_differences(residual, form):
    layer = make(residual=residual, form=form, gamma=[0.1, 0.5], alpha=0.9).layers[0]
    names = [name for name, _ in layer.named_parameters()]

    def outputs(x, *parameters):
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), x)[0]

    x = noise(1, 3, 1, 3).requires_grad_()
    assert torch.autograd.gradcheck(outputs, (x, *layer.parameters()))


@torch.no_grad()
def test_elman_is_that_of_torch():
    torch.manual_seed(0)
    other = torch.nn.RNNCell(3, 5, dtype=torch.float64)
    layer = randomize(make(hidden=5, name="elman")).layers[0]
    layer.input_weight[0], layer.recurrent_weight[0] = other.weight_ih.T, other.weight_hh.T
    layer.bias[0] = other.bias_ih + other.bias_hh
    x, h = noise(1, 8, 4, 3), layer.start(4)[0][0]
    for x_t, output in zip(x[0], layer(x)[0][0], strict=True):
        h = other(x_t, h)
        torch.testing.assert_close(output, h, rtol=0, atol=1e-12)


@torch.no_grad()
def test_elman_with_an_identity_residual_is_that_worked_out_by_hand():
    layer = randomize(make(lanes=2, name="elman", residual="identity")).layers[0]
    x = noise(2, 6, 3, 3)
    outputs, (last,) = layer(x)
    for lane, sample in itertools.product(range(2), range(3)):
        w, w_in = numbers(layer.recurrent_weight, lane).T, numbers(layer.input_weight, lane).T
        h = numbers(layer.initial_state, lane)
        for t in range(6):
            z = w @ h + w_in @ x[lane, t, sample].numpy() + numbers(layer.bias, lane)
            h = h + np.tanh(z)
            np.testing.assert_allclose(outputs[lane, t, sample], h, rtol=0, atol=1e-12)
    assert torch.equal(last, outputs[:, -1])


# -- the residual -----------------------------------------------------------------------------


@pytest.mark.parametrize("residual", RESIDUALS)
def test_an_uncoupled_network_multiplies_its_state_by_the_residual(residual):
    options = {"residual": residual, "alpha": 0.9, "omega": 0.7, "lanes": 2, "hidden": 6}
    measured, layer = measured_matrix(**options), make(gamma=0.0, **options).layers[0]
    for lane in range(2):
        expected = residual_matrix(layer, lane)
        np.testing.assert_allclose(measured[lane], expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("alpha", [0.95, 1.0, 1.02])
def test_the_eigenvalues_of_the_residual_are_those_stated(alpha):
    n, omega = 6, 0.7

    def eigenvalues(**options):
        (matrix,) = measured_matrix(hidden=n, alpha=alpha, omega=omega, **options)
        values = np.linalg.eigvals(matrix)
        return values[np.lexsort((values.imag, values.real))]

    def close(values, expected):
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-12)

    close(eigenvalues(residual="scaled"), [alpha] * n)
    drawn = make(hidden=n, alpha=alpha, residual="heterogeneous").layers[0].residual[0]
    close(eigenvalues(residual="heterogeneous"), drawn.sort()[0])
    pair = alpha * np.exp(1j * omega)
    close(np.abs(eigenvalues(residual="orthogonal")), alpha)
    rotated = eigenvalues(residual="rotational")
    close(np.sort(rotated.imag), [-pair.imag] * (n // 2) + [pair.imag] * (n // 2))
    close(rotated.real, pair.real)
    informed = eigenvalues(residual="informed", epsilon=0.1)
    upper = informed[informed.imag > 0]
    assert len(upper) == n // 2
    close(np.sort_complex(informed), np.sort_complex([*upper, *upper.conj()]))
    close(np.angle(upper), omega)
    assert (np.abs(np.abs(upper) - alpha) <= 0.1).all()
    assert len(set(np.abs(upper).round(9))) == n // 2


@pytest.mark.parametrize("omega", [0.3, [0.1, 3.0]])
def test_blocks_of_a_rotational_residual_are_orthogonal(omega):
    (matrix,) = measured_matrix(hidden=6, residual="rotational", alpha=1.0, omega=omega)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(6), rtol=0, atol=1e-14)
    for i in range(0, 6, 2):
        block = matrix[i : i + 2, i : i + 2]
        assert np.linalg.det(block) == pytest.approx(1, abs=1e-14)  # it is no reflection
        matrix[i : i + 2, i : i + 2] = 0
    assert not matrix.any()


def departure_from_normality(matrix):
    return np.abs(matrix @ matrix.T - matrix.T @ matrix).max()


def test_an_informed_residual_is_normal_with_one_strength_a_pair():
    options = {"hidden": 8, "residual": "informed", "epsilon": 0.2, "omega": [0.2, 2.0]}
    assert departure_from_normality(measured_matrix(**options)[0]) < 1e-14
    (matrix,) = measured_matrix(alpha_per="unit", **options)
    assert departure_from_normality(matrix) > 1e-2
    # Units next to each other then have strengths of their own: the norms of R's columns.
    strengths = np.linalg.norm(matrix, axis=0)
    assert len(set(strengths.round(9))) == 8
    assert np.abs(strengths - 1).max() <= 0.2


@pytest.mark.parametrize("residual", PAIRED)
def test_angles_are_uniform_in_their_range(residual):
    (matrix,) = measured_matrix(hidden=600, residual=residual, omega=[0.5, 2.5])
    angles = np.angle(np.linalg.eigvals(matrix))
    angles = angles[angles > 0]
    assert len(angles) == 300
    assert stats.kstest(angles, stats.uniform(0.5, 2.0).cdf).pvalue > 1e-3


@pytest.mark.parametrize("residual", RESIDUALS)
def test_couplings_are_uniform_in_their_range(residual):
    layer = make(hidden=500, residual=residual, gamma=[0.02, 0.3]).layers[0]
    assert stats.kstest(numbers(layer.gamma), stats.uniform(0.02, 0.28).cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"residual": "heterogeneous"}, 500),
        ({"residual": "informed"}, 250),
        ({"residual": "informed", "alpha_per": "unit"}, 500),
    ],
)
def test_strengths_are_uniform_around_alpha(options, count):
    (matrix,) = measured_matrix(hidden=500, alpha=0.9, epsilon=0.05, **options)
    strengths = np.unique(np.linalg.norm(matrix, axis=0).round(12))
    assert len(strengths) == count
    assert strengths.min() >= 0.85
    assert strengths.max() <= 0.95
    assert stats.kstest(strengths, stats.uniform(0.85, 0.1).cdf).pvalue > 1e-3


def test_orthogonal_residuals_are_distributed_as_those_of_scipy():
    count, alpha = 1500, 1.1
    matrices = measured_matrix(lanes=count, residual="orthogonal", alpha=alpha) / alpha
    np.testing.assert_allclose(
        matrices @ matrices.mT, np.broadcast_to(np.eye(4), matrices.shape), rtol=0, atol=1e-12
    )
    others = stats.ortho_group.rvs(4, size=count, random_state=0)
    for statistic in (
        lambda m: np.trace(m, axis1=1, axis2=2),
        lambda m: np.trace(m @ m, axis1=1, axis2=2),
        lambda m: m[:, 0, 0],
        lambda m: m[:, 2, 1],
        lambda m: m[:, 0, 3] * m[:, 1, 2],
    ):
        assert stats.ks_2samp(statistic(matrices), statistic(others)).pvalue > 1e-3
    reflections = int((np.linalg.det(matrices) < 0).sum())
    assert stats.binomtest(reflections, count, 0.5).pvalue > 1e-3


DRAWN = [
    ({"residual": "heterogeneous"}, "residual"),
    ({"residual": "orthogonal"}, "residual_matrix"),
    ({"residual": "rotational", "omega": [0.1, 1.0]}, "residual"),
    ({"residual": "informed"}, "residual_across"),
    ({"residual": "scaled", "gamma": [0.1, 0.5]}, "gamma"),
]


@pytest.mark.parametrize(("options", "buffer"), DRAWN)
def test_drawn_constants_depend_on_seed_lane_and_layer(options, buffer):
    first, again, other = (make(seed=seed, depth=2, lanes=2, **options) for seed in (3, 3, 5))

    def drawn(net, layer):
        return getattr(net.layers[layer], buffer)

    for layer in range(2):
        assert torch.equal(drawn(first, layer), drawn(again, layer))
        assert not torch.equal(drawn(first, layer), drawn(other, layer))
        assert not torch.equal(drawn(first, layer)[0], drawn(first, layer)[1])
    assert not torch.equal(drawn(first, 0), drawn(first, 1))
    alone = make(seed=4, depth=2, **options)
    assert torch.equal(drawn(alone, 1)[0], drawn(first, 1)[1])


@pytest.mark.parametrize("residual", RESIDUALS)
def test_the_residual_is_saved_and_neither_trained_nor_counted(residual):
    options = {"residual": residual, "gamma": [0.1, 0.5], "omega": [0.1, 1.0]}
    net, other = make(seed=1, **options), make(seed=2, **options)
    # W, W_in, b, initial state, readout and its bias
    assert net.parameter_count() == 4 * 4 + 3 * 4 + 4 + 4 + 4 * 2 + 2
    trained = dict(net.named_parameters())
    saved = net.state_dict()
    fixed = [name for name in saved if "residual" in name or "gamma" in name]
    assert len(fixed) == (3 if residual in PAIRED else 2)
    assert not set(fixed) & set(trained)
    other.load_state_dict(saved)
    x = noise(1, 5, 2, 3)
    assert torch.equal(net(x)[0], other(x)[0])


@pytest.mark.parametrize("residual", RESIDUALS)
def test_only_residuals_of_pairs_need_an_even_width(residual):
    if residual not in PAIRED:
        make(hidden=5, residual=residual)
        return
    with pytest.raises(Impossible, match="5 units wide: the width must be a multiple of 2"):
        make(hidden=5, residual=residual)


# -- the start and the options ----------------------------------------------------------------


def test_weights_start_as_those_of_torch_linear():
    net = make(hidden=400)
    layer = net.layers[0]
    for weight, fan_in in (
        (layer.recurrent_weight, 400),
        (layer.input_weight, 3),
        (layer.bias, 3),
        (net.readout_weight, 400),
    ):
        bound = 1 / fan_in**0.5
        values = weight.detach().flatten().numpy()
        assert np.abs(values).max() <= bound
        assert stats.kstest(values[:20_000], stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-3
    assert net.readout_bias.abs().max() <= 1 / 400**0.5
    assert net.readout_bias.any()
    assert not layer.initial_state.any()


def test_input_weights_and_biases_have_the_bounds_of_torchs_linear():
    torch.manual_seed(0)
    peer = torch.nn.Linear(3, 50_000)
    layer = make(hidden=1000).layers[0]
    for own, torchs in ((layer.input_weight, peer.weight), (layer.bias, peer.bias)):
        assert own.abs().max().item() == pytest.approx(torchs.abs().max().item(), rel=5e-3)


@pytest.mark.parametrize("name", ["wcrnn", "elman"])
def test_only_hyperparameters_of_learning_are_searched(name):
    assert set(search_space(name)) == {
        "optimizer",
        "learning_rate",
        "learning_rate_decay",
        "momentum_logit",
        "clip_norm",
        "l2",
    }


@pytest.mark.parametrize("option", ["alpha", "epsilon", "gamma"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_strengths_below_zero_or_not_finite_are_refused(option, value):
    with pytest.raises(OptionError, match=f"option '{option}' of wcrnn"):
        make(**{option: value})


@pytest.mark.parametrize("option", ["omega", "gamma"])
@pytest.mark.parametrize("value", [[2.0, 1.0], [1.0], [0.1, float("inf")], "a lot"])
def test_invalid_ranges_are_refused(option, value):
    with pytest.raises(OptionError, match=f"option '{option}' of wcrnn"):
        make(**{option: value})
