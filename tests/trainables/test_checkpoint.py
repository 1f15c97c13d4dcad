"""A restored trainer goes on bit for bit."""

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


def trainer(name, options, network_seed=1):
    configurations = [
        configuration(name, options, i, optimizer=kind, learning_rate=1e-2)
        for i, kind in enumerate(OPTIMIZERS)
    ]
    configurations[2] |= {"learning_rate": 1e30}  # a lane that ends on the way
    net = build(name, inputs=3, outputs=3, hidden=4, depth=2, lanes=4, options=options)
    schedule = Schedule(steps=STEPS, batch_size=4, divergence_threshold=1e6)
    return Trainer(net, TASK, schedule, configurations, network_seed=network_seed, data_seed=2)


def saved(made):
    file = io.BytesIO()
    torch.save(made.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@every_architecture
@pytest.mark.parametrize("at", [0, 1, 6])
def test_a_restored_trainer_goes_on_bit_for_bit(name, options, at):
    whole = trainer(name, options)
    whole.train(at)
    state = saved(whole)
    whole.train(STEPS)
    # Restored weights, residuals and counters must come from the state: this one starts elsewhere.
    restored = trainer(name, options, network_seed=99)
    assert not torch.equal(restored.network.readout_weight, whole.network.readout_weight)
    restored.load_state_dict(state)
    assert restored.step == at
    restored.train(STEPS)
    assert restored.infeasible_at == whole.infeasible_at
    assert whole.infeasible_at[2] is not None
    expected = whole.network.state_dict()
    for key, value in restored.network.state_dict().items():
        assert torch.equal(value.nan_to_num(), expected[key].nan_to_num()), key
    pairs = [(restored.training_losses, whole.training_losses)]
    for split in ("validation", "evaluation"):
        mine, others = restored.evaluate(split), whole.evaluate(split)
        pairs += [(mine.losses, others.losses), (mine.metrics, others.metrics)]
    for mine, others in pairs:
        assert len(mine) == 4
        for x, y in zip(mine, others, strict=True):
            assert x == y or (math.isnan(x) and math.isnan(y))


def test_a_restored_trainer_shares_nothing_with_the_one_it_was_restored_from():
    source, restored = trainer("gru", {}), trainer("gru", {})
    source.train(1)
    restored.load_state_dict(source.state_dict())
    expected = saved(source)
    restored.train(STEPS)
    assert restored.infeasible_at == [None, None, 2, None]
    assert source.infeasible_at == [None] * 4
    for part in ("network", "optimizer"):
        for key, value in saved(source)[part].items():
            assert torch.equal(value, expected[part][key]), key
