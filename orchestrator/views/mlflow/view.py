"""Writes rows of the ledger to MLflow: one experiment for each sweep, one run for each trial.

The runs of trials are children of one run of the sweep itself, which holds its report.

A run is identified by its trial's id and the sequence number of its row in the ledger, so the view
can be written again at any time: a row that has a run is skipped, the run of a trial that ran again
is replaced, and a half-written run is deleted and written again.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

CURVE_POINTS = 100  # most reports written per trial: millions of metrics slow MLflow's pages down
READ_AT_ONCE = 500  # trials whose reports are in memory together
BATCH = 1000  # most metrics, parameters and tags in one request, a limit of MLflow
WRITERS = 4  # threads that write to a server, to hide its latency; a database file has one writer
ERROR_CHARACTERS = 4000
STATUS = {
    "completed": "FINISHED",
    "stopped": "FINISHED",
    "infeasible": "FAILED",
    "errored": "FAILED",
}
# Without this tag the pages expect chat traces.
KIND = {"mlflow.experimentKind": "custom_model_development"}
OF_A_SWEEP = {"kind": "sweep"}  # tag of the sweep's own run, the parent of the trials' runs
CELL_TAGS = ("cell", "architecture", "depth", "task", "budget", "outcome")

Row = Mapping[str, Any]


class MLflowView:
    """An MLflow view writes the runs of one sweep to the tracking store at ``uri``.

    Args:
        uri: tracking URI of the store.
        sweep: name of the sweep and of its MLflow experiment, which is created if it is missing.

    Attributes:
        experiment_id: id of the MLflow experiment.
        written: number of runs that this view has written.

    Raises:
        Exception: the store is locked or cannot be reached, since creating the view reads it; the
            type depends on the store.
    """

    def __init__(self, uri: str, sweep: str) -> None:
        self._client = MlflowClient(tracking_uri=uri)
        self._writers = WRITERS if uri.startswith(("http://", "https://")) else 1
        self.experiment_id = experiment_of(self._client, uri, sweep)
        self._sweep = sweep
        self._parent = ""  # id of the sweep's run, which is created with the first run of a trial
        self.written = 0
        self._runs: dict[str, tuple[str, int]] = {}  # trial -> id of its run, sequence of its row
        # A failed write may have left a run in the store that is not in self._runs.
        self._broken_off = False
        self._find_runs()

    def _find_runs(self) -> None:
        self._runs, token = {}, None
        to_delete = []  # deleted after the last page, since a deletion would shift later pages
        while True:
            page = self._client.search_runs(
                [self.experiment_id], max_results=1000, page_token=token
            )
            for run in page:
                trial = run.data.tags.get("trial")
                if trial is None:
                    continue  # the sweep's own run, or one that somebody else made
                if run.info.status == "RUNNING" or trial in self._runs:
                    to_delete.append(run.info.run_id)
                    continue
                self._runs[trial] = (run.info.run_id, int(run.data.tags["sequence"]))
            token = page.token
            if not token:
                break
        for run_id in to_delete:
            self._client.delete_run(run_id)

    def has(self, trial: Row) -> bool:
        """Return whether the store has a run of this row of the ledger."""
        _, sequence = self._runs.get(trial["trial"], ("", -1))
        return sequence == int(trial["sequence"])

    def write(self, trial: Row, curve: Iterable[Row]) -> bool:
        """Write one trial with its reports; return False if the store had its run already."""
        return self.write_all([(trial, curve)]) == 1

    def write_all(self, trials: Sequence[tuple[Row, Iterable[Row]]]) -> int:
        """Write trials and return how many of them the store did not have already.

        Args:
            trials: (row of the trial, rows of its reports).
        """
        if self._broken_off:
            self._find_runs()
        self._broken_off, before = True, self.written
        if not self._parent and not all(self.has(trial) for trial, _ in trials):
            self._parent = sweep_run(self._client, self.experiment_id, self._sweep)
        with ThreadPoolExecutor(self._writers) as writers:
            for new in writers.map(self._write, trials):  # an error drops the trials not begun
                self.written += new
        self._broken_off = False
        return self.written - before

    def _write(self, ended: tuple[Row, Iterable[Row]]) -> bool:
        trial, curve = ended
        if self.has(trial):
            return False
        if trial["trial"] in self._runs:
            self._client.delete_run(self._runs.pop(trial["trial"])[0])
        when = _milliseconds(trial["ended"])
        run = self._client.create_run(
            self.experiment_id,
            start_time=when - int(1000 * (trial["seconds"] or 0)),
            run_name=trial["trial"],
            tags={
                "trial": trial["trial"],
                "sequence": str(trial["sequence"]),
                "mlflow.parentRunId": self._parent,
            },
        )
        run_id = run.info.run_id
        metrics = _metrics(trial, downsample_curve(list(curve)))
        parameters, tags = _parameters(trial), _tags(trial)
        # Params, tags and the last metrics go in one batch, so a search never finds a half-written
        # run.
        last = max(0, len(metrics) + len(parameters) + len(tags) - BATCH)
        for start in range(0, last, BATCH):
            self._client.log_batch(run_id, metrics=metrics[start : min(start + BATCH, last)])
        self._client.log_batch(run_id, metrics=metrics[last:], params=parameters, tags=tags)
        self._client.set_terminated(run_id, STATUS[trial["outcome"]], end_time=when)
        self._runs[trial["trial"]] = (run_id, trial["sequence"])
        return True

    def sync(
        self, trials: pd.DataFrame, curves: Callable[[list[str]], Mapping[str, Iterable[Row]]]
    ) -> int:
        """Write the trials that the store lacks and return their number.

        Args:
            trials: rows of the ledger's trials.
            curves: returns the reports of the trials with the given ids, by id.
        """
        missing = [row for row in _rows(trials) if not self.has(row)]
        for start in range(0, len(missing), READ_AT_ONCE):
            batch = missing[start : start + READ_AT_ONCE]
            reports = curves([row["trial"] for row in batch])
            self.write_all([(row, reports.get(row["trial"], [])) for row in batch])
        return len(missing)


def experiment_of(client: MlflowClient, uri: str, sweep: str) -> str:
    """Return the id of the sweep's experiment; create it, or restore it if it was deleted."""
    experiment = client.get_experiment_by_name(sweep)
    if experiment is None:
        new_id: str = client.create_experiment(sweep, _artifacts(uri), tags=KIND)
        return new_id
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    experiment_id: str = experiment.experiment_id
    return experiment_id


def sweep_run(client: MlflowClient, experiment_id: str, sweep: str) -> str:
    """Return the id of the sweep's run, the parent of its trials' runs; create it if missing."""
    ((key, value),) = OF_A_SWEEP.items()
    runs = client.search_runs(
        [experiment_id],
        filter_string=f"tags.{key} = '{value}'",
        order_by=["attributes.start_time ASC"],
        max_results=1,
    )
    if runs:
        run_id: str = runs[0].info.run_id
        return run_id
    run = client.create_run(experiment_id, run_name=sweep, tags=OF_A_SWEEP)
    client.set_terminated(run.info.run_id)
    run_id = run.info.run_id
    return run_id


def log_report(uri: str, sweep: str, page: bytes) -> None:
    """Store a sweep's report as ``report.html`` with its run, in place of an earlier one.

    Args:
        uri: tracking URI of the store.
        sweep: name of the sweep.
        page: content of the report.

    Raises:
        OSError: the store was copied or moved, and keeps artifacts in its old folder.
    """
    client = MlflowClient(tracking_uri=uri)
    experiment = experiment_of(client, uri, sweep)
    folder = client.get_experiment(experiment).artifact_location
    expected = _artifacts(uri)
    if expected is not None and folder.startswith("file:") and not folder.startswith(expected):
        raise OSError(
            f"its experiment keeps artifacts in {folder}, for this store was copied or moved from "
            "there; sync the sweep into a new store, if its runs are to be here"
        )
    run_id = sweep_run(client, experiment, sweep)
    with TemporaryDirectory() as temporary:
        path = Path(temporary) / "report.html"
        path.write_bytes(page)
        client.log_artifact(run_id, str(path))


def _rows(frame: pd.DataFrame) -> list[Row]:
    """Return rows in the form in which a running sweep passes them: None for null."""
    records = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{str(name): value for name, value in record.items()} for record in records]


def _artifacts(uri: str) -> str | None:
    """Return the folder of artifacts beside a SQLite store; MLflow would use the working folder."""
    if not uri.startswith("sqlite:///"):
        return None
    return (Path(uri.removeprefix("sqlite:///")).absolute().parent / "mlartifacts").as_uri()


def downsample_curve(curve: list[Row]) -> list[Row]:
    """Return at most ``CURVE_POINTS`` reports, evenly spaced, the first and the last included."""
    if len(curve) <= CURVE_POINTS:
        return curve
    spacing = (len(curve) - 1) / (CURVE_POINTS - 1)
    return [curve[round(index * spacing)] for index in range(CURVE_POINTS)]


def _metrics(trial: Row, curve: list[Row]) -> list[Metric]:
    """Return the metrics of the reports, and the objective by which a cell's trials compare."""
    metric = trial["metric"]
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
        metrics += _measured(values, report["reported"], report["step"])
    return metrics + _measured({"objective": trial["objective"]}, trial["ended"], trial["step"])


def _measured(values: Mapping[str, float | None], moment: Any, step: int) -> list[Metric]:
    return [
        Metric(name, value, _milliseconds(moment), int(step))
        for name, value in values.items()
        if value is not None and math.isfinite(value)
    ]


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
