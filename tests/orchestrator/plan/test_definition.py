"""What is left of a sweep, and whose results a folder holds."""

import json

import pytest

from orchestrator.errors import BadInput
from orchestrator.paths import SweepPaths
from orchestrator.views.study.study import Study
from tests.support.small import SMALL, small_plan
from tests.support.studies import Folder, completed, errored, infeasible, left_of, stopped

REMEDY = "; change the sweep's name, name another folder with --results, or take the change back"


@pytest.fixture
def paths(tmp_path):
    return SweepPaths(tmp_path, "small")


@pytest.fixture
def begun(tmp_path):
    """The paths of the small sweep, of which a trial is recorded."""
    folder = Folder.of(tmp_path)
    folder.fill("rnn", completed(1.0, 1.0))
    return folder.paths


def refusal(paths, plan):
    with pytest.raises(BadInput) as caught:
        left_of(plan, paths)
    return str(caught.value)


def test_a_new_sweep_is_written_down_and_all_of_it_is_left(paths):
    plan = small_plan()
    left = left_of(plan, paths)
    assert {cell: [*of] for cell, of in left.indices.items()} == {
        cell.id: [*range(6)] for cell in plan.cells
    }
    assert (
        left.count,
        len(left.record.trials),
        len(left.record.reports),
        left.record.sequence,
    ) == (12, 0, 0, 0)
    written = json.loads(paths.manifest.read_text())
    assert {cell: of["hidden"] for cell, of in written["cells"].items()} == {
        cell.id: cell.hidden for cell in plan.cells
    }
    assert written["training"]["steps"] == SMALL["training"]["steps"]
    assert [p.name for p in paths.folder.iterdir()] == ["sweep.json"]  # and no probe


def test_the_same_sweep_is_accepted_again_and_nothing_is_written_anew(begun):
    before = begun.manifest.stat()
    assert left_of(small_plan(), begun).count == 11
    after = begun.manifest.stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


def test_where_and_how_carefully_it_runs_is_not_what_it_is_and_is_remembered(begun):
    before = json.loads(begun.manifest.read_text())
    elsewhere = {"cpus": 2.0, "gpus": 1.0, "memory": 3.0}
    careful = {"checkpoint_seconds": 5.0, "retries": 0}
    assert left_of(small_plan(resources=elsewhere, recovery=careful), begun).count == 11
    after = json.loads(begun.manifest.read_text())
    assert after == before | {"resources": elsewhere, "recovery": careful}


def test_what_ended_is_subtracted_and_what_errored_is_not(tmp_path):
    folder = Folder.of(tmp_path)
    folder.fill("rnn", completed(1.0, 1.0), errored(), stopped(), infeasible(), None, errored())
    folder.fill("rnn", *[None] * 5, completed(1.0, 1.0))  # ran again
    left = left_of(folder.plan, folder.paths)
    rnn, gru = (cell.id for cell in folder.plan.cells)
    assert [[*left.indices[cell]] for cell in (rnn, gru)] == [[1, 4], [*range(6)]]
    assert len(left.record.trials) == 5


def test_a_complete_sweep_has_nothing_left(tmp_path):
    folder = Folder.of(tmp_path)
    folder.write({trial.id: completed(1.0, 1.0) for trial in folder.plan.trials()})
    left = left_of(folder.plan, folder.paths)
    assert (left.count, len(left.record.trials)) == (0, 12)


CHANGES = [
    ({"seed": 4}, "seed was 3 and is 4 in the file"),
    ({"depths": [2]}, "depths was [1] and is [2] in the file"),
    ({"replicates": 3}, "replicates was 2 and is 3 in the file"),
    (
        {"training": SMALL["training"] | {"steps": 32}},
        "training.steps was 16 and is 32 in the file",
    ),
    (
        {"scheduler": {"method": "none"}},
        'scheduler.method was "asha" and is "none" in the file; scheduler.grace was 4 and is null '
        "in the file; scheduler.reduction_factor was 2.0 and is 3.0 in the file",
    ),
    (
        {"search": {"samples": 6, "space": {"learning_rate": 0.01}}},
        'search.space.learning_rate was {"low": 0.001, "high": 0.01} and is 0.01 in the file',
    ),
    (
        {"search": {"samples": 6}},
        "search.space.learning_rate was there and is not in the file",
    ),
    (
        {"search": SMALL["search"] | {"space": SMALL["search"]["space"] | {"l2": 0}}},
        "search.space.l2 is new in the file",
    ),
]


@pytest.mark.parametrize(("changes", "difference"), CHANGES)
def test_another_sweep_of_the_same_name_is_refused_with_the_difference(begun, changes, difference):
    before = begun.manifest.read_bytes()
    assert refusal(begun, small_plan(**changes)) == (
        f"{begun.folder} holds another sweep called 'small': {difference}{REMEDY}"
    )
    assert begun.manifest.read_bytes() == before
    assert left_of(small_plan(), begun).count == 11


def test_while_nothing_is_recorded_the_folder_takes_the_changed_sweep(paths):
    left_of(small_plan(), paths)
    changed = small_plan(seed=4, architectures=["lstm"])
    assert left_of(changed, paths).count == 6
    written = json.loads(paths.manifest.read_text())
    assert (written["seed"], [*written["cells"]]) == (4, [changed.cells[0].id])


def test_of_many_differences_three_are_told(begun):
    other = small_plan(seed=4, depths=[2], budgets=[5000], replicates=1)
    assert refusal(begun, other) == (
        f"{begun.folder} holds another sweep called 'small': seed was 3 and is 4 in the file; "
        "depths was [1] and is [2] in the file; budgets was [4000] and is [5000] in the file "
        f"(and 1 more){REMEDY}"
    )


def test_a_sweep_whose_cells_now_have_other_widths_is_refused(begun):
    """The file is the same; what it means is not, say in another release."""
    written = json.loads(begun.manifest.read_text())
    cell = small_plan().cells[0]
    written["cells"][cell.id]["hidden"] += 1
    begun.manifest.write_text(json.dumps(written))
    assert refusal(begun, small_plan()) == (
        f"{begun.folder} holds another sweep called 'small': cells.{cell.id}.hidden was "
        f"{cell.hidden + 1} and is {cell.hidden} in the file{REMEDY}"
    )


def test_sweeps_of_different_names_share_a_results_folder(tmp_path):
    for name in ("small", "other"):
        plan = small_plan(name=name, seed=len(name))
        assert left_of(plan, SweepPaths(tmp_path, name)).count == 12


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '{"cells": {}}', "\x00"])
def test_a_damaged_definition_is_bad_input_everywhere(tmp_path, text):
    folder = Folder.of(tmp_path)
    folder.fill("rnn", completed(1.0, 1.0))
    folder.paths.manifest.write_text(text)
    with pytest.raises(BadInput) as tables:
        Study(folder.paths)
    assert refusal(folder.paths, folder.plan) == str(tables.value)
    assert str(tables.value).startswith(f"{folder.paths.manifest}: damaged (")
    folder.paths.manifest.unlink()
    assert refusal(folder.paths, folder.plan) == (
        f"{folder.paths.folder} has a ledger, but not sweep.json, which says what sweep it is of; "
        "put it back, or name another folder with --results"
    )


def test_more_trials_than_a_run_can_hold_are_refused_at_once(tmp_path):
    paths = SweepPaths(tmp_path, "small")
    assert refusal(paths, small_plan(search={"samples": 10**9})) == (
        "sweep 'small' has 2,000,000,000 trials, but may have at most 10,000,000; lower "
        "search.samples, or split the sweep"
    )
    assert not paths.ledger.exists()


def test_a_question_mark_in_the_results_folder_is_refused(tmp_path):
    assert refusal(SweepPaths(tmp_path / "a?b", "small"), small_plan()) == (
        f"{tmp_path / 'a?b'}: name a results folder without '?'"
    )


@pytest.mark.parametrize("below", ["", "deeper"])
def test_results_that_cannot_be_written_are_bad_input(tmp_path, below):
    (tmp_path / "file").write_text("a regular file")
    paths = SweepPaths(tmp_path / "file" / below, "small")
    assert refusal(paths, small_plan()) == (
        f"{paths.folder}: cannot write results there (Not a directory); name another folder with "
        "--results"
    )


def test_a_file_where_the_sweeps_folder_should_be(tmp_path):
    (tmp_path / "small").write_text("a regular file")
    assert refusal(SweepPaths(tmp_path, "small"), small_plan()).startswith(
        f"{tmp_path / 'small'}: cannot write results there (File exists)"
    )


def test_a_folder_in_which_nothing_can_be_written(paths, monkeypatch):
    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.write_bytes", refuse)
    assert "cannot write results there (Permission denied)" in refusal(paths, small_plan())


def test_tables_of_what_was_never_run(tmp_path):
    with pytest.raises(BadInput, match="holds no sweep: run it first"):
        Study(SweepPaths(tmp_path, "small"))
    folder = Folder.of(tmp_path)
    with pytest.raises(BadInput, match="holds no finished trial yet"):
        Study(folder.paths)
