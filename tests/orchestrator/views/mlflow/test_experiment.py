"""Finds each sweep's own experiment among those of other sweeps of its name."""

import json
import logging
import shutil
from dataclasses import replace

import pytest
from mlflow import MlflowClient

from orchestrator.paths import SweepPaths
from orchestrator.plan.manifest import write_manifest
from orchestrator.views.mlflow.browse import experiment_id_of
from orchestrator.views.mlflow.experiment import IDENTITY, find_experiment
from orchestrator.views.mlflow.shown import ShownSweep
from orchestrator.views.mlflow.view import MLflowView, log_report
from tests.support.command import soundings
from tests.support.mlflow_rows import shown, trial_row
from tests.support.mlflow_search import runs_of_trials
from tests.support.small import small_plan
from tests.support.studies import Folder, completed

ONE, OTHER = "1" * 32, "2" * 32
OF_ANOTHER = (
    "MLflow has an experiment '{0}' of another sweep of this name, or a deleted one: the runs of "
    "this sweep are in its experiment '{0}-{1}'"
)


@pytest.fixture
def uri(store):
    return f"sqlite:///{store}"


@pytest.fixture
def client(uri):
    return MlflowClient(tracking_uri=uri)


def synced(uri, sweep):
    """Sync a sweep; return the name of its experiment."""
    view = MLflowView(uri, sweep)
    view.sync()
    return view.experiment_name


def objectives(client, name):
    experiment = client.get_experiment_by_name(name)
    runs = runs_of_trials(client, experiment.experiment_id)
    return sorted(run.data.metrics["objective"] for run in runs)


def another(number):
    """Return another sweep's row of a trial, with the same id and sequence number."""
    row = trial_row(number)
    return row | {"objective": 100.0 + number, "ended": trial_row(number + 1)["ended"]}


def test_another_sweep_of_the_same_name_gets_an_experiment_of_its_own_and_says_so(
    uri, client, caplog
):
    with caplog.at_level(logging.WARNING, "soundings"):
        assert synced(uri, shown(1, 2, identity=ONE)) == "s"
        assert caplog.messages == []
        other = shown(another(1), another(2), identity=OTHER)
        assert synced(uri, other) == "s-22222222"
        assert synced(uri, other) == "s-22222222"
    assert caplog.messages == [OF_ANOTHER.format("s", "22222222")]
    assert objectives(client, "s") == [2.5, 3.5]
    assert objectives(client, "s-22222222") == [101.0, 102.0]
    assert synced(uri, shown(1, 2, 3, identity=ONE)) == "s"
    log_report(uri, other, b"page")
    (run,) = client.search_runs([experiment_id_of(uri, other)], filter_string="tags.kind = 'sweep'")
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["report.html"]


def test_names_that_are_taken_by_hand_are_passed_over(uri, client):
    client.create_experiment("s", tags={IDENTITY: ONE})
    client.create_experiment("s-22222222")
    assert synced(uri, shown(1, identity=OTHER)) == f"s-{OTHER}"


def test_a_renamed_experiment_is_found_and_its_old_name_is_free(uri, client):
    synced(uri, shown(1, identity=ONE))
    client.rename_experiment(client.get_experiment_by_name("s").experiment_id, "my best")
    assert synced(uri, shown(1, 2, identity=ONE)) == "my best"
    assert objectives(client, "my best") == [2.5, 3.5]
    assert synced(uri, shown(1, identity=OTHER)) == "s"


def test_a_deleted_experiment_is_restored_for_its_sweep_and_for_no_other(uri, client):
    synced(uri, shown(1, identity=ONE))
    client.delete_experiment(client.get_experiment_by_name("s").experiment_id)
    assert experiment_id_of(uri, shown(1, identity=ONE)) == ""
    assert synced(uri, shown(another(1), identity=OTHER)) == "s-22222222"
    assert synced(uri, shown(1, 2, identity=ONE)) == "s"
    assert objectives(client, "s") == [2.5, 3.5]


def untagged(uri, client, *ended):
    """Write an experiment as release 0.1.0 did."""
    synced(uri, shown(*ended))
    experiment = client.get_experiment_by_name("s")
    client.delete_experiment_tag(experiment.experiment_id, IDENTITY)
    return experiment.experiment_id


@pytest.mark.parametrize(
    ("before", "now"),
    [([], [1]), ([1], [1, 2]), ([1, trial_row(2, "errored", sequence=7)], [1, 2])],
    ids=["empty", "grown", "tried again"],
)
def test_an_experiment_of_an_earlier_release_becomes_the_sweeps_that_it_shows(
    uri, client, before, now
):
    experiment_id = untagged(uri, client, *before) if before else client.create_experiment("s")
    sweep = shown(*now, identity=OTHER)
    assert experiment_id_of(uri, sweep) == experiment_id  # reading commands find it and change
    assert IDENTITY not in client.get_experiment(experiment_id).tags  # nothing
    assert synced(uri, sweep) == "s"
    assert client.get_experiment(experiment_id).tags[IDENTITY] == OTHER
    assert objectives(client, "s") == [1.5 + number for number in now]


@pytest.mark.parametrize(
    "now",
    [[], [another(1), another(2)], [1], [trial_row(1, sequence=10**12), another(2)]],
    ids=["begun anew", "same numbers", "one is missing", "later numbers"],
)
def test_an_experiment_of_an_earlier_release_that_shows_another_sweep_stays_as_it_is(
    uri, client, now
):
    experiment_id = untagged(uri, client, 1, 2)
    sweep = shown(*now, identity=OTHER)
    assert experiment_id_of(uri, sweep) == ""
    if now:
        assert synced(uri, sweep) == "s-22222222"
    assert IDENTITY not in client.get_experiment(experiment_id).tags
    assert objectives(client, "s") == [2.5, 3.5]


def test_runs_of_a_copy_of_the_results_are_in_the_same_experiment(uri, client):
    assert synced(uri, shown(1, identity=ONE)) == synced(uri, shown(1, 2, identity=ONE)) == "s"
    assert objectives(client, "s") == [2.5, 3.5]


def test_a_sweep_that_is_run_anew_is_synced_and_browsed_in_its_own_experiment(tmp_path, uri):
    """The results folder is deleted, or another one has the same store."""
    for seed, loss in ((1, 1.0), (2, 9.0)):
        folder = Folder.of(tmp_path / "results", seed=seed)
        folder.fill("rnn", completed(loss, loss))
        done = soundings("sync", "small", "--mlflow", uri, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        if seed == 1:
            assert (done.stdout, done.stderr) == (
                f"1 runs written to {uri}, experiment 'small'; 0 were there.\n",
                "",
            )
            shutil.rmtree(folder.paths.folder)
    name = f"small-{folder.paths.identity()[:8]}"
    assert done.stdout == f"1 runs written to {uri}, experiment '{name}'; 0 were there.\n"
    assert done.stderr == OF_ANOTHER.format("small", name[6:]) + "\n"
    client = MlflowClient(tracking_uri=uri)
    assert (objectives(client, "small"), objectives(client, name)) == ([1.0], [9.0])
    assert experiment_id_of(uri, ShownSweep.of(folder.paths)) == (
        client.get_experiment_by_name(name).experiment_id
    )


def test_a_folder_of_an_earlier_release_is_synced_without_writing_to_it(tmp_path, uri, client):
    folder = Folder.of(tmp_path)
    folder.fill("rnn", completed(1.0, 1.0))
    manifest = folder.paths.manifest
    recorded = json.loads(manifest.read_text())
    del recorded["identity"]
    manifest.write_text(json.dumps(recorded))
    before = manifest.read_bytes()
    sweep = ShownSweep.of(folder.paths)
    assert synced(uri, sweep) == "small"
    assert manifest.read_bytes() == before
    write_manifest(small_plan(tmp_path), SweepPaths(tmp_path, "small"))
    assert find_experiment(client, ShownSweep.of(folder.paths)).name == "small"
    assert synced(uri, replace(sweep, identity=OTHER)) == "small-22222222"
