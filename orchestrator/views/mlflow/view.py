"""Writes rows of the ledger to MLflow: one experiment for each sweep, one run for each trial.

The runs of trials are children of one run of the sweep itself, which holds its report.

A run shows a row of the ledger: it has the row's trial, sequence number and time of the end. So the
view can be written again at any time: a row that has a run is skipped, the run of a trial that ran
again is replaced, and a half-written run is deleted and written again.

Several processes may write one experiment, such as a run and a ``sync`` beside it. MLflow knows no
conditions, so they may write a trial twice, or delete what another has just written. Each of them
therefore ends with a look at the whole experiment that finds nothing to change. A look reads the
runs first and the ledger then. A row is in the ledger before it has a run, so every run that the
look finds and that shows no row of the ledger is of no use. The last change of all is followed by
such a look, hence at the end each trial has one run, of the ledger's last row.
"""

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Experiment, Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from orchestrator.views.mlflow.diagnostics import diagnosed_rows, means_by_step
from orchestrator.views.mlflow.experiment import artifacts_beside, find_experiment, make_experiment
from orchestrator.views.mlflow.fit import (
    LONGEST_PARAMETER,
    LONGEST_TAG,
    fit_name,
    fit_number,
    fit_text,
)
from orchestrator.views.mlflow.runs import (
    OF_A_SWEEP,
    PARENT,
    TrialRun,
    Version,
    milliseconds,
    pages_of_runs,
    recorded_versions,
    runs_of_sweep,
    version_of,
)
from orchestrator.views.mlflow.shown import ShownSweep

CURVE_POINTS = 100  # most reports written per trial: millions of metrics slow MLflow's pages down
READ_AT_ONCE = 500  # trials whose reports are in memory together
BATCH = 1000  # most metrics, parameters and tags in one request, a limit of MLflow
PARAMETERS = 100  # most parameters in one request, a limit of MLflow
WRITERS = 4  # threads that write to a server, to hide its latency; a database file has one writer
LOOKS = 10  # most looks at the experiment of one sync; each follows changes, others' or its own
ERROR_CHARACTERS = 4000
STATUS = {
    "completed": "FINISHED",
    "stopped": "FINISHED",
    "infeasible": "FAILED",
    "errored": "FAILED",
}
CELL_TAGS = ("cell", "architecture", "depth", "task", "budget", "outcome")

Row = Mapping[str, Any]


class Stopped(Exception):
    """Signals that a view was told to write no more."""


@dataclass(frozen=True)
class _Known:
    """A known run is the one that counts of a trial's runs.

    Attributes:
        run_id: id of the run.
        version: version of the row that it shows.
        parent: id of the sweep's run, whose child it is.
        recorded: whether that row was the ledger's when the view looked.
    """

    run_id: str
    version: Version
    parent: str
    recorded: bool


class MLflowView:
    """An MLflow view writes the runs of one sweep to the tracking store at ``uri``.

    Its experiment is made with the first run that is written.

    Args:
        uri: tracking URI of the store.
        sweep: the sweep. Its ledger must have a row before this view writes it.
        stopped: when it is set, the view makes no further request.

    Attributes:
        written: number of runs that this view has written.
        progress: number that grows while the store answers.
    """

    def __init__(self, uri: str, sweep: ShownSweep, stopped: threading.Event | None = None) -> None:
        self._uri, self._sweep = uri, sweep
        self._client_of_store = MlflowClient(tracking_uri=uri)
        self._stopped = stopped or threading.Event()
        self._writers = WRITERS if uri.startswith(("http://", "https://")) else 1
        self._parent = ""  # id of the sweep's run, which is created with the first run of a trial
        self.written = self.progress = 0
        self._runs: dict[str, _Known] = {}  # trial -> the run of it that counts
        self._others: dict[str, list[str]] = {}  # trial -> ids of further runs of it
        self._recorded: dict[str, Version] = {}  # trial -> version of its row in the ledger
        self._experiment: Experiment | None = None
        # Whether the store may have runs that the view does not know of, as after a failed write.
        self._uncertain = True

    @property
    def experiment_id(self) -> str:
        """Return the id of the sweep's experiment, empty if the store has none yet."""
        return str(self._experiment.experiment_id) if self._experiment else ""

    @property
    def experiment_name(self) -> str:
        """Return the name of the sweep's experiment; that of the sweep if there is none yet."""
        return str(self._experiment.name) if self._experiment else self._sweep.name

    def has(self, trial: Row) -> bool:
        """Return whether the store has a run of this row of the ledger."""
        known = self._runs.get(trial["trial"])
        return known is not None and known.version == version_of(trial)

    def write(self, trial: Row, curve: Iterable[Row]) -> bool:
        """Write one trial with its reports; return False if the store had its run already."""
        return self.write_all([(trial, curve)]) == 1

    def write_all(self, trials: Sequence[tuple[Row, Iterable[Row]]]) -> int:
        """Write trials and return how many of them the store did not have already.

        Args:
            trials: (row of the trial, rows of its reports).

        Raises:
            Exception: the store is locked or cannot be reached; the type depends on the store.
        """
        if self._uncertain:
            self._look()
        self._uncertain, before = True, self.written
        if not self._parent and not all(self.has(trial) for trial, _ in trials):
            self._experiment = make_experiment(self._client, self._uri, self._sweep)
            self._parent = sweep_run(self._client, self.experiment_id, self._sweep.name)
        diagnosed = self._diagnosed([trial for trial, _ in trials if not self.has(trial)])
        write = partial(self._write, diagnosed=diagnosed)
        with ThreadPoolExecutor(self._writers) as writers:
            for new in writers.map(write, trials):  # an error drops the trials not begun
                self.written += new
        self._uncertain = False
        return self.written - before

    def sync(self) -> int:
        """Write what the store lacks of the ledger, remove what is not of it, and look again.

        Returns:
            The number of runs that were written.

        Raises:
            Exception: the store is locked or cannot be reached; the type depends on the store.
        """
        before = self.written
        for _ in range(LOOKS):
            self._look()
            if not self._mend():
                break
        return self.written - before

    @property
    def _client(self) -> MlflowClient:
        """Return the client for one request.

        Raises:
            Stopped: the view was told to write no more.
        """
        if self._stopped.is_set():
            raise Stopped("another run has taken over the sweep")
        self.progress += 1
        return self._client_of_store

    def _look(self) -> None:
        """Read which runs the store has, and then which of them show a row of the ledger."""
        self._experiment, self._parent = find_experiment(self._client, self._sweep), ""
        found: dict[str, list[TrialRun]] = defaultdict(list)
        if self._experiment is not None:
            self._experiment = make_experiment(self._client, self._uri, self._sweep)
            for page in pages_of_runs(self._client, self.experiment_id):
                self.progress += 1
                for run in page:
                    found[run.trial].append(run)
        self._recorded = recorded_versions(self._sweep.ledger)
        self._runs, self._others = {}, {}
        for trial, runs in found.items():
            version = self._recorded.get(trial)
            finished = [run for run in runs if run.finished]
            exact = [run for run in finished if run.version == version]
            if finished:
                kept = min(exact, key=_id) if exact else max(finished, key=_newest)
                self._runs[trial] = _Known(kept.run_id, kept.version, kept.parent, bool(exact))
            counting = self._runs[trial].run_id if finished else ""
            self._others[trial] = [run.run_id for run in runs if run.run_id != counting]
        self._uncertain = False

    def _mend(self) -> bool:
        """Write and delete what the last look found wrong; return whether that was anything.

        Runs of trials that the ledger does not have at all are left alone: a part of it may be
        missing.
        """
        lacking, changed = [], self._make_siblings()
        for trial in self._recorded:
            known = self._runs.get(trial)
            if known is None or not known.recorded:
                lacking.append(trial)
            else:
                changed |= self._delete_others(trial)
        ledger = self._sweep.ledger
        for start in range(0, len(lacking), READ_AT_ONCE):
            rows = _rows(ledger.trials(trials=lacking[start : start + READ_AT_ONCE]))
            reports = ledger.curves([row["trial"] for row in rows])
            self.write_all([(row, reports.get(row["trial"], [])) for row in rows])
        return changed or bool(lacking)

    def _make_siblings(self) -> bool:
        """Make the trials' runs children of one run of the sweep; return whether any was not.

        Two writers may have created a run of the sweep at the same time.
        """
        runs = runs_of_sweep(self._client, self.experiment_id) if self._experiment else []
        if not runs:
            return False
        changed = False
        for trial, known in self._runs.items():
            if known.recorded and known.parent != runs[0]:
                adopt = partial(self._client.set_tag, known.run_id, PARENT, runs[0])
                unless_deleted(self._client, known.run_id, adopt)
                self._runs[trial], changed = replace(known, parent=runs[0]), True
        for other in runs[1:]:
            self._client.delete_run(other)
            changed = True
        return changed

    def _diagnosed(self, trials: Sequence[Row]) -> Mapping[str, Sequence[Row]]:
        """Return the rows of the ledger's diagnostics of some trials, by trial.

        The ledger has them before the trial's row.
        """
        if not trials or not self._sweep.diagnoses:
            return {}
        names, cells = ({str(trial[key]) for trial in trials} for key in ("trial", "cell"))
        return diagnosed_rows(self._sweep.ledger, names, cells)

    def _write(
        self, ended: tuple[Row, Iterable[Row]], diagnosed: Mapping[str, Sequence[Row]]
    ) -> bool:
        trial, curve = ended
        name, version = trial["trial"], version_of(trial)
        known = self._runs.get(name)
        if self.has(trial) or (known and known.recorded and known.version > version):
            return False
        run = self._client.create_run(
            self.experiment_id,
            start_time=version[1] - int(1000 * (trial["seconds"] or 0)),
            run_name=name,
            tags={
                "trial": name,
                "sequence": str(trial["sequence"]),
                PARENT: self._parent,
            },
        )
        fill = partial(self._fill, run.info.run_id, trial, list(curve), diagnosed.get(name, ()))
        if not unless_deleted(self._client, run.info.run_id, fill):
            return False  # another writer has finished this trial's run
        if known:  # deleted only now, so that the trial has a run at any time
            self._others.setdefault(name, []).append(known.run_id)
        self._runs[name] = _Known(run.info.run_id, version, self._parent, recorded=True)
        self._delete_others(name)
        return True

    def _fill(self, run_id: str, trial: Row, curve: list[Row], diagnosed: Sequence[Row]) -> None:
        metrics = _metrics(trial, downsample_curve(curve))
        for step, moment, means in means_by_step(diagnosed):
            metrics += _measured(means, moment, step)
        parameters, tags = _parameters(trial), _tags(trial)
        # The last parameters, the tags and the last metrics go in one batch, so a search never
        # finds a half-written run.
        while len(parameters) > PARAMETERS:
            self._log(run_id, params=parameters[:PARAMETERS])
            parameters = parameters[PARAMETERS:]
        last = max(0, len(metrics) + len(parameters) + len(tags) - BATCH)
        for start in range(0, last, BATCH):
            self._log(run_id, metrics=metrics[start : min(start + BATCH, last)])
        self._log(run_id, metrics=metrics[last:], params=parameters, tags=tags)
        self._client.set_terminated(
            run_id, STATUS[trial["outcome"]], end_time=milliseconds(trial["ended"])
        )

    def _log(self, run_id: str, **batch: Any) -> None:
        # MLFLOW_ENABLE_ASYNC_LOGGING must not put the batches behind the end of the run.
        self._client.log_batch(run_id, **batch, synchronous=True)

    def _delete_others(self, trial: str) -> bool:
        """Delete the runs of a trial that do not count; return whether there were any."""
        others = self._others.pop(trial, [])
        for run_id in others:
            self._client.delete_run(run_id)
        return bool(others)


def _id(run: TrialRun) -> str:
    return run.run_id


def _newest(run: TrialRun) -> tuple[Version, str]:
    return run.version, run.run_id


def unless_deleted(client: MlflowClient, run_id: str, action: Callable[[], object]) -> bool:
    """Change a run; return False if it could not be changed because it has been deleted.

    Args:
        client: client of the store.
        run_id: id of the run.
        action: changes the run.

    Raises:
        MlflowException: the store does not answer, or refuses the change for another reason.
    """
    try:
        action()
    except MlflowException:
        if client.get_run(run_id).info.lifecycle_stage != "deleted":
            raise
        return False
    return True


def sweep_run(client: MlflowClient, experiment_id: str, sweep: str) -> str:
    """Return the id of the sweep's run, the parent of its trials' runs; create it if missing."""
    if runs := runs_of_sweep(client, experiment_id):
        return runs[0]
    run = client.create_run(experiment_id, run_name=sweep, tags=OF_A_SWEEP)
    run_id: str = run.info.run_id
    if unless_deleted(client, run_id, partial(client.set_terminated, run_id)):
        return run_id
    return runs_of_sweep(client, experiment_id)[0]  # another writer has left its own


def log_report(uri: str, sweep: ShownSweep, page: bytes) -> None:
    """Store a sweep's report as ``report.html`` with its run, in place of an earlier one.

    Args:
        uri: tracking URI of the store.
        sweep: the sweep.
        page: content of the report.

    Raises:
        OSError: the store was copied or moved, and keeps artifacts in its old folder.
    """
    client = MlflowClient(tracking_uri=uri)
    experiment = make_experiment(client, uri, sweep)
    folder, expected = experiment.artifact_location, artifacts_beside(uri)
    if expected is not None and folder.startswith("file:") and not folder.startswith(expected):
        raise OSError(
            f"its experiment keeps artifacts in {folder}, for this store was copied or moved from "
            "there; sync the sweep into a new store, if its runs are to be here"
        )
    run_id = sweep_run(client, experiment.experiment_id, sweep.name)
    with TemporaryDirectory() as temporary:
        path = Path(temporary) / "report.html"
        path.write_bytes(page)
        client.log_artifact(run_id, str(path))


def _rows(frame: pd.DataFrame) -> list[Row]:
    """Return rows in the form in which a running sweep passes them: None for null."""
    records = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{str(name): value for name, value in record.items()} for record in records]


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


def _measured(values: Mapping[str, Any], moment: Any, step: int) -> list[Metric]:
    numbers = {fit_name(name): fit_number(value) for name, value in values.items()}
    return [
        Metric(name, number, milliseconds(moment), int(step))
        for name, number in numbers.items()
        if number is not None
    ]


def _parameters(trial: Row) -> list[Param]:
    names = ("hidden", "parameters", "index", "network_seed", "data_seed")
    fixed = {name: trial[name] for name in (*names, "baseline_loss", "baseline_metric")}
    configuration = json.loads(trial["configuration"])
    return [
        Param(fit_name(name), fit_text(str(value), LONGEST_PARAMETER))
        for name, value in {**fixed, **configuration}.items()
        if value is not None
    ]


def _tags(trial: Row) -> list[RunTag]:
    tags = [RunTag(name, fit_text(str(trial[name]), LONGEST_TAG)) for name in CELL_TAGS]
    if trial["error"]:
        tags.append(RunTag("error", fit_text(trial["error"], ERROR_CHARACTERS)))
    return tags
