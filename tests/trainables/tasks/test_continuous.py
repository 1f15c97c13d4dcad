"""Works out the points, weights and weighted errors of random functions in full."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from trainables import data
from trainables.registry import OptionError
from trainables.tasks import make

SMALL = {"samples": 300, "size": 6, "length": 4, "tau": 20.0}
LARGE = {"samples": 20_000, "size": 10, "length": 1}


def function(**options):
    return make("random_continuous_function", {**SMALL, **options})


def weights(samples, tau):
    """Return all beta_i, computed one number at a time."""
    raw = [1 / (i + tau) for i in range(1, samples + 1)]
    total = math.fsum(raw)
    return np.array([weight / total for weight in raw])


def rows(task, targets):
    """Return the indices of samples, found by their targets, of which no two are the same."""
    place = {target: row for row, target in enumerate(task.points["targets"].tolist())}
    assert len(place) == len(task.points["targets"])
    return np.array([place[target] for target in targets.flatten().tolist()])


def test_the_default_sizes_are_those_of_the_paper():
    task = make("random_continuous_function")
    assert (task.inputs, task.outputs, task.length, task.first_output) == (50, 1, 50, 49)
    options = task.Options()
    assert (options.samples, options.tau) == (1_000_000, 5000.0)


def test_inputs_have_norm_one_and_a_uniform_direction():
    inputs = function(**LARGE).points["inputs"]
    assert inputs.shape == (20_000, 10)
    np.testing.assert_allclose(np.linalg.norm(inputs, axis=1), 1, atol=1e-6)
    # 4.5 standard errors of the mean of numbers of variance 1/10
    error = 4.5 / np.sqrt(20_000 * 10)
    assert np.abs(inputs.mean(0)).max() < error
    # The first of ten coordinates, on the sphere: (1 + x) / 2 is Beta(4.5, 4.5).
    assert stats.kstest((1 + inputs[:, 0]) / 2, stats.beta(4.5, 4.5).cdf).pvalue > 1e-3


def test_targets_are_standard_normal():
    targets = function(**LARGE).points["targets"]
    assert targets.shape == (20_000,)
    assert stats.kstest(targets, stats.norm.cdf).pvalue > 1e-3


def test_a_sample_shows_its_point_at_every_step_and_has_its_target():
    task = function()
    batch = task.batch(seed=0, lanes=[0, 1], step=2, size=50)
    for lane in range(2):
        drawn = rows(task, batch.targets[lane])
        for step in range(4):
            assert np.array_equal(batch.inputs[lane, step], task.points["inputs"][drawn])
    assert batch.targets.shape == (2, 50, 1, 1)


def test_single_draws_have_the_papers_probabilities():
    task = function()
    generator = np.random.default_rng(0)
    drawn = torch.cat([task.samples("training", generator, 1)[1] for _ in range(6000)])
    counts = np.bincount(rows(task, drawn), minlength=300).reshape(30, 10).sum(1)
    expected = weights(300, 20.0).reshape(30, 10).sum(1) * 6000
    assert stats.chisquare(counts, expected).pvalue > 1e-3


@pytest.mark.parametrize("tau", [1.0, 20.0, 5000.0])
def test_a_batch_has_every_sample_in_proportion_to_its_weight(tau):
    task = function(tau=tau)
    size = 20_000
    targets = task.batch(seed=0, lanes=[0], step=0, size=size).targets
    counts = np.bincount(rows(task, targets), minlength=300)
    # One draw from each of equal parts: no sample is off by more than the two parts at its ends.
    assert np.abs(counts - size * weights(300, tau)).max() < 2


def test_the_held_out_error_estimates_the_weighted_error_of_all_samples():
    task = function(held_out_size=4000)
    beta, targets = weights(300, 20.0), task.points["targets"].astype(np.float64)
    # Answers that are good on the samples that weigh most.
    answers = targets * np.where(np.arange(300) < 60, 0.9, 0.2) + task.points["inputs"][:, 0]
    errors = (answers - targets) ** 2
    full = (beta * errors).sum()
    deviation = np.sqrt((beta * (errors - full) ** 2).sum())
    batch = task.held_out("evaluation", seed=5)
    outputs = torch.from_numpy(answers[rows(task, batch.targets)])[None, None, :, None]
    losses = task.losses(outputs, batch.targets.double())
    assert losses.shape == (1, 4000)
    assert losses.mean().item() == pytest.approx(full, abs=4.5 * deviation / np.sqrt(4000))
    # The test would notice another weighting: the unweighted error is far from it.
    assert abs(errors.mean() - full) > 4.5 * deviation / np.sqrt(4000)
    metric = task.metric(task.scores(outputs, batch.targets.double()).mean(1))
    assert metric.item() == pytest.approx(math.sqrt(losses.mean()))


def test_every_function_number_gives_another_function():
    first, again, other = (function(function=number).points for number in (0, 0, 1))
    assert np.array_equal(first["inputs"], again["inputs"])
    assert np.array_equal(first["targets"], again["targets"])
    for name in ("inputs", "targets"):
        assert not np.isin(first[name], other[name]).any()


def test_length_and_tau_do_not_change_the_function():
    default, other = function(), function(length=9, tau=3.0)
    assert np.array_equal(default.points["targets"], other.points["targets"])


def test_a_function_is_drawn_once_per_host_and_memory_mapped(tmp_path, monkeypatch):
    monkeypatch.setenv("SOUNDINGS_CACHE", str(tmp_path))
    drawn_names = []
    generated = data.generated

    def spy(name, make_points):
        return generated(name, lambda: drawn_names.append(name) or make_points())

    monkeypatch.setattr(data, "generated", spy)
    first, second = function(), function()
    first.prepare()
    assert len(drawn_names) == 1
    second.prepare()
    assert len(drawn_names) == 1
    for points in (first.points, second.points):
        assert all(isinstance(array, np.memmap) for array in points.values())
        with pytest.raises(ValueError, match="read-only"):
            points["targets"][0] = 0
    assert any(tmp_path.rglob("*.npy"))
    function(function=1).prepare()
    assert len(drawn_names) == 2


def test_the_points_of_a_function_are_not_drawn_before_they_are_needed(tmp_path, monkeypatch):
    monkeypatch.setenv("SOUNDINGS_CACHE", str(tmp_path))
    task = function()
    assert (task.inputs, task.held_out_size) == (6, 4000)
    assert task.baseline().loss > 0
    assert task.minimal_performance > 0
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("size", [2, 7, 10_000])
def test_the_baseline_is_the_weighted_variance_of_the_values_that_are_trained_on(size):
    task = function(samples=300, size=size, tau=3.0)
    values = np.asarray(task.points["targets"], dtype=np.float64)
    weights = 1 / (np.arange(1, 301) + 3.0)
    mean = np.average(values, weights=weights)
    variance = np.average((values - mean) ** 2, weights=weights)
    assert task.baseline().loss == pytest.approx(variance, rel=1e-9)
    assert abs(mean) > 0.01  # answering zero would be worse
    assert task.minimal_performance == pytest.approx(0.95 * task.baseline().metric)


@settings(max_examples=15, deadline=None)
@given(
    samples=st.sampled_from([2, 3, 50]),
    size=st.integers(2, 5),
    length=st.integers(1, 5),
    batch=st.integers(1, 40),
)
def test_batches_have_the_sizes_of_the_options(samples, size, length, batch):
    task = function(samples=samples, size=size, length=length)
    drawn = task.batch(seed=0, lanes=[0], step=0, size=batch)
    assert drawn.inputs.shape == (1, length, batch, size)
    assert drawn.targets.shape == (1, batch, 1, 1)
    assert (task.inputs, task.length, task.first_output) == (size, length, length - 1)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"samples": 1}, "option 'samples' of random_continuous_function is 1, but must be 2 or"),
        ({"samples": 10**9}, "'samples' .* is 1000000000, but must be 100,000,000 or less"),
        ({"size": 1}, "'size' .* is 1, but must be 2 or more"),
        ({"tau": 0.0}, r"'tau' .* is 0\.0, but must be 1e-09 or more"),
        ({"function": -1}, "'function' .* is -1, but must be 0 or more"),
        ({"held_out_size": 0}, "'held_out_size' .* is 0, but must be 1 or more"),
    ],
)
def test_impossible_options_are_refused(options, sentence):
    with pytest.raises(OptionError, match=sentence):
        function(**options)
