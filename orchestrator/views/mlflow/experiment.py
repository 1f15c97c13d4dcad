"""Finds the MLflow experiment of a sweep, and makes it.

An experiment is found by the sweep's identity, which is a tag of it, so users may rename it. It has
the sweep's name if no other sweep's experiment has that; else the name ends with the first digits
of the identity. Experiments of release 0.1.0 have no such tag and become a sweep's if they show it.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Experiment, ViewType
from mlflow.exceptions import MlflowException

from orchestrator.views.mlflow.runs import pages_of_runs, recorded_versions
from orchestrator.views.mlflow.shown import ShownSweep
from orchestrator.views.mlflow.uri import file_of

IDENTITY = "soundings.identity"
# Without this tag the pages expect chat traces.
KIND = {"mlflow.experimentKind": "custom_model_development"}
ATTEMPTS = 5  # another writer may take a name between the look and the creation
log = logging.getLogger("soundings")


def find_experiment(client: MlflowClient, sweep: ShownSweep) -> Experiment | None:
    """Return the sweep's experiment, also a deleted one; None if the store has none.

    Raises:
        MlflowException: the store does not answer.
    """
    if own := _tagged(client, sweep.identity):
        return own
    named = client.get_experiment_by_name(sweep.name)
    return named if named is not None and _may_become(client, named, sweep) else None


def make_experiment(client: MlflowClient, uri: str, sweep: ShownSweep) -> Experiment:
    """Return the sweep's experiment; create it, or restore it if it was deleted.

    Args:
        client: client of the store.
        uri: tracking URI of the store.
        sweep: the sweep.

    Raises:
        MlflowException: the store does not answer, or refuses the experiment.
    """
    for _ in range(ATTEMPTS):
        experiment = find_experiment(client, sweep)
        if experiment is None:
            _create(client, uri, sweep)
        elif experiment.lifecycle_stage == "deleted":
            client.restore_experiment(experiment.experiment_id)
        elif experiment.tags.get(IDENTITY) == sweep.identity:
            return experiment
        else:
            client.set_experiment_tag(experiment.experiment_id, IDENTITY, sweep.identity)
        # Looked for again: another writer may have done the same, for this sweep or for another.
    raise TimeoutError(f"others change the experiments called '{sweep.name}' all the time")


def artifacts_beside(uri: str) -> str | None:
    """Return the folder of artifacts beside a SQLite store; MLflow would use the working folder."""
    file = file_of(uri)
    return None if file is None else (Path(file).absolute().parent / "mlartifacts").as_uri()


def _tagged(client: MlflowClient, identity: str) -> Experiment | None:
    """Return the experiment with a sweep's tag; of several the first that is not deleted."""
    found: list[Experiment] = client.search_experiments(
        view_type=ViewType.ALL, filter_string=f"tags.`{IDENTITY}` = '{identity}'"
    )
    found.sort(
        key=lambda each: (
            each.lifecycle_stage == "deleted",
            each.creation_time or 0,
            each.experiment_id,
        )
    )
    return found[0] if found else None


def _may_become(client: MlflowClient, experiment: Experiment, sweep: ShownSweep) -> bool:
    """Return whether an experiment with the sweep's name, but without its tag, shows the sweep.

    It does if it has no run of a trial, or if the ledger has each of its trials, and one of them in
    the very row that the run shows: other sweeps of this name have trials of the same ids.
    """
    if IDENTITY in experiment.tags or experiment.lifecycle_stage == "deleted":
        return False
    recorded, empty, shown = recorded_versions(sweep.ledger), True, False
    for page in pages_of_runs(client, experiment.experiment_id):
        for run in page:
            if run.trial not in recorded:
                return False
            empty, shown = False, shown or recorded[run.trial] == run.version
    return empty or shown


def _create(client: MlflowClient, uri: str, sweep: ShownSweep) -> None:
    """Create the sweep's experiment unless another writer of the sweep has done so meanwhile."""
    for name in _names(sweep):
        taken = client.get_experiment_by_name(name)
        if taken is None:
            break
        if taken.tags.get(IDENTITY) == sweep.identity:
            return
    try:
        client.create_experiment(
            name, artifacts_beside(uri), tags={**KIND, IDENTITY: sweep.identity}
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS" or taken is not None:
            raise
        return
    if name != sweep.name:
        log.warning(
            "MLflow has an experiment '%s' of another sweep of this name, or a deleted one: "
            "the runs of this sweep are in its experiment '%s'",
            sweep.name,
            name,
        )


def _names(sweep: ShownSweep) -> Iterator[str]:
    """Yield the names that the sweep's experiment may have; a shorter one is better."""
    yield sweep.name
    yield f"{sweep.name}-{sweep.identity[:8]}"
    yield f"{sweep.name}-{sweep.identity}"
