"""Tests which batches a lane trains on: its own, those of another index, or the first lane's."""

import pytest
import torch

from tests.support.trainers import STEPS, spy_on_batches, steady, weights
from tests.support.trainers import trainer as make_trainer


def trained(configurations, **changed):
    trainer = make_trainer(configurations, dtype=torch.float64, **changed)
    trainer.train(STEPS)
    assert trainer.infeasible_at == [None] * len(configurations)
    return trainer


def numbers(trainer, lane):
    """Return a lane's weights, last training loss and scores as one vector."""
    losses = [
        number
        for split in ("validation", "evaluation")
        for scores in [trainer.evaluate(split)]
        for number in (scores.losses[lane], scores.metrics[lane])
    ]
    return torch.cat(
        [weights(trainer, lane), torch.tensor([trainer.training_losses[lane], *losses])]
    )


def assert_close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("options", "lanes"),
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
def test_lanes_train_on_the_batches_of_their_indices_or_of_the_first_lane(
    options, lanes, monkeypatch
):
    trainer = make_trainer(steady(3), **options)
    asked = spy_on_batches(monkeypatch, trainer)
    trainer.train(STEPS)
    assert asked == [{"seed": 2, "lanes": lanes, "step": step, "size": 4} for step in range(STEPS)]


def test_lanes_that_share_their_batches_train_as_each_does_alone():
    configurations = steady(4)
    together = trained(configurations, shared_batches=True)
    for lane, configuration in enumerate(configurations):
        alone = trained([configuration], lanes=[lane], shared_batches=True)
        assert_close(numbers(alone, 0), numbers(together, lane))


def test_lanes_that_share_their_batches_train_on_those_of_the_first_lane():
    """Each lane equals one that asks for the batches of the first lane by itself."""
    configurations = steady(3)
    together = trained(configurations, shared_batches=True, first_lane=7)
    for lane, configuration in enumerate(configurations):
        alone = trained([configuration], lanes=[lane], first_lane=7 - lane)
        assert_close(numbers(alone, 0), numbers(together, lane))


def test_lanes_of_one_configuration_that_share_their_batches_differ_by_their_weights():
    together = trained(steady(1) * 2, shared_batches=True)
    assert not torch.allclose(numbers(together, 0), numbers(together, 1))


def test_sharing_changes_the_batches_of_all_lanes_but_the_first():
    shared, separate = (trained(steady(3), shared_batches=sharing) for sharing in (True, False))
    assert_close(numbers(shared, 0), numbers(separate, 0))
    for lane in (1, 2):
        assert not torch.allclose(weights(shared, lane), weights(separate, lane))


def test_first_lane_changes_the_batches_and_not_the_initial_weights():
    at_zero, at_five = (
        make_trainer(steady(3), first_lane=first, dtype=torch.float64) for first in (0, 5)
    )
    for lane in range(3):
        assert torch.equal(weights(at_zero, lane), weights(at_five, lane))
    for trainer in (at_zero, at_five):
        trainer.train(1)
    for lane in range(3):
        assert not torch.equal(weights(at_zero, lane), weights(at_five, lane))


def test_a_lane_that_ends_changes_no_lane_that_shares_its_batches():
    configurations = steady(3)
    healthy = trained(configurations, shared_batches=True)
    configurations[0] = configurations[0] | {"learning_rate": 1e30, "optimizer": "sgd"}
    trainer = make_trainer(configurations, dtype=torch.float64, shared_batches=True)
    trainer.train(STEPS)
    assert trainer.infeasible_at == [2, None, None]
    for lane in (1, 2):
        assert_close(numbers(trainer, lane), numbers(healthy, lane))
