"""Tests the counted operations of a diagnosis against a count by hand."""

import pytest

from trainables.architectures import build
from trainables.diagnostics import Settings, operations
from trainables.tasks import make

N, T = 10, 50
TASK = make("adding", {"length": T})  # two inputs, one output at the last step
SIZES = {"hidden": N, "depth": 1, "parameters": N * N + 2 * N + N + N + N + 1, "lanes": 3}
# Uses of weights in one forward pass: all but the readout at every step, and that once.
FORWARD = 3 * (T * (N * N + 2 * N + 2 * N) + N + 1)


def count(architecture="rnn", sizes=SIZES, **settings):
    return operations(Settings(**settings), TASK, architecture, {}, **sizes)


def test_gradients_take_a_forward_and_a_backward_pass_over_the_samples():
    assert count(gradients=True, samples=100) == 2 * 2 * FORWARD * 100
    assert count(gradients=True, samples=10**9) == 2 * 2 * FORWARD * TASK.held_out_size


def test_exponents_take_jacobians_and_qr_decompositions():
    qr = 3 * T * 5 * (2 * N**3 + 8 / 3 * N**3)
    expected = 2 * FORWARD * 5 + 4 * FORWARD * 5 * N + qr
    assert count(lyapunov=True) == pytest.approx(expected)


def test_curvature_grows_with_products():
    first, second, third = (count(hessian=products, samples=7) for products in (1, 2, 3))
    assert second - first == 2 * (6 + 4) * FORWARD * 7
    assert third - second == 2 * 6 * FORWARD * 7  # one output's Jacobians take two products' time
    assert count(hessian=0) == 0


def test_exponents_in_closed_form_are_free():
    network = build("s4d", inputs=2, outputs=1, hidden=N)
    sizes = {**SIZES, "parameters": network.parameter_count()}
    readout = N + 1
    forward = 3 * (T * (network.parameter_count() - readout) + readout)
    assert count("s4d", sizes, lyapunov=True) == 2 * forward * 5
