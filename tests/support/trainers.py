"""Small trainers whose lanes train without trouble."""

import torch

from tests.support.networks import configuration
from trainables import tasks
from trainables.architectures import build
from trainables.training import Schedule, Trainer

STEPS = 12
TASK = {"size": 3, "delay": 4, "held_out_size": 50}


def trainer(
    configurations,
    *,
    threshold=1e6,
    dtype=torch.float32,
    options=TASK,
    task=None,
    steps=STEPS,
    batch_size=4,
    shared_batches=False,
    **which,
):
    made = tasks.make("memory", options) if task is None else task
    net = build(
        "gru",
        inputs=made.inputs,
        outputs=made.outputs,
        hidden=5,
        lanes=len(configurations),
        dtype=dtype,
    )
    schedule = Schedule(
        steps=steps,
        batch_size=batch_size,
        divergence_threshold=threshold,
        shared_batches=shared_batches,
    )
    return Trainer(net, made, schedule, configurations, network_seed=1, data_seed=2, **which)


def steady(count, **changed):
    """Configurations that train without trouble, each of another optimizer."""
    kinds = ("adam", "sgd", "momentum", "rmsprop")
    fixed = {"learning_rate": 1e-2, "nonlinearity": "tanh"} | changed
    return [configuration("gru", {}, i, optimizer=kinds[i], **fixed) for i in range(count)]


def begun(trial):
    """A trial whose network is there already, for a test to reach into."""
    trial._begin()
    trial._begun = True
    return trial


def weights(made, lane):
    return torch.cat([p.detach()[lane].flatten() for p in made.network.parameters()])


def spy_on_batches(monkeypatch, made):
    """A list that gets the place of every batch that ``made`` asks for."""
    asked = []
    batch = made.task.batch

    def spy(**place):
        asked.append({**place, "lanes": list(place["lanes"])})
        return batch(**place)

    monkeypatch.setattr(made.task, "batch", spy)
    return asked


def assert_lanes_equal(one, other, lanes):
    for lane in lanes:
        assert torch.equal(weights(one, lane), weights(other, lane))
        assert one.training_losses[lane] == other.training_losses[lane]
        for split in ("validation", "evaluation"):
            mine, others = one.evaluate(split), other.evaluate(split)
            assert mine.losses[lane] == others.losses[lane]
            assert mine.metrics[lane] == others.metrics[lane]
