"""Compares numbers of configurations until the minimal performance with SQL and enumeration."""

import math
from itertools import permutations

import numpy as np
import pytest

from orchestrator.views.study.statistics import clopper_pearson
from orchestrator.views.tables.configurations_until import configurations_until
from tests.support.compare import assert_same, ordered
from tests.support.random_search import random_search
from tests.support.studies import (
    MEMORY,
    PARENTHESES,
    Folder,
    completed,
    errored,
    infeasible,
    stopped,
)
from trainables import tasks

UNTIL = """
    with tried as (
        select *, row_number() over (partition by cell order by "index") as k,
            outcome = 'completed' and case when task like 'memory%'
                then evaluation_metric <= 0.3 else evaluation_metric >= {accuracy} end as good
        from trials where outcome != 'errored'
    )
    select task, depth, budget, architecture, count(*), count(*) filter (good),
        cast(min(k) filter (good) as double),
        case when count(*) filter (good) > 0
            then (count(*) + 1) / (count(*) filter (good) + 1) end
    from tried group by all order by all
"""
COLUMNS = ["task", "depth", "budget", "architecture", "tried", "reached", "until", "expected"]


def halfway():
    return (1 + tasks.make(**PARENTHESES).baseline().metric) / 2


@pytest.mark.parametrize("seed", [1, 2])
def test_every_number_in_the_configurations_until_table_is_that_of_sql(tmp_path, seed):
    folder = random_search(tmp_path, seed)
    tidy = configurations_until(folder.study).tidy
    assert_same(ordered(tidy, COLUMNS), folder.sql(UNTIL.format(accuracy=halfway())))
    for row in tidy.to_dict("records"):
        low, high = clopper_pearson(row["reached"], row["tried"])
        assert row["expected_low"] == 1 / high
        assert row["expected_high"] == (1 / low if row["reached"] else math.inf)


def table_of(tmp_path, *ends, **changes):
    folder = Folder.of(tmp_path, **{"tasks": [MEMORY], **changes})
    folder.fill("rnn", *ends)
    return configurations_until(folder.study)


def good(metric=0.2):
    return completed(1.0, 1.0, metrics=[metric, metric])


@pytest.mark.parametrize("tried", range(1, 6))
def test_the_expected_number_of_configurations_is_the_mean_over_all_orders(tmp_path, tried):
    ends = [good(), infeasible(), good(0.9), good(0.3), good(0.31)][:tried]
    table = table_of(tmp_path, *ends)
    reaches = [True, False, False, True, False][:tried]
    firsts = [order.index(True) + 1 for order in permutations(reaches)]
    (row,) = table.tidy.to_dict("records")
    assert row["expected"] == pytest.approx(sum(firsts) / len(firsts))


def test_only_completed_trials_reach_the_threshold_and_errored_ones_are_not_tried(tmp_path):
    early = stopped() | {"evaluation_metric": 0.0}
    lost = infeasible() | {"evaluation_metric": 0.0}
    table = table_of(tmp_path, errored(), early, lost, good())
    (row,) = table.tidy.to_dict("records")
    assert (row["until"], row["tried"], row["reached"]) == (3, 3, 1)
    # If trials were stopped, no expected number is estimated.
    assert math.isnan(row["expected"]) and math.isnan(row["expected_low"])
    (shown,) = table.shown.to_dict("records")
    assert (shown["until"], shown["expected"], shown["95 % interval"]) == ("3", "-", "-")
    assert table.notes[-1].startswith("Nothing is expected of 1 cell, for trials of theirs")


@pytest.mark.parametrize("ends", [[infeasible()], [good(0.4)], [good(math.nan)]])
def test_where_no_trial_reached_the_threshold_the_number_tried_is_a_bound(tmp_path, ends):
    (shown,) = table_of(tmp_path, *ends * 4).shown.to_dict("records")
    assert (shown["reached"], shown["until"], shown["expected"]) == ("0 of 4", "> 4", "-")
    # 1 / (1 - 0.025 ** (1 / 4))
    assert shown["95 % interval"] == ">= 1.66"


def test_the_threshold_is_shown_in_the_form_of_the_metric(tmp_path):
    (shown,) = table_of(tmp_path, good(1.0), tasks=[PARENTHESES]).shown.to_dict("records")
    assert shown["threshold"] == f"{100 * halfway():.1f} % accuracy"
    assert shown["until"] == "1"


def test_a_task_whose_threshold_depends_on_the_configuration_has_no_row(tmp_path):
    table = table_of(tmp_path, good(1e6), good(1e6), tasks=["perceptron_capacity"])
    assert table.tidy.empty and table.shown.empty
    assert table.notes[-1] == (
        "Left out: perceptron_capacity, whose threshold differs between trials."
    )


def test_a_task_whose_hyperparameters_leave_the_threshold_as_it_is_has_its_row(tmp_path):
    task = {"name": "arithmetic", "options": {"held_out_size": 32}}
    ends = [good(0.4), good(0.99), good(0.5), good(0.4)]
    (row,) = table_of(tmp_path, *ends, tasks=[task]).tidy.to_dict("records")
    assert row["threshold"] == (1 + tasks.make("arithmetic", {}).baseline().metric) / 2
    assert (row["until"], row["reached"], row["tried"]) == (2, 1, 4)


@pytest.mark.parametrize("rate", [0.02, 0.2, 0.7])
def test_the_expected_number_and_its_limits_hold_for_a_known_rate(rate):
    """The limits of at least 190 of 200 sweeps should hold the rate, with a deviation of three."""
    tried = 150
    reached = np.random.default_rng(3).binomial(tried, rate, 200)
    limits = [clopper_pearson(int(m), tried) for m in reached]
    assert sum(1 / high <= 1 / rate <= (1 / low if low else math.inf) for low, high in limits) > 181
    estimates = (tried + 1) / (reached + 1)
    # (n + 1) / (m + 1) has the mean (1 - (1 - p) ** (n + 1)) / p.
    error = np.std(estimates) / math.sqrt(200)
    assert abs(np.mean(estimates) - (1 - (1 - rate) ** (tried + 1)) / rate) < 3 * error
