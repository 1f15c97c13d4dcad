"""Tests the evaluation of several lanes on the held-out sets."""

import math

import numpy as np
import pytest
import torch

from tests.support.trainers import STEPS, assert_lanes_equal, steady
from tests.support.trainers import trainer as make_trainer
from trainables import tasks, training


def test_an_evaluation_beyond_the_threshold_ends_a_lane():
    trainer = make_trainer(steady(2))
    trainer.train(3)
    with torch.no_grad():
        trainer.network.readout_bias[0] = 1e4
    scores = trainer.evaluate("validation")
    assert trainer.infeasible_at == [3, None]
    assert math.isnan(scores.losses[0])
    assert scores.losses[1] < 1e6


def test_evaluation_in_chunks_gives_the_scores_of_evaluation_at_once(monkeypatch):
    trainer = make_trainer(steady(2), dtype=torch.float64)
    trainer.train(3)
    at_once = trainer.evaluate("validation")
    for chunk in (1, 7, 49):
        monkeypatch.setattr(training, "EVALUATION_CHUNK", chunk)
        in_chunks = trainer.evaluate("validation")
        assert in_chunks.losses == pytest.approx(at_once.losses, rel=1e-12)
        assert in_chunks.metrics == pytest.approx(at_once.metrics, rel=1e-12)


def test_an_evaluation_is_the_mean_over_the_held_out_set():
    trainer = make_trainer(steady(2), dtype=torch.float64)
    batch = trainer.task.held_out("evaluation", seed=2)
    inputs = batch.inputs.double().expand(2, -1, -1, -1)
    with torch.no_grad():
        outputs, _ = trainer.network(inputs)
    squares = (outputs[:, -1] - batch.targets.squeeze(2)).square()
    scores = trainer.evaluate("evaluation")
    assert scores.losses == pytest.approx(squares.mean((1, 2)).tolist(), rel=1e-12)
    assert scores.metrics == pytest.approx(squares.mean((1, 2)).sqrt().tolist(), rel=1e-12)
    assert trainer.evaluate("validation").losses != scores.losses


def test_evaluation_changes_no_weight():
    evaluated, not_evaluated = make_trainer(steady(2)), make_trainer(steady(2))
    for step in range(1, STEPS + 1):
        evaluated.train(step)
        evaluated.evaluate("validation")
    not_evaluated.train(STEPS)
    assert_lanes_equal(evaluated, not_evaluated, [0, 1])


def test_a_task_that_memorizes_is_evaluated_on_all_of_its_samples():
    samples = 2 * training.EVALUATION_CHUNK + 37
    configuration = {"samples_per_parameter": samples / 100, "presentation": "first"}
    task = tasks.make("perceptron_capacity", {"size": 6, "length": 2})
    trainer = make_trainer(steady(3), task=task.configured(configuration, 100), dtype=torch.float64)
    trainer.train(STEPS)
    all_samples = trainer.task.held_out("validation", seed=2)
    assert all_samples.inputs.shape[2] == samples
    inputs = all_samples.inputs.double().expand(3, -1, -1, -1)
    with torch.no_grad():
        logits = trainer.network(inputs)[0][:, -1, :, 0].numpy()
    labels = all_samples.targets.numpy()
    accuracy = ((logits > 0) == labels).mean(1)
    assert ((accuracy > 0) & (accuracy < 1)).all()
    bits = samples * (1 + accuracy * np.log2(accuracy) + (1 - accuracy) * np.log2(1 - accuracy))
    losses = np.logaddexp(0, np.where(labels == 1, -logits, logits)).mean(1)
    for split in ("validation", "evaluation"):
        scores = trainer.evaluate(split)
        assert scores.losses == pytest.approx(losses.tolist(), rel=1e-12)
        assert scores.metrics == pytest.approx(bits.tolist(), rel=1e-3, abs=1e-3)
