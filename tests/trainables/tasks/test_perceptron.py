"""Tests the samples of perceptron capacity, and its bits (equation 22) by counted tables."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.registry import OptionError
from trainables.tasks import make

SIGMAS = 4.5


def configured(ratio, parameters, presentation="every", **options):
    configuration = {"samples_per_parameter": ratio, "presentation": presentation}
    return make("perceptron_capacity", options).configured(configuration, parameters)


def test_the_default_sizes_are_those_of_the_paper():
    task = make("perceptron_capacity")
    assert (task.inputs, task.outputs, task.length, task.first_output) == (32, 1, 5, 4)
    assert (task.protocol.steps, task.protocol.batch_size) == (50_000, 512)
    assert task.protocol.objective == "metric"
    assert task.higher_is_better


@settings(max_examples=100, deadline=None)
@given(ratio=st.floats(0.1, 10.0), parameters=st.integers(1, 10**6))
def test_the_number_of_samples_is_the_ratio_times_the_parameters_and_at_least_one(
    ratio, parameters
):
    task = configured(ratio, parameters)
    assert task.held_out_size == task.training_size == max(1, round(ratio * parameters))
    assert task.minimal_performance == task.held_out_size / 2
    assert task.further(0.0, parameters)["samples"] == task.held_out_size


def test_inputs_are_fair_bits_and_labels_balanced():
    count = 20_000
    batch = configured(10.0, count // 10).held_out("evaluation", seed=0)
    bits, labels = batch.inputs[0, 0].double(), batch.targets[0].double()
    assert set(bits.unique().tolist()) == set(labels.unique().tolist()) == {0.0, 1.0}
    error = SIGMAS * 0.5 / math.sqrt(count)
    assert (bits.mean(0) - 0.5).abs().max() < error
    assert abs(labels.mean() - 0.5) < error
    # A bit is correlated neither with another bit nor with the label.
    signs = 2 * torch.cat([bits, labels[:, None]], dim=1) - 1
    correlations = signs.T @ signs / count - torch.eye(33, dtype=torch.float64)
    assert correlations.abs().max() < SIGMAS / math.sqrt(count)


@pytest.mark.parametrize("length", [1, 4])
def test_the_input_is_shown_first_or_at_every_step(length):
    first, every = (
        configured(0.5, 100, presentation, length=length).held_out("evaluation", seed=0)
        for presentation in ("first", "every")
    )
    assert torch.equal(first.targets, every.targets)
    assert every.inputs.shape == first.inputs.shape == (1, length, 50, 32)
    assert every.inputs[0, 0].any()
    for step in range(length):
        assert torch.equal(every.inputs[:, step], first.inputs[:, 0])
        assert step == 0 or not first.inputs[:, step].any()


@pytest.mark.parametrize("presentation", ["first", "every"])
def test_every_lane_and_every_split_has_the_same_samples(presentation):
    task = configured(0.3, 100, presentation, length=2)

    def pairs(batch):
        return {
            (batch.inputs[lane, :, row].numpy().tobytes(), batch.targets[lane, row].item())
            for lane in range(len(batch.targets))
            for row in range(batch.targets.shape[1])
        }

    everything = pairs(task.held_out("validation", seed=1))
    assert len(everything) == 30
    assert pairs(task.held_out("evaluation", seed=1)) == everything
    for lane in (0, 1, 7):
        batches = [task.batch(seed=1, lanes=[lane], step=step, size=40) for step in range(10)]
        assert set().union(*map(pairs, batches)) == everything
    assert pairs(task.held_out("validation", seed=2)).isdisjoint(everything)


def mutual_information(labels, answers):
    """Return the mutual information of two arrays of zeros and ones, in bits."""
    table = np.zeros((2, 2))
    np.add.at(table, (labels, answers), 1 / len(labels))
    product = table.sum(1, keepdims=True) * table.sum(0, keepdims=True)
    nonzero = table > 0
    return (table[nonzero] * np.log2(table[nonzero] / product[nonzero])).sum()


@pytest.mark.parametrize("wrong", [0, 1, 20, 50, 99, 100])
def test_bits_are_the_mutual_information_of_labels_and_answers(wrong):
    """There are 100 samples of each label, of which ``wrong`` are answered wrongly."""
    task = configured(2.0, 100)
    labels = np.repeat([0, 1], 100)
    flipped = np.tile(np.arange(100) < wrong, 2)
    answers = np.where(flipped, 1 - labels, labels)
    outputs = torch.from_numpy(np.where(answers == 1, 0.3, -2.0))[None, None, :, None]
    scores = task.scores(outputs, torch.from_numpy(labels)[None])
    (bits,) = task.metric(scores.mean(1)).tolist()
    # The table's tiny shares are counted in float64, the share of right answers in float32.
    assert bits == pytest.approx(200 * mutual_information(labels, answers), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize(
    ("right", "expected"),
    [
        (0.5, 0.0),
        (0.75, 0.1887218755408672),  # 1 + 3/4 log2 3/4 + 1/4 log2 1/4
        (1.0, 1.0),
        (0.0, 1.0),  # answers that are always wrong carry as much information
    ],
)
def test_bits_are_those_of_equation_22_by_hand(right, expected):
    task = configured(1.0, 1000)
    metric = task.metric(torch.tensor([right, 0.5]))
    assert metric.tolist() == pytest.approx([1000 * expected, 0.0], abs=1e-9)


def test_the_bits_of_an_infeasible_lane_are_not_a_number():
    assert configured(1.0, 10).metric(torch.tensor([math.nan])).isnan().all()


def test_further_measures_are_bits_per_parameter_and_samples():
    task = configured(2.5, 400)
    assert task.further(750.0, 400) == {"bits_per_parameter": 1.875, "samples": 1000.0}


def test_the_loss_is_the_cross_entropy_of_the_last_logit():
    task = configured(1.0, 10)
    rng = np.random.default_rng(0)
    logits, labels = 3 * rng.normal(size=(2, 3, 6)), rng.integers(2, size=(2, 6))
    probability = 1 / (1 + np.exp(-logits[:, -1]))
    expected = -np.log(np.where(labels == 1, probability, 1 - probability))
    args = torch.from_numpy(logits[..., None]), torch.from_numpy(labels)
    np.testing.assert_allclose(task.losses(*args), expected, rtol=1e-12)
    np.testing.assert_array_equal(task.scores(*args), (logits[:, -1] > 0) == labels)


@settings(max_examples=20, deadline=None)
@given(
    size=st.integers(1, 40),
    length=st.integers(1, 9),
    presentation=st.sampled_from(["first", "every"]),
)
def test_batches_have_the_sizes_of_the_options(size, length, presentation):
    task = configured(1.0, 7, presentation, size=size, length=length)
    batch = task.batch(seed=0, lanes=[0], step=0, size=3)
    assert batch.inputs.shape == (1, length, 3, size)
    assert task.first_output == length - 1


@pytest.mark.parametrize("option", ["size", "length"])
def test_a_size_or_length_of_zero_is_refused(option):
    sentence = f"option '{option}' of perceptron_capacity is 0, but must be 1 or more"
    with pytest.raises(OptionError, match=sentence):
        make("perceptron_capacity", {option: 0})
