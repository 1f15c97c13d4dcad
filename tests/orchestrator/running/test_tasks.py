"""Runs a sweep on two tasks that differ in every respect, and its repetition, on a real Ray."""

import json
import math

import duckdb
import pytest
from mlflow import MlflowClient

from orchestrator.ledger import Ledger
from orchestrator.paths import SweepPaths
from orchestrator.running.driver import Driver
from orchestrator.running.writer import ledger_writer
from orchestrator.views.mlflow.shown import ShownSweep
from orchestrator.views.mlflow.view import MLflowView
from orchestrator.views.study.study import Study
from orchestrator.views.tables.matched import parameter_matched
from tests.support.mlflow_search import runs_of_trials
from tests.support.small import small_plan
from tests.support.studies import left_of
from trainables import tasks
from trainables.architectures import build
from trainables.training import Schedule, Trainer

CAPACITY = {"name": "perceptron_capacity", "options": {"size": 8, "length": 2}}
MEMORY = {
    "name": "memory",
    "options": {"size": 3, "delay": 2, "held_out_size": 20},
    "training": {"steps": 40, "evaluation_interval": 20, "shared_batches": True},
    "budgets": [200],
}
LEARNING = {"learning_rate": {"low": 1e-3, "high": 3e-2}, "optimizer": "adam", "clip_norm": 1.0}
SWEEP = {
    "architectures": ["rnn"],
    "tasks": [CAPACITY, MEMORY],
    "budgets": [300],
    "training": {"steps": 20, "batch_size": 16, "evaluation_interval": 10},
    "search": {"samples": 4, "space": LEARNING},
    "scheduler": {"method": "asha", "grace": 10, "reduction_factor": 2},
    "replicates": 2,
}
REPEAT = {"method": "repeat", "of": "small", "samples": 3}
CAPACITY_CELL, MEMORY_CELL = (cell.id for cell in small_plan(**SWEEP).cells)


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results(tmp_path_factory, one_ray):
    """Run the sweep and then its repetition; return the folder of their results."""
    results = tmp_path_factory.mktemp("results")
    complete(results, small_plan(**SWEEP))
    complete(results, repetition(results))
    return results


def complete(results, plan):
    paths = SweepPaths(results, plan.spec.name)
    assert Driver(plan, paths, ledger_writer(paths), []).run(left_of(plan, paths), pytest.fail)
    assert left_of(plan, paths).count == 0


def repetition(results):
    again = {"name": "again", "seed": 8, "search": REPEAT, "scheduler": "none"}
    return small_plan(results, **{**SWEEP, **again})


def rows(results, sweep, query):
    """Return the rows of a query over a sweep's ledger, read by DuckDB."""
    connection = duckdb.connect()
    for name in ("trials", "results"):
        connection.execute(
            f"create view {name} as select * from read_parquet("
            f"'{results}/{sweep}/ledger/{name}/*/*.parquet', hive_partitioning = true)"
        )
    return connection.execute(query).fetchall()


def alone(definition, step):
    """Train a trial without Ray; return its scores on the validation and evaluation sets."""
    task = tasks.make(definition["task"], definition["task_options"])
    task = task.configured(definition["configuration"], definition["parameters"])
    network = build(
        definition["architecture"],
        inputs=task.inputs,
        outputs=task.outputs,
        hidden=definition["hidden"],
        depth=1,
        lanes=2,
    )
    shared = definition["task"] == "memory"
    trainer = Trainer(
        network,
        task,
        Schedule(40 if shared else 20, 16, 1e4, shared_batches=shared),
        [definition["configuration"]] * 2,
        network_seed=definition["network_seed"],
        data_seed=definition["data_seed"],
        first_lane=definition["first_lane"],
    )
    trainer.train(step)
    return trainer.evaluate("validation"), trainer.evaluate("evaluation")


@pytest.mark.parametrize("sweep", ["small", "again"])
def test_each_trial_has_the_numbers_of_the_same_training_without_ray(results, sweep):
    plan = small_plan(**SWEEP) if sweep == "small" else repetition(results)
    recorded = Ledger(results / sweep / "ledger").trials().set_index("trial")
    assert len(recorded) == plan.trial_count == {"small": 8, "again": 6}[sweep]
    for planned in plan.trials():
        row = recorded.loc[planned.id]
        validation, evaluation = alone(planned.definition, int(row["step"]))
        assert list(row["lane_validation_losses"]) == validation.losses
        assert list(row["lane_evaluation_metrics"]) == evaluation.metrics
        assert json.loads(row["configuration"]) == planned.definition["configuration"]


def test_report_steps_and_rungs_of_trials_are_those_of_their_task(results):
    trials = rows(
        results,
        "small",
        "select t.cell, t.outcome, list(r.step order by r.step), t.trial from trials t join "
        "results r on r.trial = t.trial group by all",
    )
    allowed = {
        (CAPACITY_CELL, "completed", (10, 20)),
        (CAPACITY_CELL, "stopped", (10,)),
        (MEMORY_CELL, "completed", (20, 40)),
        (MEMORY_CELL, "stopped", (20,)),
    }
    assert {(cell, outcome, tuple(steps)) for cell, outcome, steps, _ in trials} <= allowed
    assert len(trials) == 8
    assert {cell for cell, outcome, *_ in trials if outcome == "completed"} == {
        CAPACITY_CELL,
        MEMORY_CELL,
    }


@pytest.mark.parametrize("sweep", ["small", "again"])
@pytest.mark.parametrize("dataset", ["trials", "results"])
def test_the_recorded_objective_is_minus_the_bits_or_the_loss_depending_on_the_task(
    results, sweep, dataset
):
    recorded = rows(
        results,
        sweep,
        f"select cell, objective, validation_loss, validation_metric from {dataset}",
    )
    assert {cell for cell, *_ in recorded} == {CAPACITY_CELL, MEMORY_CELL}
    for cell, objective, loss, metric in recorded:
        assert objective == (-metric if cell == CAPACITY_CELL else loss)


@pytest.mark.parametrize("dataset", ["trials", "results"])
def test_bits_per_parameter_and_samples_are_recorded_on_the_capacity_task_alone(results, dataset):
    trials = {trial.id: trial for trial in small_plan(**SWEEP).trials()}
    recorded = rows(results, "small", f"select trial, evaluation_metric, further from {dataset}")
    compared = 0
    for trial, metric, further in recorded:
        if trials[trial].cell.id == MEMORY_CELL:
            assert further is None
            continue
        definition = trials[trial].definition
        parameters = definition["parameters"]
        samples = round(definition["configuration"]["samples_per_parameter"] * parameters)
        assert json.loads(further) == {
            "bits_per_parameter": pytest.approx(metric / parameters, rel=1e-12),
            "samples": samples,
        }
        compared += 1
    assert compared >= 4


@pytest.mark.parametrize("sweep", ["small", "again"])
def test_the_baseline_is_recorded_with_every_trial(results, sweep):
    baselines = rows(
        results,
        sweep,
        "select cell, metric, baseline_loss, baseline_metric from trials group by all",
    )
    assert sorted(baselines) == [
        (MEMORY_CELL, "rms", 1.0, 1.0),
        (CAPACITY_CELL, "bits", pytest.approx(math.log(2)), 0.0),
    ]


BEST = """
    select cell, trial, configuration from trials where outcome = 'completed'
    qualify row_number() over (partition by cell order by objective, "index") = 1
"""


def test_a_repetition_runs_the_best_configuration_of_each_cell_with_other_seeds(results):
    best = {
        cell: json.loads(configuration) for cell, _, configuration in rows(results, "small", BEST)
    }
    again = rows(
        results,
        "again",
        "select cell, outcome, step, configuration, network_seed, evaluation_loss from trials",
    )
    for cell, steps in ((CAPACITY_CELL, 20), (MEMORY_CELL, 40)):
        cell_rows = [row[1:] for row in again if row[0] == cell]
        assert [row[:2] for row in cell_rows] == [("completed", steps)] * 3
        assert [json.loads(row[2]) for row in cell_rows] == [best[cell]] * 3
        assert len({row[3] for row in cell_rows}) == len({row[4] for row in cell_rows}) == 3
    manifest = json.loads((results / "again/sweep.json").read_text())
    assert {
        cell: cell_record["repeated"]["trial"] for cell, cell_record in manifest["cells"].items()
    } == {cell: trial for cell, trial, _ in rows(results, "small", BEST)}


def test_the_matched_table_has_bits_per_parameter_and_the_baseline(results):
    tidy = parameter_matched(Study(SweepPaths(results, "small"))).tidy.set_index("task")
    shown = tidy.loc["perceptron_capacity(length=2, size=8)"]
    assert (shown["baseline_metric"], shown["metric"]) == (0.0, "bits")
    bits = shown["evaluation_metric"] / shown["parameters"]
    assert shown["bits_per_parameter"] == pytest.approx(bits)
    assert math.isnan(tidy.loc["memory(delay=2, held_out_size=20, size=3)", "samples"])


def test_mlflow_runs_have_bits_per_parameter_and_the_baselines(results, store):
    uri = f"sqlite:///{store}"
    assert MLflowView(uri, ShownSweep.of(SweepPaths(results, "small"))).sync() == 8
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("small")
    runs = {run.data.tags["trial"]: run for run in runs_of_trials(client, experiment.experiment_id)}
    query = "select trial, cell, evaluation_metric, parameters from trials"
    for trial, cell, metric, parameters in rows(results, "small", query):
        data = runs[trial].data
        if cell == MEMORY_CELL:
            assert (data.params["baseline_loss"], data.params["baseline_metric"]) == ("1.0", "1.0")
            assert "bits_per_parameter" not in data.metrics
            continue
        assert data.metrics["bits_per_parameter"] == pytest.approx(metric / parameters)
        assert data.metrics["validation_bits"] == pytest.approx(metric)
        assert float(data.params["baseline_loss"]) == pytest.approx(math.log(2))
        assert float(data.params["baseline_metric"]) == 0.0
        assert data.params["presentation"] in ("first", "every")
