"""The list of claims, its files, and what documents say about it."""

import json
import re

import pytest

from orchestrator.errors import BadInput
from orchestrator.views import claims
from orchestrator.views.claims import CLAIMS, Verdict, chosen, claims_of
from orchestrator.views.claims.files import write
from orchestrator.views.claims.judging import judge
from orchestrator.views.references import name_of
from tests.support.claims import filled
from tests.support.paths import ROOT
from tests.support.studies import completed
from trainables.storage import location

SCIENCE = (ROOT / "docs/science.md").read_text()


@pytest.fixture
def study(tmp_path):
    losses = {"gru": 0.5, "lstm": 1.0, "rnn": 3.0}

    def ends(cell):
        loss = losses[cell.architecture.name]
        return [completed(loss + i / 100, loss + i / 100, lanes=[loss]) for i in range(9)]

    return filled(tmp_path, ends, architectures=[*losses])


@pytest.mark.parametrize("name", CLAIMS)
def test_each_claim_is_documented_with_its_rule_and_measured_by_shipped_sweeps(name):
    claim = CLAIMS[name]
    assert f"| `{name}`, {claim.place} | {claim.rule} |" in SCIENCE
    assert re.fullmatch(r"[A-Za-z0-9_]+", name)
    assert name_of(claim.paper)
    assert claim.statement.endswith(".") and claim.rule.endswith(".")
    assert claim.papers_scale and not claim.papers_scale.endswith(".")
    for sweep in claim.sweeps:
        assert (ROOT / sweep).is_file()


def test_all_documented_claims_exist():
    section = SCIENCE.partition("\n## Claims\n")[2].partition("\n## Report\n")[0]
    assert re.findall(r"^\| `([A-Za-z0-9_]+)`, ", section, flags=re.MULTILINE) == [*CLAIMS]


def test_the_files_hold_what_the_findings_say(study, tmp_path):
    found = claims_of("small", results=tmp_path)
    paths = write(found, ["small"], study.paths.folder)
    assert [path.name for path in paths] == ["claims.json", "claims.md"]
    entries = json.loads(paths[0].read_text())
    assert [entry["name"] for entry in entries] == [*CLAIMS]
    entry = {entry["name"]: entry for entry in entries}["capacity_C7"]
    assert entry["verdict"] == "undecided"
    by_quantity = {part["quantity"]: part for part in entry["parts"]}
    part = by_quantity["loss of the rnn over that of the gru at depth 1"]
    assert part["value"] == pytest.approx(6.0)
    assert part["verdict"] == "confirmed"
    assert (part["claimed_low"], part["claimed_high"]) == (1.0, None)
    assert (part["observations"], part["unit"]) == (9, "completed trials a cell")
    assert entry["scale"]["trials"] == [9, 9]
    assert entry["scale"]["steps"] == [16, 16]
    text = paths[1].read_text()
    assert "## capacity_C7: undecided" in text
    row = next(line for line in text.splitlines() if line.startswith(f"| {part['quantity']} |"))
    assert re.fullmatch(
        r"\| .* \| 6 \([\d.]+ to [\d.]+\) \| above 1 \| 9 completed trials a cell \| confirmed \|",
        row,
    )
    assert "- `capacity_C5`: Every" not in text and "- `capacity_C5`: A 64-dimensional" in text
    assert "sweeps/memory.yaml measures it." in text


def test_the_files_are_written_to_an_object_store_too(s3):
    folder = location(s3.url("results")) / "small"
    for path in write([judge(claim, {}) for claim in CLAIMS.values()], ["small"], folder):
        assert "capacity_C1" in path.read_text(encoding="utf-8")
    assert s3.keys("results/small/") == ["results/small/claims.json", "results/small/claims.md"]


def test_filters_choose_cells(study, tmp_path):
    found = claims_of("small", results=tmp_path, where="architecture=gru")
    assert {one.verdict for one in found} == {Verdict.NOT_MEASURED}
    paths = write(found, ["small"], study.paths.folder, ["architecture=gru", "depth>=2"])
    said = "# Claims: small\n\nOnly cells with `architecture=gru` and `depth>=2`.\n"
    assert paths[1].read_text().startswith(said)


def test_a_name_that_is_no_claim_is_refused_with_the_nearest():
    with pytest.raises(BadInput, match=r"^--claim capacity_D1: there is no such claim; did"):
        chosen(["capacity_D1"])
    assert chosen([]) == [*CLAIMS]
    assert chosen(["capacity_C2", "capacity_C1", "capacity_C2"]) == ["capacity_C2", "capacity_C1"]


def test_the_public_names_are_there():
    assert set(claims.__all__) >= {"CLAIMS", "Claim", "Finding", "Verdict", "claims_of"}
