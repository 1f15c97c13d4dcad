"""Compares targets of the adding problem with a sum in plain Python."""

import numpy as np
import pytest
import torch
from scipy import stats

from trainables.registry import OptionError
from trainables.tasks import make


@pytest.mark.parametrize("length", [2, 7, 100])
def test_the_target_is_the_sum_of_two_cued_numbers_one_in_each_half(length):
    task = make("adding", {"length": length})
    batch = task.batch(seed=0, lanes=[0], step=0, size=50)
    for sample in range(50):
        rows = batch.inputs[0, :, sample].tolist()
        cued = [step for step, (_, cue) in enumerate(rows) if cue == 1.0]
        assert {cue for _, cue in rows} <= {0.0, 1.0}
        assert len(cued) == 2
        assert cued[0] < length // 2 <= cued[1]
        total = sum(rows[step][0] for step in cued)
        assert batch.targets[0, sample, 0, 0].item() == pytest.approx(total, abs=1e-6)


def test_numbers_and_cued_steps_are_uniform():
    batch = make("adding", {"length": 20}).batch(seed=1, lanes=[0], step=0, size=2000)
    numbers, cues = batch.inputs[0].unbind(-1)
    assert stats.kstest(numbers.flatten()[:5000], stats.uniform.cdf).pvalue > 1e-3
    counts = cues.sum(1).numpy()
    assert stats.chisquare(counts[:10]).pvalue > 1e-3
    assert stats.chisquare(counts[10:]).pvalue > 1e-3


def test_the_baseline_is_the_score_of_always_answering_one():
    baseline = make("adding").baseline()
    assert baseline.metric == pytest.approx(0.408, abs=5e-4)
    targets = make("adding").held_out("evaluation", seed=0).targets.numpy()
    assert np.sqrt(((targets - 1) ** 2).mean()) == pytest.approx(baseline.metric, rel=0.05)


def test_a_length_of_one_step_is_refused():
    with pytest.raises(OptionError, match="option 'length' of adding is 1, but must be 2 or more"):
        make("adding", {"length": 1})


def test_the_root_loss_is_the_root_of_the_batchs_mean_squared_error():
    squared, root = make("adding"), make("adding", {"loss": "root"})
    rng = np.random.default_rng(0)
    outputs, targets = rng.normal(size=(3, 1, 8, 1)), rng.normal(size=(1, 8, 1, 1))
    errors = outputs[:, 0, :, 0] - targets[:, :, 0, 0]
    args = torch.from_numpy(outputs), torch.from_numpy(targets)
    expected = np.sqrt((errors**2).mean(1))
    np.testing.assert_allclose(root.losses(*args).mean(1), expected, rtol=1e-12)
    np.testing.assert_allclose(root.metric(root.scores(*args).mean(1)), expected, rtol=1e-12)
    np.testing.assert_allclose(squared.losses(*args), errors**2, rtol=1e-12)


def test_the_gradient_of_the_root_loss_is_that_of_the_squared_error_over_twice_the_root():
    outputs, targets = torch.randn(2, 1, 8, 1).double(), torch.randn(1, 8, 1, 1).double()
    outputs.requires_grad_()
    gradients, losses = [], []
    for loss in ("squared", "root"):
        losses.append(make("adding", {"loss": loss}).losses(outputs, targets).mean(1))
        gradients.append(torch.autograd.grad(losses[-1].sum(), outputs)[0])
    expected = gradients[0] / (2 * losses[0].detach().sqrt()).view(-1, 1, 1, 1)
    torch.testing.assert_close(gradients[1], expected, rtol=1e-12, atol=0)


def test_the_root_loss_of_perfect_answers_has_a_gradient_of_zero():
    targets = torch.rand(1, 8, 1, 1)
    outputs = targets.transpose(1, 2).clone().requires_grad_()
    losses = make("adding", {"loss": "root"}).losses(outputs, targets)
    assert torch.autograd.grad(losses.mean(1).sum(), outputs)[0].abs().max() == 0


def test_the_baseline_of_the_root_loss_is_that_of_its_metric():
    baseline = make("adding", {"loss": "root"}).baseline()
    assert baseline.loss == baseline.metric == make("adding").baseline().metric
