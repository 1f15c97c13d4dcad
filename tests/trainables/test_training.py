"""Tests the training of several lanes: a lane may end, and the others stay unchanged."""

import math

import pytest
import torch

from tests.support.trainers import (
    STEPS,
    assert_lanes_equal,
    spy_on_batches,
    steady,
    weights,
)
from tests.support.trainers import trainer as make_trainer
from trainables import tasks
from trainables.space import UNCLIPPED
from trainables.tasks import Batch


def test_training_lowers_the_loss():
    trainer = make_trainer(
        steady(4, learning_rate=5e-2, learning_rate_decay=1.0), options={"size": 1, "delay": 1}
    )
    before = trainer.evaluate("validation").losses
    trainer.train(STEPS)
    after = trainer.evaluate("validation").losses
    assert all(later < 0.95 * earlier for earlier, later in zip(before, after, strict=True))


def test_a_lane_that_explodes_ends_and_leaves_its_neighbours_alone():
    configurations = steady(3)
    healthy = make_trainer(configurations)
    configurations[1] = configurations[1] | {"learning_rate": 1e30}
    trainer = make_trainer(configurations)
    for each in (trainer, healthy):
        each.train(STEPS)
    # The first step has an ordinary loss and takes the weights far away; the second ends it.
    assert trainer.infeasible_at == [None, 2, None]
    assert healthy.infeasible_at == [None, None, None]
    assert trainer.step == STEPS
    assert_lanes_equal(trainer, healthy, [0, 2])
    scores = trainer.evaluate("validation")
    assert math.isnan(scores.losses[1])
    assert math.isnan(scores.metrics[1])


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
def test_a_lane_that_is_no_longer_finite_ends_at_that_step_and_keeps_its_weights(poison):
    healthy, trainer = make_trainer(steady(3)), make_trainer(steady(3))
    for each in (trainer, healthy):
        each.train(5)
    with torch.no_grad():
        trainer.network.readout_weight[2, 0, 0] = poison
    before = weights(trainer, 2)
    for each in (trainer, healthy):
        each.train(9)
    assert trainer.infeasible_at == [None, None, 6]
    assert torch.equal(weights(trainer, 2).nan_to_num(7, 8, 9), before.nan_to_num(7, 8, 9))
    assert_lanes_equal(trainer, healthy, [0, 1])


def test_an_infeasible_lane_stays_infeasible_and_its_last_loss_stays():
    trainer = make_trainer(steady(2))
    with torch.no_grad():
        trainer.network.readout_bias[1] = 1e5
    trainer.train(1)
    assert trainer.infeasible_at == [None, 1]
    last = trainer.training_losses[1]
    assert last == pytest.approx(1e10, rel=1e-3)
    with torch.no_grad():
        trainer.network.readout_bias[1] = 0.0
    trainer.train(5)
    assert trainer.infeasible_at == [None, 1]
    assert trainer.training_losses[1] == last
    assert math.isnan(trainer.evaluate("evaluation").losses[1])


def test_a_lane_is_infeasible_if_its_loss_exceeds_the_threshold():
    probe = make_trainer(steady(2))
    probe.train(1)
    low, high = sorted(probe.training_losses)
    assert low < high
    for factor, feasible in ((0.99, 0), (1.01, 1)):
        trainer = make_trainer(steady(2), threshold=factor * low)
        trainer.train(1)
        assert trainer.infeasible_at.count(None) == feasible
    trainer = make_trainer(steady(2), threshold=1.01 * high)
    trainer.train(1)
    assert trainer.infeasible_at == [None, None]


def test_training_ends_when_no_lane_is_feasible():
    trainer = make_trainer(steady(2), threshold=1e-6)
    trainer.train(STEPS)
    assert trainer.infeasible_at == [1, 1]
    assert trainer.step == 1


def test_a_finite_loss_with_a_gradient_that_is_not_finite_ends_a_lane(monkeypatch):
    trainer = make_trainer(steady(2))
    losses = trainer.task.losses

    def with_a_kink(outputs, targets):
        plain = losses(outputs, targets)
        zero = (outputs[1:] - outputs[1:].detach()).abs().sqrt()[:, -1].sum(-1)
        return torch.cat([plain[:1], plain[1:] + zero])

    monkeypatch.setattr(trainer.task, "losses", with_a_kink)
    before = weights(trainer, 1)
    trainer.train(2)
    assert trainer.infeasible_at == [None, 1]
    assert trainer.training_losses[1] < 1e3
    assert torch.equal(weights(trainer, 1), before)


def with_steep_loss(trainer, monkeypatch, factor):
    """Multiply the gradient of the second lane by ``factor``, but not its loss."""
    losses = trainer.task.losses

    def steep(outputs, targets):
        second = outputs[1:]
        scaled = second.detach() + factor * (second - second.detach())
        return losses(torch.cat([outputs[:1], scaled]), targets)

    monkeypatch.setattr(trainer.task, "losses", steep)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "rmsprop", "adam"])
def test_a_finite_gradient_whose_norm_overflows_is_clipped_as_any_other(monkeypatch, optimizer):
    # Without a penalty the clipped gradient does not depend on its size, only on its direction.
    configurations = steady(2, clip_norm=1.0, l2=0.0)
    configurations[1] |= {"optimizer": optimizer, "momentum_logit": 2.0}
    steep, ordinary = make_trainer(configurations), make_trainer(configurations)
    before = weights(ordinary, 1)
    with_steep_loss(steep, monkeypatch, 1e25)
    with_steep_loss(ordinary, monkeypatch, 1e3)
    for each in (steep, ordinary):
        each.train(3)
        assert each.infeasible_at == [None, None]
    moved = weights(ordinary, 1) - before
    assert moved.norm() > 1e-2
    torch.testing.assert_close(weights(steep, 1) - before, moved, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("optimizer", "rate", "ends_at"),
    # RMSProp and Adam cannot square the gradient; the others go far away, even beyond all numbers.
    [("rmsprop", 1e-3, 1), ("adam", 1e-3, 1), ("sgd", 1e-3, 2), ("momentum", 1e20, 2)],
)
def test_without_clipping_a_gradient_whose_norm_overflows_ends_its_lane(
    monkeypatch, optimizer, rate, ends_at
):
    configurations = steady(2)
    configurations[1] |= {"optimizer": optimizer, "clip_norm": UNCLIPPED, "learning_rate": rate}
    configurations[1]["momentum_logit"] = 2.0
    trainer, healthy = make_trainer(configurations), make_trainer(steady(2))
    with_steep_loss(trainer, monkeypatch, 1e25)
    for each in (trainer, healthy):
        each.train(STEPS)
    assert trainer.infeasible_at == [None, ends_at]
    assert_lanes_equal(trainer, healthy, [0])


def test_a_lane_whose_last_update_overflowed_is_infeasible_though_its_loss_is_not():
    trainer = make_trainer(steady(2))
    trainer.train(3)
    with torch.no_grad():
        trainer.network.layers[0].bias[1, -1] = math.inf  # a tanh makes one of it
    assert math.isnan(trainer.evaluate("validation").losses[1])
    assert trainer.infeasible_at == [None, 3]


def test_a_loss_of_minus_infinity_is_not_finite(monkeypatch):
    trainer = make_trainer(steady(2))
    losses = trainer.task.losses
    minus_infinity = torch.tensor([0.0, -math.inf])[:, None]
    monkeypatch.setattr(trainer.task, "losses", lambda *both: losses(*both) + minus_infinity)
    assert math.isnan(trainer.evaluate("validation").losses[1])
    assert trainer.infeasible_at == [None, 0]


def test_every_step_trains_on_the_batch_of_its_number(monkeypatch):
    trainer = make_trainer(steady(2))
    asked = spy_on_batches(monkeypatch, trainer)
    trainer.train(STEPS)
    assert asked == [{"seed": 2, "lanes": [0, 1], "step": step, "size": 4} for step in range(STEPS)]


def perceptron(samples, parameters=100, **options):
    configuration = {"samples_per_parameter": samples / parameters, "presentation": "every"}
    return tasks.make("perceptron_capacity", options).configured(configuration, parameters)


def test_inputs_in_bytes_train_as_the_same_numbers_in_floats(monkeypatch):
    of_bytes, of_floats = (make_trainer(steady(3), task=perceptron(40, size=6)) for _ in range(2))
    assert of_bytes.task.batch(seed=0, lanes=[0], step=0, size=1).inputs.dtype == torch.uint8
    for name in ("batch", "held_out"):
        original = getattr(of_floats.task, name)

        def in_floats(*args, original=original, **place):
            sampled = original(*args, **place)
            return Batch(sampled.inputs.float(), sampled.targets)

        monkeypatch.setattr(of_floats.task, name, in_floats)
    before = weights(of_bytes, 0)
    for each in (of_bytes, of_floats):
        each.train(STEPS)
    assert of_bytes.infeasible_at == [None] * 3
    assert not torch.equal(weights(of_bytes, 0), before)
    assert_lanes_equal(of_bytes, of_floats, range(3))


def test_a_small_network_memorizes_a_hundred_random_labels():
    task = perceptron(100)
    weights_of = ("reset_input", "update_input", "candidate_input", "readout")
    biases_of = ("reset", "update", "candidate", "readout")
    ordinary = {f"{name}_scale": 1.0 for name in weights_of}
    ordinary |= {f"{name}_bias_scale": 0.0 for name in biases_of}
    learning = {"learning_rate": 3e-2, "learning_rate_decay": 0.1, "momentum_logit": 2.2}
    configurations = steady(1, **ordinary, **learning, clip_norm=10.0, l2=1e-8)
    trainer = make_trainer(configurations, task=task, steps=300, batch_size=100)
    parameters = sum(p.numel() for p in trainer.network.parameters())
    assert 400 < parameters < 600
    before = trainer.evaluate("evaluation")
    assert before.metrics[0] < 10
    trainer.train(300)
    after = trainer.evaluate("evaluation")
    assert after.metrics[0] > 90  # there are 100 bits
    assert after.losses[0] < 0.1 * before.losses[0]
    further = task.further(after.metrics[0], parameters)
    assert further["bits_per_parameter"] == after.metrics[0] / parameters
