"""Manifests that earlier releases wrote are read, and mean what they meant."""

import json
from pathlib import Path

import pytest

from orchestrator.ledger import LedgerWriter
from orchestrator.paths import SweepPaths
from orchestrator.plan.manifest import recorded_spec, write_manifest
from orchestrator.plan.plan import make_plan
from tests.support.rows import report

RECORDED = sorted((Path(__file__).parent / "recorded").glob("sweep-*.json"))


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.stem)
def test_a_manifest_of_an_earlier_release_is_the_one_that_this_release_writes(tmp_path, file):
    """Widths, search spaces, training and ids of cells are the same: results can be resumed."""
    paths = SweepPaths(tmp_path, json.loads(file.read_text())["name"])
    paths.make_writable()
    paths.manifest.write_bytes(file.read_bytes())
    plan = make_plan(recorded_spec(paths), tmp_path)
    writer = LedgerWriter(paths.ledger)
    writer.add("results", plan.cells[0].id, report("a", 1))
    writer.flush()  # without a ledger a manifest is not compared
    write_manifest(plan, paths)  # raises if it contradicts what is recorded
    assert paths.manifest.read_bytes() == file.read_bytes()
