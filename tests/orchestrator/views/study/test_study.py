"""Compares the cells and trials of a study of several sweeps with SQL over their ledgers."""

import shutil

import duckdb
import pytest

from orchestrator.cli.showing import Views
from orchestrator.errors import BadInput
from orchestrator.paths import SweepPaths
from orchestrator.views.report.figures import draw
from orchestrator.views.study.study import Study
from orchestrator.views.tables import TABLES, build, frames, without_rows
from orchestrator.views.tables.render import write
from tests.support.studies import (
    MEMORY,
    PARENTHESES,
    Folder,
    completed,
    errored,
    infeasible,
    stopped,
)

ENDS = (completed(0.3, 0.4), stopped(), infeasible(), errored(), completed(0.2, 0.6))


def folder(results, name, *ends, seed=3, **changes):
    sweep = Folder.of(results, name=name, seed=seed, **changes)
    for architecture in ("rnn", "gru"):
        sweep.fill(architecture, *ends)
    return sweep


def study(*folders, where=()):
    return Study([sweep.paths for sweep in folders], where)


def test_trials_of_two_sweeps_with_different_seeds_stand_together_in_order(tmp_path):
    first = folder(tmp_path, "first", *ENDS)
    second = folder(tmp_path, "second", completed(0.1, 0.7), completed(0.9, 0.9), seed=4)
    both = study(first, second)
    assert [cell.id for cell in both.cells] == [cell.id for cell in first.plan.cells]
    assert {cell.sweeps for cell in both.cells} == {("first", "second")}
    rnn = both.of_cell(both.cells[0].id)
    assert [*zip(rnn["sweep"], rnn["index"], strict=True)] == [
        *(("first", index) for index in range(5)),
        *(("second", index) for index in range(2)),
    ]
    assert both.best(both.cells[0].id)["sweep"] == "second"
    assert both.best(both.cells[0].id)["evaluation_loss"] == 0.7
    ledgers = [f"'{sweep.paths.ledger}/trials/*/*.parquet'" for sweep in (first, second)]
    counts = duckdb.sql(
        f"select cell, outcome, count(*) from read_parquet([{', '.join(ledgers)}], "
        "hive_partitioning = true) group by all"
    ).fetchall()
    for cell, outcome, count in counts:
        (counted,) = [studied for studied in both.cells if studied.id == cell]
        assert getattr(counted, outcome) == count


def test_a_trial_that_two_sweeps_share_counts_once_as_the_one_trained_further(tmp_path):
    first = folder(tmp_path, "first", *ENDS)
    again = folder(tmp_path, "again", completed(0.3, 0.4), completed(0.1, 0.1), errored())
    rnn = study(first, again).of_cell(first.plan.cells[0].id)
    assert [*zip(rnn["sweep"], rnn["index"], rnn["outcome"], strict=True)] == [
        ("first", 0, "completed"),
        ("first", 2, "infeasible"),
        ("first", 3, "errored"),
        ("first", 4, "completed"),
        ("again", 1, "completed"),  # where the first sweep stopped it early
    ]


def test_a_sweep_given_twice_counts_once_and_another_sweep_of_its_name_is_refused(tmp_path):
    sweep = folder(tmp_path, "one", *ENDS)
    assert len(study(sweep, sweep).trials) == len(sweep.study.trials) == 10
    shutil.copytree(sweep.paths.folder, tmp_path / "copied" / "one")
    with pytest.raises(BadInput, match="two of the sweeps are called 'one'"):
        Study([sweep.paths, SweepPaths(tmp_path / "copied", "one")])


def test_a_study_has_the_cells_of_all_its_sweeps(tmp_path):
    first = folder(tmp_path, "first", *ENDS)
    other = Folder.of(tmp_path, name="other", depths=[2])
    other.fill("gru", completed(0.1, 0.2))
    both = study(first, other)
    assert [(cell.architecture, cell.depth) for cell in both.cells] == [
        ("rnn", 1),
        ("gru", 1),
        ("rnn", 2),
        ("gru", 2),
    ]
    matched = {table.name: table for table in build(both)}["parameter_matched"].tidy
    assert set(matched["sweep"].dropna()) == {"first", "other"}
    assert len(matched) == 4 and matched["trial"].notna().sum() == 3


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"training": {"steps": 32, "batch_size": 8, "evaluation_interval": 4}}, "training.steps"),
        ({"replicates": 3}, "replicates is 2 and 3"),
        (
            {"search": {"samples": 6, "space": {"learning_rate": {"low": 1e-4, "high": 1e-2}}}},
            "space.learning_rate",
        ),
    ],
)
def test_two_sweeps_that_define_a_cell_differently_are_refused(tmp_path, changes, difference):
    first = folder(tmp_path, "first", *ENDS)
    second = folder(tmp_path, "second", *ENDS, **changes)
    with pytest.raises(BadInput) as refused:
        study(first, second)
    message = str(refused.value)
    assert message.startswith("sweeps 'first' and 'second' define cell parentheses-")
    assert difference in message and "--where" in message


def test_a_repetition_may_have_another_evaluation_interval_and_more_replicates(tmp_path):
    first = folder(tmp_path, "first", *ENDS)
    search = {"samples": 6, "method": "repeat", "of": "first"}
    training = {"steps": 16, "batch_size": 8, "evaluation_interval": 2}
    again = Folder.of(tmp_path, name="again", search=search, training=training, replicates=3)
    again.fill("rnn", completed(0.1, 0.1))
    for both in (study(first, again), study(again, first)):
        assert len(both.trials) == 10 and len(both.repetitions) == 1
        assert {cell.replicates for cell in both.cells} == {2}
        assert both.best(both.cells[0].id)["sweep"] == "first"


def test_filters_leave_cells_and_their_files_out(tmp_path):
    sweep = Folder.of(tmp_path, tasks=[MEMORY, PARENTHESES], depths=[1, 2])
    sweep.write({trial.id: completed(0.5, 0.5) for trial in sweep.plan.trials()})
    for path in sweep.paths.ledger.glob("*/cell=parentheses*/*.parquet"):
        path.write_bytes(b"not read")  # if it were read, it would be named and set aside
    chosen = study(sweep, where=["task=memory", "depth=2"])
    assert [(cell.task.partition("(")[0], cell.depth) for cell in chosen.cells] == [
        ("memory", 2)
    ] * 2
    assert len(chosen.trials) == 12 and not chosen.warnings
    assert {table.tidy["depth"].unique().item() for table in build(chosen) if len(table.tidy)} == {
        2
    }


def test_filters_that_no_cell_passes_are_refused(tmp_path):
    sweep = folder(tmp_path, "mine", *ENDS)
    with pytest.raises(BadInput, match=r"no cell of mine has depth>7"):
        study(sweep, where=["depth>7"])


def test_a_truncated_file_is_named_in_a_warning_and_the_others_are_used(tmp_path):
    sweep = Folder.of(tmp_path)
    sweep.fill("rnn", completed(0.3, 0.4))
    sweep.fill("gru", completed(0.3, 0.4))
    path = next(sweep.paths.ledger.glob("trials/cell=*gru*/*.parquet"))
    path.write_bytes(path.read_bytes()[:-20])
    damaged_study = sweep.study
    assert len(damaged_study.trials) == 1
    (warning,) = damaged_study.warnings
    assert str(path.parent) in warning and "set aside" in warning
    assert sweep.study.warnings == damaged_study.warnings  # the warning is repeated the next time


def test_the_tables_of_several_sweeps_are_written_with_the_same_bytes_again(tmp_path):
    first = folder(tmp_path, "first", *ENDS)
    second = folder(tmp_path, "second", completed(0.1, 0.7), seed=4)
    written = [
        [path.read_bytes() for path in write(build(study(first, second)), tmp_path / again)]
        for again in ("a", "b")
    ]
    assert written[0] == written[1]


def test_frames_returns_the_tables_of_the_selected_cells_by_name(tmp_path):
    sweep = folder(tmp_path, "mine", *ENDS)
    tables = frames("mine", results=str(tmp_path), where=["architecture=rnn"])
    assert {"parameter_matched", "infeasible", "cost"} <= tables.keys()
    assert [*tables["infeasible"]["architecture"]] == ["rnn"]
    assert tables["cost"]["trials"].sum() == 5 == len(sweep.study.trials) / 2


def test_each_selection_of_sweeps_and_cells_has_a_folder_of_its_own(tmp_path):
    paths = SweepPaths(tmp_path, "mine")
    assert paths.selection([], []) == paths.folder
    names = {
        paths.selection(others, where).name
        for others in ([], ["b"], ["b", "c"])
        for where in ([], ["depth>=2"], ["depth<=2"], ["depth<2"], ["depth!=2"], ["task=a(b=1)"])
    }
    assert len(names) == 18  # the sweep's folder among them
    long = paths.selection(["x" * 300], ["y" * 300]).name
    assert len(long) < 120
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-._") for name in names)


def test_a_note_names_a_cell_that_no_sweep_of_the_study_has(tmp_path):
    first = folder(tmp_path, "first", *ENDS)
    other = Folder.of(tmp_path, name="other", depths=[2], architectures=["rnn"])
    other.fill("rnn", completed(0.1, 0.2))
    task = "parentheses(held_out_size=32, length=6)"
    both = study(first, other)
    assert both.absent == (f"gru at depth 2, budget 4000, on {task}",)
    notes = {table.name: table.notes for table in build(both)}["parameter_matched"]
    assert f"'-': not among the cells of the sweeps: {both.absent[0]}." in notes
    assert first.study.absent == () and first.study.mixtures == ()


def test_a_note_names_trainings_that_differ_between_sweeps(tmp_path):
    first = folder(tmp_path, "first", *ENDS)
    longer = {"steps": 32, "batch_size": 8, "evaluation_interval": 8}
    other = Folder.of(tmp_path, name="other", depths=[2], training=longer)
    other.fill("gru", completed(0.1, 0.2))
    both = study(first, other)
    assert both.mixtures == (
        "On parentheses(held_out_size=32, length=6) the sweeps trained differently: steps 16 in "
        "first, 32 in other; evaluation interval 4 in first, 8 in other.",
    )
    notes = {table.name: table.notes for table in build(both)}
    for name in ("parameter_matched", "depth"):
        assert both.mixtures[0] in notes[name]


def test_every_table_is_registered_under_its_name(tmp_path):
    sweep = folder(tmp_path, "one", *ENDS)
    assert [make(sweep.study).name for make in TABLES.values()] == [*TABLES]
    built = build(sweep.study)
    assert [*TABLES] == sorted(
        [*without_rows(built), *(table.name for table in built)], key=[*TABLES].index
    )
    assert "capacity" in without_rows(built) and "cost" not in without_rows(built)


@pytest.mark.parametrize("write", [Views.write_tables, lambda views: views.write_report("", False)])
def test_tables_and_report_refuse_a_folder_that_cannot_be_written_with_one_sentence(
    tmp_path, write
):
    sweep = folder(tmp_path, "one", *ENDS)
    sweep.paths.tables.write_text("in the way")
    with pytest.raises(BadInput) as refused:
        write(Views([sweep.paths]))
    assert str(refused.value).startswith(
        f"{sweep.paths.tables}: File exists; tables and report are"
    )


def judged(loss, **changes):
    """Return a completed trial whose best report is the one after eight steps."""
    best = {
        "step": 8,
        "objective": 0.1,
        "validation_loss": 0.1,
        "evaluation_loss": loss,
        "validation_metric": 0.2,
        "evaluation_metric": loss / 2,
        "lane_validation_losses": [0.1, 0.1],
        "lane_evaluation_losses": [loss, loss],
        "lane_validation_metrics": [0.2, 0.2],
        "lane_evaluation_metrics": [loss / 2, loss / 2],
    }
    end = completed(0.9, 0.9, metrics=[0.8, 0.8], objective=0.1)
    return end | {f"best_{name}": value for name, value in best.items()} | changes


def judging(tmp_path, name, report, loss, **changes):
    training = {"steps": 16, "batch_size": 8, "evaluation_interval": 4, "report": report}
    folder = Folder.of(tmp_path, name=name, training=training, tasks=[MEMORY], **changes)
    for cell in folder.plan.cells:
        folder.fill(cell.architecture.label, judged(loss))
    return folder


@pytest.mark.parametrize(("report", "loss", "metric"), [("last", 0.9, 0.8), ("best", 0.3, 0.15)])
def test_tables_show_the_report_by_which_trials_are_judged(tmp_path, report, loss, metric):
    folder = judging(tmp_path, "small", report, 0.3)
    study = folder.study
    cell = study.cells[0].id
    assert study.reporting(cell) == report
    best = study.best(cell)
    assert (best["evaluation_loss"], best["evaluation_metric"]) == (loss, metric)
    assert [*best["lane_evaluation_losses"]] == [loss, loss]
    assert best["step"] == 16
    tables = {table.name: table for table in build(study)}
    for name, table in tables.items():
        of_all_reports = name in ("infeasible", "cost", "stability")
        assert (study.reported in table.notes) != of_all_reports
    for figure in draw(study, tables):
        of_all_reports = figure.name in ("infeasible", "cost", "learning_curves")
        assert figure.caption.endswith(study.reported) != of_all_reports
    tidy = frames("small", results=tmp_path)
    assert set(tidy["parameter_matched"]["evaluation_loss"]) == {loss}
    assert set(tidy["trainability"]["best_evaluation_loss"]) == {loss}
    assert set(tidy["memory"]["error"]) == {metric}
    for row in tidy["best_trials"].to_dict("records"):
        assert (row["report"], row["evaluation_loss"]) == (report, loss)
        assert (row["last_evaluation_loss"], row["step"]) == (0.9, 16)
        assert (row["best_evaluation_loss"], row["best_step"]) == (0.3, 8)


def test_sweeps_that_judge_trials_by_other_reports_are_told_apart(tmp_path):
    judging(tmp_path, "by-last", "last", 0.3, architectures=["rnn"])
    judging(tmp_path, "by-best", "best", 0.2, architectures=["gru"])
    study = Study([SweepPaths(tmp_path, name) for name in ("by-last", "by-best")])
    losses = {cell.architecture: study.best(cell.id)["evaluation_loss"] for cell in study.cells}
    assert losses == {"rnn": 0.9, "gru": 0.2}
    task = study.cells[0].task
    assert study.reported == (
        f"Losses and metrics are those of the last report of each trial on {task} (by-last) and "
        f"of the best report by validation of each trial on {task} (by-best)."
    )
    (mixture,) = study.mixtures
    assert "report last in by-last, best in by-best" in mixture
