"""Compares the depth paper's tasks with loops in plain Python, one number at a time."""

import math

import pytest
import torch

from trainables.registry import OptionError
from trainables.tasks import make

LENGTH, DELAY = 10, 3


def root(factors):
    """Return the signed root of a product."""
    product = math.prod(factors)
    return math.copysign(abs(product) ** (1 / len(factors)), product)


# Each gives the target from the inputs so far, the present one last, or None without a target.
ORACLES = {
    "delayed_copy": lambda x: x[-1 - DELAY] if len(x) > DELAY else None,
    "delayed_sine": lambda x: math.sin(0.5 * x[-1 - DELAY]) if len(x) > DELAY else None,
    "delayed_power": lambda x: x[-1 - DELAY] ** 3 if len(x) > DELAY else None,
    "temporal_product": lambda x: root(x[-1 - DELAY :]) if len(x) > DELAY else None,
    "running_product": root,
    "running_sum": math.fsum,
    "parity": math.prod,
}
OPTIONS = {
    "delayed_copy": {"delay": DELAY},
    "delayed_sine": {"delay": DELAY, "frequency": 0.5},
    "delayed_power": {"delay": DELAY, "power": 3},
    "temporal_product": {"delay": DELAY},
}


def make_task(name, **options):
    return make(name, {"size": 2, "length": LENGTH, **OPTIONS.get(name, {}), **options})


@pytest.mark.parametrize("name", ORACLES)
def test_targets_follow_the_definition_at_every_step_that_has_one(name):
    task = make_task(name)
    batch = task.batch(seed=3, lanes=[0, 1], step=0, size=4)
    for lane in range(2):
        for sample in range(4):
            for feature in range(2):
                x = batch.inputs[lane, :, sample, feature].double().tolist()
                expected = [ORACLES[name](x[: t + 1]) for t in range(LENGTH)]
                assert expected.count(None) == task.first_output
                targets = batch.targets[lane, sample, :, feature].tolist()
                assert targets == pytest.approx(expected[task.first_output :], abs=1e-5)


@pytest.mark.parametrize("name", ORACLES)
def test_the_loss_is_the_mean_over_the_steps_that_have_a_target(name):
    task = make_task(name)
    batch = task.batch(seed=3, lanes=[0], step=0, size=4)
    steps = LENGTH - task.first_output
    outputs = torch.randn(1, steps, 4, 2, generator=torch.Generator().manual_seed(0))
    for sample, loss in enumerate(task.losses(outputs, batch.targets)[0].tolist()):
        squares = [
            (outputs[0, t, sample, f] - batch.targets[0, sample, t, f]).item() ** 2
            for t in range(steps)
            for f in range(2)
        ]
        assert loss == pytest.approx(sum(squares) / len(squares), rel=1e-5)


def test_the_default_sizes_are_those_of_the_paper():
    task = make("delayed_copy")
    assert (task.inputs, task.outputs, task.length, task.first_output) == (5, 5, 16, 8)
    assert (task.training_size, task.held_out_size) == (1000, 2000)


@pytest.mark.parametrize("name", ORACLES)
def test_batches_come_from_a_training_set_of_the_given_size(name):
    task = make_task(name, training_size=7)
    samples = set()
    for step in range(40):
        batch = task.batch(seed=5, lanes=[0, 1], step=step, size=6)
        for inputs, targets in zip(batch.inputs, batch.targets, strict=True):
            for sample in range(6):
                pair = inputs[:, sample].numpy().tobytes(), targets[sample].numpy().tobytes()
                samples.add(pair)
    assert len(samples) == 7
    other = task.batch(seed=6, lanes=[0], step=0, size=6).inputs[0]
    assert {other[:, s].numpy().tobytes() for s in range(6)}.isdisjoint({x for x, _ in samples})


def test_the_signs_of_parity_are_fair():
    signs = (
        make_task("parity", training_size=2000).batch(seed=0, lanes=[0], step=0, size=2000).inputs
    )
    assert set(signs.unique().tolist()) == {-1.0, 1.0}
    assert abs(signs.mean().item()) < 4.5 / math.sqrt(2000 * 2 * LENGTH)


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("delayed_copy", {"delay": 10}, "option 'delay' of delayed_copy is 10, but a sequence has"),
        ("delayed_copy", {"delay": -1}, "is -1, but must be 0 or more"),
        ("delayed_power", {"power": 0}, "is 0, but must be 1 or more"),
        ("delayed_sine", {"frequency": 0.0}, "is 0, but the sine of nothing is always 0"),
        ("running_sum", {"training_size": 0}, "is 0, but must be 1 or more"),
    ],
)
def test_impossible_options_are_refused(name, options, sentence):
    with pytest.raises(OptionError, match=sentence):
        make_task(name, **options)
