"""Whose batches a lane trains on: its own, those of another index, or those that all share."""

import pytest
import torch

from tests.support.trainers import STEPS, spy_on_batches, steady, trainer, weights


def trained(configurations, **changed):
    made = trainer(configurations, dtype=torch.float64, **changed)
    made.train(STEPS)
    assert made.infeasible_at == [None] * len(configurations)
    return made


def numbers(made, lane):
    """All that training made of a lane."""
    losses = [
        number
        for split in ("validation", "evaluation")
        for scores in [made.evaluate(split)]
        for number in (scores.losses[lane], scores.metrics[lane])
    ]
    return torch.cat([weights(made, lane), torch.tensor([made.training_losses[lane], *losses])])


def assert_close(one, other):
    torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("which", "lanes"),
    [
        ({}, [0, 1, 2]),
        ({"first_lane": 4}, [4, 5, 6]),
        ({"lanes": [5, 0, 2]}, [5, 0, 2]),
        ({"lanes": [5, 0, 2], "first_lane": 10}, [15, 10, 12]),
        ({"shared_batches": True}, [0]),
        ({"shared_batches": True, "first_lane": 4}, [4]),
        ({"shared_batches": True, "lanes": [5, 0, 2]}, [0]),
    ],
)
def test_the_batches_that_lanes_see(which, lanes, monkeypatch):
    made = trainer(steady(3), **which)
    asked = spy_on_batches(monkeypatch, made)
    made.train(STEPS)
    assert asked == [{"seed": 2, "lanes": lanes, "step": step, "size": 4} for step in range(STEPS)]


def test_lanes_that_share_their_batches_are_each_what_it_is_alone():
    configurations = steady(4)
    together = trained(configurations, shared_batches=True)
    for lane, configuration in enumerate(configurations):
        alone = trained([configuration], lanes=[lane], shared_batches=True)
        assert_close(numbers(alone, 0), numbers(together, lane))


def test_lanes_that_share_their_batches_train_on_the_first_ones():
    """As if each had asked for them by itself."""
    configurations = steady(3)
    together = trained(configurations, shared_batches=True, first_lane=7)
    for lane, configuration in enumerate(configurations):
        alone = trained([configuration], lanes=[lane], first_lane=7 - lane)
        assert_close(numbers(alone, 0), numbers(together, lane))


def test_lanes_of_one_configuration_that_share_their_batches_differ_by_their_weights():
    together = trained(steady(1) * 2, shared_batches=True)
    assert not torch.allclose(numbers(together, 0), numbers(together, 1))


def test_sharing_changes_the_batches_of_all_lanes_but_the_first():
    shared, apart = (trained(steady(3), shared_batches=sharing) for sharing in (True, False))
    assert_close(numbers(shared, 0), numbers(apart, 0))
    for lane in (1, 2):
        assert not torch.allclose(weights(shared, lane), weights(apart, lane))


def test_the_first_lane_moves_the_batches_and_not_the_initial_weights():
    here, there = (trainer(steady(3), first_lane=first, dtype=torch.float64) for first in (0, 5))
    for lane in range(3):
        assert torch.equal(weights(here, lane), weights(there, lane))
    for made in (here, there):
        made.train(1)
    for lane in range(3):
        assert not torch.equal(weights(here, lane), weights(there, lane))


def test_a_lane_that_ends_leaves_those_that_share_its_batches_alone():
    configurations = steady(3)
    healthy = trained(configurations, shared_batches=True)
    configurations[0] = configurations[0] | {"learning_rate": 1e30, "optimizer": "sgd"}
    made = trainer(configurations, dtype=torch.float64, shared_batches=True)
    made.train(STEPS)
    assert made.infeasible_at == [2, None, None]
    for lane in (1, 2):
        assert_close(numbers(made, lane), numbers(healthy, lane))
