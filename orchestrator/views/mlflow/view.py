"""The MLflow view: an experiment a sweep, a run a trial, written from ledger rows.

Above the runs of trials stands one of the sweep itself, which holds its report.

A run is keyed by its trial's id and the sequence number of its ledger row, so that the view can
be rebuilt or repeated: a row that is there is not written again, a trial that ran again has its
run replaced, and a run that was left half-written is written anew.
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

CURVE_POINTS = 100  # kept of each curve: MLflow's pages slow down with millions of metrics
READ_AT_ONCE = 500  # trials whose reports are in memory together
BATCH = 1000  # metrics, parameters and tags a request, MLflow's own limit
WRITERS = 4  # to a server, which answers one after hundredths of a second; a database file has one
ERROR_CHARACTERS = 4000
STATUS = {
    "completed": "FINISHED",
    "stopped": "FINISHED",
    "infeasible": "FAILED",
    "errored": "FAILED",
}
KIND = {"mlflow.experimentKind": "custom_model_development"}  # else the pages expect chat traces
OF_A_SWEEP = {"kind": "sweep"}  # the tag of the run above those of trials
CELL_TAGS = ("cell", "architecture", "depth", "task", "budget", "outcome")

Row = Mapping[str, Any]


class MLflowView:
    """The runs of one sweep in the tracking store at ``uri``.

    Creating it reads the store, so it raises whatever an unreachable or locked store raises.
    """

    def __init__(self, uri: str, sweep: str) -> None:
        self._client = MlflowClient(tracking_uri=uri)
        self._writers = WRITERS if uri.startswith(("http://", "https://")) else 1
        self.experiment_id = experiment_of(self._client, uri, sweep)
        self._sweep = sweep
        self._parent = ""  # the run above, once there is something to put below it
        self.written = 0  # runs, by this process
        self._runs: dict[str, tuple[str, int]] = {}  # trial -> run, sequence of its row
        self._broken_off = False  # a write: the store may have a run that it could not tell us of
        self._find_runs()

    def _find_runs(self) -> None:
        self._runs, token = {}, None
        to_delete = []  # once all are found: the pages that follow would shift
        while True:
            page = self._client.search_runs(
                [self.experiment_id], max_results=1000, page_token=token
            )
            for run in page:
                trial = run.data.tags.get("trial")
                if trial is None:
                    continue  # the sweep's own, or somebody else's
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
        """Whether this very row of the ledger's trials is in the view."""
        _, sequence = self._runs.get(trial["trial"], ("", -1))
        return sequence == int(trial["sequence"])

    def write(self, trial: Row, curve: Iterable[Row]) -> bool:
        """Write one trial with its reports; returns False if it was there already."""
        return self.write_all([(trial, curve)]) == 1

    def write_all(self, trials: Sequence[tuple[Row, Iterable[Row]]]) -> int:
        """Write trials, each with its reports; returns how many of them were not there already."""
        if self._broken_off:
            self._find_runs()
        self._broken_off, before = True, self.written
        if not self._parent and not all(self.has(trial) for trial, _ in trials):
            self._parent = sweep_run(self._client, self.experiment_id, self._sweep)
        with ThreadPoolExecutor(self._writers) as writers:
            for new in writers.map(self._write, trials):  # left at an error, it drops the others
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
        metrics = _metrics(trial, thin_curve(list(curve)))
        parameters, tags = _parameters(trial), _tags(trial)
        # What is searched for comes with the last metrics, together, so that none is found without.
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
        """Write what the ledger holds and the view lacks; returns how many runs were written.

        Args:
            trials: the ledger's.
            curves: the reports of some of them.
        """
        missing = [row for row in _rows(trials) if not self.has(row)]
        for start in range(0, len(missing), READ_AT_ONCE):
            some = missing[start : start + READ_AT_ONCE]
            reports = curves([row["trial"] for row in some])
            self.write_all([(row, reports.get(row["trial"], [])) for row in some])
        return len(missing)


def experiment_of(client: MlflowClient, uri: str, sweep: str) -> str:
    """The id of the sweep's experiment, which is made or taken out of the bin where it must be."""
    experiment = client.get_experiment_by_name(sweep)
    if experiment is None:
        made: str = client.create_experiment(sweep, _artifacts(uri), tags=KIND)
        return made
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    found: str = experiment.experiment_id
    return found


def sweep_run(client: MlflowClient, experiment_id: str, sweep: str) -> str:
    """The id of the run above those of trials, which is made where there is none."""
    ((key, value),) = OF_A_SWEEP.items()
    found = client.search_runs(
        [experiment_id],
        filter_string=f"tags.{key} = '{value}'",
        order_by=["attributes.start_time ASC"],
        max_results=1,
    )
    if found:
        run_id: str = found[0].info.run_id
        return run_id
    made = client.create_run(experiment_id, run_name=sweep, tags=OF_A_SWEEP)
    client.set_terminated(made.info.run_id)
    run_id = made.info.run_id
    return run_id


def log_report(uri: str, sweep: str, page: bytes) -> None:
    """Store a sweep's report as ``report.html`` with its run, in place of an earlier one."""
    client = MlflowClient(tracking_uri=uri)
    experiment = experiment_of(client, uri, sweep)
    kept = client.get_experiment(experiment).artifact_location
    ours = _artifacts(uri)
    if ours is not None and kept.startswith("file:") and not kept.startswith(ours):
        raise OSError(
            f"its experiment keeps artifacts in {kept}, for this store was copied or moved from "
            "there; sync the sweep into a new store, if its runs are to be here"
        )
    run_id = sweep_run(client, experiment, sweep)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        path.write_bytes(page)
        client.log_artifact(run_id, str(path))


def _rows(frame: pd.DataFrame) -> list[Row]:
    """Rows as a live sweep hands them over: None where the ledger has null."""
    records = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{str(name): value for name, value in record.items()} for record in records]


def _artifacts(uri: str) -> str | None:
    """Beside a SQLite store; MLflow's default would be the folder that one happens to stand in."""
    if not uri.startswith("sqlite:///"):
        return None
    return (Path(uri.removeprefix("sqlite:///")).absolute().parent / "mlartifacts").as_uri()


def thin_curve(curve: list[Row]) -> list[Row]:
    """At most ``CURVE_POINTS`` of the reports, evenly spaced, first and last included."""
    if len(curve) <= CURVE_POINTS:
        return curve
    spacing = (len(curve) - 1) / (CURVE_POINTS - 1)
    return [curve[round(index * spacing)] for index in range(CURVE_POINTS)]


def _metrics(trial: Row, curve: list[Row]) -> list[Metric]:
    """The curves, and the objective, by which the trials of a cell are compared."""
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
