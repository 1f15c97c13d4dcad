"""Compares the numbers that summarize diagnosed quantities with closed forms and with scipy."""

import math

import numpy as np
import pytest
from scipy.stats import linregress

from orchestrator.views.study.dynamics import propagation, summary


def test_a_geometric_decay_has_the_slope_of_its_rate_and_lies_on_the_line():
    norms = 3.0 * 0.97 ** np.arange(49, -1, -1)  # t = 1 .. 50: smallest first
    slope, r2 = propagation(norms)
    assert slope == pytest.approx(math.log(0.97), rel=1e-12)
    assert r2 == pytest.approx(1)


def test_scattered_norms_have_the_slope_and_r2_of_scipys_regression():
    norms = np.exp(np.random.default_rng(0).normal(size=40))
    norms[[3, 17]] = 0, np.nan  # neither has a logarithm
    drawn = np.isfinite(norms) & (norms > 0)
    fitted = linregress(np.arange(39, -1, -1)[drawn], np.log(norms[drawn]))
    assert propagation(norms) == pytest.approx((fitted.slope, fitted.rvalue**2))


def test_constant_norms_have_slope_zero_and_fewer_than_two_have_none():
    assert propagation(np.full(5, 2.0)) == (0, 1)
    assert all(math.isnan(value) for value in propagation(np.array([0.0, 1.0, math.nan])))


def test_exponents_without_a_number_are_left_out():
    found = summary("lyapunov_exponents", [-0.1, -0.3, None, -math.inf])
    assert found["exponent_mean"] == pytest.approx(-0.2)
    assert found["exponent_max"] == -0.1
    assert found["exponent_spread"] == pytest.approx(0.1)  # the deviation of two numbers


def test_every_quantity_has_its_numbers_and_others_have_none():
    assert summary("hessian_eigenvalues", [5.0, 1.0, -2.0]) == {"hessian_max": 5, "hessian_min": -2}
    assert summary("gauss_newton_eigenvalues", [7.0, 0.5]) == {"gauss_newton_max": 7}
    assert summary("hessian_large", [3.0]) == {"eigenvalues_large": 3}
    assert summary("gauss_newton_large", [4.0]) == {"gauss_newton_large": 4}
    assert summary("input_power", [1.0, 2.0]) == {}
    assert math.isnan(summary("hessian_eigenvalues", [None])["hessian_max"])
