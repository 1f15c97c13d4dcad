"""Checks the design of the fading-memory study: what cells have in common and what they bear."""

from functools import cache
from pathlib import Path

import pytest

from orchestrator.plan.plan import make_plan
from orchestrator.spec.sweep import load
from tests.support.paths import ROOT
from trainables import architectures, tasks

JOINED = ["fading_memory", "fading_memory_clipped", "fading_memory_others", "adding"]
STUDY = [*JOINED, "rotations", "network_sizes", "batches_64", "batches_256"]
WITH_RESIDUALS = [name for name in STUDY if name != "fading_memory_others"]


@cache
def cells_of(name):
    """Return the cells of a whole sweep of the study."""
    return make_plan(load(ROOT / f"sweeps/{name}.yaml"), Path("results")).cells


def options_of(cell):
    """Return all options of a cell's architecture."""
    return architectures.check_options(cell.architecture.name, cell.architecture.options)


@pytest.mark.parametrize("name", [name for name in WITH_RESIDUALS if name != "network_sizes"])
def test_networks_have_a_hundred_units(name):
    assert {cell.hidden for cell in cells_of(name)} == {100}


def test_networks_of_other_sizes_have_fifty_and_two_hundred_units():
    assert {cell.hidden for cell in cells_of("network_sizes")} == {50, 200}


@pytest.mark.parametrize("name", STUDY)
def test_cells_are_paired_judged_by_their_best_report_and_trained_alike(name):
    spec = load(ROOT / f"sweeps/{name}.yaml")
    assert spec.search.paired
    assert spec.replicates == 5
    cells = cells_of(name)
    assert {cell.training.report for cell in cells} == {"best"}
    assert len({cell.space["clip_norm"] for cell in cells}) == 1
    clipped = cells[0].space["clip_norm"].values != ("none",)
    assert clipped == (name == "fading_memory_clipped")


@pytest.mark.parametrize("name", WITH_RESIDUALS)
def test_no_linear_residual_grows_beyond_the_divergence_threshold(name):
    for cell in cells_of(name):
        options = options_of(cell)
        if cell.architecture.name != "wcrnn" or options.form != "linear":
            continue
        drawn = options.residual in ("heterogeneous", "informed")
        largest = options.alpha + options.epsilon * drawn
        length = tasks.shared(cell.task.name, cell.task.options).length
        assert largest**length < 1e3 < cell.training.divergence_threshold, cell.id


def test_heterogeneity_goes_from_below_the_distance_to_the_edge_to_above_it():
    spreads = {}
    for cell in cells_of("fading_memory"):
        options = options_of(cell)
        if cell.architecture.name == "wcrnn" and options.residual == "heterogeneous":
            distance = 1 - options.alpha
            spreads.setdefault(options.alpha, set()).add(round(options.epsilon / distance, 6))
    assert set(spreads) == {0.95, 0.98, 0.99}
    for shares in spreads.values():
        assert min(shares) < 1 < max(shares)
        assert 1 in shares


def test_cells_that_stand_in_two_of_the_joined_sweeps_are_defined_alike():
    known = {}
    for name in JOINED:
        for cell in cells_of(name):
            assert known.setdefault(cell.id, cell.record()) == cell.record(), cell.id
    assert len(known) < sum(len(cells_of(name)) for name in JOINED)


@pytest.mark.parametrize(("name", "epochs"), [("batches_64", 2), ("batches_256", 0.5)])
def test_other_batches_train_as_many_samples(name, epochs):
    steps = {cell.task.name: cell.training.steps for cell in cells_of("fading_memory")}
    for cell in cells_of(name):
        assert cell.training.steps == steps[cell.task.name] * epochs
