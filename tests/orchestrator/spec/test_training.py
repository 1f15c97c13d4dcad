"""Training settings come from the task's own, else the sweep's, else the task's protocol."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.plan.plan import make_plan
from orchestrator.spec.sweep import SweepSpec, load
from tests.support.small import SMALL, small_plan
from tests.support.sweep_files import refusal, write
from trainables import tasks

SWEEP = """\
name: protocols
seed: 1
architectures: [rnn]
depths: [1]
tasks:
  - name: memory
  - name: digits
    training:
      steps: 70
      batch_size: 9
    budgets:
      - 500
      - 900
  - parentheses
budgets: [30_000]
search: {samples: 2}
scheduler:
  method: asha
  grace: 20
training:
  batch_size: 16
  evaluation_interval: 30
"""
# Steps, batch size and objective of each task's protocol, a paper's or the project's own.
PROTOCOLS = {
    "perceptron_capacity": (50_000, 512, "metric"),
    "memory": (50_000, 128, "loss"),
    "random_continuous_function": (100_000, 128, "loss"),
    "text8": (100_000, 128, "loss"),
    "parentheses": (100_000, 32, "loss"),
    "arithmetic": (100_000, 128, "loss"),
    "smnist": (78_000, 128, "loss"),
    "psmnist": (78_000, 128, "loss"),
    "scifar10": (62_500, 128, "loss"),
    "adding": (60_000, 128, "loss"),
    "shakespeare": (20_000, 128, "loss"),
    "delayed_copy": (5000, 128, "loss"),
    "digits": (2000, 32, "loss"),
}
SETTINGS = {
    "steps": st.integers(100, 10**6),
    "batch_size": st.integers(1, 1000),
    "evaluation_interval": st.integers(1, 100),
    "divergence_threshold": st.floats(1.0, 1e6, allow_nan=False),
    "objective": st.sampled_from(["loss", "metric"]),
    "shared_batches": st.booleans(),
}
LENGTHS = ("steps", "batch_size", "evaluation_interval")


def spec_of(task, **changes):
    without = {key: value for key, value in SMALL.items() if key != "training"}
    return SweepSpec.model_validate({**without, "scheduler": "none", "tasks": [task], **changes})


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_sweep_without_training_settings_uses_the_tasks_protocol(name):
    spec = spec_of(name)
    training = spec.training_of(spec.tasks[0])
    steps, *_ = PROTOCOLS[name]
    assert (training.steps, training.batch_size, training.objective) == PROTOCOLS[name]
    assert (training.evaluation_interval, training.reports) == (steps / 20, 20)
    assert (training.divergence_threshold, training.shared_batches) == (10_000, False)


@given(
    sweep=st.fixed_dictionaries(
        {}, optional={key: st.none() | values for key, values in SETTINGS.items()}
    ),
    own=st.fixed_dictionaries(
        {}, optional={key: st.none() | values for key, values in SETTINGS.items()}
    ),
    name=st.sampled_from(["digits", "perceptron_capacity"]),
)
def test_a_training_setting_comes_from_the_task_else_the_sweep_else_the_protocol(sweep, own, name):
    spec = spec_of({"name": name, "training": own}, training=sweep)
    training = spec.training_of(spec.tasks[0])
    protocol = tasks.find(name).protocol
    steps = own.get("steps") or sweep.get("steps") or protocol.steps
    last = {
        "steps": steps,
        "batch_size": protocol.batch_size,
        "evaluation_interval": -(-steps // 20),
        "divergence_threshold": 1e4,
        "objective": protocol.objective,
        "shared_batches": False,
    }
    for key, value in last.items():
        (wanted, *_) = [v for v in (own.get(key), sweep.get(key), value) if v is not None]
        assert getattr(training, key) == wanted, key
    assert training.reports == -(-steps // training.evaluation_interval)


@pytest.mark.parametrize(
    ("steps", "interval"), [(1, 1), (19, 1), (20, 1), (21, 2), (100, 5), (101, 6), (2000, 100)]
)
def test_the_default_evaluation_interval_gives_about_twenty_reports(steps, interval):
    spec = spec_of("digits", training={"steps": steps})
    assert spec.training_of(spec.tasks[0]).evaluation_interval == interval


def test_trial_definitions_have_the_training_settings_of_their_task(tmp_path):
    plan = make_plan(load(write(tmp_path, SWEEP)), tmp_path)
    settings = [
        (d["task"], trial.cell.budget, *(d[key] for key in LENGTHS))
        for trial in plan.trials()
        for d in [trial.definition]
    ]
    first = [
        ("memory", 30_000, 50_000, 16, 30),
        ("digits", 500, 70, 9, 30),
        ("digits", 900, 70, 9, 30),
        ("parentheses", 30_000, 100_000, 16, 30),
    ]
    assert settings == first * 2
    assert plan.step_count == 2 * (50_000 + 70 + 70 + 100_000)
    assert all(trial.cell.parameters <= trial.cell.budget for trial in plan.trials())


def test_the_record_of_a_cell_has_its_training_settings_and_its_budget():
    digits = {"name": "digits", "training": {"steps": 40}, "budgets": [900]}
    plan = small_plan(tasks=[*SMALL["tasks"], digits], architectures=["rnn"])
    parentheses, own_digits = (json.loads(json.dumps(cell.record())) for cell in plan.cells)
    settings = {"divergence_threshold": 1e4, "objective": "loss", "shared_batches": False}
    settings["report"] = "last"
    settings |= {"batch_size": 8, "evaluation_interval": 4}
    assert parentheses["training"] == {"steps": 16, **settings}
    assert own_digits["training"] == {"steps": 40, **settings}
    assert (parentheses["budget"], own_digits["budget"]) == (4000, 900)
    assert own_digits["task"] == {"name": "digits", "options": {}}


def test_objective_and_shared_batches_reach_the_trial_definitions():
    def recorded(**changes):
        plan = small_plan(architectures=["rnn"], **changes)
        definitions = [trial.definition for trial in plan.trials()]
        return {(d["objective"], d["shared_batches"]) for d in definitions}

    assert recorded() == {("loss", False)}
    training = SMALL["training"] | {"shared_batches": True, "objective": "metric"}
    assert recorded(training=training) == {("metric", True)}
    own = {**SMALL["tasks"][0], "training": {"shared_batches": False, "objective": "loss"}}
    assert recorded(training=training, tasks=[own]) == {("loss", False)}


REFUSED = [
    (
        "evaluation_interval: 30",
        "evaluation_interval: 71",
        "22: evaluation_interval is 71, but a trial of digits has only 70 steps: "
        "report no later, or train longer",
    ),
    (
        "      batch_size: 9",
        "      evaluation_interval: 71",
        "10: evaluation_interval is 71, but a trial of digits has only 70 steps: "
        "report no later, or train longer",
    ),
    (
        "  - parentheses",
        "  - {name: parentheses, options: {length: 9},\n     training: {steps: 29}}",
        "23: evaluation_interval is 30, but a trial of parentheses(length=9) has only 29 steps: "
        "report no later, or train longer",
    ),
    (
        "  - name: memory",
        "  - name: memory\n    training: {evaluation_interval: 50_001}",
        "7: evaluation_interval is 50001, but a trial of memory has only 50000 steps: "
        "report no later, or train longer",
    ),
    (
        "grace: 20",
        "grace: 71",
        "19: scheduler.grace is 71, but a trial of digits has only 70 training steps",
    ),
    ("steps: 70", "stesp: 70", "9: unknown key 'stesp'; did you mean 'steps'?"),
    (
        "      batch_size: 9",
        "      xyz: 9",
        "10: unknown key 'xyz'; known: batch_size, divergence_threshold, evaluation_interval, "
        "objective, report, shared_batches, steps",
    ),
    (
        "  - name: memory",
        "  - name: memory\n    budget: [5]",
        "7: unknown key 'budget'; did you mean 'budgets'?",
    ),
    (
        "steps: 70",
        "objective: accuracy",
        "9: 'tasks.1.training.objective' is 'accuracy', but must be 'loss' or 'metric'",
    ),
    (
        "steps: 70",
        "steps: 0",
        "9: 'tasks.1.training.steps' is 0, but must be greater than 0",
    ),
    (
        "batch_size: 16",
        "shared_batches: 1",
        "21: 'training.shared_batches' is 1, but must be a valid boolean",
    ),
    ("      - 900", "      - 500", "13: 500 stands in the list twice"),
    (
        "      - 900",
        "      - 0",
        "13: 'tasks.1.budgets.1' is 0, but must be greater than 0",
    ),
    (
        "  - name: memory",
        "  - name: memory\n    budgets: []",
        "7: 'tasks.0.budgets' is an empty list: give at least one",
    ),
    (
        "  - name: memory",
        "  - name: memory\n    training: 5",
        "7: 'tasks.0.training' is 5, but must be a mapping of keys to values",
    ),
    (  # training settings do not make it another task
        "  - parentheses",
        "  - {name: digits, training: {steps: 71}}",
        "14: digits stands in the list twice",
    ),
]


@pytest.mark.parametrize(("right", "wrong", "sentence"), REFUSED)
def test_a_mistake_in_the_training_of_a_task_is_refused_with_its_line(
    tmp_path, right, wrong, sentence
):
    assert SWEEP.count(right) == 1
    assert refusal(write(tmp_path, SWEEP.replace(right, wrong))) == [sentence]


def test_the_refusal_of_a_sweep_with_a_single_task_does_not_name_the_task(tmp_path):
    text = SWEEP.replace("  - name: memory\n", "").replace("  - parentheses\n", "")
    assert refusal(write(tmp_path, text.replace("interval: 30", "interval: 71"))) == [
        "20: evaluation_interval is 71, but a trial has only 70 steps: "
        "report no later, or train longer"
    ]
    assert refusal(write(tmp_path, text.replace("grace: 20", "grace: 71"))) == [
        "17: scheduler.grace is 71, but a trial has only 70 training steps"
    ]


def test_an_interval_and_a_grace_as_long_as_the_training_are_accepted(tmp_path):
    text = SWEEP.replace("interval: 30", "interval: 70").replace("grace: 20", "grace: 70")
    spec = load(write(tmp_path, text))
    assert [spec.training_of(task).evaluation_interval for task in spec.tasks] == [70] * 3


def test_the_default_evaluation_interval_follows_the_steps_of_each_task(tmp_path):
    """Nothing sets the interval here, so that it is a twentieth of the steps."""
    text = SWEEP.replace("  evaluation_interval: 30\n", "")
    spec = load(write(tmp_path, text))
    assert [spec.training_of(task).evaluation_interval for task in spec.tasks] == [2500, 4, 5000]
