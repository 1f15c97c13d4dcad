"""Tests the rules that every task keeps."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from trainables.architectures import ARCHITECTURES, search_space
from trainables.registry import OptionError
from trainables.space import draw
from trainables.tasks import TASKS, Classification, make

OPTIONS = {
    "perceptron_capacity": {"size": 16, "length": 3},
    "random_continuous_function": {
        "samples": 200,
        "size": 4,
        "length": 3,
        "tau": 10.0,
        "held_out_size": 2000,
    },
    "text8": {"length": 12, "warm_up": 3, "held_out_size": 40},
    "shakespeare": {"length": 12, "held_out_size": 40},
    "arithmetic": {"held_out_size": 40},
    "smnist": {"held_out_size": 20},
    "psmnist": {"held_out_size": 20},
    "scifar10": {"held_out_size": 20},
    "digits": {},
    "parentheses": {"length": 12, "held_out_size": 40},
    "memory": {"size": 3, "delay": 4, "held_out_size": 40},
    "adding": {"length": 10, "held_out_size": 40},
    **{
        # Sets have the same size, so that equal random streams would give equal samples.
        name: {"size": 3, "length": 12, "training_size": 40, "held_out_size": 40, **delay}
        for name, delay in {
            "delayed_copy": {"delay": 5},
            "delayed_sine": {"delay": 5, "frequency": 1.5},
            "delayed_power": {"delay": 5, "power": 3},
            "temporal_product": {"delay": 5},
            "running_product": {},
            "running_sum": {},
            "parity": {},
        }.items()
    },
}
every_task = pytest.mark.parametrize("name", sorted(TASKS))
PARAMETERS = 1000
HELD_OUT_SIZES = {"digits": 300, "perceptron_capacity": 1000}  # tasks without that option
# Their held-out sets are rows of a file, whatever the seed.
SPLIT_BY_ROWS = {"digits", "shakespeare", "smnist", "psmnist", "scifar10"}


def make_task(name):
    return make(name, OPTIONS[name])


def perfect(batch, task):
    """Return right outputs ``[lanes, steps, batch, outputs]``, which are certain if logits."""
    if task.metric_name == "rms":
        return batch.targets.transpose(1, 2).clone()
    if task.metric_name == "bits":
        return 100.0 * (2 * batch.targets[:, None, :, None] - 1)
    if isinstance(task, Classification):
        return 100.0 * functional.one_hot(batch.targets, task.outputs).transpose(1, 2)
    logits = 100.0 * functional.one_hot(batch.targets, 10)  # ten counts of parentheses side by side
    return logits.flatten(2).unsqueeze(1)


def perfection(task):
    return {"accuracy": 1.0, "bits": task.held_out_size}.get(task.metric_name, 0.0)


def same(first, second):
    return torch.equal(first.inputs, second.inputs) and torch.equal(first.targets, second.targets)


def samples(batch):
    """Return the samples of all lanes, inputs and targets, as a set."""
    return {
        (batch.inputs[lane, :, row].numpy().tobytes(), batch.targets[lane, row].numpy().tobytes())
        for lane in range(len(batch.inputs))
        for row in range(batch.inputs.shape[2])
    }


def test_all_tasks_are_tested():
    assert set(OPTIONS) == set(TASKS)


@every_task
def test_a_batch_has_lanes_time_samples_and_features(name):
    task = make_task(name)
    batch = task.batch(seed=0, lanes=[0, 5], step=3, size=7)
    assert batch.inputs.shape == (2, task.length, 7, task.inputs)
    small = name in ("perceptron_capacity", "parentheses")  # zeros and ones
    assert batch.inputs.dtype == (torch.uint8 if small else torch.float32)
    assert batch.inputs.isfinite().all()
    assert batch.targets.shape[:2] == (2, 7)
    if isinstance(task, Classification):
        assert batch.targets.dtype == torch.int64
        assert batch.targets.min() >= 0
        assert batch.targets.max() < task.outputs
    assert 0 <= task.first_output < task.length
    outputs = torch.zeros(2, task.length - task.first_output, 7, task.outputs)
    assert task.losses(outputs, batch.targets).shape == (2, 7)
    assert task.scores(outputs, batch.targets).shape == (2, 7)


@every_task
def test_a_batch_is_a_pure_function_of_seed_lane_and_step(name):
    first = make_task(name).batch(seed=1, lanes=[0, 1, 2], step=4, size=6)
    task = make_task(name)
    task.batch(seed=9, lanes=[3], step=0, size=5)  # drawing in between changes nothing
    torch.manual_seed(0)
    np.random.seed(0)
    assert same(task.batch(seed=1, lanes=[0, 1, 2], step=4, size=6), first)
    alone = task.batch(seed=1, lanes=[2], step=4, size=6)
    assert torch.equal(alone.inputs[0], first.inputs[2])
    assert torch.equal(alone.targets[0], first.targets[2])


@every_task
def test_batches_do_not_depend_on_the_order_in_which_they_are_asked_for(name):
    places = [(step, lanes) for step in range(4) for lanes in ([0], [1, 0], [2])]
    task, other_task = make_task(name), make_task(name)
    forwards = [task.batch(seed=1, lanes=lanes, step=step, size=3) for step, lanes in places]
    backwards = [
        other_task.batch(seed=1, lanes=lanes, step=step, size=3) for step, lanes in places[::-1]
    ]
    assert all(map(same, forwards, backwards[::-1]))


@every_task
def test_a_lane_asked_for_twice_gets_the_same_batch_twice(name):
    batch = make_task(name).batch(seed=1, lanes=[3, 2, 3], step=0, size=6)
    assert torch.equal(batch.inputs[0], batch.inputs[2])
    assert torch.equal(batch.targets[0], batch.targets[2])
    assert not torch.equal(batch.inputs[0], batch.inputs[1])


@every_task
def test_no_two_seeds_lanes_and_steps_share_a_batch(name):
    task = make_task(name)
    batches = {
        lane.numpy().tobytes()
        for seed in range(3)
        for step in range(4)
        for lane in task.batch(seed=seed, lanes=range(4), step=step, size=6).inputs
    }
    assert len(batches) == 3 * 4 * 4


@every_task
def test_held_out_sets_are_fixed(name):
    task, other_task = make_task(name), make_task(name)
    size = OPTIONS[name].get("held_out_size") or HELD_OUT_SIZES[name]
    for split in ("validation", "evaluation"):
        batch = task.held_out(split, seed=3)
        assert batch.inputs.shape == (1, task.length, size, task.inputs)
        assert batch.targets.shape[:2] == (1, size)
        assert task.held_out_size == size
        task.batch(seed=3, lanes=[0], step=0, size=4)
        assert same(task.held_out(split, seed=3), batch)
        assert same(other_task.held_out(split, seed=3), batch)
        # Finite data is split once and for all; generated data belongs to the seed.
        assert same(task.held_out(split, seed=4), batch) is (name in SPLIT_BY_ROWS)


@every_task
def test_splits_share_no_sample_save_where_a_task_memorizes(name):
    task = make_task(name)
    sets = [task.held_out(split, seed=3) for split in ("validation", "evaluation")]
    validation, evaluation = map(samples, sets)
    training = [samples(task.batch(seed=3, lanes=[0, 1], step=step, size=40)) for step in range(3)]
    assert task.memorizes is (name in {"perceptron_capacity", "random_continuous_function"})
    if task.memorizes:
        assert same(*sets)
        assert all(batch <= evaluation for batch in training)
    else:
        # Compare the inputs alone: no two may be the same even if their targets differ.
        held_out = [{inputs for inputs, _ in split} for split in (validation, evaluation)]
        assert not held_out[0] & held_out[1]
        for batch in training:
            assert not {inputs for inputs, _ in batch} & (held_out[0] | held_out[1])


@every_task
def test_a_perfect_answer_gets_the_optimal_loss_and_metric(name):
    task = make_task(name)
    batch = task.batch(seed=0, lanes=[0, 1], step=0, size=9)
    outputs = perfect(batch, task)
    assert task.losses(outputs, batch.targets).abs().max() < 1e-5
    metric = task.metric(task.scores(outputs, batch.targets).mean(1))
    assert metric.tolist() == pytest.approx([perfection(task)] * 2, abs=1e-6)


@every_task
def test_a_wrong_answer_is_charged_to_its_own_sample_and_lane(name):
    task = make_task(name)
    batch = task.batch(seed=0, lanes=[0, 1], step=0, size=9)
    right = perfect(batch, task)
    outputs = right.clone()
    wrong = -right if task.metric_name == "bits" else right.roll(1, dims=-1) + 1
    outputs[1, :, 4] = wrong[1, :, 4]
    losses, scores = task.losses(outputs, batch.targets), task.scores(outputs, batch.targets)
    expected = task.scores(right, batch.targets)
    assert losses[1, 4] > 0.5
    assert scores[1, 4] != expected[1, 4]
    losses[1, 4], scores[1, 4] = 0, expected[1, 4]
    assert losses.abs().max() < 1e-5
    assert torch.equal(scores, expected)


@every_task
def test_one_held_out_set_serves_all_lanes(name):
    task = make_task(name)
    batch = task.batch(seed=0, lanes=[0], step=0, size=9)
    generator = torch.Generator().manual_seed(0)
    shape = (3, task.length - task.first_output, 9, task.outputs)
    outputs = torch.randn(shape, generator=generator)
    for each in (task.losses, task.scores):
        lanes = [each(outputs[[lane]], batch.targets)[0] for lane in range(3)]
        torch.testing.assert_close(each(outputs, batch.targets), torch.stack(lanes))


@every_task
def test_losses_are_differentiable(name):
    task = make_task(name)
    batch = task.batch(seed=0, lanes=[0, 1], step=0, size=5)
    outputs = torch.full((2, task.length - task.first_output, 5, task.outputs), 0.25)
    outputs.requires_grad_()
    losses = task.losses(outputs, batch.targets)
    (gradient,) = torch.autograd.grad(losses[1, 2], outputs)
    assert gradient[1, :, 2].abs().max() > 0
    gradient[1, :, 2] = 0
    assert not gradient.any()


@every_task
def test_minimal_performance_lies_between_chance_and_perfection(name):
    task = make_task(name)
    chance, best = task.baseline().metric, perfection(task)
    assert min(chance, best) < task.minimal_performance < max(chance, best)
    assert task.reaches(best, task.minimal_performance)
    assert task.reaches(task.minimal_performance, task.minimal_performance)
    assert not task.reaches(chance, task.minimal_performance)
    assert not task.reaches(math.nan, task.minimal_performance)


@every_task
def test_hyperparameters_of_a_task_share_no_name_with_those_of_an_architecture(name):
    own = set(TASKS[name].hyperparameters)
    for architecture in ARCHITECTURES:
        assert own.isdisjoint(search_space(architecture))


@every_task
def test_a_configured_task_keeps_its_sizes_and_is_deterministic(name):
    task = make_task(name)
    before = {key: value for key, value in vars(task).items() if isinstance(value, int | float)}
    for index in range(8):
        configuration = draw(task.hyperparameters, "tests", index)
        configured = task.configured({**configuration, "learning_rate": 0.1}, PARAMETERS)
        for attribute in ("inputs", "outputs", "length", "first_output"):
            assert getattr(configured, attribute) == getattr(task, attribute)
        batch = configured.batch(seed=0, lanes=[0, 1], step=0, size=4)
        assert batch.inputs.shape == (2, task.length, 4, task.inputs)
        again = make_task(name).configured(configuration, PARAMETERS)
        assert same(again.batch(seed=0, lanes=[0, 1], step=0, size=4), batch)
        assert same(again.held_out("evaluation", seed=0), configured.held_out("evaluation", seed=0))
        assert configured.held_out("evaluation", seed=0).inputs.shape[2] == configured.held_out_size
    # One task serves many trials, each with a configuration of its own: it must not change.
    after = {key: value for key, value in vars(task).items() if isinstance(value, int | float)}
    assert after == before


@every_task
def test_the_protocol_has_positive_sizes_and_a_valid_objective(name):
    protocol = TASKS[name].protocol
    assert protocol.steps > 0
    assert protocol.batch_size > 0
    assert protocol.objective in {"loss", "metric"}


@every_task
def test_further_measures_are_finite_numbers_and_none_is_named_like_the_metric(name):
    task = make_task(name)
    further = task.further(0.5, PARAMETERS)
    assert all(isinstance(value, float) and math.isfinite(value) for value in further.values())
    assert set(further).isdisjoint({task.metric_name})


@every_task
def test_every_task_has_a_summary_and_a_source(name):
    assert len(TASKS[name].summary) > 10
    assert len(TASKS[name].source) > 10


def test_a_wrong_name_or_option_is_refused():
    with pytest.raises(OptionError, match="unknown task 'digit'; did you mean 'digits'"):
        make("digit")
    with pytest.raises(OptionError, match="unknown option 'lenght' of parentheses; did you mean"):
        make("parentheses", {"lenght": 20})
    with pytest.raises(OptionError, match="option 'length' of parentheses is 0, but must be 1"):
        make("parentheses", {"length": 0})
    with pytest.raises(
        OptionError, match=r"option 'delay' of memory is 2\.5, but must be a whole number"
    ):
        make("memory", {"delay": 2.5})
