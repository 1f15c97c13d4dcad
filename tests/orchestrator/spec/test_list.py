"""Sweep files: ``search.method: list``, and what only one of the methods may have."""

import json

import pytest

from orchestrator.spec.sweep import load
from tests.support.small import small_plan
from tests.support.sweep_files import SWEEP, refusal, refused, write
from trainables.architectures import search_space
from trainables.space import draw

LIST = """\
  method: list
  configurations:
    - {learning_rate: 1e-3, optimizer: adam}
    - {learning_rate: 1e-2, h_square: normal}
    - optimizer: sgd
"""
RIGHT = SWEEP.replace("  samples: 3\n", LIST)


def listed(*configurations, **changes):
    search = {"method": "list", "configurations": list(configurations)}
    search |= {"space": changes.pop("space", {})}
    return small_plan(
        **{
            "architectures": ["gru", "wcrnn"],
            "tasks": ["arithmetic", "digits"],
            "budgets": [4000],
            "scheduler": "none",
            "training": {"steps": 5},
            "search": search,
        }
        | changes
    )


def test_each_configuration_is_a_sample(tmp_path):
    spec = load(write(tmp_path, RIGHT))
    assert spec.search.samples == 3
    assert json.loads(spec.model_dump_json())["search"]["configurations"][0] == {
        "learning_rate": 1e-3,
        "optimizer": "adam",
    }


def test_what_is_named_is_fixed_and_the_rest_is_that_of_random_search():
    named = [{"learning_rate": 0.05, "compute_steps": 4}, {"optimizer": "adam"}]
    plan = listed(*named)
    drawn = listed(search={"samples": 2})
    assert plan.trial_count == drawn.trial_count == 2 * 4
    both = list(zip(plan.trials(), drawn.trials(), strict=True))
    for ours, random in both:
        assert ours.id == random.id
        space, found = ours.cell.space, ours.definition["configuration"]
        fixed = {k: v for k, v in named[ours.index].items() if k in space}
        rest = {k: v for k, v in random.definition["configuration"].items() if k not in fixed}
        gained = {k: v for k, v in found.items() if k not in fixed and k not in rest}
        assert found == {**rest, **fixed, **gained}
        assert set(gained) <= {"momentum_logit"}  # where random search drew sgd
        seeds = ("network_seed", "data_seed", "steps")
        assert [ours.definition[k] for k in seeds] == [random.definition[k] for k in seeds]
    # Only one of the tasks has compute_steps, and no trial on the other names it.
    assert {"compute_steps" in t.definition["configuration"] for t, _ in both} == {True, False}


def test_a_conditional_hyperparameter_follows_what_is_named():
    plan = listed({"optimizer": "sgd", "momentum_logit": 2.0}, {"momentum_logit": 2.0})
    for trial in plan.trials():
        found = trial.definition["configuration"]
        assert ("momentum_logit" in found) == (found["optimizer"] != "sgd")
        assert found.get("momentum_logit", 2.0) == 2.0
        assert trial.index or found["optimizer"] == "sgd"


def test_values_have_the_type_of_their_hyperparameter():
    (trial, *_) = listed({"clip_norm": 7, "compute_steps": 3.0}).trials()
    found = trial.definition["configuration"]
    assert (found["clip_norm"], found["compute_steps"]) == (7, 3)
    assert (type(found["clip_norm"]), type(found["compute_steps"])) == (float, int)


def test_the_space_narrows_what_a_configuration_leaves_open():
    space = {"optimizer": ["adam", "rmsprop"], "learning_rate": {"low": 1e-3, "high": 2e-3}}
    plan = listed(*({"clip_norm": norm} for norm in range(1, 6)), {"optimizer": "sgd"}, space=space)
    for trial in plan.trials():
        found = trial.definition["configuration"]
        assert 1e-3 <= found["learning_rate"] <= 2e-3
        assert found["optimizer"] in (["sgd"] if trial.index == 5 else ["adam", "rmsprop"])


def test_a_configuration_is_a_pure_function_of_sweep_cell_and_index():
    plan = listed({"clip_norm": 2.0})
    (cell, *_) = plan.cells
    space = search_space("gru") | {"compute_steps": cell.space["compute_steps"]}
    random = draw(space, plan.spec.seed, cell.id, 0)
    assert plan.configuration(cell, 0) == random | {"clip_norm": 2.0}


MISTAKES = [
    ("optimizer: sgd", "optimizer: sgdd", "16: hyperparameter 'optimizer' cannot be 'sgdd'; did "),
    (
        "optimizer: sgd",
        "optimizer: [sgd]",
        "16: hyperparameter 'optimizer' is ['sgd'], but must be one value in a configuration",
    ),
    (
        "optimizer: sgd",
        "learning_rate: {low: 1e-3, high: 1e-2}",
        "16: hyperparameter 'learning_rate' is {'low': 0.001, 'high': 0.01}, but must be one value",
    ),
    (
        "optimizer: sgd",
        "learning_rate: fast",
        "16: hyperparameter 'learning_rate' is 'fast', but must be a number",
    ),
    (
        "optimizer: sgd",
        "learning_rte: 1",
        "16: unknown hyperparameter 'learning_rte'; did you mean 'learning_rate'?",
    ),
    (
        "optimizer: sgd",
        "compute_steps: 1",
        "16: unknown hyperparameter 'compute_steps'; ",
    ),
    ("- optimizer: sgd", "- sgd", "16: 'search.configurations.2' is 'sgd', but must be a valid "),
    (
        "- optimizer: sgd",
        "- {h_square: normal, learning_rate: 0.01}",
        "16: configuration {h_square: normal, learning_rate: 0.01} stands in the list twice",
    ),
    (
        "method: list\n",
        "method: list\n  samples: 3\n",
        "13: search list runs each of its configurations once and has no 'samples'",
    ),
    (
        "method: list\n",
        "method: list\n  of: other\n",
        "13: search list repeats nothing and has no 'of'",
    ),
    (
        "method: list\n",
        "method: random\n  samples: 3\n",
        "14: search random has no 'configurations': they are those of search list",
    ),
    (
        "method: list\n",
        "method: gp\n  samples: 3\n",
        "14: search gp has no 'configurations': they are those of search list",
    ),
]


@pytest.mark.parametrize(("right", "wrong", "sentence"), MISTAKES)
def test_a_list_that_cannot_be(tmp_path, right, wrong, sentence):
    assert RIGHT.count(right) == 1
    (said,) = refusal(write(tmp_path, RIGHT.replace(right, wrong)))
    assert said.startswith(sentence)


WITHOUT = [
    (
        "  method: list\n",
        ["12: search list needs 'configurations', a list like [{learning_rate: 1e-3}]"],
    ),
    (
        "  method: list\n  configurations: []\n",
        ["13: 'search.configurations' is an empty list: give at least one"],
    ),
    (
        "  method: list\n  configurations: 3\n",
        ["13: 'search.configurations' is 3, but must be a list, like [3]"],
    ),
    ("  method: gp\n", ["11: the key 'search.samples' is missing"]),
    ("  method: gp\n  samples: 0\n", ["13: 'search.samples' is 0, but must be greater than 0"]),
    (
        "  method: gp\n  samples: 3\n  of: other\n",
        ["14: search gp repeats nothing and has no 'of'"],
    ),
    (
        "  method: repeat\n  of: other\n  samples: 3\n  configurations: [{l2: 0}]\n",
        ["16: search repeat searches nothing and has no 'space'"],
    ),
]


@pytest.mark.parametrize(("search", "sentences"), WITHOUT)
def test_what_a_method_needs(tmp_path, search, sentences):
    assert refused(tmp_path, "  samples: 3\n", search) == sentences


def test_a_task_must_be_able_to_have_a_value(tmp_path):
    text = RIGHT.replace("  - digits\n", "  - arithmetic\n")
    text = text.replace("optimizer: sgd", "compute_steps: 7")
    assert refusal(write(tmp_path, text)) == [
        "16: hyperparameter 'compute_steps' is 7, but must be from 1 to 6"
    ]


def test_gp_takes_samples_and_a_space(tmp_path):
    spec = load(write(tmp_path, SWEEP.replace("samples: 3", "samples: 3\n  method: gp")))
    assert (spec.search.method, spec.search.samples) == ("gp", 3)
    assert spec.search.space["optimizer"] == ["adam", "rmsprop"]


def test_trials_and_steps_are_those_of_the_list():
    plan = listed({"l2": 0}, {})
    assert (plan.spec.search.samples, plan.trial_count, plan.step_count) == (2, 8, 40)
