"""Search and early stopping see the loss, or the metric with the sign that makes less better."""

import io
import json
import math
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from ray.tune.result import DONE
from ray.tune.schedulers import TrialScheduler
from rich.console import Console

from orchestrator.cli.cell_progress import COLUMNS
from orchestrator.cli.progress import Progress
from orchestrator.ledger.best import best_completed
from orchestrator.search.scheduler import PerCellASHA
from orchestrator.spec.scheduler import SchedulerSpec
from orchestrator.views.tables.matched import parameter_matched
from orchestrator.views.tables.trainability import trainability
from tests.support.small import small_plan
from tests.support.studies import Folder, completed, left_of, stopped
from tests.support.trainers import begun
from trainables import tasks
from trainables.trial import Trial

CAPACITY = {"name": "perceptron_capacity", "options": {"size": 8, "length": 2}}
MEMORY = {"name": "memory", "options": {"size": 3, "delay": 2, "held_out_size": 20}}
DIGITS = {"name": "digits"}
TRAINING = {"steps": 20, "batch_size": 16, "evaluation_interval": 10}
SPACE = {"learning_rate": 0.01, "optimizer": "adam", "clip_norm": 1.0}


@pytest.fixture(autouse=True)
def ray_directories(tmp_path, monkeypatch):
    """Make Ray write the directories of its trainables below the test's own directory."""
    monkeypatch.setattr("ray.tune.trainable.trainable.DEFAULT_STORAGE_PATH", str(tmp_path / "ray"))


def trial(task, space=SPACE, **training):
    """Return the first trial of a sweep on the task, as Tune creates it, and its definition."""
    plan = small_plan(
        tasks=[task],
        architectures=["rnn"],
        budgets=[300],
        search={"samples": 1, "space": space},
        scheduler="none",
        training=TRAINING | training,
    )
    (planned,) = plan.trials()
    definition = json.loads(json.dumps(planned.definition))
    return Trial(config={"definition": definition}), definition


def last_report(created):
    report = created.train()
    while not report[DONE]:
        report = created.train()
    return report


def test_the_objective_on_perceptron_capacity_is_the_negative_number_of_bits():
    created, definition = trial(CAPACITY)
    report = last_report(created)
    assert definition["objective"] == "metric"
    assert report["validation_metric"] > 0
    assert report["objective"] == -report["validation_metric"]
    assert report["validation_metric"] == pytest.approx(
        sum(report["lane_validation_metrics"]) / 2, rel=1e-12
    )
    # This task is evaluated on its training data.
    assert report["evaluation_metric"] == report["validation_metric"]
    assert report["evaluation_loss"] == report["validation_loss"]


def test_bits_per_parameter_and_the_sample_count_are_reported_beside_the_bits():
    created, definition = trial(CAPACITY)
    report = last_report(created)
    samples = round(definition["configuration"]["samples_per_parameter"] * definition["parameters"])
    assert json.loads(report["further"]) == {
        "bits_per_parameter": report["evaluation_metric"] / definition["parameters"],
        "samples": samples,
    }


@pytest.mark.parametrize("task", [CAPACITY, MEMORY, DIGITS])
def test_the_sweep_file_may_choose_the_loss_as_the_objective(task):
    created, definition = trial(task, objective="loss")
    assert definition["objective"] == "loss"
    report = last_report(created)
    assert report["objective"] == report["validation_loss"] > 0


def test_a_metric_of_which_less_is_better_is_the_objective_itself():
    created, _ = trial(MEMORY, objective="metric")
    report = last_report(created)
    assert report["objective"] == report["validation_metric"] > 0
    assert report["further"] is None


def poisoned(task, lanes=(0,), **training):
    created, _ = trial(task, **training)
    begun(created)
    with torch.no_grad():
        for lane in lanes:
            created._trainer.network.readout_weight[lane] = torch.nan
    return last_report(created)


@pytest.mark.parametrize(
    ("task", "sign"), [(CAPACITY, -1), (MEMORY, 1), (DIGITS, -1)], ids=["bits", "rms", "accuracy"]
)
def test_a_lane_that_diverged_counts_as_the_baseline_in_the_objective(task, sign):
    report = poisoned(task, objective="metric")
    assert report["lane_infeasible_at"] == [1, None] and not report["infeasible"]
    alone = report["lane_validation_metrics"][1]
    assert report["validation_metric"] == alone  # the mean over the feasible lanes
    baseline = tasks.make(**task).baseline().metric
    assert report["objective"] == pytest.approx(sign * (baseline + alone) / 2, rel=1e-12)
    assert report["validation_loss"] > 1e4 / 2  # the loss counts the diverged lane as the threshold


@pytest.mark.parametrize("objective", ["loss", "metric"])
def test_without_a_feasible_lane_the_objective_is_nan_and_nothing_further_is_reported(objective):
    report = poisoned(CAPACITY, (0, 1), objective=objective)
    assert report["infeasible"] is True
    assert math.isnan(report["objective"])
    assert report["further"] is None


def test_the_best_trial_is_that_of_the_objective_where_the_loss_disagrees(tmp_path):
    folder = Folder.of(tmp_path, tasks=[MEMORY])
    folder.fill(
        "rnn",
        completed(0.1, 0.11, objective=-3.0),
        completed(0.9, 0.91, objective=-7.0),
        completed(0.2, 0.21, objective=-7.0),
        stopped() | {"objective": -9.0},
        completed(0.05, 0.06, objective=math.nan),
    )
    folder.fill("gru", completed(0.3, 0.31, objective=-1.0))
    best = best_completed(folder.study.trials)
    rnn, gru = (cell.id for cell in folder.plan.cells)
    assert dict(best["trial"]) == {rnn: f"{rnn}_00001", gru: f"{gru}_00000"}
    matched = parameter_matched(folder.study).tidy.set_index("architecture")
    assert matched.loc["rnn", "trial"] == f"{rnn}_00001"
    assert matched.loc["rnn", ["validation_loss", "evaluation_loss"]].tolist() == [0.9, 0.91]
    curve = trainability(folder.study).tidy
    so_far = curve[curve["architecture"] == "rnn"]["best_evaluation_loss"]
    assert [*so_far] == [0.11, 0.91, 0.91, 0.91, 0.91]


def tune_trial(number):
    definition = {"cell": "a", "trial": f"{number}"}
    return SimpleNamespace(config={"definition": definition}, trial_id=f"tune-{number}")


def decisions(reports):
    """Return the decisions on trials that reach the first rung one after the other."""
    spec = SchedulerSpec(method="asha", grace=10, reduction_factor=2.0)
    scheduler = PerCellASHA(spec, {"a": 100}, seed=1)
    return [
        scheduler.on_trial_result(
            None, tune_trial(number), {"step": 10, "infeasible": False, **report}
        )
        for number, report in enumerate(reports)
    ]


def test_early_stopping_goes_by_the_objective_where_the_loss_disagrees():
    worse = [float(i) for i in range(8)]
    better = worse[::-1]
    goes_on, stops = TrialScheduler.CONTINUE, TrialScheduler.STOP
    by_objective = [
        {"objective": objective, "validation_loss": loss}
        for objective, loss in zip(better, worse, strict=True)
    ]
    assert decisions(by_objective) == [goes_on] * 8
    by_loss = [
        {"objective": objective, "validation_loss": loss}
        for objective, loss in zip(worse, better, strict=True)
    ]
    assert decisions(by_loss) == [goes_on] + [stops] * 7


@pytest.mark.parametrize(
    ("task", "training", "shown"),
    [
        (CAPACITY, {}, "metric 0.625 bits"),
        (MEMORY, {"objective": "metric"}, "metric 0.625 rms"),
        (CAPACITY, {"objective": "loss"}, "loss -12.35"),
    ],
)
def test_the_progress_shows_the_best_objective_with_its_name_and_unit(task, training, shown):
    plan = small_plan(
        tasks=[task], architectures=["rnn"], search={"samples": 2}, training=TRAINING | training
    )
    (cell,) = plan.cells
    console = Console(file=io.StringIO(), width=150)
    progress = Progress(plan, pd.DataFrame({name: [] for name in COLUMNS}), console)
    row = {"cell": cell.id, "outcome": "completed", "seconds": 1.0, "error": None}
    metric = tasks.find(task["name"]).metric_name
    for number, objective in enumerate([-12.345678, -3.0]):
        measured = {"objective": objective, "validation_metric": 0.625, "metric": metric}
        progress.ended({**row, "trial": f"{number}", **measured}, [])
    assert console.file.getvalue().endswith(f": all trials ended, best validation {shown}\n")


def test_rungs_are_rebuilt_from_the_objectives_in_the_ledger(tmp_path):
    folder = Folder.of(tmp_path, tasks=[MEMORY])
    objectives_and_losses = [(2.0, 0.8), (1.0, 0.9), (math.nan, math.nan), (3.0, 0.7)]
    folder.fill(
        "rnn",
        *(
            completed(
                loss,
                loss,
                objective=objective,
                step=4,
                reports=[{"step": 4, "objective": objective, "validation_loss": loss}],
            )
            for objective, loss in objectives_and_losses
        ),
    )
    (rnn, _), spec = (cell.id for cell in folder.plan.cells), folder.plan.spec.scheduler
    reports = left_of(folder.plan, folder.paths).record.reports
    recorded = [*zip(*(reports[c] for c in ("cell", "trial", "step", "objective")), strict=True)]
    assert [(cell, trial[-1], step) for cell, trial, step, _ in recorded] == [
        (rnn, str(index), 4) for index in range(4)
    ]
    assert [math.isnan(objective) for *_, objective in recorded] == [False, False, True, False]

    def decision_on(objective, loss):
        scheduler = PerCellASHA(spec, {rnn: 16}, seed=1)
        assert scheduler.replay(recorded, stopped={}, undecided={}) == set()
        definition = {"cell": rnn, "trial": "new"}
        new_trial = SimpleNamespace(config={"definition": definition}, trial_id="tune")
        report = {"step": 4, "objective": objective, "validation_loss": loss, "infeasible": False}
        return scheduler.on_trial_result(None, new_trial, report)

    assert decision_on(0.5, 5.0) == decision_on(1.9, 5.0) == TrialScheduler.CONTINUE
    assert decision_on(2.5, 0.1) == TrialScheduler.STOP
