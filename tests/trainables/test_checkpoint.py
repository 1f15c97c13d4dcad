"""Tests that a trainer that is restored from its state continues bit for bit."""

import io
import math

import pytest
import torch

from tests.support.networks import configuration, every_architecture
from trainables import tasks
from trainables.architectures import build
from trainables.space import OPTIMIZERS
from trainables.training import Schedule, Trainer

STEPS = 14
TASK = tasks.make("memory", {"size": 3, "delay": 4, "held_out_size": 20})


def make_trainer(name, options, network_seed=1):
    configurations = [
        configuration(name, options, i, optimizer=kind, learning_rate=1e-2)
        for i, kind in enumerate(OPTIMIZERS)
    ]
    configurations[2] |= {"learning_rate": 1e30}  # this lane becomes infeasible during training
    net = build(name, inputs=3, outputs=3, hidden=4, depth=2, lanes=4, options=options)
    schedule = Schedule(steps=STEPS, batch_size=4, divergence_threshold=1e6)
    return Trainer(net, TASK, schedule, configurations, network_seed=network_seed, data_seed=2)


def save_and_load(trainer):
    file = io.BytesIO()
    torch.save(trainer.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@every_architecture
@pytest.mark.parametrize("at", [0, 1, 6])
def test_a_restored_trainer_goes_on_bit_for_bit(name, options, at):
    uninterrupted = make_trainer(name, options)
    uninterrupted.train(at)
    state = save_and_load(uninterrupted)
    uninterrupted.train(STEPS)
    # Restored weights, residuals and counters must come from the state: this one starts elsewhere.
    restored = make_trainer(name, options, network_seed=99)
    assert not torch.equal(restored.network.readout_weight, uninterrupted.network.readout_weight)
    restored.load_state_dict(state)
    assert restored.step == at
    restored.train(STEPS)
    assert restored.infeasible_at == uninterrupted.infeasible_at
    assert uninterrupted.infeasible_at[2] is not None
    expected = uninterrupted.network.state_dict()
    for key, value in restored.network.state_dict().items():
        assert torch.equal(value.nan_to_num(), expected[key].nan_to_num()), key
    pairs = [(restored.training_losses, uninterrupted.training_losses)]
    for split in ("validation", "evaluation"):
        actual, reference = restored.evaluate(split), uninterrupted.evaluate(split)
        pairs += [(actual.losses, reference.losses), (actual.metrics, reference.metrics)]
    for actual, reference in pairs:
        assert len(actual) == 4
        for x, y in zip(actual, reference, strict=True):
            assert x == y or (math.isnan(x) and math.isnan(y))


def test_a_restored_trainer_shares_nothing_with_the_one_it_was_restored_from():
    source, restored = make_trainer("gru", {}), make_trainer("gru", {})
    source.train(1)
    restored.load_state_dict(source.state_dict())
    expected = save_and_load(source)
    restored.train(STEPS)
    assert restored.infeasible_at == [None, None, 2, None]
    assert source.infeasible_at == [None] * 4
    for part in ("network", "optimizer"):
        for key, value in save_and_load(source)[part].items():
            assert torch.equal(value, expected[part][key]), key
