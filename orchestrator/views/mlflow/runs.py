"""Reads the runs of trials that an MLflow experiment has."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from mlflow import MlflowClient
from mlflow.entities import Run

from orchestrator.ledger import Ledger

# Sequence number and time of the end, in milliseconds, of a row of the ledger's trials. A row of
# another sweep may have the same number, but hardly ended in the same millisecond.
Version: TypeAlias = tuple[int, int]
PAGE = 1000  # runs in one request
EPOCH, MILLISECOND = datetime.fromtimestamp(0, UTC), timedelta(milliseconds=1)
OF_A_SWEEP = {"kind": "sweep"}  # tag of the sweep's own run, the parent of the trials' runs
PARENT = "mlflow.parentRunId"


@dataclass(frozen=True)
class TrialRun:
    """A trial run is the run of one trial in an experiment.

    Attributes:
        run_id: id of the run.
        trial: id of the trial.
        version: version of the row that the run shows.
        finished: whether the run was written to its end.
        parent: id of the sweep's run.
    """

    run_id: str
    trial: str
    version: Version
    finished: bool
    parent: str


def milliseconds(moment: Any) -> int:
    """Return a time of the ledger as MLflow counts it.

    Args:
        moment: a datetime, or the same moment as pandas reads it from the ledger.
    """
    return int((moment - EPOCH) // MILLISECOND)  # exact, as a float of seconds would not be


def version_of(row: Mapping[str, Any]) -> Version:
    """Return the version of a row of the ledger's trials."""
    return int(row["sequence"]), milliseconds(row["ended"])


def recorded_versions(ledger: Ledger) -> dict[str, Version]:
    """Return the version of each trial that ended, by its id."""
    trials = ledger.trials(["ended"])
    columns = (trials[name] for name in ("trial", "sequence", "ended"))
    return {
        str(trial): (int(sequence), milliseconds(ended))
        for trial, sequence, ended in zip(*columns, strict=True)
    }


def pages_of_runs(client: MlflowClient, experiment_id: str) -> Iterator[list[TrialRun]]:
    """Yield the runs of an experiment's trials, a list for each request.

    The sweep's own run, and runs that somebody else made, are left out.
    """
    token = None
    while True:
        page = client.search_runs([experiment_id], max_results=PAGE, page_token=token)
        yield [_trial_run(run) for run in page if "trial" in run.data.tags]
        token = page.token
        if not token:
            return


def runs_of_sweep(client: MlflowClient, experiment_id: str) -> list[str]:
    """Return the ids of the sweep's own runs; the first counts, others are of a race."""
    ((key, value),) = OF_A_SWEEP.items()
    runs = client.search_runs(
        [experiment_id],
        filter_string=f"tags.{key} = '{value}'",
        order_by=["attributes.start_time ASC", "attributes.run_id ASC"],
    )
    return [run.info.run_id for run in runs]


def _trial_run(run: Run) -> TrialRun:
    tags = run.data.tags
    try:
        sequence = int(tags["sequence"])
    except (KeyError, ValueError):  # somebody edited the tag: no row has this number
        sequence = -1
    finished = run.info.status != "RUNNING"
    version = (sequence, run.info.end_time or 0)
    return TrialRun(run.info.run_id, tags["trial"], version, finished, tags.get(PARENT, ""))
