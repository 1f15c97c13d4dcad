"""Compares the table of the best trials of cells with SQL and with results by hand."""

import json
import math

from orchestrator.views.tables import build
from orchestrator.views.tables.best_trials import best_trials
from tests.support.compare import assert_same, ordered
from tests.support.studies import MEMORY, Folder, completed, errored, infeasible, stopped

PLACE = ["task", "depth", "budget", "architecture"]
BEST = """
    with best as (
        select * from trials where outcome = 'completed'
        qualify row_number() over (partition by cell order by objective, "index") = 1
    )
    select task, depth, budget, architecture, hidden, parameters, trial, evaluation_loss,
        list_aggregate(lane_evaluation_losses, 'stddev_samp'), evaluation_metric,
        list_aggregate(lane_evaluation_metrics, 'stddev_samp'), configuration,
        (select count(*) from trials t where t.cell = best.cell and outcome = 'completed')
    from best order by task, depth, budget, architecture
"""
COLUMNS = [*PLACE, "hidden", "parameters", "trial", "evaluation_loss"]
COLUMNS += ["evaluation_loss_deviation", "evaluation_metric", "evaluation_metric_deviation"]
COLUMNS += ["configuration", "completed"]


def test_every_number_in_the_best_trials_table_is_that_of_sql(at_random):
    tidy = best_trials(at_random.study).tidy
    assert_same(ordered(tidy, COLUMNS), at_random.sql(BEST))


def test_the_best_trials_table_shows_what_is_computed_by_hand(tmp_path):
    folder = Folder.of(tmp_path, tasks=[MEMORY], architectures=["rnn", "gru", "lstm"])
    folder.fill("rnn", stopped(0.0), completed(0.1, 0.7, lanes=[0.6, 0.8], metrics=[0.4, 0.6]))
    folder.fill("gru", errored(), infeasible(), completed(0.3, 0.5, lanes=[0.5, math.nan]))
    folder.fill("lstm", infeasible())  # it has no row; the parameter_matched table says why
    table = best_trials(folder.study)
    sizes = {c.architecture.label: (c.hidden, c.parameters) for c in folder.plan.cells}
    shown = [[*row.values()][3:] for row in table.shown.to_dict("records")]
    assert [*table.shown.columns[4:]] == [
        "hidden", "parameters", "trials", "loss", "metric", "networks",
    ]  # fmt: skip
    assert shown == [
        ["rnn", *sizes["rnn"], "1 of 2", "0.7 ± 0.141", "0.5 ± 0.141 rms", 2],
        ["gru", *sizes["gru"], "1 of 2", "0.5", "0.5 ± 0 rms", 1],
    ]
    planned = {trial.id: trial.definition["configuration"] for trial in folder.plan.trials()}
    for row in table.tidy.to_dict("records"):
        assert json.loads(row["configuration"]) == planned[row["trial"]]


def test_without_a_completed_trial_there_is_no_best_trials_table(tmp_path):
    folder = Folder.of(tmp_path, tasks=[MEMORY])
    folder.fill("rnn", infeasible())
    assert "best_trials" not in {table.name for table in build(folder.study)}
