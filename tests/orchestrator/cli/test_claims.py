"""Tests what `soundings claims` prints and writes."""

import json

import pytest
from typer.testing import CliRunner

from orchestrator.cli.commands import app
from orchestrator.errors import BadInput
from orchestrator.views.claims import CLAIMS
from tests.support.claims import filled
from tests.support.studies import completed


@pytest.fixture
def results(tmp_path):
    def ends(cell):
        loss = {"gru": 0.5, "rnn": 3.0}[cell.architecture.name]
        return [completed(loss + i / 100, loss + i / 100, lanes=[loss]) for i in range(9)]

    filled(tmp_path, ends)
    return tmp_path


def said(*arguments):
    result = CliRunner().invoke(app, ["claims", *map(str, arguments)])
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_measured_claims_are_a_table_and_the_others_a_line(results):
    text = " ".join(said("small", "--results", results).split())
    assert "capacity_C7 undecided loss of the rnn over that of the gru at depth 1: 6 (" in text
    assert "Would decide it: Besides these: the irnn at depth 1" in text
    assert "2 cells; " in text and " 16 steps, 9 trials a cell, 1 network a trial" in text
    assert "capacity_C5 (sweeps/memory.yaml)" in text
    assert (results / "small/claims.md").is_file()


def test_one_claim_is_printed_while_all_are_written(results):
    text = said("small", "--claim", "capacity_C5", "--results", results)
    assert "capacity_C5" in text and "capacity_C7" not in text
    written = json.loads((results / "small/claims.json").read_text())
    assert [one["name"] for one in written] == [*CLAIMS]


def test_json_is_all_that_is_printed_for_scripts(results):
    (one,) = json.loads(said("small", "--json", "--claim", "capacity_C7", "--results", results))
    assert (one["name"], one["verdict"]) == ("capacity_C7", "undecided")
    everything = json.loads(said("small", "--json", "--results", results))
    assert everything == json.loads((results / "small/claims.json").read_text())


def test_a_selection_of_cells_is_written_to_a_folder_of_its_own(results):
    text = said("small", "--where", "architecture=gru", "--results", results)
    assert "capacity_C7 (sweeps/trainability.yaml)" in " ".join(text.split())
    assert "capacity_C2, capacity_C3," in " ".join(text.split())
    assert not (results / "small/claims.md").exists()
    assert (results / "small/selections/architecture-gru/claims.md").is_file()


def test_a_name_that_is_no_claim_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(BadInput, match="there is no such claim; did you mean 'capacity_C"):
        said("nothing", "--claim", "capacity_C", "--results", tmp_path)
