"""The manifest accepts the same sweep or, on request, a larger one, and refuses any other."""

import dataclasses
import importlib
import json
import shutil
import sys

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from orchestrator.errors import BadInput
from orchestrator.paths import SweepPaths
from orchestrator.plan.manifest import recorded_spec, write_manifest
from orchestrator.plan.plan import Plan, make_plan
from orchestrator.plan.remaining import TrialSelection
from orchestrator.spec.sweep import SweepSpec
from orchestrator.views.study.study import Study
from tests.support.mutations import QUICKSTART_DATA, mutated
from tests.support.small import SMALL, small_plan
from tests.support.studies import (
    MEMORY,
    Folder,
    completed,
    errored,
    left_of,
    stopped,
    subtracted,
)

SEARCH, TRAINING, SCHEDULER = SMALL["search"], SMALL["training"], SMALL["scheduler"]
LISTED = [{"learning_rate": 1e-3}, {"learning_rate": 2e-3, "optimizer": "adam"}]
LIST = {"search": {"method": "list", "configurations": LISTED}}
MORE = [*LISTED, {"l2": 0}]
OTHER = "; change the sweep's name, name another folder with --results, or take the change back"
SMALLER = "; run what is new with 'soundings extend', or take the change back"


def begun(results, **changes):
    """Return a folder of the small sweep with one recorded trial."""
    folder = Folder.of(results, **changes)
    folder.fill("rnn", completed(1.0, 1.0))
    return folder


def refusal(folder, plan, extend=False):
    before = folder.paths.manifest.read_bytes()
    with pytest.raises(BadInput) as caught:
        write_manifest(plan, folder.paths, extend)
    assert folder.paths.manifest.read_bytes() == before
    return str(caught.value)


def refusal_of_run(paths, plan):
    with pytest.raises(BadInput) as caught:
        left_of(plan, paths)
    return str(caught.value)


@pytest.fixture
def paths(tmp_path):
    return SweepPaths(tmp_path, "small")


@pytest.fixture
def recorded_paths(tmp_path):
    """Return the paths of the small sweep with one recorded trial."""
    return begun(tmp_path).paths


def test_a_new_sweep_is_written_to_the_manifest_and_all_its_trials_are_left(paths):
    plan = small_plan()
    left = left_of(plan, paths)
    assert {cell: [*indices] for cell, indices in left.indices.items()} == {
        cell.id: [*range(6)] for cell in plan.cells
    }
    assert (
        left.count,
        len(left.record.trials),
        len(left.record.reports),
    ) == (12, 0, 0)
    written = json.loads(paths.manifest.read_text())
    assert {cell: record["hidden"] for cell, record in written["cells"].items()} == {
        cell.id: cell.hidden for cell in plan.cells
    }
    assert written["training"]["steps"] == SMALL["training"]["steps"]
    assert [p.name for p in paths.folder.iterdir()] == ["sweep.json"]  # the probe file is gone


def test_the_same_sweep_is_accepted_again_without_rewriting_the_manifest(recorded_paths):
    before = recorded_paths.manifest.stat()
    assert left_of(small_plan(), recorded_paths).count == 11
    after = recorded_paths.manifest.stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


def test_changed_resources_and_recovery_are_accepted_and_recorded(recorded_paths):
    before = json.loads(recorded_paths.manifest.read_text())
    elsewhere = {"cpus": 2.0, "gpus": 1.0, "memory": 3.0}
    careful = {"checkpoint_seconds": 5.0, "retries": 0}
    assert left_of(small_plan(resources=elsewhere, recovery=careful), recorded_paths).count == 11
    after = json.loads(recorded_paths.manifest.read_text())
    assert after == before | {"resources": elsewhere, "recovery": careful}


DIFFERENCES = [
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


@pytest.mark.parametrize(("changes", "difference"), DIFFERENCES)
def test_another_sweep_of_the_same_name_is_refused_with_the_difference(
    recorded_paths, changes, difference
):
    before = recorded_paths.manifest.read_bytes()
    assert refusal_of_run(recorded_paths, small_plan(**changes)) == (
        f"{recorded_paths.folder} holds another sweep called 'small': {difference}{OTHER}"
    )
    assert recorded_paths.manifest.read_bytes() == before
    assert left_of(small_plan(), recorded_paths).count == 11


def test_a_changed_sweep_is_accepted_while_no_trial_is_recorded(paths):
    left_of(small_plan(), paths)
    changed = small_plan(seed=4, architectures=["lstm"])
    assert left_of(changed, paths).count == 6
    written = json.loads(paths.manifest.read_text())
    assert (written["seed"], [*written["cells"]]) == (4, [changed.cells[0].id])


def test_the_refusal_of_another_sweep_tells_at_most_three_differences(recorded_paths):
    other = small_plan(seed=4, depths=[2], budgets=[5000], replicates=1)
    assert refusal_of_run(recorded_paths, other) == (
        f"{recorded_paths.folder} holds another sweep called 'small': "
        "seed was 3 and is 4 in the file; depths was [1] and is [2] in the file; "
        "budgets was [4000] and is [5000] in the file "
        f"(and 1 more){OTHER}"
    )


def test_a_sweep_whose_cells_now_have_other_widths_is_refused(recorded_paths):
    """The file is the same, but it has another meaning, for example in another release."""
    written = json.loads(recorded_paths.manifest.read_text())
    cell = small_plan().cells[0]
    written["cells"][cell.id]["hidden"] += 1
    recorded_paths.manifest.write_text(json.dumps(written))
    assert refusal_of_run(recorded_paths, small_plan()) == (
        f"{recorded_paths.folder} holds another sweep called 'small': cells.{cell.id}.hidden was "
        f"{cell.hidden + 1} and is {cell.hidden} in the file{OTHER}"
    )


def test_sweeps_of_different_names_share_a_results_folder(tmp_path):
    for name in ("small", "other"):
        plan = small_plan(name=name, seed=len(name))
        assert left_of(plan, SweepPaths(tmp_path, name)).count == 12


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '{"cells": {}}', "\x00"])
def test_a_damaged_manifest_is_refused_with_its_path(tmp_path, text):
    folder = Folder.of(tmp_path)
    folder.fill("rnn", completed(1.0, 1.0))
    folder.paths.manifest.write_text(text)
    with pytest.raises(BadInput) as caught:
        Study(folder.paths)
    assert refusal_of_run(folder.paths, folder.plan) == str(caught.value)
    assert str(caught.value).startswith(f"{folder.paths.manifest}: damaged (")
    folder.paths.manifest.unlink()
    assert refusal_of_run(folder.paths, folder.plan) == (
        f"{folder.paths.folder} has a ledger, but not sweep.json, which says what sweep it is of; "
        "put it back, or name another folder with --results"
    )


GROWN = {
    "an architecture": ({}, {"architectures": ["rnn", "lstm", "gru"]}),
    "a depth": ({}, {"depths": [2, 1]}),
    "a task": ({}, {"tasks": [MEMORY, *SMALL["tasks"]]}),
    "a budget": ({}, {"budgets": [4000, 9000]}),
    "a task's own budget": ({}, {"tasks": [{**SMALL["tasks"][0], "budgets": [4000, 6000]}]}),
    "samples": ({}, {"search": SEARCH | {"samples": 9}}),
    "configurations": (LIST, {"search": LIST["search"] | {"configurations": MORE}}),
    "cells and samples": ({}, {"depths": [1, 2], "search": SEARCH | {"samples": 7}}),
    "a cell of the gp": (
        {"search": SEARCH | {"method": "gp"}},
        {"search": SEARCH | {"method": "gp", "samples": 20}, "depths": [1, 3]},
    ),
}


@pytest.mark.parametrize(("first", "more"), GROWN.values(), ids=GROWN)
def test_a_sweep_that_grew_is_extended_on_request_and_only_then(tmp_path, first, more):
    folder = begun(tmp_path, **first)
    plan = small_plan(tmp_path, **{**first, **more})
    message = refusal(folder, plan)
    assert message.startswith(f"{folder.paths.folder} holds a smaller sweep 'small': ")
    assert message.endswith(SMALLER)
    write_manifest(plan, folder.paths, extend=True)
    written = json.loads(folder.paths.manifest.read_text())
    assert list(written["cells"]) == [cell.id for cell in plan.cells]
    assert written["search"]["samples"] == plan.spec.search.samples
    assert recorded_spec(folder.paths) == plan.spec
    write_manifest(plan, folder.paths)  # the extended sweep is the recorded one now
    # New trials are left, and earlier ones that have not ended.
    left = subtracted(plan, folder.paths, TrialSelection(errored=False))
    assert left.count == plan.trial_count - 1
    (rnn,) = [c.id for c in folder.plan.cells if c.architecture.name == "rnn"]
    assert left.indices[rnn] == [*range(1, plan.spec.search.samples)]


def test_the_refusal_of_a_larger_sweep_names_its_new_cells_samples_and_configurations(tmp_path):
    folder = begun(tmp_path, **LIST)
    cell = "parentheses-held-out-size-32-length-6_rnn_d2_p4000"
    longer = LIST["search"] | {"configurations": MORE}
    assert refusal(folder, small_plan(tmp_path, search=longer, depths=[1, 2])) == (
        f"{folder.paths.folder} holds a smaller sweep 'small': the file has 2 more cells, the "
        f"first of them {cell}; search.samples was 2 and is 3 in the file; search.configurations "
        f"was {json.dumps(LISTED)} and is {json.dumps(MORE)} in the file{SMALLER}"
    )


def test_an_extension_runs_new_trials_and_no_errored_ones(tmp_path):
    folder = Folder.of(tmp_path)
    ends = [completed(1.0, 1.0), errored(), stopped(), None, {}]
    folder.fill("rnn", *ends)
    plan = small_plan(tmp_path, depths=[1, 2], search=SEARCH | {"samples": 8})
    write_manifest(plan, folder.paths, extend=True)
    left = subtracted(plan, folder.paths, TrialSelection(errored=False))
    rnn, gru, *new = (cell.id for cell in plan.cells)
    assert left.indices[rnn] == [3, 4, 5, 6, 7]
    assert [*left.indices[gru]] == [*range(8)]
    assert [[*left.indices[cell]] for cell in new] == [[*range(8)]] * 2


SAME = {
    "the order of a list": {"architectures": ["gru", "rnn"]},
    "budgets of the task": {"tasks": [{**SMALL["tasks"][0], "budgets": [4000]}], "budgets": [99]},
    "training of the task": {
        "tasks": [{**SMALL["tasks"][0], "training": TRAINING}],
        "training": {"steps": 99},
    },
    "nothing": {},
}


@pytest.mark.parametrize("changes", SAME.values(), ids=SAME)
def test_the_same_cells_in_other_words_are_the_same_sweep(tmp_path, changes):
    folder = begun(tmp_path)
    plan = small_plan(tmp_path, **changes)
    write_manifest(plan, folder.paths)
    assert recorded_spec(folder.paths) == plan.spec
    assert subtracted(plan, folder.paths).count == 11


GONE = "parentheses-held-out-size-32-length-6_{}_d1_p4000 was there and is not in the file"
CONTRADICTING = {
    "training": ({"training": TRAINING | {"steps": 32}}, "training.steps was 16 and is 32 in"),
    "interval": (
        {"training": TRAINING | {"evaluation_interval": 8}},
        "training.evaluation_interval was 4 and is 8 in the file",
    ),
    "seed": ({"seed": 4}, "seed was 3 and is 4 in the file"),
    "scheduler": ({"scheduler": SCHEDULER | {"grace": 8}}, "scheduler.grace was 4 and is 8 in"),
    "brackets": ({"scheduler": SCHEDULER | {"brackets": 2}}, "scheduler.brackets was 1 and is 2"),
    "replicates": ({"replicates": 5}, "replicates was 2 and is 5 in the file"),
    "method": ({"search": SEARCH | {"method": "gp"}}, 'search.method was "random" and is "gp" in'),
    "space": (
        {"search": SEARCH | {"space": {"learning_rate": 1e-3}}},
        "search.space.learning_rate was {",
    ),
    "fewer samples": (
        {"search": SEARCH | {"samples": 5}},
        "search.samples was 6 and is 5 in the file",
    ),
    "a removed cell": ({"architectures": ["rnn"]}, GONE.format("gru")),
    "another option of its task": (
        {"tasks": [{"name": "parentheses", "options": {"length": 7, "held_out_size": 32}}]},
        "tasks.0.options.length was 6 and is 7 in the file",
    ),
    "a removed and a new one": (
        {"architectures": ["rnn", "lstm"]},
        'architectures.1.name was "gru" and is "lstm" in the file',
    ),
    "one task's own training": (
        {"tasks": [{**SMALL["tasks"][0], "training": {"batch_size": 9}}]},
        "tasks.0.training.batch_size was null and is 9 in the file",
    ),
}


@pytest.mark.parametrize("extend", [False, True])
@pytest.mark.parametrize(("changes", "sentence"), CONTRADICTING.values(), ids=CONTRADICTING)
def test_a_change_that_contradicts_the_ledger_is_refused_with_and_without_extend(
    tmp_path, changes, sentence, extend
):
    folder = begun(tmp_path)
    message = refusal(folder, small_plan(tmp_path, **changes), extend)
    assert message.startswith(f"{folder.paths.folder} holds another sweep called 'small': ")
    assert message.endswith(OTHER)
    if sentence in (GONE.format("gru"),):  # the refusal tells the change of the file's list first
        assert 'architectures was [{"name": "rnn"' in message
    else:
        assert sentence in message


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (LISTED[:1], "search.samples was 2 and is 1 in the file; search.configurations.1 was "),
        (
            LISTED[::-1],
            "search.configurations.0.learning_rate was 0.001 and is 0.002 in the file; "
            "search.configurations.0.optimizer is new in the file; "
            "search.configurations.1.learning_rate was 0.002 and is 0.001 in the file (and 1 more)",
        ),
        (
            [{"learning_rate": 5e-3}, *MORE[1:]],
            "search.configurations.0.learning_rate was 0.001 and is 0.005 in the file",
        ),
    ],
)
def test_removing_reordering_or_changing_recorded_configurations_is_refused(
    tmp_path, changed, sentence
):
    folder = begun(tmp_path, **LIST)
    plan = small_plan(tmp_path, search=LIST["search"] | {"configurations": changed})
    assert sentence in refusal(folder, plan, extend=True)


@pytest.mark.parametrize(
    "changed",
    [
        {"facts": {"new": 1}},
        {"hidden": 99},
        {"space": {}},
        {"training": None},
    ],
    ids=str,
)
def test_a_cell_that_now_means_something_else_is_refused(tmp_path, changed):
    """The file is the same, but the release or a user's own code is another."""
    folder = begun(tmp_path)
    cell = folder.plan.cells[0]
    if changed == {"training": None}:
        changed = {"training": dataclasses.replace(cell.training, batch_size=99)}
    if "facts" in changed:
        changed = {"facts": cell.facts | changed["facts"]}
    cells = (dataclasses.replace(cell, **changed), *folder.plan.cells[1:])
    plan = dataclasses.replace(folder.plan, cells=cells)
    for extend in (False, True):
        message = refusal(folder, plan, extend)
        assert f"holds another sweep called 'small': cells.{cell.id}.{next(iter(changed))}" in (
            message
        )


def test_a_write_that_is_cut_off_keeps_the_earlier_manifest(tmp_path, monkeypatch):
    folder = begun(tmp_path)
    before = folder.paths.manifest.read_bytes()
    plan = small_plan(tmp_path, depths=[1, 2])

    def killed(path, target):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.rename", killed)
        with pytest.raises(KeyboardInterrupt):
            write_manifest(plan, folder.paths, extend=True)
    assert folder.paths.manifest.read_bytes() == before
    write_manifest(plan, folder.paths, extend=True)
    assert recorded_spec(folder.paths) == plan.spec


def test_each_sweep_has_an_identity_of_its_own_which_its_copies_and_later_runs_keep(tmp_path):
    one, other = begun(tmp_path / "one"), begun(tmp_path / "other")
    identity = one.paths.identity()
    assert len({identity, other.paths.identity()}) == 2
    write_manifest(small_plan(resources={"cpus": 2.0}), one.paths)
    write_manifest(small_plan(depths=[1, 2]), one.paths, extend=True)
    assert one.paths.identity() == identity
    shutil.copytree(tmp_path / "one", tmp_path / "copy")
    copy = SweepPaths(tmp_path / "copy", "small")
    write_manifest(small_plan(depths=[1, 2]), copy)
    assert copy.identity() == identity


@pytest.mark.parametrize("removed", [".", "ledger"])
def test_a_sweep_that_is_run_anew_has_another_identity(tmp_path, removed):
    paths = begun(tmp_path).paths
    before = paths.identity()
    shutil.rmtree(paths.folder / removed)
    assert begun(tmp_path).paths.identity() != before


@pytest.mark.parametrize("edited", [None, 5, "", "x' or ''='", "F" * 32])
def test_an_identity_that_somebody_edited_is_replaced_by_one_that_follows_from_the_rest(
    recorded_paths, edited
):
    written = json.loads(recorded_paths.manifest.read_text())
    recorded_paths.manifest.write_text(json.dumps(written | {"identity": edited}))
    identity = recorded_paths.identity()
    write_manifest(small_plan(), recorded_paths)
    assert json.loads(recorded_paths.manifest.read_text())["identity"] == identity
    assert recorded_spec(recorded_paths) == small_plan().spec


METHODS = st.sampled_from(
    [
        {},
        {"search": {"method": "gp", "samples": 7, "space": {"learning_rate": {"low": 1e-4}}}},
        {"search": {"method": "repeat", "of": "other", "samples": 3}},
        {"search": {"method": "list", "configurations": MORE}},
        {"scheduler": "none", "recovery": {"checkpoint_seconds": 2, "retries": 0}},
        {"scheduler": {"method": "asha", "grace": 1, "reduction_factor": 2, "brackets": 3}},
        {"resources": {"cpus": 2, "gpus": 0.25}},
    ]
)


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
@given(data=st.just(QUICKSTART_DATA) | mutated(), changes=METHODS)
def test_the_recorded_spec_equals_the_spec_that_was_written(tmp_path_factory, data, changes):
    try:
        spec = SweepSpec.model_validate(data | changes)
    except ValidationError:
        assume(False)
    paths = SweepPaths(tmp_path_factory.mktemp("results"), spec.name)
    paths.make_writable()
    write_manifest(Plan(spec, (), ()), paths)
    recorded = recorded_spec(paths)
    assert recorded == spec
    assert repr(recorded) == repr(spec)  # 1 is not 1.0


@pytest.mark.parametrize("small", [SMALL, SMALL | LIST, SMALL | {"scheduler": "none"}])
def test_the_recorded_sweep_has_the_same_trials(tmp_path, small):
    spec = SweepSpec.model_validate(small)
    plan, paths = make_plan(spec, tmp_path), SweepPaths(tmp_path, "small")
    paths.make_writable()
    write_manifest(plan, paths)
    again = make_plan(recorded_spec(paths), tmp_path)
    assert [t.definition for t in again.trials()] == [t.definition for t in plan.trials()]
    write_manifest(again, paths)


def test_a_folder_without_a_sweep_or_with_one_of_another_release_is_bad_input(tmp_path):
    paths = SweepPaths(tmp_path, "small")
    with pytest.raises(BadInput, match="holds no sweep: run it first with 'soundings run FILE'"):
        recorded_spec(paths)
    folder = begun(tmp_path)
    written = json.loads(folder.paths.manifest.read_text())
    folder.paths.manifest.write_text(json.dumps(written | {"invented": 1}))
    with pytest.raises(BadInput, match="this Soundings does not understand it") as caught:
        recorded_spec(paths)
    assert "use the release that wrote it" in str(caught.value)


@pytest.mark.parametrize("kind", ["task", "architecture"])
@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (None, "cannot be imported: No module named 'mine_{kind}'; its package must be installed"),
        ("import no_such_library", "cannot be imported: {file}:1: ModuleNotFoundError: No module"),
        ("raise ValueError('boom')", "cannot be imported: {file}:1: ValueError: boom"),
        ("", "module 'mine_{kind}' has no 'Mine'"),
    ],
)
def test_a_users_class_that_is_gone_is_named_with_where_it_was_looked_for(
    tmp_path, monkeypatch, kind, module, reason
):
    source = {
        "task": "from tests.support.odd_task import Odd as Mine",
        "architecture": "from trainables.architectures.vanilla import RNN\nclass Mine(RNN): ...",
    }
    file, folder = tmp_path / f"mine_{kind}.py", tmp_path / "results"
    file.write_text(source[kind])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, f"mine_{kind}", raising=False)
    paths = Folder.of(folder, **{f"{kind}s": [f"mine_{kind}:Mine"]}).paths
    monkeypatch.delitem(sys.modules, f"mine_{kind}")
    if module is None:
        file.unlink()
    else:
        file.write_text(module)
    importlib.invalidate_caches()
    with pytest.raises(BadInput) as caught:
        recorded_spec(paths)
    sentence = str(caught.value)
    assert sentence.startswith(f"{paths.manifest}: ") and "\n" not in sentence
    assert reason.format(kind=kind, file=file) in sentence
    assert f"mine_{kind}" in sentence and "release" not in sentence
    looked = f"; Python looked in {tmp_path}, "
    assert (looked in sentence) == (module is None or "no_such_library" in module)
