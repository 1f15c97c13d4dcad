"""Compares all four optimizers with torch.optim, several lanes of different kinds at once."""

import math

import pytest
import torch

from tests.support.networks import noise
from trainables.optimizers import Optimizer
from trainables.space import OPTIMIZERS

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
