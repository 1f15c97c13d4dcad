"""Compares all four optimizers with torch.optim, several lanes of different kinds at once.

What torch's optimizers do not have (clipping of any finite gradient) is compared with NumPy.
"""

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.networks import noise
from trainables.optimizers import Optimizer
from trainables.space import OPTIMIZERS, UNCLIPPED

STEPS, WIDTH = 40, 12


def constants(kind, **changed):
    return {
        "optimizer": kind,
        "learning_rate": 0.02,
        "learning_rate_decay": 0.05,
        "momentum_logit": 2.0,
        "clip_norm": 1e9,
        "l2": 0.0,
    } | changed


def penalised_quartic(w, lane, l2=0.0):
    """Return a loss whose gradient differs in every lane and at every point."""
    target = noise(WIDTH, seed=100 + lane)
    curvature = 0.5 + noise(WIDTH, seed=200 + lane).square()
    error = w - target
    loss = (curvature * error.square()).sum() / 2 + error.pow(4).sum() / 4
    return loss + l2 / 2 * w.square().sum()


def gradients(matrix, losses):
    leaf = matrix.detach().clone().requires_grad_()
    total = sum(losses(leaf[lane], lane) for lane in range(len(leaf)))
    return torch.autograd.grad(total, leaf)[0]


def train_with_soundings(configurations, start, losses=penalised_quartic):
    matrix = start.clone()
    optimizer = Optimizer(configurations, matrix, STEPS)
    for step in range(STEPS):
        optimizer.step(gradients(matrix, losses), step)
    return matrix


def torch_optimizer(c, parameter, weight_decay):
    """Return torch's optimizer with the same constants; what is not tuned stays at its default."""
    mu = 1 / (1 + math.exp(-c["momentum_logit"]))
    common = {"lr": c["learning_rate"], "weight_decay": weight_decay}
    return {
        "sgd": lambda: torch.optim.SGD([parameter], **common),
        "momentum": lambda: torch.optim.SGD([parameter], momentum=mu, **common),
        "rmsprop": lambda: torch.optim.RMSprop([parameter], alpha=mu, **common),
        "adam": lambda: torch.optim.Adam([parameter], betas=(mu, 0.999), **common),
    }[c["optimizer"]]()


def train_with_torch(c, start, lane, loss, weight_decay=0.0):
    parameter = start[lane].clone().requires_grad_()
    optimizer = torch_optimizer(c, parameter, weight_decay)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = c["learning_rate"] * math.exp(
                math.log(c["learning_rate_decay"]) * step / STEPS
            )
        optimizer.zero_grad()
        loss(parameter, lane).backward()
        torch.nn.utils.clip_grad_norm_([parameter], c["clip_norm"])
        optimizer.step()
    return parameter.detach()


def test_unclipped_lanes_equal_torchs_optimizers_with_weight_decay():
    lanes = [
        constants(kind, l2=l2, momentum_logit=logit, learning_rate=rate, learning_rate_decay=decay)
        for kind in OPTIMIZERS
        for l2, logit, rate, decay in ((0.0, 1.0, 0.03, 1.0), (0.3, 3.5, 0.01, 1e-3))
    ]
    start = noise(len(lanes), WIDTH)
    result = train_with_soundings(lanes, start)
    for lane, c in enumerate(lanes):
        expected = train_with_torch(c, start, lane, penalised_quartic, weight_decay=c["l2"])
        torch.testing.assert_close(result[lane], expected, rtol=0, atol=1e-12)
        assert (expected - start[lane]).abs().max() > 0.05


def test_clipped_lanes_equal_torchs_optimizers_on_the_penalised_loss():
    # Large gradients, because torch adds 1e-6 to the norm it divides by.
    def steep(w, lane):
        return 1e6 * penalised_quartic(w, lane, l2=0.3)

    lanes = [constants(kind, clip_norm=norm) for kind in OPTIMIZERS for norm in (1.0, 7.0)]
    start = noise(len(lanes), WIDTH)
    result = train_with_soundings(
        [c | {"l2": 1e6 * 0.3} for c in lanes],
        start,
        lambda w, lane: 1e6 * penalised_quartic(w, lane),
    )
    for lane, c in enumerate(lanes):
        expected = train_with_torch(c, start, lane, steep)
        torch.testing.assert_close(result[lane], expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize(("norm", "expected"), [(50.0, 2.0), (2.0, 2.0), (0.5, 0.5), (0.0, 0.0)])
def test_a_gradient_is_cut_to_the_clip_norm_and_keeps_its_direction(norm, expected):
    direction = torch.tensor([[3.0, 0.0, -4.0]], dtype=torch.float64) / 5
    matrix = torch.zeros(1, 3, dtype=torch.float64)
    lane = constants("sgd", clip_norm=2.0, learning_rate=1.0)
    Optimizer([lane], matrix, 1).step(norm * direction, 0)
    torch.testing.assert_close(matrix, -expected * direction, rtol=0, atol=1e-14)


def test_the_learning_rate_decays_exponentially_by_its_factor_over_all_steps():
    matrix = torch.zeros(1, 1, dtype=torch.float64)
    lane = constants("sgd", learning_rate=0.5, learning_rate_decay=1e-3)
    optimizer = Optimizer([lane], matrix, 3)
    rates = []
    for step in range(4):
        before = matrix.clone()
        optimizer.step(torch.ones(1, 1, dtype=torch.float64), step)
        rates.append((before - matrix).item())
    assert rates == pytest.approx([0.5, 0.05, 0.005, 0.0005], rel=1e-12)


def test_an_infeasible_lane_keeps_its_weights_and_changes_no_other_lane():
    lanes = [constants(kind) for kind in OPTIMIZERS]
    start = noise(4, WIDTH)
    for infeasible in range(4):
        healthy, matrix = start.clone(), start.clone()
        beside, optimizer = Optimizer(lanes, healthy, STEPS), Optimizer(lanes, matrix, STEPS)
        feasible = torch.arange(4) != infeasible
        for step in range(5):
            gradient = gradients(healthy, penalised_quartic)
            beside.step(gradient.clone(), step)
            gradient[infeasible] = torch.tensor([torch.nan, torch.inf] * (WIDTH // 2))
            optimizer.step(gradient, step, feasible)
        assert torch.equal(matrix[infeasible], start[infeasible])
        assert torch.equal(matrix[feasible], healthy[feasible])
        assert not torch.equal(healthy[infeasible], start[infeasible])


def test_a_restored_optimizer_goes_on_bit_for_bit():
    lanes = [constants(kind) for kind in OPTIMIZERS]
    uninterrupted = noise(4, WIDTH)
    optimizer = Optimizer(lanes, uninterrupted, STEPS)
    for step in range(5):
        optimizer.step(gradients(uninterrupted, penalised_quartic), step)
    continued = uninterrupted.clone()
    restored = Optimizer(lanes, continued, STEPS)
    restored.load_state_dict({key: value.clone() for key, value in optimizer.state_dict().items()})
    for step in range(5, 10):
        optimizer.step(gradients(uninterrupted, penalised_quartic), step)
        restored.step(gradients(continued, penalised_quartic), step)
    assert torch.equal(continued, uninterrupted)


def numpy_update(c, gradient):
    """Return the first update of parameters that are zero, in float64; None if v overflows."""
    g = np.array(gradient)
    if c["clip_norm"] != UNCLIPPED:
        g = g * min(1.0, c["clip_norm"] / max(np.linalg.norm(g), 1e-300))
    mu, rate = 1 / (1 + math.exp(-c["momentum_logit"])), c["learning_rate"]
    adaptive = c["optimizer"] in ("rmsprop", "adam")
    if adaptive and np.square(g).max() > np.finfo(np.float32).max:
        return None
    if not adaptive:  # the first velocity of momentum is the gradient
        return -rate * g
    square = (1 - mu) * g**2 if c["optimizer"] == "rmsprop" else g**2
    return -rate * g / (np.sqrt(square) + 1e-8)


FLOATS = st.builds(
    lambda sign, exponent: sign * 10.0**exponent,
    st.sampled_from([-1.0, 0.0, 1.0]),
    st.floats(-30, 38),
)


@given(
    gradients=st.lists(FLOATS, min_size=1, max_size=12),
    repeated=st.sampled_from([1, 40]),
    kind=st.sampled_from(OPTIMIZERS),
    clip_norm=st.one_of(st.floats(-3, 25).map(lambda e: 10.0**e), st.just(UNCLIPPED)),
    logit=st.floats(1, 7),
)
@example([-1e29, -1e-13], 1, "adam", 1e9, 2.0)
@example([-1e20], 1, "sgd", UNCLIPPED, 1.0)
@settings(max_examples=300, deadline=None)
def test_an_update_is_that_of_float64_whatever_the_size_of_the_gradient(
    gradients, repeated, kind, clip_norm, logit
):
    lane = constants(
        kind, clip_norm=clip_norm, momentum_logit=logit, learning_rate=0.5, learning_rate_decay=1.0
    )
    gradient = torch.tensor(gradients).repeat(repeated)
    ordinary = torch.linspace(-2, 3, len(gradient))
    matrix = torch.zeros(2, len(gradient))
    beside = Optimizer([lane, constants("adam")], matrix.clone(), 1)
    beside.step(torch.stack([gradient, ordinary]), 0)
    updated = Optimizer([lane, lane], matrix, 1).step(torch.stack([gradient, ordinary]), 0)
    assert torch.equal(beside._parameters[0], matrix[0])
    alone = torch.zeros(1, len(gradient))
    Optimizer([lane], alone, 1).step(ordinary[None].clone(), 0)
    assert torch.equal(matrix[1], alone[0])
    expected = numpy_update(lane, gradient.double().numpy())
    usable = updated is None or bool(updated[0])
    if expected is None:
        # float32 and float64 may disagree at the very edge of the range.
        assert not usable or gradient.abs().max() < 1.9e19
        expected = np.zeros(len(gradient))
    if not usable:
        assert not matrix[0].any()
        return
    # Numbers 1e37 times smaller than the largest are lost in float32, and those that are so while
    # the gradient is scaled to its largest number lose digits. Epsilon may divide the loss.
    norm = np.inf if clip_norm == UNCLIPPED else clip_norm
    scaled = 1e-44 * min(norm, float(gradient.abs().max()))
    lost = 1e-37 * max(1.0, np.abs(expected).max()) + scaled
    lost /= 1e-8 if kind in ("rmsprop", "adam") else 1
    np.testing.assert_allclose(matrix[0].numpy(), expected, rtol=2e-4, atol=lost)


def test_none_clips_nothing():
    gradient = noise(1, 1000).float() * 1e17
    matrix = torch.zeros(1, 1000)
    lane = constants("sgd", learning_rate=1.0, learning_rate_decay=1.0, clip_norm=UNCLIPPED)
    Optimizer([lane], matrix, 1).step(gradient.clone(), 0)
    assert torch.equal(matrix, -gradient)


@pytest.mark.parametrize("kind", ["rmsprop", "adam"])
def test_a_lane_whose_squares_overflow_is_not_updated(kind):
    lanes = [constants(kind, clip_norm=UNCLIPPED), constants(kind, clip_norm=1.0)]
    matrix = torch.zeros(2, 3)
    gradient = torch.tensor([[2e19, 1.0, -1.0]]).repeat(2, 1)
    optimizer = Optimizer(lanes, matrix, 1)
    updated = optimizer.step(gradient, 0)
    assert updated.tolist() == [False, True]
    assert not matrix[0].any()
    assert matrix[1].all()
    assert optimizer.state_dict()["square"].isfinite().all()


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("l2", [0.0, 1e-6])
def test_a_lane_whose_parameters_are_not_finite_is_not_updated(poison, l2):
    matrix = torch.zeros(2, 3)
    matrix[0, 1] = poison
    updated = Optimizer([constants("sgd", l2=l2)] * 2, matrix, 1).step(torch.ones(2, 3), 0)
    assert updated.tolist() == [False, True]
