"""Compares errors over units per layer with SQL and closed forms."""

import math

import numpy as np
import pytest

from orchestrator.views.tables.memory import memory
from tests.support.compare import assert_same, ordered
from tests.support.studies import PARENTHESES, Folder, completed, infeasible

SIXTEEN = {"name": "memory", "options": {"size": 16, "delay": 3}}
COPY = {"name": "delayed_copy", "options": {"size": 5, "delay": 8}}
BEST = """
    with best as (
        select * from trials where outcome = 'completed' and task like 'memory%'
        qualify row_number() over (partition by cell order by objective, "index") = 1
    )
    select task, depth, architecture, hidden, parameters, trial, evaluation_metric,
        list_aggregate(lane_evaluation_metrics, 'stddev_samp'),
        list_aggregate(lane_evaluation_metrics, 'count'), hidden / 3,
        sqrt(greatest(0, 1 - hidden / 3))
    from best order by all
"""
COLUMNS = ["task", "depth", "architecture", "hidden", "parameters", "trial", "error"]
COLUMNS += ["error_deviation", "networks", "units_per_input", "subspace_error"]


def test_every_number_in_the_memory_table_is_that_of_sql(at_random):
    tidy = memory(at_random.study).tidy
    assert len(tidy) == 18
    assert_same(ordered(tidy[tidy["trial"].notna()], COLUMNS), at_random.sql(BEST))


def filled(tmp_path, errors, **changes):
    """Fill each cell with a trial of the error that ``errors`` returns; infeasible if None."""
    folder = Folder.of(tmp_path, **{"architectures": ["rnn"], "tasks": [SIXTEEN], **changes})
    rows = {}
    for cell in folder.plan.cells:
        error = errors(cell)
        rows[f"{cell.id}_00000"] = (
            infeasible() if error is None else completed(0.1, error**2, metrics=[error] * 2)
        )
    folder.write(rows)
    return folder


def lost_dimensions(cell):
    return math.sqrt(max(0.0, 1 - cell.hidden / 16))


def test_a_vector_is_reconstructed_if_there_are_as_many_units_as_the_paper_found(tmp_path):
    budgets = [300, 700, 760, 850, 900, 1000, 2000]
    folder = filled(tmp_path, lost_dimensions, budgets=budgets)
    table = memory(folder.study)
    hidden = [*table.tidy["hidden"]]
    assert hidden == sorted(hidden)
    assert 15 in hidden
    assert 16 in hidden
    assert [*table.tidy["reconstructed"]] == [*table.tidy["published"]]
    assert [*table.tidy["published"]] == [units >= 16 for units in hidden]
    assert np.allclose(table.tidy["error"], table.tidy["subspace_error"])


def test_a_vector_with_one_lost_dimension_is_not_reconstructed(tmp_path):
    def error(cell):  # equal to or just below the error if one of sixteen is lost
        return 0.25 if cell.budget == 2000 else 0.2499

    tidy = memory(filled(tmp_path, error, budgets=[2000, 3000]).study).tidy
    assert [*tidy["reconstructed"]] == [False, True]
    assert [*tidy["published"]] == [True, True]


def test_curves_of_error_stand_one_after_another_from_narrow_to_wide_networks(tmp_path):
    folder = filled(
        tmp_path,
        lost_dimensions,
        architectures=["rnn", "gru"],
        budgets=[2000, 500, 1000],
        depths=[1, 2],
    )
    tidy = memory(folder.study).tidy
    curves = [*dict.fromkeys(zip(tidy["depth"], tidy["architecture"], strict=True))]
    assert curves == [(1, "rnn"), (1, "gru"), (2, "rnn"), (2, "gru")]
    for _, curve in tidy.groupby(["depth", "architecture"]):
        assert len(curve) == 3
        assert curve["hidden"].is_monotonic_increasing


def test_a_cell_without_a_completed_trial_is_a_dash_with_its_reason(tmp_path):
    table = memory(filled(tmp_path, lambda cell: None).study)
    (row,) = table.shown.to_dict("records")
    assert (row["error"], row["reconstructed"]) == ("-", "-")
    assert row["published"] == "yes"
    assert table.notes[-1] == (
        "'-': no trial of rnn at depth 1, budget 4000, on memory(delay=3, size=16) completed "
        "(0 stopped, 1 infeasible, 0 errored)."
    )


def test_a_best_trial_without_a_number_is_a_dash_with_its_reason(tmp_path):
    table = memory(filled(tmp_path, lambda cell: math.nan).study)
    assert [*table.shown["error"]] == [*table.shown["reconstructed"]] == ["-"]
    assert table.notes[-1].startswith("'-': the best of 1 completed trials of rnn at depth 1")


@pytest.mark.parametrize(("depth", "units"), [(1, 45), (2, 25), (4, 15), (8, 10), (3, 19)])
def test_a_linear_network_needs_as_many_units_to_delay_a_copy_as_the_bound_says(
    tmp_path, depth, units
):
    """The number is the least whole n with p d <= L (n - d)."""
    folder = filled(
        tmp_path, lambda cell: 0.1, architectures=["linear_rnn"], tasks=[COPY], depths=[depth]
    )
    table = memory(folder.study)
    (needed,) = table.tidy["units_needed"]
    assert needed == units
    assert depth * (needed - 5) >= 8 * 5
    assert depth * (needed - 1 - 5) < 8 * 5
    (row,) = table.shown.to_dict("records")
    assert (row["subspace"], row["reconstructed"], row["published"]) == ("-", "-", "-")
    assert "delayed_copy" in table.notes[1]


def test_a_sweep_without_a_memory_task_has_no_memory_table(tmp_path):
    folder = Folder.of(tmp_path, tasks=[PARENTHESES])
    folder.fill("rnn", completed(0.1, 0.1))
    assert memory(folder.study).tidy.empty
