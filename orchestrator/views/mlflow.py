"""The MLflow view: an experiment a sweep, a run a trial, written from ledger rows.

A run is keyed by its trial's id and the sequence number of its ledger row, so that the view can
be rebuilt or repeated: a row that is there is not written again, a trial that ran again has its
run replaced, and a run that was left half-written is written anew.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

CURVE_POINTS = 100  # kept of each curve: MLflow's pages slow down with millions of metrics
READ_AT_ONCE = 500  # trials whose reports are in memory together
BATCH = 1000  # metrics a request, MLflow's own limit
ERROR_CHARACTERS = 4000
STATUS = {
    "completed": "FINISHED",
    "stopped": "FINISHED",
    "infeasible": "FAILED",
    "errored": "FAILED",
}
KIND = {"mlflow.experimentKind": "custom_model_development"}  # else the pages expect chat traces
CELL_TAGS = ("cell", "architecture", "depth", "task", "budget", "outcome")

Row = Mapping[str, Any]


class MLflowView:
    """The runs of one sweep in the tracking store at ``uri``.

    Creating it reads the store, so it raises whatever an unreachable or locked store raises.
    """

    def __init__(self, uri: str, sweep: str) -> None:
        self._client = MlflowClient(tracking_uri=uri)
        experiment = self._client.get_experiment_by_name(sweep)
        if experiment is not None and experiment.lifecycle_stage == "deleted":
            self._client.restore_experiment(experiment.experiment_id)
        self.experiment_id: str = (
            self._client.create_experiment(sweep, _artifacts(uri), tags=KIND)
            if experiment is None
            else experiment.experiment_id
        )
        self.written = 0  # runs, by this process
        self._runs: dict[str, tuple[str, int]] = {}  # trial -> run, sequence of its row
        self._find_runs()

    def _find_runs(self) -> None:
        token = None
        while True:
            page = self._client.search_runs(
                [self.experiment_id], max_results=1000, page_token=token
            )
            for run in page:
                trial = run.data.tags.get("trial")
                if trial is None:
                    continue  # somebody else's
                if run.info.status == "RUNNING" or trial in self._runs:
                    self._client.delete_run(run.info.run_id)
                    continue
                self._runs[trial] = (run.info.run_id, int(run.data.tags["sequence"]))
            token = page.token
            if not token:
                return

    def has(self, trial: Row) -> bool:
        """Whether this very row of the ledger's trials is in the view."""
        _, sequence = self._runs.get(trial["trial"], ("", -1))
        return sequence == int(trial["sequence"])

    def write(self, trial: Row, curve: Iterable[Row]) -> bool:
        """Write one trial with its reports; returns False if it was there already."""
        if self.has(trial):
            return False
        if trial["trial"] in self._runs:
            self._client.delete_run(self._runs.pop(trial["trial"])[0])
        ended = _milliseconds(trial["ended"])
        run = self._client.create_run(
            self.experiment_id,
            start_time=ended - int(1000 * (trial["seconds"] or 0)),
            run_name=trial["trial"],
            tags={"trial": trial["trial"], "sequence": str(trial["sequence"])},
        )
        run_id = run.info.run_id
        self._runs[trial["trial"]] = (run_id, -1)  # until it is whole: written anew after a failure
        metrics = _metrics(trial["metric"], thin(list(curve)))
        for start in range(0, len(metrics), BATCH):
            self._client.log_batch(run_id, metrics=metrics[start : start + BATCH])
        self._client.log_batch(run_id, params=_parameters(trial), tags=_tags(trial))
        self._client.set_terminated(run_id, STATUS[trial["outcome"]], end_time=ended)
        self._runs[trial["trial"]] = (run_id, trial["sequence"])
        self.written += 1
        return True

    def sync(
        self, trials: pd.DataFrame, curves: Callable[[list[str]], Mapping[str, Iterable[Row]]]
    ) -> int:
        """Write what the ledger holds and the view lacks; returns how many runs were written.

        Args:
            trials: the ledger's.
            curves: the reports of some of them.
        """
        missing = [row for row in _rows(trials) if not self.has(row)]
        for start in range(0, len(missing), READ_AT_ONCE):
            some = missing[start : start + READ_AT_ONCE]
            reports = curves([row["trial"] for row in some])
            for row in some:
                self.write(row, reports.get(row["trial"], []))
        return len(missing)


def _rows(frame: pd.DataFrame) -> list[Row]:
    """Rows as a live sweep hands them over: None where the ledger has null."""
    records = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{str(name): value for name, value in record.items()} for record in records]


def _artifacts(uri: str) -> str | None:
    """Beside a SQLite store; MLflow's default would be the folder that one happens to stand in."""
    if not uri.startswith("sqlite:///"):
        return None
    return (Path(uri.removeprefix("sqlite:///")).absolute().parent / "mlartifacts").as_uri()


def thin(curve: list[Row]) -> list[Row]:
    """At most ``CURVE_POINTS`` of the reports, evenly spaced, first and last included."""
    if len(curve) <= CURVE_POINTS:
        return curve
    spacing = (len(curve) - 1) / (CURVE_POINTS - 1)
    return [curve[round(index * spacing)] for index in range(CURVE_POINTS)]


def _metrics(metric: str, curve: list[Row]) -> list[Metric]:
    names = {
        "training_loss": "training_loss",
        "validation_loss": "validation_loss",
        "evaluation_loss": "evaluation_loss",
        "validation_metric": f"validation_{metric}",
        "evaluation_metric": f"evaluation_{metric}",
    }
    metrics = []
    for report in curve:
        values = {name: report[column] for column, name in names.items()}
        values |= json.loads(report["further"] or "{}")
        when, step = _milliseconds(report["reported"]), int(report["step"])
        metrics += [
            Metric(name, value, when, step)
            for name, value in values.items()
            if value is not None and math.isfinite(value)
        ]
    return metrics


def _parameters(trial: Row) -> list[Param]:
    names = ("hidden", "parameters", "index", "network_seed", "data_seed")
    fixed = {name: trial[name] for name in (*names, "baseline_loss", "baseline_metric")}
    configuration = json.loads(trial["configuration"])
    return [
        Param(name, str(value))
        for name, value in {**fixed, **configuration}.items()
        if value is not None
    ]


def _tags(trial: Row) -> list[RunTag]:
    tags = [RunTag(name, str(trial[name])) for name in CELL_TAGS]
    if trial["error"]:
        tags.append(RunTag("error", trial["error"][-ERROR_CHARACTERS:]))
    return tags


def _milliseconds(moment: Any) -> int:
    return int(moment.timestamp() * 1000)
