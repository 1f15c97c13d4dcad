"""Checks that a plan is refused whose files could not have their names where results lie."""

import os
from pathlib import Path

import pytest

from orchestrator.errors import BadInput
from orchestrator.ledger import Ledger, LedgerWriter
from orchestrator.paths import SweepPaths
from orchestrator.plan.places import check_places
from orchestrator.plan.plan import trial_id
from orchestrator.spec.sweep import SweepSpec
from tests.support.rows import NOON
from tests.support.small import SMALL, small_plan
from trainables import checkpoints
from trainables.storage import location

MODULE = """
from dataclasses import dataclass
from trainables.architectures.layer import StackOptions
from trainables.architectures.vanilla import RNN

class Mine(RNN):
    @dataclass(frozen=True)
    class Options(RNN.Options):
        note: str = ""
"""
URL = "s3://bucket/folder"


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """Return a function that plans a sweep whose cell has an id of a given length."""
    (tmp_path / "long.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)

    def of(length):
        architecture = {"name": "long:Mine", "options": {"note": "n"}}
        (cell,) = small_plan(architectures=[architecture]).cells
        architecture["options"]["note"] = "n" * (1 + length - len(cell.id))
        planned = small_plan(architectures=[architecture])
        assert [len(cell.id) for cell in planned.cells] == [length]
        return planned

    return of


def refusal(plan, results):
    with pytest.raises(BadInput) as caught:
        check_places(plan, SweepPaths(results, "small"))
    return str(caught.value)


def test_the_longest_names_that_pass_can_be_written(plan, tmp_path):
    longest = plan(249)
    check_places(longest, SweepPaths(tmp_path, "small"))
    (cell,) = longest.cells
    writer = LedgerWriter(tmp_path / "ledger")
    writer.add("starts", cell.id, {"trial": "a", "index": 0, "run": "b", "started": NOON})
    writer.flush(durable=True)
    folder = SweepPaths(tmp_path, "small").checkpoints_of(trial_id(cell.id, 5))
    checkpoints.write(folder, 3, "identity", {})
    assert [*Ledger(tmp_path / "ledger").starts()["cell"]] == [cell.id]
    assert [each.step for each in checkpoints.listed(folder)] == [3]


@pytest.mark.parametrize("length", [250, 400])
def test_a_cell_whose_folder_would_have_too_long_a_name_is_refused_on_a_disk(
    plan, tmp_path, length
):
    refused = refusal(plan(length), tmp_path)
    assert "but a disk allows 255: shorten the names of classes and options of the cell" in refused
    check_places(plan(length), SweepPaths(location(URL), "small"))


def test_a_key_that_an_object_store_refuses_is_refused(plan):
    assert "would be longer than 1,024 bytes" in refusal(plan(900), location(URL))
    assert "would be longer than 1,024 bytes" in refusal(
        small_plan(), location(f"s3://bucket/{'é' * 480}")
    )


@pytest.mark.parametrize(
    ("results", "wrong"),
    [
        ("/a/b?c", "name a results folder without '?'"),
        ("/" + "x" * 256, "a folder's name has at most 255 bytes"),
        ("/" + "é" * 128, "a folder's name has at most 255 bytes"),
        ("/dev/null", "(/dev/null is no folder); name another folder"),
        ("/dev/null/x", "(/dev/null is no folder); name another folder"),
        ("/" + "x/" * 1950, "would be longer than 4,095 bytes"),
        (os.fsdecode(b"/a\xff"), "its name is not UTF-8 text"),
        ("s3://bucket/a/../b", "name a folder without '.', '..' and control characters"),
        ("s3://bucket/a/./b", "name a folder without '.', '..' and control characters"),
        ("s3://bucket/a\nb", "name a folder without '.', '..' and control characters"),
    ],
)
def test_a_results_folder_that_cannot_be_is_refused_before_anything_is_made(results, wrong):
    refused = refusal(small_plan(), location(results))
    assert wrong in refused and refused.isprintable()


def test_a_question_mark_in_the_current_folder_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a?b").mkdir()
    monkeypatch.chdir(tmp_path / "a?b")
    assert refusal(small_plan(), Path("results")).endswith("name a results folder without '?'")


@pytest.mark.parametrize("of", ["../other", "a/b", "", "..", "x" * 101, "a\0b"])
def test_the_name_of_a_repeated_sweep_is_that_of_a_sweep(of):
    search = {"method": "repeat", "of": of, "samples": 2}
    with pytest.raises(ValueError, match=r"search\.of"):
        SweepSpec.model_validate({**SMALL, "search": search})
