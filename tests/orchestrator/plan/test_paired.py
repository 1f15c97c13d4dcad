"""Tests that the cells of a paired search differ in their architectures alone."""

import itertools

import pytest
import torch

from orchestrator.errors import BadInput
from orchestrator.plan.plan import Plan, PlannedTrial
from orchestrator.spec.sweep import load
from tests.support.small import small_file, small_plan
from trainables.trial import Trial

KINDS = [
    {"residual": "scaled", "alpha": 0.95},
    {"residual": "heterogeneous", "alpha": 0.95, "epsilon": 0.04},
    {"residual": "heterogeneous", "alpha": 0.95, "epsilon": 0.02},
    {"residual": "rotational", "alpha": 0.95},
    {"residual": "orthogonal", "alpha": 0.95},
    {"residual": "informed", "alpha": 0.95, "gamma": [0.01, 0.1]},
]
ROWS = [*({"name": "wcrnn", "options": options} for options in KINDS), "elman"]


def planned(paired: bool, **changes) -> Plan:
    changes = {"architectures": ROWS, "depths": [1, 2], "budgets": [2_000], **changes}
    return small_plan(search={"samples": 4, "paired": paired}, scheduler="none", **changes)


def parameters(trial: PlannedTrial) -> list[torch.Tensor]:
    """Return the untrained parameters of a trial's networks, as a worker makes them."""
    worker = Trial(config={"definition": trial.definition})
    return list(worker._make_trainer().network.parameters())


def by_place(plan: Plan) -> dict[tuple[int, int], list[PlannedTrial]]:
    """Return the trials that have the same depth and number, in the order of the cells."""
    trials = sorted(plan.trials(), key=lambda trial: (trial.cell.depth, trial.index))
    groups = itertools.groupby(trials, key=lambda trial: (trial.cell.depth, trial.index))
    return {place: list(group) for place, group in groups}


def test_paired_trials_have_one_configuration_and_one_initial_network():
    for group in by_place(planned(True)).values():
        definitions = [trial.definition for trial in group]
        assert len(group) == len(ROWS)
        assert len({str(d["configuration"]) for d in definitions}) == 1
        assert len({d["data_seed"] for d in definitions}) == 1
        first, *others = [parameters(trial) for trial in group]
        for other in others:
            assert all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_configurations_and_networks_of_paired_trials_still_differ_by_number_and_lane():
    trials = [group[0] for (depth, _), group in by_place(planned(True)).items() if depth == 1]
    assert len({str(trial.definition["configuration"]) for trial in trials}) == 4
    weights = [parameters(trial)[0] for trial in trials]
    lanes = [weight[lane] for weight in weights for lane in (0, 1)]
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(lanes, 2))


def test_without_pairing_each_cell_has_configurations_and_weights_of_its_own():
    group = by_place(planned(False))[1, 0]
    assert len({str(trial.definition["configuration"]) for trial in group}) == len(ROWS)
    weights = [parameters(trial)[0] for trial in group]
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(weights, 2))


def test_residuals_that_differ_in_strength_alone_are_drawn_alike():
    """So epsilon scales the same deviations from alpha."""
    group = by_place(planned(True))[1, 0]
    wide, narrow = (
        Trial(config={"definition": group[number].definition})
        ._make_trainer()
        .network.layers[0]
        .residual
        for number in (1, 2)
    )
    torch.testing.assert_close(wide - 0.95, 2 * (narrow - 0.95), rtol=0, atol=3e-7)


def test_a_hyperparameter_that_one_cell_lacks_changes_no_other():
    group = by_place(planned(True, architectures=["rnn", "gru", "elman"]))[1, 0]
    rnn, gru, elman = (trial.definition["configuration"] for trial in group)
    assert "forget_bias" in gru and "h_square" in rnn
    assert gru.items() >= elman.items() and rnn.items() >= elman.items()


def test_list_search_is_paired_in_what_it_does_not_fix():
    search = {"method": "list", "paired": True, "configurations": [{"l2": 1e-8}, {"l2": 1e-7}]}
    plan = small_plan(architectures=ROWS, search=search, scheduler="none")
    for group in by_place(plan).values():
        assert len({str(trial.definition["configuration"]) for trial in group}) == 1


@pytest.mark.parametrize(
    ("search", "source"),
    [
        ({"method": "gp", "samples": 4}, "the outcomes of its own trials"),
        ({"method": "repeat", "of": "other", "samples": 4}, "another sweep"),
    ],
)
def test_a_search_whose_cells_have_their_own_configurations_cannot_be_paired(
    tmp_path, search, source
):
    path = small_file(tmp_path, search={**search, "paired": True})
    with pytest.raises(BadInput) as caught:
        load(path)
    assert str(caught.value).partition(": ")[2] == (
        f"search {search['method']} cannot be paired: each cell has its configurations from "
        f"{source}; take search random or list"
    )
