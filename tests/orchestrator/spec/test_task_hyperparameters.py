"""Hyperparameters of tasks are searched, fixed and narrowed as those of networks are."""

import math

import pytest
from scipy import stats

from orchestrator.spec.sweep import load
from tests.support.small import small_plan
from tests.support.sweep_files import SWEEP, refusal, refused, write
from trainables.space import Choice, Integer, LogUniform

CAPACITY = {"name": "perceptron_capacity", "options": {"size": 4, "length": 2}}
TASKS = ["arithmetic", CAPACITY, "digits"]
OWN = {
    "arithmetic": {"compute_steps"},
    "perceptron_capacity": {"samples_per_parameter", "presentation"},
    "digits": set(),
}
ALL = set().union(*OWN.values())


def plan_of(tasks, samples=1, **space):
    return small_plan(
        architectures=["gru"],
        tasks=tasks,
        budgets=[4000],
        search={"samples": samples, "space": space},
        scheduler="none",
        training={"steps": 5},
    )


def test_each_cell_has_the_hyperparameters_of_its_own_task():
    for cell in plan_of(TASKS).cells:
        assert {*cell.space} & ALL == OWN[cell.task.name]
        assert {"learning_rate", "forget_bias", "update_square"} < {*cell.space}
    arithmetic, capacity, _ = plan_of(TASKS).cells
    assert arithmetic.space["compute_steps"] == Integer(1, 6)
    assert capacity.space["samples_per_parameter"] == LogUniform(0.1, 10.0)
    assert capacity.space["presentation"] == Choice(("first", "every"))
    recorded_space = arithmetic.record()["space"]
    assert recorded_space["compute_steps"] == repr(arithmetic.space["compute_steps"])


def drawn(task, name, **space):
    plan = plan_of([task], 300, **space)
    return [trial.definition["configuration"][name] for trial in plan.trials()]


def test_hyperparameters_of_tasks_are_drawn_over_their_whole_domains():
    steps = drawn("arithmetic", "compute_steps")
    assert {*steps} == {1, 2, 3, 4, 5, 6}
    assert stats.chisquare([steps.count(i) for i in range(1, 7)]).pvalue > 0.01
    assert {*drawn(CAPACITY, "presentation")} == {"first", "every"}
    per_parameter = drawn(CAPACITY, "samples_per_parameter")
    assert stats.kstest(per_parameter, stats.loguniform(0.1, 10).cdf).pvalue > 0.01


def test_hyperparameters_of_tasks_can_be_fixed_and_narrowed():
    assert {*drawn("arithmetic", "compute_steps", compute_steps=4)} == {4}
    (value,) = {*drawn("arithmetic", "compute_steps", compute_steps=4.0)}
    assert isinstance(value, int)
    assert {*drawn("arithmetic", "compute_steps", compute_steps=[2, 5])} == {2, 5}
    range_ = {"low": 2, "high": 4.0}
    assert {*drawn("arithmetic", "compute_steps", compute_steps=range_)} == {2, 3, 4}
    assert {*drawn(CAPACITY, "presentation", presentation="first")} == {"first"}
    narrow = drawn(CAPACITY, "samples_per_parameter", samples_per_parameter={"low": 2, "high": 3})
    assert 2 <= min(narrow) < max(narrow) <= 3
    assert stats.kstest(narrow, stats.loguniform(2, 3).cdf).pvalue > 0.01
    assert {*drawn(CAPACITY, "samples_per_parameter", samples_per_parameter=5)} == {5.0}


def test_fixing_a_tasks_hyperparameter_changes_no_draw_of_the_network():
    (own,), (fixed,) = (
        [trial.definition["configuration"] for trial in plan.trials()]
        for plan in (plan_of(["arithmetic"]), plan_of(["arithmetic"], compute_steps=3))
    )
    assert fixed == {**own, "compute_steps": 3}
    assert math.isfinite(own["learning_rate"])


SPACE = "    optimizer: [adam, rmsprop]"
MISTAKES = [
    (
        "compute_steps: 9",
        "15: hyperparameter 'compute_steps' is 9, but must be from 1 to 6",
    ),
    (
        "compute_steps: [1, 7]",
        "15: hyperparameter 'compute_steps' is 7, but must be from 1 to 6",
    ),
    (
        "compute_steps: [0, 7]",
        "15: hyperparameter 'compute_steps' is 0, but must be from 1 to 6",
    ),
    (
        "compute_steps: true",
        "15: hyperparameter 'compute_steps' is True, but must be a whole number",
    ),
    (
        "compute_steps: 2.5",
        "15: hyperparameter 'compute_steps' is 2.5, but must be a whole number",
    ),
    (
        "compute_steps: [1, many]",
        "15: hyperparameter 'compute_steps' is 'many', but must be a whole number",
    ),
    (
        "samples_per_parameter: 20",
        "15: hyperparameter 'samples_per_parameter' is 20, but must be from 0.1 to 10",
    ),
    (
        "samples_per_parameter: {low: 0.01, high: 1}",
        "15: hyperparameter 'samples_per_parameter' is 0.01, but must be from 0.1 to 10",
    ),
    ("compute_steps: []", "15: hyperparameter 'compute_steps' has an empty list of values"),
    (
        "compute_steps: {low: 1, high: 7}",
        "15: hyperparameter 'compute_steps' is 7, but must be from 1 to 6",
    ),
    (
        "compute_steps: {low: 3, high: 3}",
        "15: the range of hyperparameter 'compute_steps' must have its low below its high, like "
        "{low: 1, high: 6}",
    ),
    (
        "compute_steps: {low: 1.5, high: 3}",
        "15: hyperparameter 'compute_steps' is 1.5, but must be a whole number",
    ),
    (
        "presentation: last",
        "15: hyperparameter 'presentation' cannot be 'last'; known: every, first",
    ),
    (
        "presentation: frist",
        "15: hyperparameter 'presentation' cannot be 'frist'; did you mean 'first'?",
    ),
    (
        "samples_per_parameter: {low: 3}",
        "15: the range of hyperparameter 'samples_per_parameter' must be like {low: 0.1, high: 10}",
    ),
    (
        "samples_per_parameter: many",
        "15: hyperparameter 'samples_per_parameter' is 'many', but must be a number",
    ),
    (
        "samples_per_paramter: 3",
        "15: unknown hyperparameter 'samples_per_paramter'; did you mean 'samples_per_parameter'?",
    ),
    (
        "compute_step: 3",
        "15: unknown hyperparameter 'compute_step'; did you mean 'compute_steps'?",
    ),
]


BOTH = SWEEP.replace("  - digits\n", "  - arithmetic\n").replace(
    "{name: parentheses, options: {length: 20}}", "perceptron_capacity"
)


@pytest.mark.parametrize(("wrong", "sentence"), MISTAKES)
def test_a_mistake_in_a_tasks_hyperparameter_is_refused_with_its_line(tmp_path, wrong, sentence):
    assert BOTH.count(SPACE) == 1
    assert refusal(write(tmp_path, BOTH.replace(SPACE, f"{SPACE}\n    {wrong}"))) == [sentence]


def test_a_hyperparameter_that_no_task_of_the_sweep_has_is_unknown(tmp_path):
    (sentence,) = refused(tmp_path, SPACE, f"{SPACE}\n    compute_steps: 3")
    assert sentence.startswith("15: unknown hyperparameter 'compute_steps'; ")


def test_a_hyperparameter_that_only_one_task_of_the_sweep_has_is_accepted(tmp_path):
    spec = load(write(tmp_path, BOTH.replace(SPACE, f"{SPACE}\n    compute_steps: 3")))
    assert spec.search.space["compute_steps"] == 3
