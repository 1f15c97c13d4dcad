"""Makes results folders by hand or at random, so that tests know what tables must say.

Manifest and ledger are written by the functions that a run uses.
"""

import json
import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from orchestrator.ledger.schema import KEYS, MEASURES
from orchestrator.outcome import FINAL
from orchestrator.paths import SweepPaths
from orchestrator.plan.manifest import write_manifest
from orchestrator.plan.plan import Plan, PlannedTrial
from orchestrator.plan.remaining import (
    EVERYTHING,
    Remaining,
    TrialSelection,
    remaining,
)
from orchestrator.plan.repair import repair, start_errored_over
from orchestrator.running.writer import ledger_writer
from orchestrator.views.study.study import Study
from tests.support.rows import NOON
from tests.support.small import small_plan
from trainables.report_steps import ReportSteps
from trainables.tasks import find, make

MEMORY = {"name": "memory", "options": {"size": 3, "delay": 2}}
PARENTHESES = {"name": "parentheses", "options": {"length": 6, "held_out_size": 32}}


def wcrnn(**options: Any) -> dict[str, Any]:
    """Return a weight-constrained RNN with options, as a sweep file names it."""
    return {"name": "wcrnn", "options": options}


@dataclass
class Folder:
    """Fills the folder of a sweep with trials.

    Attributes:
        plan: plan of the sweep.
        paths: its files.
    """

    plan: Plan
    paths: SweepPaths

    @classmethod
    def of(cls, results: Path, **changes: Any) -> "Folder":
        """Make the folder of a sweep without trials, as its first run does.

        Args:
            results: results folder.
            changes: keys of the sweep file that replace those of the small sweep.
        """
        plan = small_plan(results, **changes)
        paths = SweepPaths(results, plan.spec.name)
        paths.make_writable()
        write_manifest(plan, paths)
        return cls(plan, paths)

    @property
    def study(self) -> Study:
        """Return the study that tables are made from."""
        return Study(self.paths)

    def fill(self, architecture: str, *ends: dict[str, Any] | None) -> None:
        """Write the ends of the first trials of an architecture that has only one cell.

        Args:
            architecture: label of the architecture.
            ends: end of each trial (:func:`end`), None for a trial that has not yet run.
        """
        (cell,) = [c.id for c in self.plan.cells if c.architecture.label == architecture]
        self.write({f"{cell}_{i:05d}": end for i, end in enumerate(ends) if end is not None})

    def write(self, ends: dict[str, dict[str, Any]]) -> None:
        """Write the rows of trials.

        Args:
            ends: row of each trial by its name; its key ``reports`` holds the rows of its reports.
                Without this key a trial that ended for good gets the numbers of its row as every
                report. A trial without an outcome has begun and not ended. Its key ``diagnostics``
                holds what was diagnosed of it (:func:`diagnosed`).
        """
        trials = {trial.id: trial for trial in self.plan.trials()}
        writer = ledger_writer(self.paths)
        for trial, end in ends.items():
            cell = trials[trial].cell
            writer.add("starts", cell.id, _started(trials[trial], self.plan))
            for row in end.get("diagnostics", ()):
                writer.add("diagnostics", cell.id, row | {"trial": trial, "reported": NOON})
            for report in end.get("reports", _reports(end, cell.training.report_steps)):
                row = {"sweep": self.plan.spec.name, "trial": trial, "reported": NOON}
                writer.add("results", cell.id, row | report)
            if "outcome" in end:
                writer.add("trials", cell.id, _described(trials[trial], self.plan) | end)
        writer.flush()

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query over the ledger as a user of duckdb would write it.

        The views of the datasets have the rows that count.
        """
        ledger = self.paths.ledger
        assert isinstance(ledger, Path), "duckdb reads ledgers on a disk only"
        connection = duckdb.connect()
        for name, key in ((name, ", ".join(columns)) for name, columns in KEYS.items()):
            if not any(ledger.glob(f"{name}/*/*.parquet")):
                continue
            connection.execute(
                f"create view {name} as select * from read_parquet("
                f"'{ledger}/{name}/*/*.parquet', hive_partitioning = true) "
                f"qualify row_number() over (partition by {key} order by sequence desc) = 1"
            )
        return connection.execute(query).fetchall()


def left_of(plan: Plan, paths: SweepPaths, selection: TrialSelection = EVERYTHING) -> Remaining:
    """Write the manifest and return the trials that a run of the plan finds left."""
    paths.make_writable()
    write_manifest(plan, paths)
    return subtracted(plan, paths, selection)


def subtracted(
    plan: Plan,
    paths: SweepPaths,
    selection: TrialSelection = EVERYTHING,
    fresh: bool = False,
) -> Remaining:
    """Return the trials that a run of the plan takes up, as the command finds them."""
    writer = ledger_writer(paths)
    left = remaining(plan, repair(plan, paths, writer), selection)
    return start_errored_over(paths, left, writer) if fresh else left


def _reports(end: dict[str, Any], report_steps: ReportSteps) -> list[dict[str, Any]]:
    """Return a report at every report step of a trial that ended for good."""
    if end.get("outcome") not in FINAL:
        return []
    measures = {name: end[name] for name, _ in MEASURES if name in end}
    steps, step = [], 0
    while (step := report_steps.after(step)) < end["step"]:
        steps.append(step)
    return [measures | {"step": step} for step in [*steps, end["step"]] if step]


def _started(trial: PlannedTrial, plan: Plan) -> dict[str, Any]:
    return {
        "sweep": plan.spec.name,
        "trial": trial.id,
        "index": trial.index,
        "configuration": json.dumps(trial.definition["configuration"]),
        "run": "a run",
        "started": NOON,
    }


def _described(trial: PlannedTrial, plan: Plan) -> dict[str, Any]:
    cell = trial.cell
    baseline = make(cell.task.name, cell.task.options).baseline()
    return {
        "sweep": plan.spec.name,
        "trial": trial.id,
        "index": trial.index,
        "task": cell.task.label,
        "architecture": cell.architecture.label,
        "depth": cell.depth,
        "budget": cell.budget,
        "hidden": cell.hidden,
        "parameters": cell.parameters,
        "configuration": json.dumps(trial.definition["configuration"]),
        "metric": find(cell.task.name).metric_name,
        "baseline_loss": baseline.loss,
        "baseline_metric": baseline.metric,
        "seconds": 1.0,
        "network_seed": trial.definition["network_seed"],
        "data_seed": trial.definition["data_seed"],
        "ended": NOON,
    }


def end(
    outcome: str,
    validation: float = math.nan,
    evaluation: float = math.nan,
    *,
    lanes: list[float] | None = None,
    metrics: list[float] | None = None,
    **others: Any,
) -> dict[str, Any]:
    """Return how a trial ended: values of columns of ``trials``.

    Args:
        outcome: outcome of the trial.
        validation: validation loss of the trial and of each lane, also the trial's objective.
        evaluation: evaluation loss of the trial.
        lanes: evaluation loss of each lane, by default the trial's in two lanes.
        metrics: validation and evaluation metric of each lane, by default 0.5.
        others: values that replace these or are added to them.
    """
    lanes = [evaluation] * 2 if lanes is None else lanes
    metrics = [0.5] * len(lanes) if metrics is None else metrics
    feasible = [metric for metric in metrics if not math.isnan(metric)]
    return {
        "outcome": outcome,
        "step": 16,
        "objective": validation,
        "validation_loss": validation,
        "evaluation_loss": evaluation,
        "validation_metric": 0.5,
        "evaluation_metric": sum(feasible) / len(feasible) if feasible else math.nan,
        "lane_validation_losses": [validation] * len(lanes),
        "lane_evaluation_losses": lanes,
        "lane_validation_metrics": metrics,
        "lane_evaluation_metrics": metrics,
        "lane_infeasible_at": [3 if outcome == "infeasible" else None] * len(lanes),
    } | others


def diagnosed(quantity: str, values: list[float], **place: int) -> dict[str, Any]:
    """Return what was diagnosed of a network, a row of ``diagnostics`` without its trial.

    Args:
        quantity: name of the quantity.
        values: its values.
        place: ``lane``, ``layer`` and ``step``, by default 0, and ``samples``, by default 100.
    """
    everywhere = {"lane": 0, "layer": 0, "step": 0, "samples": 100, "seconds": 1.0}
    return {**everywhere, "quantity": quantity, "values": values, **place}


def completed(validation: float, evaluation: float, **others: Any) -> dict[str, Any]:
    """Return the end of a completed trial with these losses, see :func:`end`."""
    return end("completed", validation, evaluation, **others)


def stopped(evaluation: float = 1.0) -> dict[str, Any]:
    """Return the end of a trial that was stopped early.

    Its validation loss is so low that it would be the best trial if stopped trials counted.
    """
    return end("stopped", 0.001, evaluation, step=8)


def infeasible(**others: Any) -> dict[str, Any]:
    """Return the end of a trial all of whose lanes became infeasible, see :func:`end`."""
    return end("infeasible", metrics=[math.nan] * 2, **others)


def errored() -> dict[str, Any]:
    """Return the end of a trial that errored before its first report."""
    return {"outcome": "errored", "step": 0, "error": "Traceback"}


def random_folder(results: Path, seed: int) -> Folder:
    """Write a results folder with cells of every kind and trials of every outcome.

    Some trials have not yet run, and some ran again after an error.
    """
    names = ["rnn", "intersection", wcrnn(), wcrnn(residual="heterogeneous")]
    wide = wcrnn(residual="heterogeneous", epsilon=0.2)
    folder = Folder.of(
        results,
        architectures=[*names, wide],
        depths=[1, 2],
        tasks=[MEMORY, PARENTHESES],
        budgets=[2500, 4000],
        replicates=3,
    )
    chance = random.Random(seed)
    trials = list(folder.plan.trials())
    first: dict[str, dict[str, Any]] = {}
    second: dict[str, dict[str, Any]] = {}
    for trial in trials:
        if chance.random() < 0.15:
            continue  # not yet run
        if chance.random() < 0.15:
            first[trial.id] = errored()
            if chance.random() < 0.5:
                continue
            second[trial.id] = _random_end(chance)
        else:
            first[trial.id] = _random_end(chance)
    folder.write(first)
    folder.write(second)
    return folder


def _random_end(chance: random.Random) -> dict[str, Any]:
    outcome = chance.choice(["completed", "completed", "stopped", "infeasible"])
    dead = [outcome == "infeasible" or chance.random() < 0.2 for _ in range(3)]
    if outcome != "infeasible" and all(dead):
        dead[0] = False

    def lanes() -> list[float]:
        return [math.nan if d else chance.random() for d in dead]

    reports: list[dict[str, Any]] = [
        {"step": step, "lane_validation_metrics": lanes()} for step in (4, 8, 12, 16)
    ]
    if outcome != "completed":
        del reports[2:]
    validation = math.nan if all(dead) else round(chance.random(), 1)
    evaluation = math.nan if all(dead) else chance.random() * 10 ** chance.randint(-6, 6)
    infeasible_at = [chance.randint(1, 16) if d else None for d in dead]
    # The objective differs from the losses, which therefore do not tell what is best. It has ties.
    objective = math.nan if all(dead) else round(chance.random(), 1)
    row = end(
        outcome,
        validation,
        evaluation,
        step=reports[-1]["step"],
        lanes=lanes(),
        metrics=lanes(),
        reports=reports,
        lane_infeasible_at=infeasible_at,
        objective=objective,
    )
    repeated = ("objective", "validation_loss", "evaluation_loss", "evaluation_metric")
    reports[-1] |= {name: row[name] for name in repeated}  # a trial's row repeats its last report
    return row


def repeating_folder(
    folder: Folder, name: str = "again", samples: int = 12, **changes: Any
) -> Folder:
    """Return the empty folder of a sweep that repeats another one.

    Args:
        folder: folder of the repeated sweep.
        name: name of the sweep.
        samples: number of trials in each cell.
        changes: further keys of its sweep file.
    """
    spec = folder.plan.spec
    changes = {
        "architectures": [architecture.label for architecture in spec.architectures],
        "tasks": [{"name": task.name, "options": task.options} for task in spec.tasks],
        "search": {"method": "repeat", "of": spec.name, "samples": samples},
        "scheduler": "none",
        "seed": 8,
        **changes,
    }
    results = folder.paths.results
    assert isinstance(results, Path)
    plan = small_plan(results, name=name, **changes)
    paths = SweepPaths(results, name)
    left_of(plan, paths)
    return Folder(plan, paths)
