"""Compares the baseline of every task with predictors that ignore their input."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.spec.small import has_variant
from orchestrator.spec.sweep import load
from trainables.tasks import TASKS, Regression, make

SAMPLES = 10_000
SWEEPS = Path(__file__).parents[3] / "sweeps"

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


# -- every option that is shipped, and others ----------------------------------------------------


def shipped():
    """Return the tasks of all shipped sweeps, whole and small, and all tasks with their defaults.

    Each is a name with the options as a text.
    """
    specs = [
        load(path, small)
        for path in sorted(SWEEPS.glob("*.yaml"))
        for small in (False, True)
        if not small or has_variant(path)
    ]
    named = {(task.name, json.dumps(task.options)) for spec in specs for task in spec.tasks}
    return sorted(named | {(name, "{}") for name in TASKS})


SHIPPED = [
    pytest.param(name, options, marks=pytest.mark.slow)
    if (name, options) == ("random_continuous_function", "{}")  # it writes 200 MB
    else (name, options)
    for name, options in shipped()
]


def assert_states_the_error_of_the_best_constant(task, samples=2000, seed=0):
    """Compare the stated errors with those of the best constant, within five standard errors."""
    _, targets = task.samples("training", np.random.default_rng(seed), samples)
    constant = targets.double().mean((0, 1))
    steps = task.length - task.first_output
    outputs = constant.expand(1, steps, samples, task.outputs)
    errors = Regression.losses(task, outputs, targets.double()[None])[0]
    mean, deviation = errors.mean().item(), errors.std().item()
    stated = task.baseline()
    # The mean was fitted to the samples, too, which lowers their error by about one in all of them.
    tolerance = 5 * deviation / samples**0.5 + 5 * stated.metric**2 / samples
    assert abs(mean - stated.metric**2) <= tolerance
    power = 1 if getattr(task, "_root", False) else 2  # adding may train on the metric itself
    assert stated.loss == pytest.approx(stated.metric**power)


@pytest.mark.parametrize(("name", "options"), SHIPPED)
def test_a_shipped_task_states_the_error_of_a_predictor_that_ignores_the_input(name, options):
    task = make(name, json.loads(options))
    if isinstance(task, Regression):
        assert_states_the_error_of_the_best_constant(task)
    stated = task.baseline()
    assert not task.reaches(stated.metric, task.minimal_performance)
    assert task.reaches(task.minimal_performance, task.minimal_performance)
    better = task.minimal_performance - stated.metric
    assert better > 0 if task.higher_is_better else better < 0


SIZES = {"size": st.integers(1, 6), "length": st.integers(9, 20)}
DELAYED = {**SIZES, "delay": st.integers(0, 8)}
GENERATED = {
    "memory": {"size": st.integers(1, 20), "delay": st.integers(1, 10)},
    "random_continuous_function": {
        "samples": st.integers(2, 5000),
        "size": st.integers(2, 20),
        "length": st.integers(1, 4),
        "tau": st.floats(0.1, 5000),
        "function": st.integers(0, 9),
    },
    "adding": {"length": st.integers(2, 40), "loss": st.sampled_from(["squared", "root"])},
    "delayed_copy": DELAYED,
    "delayed_sine": {**DELAYED, "frequency": st.floats(0.1, 20)},
    "delayed_power": {**DELAYED, "power": st.integers(1, 3)},  # higher ones have too heavy tails
    "temporal_product": DELAYED,
    "running_product": SIZES,
    "running_sum": SIZES,
    "parity": SIZES,
}


def test_all_regressions_are_tested_with_options_of_all_kinds():
    assert set(GENERATED) == {name for name, kind in TASKS.items() if issubclass(kind, Regression)}


@settings(max_examples=20, deadline=None, derandomize=True)
@given(data=st.data())
@pytest.mark.parametrize("name", GENERATED)
def test_whatever_the_options_the_stated_error_is_that_of_the_best_constant(name, data):
    task = make(name, data.draw(st.fixed_dictionaries(GENERATED[name])))
    assert_states_the_error_of_the_best_constant(task)
    assert task.minimal_performance < task.baseline().metric
