"""Tests that the numbers of a lane do not depend on the lanes that train beside it."""

import pytest
import torch

from tests.support.networks import HIDDEN, PLAIN, configuration, every_network
from trainables import tasks
from trainables.architectures import build
from trainables.space import OPTIMIZERS
from trainables.training import Schedule, Trainer

STEPS = 20
TASK = tasks.make("memory", {"size": 3, "delay": 4, "held_out_size": 8})


def train(name, options, depth, configurations, lanes):
    net = build(
        name,
        inputs=TASK.inputs,
        outputs=TASK.outputs,
        hidden=HIDDEN,
        depth=depth,
        lanes=len(lanes),
        options=options,
        dtype=torch.float64,
    )
    trainer = Trainer(
        net,
        TASK,
        Schedule(steps=STEPS, batch_size=4, divergence_threshold=1e6),
        configurations,
        network_seed=5,
        data_seed=6,
        lanes=lanes,
    )
    start = [parameter.detach().clone() for parameter in net.parameters()]
    trainer.train(STEPS)
    return trainer, start


@every_network
def test_lanes_trained_together_are_the_lanes_trained_alone(name, options, depth):
    # Variants have two lanes, one per nonlinearity; architectures without options have three.
    lanes = range(3 if options == PLAIN.get(name, {}) else 2)
    configurations = [
        configuration(
            name,
            options,
            lane,
            depth,
            optimizer=OPTIMIZERS[(lane + depth) % 4],
            nonlinearity=("relu", "tanh", "relu")[lane],
            learning_rate=(1e-2, 3e-3, 2e-2)[lane],
            clip_norm=1.0,
        )
        for lane in lanes
    ]
    together, start = train(name, options, depth, configurations, lanes)
    assert together.infeasible_at == [None] * len(lanes)
    scores = together.evaluate("validation")
    for lane in lanes:
        alone, _ = train(name, options, depth, [configurations[lane]], [lane])
        moved = 0.0
        for beside, own, before in zip(
            together.network.parameters(), alone.network.parameters(), start, strict=True
        ):
            torch.testing.assert_close(beside[lane], own[0], rtol=0, atol=1e-10)
            moved = max(moved, float((own.detach()[0] - before[lane]).abs().max()))
        assert moved > 1e-3
        own_scores = alone.evaluate("validation")
        numbers = [together.training_losses[lane], scores.losses[lane], scores.metrics[lane]]
        own_numbers = [alone.training_losses[0], own_scores.losses[0], own_scores.metrics[0]]
        assert numbers == pytest.approx(own_numbers, rel=0, abs=1e-10)


def test_lanes_of_one_configuration_differ_by_their_index():
    configurations = [configuration("gru", {}, 0, learning_rate=1e-2)] * 2
    trainer, start = train("gru", {}, 1, configurations, [0, 1])
    weight = start[0]
    assert not torch.equal(weight[0], weight[1])
    assert trainer.training_losses[0] != trainer.training_losses[1]
