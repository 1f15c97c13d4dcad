"""Compares the baseline of every task with predictors that ignore their input."""

import numpy as np
import pytest
import torch

from trainables.tasks import TASKS, make

SAMPLES = 10_000

# The baseline is the best constant for regressions and for symbols of unequal frequencies.
CONSTANT = [
    ("digits", {}),
    ("parentheses", {"length": 40}),
    ("memory", {"size": 5, "delay": 2}),
    ("random_continuous_function", {"samples": 100_000, "size": 2, "length": 1}),
    ("adding", {"length": 7}),
    *(
        (name, {"training_size": SAMPLES, **options})
        for name, options in (
            ("delayed_copy", {}),
            ("delayed_sine", {"frequency": 0.7}),
            ("delayed_power", {"power": 2}),
            ("delayed_power", {"power": 3}),
            ("temporal_product", {"delay": 2}),
            ("running_product", {"length": 6}),
            ("running_sum", {}),
            ("parity", {}),
        )
    ),
]
# The baseline is chance where all symbols are equally likely.
CHANCE = [
    ("text8", {"length": 20}),
    ("shakespeare", {"length": 16, "held_out_size": 50}),
    ("smnist", {"held_out_size": 20}),
    ("psmnist", {"held_out_size": 20}),
    ("scifar10", {"held_out_size": 20}),
]


def targets_of(task):
    batches = [task.batch(seed=0, lanes=[0], step=s, size=500).targets for s in range(20)]
    return torch.cat(batches, dim=1)


def scored(task, outputs, targets):
    steps = task.length - task.first_output
    outputs = outputs.expand(1, steps, targets.shape[1], task.outputs)
    loss = task.losses(outputs, targets).mean().item()
    return loss, task.metric(task.scores(outputs, targets).mean()).item()


def test_all_baselines_are_tested():
    tested = {name for name, _ in CONSTANT + CHANCE}
    assert tested | {"arithmetic", "perceptron_capacity"} == set(TASKS)


@pytest.mark.parametrize(("name", "options"), CONSTANT)
def test_the_best_constant_predictor_scores_the_baseline(name, options):
    task = make(name, options)
    # The baseline of digits is that of the evaluation set, which is all there is.
    evaluation = name == "digits"
    targets = task.held_out("evaluation", seed=0).targets if evaluation else targets_of(task)
    if task.metric_name == "rms":
        constant = targets.mean((0, 1, 2))
    else:  # the shares of the counts, the same for all ten kinds
        constant = (torch.bincount(targets.flatten(), minlength=10) / targets.numel()).log()
        constant = constant.clamp_min(-50).repeat(task.outputs // 10)
    expected = task.baseline()
    loss, metric = scored(task, constant, targets)
    # The random function has fewer samples of much weight, and each of them is drawn repeatedly.
    tolerance = {"digits": 1e-5, "random_continuous_function": 0.06}.get(name, 0.02)
    assert loss == pytest.approx(expected.loss, rel=tolerance)
    assert metric == pytest.approx(expected.metric, rel=tolerance / 2)


@pytest.mark.parametrize(("name", "options"), CHANCE)
def test_uniform_logits_and_a_random_guess_score_chance(name, options):
    task = make(name, options)
    targets = targets_of(task)
    expected = task.baseline()
    loss, metric = scored(task, torch.zeros(()), targets)
    assert loss == pytest.approx(expected.loss, rel=1e-5)
    if task.metric_name == "accuracy":
        shape = (1, 1, SAMPLES, task.outputs)
        guess = torch.rand(shape, generator=torch.Generator().manual_seed(0))
        _, metric = scored(task, guess, targets)
    assert metric == pytest.approx(expected.metric, rel=1e-5 if "text" in name else 0.14)


@pytest.mark.parametrize("compute_steps", [1, 4, 6])
def test_the_frequencies_of_each_position_score_the_baseline_of_arithmetic(compute_steps):
    task = make("arithmetic").configured({"compute_steps": compute_steps}, 1000)
    targets = targets_of(task)
    shares = np.stack([np.bincount(step, minlength=12) for step in targets[0].T.numpy()]) / SAMPLES
    logits = torch.from_numpy(np.log(np.maximum(shares, 1e-20))).float()  # [steps, symbols]
    loss, metric = scored(task, logits[None, :, None], targets)
    expected = task.baseline()
    assert loss == pytest.approx(expected.loss, rel=0.01)
    assert metric == pytest.approx(expected.metric, rel=0.01)
    # The middle digits are unpredictable: the loss of five steps is at least that of ten digits.
    assert expected.loss > 5 / 16 * np.log(10)


def test_a_random_guess_tells_next_to_nothing_of_the_labels():
    configuration = {"samples_per_parameter": 10.0, "presentation": "every"}
    task = make("perceptron_capacity").configured(configuration, SAMPLES // 10)
    targets = task.held_out("evaluation", seed=0).targets
    loss, _ = scored(task, torch.zeros(()), targets)
    assert loss == pytest.approx(task.baseline().loss, rel=1e-5)
    guess = torch.randn((1, 1, SAMPLES, 1), generator=torch.Generator().manual_seed(0))
    _, bits = scored(task, guess, targets)
    # If the share of right answers is off by d by chance, that is 2 d^2 / ln 2 bits per sample.
    assert task.baseline().metric == 0.0
    assert 0.0 <= bits < 4.5**2 / (2 * np.log(2))
