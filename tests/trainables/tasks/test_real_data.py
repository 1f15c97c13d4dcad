"""Reads the real files and trains on them where the tests are started with SOUNDINGS_DATA."""

import math

import pytest
import torch

from tests.support.task_files import SYMBOLS
from trainables import data
from trainables.architectures import build, search_space
from trainables.space import draw
from trainables.tasks import make
from trainables.training import Schedule, Trainer

pytestmark = pytest.mark.usefixtures("real_files")


def train(task, steps):
    """Return a trainer of two small RNNs after ``steps`` steps, and their initial weights."""
    net = build("rnn", inputs=task.inputs, outputs=task.outputs, hidden=6, lanes=2)
    configuration = {
        **draw(search_space("rnn"), "tests"),
        "optimizer": "adam",
        "learning_rate": 1e-2,
        "nonlinearity": "tanh",
    }
    trainer = Trainer(
        net,
        task,
        Schedule(steps=steps, batch_size=8, divergence_threshold=1e4),
        [configuration] * 2,
        network_seed=0,
        data_seed=0,
    )
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    trainer.train(steps)
    return trainer, before


def assert_trained(trainer, before):
    assert trainer.infeasible_at == [None, None]
    assert all(map(math.isfinite, trainer.training_losses))
    for name, parameter in trainer.network.named_parameters():
        assert parameter.isfinite().all()
        # Over hundreds of steps nothing is left of the initial state.
        changed = (parameter != before[name]).flatten(1).any(1).all()
        assert changed or name.endswith("initial_state"), name
    for split in ("validation", "evaluation"):
        scores = trainer.evaluate(split)
        assert all(map(math.isfinite, scores.losses + scores.metrics))


def test_mnist_begins_with_a_five_and_is_trained_on():
    images = data.mnist()
    assert (len(images.training_images), len(images.evaluation_images)) == (60_000, 10_000)
    assert images.training_labels[0] == 5
    task = make("smnist", {"held_out_size": 20})
    assert task.held_out("evaluation", seed=0).targets[0, 0].tolist() == [7]
    shades = task.batch(seed=0, lanes=[0], step=0, size=500).inputs
    assert shades.mean().item() == pytest.approx(0, abs=0.05)
    assert shades.std().item() == pytest.approx(1, abs=0.05)
    assert_trained(*train(task, steps=3))


def test_shakespeare_begins_with_a_citizen_and_is_trained_on():
    codes = data.shakespeare()
    assert len(codes) == 1_115_394
    assert "".join(SYMBOLS[code] for code in codes[:14]) == "First Citizen:"
    task = make("shakespeare", {"held_out_size": 20})
    trainer, before = train(task, steps=30)
    assert_trained(trainer, before)
    (bits, _) = trainer.evaluate("validation").metrics
    assert 2 < bits < math.log2(65)  # something is learnt, and not by looking ahead
    assert torch.equal(
        task.held_out("validation", seed=0).inputs, task.held_out("validation", seed=1).inputs
    )
