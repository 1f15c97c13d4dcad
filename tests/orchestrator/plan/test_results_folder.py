"""A results folder is refused where nothing can be written, or where no trial has finished."""

import pytest

from orchestrator.errors import BadInput
from orchestrator.paths import SweepPaths
from orchestrator.views.study.study import Study
from tests.support.small import small_plan
from tests.support.studies import Folder, left_of


def refusal(paths, plan):
    with pytest.raises(BadInput) as caught:
        left_of(plan, paths)
    return str(caught.value)


def test_a_question_mark_in_the_results_folder_is_refused(tmp_path):
    assert refusal(SweepPaths(tmp_path / "a?b", "small"), small_plan()) == (
        f"{tmp_path / 'a?b'}: name a results folder without '?'"
    )


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_results_folder_below_a_regular_file_is_refused(tmp_path, below):
    (tmp_path / "file").write_text("a regular file")
    paths = SweepPaths(tmp_path / "file" / below, "small")
    assert refusal(paths, small_plan()) == (
        f"{paths.folder}: cannot write results there (Not a directory); allow writing there, or "
        "name another folder with --results"
    )


def test_a_regular_file_in_place_of_the_sweeps_folder_is_refused(tmp_path):
    (tmp_path / "small").write_text("a regular file")
    assert refusal(SweepPaths(tmp_path, "small"), small_plan()).startswith(
        f"{tmp_path / 'small'}: cannot write results there (File exists)"
    )


def test_a_results_folder_without_write_permission_is_refused(tmp_path, monkeypatch):
    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.write_bytes", refuse)
    assert "cannot write results there (Permission denied)" in refusal(
        SweepPaths(tmp_path, "small"), small_plan()
    )


def test_the_study_of_a_sweep_without_finished_trials_is_refused(tmp_path):
    with pytest.raises(BadInput, match="holds no sweep: run it first"):
        Study(SweepPaths(tmp_path, "small"))
    folder = Folder.of(tmp_path)
    with pytest.raises(BadInput, match="holds no finished trial yet"):
        Study(folder.paths)
