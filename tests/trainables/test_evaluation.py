"""Evaluation of several lanes on the held-out sets."""

import math

import numpy as np
import pytest
import torch

from tests.support.trainers import STEPS, assert_lanes_equal, steady, trainer
from trainables import tasks, training


def test_an_evaluation_beyond_the_threshold_ends_a_lane():
    made = trainer(steady(2))
    made.train(3)
    with torch.no_grad():
        made.network.readout_bias[0] = 1e4
    scores = made.evaluate("validation")
    assert made.infeasible_at == [3, None]
    assert math.isnan(scores.losses[0])
    assert scores.losses[1] < 1e6


def test_evaluation_in_chunks_is_evaluation_at_once(monkeypatch):
    made = trainer(steady(2), dtype=torch.float64)
    made.train(3)
    whole = made.evaluate("validation")
    for chunk in (1, 7, 49):
        monkeypatch.setattr(training, "EVALUATION_CHUNK", chunk)
        parts = made.evaluate("validation")
        assert parts.losses == pytest.approx(whole.losses, rel=1e-12)
        assert parts.metrics == pytest.approx(whole.metrics, rel=1e-12)


def test_an_evaluation_is_the_mean_over_the_held_out_set():
    made = trainer(steady(2), dtype=torch.float64)
    batch = made.task.held_out("evaluation", seed=2)
    inputs = batch.inputs.double().expand(2, -1, -1, -1)
    with torch.no_grad():
        outputs, _ = made.network(inputs)
    squares = (outputs[:, -1] - batch.targets.squeeze(2)).square()
    scores = made.evaluate("evaluation")
    assert scores.losses == pytest.approx(squares.mean((1, 2)).tolist(), rel=1e-12)
    assert scores.metrics == pytest.approx(squares.mean((1, 2)).sqrt().tolist(), rel=1e-12)
    assert made.evaluate("validation").losses != scores.losses


def test_evaluation_changes_no_weight():
    one, other = trainer(steady(2)), trainer(steady(2))
    for step in range(1, STEPS + 1):
        one.train(step)
        one.evaluate("validation")
    other.train(STEPS)
    assert_lanes_equal(one, other, [0, 1])


def test_a_task_that_memorizes_is_judged_on_all_of_its_samples():
    samples = 2 * training.EVALUATION_CHUNK + 37
    configuration = {"samples_per_parameter": samples / 100, "presentation": "first"}
    task = tasks.make("perceptron_capacity", {"size": 6, "length": 2})
    made = trainer(steady(3), task=task.configured(configuration, 100), dtype=torch.float64)
    made.train(STEPS)
    everything = made.task.held_out("validation", seed=2)
    assert everything.inputs.shape[2] == samples
    inputs = everything.inputs.double().expand(3, -1, -1, -1)
    with torch.no_grad():
        logits = made.network(inputs)[0][:, -1, :, 0].numpy()
    labels = everything.targets.numpy()
    right = ((logits > 0) == labels).mean(1)
    assert ((right > 0) & (right < 1)).all()
    bits = samples * (1 + right * np.log2(right) + (1 - right) * np.log2(1 - right))
    losses = np.logaddexp(0, np.where(labels == 1, -logits, logits)).mean(1)
    for split in ("validation", "evaluation"):
        scores = made.evaluate(split)
        assert scores.losses == pytest.approx(losses.tolist(), rel=1e-12)
        assert scores.metrics == pytest.approx(bits.tolist(), rel=1e-3, abs=1e-3)
