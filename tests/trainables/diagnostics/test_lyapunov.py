"""Tests Lyapunov exponents against residuals, eigenvalues, and finite differences."""

import math

import numpy as np
import pytest
import torch

from tests.support.networks import cell, noise, randomize
from trainables.architectures import build, check_options, find
from trainables.diagnostics.lyapunov import lyapunov_exponents, step_jacobians

TIME = 784


def layer(name, hidden, options, dtype=torch.float64):
    """Return an untrained layer of one lane with one input."""
    checked = check_options(name, options)
    new = find(name)(1, 1, hidden, checked, dtype=dtype)
    new.initialize([{}], [torch.Generator().manual_seed(0)])
    return new.requires_grad_(False)


@pytest.mark.slow
@pytest.mark.parametrize("gamma", [0.001, 0.01, 0.05, 0.1])
@pytest.mark.parametrize("alpha", [0.95, 0.98, 1.0, 1.02])
def test_the_exponents_of_a_weakly_coupled_network_are_those_of_its_residual(alpha, gamma):
    weakly = layer("wcrnn", 100, {"alpha": alpha, "gamma": gamma})
    x = torch.rand(1, TIME, 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    (exponents,) = lyapunov_exponents(weakly, x)
    assert abs(exponents.mean() - math.log(alpha)) < 1e-3
    assert exponents.std() < 0.5 * gamma
    assert exponents.std() > 0


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("linear_rnn", {}),
        ("wcrnn", {"nonlinearity": "identity", "alpha": 0.97, "gamma": 0.1}),
        ("wcrnn", {"nonlinearity": "identity", "residual": "informed", "gamma": 0.1}),
        ("wcrnn", {"nonlinearity": "identity", "residual": "orthogonal", "form": "B"}),
    ],
)
def test_the_exponents_of_a_linear_network_are_logarithms_of_its_eigenvalues(name, options):
    linear = randomize(find(name)(1, 1, 20, check_options(name, options), dtype=torch.float64))
    if name == "wcrnn":
        linear.initialize([{}], [torch.Generator().manual_seed(0)])
    linear.requires_grad_(False)
    matrix = linear.recurrent_weight[0].T
    if name == "wcrnn":
        matrix = linear.f(torch.eye(20, dtype=torch.float64)[None])[0].T
        matrix = matrix + linear.gamma[0, :, None] * linear.recurrent_weight[0].T
    expected = np.log(np.sort(np.abs(np.linalg.eigvals(matrix.numpy())))[::-1])
    measured = lyapunov_exponents(linear, noise(1, 30, 3, 1))[0].numpy()
    np.testing.assert_allclose(measured, expected, rtol=0, atol=1e-6)


def test_over_a_long_time_the_qr_decompositions_find_the_same_eigenvalues(monkeypatch):
    # A bound of zero lets rounding errors tell the Jacobians of a symmetric matrix apart.
    linear = layer("wcrnn", 6, {"nonlinearity": "identity", "gamma": 0.0, "alpha": 1.0})
    matrix = torch.diag(torch.tensor([1.1, 0.9, 0.7, 0.5, 0.3, 0.1], dtype=torch.float64))
    rotation = torch.linalg.qr(noise(6, 6)).Q
    linear.residual.zero_()
    linear.gamma.fill_(1.0)
    linear.recurrent_weight[0] = rotation @ matrix @ rotation.T
    monkeypatch.setattr("trainables.diagnostics.lyapunov.EQUAL", -1.0)
    measured = lyapunov_exponents(linear, noise(1, 2000, 1, 1))[0]
    # Transients are forgotten as one over the time.
    torch.testing.assert_close(measured, matrix.diagonal().log(), rtol=0, atol=2e-3)


@pytest.mark.parametrize("name", ["gru", "lstm"])
@pytest.mark.parametrize("relu", [False, True])
def test_jacobians_of_gated_cells_are_those_of_finite_differences(name, relu):
    gated = cell(name, relu=relu).requires_grad_(False)
    widths, step = list(gated.state_widths), 1e-6
    x, before = noise(1, 7, 2, 3), noise(1, 7, 2, sum(widths), seed=2)
    jacobians = step_jacobians(gated, x, before)
    for t in range(7):
        for column in range(sum(widths)):
            change = torch.zeros(sum(widths), dtype=torch.float64)
            change[column] = step
            plus, minus = (
                torch.cat(gated.run(x[:, t, None], (before[:, t] + c).split(widths, -1), 0)[1], -1)
                for c in (change, -change)
            )
            torch.testing.assert_close(
                jacobians[:, t, :, :, column], (plus - minus) / (2 * step), rtol=1e-6, atol=1e-8
            )


def test_a_direction_that_a_step_removes_has_the_exponent_minus_infinity():
    relu = cell("rnn", hidden=3, relu=True).requires_grad_(False)
    relu.bias[0, 1] = -1e6  # this unit never fires
    exponents = lyapunov_exponents(relu, noise(1, 40, 2, 3).abs())[0]
    assert exponents[-1] == -math.inf
    assert not exponents.isnan().any()


def test_a_lane_that_overflows_has_no_exponents_and_leaves_the_others_alone():
    network = build(
        "wcrnn", inputs=1, outputs=1, hidden=4, lanes=2, options={"gamma": 0.1}, dtype=torch.float64
    )
    network.initialize([{}, {}], [torch.Generator().manual_seed(i) for i in range(2)])
    both = network.layers[0].requires_grad_(False)
    x = noise(2, 20, 2, 1)
    alone = lyapunov_exponents(both, x)[1]
    both.recurrent_weight[0] = math.nan
    exponents = lyapunov_exponents(both, x)
    assert exponents[0].isnan().all()
    torch.testing.assert_close(exponents[1], alone)
