"""Second-order networks that overflow: that lane ends, with its step, and no other one notices."""

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


def configurations_of(name, gate):
    """A configuration a lane that trains without trouble, each of another optimizer."""
    fixed = {"learning_rate": 1e-3, "readout_scale": 0.5, "h_input_scale": 0.5}
    return [
        configuration(name, {"gate": gate}, lane, optimizer=KINDS[lane], **fixed)
        for lane in range(LANES)
    ]


def built(name, gate, lanes):
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


def trainer(name, gate, configurations, lanes=range(LANES)):
    return Trainer(
        built(name, gate, len(lanes)),
        tasks.make("memory", {"size": 3, "delay": 6, "held_out_size": 50}),
        Schedule(steps=STEPS, batch_size=4, divergence_threshold=1e6),
        [configurations[lane] for lane in lanes],
        network_seed=1,
        data_seed=2,
        lanes=lanes,
    )


def poison(made, name, value):
    """Give the exploding lane large products in its second layer, whose inputs are never zero."""
    top = made.network.layers[1]
    with torch.no_grad():
        getattr(top, PRODUCTS[name])[EXPLODING].fill_(value)
        top.bias[EXPLODING].fill_(1.0)  # a ReLU lets some of them through


def numbers(made, lane):
    """All that training made of a lane."""
    weights = [p.detach()[lane].flatten() for p in made.network.parameters()]
    scores = [made.evaluate(split) for split in ("validation", "evaluation")]
    losses = [s.losses[lane] for s in scores] + [s.metrics[lane] for s in scores]
    return torch.cat([*weights, torch.tensor([made.training_losses[lane], *losses])])


def assert_no_other_lane_noticed(made, name, gate):
    """Bit for bit beside a healthy lane in its place, and to rounding without any."""
    configurations = configurations_of(name, gate)
    healthy = trainer(name, gate, configurations)
    without = trainer(name, gate, configurations, OTHERS)
    healthy.train(STEPS)
    without.train(STEPS)
    assert made.step == STEPS
    assert healthy.infeasible_at == [None] * LANES
    for index, lane in enumerate(OTHERS):
        mine = numbers(made, lane)
        assert mine.isfinite().all()
        assert torch.equal(mine, numbers(healthy, lane))
        torch.testing.assert_close(mine, numbers(without, index), rtol=1e-10, atol=1e-10)


@overflowing
def test_a_lane_that_overflows_from_the_start_ends_at_its_first_step(name, gate):
    made = trainer(name, gate, configurations_of(name, gate))
    poison(made, name, 1e200)
    before = [p.detach()[EXPLODING].clone() for p in made.network.parameters()]
    made.train(STEPS)
    assert made.infeasible_at == [None, None, 1, None]
    assert not math.isfinite(made.training_losses[EXPLODING])
    for parameter, old in zip(made.network.parameters(), before, strict=True):
        assert torch.equal(parameter[EXPLODING], old)
    for split in ("validation", "evaluation"):
        scores = made.evaluate(split)
        assert math.isnan(scores.losses[EXPLODING])
        assert math.isnan(scores.metrics[EXPLODING])
    assert_no_other_lane_noticed(made, name, gate)


@overflowing
def test_a_lane_whose_learning_rate_is_huge_ends_after_its_first_update(name, gate):
    configurations = configurations_of(name, gate)
    configurations[EXPLODING] |= {"learning_rate": 1e100, "optimizer": "sgd"}
    made = trainer(name, gate, configurations)
    made.train(STEPS)
    assert made.infeasible_at == [None, None, 2, None]
    assert_no_other_lane_noticed(made, name, gate)


@pytest.mark.parametrize("value", [1e4, 1e200])  # above the threshold, and not finite
def test_a_lane_that_explodes_later_ends_at_that_step(value):
    name, gate = "second_order", "identity"
    made = trainer(name, gate, configurations_of(name, gate))
    made.train(4)
    poison(made, name, value)
    made.train(STEPS)
    assert made.infeasible_at == [None, None, 5, None]
    assert math.isfinite(made.training_losses[EXPLODING]) == (value == 1e4)
    assert_no_other_lane_noticed(made, name, gate)


@pytest.mark.parametrize("value", [1e200, math.inf, math.nan])
@pytest.mark.parametrize(("name", "gate"), NETWORKS)
def test_one_pass_that_overflows_leaves_outputs_and_gradients_of_the_others(name, gate, value):
    configurations, x = configurations_of(name, gate), noise(LANES, 7, 3, 3)

    def one_pass(lanes, poisoned=False):
        net = built(name, gate, len(lanes))
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
    healthy, without = one_pass(range(LANES)), one_pass(OTHERS)
    for mine, beside, alone in zip(poisoned, healthy, without, strict=True):
        assert alone.isfinite().all()
        assert torch.equal(mine[OTHERS], beside[OTHERS])
        torch.testing.assert_close(mine[OTHERS], alone, rtol=1e-10, atol=1e-10)
