"""What every task keeps to."""

import math

import numpy as np
import pytest
import torch

from trainables.registry import OptionError
from trainables.tasks import TASKS, make

OPTIONS = {
    "digits": {},
    "parentheses": {"length": 12, "held_out_size": 40},
    "memory": {"size": 3, "delay": 4, "held_out_size": 40},
    "adding": {"length": 10, "held_out_size": 40},
    **{
        name: {"size": 3, "length": 12, "training_size": 60, "held_out_size": 40, **delay}
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


def task(name):
    return make(name, OPTIONS[name])


def perfect(batch, made):
    """Outputs ``[lanes, steps, batch, outputs]`` that are right and, if logits, certain."""
    if made.metric_name == "rms":
        return batch.targets.transpose(1, 2).clone()
    classes = {"digits": 10, "parentheses": 10}[next(n for n in TASKS if TASKS[n] is type(made))]
    logits = 100.0 * torch.nn.functional.one_hot(batch.targets, classes)
    return logits.flatten(2).unsqueeze(1)


def same(one, other):
    return torch.equal(one.inputs, other.inputs) and torch.equal(one.targets, other.targets)


def test_all_tasks_are_tested():
    assert set(OPTIONS) == set(TASKS)


@every_task
def test_a_batch_has_lanes_time_samples_and_features(name):
    made = task(name)
    batch = made.batch(seed=0, lanes=[0, 5], step=3, size=7)
    assert batch.inputs.shape == (2, made.length, 7, made.inputs)
    assert batch.inputs.dtype == torch.float32
    assert batch.targets.shape[:2] == (2, 7)
    outputs = torch.zeros(2, made.length - made.first_output, 7, made.outputs)
    assert made.losses(outputs, batch.targets).shape == (2, 7)
    assert made.scores(outputs, batch.targets).shape == (2, 7)


@every_task
def test_a_batch_is_a_pure_function_of_seed_lane_and_step(name):
    first = task(name).batch(seed=1, lanes=[0, 1, 2], step=4, size=6)
    made = task(name)
    made.batch(seed=9, lanes=[3], step=0, size=5)  # drawing in between changes nothing
    torch.manual_seed(0)
    np.random.seed(0)
    assert same(made.batch(seed=1, lanes=[0, 1, 2], step=4, size=6), first)
    alone = made.batch(seed=1, lanes=[2], step=4, size=6)
    assert torch.equal(alone.inputs[0], first.inputs[2])
    assert torch.equal(alone.targets[0], first.targets[2])


@every_task
def test_no_two_seeds_lanes_and_steps_share_a_batch(name):
    made = task(name)
    batches = {
        lane.numpy().tobytes()
        for seed in range(3)
        for step in range(4)
        for lane in made.batch(seed=seed, lanes=range(4), step=step, size=6).inputs
    }
    assert len(batches) == 3 * 4 * 4


@every_task
def test_held_out_sets_are_fixed(name):
    one, other = task(name), task(name)
    for split in ("validation", "evaluation"):
        batch = one.held_out(split, seed=3)
        assert batch.inputs.shape == (1, one.length, one.held_out_size, one.inputs)
        assert len(batch.targets[0]) == one.held_out_size
        one.batch(seed=3, lanes=[0], step=0, size=4)
        assert same(other.held_out(split, seed=3), batch)
        # Finite data is split once and for all; generated data belongs to the seed.
        assert same(one.held_out(split, seed=4), batch) is (name == "digits")


@every_task
def test_splits_share_no_sample(name):
    made = task(name)
    batches = [
        made.held_out("validation", seed=3).inputs[0],
        made.held_out("evaluation", seed=3).inputs[0],
        *[made.batch(seed=3, lanes=[0], step=step, size=40).inputs[0] for step in range(3)],
    ]
    validation, evaluation, *training = [
        {sample.numpy().tobytes() for sample in batch.unbind(1)} for batch in batches
    ]
    assert not validation & evaluation
    for batch in training:
        assert not batch & (validation | evaluation)


@every_task
def test_a_perfect_answer_gets_the_optimal_loss_and_metric(name):
    made = task(name)
    batch = made.batch(seed=0, lanes=[0, 1], step=0, size=9)
    outputs = perfect(batch, made)
    assert made.losses(outputs, batch.targets).abs().max() < 1e-5
    metric = made.metric(made.scores(outputs, batch.targets).mean(1))
    assert metric.tolist() == [{"accuracy": 1.0, "rms": 0.0}[made.metric_name]] * 2


@every_task
def test_a_wrong_answer_is_charged_to_its_own_sample_and_lane(name):
    made = task(name)
    batch = made.batch(seed=0, lanes=[0, 1], step=0, size=9)
    outputs = perfect(batch, made)
    outputs[1, :, 4] = outputs[1, :, 4].roll(1, dims=-1) + 1
    losses = made.losses(outputs, batch.targets)
    assert losses[1, 4] > 0.5
    losses[1, 4] = 0
    assert losses.abs().max() < 1e-5


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("digits", {}),
        ("parentheses", {"length": 40}),
        ("memory", {"size": 5, "delay": 2}),
        ("adding", {"length": 7}),
        *(
            (name, {"training_size": 10_000, **options})
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
    ],
)
def test_the_best_constant_predictor_scores_the_baseline(name, options):
    made = make(name, options)
    if name == "digits":  # its baseline is that of the evaluation set, which is all there is
        batches = [made.held_out("evaluation", seed=0)]
    else:
        batches = [made.batch(seed=0, lanes=[0], step=step, size=500) for step in range(20)]
    targets = torch.cat([batch.targets for batch in batches], dim=1)
    if made.metric_name == "rms":
        constant = targets.mean((0, 1, 2))
    else:  # the shares of the counts, the same for all ten kinds
        constant = (torch.bincount(targets.flatten(), minlength=10) / targets.numel()).log()
        constant = constant.clamp_min(-50).repeat(made.outputs // 10)
    steps = made.length - made.first_output
    outputs = constant.expand(1, steps, targets.shape[1], -1)
    expected = made.baseline()
    loss = made.losses(outputs, targets).mean().item()
    metric = made.metric(made.scores(outputs, targets).mean()).item()
    assert loss == pytest.approx(expected.loss, rel=1e-5 if name == "digits" else 0.02)
    assert metric == pytest.approx(expected.metric, rel=1e-5 if name == "digits" else 0.01)


@every_task
def test_minimal_performance_lies_between_chance_and_perfection(name):
    made = task(name)
    chance, perfection = made.baseline().metric, {"accuracy": 1.0, "rms": 0.0}[made.metric_name]
    assert min(chance, perfection) < made.minimal_performance < max(chance, perfection)
    assert made.reaches(perfection, made.minimal_performance)
    assert made.reaches(made.minimal_performance, made.minimal_performance)
    assert not made.reaches(chance, made.minimal_performance)
    assert not made.reaches(math.nan, made.minimal_performance)


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


@every_task
def test_every_task_says_what_it_is_and_where_it_is_from(name):
    assert len(TASKS[name].summary) > 10
    assert len(TASKS[name].source) > 10
