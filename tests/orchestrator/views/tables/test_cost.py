"""Compares the cost of trials with SQL and with results by hand."""

import pytest

from orchestrator.views.study.study import Study
from orchestrator.views.tables.cost import cost
from tests.support.compare import assert_same, ordered
from tests.support.studies import PARENTHESES, Folder, completed, errored, infeasible, stopped
from trainables.tasks import make

COUNTS = """
    select task, depth, budget, architecture, outcome, count(*), sum(step)::bigint,
        sum(seconds) / 3600, 16 * count(*),
        coalesce(sum(16 - step) filter (outcome = 'stopped'), 0)::bigint
    from trials group by all order by task, depth, budget, architecture, outcome
"""
COLUMNS = ["task", "depth", "budget", "architecture", "outcome", "trials", "steps", "hours"]
COLUMNS += ["steps_if_never_stopped", "saved_steps"]


def test_every_sum_in_the_cost_table_is_that_of_sql(at_random):
    tidy = cost(at_random.study).tidy
    assert_same(ordered(tidy, COLUMNS, key=5), at_random.sql(COUNTS))


def test_operations_and_savings_of_trials_are_those_computed_by_hand(tmp_path):
    folder = Folder.of(tmp_path, search={"samples": 8})
    ends = [completed(1, 1), completed(1, 1), stopped(), infeasible(step=4), errored()]
    folder.fill("gru", *(end | {"seconds": 90.0} for end in ends))
    folder.fill("rnn", completed(1, 1))
    tidy = cost(folder.study).tidy.set_index(["architecture", "outcome"])
    gru = tidy.loc["gru"]
    assert dict(gru["trials"]) == {"completed": 2, "infeasible": 1, "stopped": 1, "errored": 1}
    assert dict(gru["steps"]) == {"completed": 32, "infeasible": 4, "stopped": 8, "errored": 0}
    assert gru.loc["completed", "hours"] == pytest.approx(180 / 3600)
    (cell,) = [cell for cell in folder.plan.cells if cell.architecture.label == "gru"]
    task = make(**PARENTHESES)
    # A weight takes two operations forward and four backward; the readout runs at one step.
    readout = (cell.hidden + 1) * task.outputs
    products = (cell.parameters - readout) * task.length + readout
    step_operations = 6 * 2 * 8 * products  # 2 networks, 8 samples
    assert gru.loc["completed", "operations"] == pytest.approx(32 * step_operations)
    # One trial was stopped at step 8 of 16; the infeasible one saved nothing.
    assert dict(gru["saved_steps"]) == {"completed": 0, "infeasible": 0, "stopped": 8, "errored": 0}
    assert gru.loc["stopped", "saved_operations"] == pytest.approx(8 * step_operations)
    assert gru.loc["stopped", "saved_hours"] == pytest.approx(8 * (5 * 90 / 3600) / 44)
    shown = cost(folder.study).shown
    assert [*shown["architecture"]] == ["rnn", "gru", ""]
    (gru_row,) = shown[shown["architecture"] == "gru"].to_dict("records")
    assert gru_row["saved steps"] == "10.0 %"  # 8 of 5 x 16
    assert shown["trials"].tolist() == [1, 5, 6]


def test_the_cost_of_errored_trials_alone_has_no_savings_and_no_division_by_zero(tmp_path):
    folder = Folder.of(tmp_path)
    folder.fill("gru", errored())
    (row,) = cost(folder.study).tidy.to_dict("records")
    assert (row["trials"], row["steps"], row["saved_steps"]) == (1, 0, 0)
    assert set(cost(folder.study).shown["saved steps"]) == {"0.0 %"}


def test_the_cost_table_counts_the_trials_of_repetitions_too(tmp_path):
    original = Folder.of(tmp_path)
    original.fill("gru", completed(1, 1))
    original.fill("rnn", completed(1, 1))
    again = Folder.of(
        tmp_path, name="again", search={"method": "repeat", "of": "small", "samples": 6}
    )
    again.fill("gru", completed(1, 1), completed(1, 1), infeasible())
    tidy = cost(Study([original.paths, again.paths])).tidy
    assert tidy["trials"].sum() == 5
    assert tidy[tidy["outcome"] == "infeasible"]["trials"].sum() == 1
