"""Manifests that earlier releases wrote are read, and mean what they meant."""

import json
import re
from pathlib import Path

import pytest
import torch
import yaml

from orchestrator.errors import BadInput
from orchestrator.ledger import LedgerWriter
from orchestrator.paths import SweepPaths
from orchestrator.plan.manifest import recorded_spec, write_manifest
from orchestrator.plan.plan import make_plan
from orchestrator.spec.sweep import load
from tests.support.rows import report
from trainables.architectures import build

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
    assert {key: written.pop(key) for key in ("diagnostics",)} == {"diagnostics": None}
    assert written["search"].pop("paired") is False
    assert {cell["training"].pop("report") for cell in written["cells"].values()} == {"last"}
    assert {task["training"].pop("report") for task in written["tasks"]} == {None}
    assert written["training"].pop("report") is None
    assert json.dumps(written) == json.dumps(before)


def test_drawn_alphas_that_a_manifest_records_without_an_epsilon_are_those_of_its_release(tmp_path):
    """Files without an epsilon now state a smaller one; what 0.1.0 recorded means 0.05."""
    file = next(file for file in RECORDED if file.stem.endswith("drawn-alphas"))
    paths = SweepPaths(tmp_path, "drawn")
    paths.make_writable()
    paths.manifest.write_bytes(file.read_bytes())
    plan = make_plan(recorded_spec(paths), tmp_path)
    assert [cell.architecture.label for cell in plan.cells] == [
        "wcrnn(alpha=0.98, residual=heterogeneous)",
        "wcrnn(residual=informed)",
    ]
    definition = plan.trial(plan.cells[0], 0).definition
    network = build(
        "wcrnn", inputs=1, outputs=1, hidden=200, options=definition["architecture_options"]
    )
    network.initialize([definition["configuration"]], [torch.Generator().manual_seed(0)])
    alphas = network.layers[0].residual
    assert 0.93 <= alphas.min() < 0.935
    assert 1.025 < alphas.max() <= 1.03


def test_the_file_of_a_recorded_sweep_trains_no_other_alphas_under_its_name(tmp_path):
    file = next(file for file in RECORDED if file.stem.endswith("drawn-alphas"))
    paths = SweepPaths(tmp_path, "drawn")
    paths.make_writable()
    paths.manifest.write_bytes(file.read_bytes())
    recorded = make_plan(recorded_spec(paths), tmp_path)
    writer = LedgerWriter(paths.ledger)
    writer.add("results", recorded.cells[0].id, report("a", 1))
    writer.flush()
    kept = ("name", "seed", "architectures", "depths", "budgets", "search", "training")
    content = {key: json.loads(file.read_text())[key] for key in kept}
    content |= {"tasks": [{"name": "memory", "options": {"delay": 5}}], "scheduler": "none"}
    (tmp_path / "drawn.yaml").write_text(yaml.safe_dump(content))
    planned = make_plan(load(tmp_path / "drawn.yaml"), tmp_path)
    for extend in (False, True):
        with pytest.raises(
            BadInput, match=r"architectures\.0\.options\.epsilon is new in the file"
        ):
            write_manifest(planned, paths, extend)


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
