"""Training of several lanes: what ends a lane, and what that does to the others."""

import math

import pytest
import torch

from tests.support.trainers import (
    STEPS,
    assert_lanes_equal,
    spy_on_batches,
    steady,
    trainer,
    weights,
)
from trainables import tasks
from trainables.tasks import Batch


def test_training_lowers_the_loss():
    made = trainer(
        steady(4, learning_rate=5e-2, learning_rate_decay=1.0), options={"size": 1, "delay": 1}
    )
    before = made.evaluate("validation").losses
    made.train(STEPS)
    after = made.evaluate("validation").losses
    assert all(later < 0.95 * earlier for earlier, later in zip(before, after, strict=True))


def test_a_lane_that_explodes_ends_and_leaves_its_neighbours_alone():
    configurations = steady(3)
    healthy = trainer(configurations)
    configurations[1] = configurations[1] | {"learning_rate": 1e30}
    made = trainer(configurations)
    for each in (made, healthy):
        each.train(STEPS)
    # The first step has an ordinary loss and takes the weights far away; the second ends it.
    assert made.infeasible_at == [None, 2, None]
    assert healthy.infeasible_at == [None, None, None]
    assert made.step == STEPS
    assert_lanes_equal(made, healthy, [0, 2])
    scores = made.evaluate("validation")
    assert math.isnan(scores.losses[1])
    assert math.isnan(scores.metrics[1])


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
def test_a_lane_that_is_no_longer_finite_ends_at_its_step_with_its_weights_as_they_are(poison):
    healthy, made = trainer(steady(3)), trainer(steady(3))
    for each in (made, healthy):
        each.train(5)
    with torch.no_grad():
        made.network.readout_weight[2, 0, 0] = poison
    before = weights(made, 2)
    for each in (made, healthy):
        each.train(9)
    assert made.infeasible_at == [None, None, 6]
    assert torch.equal(weights(made, 2).nan_to_num(7, 8, 9), before.nan_to_num(7, 8, 9))
    assert_lanes_equal(made, healthy, [0, 1])


def test_an_infeasible_lane_stays_infeasible_and_its_last_loss_stays():
    made = trainer(steady(2))
    with torch.no_grad():
        made.network.readout_bias[1] = 1e5
    made.train(1)
    assert made.infeasible_at == [None, 1]
    last = made.training_losses[1]
    assert last == pytest.approx(1e10, rel=1e-3)
    with torch.no_grad():
        made.network.readout_bias[1] = 0.0
    made.train(5)
    assert made.infeasible_at == [None, 1]
    assert made.training_losses[1] == last
    assert math.isnan(made.evaluate("evaluation").losses[1])


def test_the_threshold_parts_feasible_losses_from_infeasible_ones():
    probe = trainer(steady(2))
    probe.train(1)
    low, high = sorted(probe.training_losses)
    assert low < high
    for factor, feasible in ((0.99, 0), (1.01, 1)):
        made = trainer(steady(2), threshold=factor * low)
        made.train(1)
        assert made.infeasible_at.count(None) == feasible
    made = trainer(steady(2), threshold=1.01 * high)
    made.train(1)
    assert made.infeasible_at == [None, None]


def test_training_ends_when_no_lane_is_feasible():
    made = trainer(steady(2), threshold=1e-6)
    made.train(STEPS)
    assert made.infeasible_at == [1, 1]
    assert made.step == 1


def test_a_finite_loss_with_a_gradient_that_is_not_finite_ends_a_lane(monkeypatch):
    made = trainer(steady(2))
    losses = made.task.losses

    def with_a_kink(outputs, targets):
        plain = losses(outputs, targets)
        zero = (outputs[1:] - outputs[1:].detach()).abs().sqrt()[:, -1].sum(-1)
        return torch.cat([plain[:1], plain[1:] + zero])

    monkeypatch.setattr(made.task, "losses", with_a_kink)
    before = weights(made, 1)
    made.train(2)
    assert made.infeasible_at == [None, 1]
    assert made.training_losses[1] < 1e3
    assert torch.equal(weights(made, 1), before)


def test_every_step_trains_on_the_batch_of_its_number(monkeypatch):
    made = trainer(steady(2))
    asked = spy_on_batches(monkeypatch, made)
    made.train(STEPS)
    assert asked == [{"seed": 2, "lanes": [0, 1], "step": step, "size": 4} for step in range(STEPS)]


def perceptron(samples, parameters=100, **options):
    configuration = {"samples_per_parameter": samples / parameters, "presentation": "every"}
    return tasks.make("perceptron_capacity", options).configured(configuration, parameters)


def test_inputs_in_bytes_train_as_the_same_numbers_in_floats(monkeypatch):
    small, large = (trainer(steady(3), task=perceptron(40, size=6)) for _ in range(2))
    assert small.task.batch(seed=0, lanes=[0], step=0, size=1).inputs.dtype == torch.uint8
    for name in ("batch", "held_out"):
        plain = getattr(large.task, name)

        def in_floats(*args, plain=plain, **place):
            found = plain(*args, **place)
            return Batch(found.inputs.float(), found.targets)

        monkeypatch.setattr(large.task, name, in_floats)
    before = weights(small, 0)
    for each in (small, large):
        each.train(STEPS)
    assert small.infeasible_at == [None] * 3
    assert not torch.equal(weights(small, 0), before)
    assert_lanes_equal(small, large, range(3))


def test_a_small_network_memorizes_a_hundred_random_labels():
    task = perceptron(100)
    weights_of = ("reset_input", "update_input", "candidate_input", "readout")
    biases_of = ("reset", "update", "candidate", "readout")
    ordinary = {f"{name}_scale": 1.0 for name in weights_of}
    ordinary |= {f"{name}_bias_scale": 0.0 for name in biases_of}
    learning = {"learning_rate": 3e-2, "learning_rate_decay": 0.1, "momentum_logit": 2.2}
    configurations = steady(1, **ordinary, **learning, clip_norm=10.0, l2=1e-8)
    made = trainer(configurations, task=task, steps=300, batch_size=100)
    parameters = sum(p.numel() for p in made.network.parameters())
    assert 400 < parameters < 600
    before = made.evaluate("evaluation")
    assert before.metrics[0] < 10
    made.train(300)
    after = made.evaluate("evaluation")
    assert after.metrics[0] > 90  # of 100 bits
    assert after.losses[0] < 0.1 * before.losses[0]
    further = task.further(after.metrics[0], parameters)
    assert further["bits_per_parameter"] == after.metrics[0] / parameters
