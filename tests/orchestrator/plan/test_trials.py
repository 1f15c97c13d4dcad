"""A plan's trials have a fixed order, and each is a pure function of (seed, cell, index)."""

import json
import re
from itertools import groupby

import pytest
from scipy import stats

from tests.support.small import SMALL, small_plan
from trainables.space import LogUniform

SIZES = {"architectures": ["rnn", "gru", "wcrnn"], "depths": [1, 2], "budgets": [3000, 4000]}
MEMORY = {"name": "memory", "options": {"size": 5, "delay": 2}}


def definitions(**changes):
    """Return the definition of each trial by its id, passed through JSON: plain values only."""
    return {t.id: json.loads(json.dumps(t.definition)) for t in small_plan(**changes).trials()}


def test_the_first_configuration_of_every_cell_comes_before_the_second_of_any():
    plan = small_plan(**SIZES)
    cells = [cell.id for cell in plan.cells]
    assert len(cells) == 3 * 2 * 2
    rounds = [[t.cell.id for t in same] for _, same in groupby(plan.trials(), lambda t: t.index)]
    assert rounds == [cells] * 6
    assert [t.id for t in plan.trials()] == [t.id for t in plan.trials()]


def test_cells_are_in_the_order_of_the_file():
    plan = small_plan(**SIZES, tasks=[MEMORY, *SMALL["tasks"]])
    places = [(c.task.name, c.depth, c.budget, c.architecture.name) for c in plan.cells]
    assert places == [
        (task, depth, budget, name)
        for task in ("memory", "parentheses")
        for depth in (1, 2)
        for budget in (3000, 4000)
        for name in ("rnn", "gru", "wcrnn")
    ]


def test_trial_ids_are_unique_and_folder_safe_and_stand_in_the_definitions():
    options = {"residual": "heterogeneous", "alpha": 0.98, "gamma": 1e-5}
    plan = small_plan(architectures=["gru", {"name": "wcrnn", "options": options}], depths=[1, 2])
    trials = list(plan.trials())
    ids = [t.id for t in trials]
    assert len({i.lower() for i in ids}) == len(ids) == 2 * 2 * 6
    for trial in trials:
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", trial.id)
        assert trial.id == f"{trial.cell.id}_{trial.index:05d}"
        assert (trial.definition["trial"], trial.definition["cell"]) == (trial.id, trial.cell.id)
    assert plan.cells[1].id == (
        "parentheses-held-out-size-32-length-6_wcrnn-alpha-0.98-gamma-1e-05-residual-heterogeneous"
        "_d1_p4000"
    )


def test_a_trial_definition_holds_the_values_of_the_file():
    for trial in small_plan().trials():
        expected = {
            "architecture": trial.cell.architecture.name,
            "architecture_options": {},
            "depth": 1,
            "hidden": trial.cell.hidden,
            "task": "parentheses",
            "task_options": {"length": 6, "held_out_size": 32},
            "replicates": 2,
            "steps": 16,
            "batch_size": 8,
            "evaluation_interval": 4,
            "divergence_threshold": 1e4,
        }
        assert {key: trial.definition[key] for key in expected} == expected


def grown():
    """Return changes that make the small sweep a larger one."""
    return {
        "an architecture before": {"architectures": ["lstm", "rnn", "gru"]},
        "an architecture after": {"architectures": ["rnn", "gru", "intersection"]},
        "the other order": {"architectures": ["gru", "rnn"]},
        "more samples": {"search": {**SMALL["search"], "samples": 9}},
        "a depth": {"depths": [3, 1]},
        "a task": {"tasks": [MEMORY, *SMALL["tasks"]]},
        "a budget": {"budgets": [9000, 4000]},
        "another name": {"name": "other"},
    }


@pytest.mark.parametrize("change", grown().values(), ids=grown())
def test_growing_a_sweep_changes_none_of_its_earlier_trials(change):
    small, more = definitions(), definitions(**change)
    assert {trial: more[trial] for trial in small} == small


@pytest.mark.parametrize("fixed", [{"optimizer": "adam"}, {"clip_norm": 1.0}])
def test_fixing_a_hyperparameter_changes_no_draw_of_the_others(fixed):
    space = {**SMALL["search"]["space"], **fixed}
    small, narrowed = definitions(), definitions(search={"samples": 6, "space": space})
    for trial, definition in small.items():
        before, after = definition["configuration"], narrowed[trial]["configuration"]
        assert after == {**before, **fixed} | {k: after[k] for k in after.keys() - before.keys()}
        assert after.keys() - before.keys() <= {"momentum_logit"}  # sgd has no momentum


def test_seeds_and_configurations_differ_between_trials_and_sweep_seeds():
    changes = {**SIZES, "tasks": [MEMORY, *SMALL["tasks"]]}
    first, second = definitions(**changes), definitions(**changes, seed=4)
    trials = [*first.values(), *second.values()]
    assert len({d["network_seed"] for d in trials}) == len(trials) == 2 * 2 * 3 * 2 * 2 * 6
    assert len({json.dumps(d["configuration"], sort_keys=True) for d in trials}) == len(trials)
    assert all(0 <= d["network_seed"] < 2**63 for d in trials)


def test_all_trials_on_a_task_see_the_same_data():
    changes = {**SIZES, "tasks": [MEMORY, {"name": "memory"}, *SMALL["tasks"]]}
    seeds = [
        {(json.dumps(d["task_options"]), d["task"]): d["data_seed"] for d in by_trial.values()}
        for by_trial in (definitions(**changes), definitions(**changes, seed=4))
    ]
    assert [len(seeds_of_sweep) for seeds_of_sweep in seeds] == [3, 3]
    assert len({seed for seeds_of_sweep in seeds for seed in seeds_of_sweep.values()}) == 6
    for seeds_of_sweep, seed in zip(seeds, (3, 4), strict=True):
        for definition in definitions(**changes, seed=seed).values():
            key = (json.dumps(definition["task_options"]), definition["task"])
            assert definition["data_seed"] == seeds_of_sweep[key]


def test_configurations_are_drawn_from_the_narrowed_space():
    space = {
        "learning_rate": {"low": 1e-3, "high": 1e-2},
        "optimizer": ["adam", "sgd"],
        "l2": [0, 1e-5],
        "forget_bias": {"low": 1, "high": 1.5},
    }
    plan = small_plan(architectures=["gru"], search={"samples": 300, "space": space})
    drawn = [trial.definition["configuration"] for trial in plan.trials()]
    assert {d["optimizer"] for d in drawn} == {"adam", "sgd"}
    assert {d["l2"] for d in drawn} == {0.0, 1e-5}
    ranges = {
        "learning_rate": stats.loguniform(1e-3, 1e-2),
        "forget_bias": stats.uniform(1, 0.5),
        "clip_norm": stats.loguniform(1, 100),  # the file does not name it: the paper's range holds
    }
    for name, distribution in ranges.items():
        assert stats.kstest([d[name] for d in drawn], distribution.cdf).pvalue > 0.01, name
    assert plan.cells[0].space["learning_rate"] == LogUniform(1e-3, 1e-2)
