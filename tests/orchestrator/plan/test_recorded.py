"""Manifests that earlier releases wrote are read, and mean what they meant."""

import json
import re
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
    before, identity = json.loads(file.read_text()), paths.identity()
    write_manifest(plan, paths)  # raises if it contradicts what is recorded
    written = json.loads(paths.manifest.read_text())
    assert written.pop("identity") == identity
    before.pop("identity", None)  # release 0.1.0 recorded none
    assert json.dumps(written) == json.dumps(before)


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.stem)
def test_a_manifest_without_an_identity_has_one_that_the_next_run_keeps(tmp_path, file):
    """It can be read where nothing may be written, and stays as it is when the sweep grows."""
    paths = SweepPaths(tmp_path, json.loads(file.read_text())["name"])
    paths.make_writable()
    paths.manifest.write_bytes(file.read_bytes())
    paths.manifest.chmod(0o400)
    identity = paths.identity()
    assert re.fullmatch("[0-9a-f]{32}", identity)
    assert paths.manifest.read_bytes() == file.read_bytes()
    spec = recorded_spec(paths)
    writer = LedgerWriter(paths.ledger)
    writer.add("results", make_plan(spec, tmp_path).cells[0].id, report("a", 1))
    writer.flush()
    more = spec.search.model_copy(update={"samples": spec.search.samples + 1})
    write_manifest(
        make_plan(spec.model_copy(update={"search": more}), tmp_path), paths, extend=True
    )
    assert paths.identity() == identity == json.loads(paths.manifest.read_text())["identity"]
