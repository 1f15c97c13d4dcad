"""Compares losses at matched parameter counts with SQL and with results by hand."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from orchestrator.views.study.study import Study
from orchestrator.views.tables.matched import parameter_matched
from tests.support.compare import assert_same, ordered
from tests.support.studies import MEMORY, Folder, completed, errored, infeasible, stopped

BEST = """
    with best as (
        select * from trials where outcome = 'completed'
        qualify row_number() over (partition by cell order by objective, "index") = 1
    )
    select task, depth, budget, architecture, hidden, parameters, trial, validation_loss,
        evaluation_loss, list_aggregate(lane_evaluation_losses, 'stddev_samp'), metric,
        evaluation_metric, list_aggregate(lane_evaluation_metrics, 'stddev_samp'),
        list_aggregate(lane_evaluation_losses, 'count')
    from best order by task, depth, budget, architecture
"""
COLUMNS = ["task", "depth", "budget", "architecture", "hidden", "parameters", "trial"]
COLUMNS += ["validation_loss", "evaluation_loss", "evaluation_loss_deviation", "metric"]
COLUMNS += ["evaluation_metric", "evaluation_metric_deviation", "networks"]
COUNTS = """
    select task, depth, budget, architecture, count(*) filter (outcome = 'completed'),
        count(*) filter (outcome = 'stopped'), count(*) filter (outcome = 'infeasible'),
        count(*) filter (outcome = 'errored')
    from trials group by all order by task, depth, budget, architecture
"""


def test_every_number_in_the_parameter_matched_table_is_that_of_sql(at_random):
    tidy = parameter_matched(at_random.study).tidy
    assert len(tidy) == len(at_random.plan.cells) == 2 * 2 * (5 * 2 - 1)
    assert_same(ordered(tidy[tidy["trial"].notna()], COLUMNS), at_random.sql(BEST))
    counts = [*COLUMNS[:4], "completed", "stopped", "infeasible", "errored"]
    ended = tidy[tidy[counts[4:]].sum(axis=1) > 0]
    assert_same(ordered(ended, counts), at_random.sql(COUNTS))


def test_cells_stand_in_the_order_of_the_file_and_match_the_plan(at_random):
    tidy = parameter_matched(at_random.study).tidy
    cells = at_random.plan.cells
    assert [*tidy["architecture"]] == [cell.architecture.label for cell in cells]
    assert [*zip(tidy["hidden"], tidy["parameters"], strict=True)] == [
        (cell.hidden, cell.parameters) for cell in cells
    ]


def test_the_baseline_of_the_memory_task_has_a_loss_of_one(at_random):
    tidy = parameter_matched(at_random.study).tidy
    memory = tidy[tidy["metric"] == "rms"]  # a uniform number in [-3^.5, 3^.5] has variance 1
    assert len(memory) == 18
    assert set(memory["baseline_loss"]) == set(memory["baseline_metric"]) == {1.0}


def table_of(tmp_path, *ends, **changes):
    folder = Folder.of(tmp_path, tasks=[MEMORY], **changes)
    folder.fill("rnn", *ends)
    folder.fill("gru", completed(0.25, 0.5, metrics=[0.6, 0.8]))
    return parameter_matched(folder.study)


def only(table, architecture="rnn"):
    (row,) = table.tidy[table.tidy["architecture"] == architecture].to_dict("records")
    return row


def test_the_best_by_validation_shows_its_evaluation_even_if_others_evaluate_better(tmp_path):
    better = completed(0.2, 0.01)
    table = table_of(
        tmp_path, stopped(0.0), better, completed(0.1, 0.7, lanes=[0.6, 0.8]), infeasible()
    )
    row = only(table)
    assert row["trial"].endswith("_rnn_d1_p4000_00002")
    assert (row["validation_loss"], row["evaluation_loss"]) == (0.1, 0.7)
    assert row["evaluation_loss_deviation"] == pytest.approx(0.1 * math.sqrt(2))
    assert (row["completed"], row["stopped"], row["infeasible"], row["errored"]) == (2, 1, 1, 0)
    assert table.shown.to_dict("records") == [
        {
            "task": "memory(delay=2, size=3)",
            "depth": 1,
            "budget": 4000,
            "baseline": "1 (1)",
            "rnn": "0.7 (0.5)",
            "gru": "0.5 (0.7)",
        }
    ]
    assert table.notes == (
        "Evaluation loss (metric) of the best completed trial by validation; 'baseline' ignores "
        "its input.",
    )


def test_of_ties_the_earlier_configuration_counts_whichever_ended_first(tmp_path):
    folder = Folder.of(tmp_path, tasks=[MEMORY])
    folder.fill("rnn", None, completed(0.1, 2.0))
    folder.fill("rnn", completed(0.1, 1.0))
    assert only(parameter_matched(folder.study))["evaluation_loss"] == 1.0


@pytest.mark.parametrize(
    ("ends", "reason"),
    [
        ([infeasible()] * 3, "0 stopped, 3 infeasible, 0 errored"),
        ([stopped(), stopped(), infeasible(), errored()], "2 stopped, 1 infeasible, 1 errored"),
        ([errored()], "0 stopped, 0 infeasible, 1 errored"),
        ([], "0 stopped, 0 infeasible, 0 errored"),
    ],
)
def test_a_cell_without_a_completed_trial_is_a_dash_with_its_reason(tmp_path, ends, reason):
    table = table_of(tmp_path, *ends)
    assert (table.shown["rnn"].item(), table.shown["gru"].item()) == ("-", "0.5 (0.7)")
    row = only(table)
    assert (pd.isna(row["trial"]), row["networks"]) == (True, 0)
    assert np.isnan(
        [row["evaluation_loss"], row["validation_loss"], row["evaluation_metric"]]
    ).all()
    assert table.notes[1:] == (
        "'-': no trial of rnn at depth 1, budget 4000, on memory(delay=2, size=3) completed "
        f"({reason}).",
    )


def test_an_impossible_cell_is_a_dash_with_its_reason_told_once(tmp_path):
    table = table_of(tmp_path, architectures=["rnn", "intersection", "gru"], budgets=[4000])
    assert table.shown["intersection"].item() == "-"
    assert "'-': intersection does not exist at depth 1: it needs depth 2 or more." in table.notes
    assert "intersection" not in {*table.tidy["architecture"]}


def test_a_network_that_diverged_is_left_out_of_the_deviation(tmp_path):
    nan = math.nan
    lanes = {"lanes": [0.1, nan, 0.3], "metrics": [0.2, nan, 0.6]}
    row = only(table_of(tmp_path, completed(3.0, 3.4, **lanes), replicates=3))
    assert row["networks"] == 2
    assert (
        row["evaluation_loss"] == 3.4
    )  # the trial's own loss, with the threshold for the lost network
    assert row["evaluation_loss_deviation"] == pytest.approx(0.2 / math.sqrt(2))
    assert row["evaluation_metric_deviation"] == pytest.approx(0.4 / math.sqrt(2))
    single = only(
        table_of(tmp_path / "one", completed(3.0, 3.4, lanes=[nan, nan, 0.3]), replicates=3)
    )
    assert (single["networks"], math.isnan(single["evaluation_loss_deviation"])) == (1, True)


def test_a_trial_that_errored_and_completed_later_counts_once(tmp_path):
    folder = Folder.of(tmp_path, tasks=[MEMORY])
    folder.fill("rnn", errored(), errored())
    folder.fill("rnn", completed(0.1, 1.0))
    row = only(parameter_matched(folder.study))
    assert (row["completed"], row["errored"], row["evaluation_loss"]) == (1, 1, 1.0)


def test_a_further_metric_has_a_row_of_its_own(tmp_path):
    folder = Folder.of(tmp_path)
    folder.fill("rnn", completed(0.5, 0.5, further=json.dumps({"half": 0.25})))
    folder.fill("gru", completed(0.4, 0.4, further=json.dumps({"half": 0.125})))
    table = parameter_matched(Study(folder.paths))
    (row,) = table.shown[table.shown["task"].str.endswith(" half")].to_dict("records")
    assert (row["baseline"], row["rnn"], row["gru"]) == ("-", "0.25", "0.125")
    assert table.tidy["half"].tolist() == [0.25, 0.125]
