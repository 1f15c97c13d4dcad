"""No gradient clipping (``clip_norm: .inf``) is recorded as a text, which every reader takes."""

import json
import math

import pytest

from orchestrator.plan.manifest import recorded_spec, write_manifest
from orchestrator.plan.plan import make_plan
from orchestrator.search.gp import Observation, propose
from orchestrator.spec.sweep import load
from orchestrator.views.tables.best_trials import best_trials
from tests.support.small import small_file, small_plan
from tests.support.studies import Folder, completed


def search(clip_norm, samples=4):
    return {"samples": samples, "space": {"optimizer": "sgd", "clip_norm": clip_norm}}


LISTED = {
    "method": "list",
    "configurations": [{"clip_norm": math.inf}, {"clip_norm": 2}, {"clip_norm": math.inf, "l2": 0}],
}


@pytest.mark.parametrize(
    ("changed", "norms", "text"),
    [
        (search(math.inf), {"none"}, "Choice(values=('none',))"),
        (search([1.0, math.inf]), {"none", 1.0}, "Choice(values=(1.0, 'none'))"),
        (LISTED, {"none", 2.0}, "LogUniform(low=1.0, high=100.0)"),
    ],
)
def test_no_clipping_is_recorded_as_none_and_read_again(tmp_path, changed, norms, text):
    plan = make_plan(load(small_file(tmp_path, search=changed)), tmp_path)
    configurations = [trial.definition["configuration"] for trial in plan.trials()]
    assert {configuration["clip_norm"] for configuration in configurations} == norms
    folder = Folder.of(tmp_path, search=changed)
    folder.fill("rnn", completed(1.0, 1.0))
    recorded = json.loads(folder.paths.manifest.read_text(), parse_constant=pytest.fail)
    assert {cell["space"]["clip_norm"] for cell in recorded["cells"].values()} == {text}
    again = make_plan(recorded_spec(folder.paths), tmp_path)
    assert [trial.definition["configuration"] for trial in again.trials()] == configurations
    for same in (plan, again):
        write_manifest(same, folder.paths)


def test_the_table_of_best_trials_shows_that_nothing_was_clipped(tmp_path):
    folder = Folder.of(tmp_path, search=search(math.inf))
    folder.fill("rnn", completed(1.0, 1.0))
    (configuration,) = best_trials(folder.study).tidy["configuration"]
    assert json.loads(configuration)["clip_norm"] == "none"


def test_a_gaussian_process_chooses_between_clipping_and_none():
    plan = small_plan(search=search([1.0, math.inf], samples=20) | {"method": "gp"})
    cell = plan.cells[0]
    drawn = [plan.configuration(cell, index) for index in range(12)]

    def worse_by_clipping(configuration):
        return 2.0 if configuration["clip_norm"] == 1.0 else 1.0

    history = [Observation(c, "completed", worse_by_clipping(c)) for c in drawn]
    assert propose(cell.space, history, 3.0, seed=1)["clip_norm"] == "none"
