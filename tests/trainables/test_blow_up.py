"""Tests that a lane of a second-order network that overflows ends and changes no other lane."""

import math

import pytest
import torch

from tests.support.networks import configuration, noise
from trainables import tasks
from trainables.architectures import build
from trainables.training import Schedule, Trainer

STEPS, LANES, EXPLODING = 8, 4, 2
OTHERS = [lane for lane in range(LANES) if lane != EXPLODING]
KINDS = ("adam", "sgd", "momentum", "rmsprop")
PRODUCTS = {"second_order": "tensor", "cprnn": "output_factor", "mirnn": "alpha"}
NETWORKS = [(name, gate) for name in PRODUCTS for gate in ("identity", "relu", "tanh")]
overflowing = pytest.mark.parametrize(
    ("name", "gate"), [network for network in NETWORKS if network[1] != "tanh"]
)


def make_configurations(name, gate):
    """Return a configuration per lane that trains without overflow, each of another optimizer."""
    fixed = {"learning_rate": 1e-3, "readout_scale": 0.5, "h_input_scale": 0.5}
    return [
        configuration(name, {"gate": gate}, lane, optimizer=KINDS[lane], **fixed)
        for lane in range(LANES)
    ]


def build_network(name, gate, lanes):
    return build(
        name,
        inputs=3,
        outputs=3,
        hidden=5,
        depth=2,
        lanes=lanes,
        options={"gate": gate},
        dtype=torch.float64,
    )


def make_trainer(name, gate, configurations, lanes=range(LANES)):
    return Trainer(
        build_network(name, gate, len(lanes)),
        tasks.make("memory", {"size": 3, "delay": 6, "held_out_size": 50}),
        Schedule(steps=STEPS, batch_size=4, divergence_threshold=1e6),
        [configurations[lane] for lane in lanes],
        network_seed=1,
        data_seed=2,
        lanes=lanes,
    )


def poison(trainer, name, value):
    """Give the exploding lane large products in its second layer, whose inputs are never zero."""
    top = trainer.network.layers[1]
    with torch.no_grad():
        getattr(top, PRODUCTS[name])[EXPLODING].fill_(value)
        top.bias[EXPLODING].fill_(1.0)  # so that a ReLU does not cut all of them to zero


def numbers(trainer, lane):
    """Return a lane's weights, last training loss and scores as one vector."""
    weights = [p.detach()[lane].flatten() for p in trainer.network.parameters()]
    scores = [trainer.evaluate(split) for split in ("validation", "evaluation")]
    losses = [s.losses[lane] for s in scores] + [s.metrics[lane] for s in scores]
    return torch.cat([*weights, torch.tensor([trainer.training_losses[lane], *losses])])


def assert_other_lanes_unchanged(trainer, name, gate):
    """Assert that the other lanes equal those that train beside a healthy lane, or without it.

    They are equal to the last bit beside a healthy lane, and up to rounding without it.
    """
    configurations = make_configurations(name, gate)
    healthy = make_trainer(name, gate, configurations)
    without_it = make_trainer(name, gate, configurations, OTHERS)
    healthy.train(STEPS)
    without_it.train(STEPS)
    assert trainer.step == STEPS
    assert healthy.infeasible_at == [None] * LANES
    for index, lane in enumerate(OTHERS):
        own_numbers = numbers(trainer, lane)
        assert own_numbers.isfinite().all()
        assert torch.equal(own_numbers, numbers(healthy, lane))
        torch.testing.assert_close(own_numbers, numbers(without_it, index), rtol=1e-10, atol=1e-10)


@overflowing
def test_a_lane_that_overflows_from_the_start_ends_at_its_first_step(name, gate):
    trainer = make_trainer(name, gate, make_configurations(name, gate))
    poison(trainer, name, 1e200)
    before = [p.detach()[EXPLODING].clone() for p in trainer.network.parameters()]
    trainer.train(STEPS)
    assert trainer.infeasible_at == [None, None, 1, None]
    assert not math.isfinite(trainer.training_losses[EXPLODING])
    for parameter, old in zip(trainer.network.parameters(), before, strict=True):
        assert torch.equal(parameter[EXPLODING], old)
    for split in ("validation", "evaluation"):
        scores = trainer.evaluate(split)
        assert math.isnan(scores.losses[EXPLODING])
        assert math.isnan(scores.metrics[EXPLODING])
    assert_other_lanes_unchanged(trainer, name, gate)


@overflowing
def test_a_lane_whose_learning_rate_is_huge_ends_after_its_first_update(name, gate):
    configurations = make_configurations(name, gate)
    configurations[EXPLODING] |= {"learning_rate": 1e100, "optimizer": "sgd"}
    trainer = make_trainer(name, gate, configurations)
    trainer.train(STEPS)
    assert trainer.infeasible_at == [None, None, 2, None]
    assert_other_lanes_unchanged(trainer, name, gate)


# The loss is first above the threshold and then not finite.
@pytest.mark.parametrize("value", [1e4, 1e200])
def test_a_lane_that_explodes_later_ends_at_that_step(value):
    name, gate = "second_order", "identity"
    trainer = make_trainer(name, gate, make_configurations(name, gate))
    trainer.train(4)
    poison(trainer, name, value)
    trainer.train(STEPS)
    assert trainer.infeasible_at == [None, None, 5, None]
    assert math.isfinite(trainer.training_losses[EXPLODING]) == (value == 1e4)
    assert_other_lanes_unchanged(trainer, name, gate)


@pytest.mark.parametrize("value", [1e200, math.inf, math.nan])
@pytest.mark.parametrize(("name", "gate"), NETWORKS)
def test_an_overflowing_lane_leaves_outputs_and_gradients_of_other_lanes_unchanged(
    name, gate, value
):
    configurations, x = make_configurations(name, gate), noise(LANES, 7, 3, 3)

    def one_pass(lanes, poisoned=False):
        net = build_network(name, gate, len(lanes))
        generators = [torch.Generator().manual_seed(lane) for lane in lanes]
        net.initialize([configurations[lane] for lane in lanes], generators)
        if poisoned:
            with torch.no_grad():
                getattr(net.layers[0], PRODUCTS[name])[EXPLODING].fill_(value)
                net.layers[0].bias[EXPLODING].fill_(value)
        outputs, states = net(x[list(lanes)])
        loss = outputs.square().sum()
        gradients = torch.autograd.grad(loss, list(net.parameters()))
        return [outputs, *(part for state in states for part in state), *gradients]

    poisoned = one_pass(range(LANES), poisoned=True)
    if gate != "tanh":
        assert not poisoned[0][EXPLODING].isfinite().all()
    healthy, without_it = one_pass(range(LANES)), one_pass(OTHERS)
    for actual, beside, alone in zip(poisoned, healthy, without_it, strict=True):
        assert alone.isfinite().all()
        assert torch.equal(actual[OTHERS], beside[OTHERS])
        torch.testing.assert_close(actual[OTHERS], alone, rtol=1e-10, atol=1e-10)
