"""Runs the README's sweep and rebuilds its tables with a few lines of DuckDB's SQL."""

from pathlib import Path

import duckdb
import pandas as pd
import pytest

from orchestrator.plan.plan import make_plan
from orchestrator.spec.sweep import load
from tests.support.command import soundings
from tests.support.paths import QUICKSTART

pytestmark = pytest.mark.slow

CELL = ["task", "depth", "budget", "architecture"]
# A trial that ran again has two rows, of which the last one counts.
TRIALS = """
    CREATE VIEW trials AS
    SELECT * FROM read_parquet('{ledger}/trials/*/*.parquet', hive_partitioning = true)
    QUALIFY row_number() OVER (PARTITION BY trial ORDER BY sequence DESC) = 1
"""
MATCHED = """
    SELECT task, depth, budget, architecture, arg_min(trial, validation_loss) AS trial,
           min(validation_loss) AS validation_loss,
           arg_min(evaluation_loss, validation_loss) AS evaluation_loss,
           arg_min(evaluation_metric, validation_loss) AS evaluation_metric,
           arg_min(list_aggregate(lane_evaluation_losses, 'stddev_samp'), validation_loss)
               AS evaluation_loss_deviation
    FROM trials WHERE outcome = 'completed' GROUP BY ALL
"""
INFEASIBLE = """
    WITH counts AS (
        SELECT task, depth, budget, architecture,
               count(*) FILTER (outcome <> 'errored') AS trials,
               count(*) FILTER (outcome = 'infeasible') AS infeasible,
               count(*) FILTER (outcome = 'stopped') AS undetermined
        FROM trials GROUP BY ALL)
    SELECT *, infeasible / trials AS share,
           (infeasible + undetermined) / trials AS share_with_undetermined
    FROM counts
"""
TRAINABILITY = """
    WITH ranked AS (
        SELECT *, row_number() OVER (PARTITION BY cell ORDER BY index) AS tried,
               CASE outcome WHEN 'infeasible' THEN 'inf'::DOUBLE ELSE evaluation_loss END AS loss
        FROM trials WHERE outcome <> 'errored')
    SELECT a.task, a.depth, a.budget, a.architecture, a.tried,
           median(b.loss) AS median_evaluation_loss,
           arg_min(b.evaluation_loss, b.validation_loss) FILTER (b.outcome = 'completed')
               AS best_evaluation_loss
    FROM ranked a JOIN ranked b ON a.cell = b.cell AND b.tried <= a.tried GROUP BY ALL
"""


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quickstart")
    ran = soundings("run", QUICKSTART, cwd=folder, timeout=1200)
    assert ran.returncode == 0, ran.stderr
    engine = duckdb.connect()
    engine.execute(TRIALS.format(ledger=folder / "results" / "quickstart" / "ledger"))
    return folder / "results" / "quickstart", engine, ran.stdout


def test_the_quickstart_sweep_records_all_its_trials_and_prints_its_tables(quickstart):
    _, engine, printed = quickstart
    plan = make_plan(load(QUICKSTART), Path("results"))
    assert plan.trial_count >= 120
    assert {cell.depth for cell in plan.cells} == {1, 4}
    (recorded,) = engine.execute("SELECT count(*) FROM trials").fetchone()
    assert recorded == plan.trial_count
    assert "Loss at matched parameter counts" in printed
    assert "Pairs of residual networks" in printed
    assert "Depth at equal parameters" in printed


def test_the_best_trial_of_every_architecture_beats_chance_clearly_on_real_data(quickstart):
    _, engine, _ = quickstart
    best = dict(
        engine.execute(
            """SELECT architecture, arg_min(evaluation_metric, validation_loss) FROM trials
               WHERE task = 'digits' AND outcome = 'completed' GROUP BY ALL"""
        ).fetchall()
    )
    assert len(best) == 4
    # 300 images, ten classes: chance is 0.10 with a deviation of 0.017.
    assert min(best.values()) > 0.25, best


@pytest.mark.parametrize(
    ("name", "query", "key"),
    [
        ("parameter_matched", MATCHED, CELL),
        ("infeasible", INFEASIBLE, CELL),
        ("trainability", TRAINABILITY, [*CELL, "tried"]),
    ],
)
def test_a_table_of_the_quickstart_sweep_equals_a_query_in_sql(quickstart, name, query, key):
    folder, engine, _ = quickstart
    written = pd.read_csv(folder / "tables" / f"{name}.csv")
    queried = engine.execute(query).df()
    if name == "parameter_matched":
        written = written[written["trial"].notna()]
    assert len(written) == len(queried) >= 16
    merged = written[queried.columns].sort_values(key).reset_index(drop=True)
    pd.testing.assert_frame_equal(
        merged, queried.sort_values(key).reset_index(drop=True), check_dtype=False, rtol=1e-12
    )
