"""Sweep files may list configurations; keys of another search method are refused."""

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
LIST_SWEEP = SWEEP.replace("  samples: 3\n", LIST)


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


def test_each_listed_configuration_counts_as_a_sample(tmp_path):
    spec = load(write(tmp_path, LIST_SWEEP))
    assert spec.search.samples == 3
    assert json.loads(spec.model_dump_json())["search"]["configurations"][0] == {
        "learning_rate": 1e-3,
        "optimizer": "adam",
    }


def test_listed_hyperparameters_are_fixed_and_the_others_drawn_as_by_random_search():
    named = [{"learning_rate": 0.05, "compute_steps": 4}, {"optimizer": "adam"}]
    plan = listed(*named)
    drawn = listed(search={"samples": 2})
    assert plan.trial_count == drawn.trial_count == 2 * 4
    pairs = list(zip(plan.trials(), drawn.trials(), strict=True))
    for listed_trial, random_trial in pairs:
        assert listed_trial.id == random_trial.id
        space, configuration = listed_trial.cell.space, listed_trial.definition["configuration"]
        fixed = {k: v for k, v in named[listed_trial.index].items() if k in space}
        open_values = {
            k: v for k, v in random_trial.definition["configuration"].items() if k not in fixed
        }
        gained = {k: v for k, v in configuration.items() if k not in fixed and k not in open_values}
        assert configuration == {**open_values, **fixed, **gained}
        assert set(gained) <= {"momentum_logit"}  # random search drew sgd, which has no momentum
        seeds = ("network_seed", "data_seed", "steps")
        assert [listed_trial.definition[k] for k in seeds] == [
            random_trial.definition[k] for k in seeds
        ]
    # Only one of the tasks has compute_steps, and no trial on the other names it.
    assert {"compute_steps" in trial.definition["configuration"] for trial, _ in pairs} == {
        True,
        False,
    }


def test_a_conditional_hyperparameter_of_a_list_is_present_only_if_its_condition_holds():
    plan = listed({"optimizer": "sgd", "momentum_logit": 2.0}, {"momentum_logit": 2.0})
    for trial in plan.trials():
        configuration = trial.definition["configuration"]
        assert ("momentum_logit" in configuration) == (configuration["optimizer"] != "sgd")
        assert configuration.get("momentum_logit", 2.0) == 2.0
        assert trial.index or configuration["optimizer"] == "sgd"


def test_listed_values_are_converted_to_the_type_of_their_hyperparameter():
    (trial, *_) = listed({"clip_norm": 7, "compute_steps": 3.0}).trials()
    configuration = trial.definition["configuration"]
    assert (configuration["clip_norm"], configuration["compute_steps"]) == (7, 3)
    assert (type(configuration["clip_norm"]), type(configuration["compute_steps"])) == (float, int)


def test_the_space_narrows_hyperparameters_that_a_listed_configuration_leaves_open():
    space = {"optimizer": ["adam", "rmsprop"], "learning_rate": {"low": 1e-3, "high": 2e-3}}
    plan = listed(*({"clip_norm": norm} for norm in range(1, 6)), {"optimizer": "sgd"}, space=space)
    for trial in plan.trials():
        configuration = trial.definition["configuration"]
        assert 1e-3 <= configuration["learning_rate"] <= 2e-3
        assert configuration["optimizer"] in (["sgd"] if trial.index == 5 else ["adam", "rmsprop"])


def test_a_listed_configuration_is_a_pure_function_of_sweep_cell_and_index():
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
def test_a_mistake_in_a_list_of_configurations_is_refused_with_its_line(
    tmp_path, right, wrong, sentence
):
    assert LIST_SWEEP.count(right) == 1
    (message,) = refusal(write(tmp_path, LIST_SWEEP.replace(right, wrong)))
    assert message.startswith(sentence)


UNFIT_KEYS = [
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


@pytest.mark.parametrize(("search", "sentences"), UNFIT_KEYS)
def test_a_search_method_with_missing_or_unfit_keys_is_refused_with_its_line(
    tmp_path, search, sentences
):
    assert refused(tmp_path, "  samples: 3\n", search) == sentences


def test_a_listed_value_outside_the_range_of_a_tasks_hyperparameter_is_refused(tmp_path):
    text = LIST_SWEEP.replace("  - digits\n", "  - arithmetic\n")
    text = text.replace("optimizer: sgd", "compute_steps: 7")
    assert refusal(write(tmp_path, text)) == [
        "16: hyperparameter 'compute_steps' is 7, but must be from 1 to 6"
    ]


def test_search_gp_accepts_samples_and_a_space(tmp_path):
    spec = load(write(tmp_path, SWEEP.replace("samples: 3", "samples: 3\n  method: gp")))
    assert (spec.search.method, spec.search.samples) == ("gp", 3)
    assert spec.search.space["optimizer"] == ["adam", "rmsprop"]


def test_the_plan_of_a_list_counts_its_trials_and_steps():
    plan = listed({"l2": 0}, {})
    assert (plan.spec.search.samples, plan.trial_count, plan.step_count) == (2, 8, 40)
