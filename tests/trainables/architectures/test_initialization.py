"""Initial matrices and biases: their kinds, scales and distributions (appendix A)."""

import math

import pytest
import torch
from scipy import stats

from trainables.architectures import initialization

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
