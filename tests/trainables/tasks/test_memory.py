"""Tests the memory task: it shows a vector at the first step, then zeros, and asks for it again."""

import numpy as np
import pytest
import torch
from scipy import stats

from trainables.tasks import make


def test_the_default_task_is_that_of_the_paper():
    task = make("memory")
    assert (task.inputs, task.outputs) == (64, 64)
    assert (task.length, task.first_output) == (13, 12)


@pytest.mark.parametrize("delay", [1, 5])
def test_the_input_is_shown_once_and_is_the_target(delay):
    task = make("memory", {"size": 4, "delay": delay})
    batch = task.batch(seed=0, lanes=[0, 1], step=0, size=6)
    assert batch.inputs.shape == (2, delay + 1, 6, 4)
    assert torch.equal(batch.inputs[:, 0], batch.targets.squeeze(2))
    assert batch.targets.all()
    assert not batch.inputs[:, 1:].any()


def test_numbers_are_uniform_with_variance_one():
    values = make("memory", {"size": 10}).batch(seed=0, lanes=[0], step=0, size=1000).targets
    bound = 3**0.5
    assert stats.kstest(values.flatten(), stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-3
    assert values.var().item() == pytest.approx(1, abs=0.03)


def test_the_loss_is_the_mean_squared_error_and_the_metric_its_root():
    task = make("memory", {"size": 4, "delay": 3})
    rng = np.random.default_rng(0)
    outputs, targets = rng.normal(size=(2, 1, 5, 4)), rng.normal(size=(2, 5, 1, 4))
    squares = (outputs[:, 0] - targets[:, :, 0]) ** 2
    args = torch.from_numpy(outputs), torch.from_numpy(targets)
    np.testing.assert_allclose(task.losses(*args), squares.mean(axis=2), rtol=1e-12)
    metric = task.metric(task.scores(*args).mean(1))
    np.testing.assert_allclose(metric, np.sqrt(squares.mean(axis=(1, 2))), rtol=1e-12)
