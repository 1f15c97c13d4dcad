"""A plan gives each cell the largest width that fits its budget, and names impossible cells."""

from pathlib import Path

import pytest

from orchestrator.errors import BadInput
from orchestrator.plan.plan import make_plan
from orchestrator.spec.sweep import SweepSpec, load
from tests.support.paths import QUICKSTART
from tests.support.small import SMALL, small_plan
from trainables import tasks
from trainables.architectures import build

MEMORY = {"name": "memory", "options": {"size": 5, "delay": 2}}


def torch_parameters(cell, hidden):
    """Return how many parameters torch counts in one network of the cell at width ``hidden``."""
    task = tasks.make(cell.task.name, cell.task.options)
    network = build(
        cell.architecture.name,
        inputs=task.inputs,
        outputs=task.outputs,
        hidden=hidden,
        depth=cell.depth,
        options=cell.architecture.options,
        device="meta",
    )
    return sum(p.numel() for p in network.parameters())


@pytest.fixture(scope="module")
def quickstart():
    return make_plan(load(QUICKSTART), Path("results"))


@pytest.fixture(scope="module")
def sizes():
    """Return a plan with small and large budgets, for narrow and wide inputs."""
    names = ["rnn", "irnn", "ugrnn", "gru", "lstm", "intersection", "wcrnn"]
    tasks = [MEMORY, {"name": "parentheses", "options": {"length": 3}}]
    return small_plan(architectures=names, depths=[1, 3], tasks=tasks, budgets=[900, 5000, 200_000])


@pytest.mark.parametrize("plan", ["quickstart", "sizes"])
def test_widths_are_the_largest_that_fit_and_parameters_those_of_torch(plan, request):
    cells = request.getfixturevalue(plan).cells
    assert len(cells) >= 16
    for cell in cells:
        assert cell.parameters == torch_parameters(cell, cell.hidden) <= cell.budget
        assert torch_parameters(cell, cell.hidden + 1) > cell.budget


def test_every_cell_of_the_grid_is_planned_or_impossible_once(sizes):
    def key(cell):
        return (cell.task.label, cell.architecture.label, cell.depth, cell.budget)

    planned, impossible = [*map(key, sizes.cells)], [*map(key, sizes.impossible)]
    assert len({*planned, *impossible}) == len(planned) + len(impossible) == 2 * 7 * 2 * 3
    for _, name, depth, _ in planned:
        assert (name, depth) != ("intersection", 1)
    # One GRU unit on 300 inputs has three gates of 302 numbers, a state and 200 readout weights.
    wide = ("parentheses(length=3)", "gru", 1)
    assert 3 * 302 + 1 + 200 > 900
    assert (*wide, 900) in impossible
    assert (*wide, 5000) in planned


def test_the_quickstart_has_sixteen_cells_and_128_trials(quickstart):
    # Two tasks, two depths and four networks, of eight configurations each.
    assert len(quickstart.cells) == 2 * 2 * 4
    assert quickstart.trial_count == 16 * 8 == len(list(quickstart.trials()))
    assert quickstart.step_count == 64 * 200 + 64 * 800
    assert not quickstart.impossible


def test_an_architecture_that_does_not_exist_at_a_depth_is_impossible_there(sizes):
    flat = [c for c in sizes.impossible if c.architecture.name == "intersection" and c.depth == 1]
    reason = "intersection does not exist at depth 1: it needs depth 2 or more"
    assert [c.reason for c in flat] == [reason] * 2 * 3  # two tasks, three budgets


def test_a_budget_too_small_names_the_smallest_that_would_do():
    # One unit of a plain network on 5 inputs and outputs has 5 input weights, a recurrent weight,
    # a bias and an initial state; the readout has 5 weights and 5 biases.
    smallest = 5 + 1 + 1 + 1 + 5 + 5
    below = small_plan(architectures=["rnn", "irnn"], tasks=[MEMORY], budgets=[smallest - 1, 100])
    assert [(c.architecture.name, c.budget, c.reason) for c in below.impossible] == [
        (name, 17, "a budget of 17 is too small for one unit: the smallest that would do is 18")
        for name in ("rnn", "irnn")
    ]
    exact = small_plan(architectures=["rnn", "irnn"], tasks=[MEMORY], budgets=[smallest])
    assert [(c.hidden, c.parameters) for c in exact.cells] == [(1, 18)] * 2


def test_a_sweep_without_any_possible_cell_is_bad_input():
    with pytest.raises(BadInput) as caught:
        small_plan(architectures=["intersection", "rnn"], tasks=[MEMORY], budgets=[10, 17])
    assert str(caught.value) == (
        "sweep 'small' has no possible cell: "
        "a budget of 10 is too small for one unit: the smallest that would do is 18; "
        "a budget of 17 is too small for one unit: the smallest that would do is 18; "
        "intersection does not exist at depth 1: it needs depth 2 or more"
    )


def test_two_cells_that_would_share_a_folder_are_bad_input():
    two = [{"name": "wcrnn", "options": {"alpha": alpha}} for alpha in (1e16, 1e-16)]
    with pytest.raises(BadInput) as caught:
        small_plan(architectures=two, tasks=[MEMORY])
    assert str(caught.value) == (
        "sweep 'small' has 2 cells called 'memory-delay-2-size-5_wcrnn-alpha-1e-16_d1_p4000': "
        "their options differ only in signs; put them into sweeps of their own"
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"search": {"samples": 10**9}},
            "sweep 'small' has 2,000,000,000 trials, but may have at most 10,000,000; lower "
            "search.samples, or split the sweep",
        ),
        (
            {"depths": [*range(1, 1001)], "budgets": [*range(1, 102)]},
            "sweep 'small' has 202,000 cells, but may have at most 100,000; shorten its lists, or "
            "split the sweep",
        ),
    ],
)
@pytest.mark.parametrize("to_run", [True, False])
def test_a_sweep_that_no_run_can_hold_is_refused_by_its_plan(change, sentence, to_run):
    spec = SweepSpec.model_validate({**SMALL, **change})
    with pytest.raises(BadInput) as caught:
        make_plan(spec, Path("results"), to_run)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("search", [{"samples": 30}, {"method": "list"}])
def test_the_sizes_of_evaluation_sets_are_those_of_the_first_trials(search):
    listed = [{"samples_per_parameter": 3.0, "momentum_logit": 2.0}, {"optimizer": "adam"}]
    plan = small_plan(
        tasks=[{"name": "perceptron_capacity", "options": {"length": 2, "size": 4}}],
        search=search if "samples" in search else {**search, "configurations": listed},
    )
    for cell in plan.cells:
        task = tasks.make(cell.task.name, cell.task.options)
        sizes = [
            task.configured(plan.configuration(cell, index), cell.parameters).held_out_size
            for index in range(min(20, plan.spec.search.samples))
        ]
        assert plan.held_out_sizes(cell) == sizes and len(set(sizes)) > 1
