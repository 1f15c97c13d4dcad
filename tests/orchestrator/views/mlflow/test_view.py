"""Writes the MLflow view and reads it back with a real MLflow client."""

import json
import math
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from orchestrator.ledger.best import best_completed
from orchestrator.views.mlflow.experiment import make_experiment
from orchestrator.views.mlflow.shown import ShownSweep
from orchestrator.views.mlflow.view import CURVE_POINTS, MLflowView, downsample_curve, log_report
from tests.support.mlflow_rows import curve, shown, trial_row
from tests.support.mlflow_search import best_by_search, best_by_sql, runs_of_trials
from tests.support.rows import records
from tests.support.studies import Folder, completed, diagnosed


@pytest.fixture
def uri(store):
    return f"sqlite:///{store}"


def runs(uri, sweep="s"):
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(sweep)
    trial_runs = runs_of_trials(client, experiment.experiment_id)
    return {run.data.tags["trial"]: run for run in trial_runs}, client


def test_a_run_has_parameters_curve_final_losses_outcome_and_cell(uri):
    view = MLflowView(uri, shown())
    assert view.write(trial_row(1), curve(1))
    trial_runs, client = runs(uri)
    run = trial_runs["t1"]
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "t1"
    assert run.info.end_time - run.info.start_time == 2500
    assert run.data.params["learning_rate"] == "0.01" and run.data.params["hidden"] == "7"
    assert run.data.tags["outcome"] == "completed"
    assert run.data.tags["cell"] == "digits_gru_d1_p1000"
    assert run.data.metrics["evaluation_loss"] == 2.5 - 0.002 + 1
    history = client.get_metric_history(run.info.run_id, "validation_loss")
    assert [(m.step, m.value) for m in history] == [(10, 3.0), (20, 2.999), (30, 2.998)]
    assert run.data.metrics["validation_accuracy"] == 0.1
    assert "evaluation_accuracy" not in run.data.metrics  # it is null in the ledger
    history = client.get_metric_history(run.info.run_id, "perplexity")
    assert [(m.step, m.value) for m in history] == [(20, 0.5), (30, 0.25)]
    assert run.data.params["baseline_loss"] == "2.25"


@pytest.mark.parametrize(
    ("outcome", "status"),
    [("completed", "FINISHED"), ("stopped", "FINISHED"), ("infeasible", "FAILED")],
)
def test_runs_can_be_searched_by_outcome_and_have_the_status_of_it(uri, outcome, status):
    MLflowView(uri, shown()).write(trial_row(1, outcome), [])
    experiment = MlflowClient(tracking_uri=uri).get_experiment_by_name("s")
    (run,) = MlflowClient(tracking_uri=uri).search_runs(
        [experiment.experiment_id], filter_string=f"tags.outcome = '{outcome}'"
    )
    assert run.info.status == status


def test_an_error_is_a_tag_of_bounded_length(uri):
    MLflowView(uri, shown()).write(trial_row(1, "errored", error="x" * 10_000 + " the end"), [])
    trial_runs, _ = runs(uri)
    assert trial_runs["t1"].data.tags["error"].endswith("the end")
    assert len(trial_runs["t1"].data.tags["error"]) < 5000


def test_a_second_sync_adds_nothing_and_a_third_only_what_is_new(uri):
    assert MLflowView(uri, shown(1, 2, 3)).sync() == 3
    before, client = runs(uri)
    assert MLflowView(uri, shown(1, 2, 3)).sync() == 0
    after, _ = runs(uri)
    assert {t: r.info.run_id for t, r in before.items()} == {
        t: r.info.run_id for t, r in after.items()
    }
    for run in after.values():
        assert len(client.get_metric_history(run.info.run_id, "validation_loss")) == 3
    assert MLflowView(uri, shown(1, 2, 3, 4)).sync() == 1


def test_rows_from_a_frame_and_live_rows_make_the_same_run(uri):
    view = MLflowView(uri, shown(1))
    view.sync()
    view.write({**trial_row(1), "trial": "live"}, curve(1))
    trial_runs, _ = runs(uri)
    assert trial_runs["t1"].data.metrics == trial_runs["live"].data.metrics
    assert trial_runs["t1"].data.params == trial_runs["live"].data.params
    assert trial_runs["t1"].info.start_time == trial_runs["live"].info.start_time


def test_a_trial_that_ran_again_replaces_its_run(uri):
    MLflowView(uri, shown()).write(trial_row(1, "errored", error="boom"), [])
    assert MLflowView(uri, shown()).write(trial_row(1, "completed", sequence=5000), curve(1))
    trial_runs, client = runs(uri)
    assert trial_runs["t1"].data.tags["outcome"] == "completed"
    assert "error" not in trial_runs["t1"].data.tags
    experiment = client.get_experiment_by_name("s")
    assert len(runs_of_trials(client, experiment.experiment_id)) == 1


def test_a_run_left_half_written_is_written_anew(uri):
    client = MlflowClient(tracking_uri=uri)
    experiment = make_experiment(client, uri, shown())
    client.create_run(experiment.experiment_id, tags={"trial": "t1", "sequence": "1001"})
    assert MLflowView(uri, shown(1)).sync() == 1
    (run,) = runs_of_trials(client, experiment.experiment_id)
    assert run.info.status == "FINISHED" and run.data.metrics["validation_loss"] == 2.998


def test_a_write_that_broke_off_is_written_anew_by_the_same_view(uri, monkeypatch):
    view = MLflowView(uri, shown())
    with monkeypatch.context() as patch:
        patch.setattr(
            MlflowClient, "set_terminated", lambda *a, **k: (_ for _ in ()).throw(OSError("gone"))
        )
        with pytest.raises(OSError, match="gone"):
            view.write(trial_row(1), curve(1))
    assert view.write(trial_row(1), curve(1))
    _, client = runs(uri)
    experiment = client.get_experiment_by_name("s")
    (run,) = runs_of_trials(client, experiment.experiment_id)
    assert run.info.status == "FINISHED"


def test_a_run_whose_creation_timed_out_is_not_left_behind(uri, monkeypatch):
    view = MLflowView(uri, shown())
    create_run = MlflowClient.create_run

    def unanswered(self, *arguments, **options):
        create_run(self, *arguments, **options)
        raise OSError("timed out")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "create_run", unanswered)
        with pytest.raises(OSError, match="timed out"):
            view.write(trial_row(1), curve(1))
    assert view.write(trial_row(1), curve(1))
    (run,) = runs_of_trials(MlflowClient(tracking_uri=uri), view.experiment_id)
    assert run.info.status == "FINISHED"


def test_runs_of_trials_are_children_of_the_sweeps_run(uri):
    MLflowView(uri, shown(1, 2)).sync()
    MLflowView(uri, shown(1, 2, 3)).sync()
    trial_runs, client = runs(uri)
    experiment = client.get_experiment_by_name("s")
    (sweep,) = client.search_runs(
        [experiment.experiment_id], filter_string="attributes.run_name = 's'"
    )
    assert sweep.info.status == "FINISHED"
    parents = {trial: run.data.tags["mlflow.parentRunId"] for trial, run in trial_runs.items()}
    assert parents == dict.fromkeys(["t1", "t2", "t3"], sweep.info.run_id)


def test_a_copied_store_does_not_write_into_the_one_it_was_copied_from(uri, tmp_path):
    log_report(uri, shown(), b"the first one's")
    before = uri.removeprefix("sqlite:///")
    (tmp_path / "copy").mkdir()
    shutil.copy(before, tmp_path / "copy" / "mlflow.db")
    with pytest.raises(OSError, match="this store was copied or moved from there"):
        log_report(f"sqlite:///{tmp_path}/copy/mlflow.db", shown(), b"the copy's")
    (kept,) = Path(before).parent.rglob("report.html")
    assert kept.read_bytes() == b"the first one's"


def test_a_report_is_an_artifact_of_the_sweeps_run_and_takes_the_place_of_an_earlier_one(uri):
    log_report(uri, shown(), b"before")
    log_report(uri, shown(), b"after")
    MLflowView(uri, shown(1)).sync()
    trial_runs, client = runs(uri)
    run_id = trial_runs["t1"].data.tags["mlflow.parentRunId"]
    assert [file.path for file in client.list_artifacts(run_id)] == ["report.html"]
    assert Path(client.download_artifacts(run_id, "report.html")).read_bytes() == b"after"


def test_runs_of_somebody_else_are_left_alone(uri):
    client = MlflowClient(tracking_uri=uri)
    experiment = make_experiment(client, uri, shown())
    other = client.create_run(experiment.experiment_id)
    MLflowView(uri, shown(1)).sync()
    assert client.get_run(other.info.run_id).info.lifecycle_stage == "active"


def test_a_search_by_tags_finds_the_best_trial_of_each_cell(uri, at_random):
    sweep = ShownSweep.of(at_random.paths)
    MLflowView(uri, sweep).sync()
    best_trials = best_by_search(MlflowClient(tracking_uri=uri), at_random)
    assert best_trials == best_by_sql(at_random)
    assert [best[1] for best in best_trials] == sorted(
        best_completed(sweep.ledger.trials())["trial"]
    )


def test_a_run_is_not_found_by_its_tags_before_it_has_its_metrics(uri, monkeypatch):
    client, written_parts = MlflowClient(tracking_uri=uri), []
    log_batch = MlflowClient.log_batch

    def watched(self, run_id, **batch):
        log_batch(self, run_id, **batch)
        run = client.get_run(run_id).data
        written_parts.append(("outcome" in run.tags, "objective" in run.metrics))

    monkeypatch.setattr(MlflowClient, "log_batch", watched)
    further = json.dumps({f"m{i}": 0.5 for i in range(9)})
    view = MLflowView(uri, shown())
    view.write(trial_row(1), [report | {"further": further} for report in curve(1, 100)])
    assert written_parts == [(False, False), (True, True)]  # 1,300 metrics take two batches
    (run,) = runs_of_trials(client, view.experiment_id)
    for name in ("validation_loss", "m0", "m8"):
        assert len(client.get_metric_history(run.info.run_id, name)) == 100


def test_sequence_numbers_beyond_32_bits_are_compared_as_numbers(uri):
    """As text, 9 * 10**12 would be more than 10 * 10**12."""
    low, high = 9 * 10**12, 10 * 10**12
    sweep = shown(trial_row(1, "errored", sequence=low), trial_row(1, sequence=high))
    view = MLflowView(uri, sweep)
    assert view.sync() == 1
    assert not view.write(trial_row(1, "errored", sequence=low), [])
    trial_runs, _ = runs(uri)
    assert trial_runs["t1"].data.tags["sequence"] == str(high)


def test_a_run_that_is_not_in_the_ledger_gives_way_to_the_row_that_is(uri):
    """The ledger is an earlier one, as after a backup was put back."""
    lost = trial_row(1, sequence=5000) | {"objective": 77.0}
    assert MLflowView(uri, shown(lost)).sync() == 1
    assert MLflowView(uri, shown(1)).sync() == 1
    trial_runs, _ = runs(uri)
    assert trial_runs["t1"].data.metrics["objective"] == 2.5
    assert MLflowView(uri, shown(1)).sync() == 0


def test_a_row_with_the_number_of_another_row_is_told_apart_by_its_end(uri):
    MLflowView(uri, shown(trial_row(1) | {"ended": trial_row(2)["ended"]})).sync()
    assert MLflowView(uri, shown(1)).sync() == 1
    trial_runs, _ = runs(uri)
    assert trial_runs["t1"].info.end_time == trial_row(1)["ended"].timestamp() * 1000


def test_a_tag_that_somebody_edited_and_a_run_that_somebody_renamed_do_no_harm(uri):
    MLflowView(uri, shown(1, 2)).sync()
    trial_runs, client = runs(uri)
    client.set_tag(trial_runs["t1"].info.run_id, "sequence", "first")
    client.update_run(trial_runs["t2"].info.run_id, name="the best")
    assert MLflowView(uri, shown(1, 2)).sync() == 1
    assert sorted(runs(uri)[0]) == ["t1", "t2"]


HARD = ["a" * 300, "x:y", "100 %", "../up", "/top", "", ".", "tab\there", "ä", "a//b", "n\0l"]


def test_names_and_values_of_any_length_and_characters_reach_mlflow(uri, monkeypatch):
    """Names of hyperparameters and metrics, and texts, are made by tasks of the user's own."""
    monkeypatch.setenv("MLFLOW_TRUNCATE_LONG_VALUES", "false")
    configuration = {name: "v" * 7000 for name in HARD} | {f"h{i}": i for i in range(250)}
    further = {name: 0.5 for name in HARD} | {"huge": 10**400, "text": "x", "none": None}
    row = trial_row(1, "errored", error="\0" + "\ud800" * 9000)
    row |= {"configuration": json.dumps(configuration), "architecture": "a" * 9000}
    reports = [report | {"further": json.dumps(further)} for report in curve(1)]
    assert MLflowView(uri, shown()).write(row, reports)
    data = runs(uri)[0]["t1"].data
    assert {name: data.params[name] for name in ("h0", "h249")} == {"h0": "0", "h249": "249"}
    assert sum(value == "v" * 500 for value in data.params.values()) == len(HARD)
    assert sum(value == 0.5 for value in data.metrics.values()) == len(HARD)
    assert data.metrics["x:y"] == data.metrics["ä"] == 0.5
    assert not {"huge", "text", "none"} & {*data.metrics}


def test_variables_that_direct_mlflow_elsewhere_change_nothing(uri, monkeypatch):
    client = MlflowClient(tracking_uri=uri)
    elsewhere = client.create_experiment("elsewhere")
    run = client.create_run(elsewhere)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "elsewhere")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", elsewhere)
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_LOGGING", "true")
    assert MLflowView(uri, shown(1)).sync() == 1
    assert runs(uri)[0]["t1"].data.metrics["objective"] == 2.5
    assert [found.info.run_id for found in client.search_runs([elsewhere])] == [run.info.run_id]
    assert client.get_run(run.info.run_id).data.metrics == {}


@pytest.mark.parametrize("length", [0, 1, 99, 100, 101, 1000, 12_345])
def test_a_thinned_curve_keeps_its_ends_and_its_order(length):
    kept = [row["step"] for row in downsample_curve([{"step": step} for step in range(length)])]
    assert len(kept) == min(length, CURVE_POINTS)
    assert kept == sorted(set(kept))
    if length:
        assert kept[0] == 0 and kept[-1] == length - 1


def test_diagnostics_are_metrics_at_their_training_steps_once_and_again_after_a_sync(uri, tmp_path):
    folder = Folder.of(
        tmp_path,
        architectures=["rnn"],
        depths=[1, 2],
        search={"samples": 1},
        diagnostics={"lyapunov": True, "gradients": True, "hessian": 4, "at": [0, "end"]},
    )
    ends = {}
    for trial in folder.plan.trials():
        rows = []
        for step, lane in ((0, 0), (0, 1), (16, 0), (16, 1)):
            place = {"step": step, "lane": lane}
            rows.append(diagnosed("hessian_eigenvalues", [4.0 + lane, -1.0], layer=-1, **place))
            for layer in range(trial.cell.depth):
                exponents = [-0.1 * (1 + layer) - 0.01 * step, -0.5 - lane]
                rows.append(diagnosed("lyapunov_exponents", exponents, layer=layer, **place))
            rows.append(diagnosed("gradient_norms", [0.25, 0.5, 1.0], **place))
        rows.append(diagnosed("input_power", [1.0, 2.0], layer=-1))
        ends[trial.id] = completed(1.0, 1.0, diagnostics=rows)
    folder.write(ends)
    sweep = ShownSweep.of(folder.paths)
    live = MLflowView(uri, sweep)
    assert sum(live.write(row, []) for row in records(sweep.ledger.trials())) == 2
    first, client = runs(uri, "small")
    assert MLflowView(uri, sweep).sync() == 0
    for run in first.values():
        client.delete_run(run.info.run_id)
    assert MLflowView(uri, sweep).sync() == 2
    second, _ = runs(uri, "small")
    for trial, run in second.items():
        deep = trial.removesuffix("_00000").endswith("d2_p4000")
        names = ["layer_0/", "layer_1/"] if deep else [""]
        wanted = {"hessian_max": [(0, 4.5), (16, 4.5)], "hessian_min": [(0, -1.0), (16, -1.0)]}
        slope = math.log(0.5)  # the norm halves with each step back
        wanted[f"{names[0]}gradient_slope"] = [(0, slope), (16, slope)]
        for layer, name in enumerate(names):
            top = -0.1 * (1 + layer)
            wanted[f"{name}exponent_max"] = [(0, top), (16, top - 0.16)]
            wanted[f"{name}exponent_mean"] = [(0, (top - 1) / 2), (16, (top - 1.16) / 2)]
        for name, values in wanted.items():
            for one in (first[trial], run):
                history = client.get_metric_history(one.info.run_id, name)
                assert [(point.step, pytest.approx(point.value)) for point in history] == values
        assert not {"layer_0/exponent_mean", "exponent_mean"} <= set(run.data.metrics)
