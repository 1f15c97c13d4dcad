"""Compares tables of depth and of nonlinearities with SQL and with results by hand."""

import math

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from orchestrator.views.study.searches import LEAST_TRIALS
from orchestrator.views.tables.depth import depth
from orchestrator.views.tables.depth_nonlinearity import depth_nonlinearity
from tests.support.compare import assert_same, ordered
from tests.support.studies import MEMORY, PARENTHESES, Folder, completed, infeasible

RATIOS = """
    with best as (
        select * from trials where outcome = 'completed'
        qualify row_number() over (partition by cell order by objective, "index") = 1
    )
    select b.task, b.budget, b.architecture, b.depth, b.hidden, b.parameters, b.evaluation_loss,
        b.evaluation_loss - s.evaluation_loss, b.evaluation_loss / s.evaluation_loss
    from best b left join best s on s.depth = 1 and s.architecture = b.architecture
        and s.budget = b.budget and s.task = b.task
    where b.architecture != 'intersection'
    order by b.task, b.budget, b.architecture, b.depth
"""
COLUMNS = ["task", "budget", "architecture", "depth", "hidden", "parameters", "value"]
COLUMNS += ["difference", "ratio"]


def test_every_number_in_the_depth_table_is_that_of_sql(at_random):
    tidy = depth(at_random.study).tidy
    assert len(tidy) == 2 * 2 * 4 * 2  # without the intersection network, which has one depth
    assert_same(ordered(tidy[tidy["value"].notna()], COLUMNS), at_random.sql(RATIOS))


def filled(tmp_path, loss, trials=1, **changes):
    """Fill each cell with trials a little worse than its loss, or infeasible if that is None."""
    defaults = {"architectures": ["rnn", "gru"], "tasks": [MEMORY], "depths": [1, 2, 4]}
    folder = Folder.of(tmp_path, **{**defaults, "search": {"samples": 20}, **changes})
    rows = {}
    for cell in folder.plan.cells:
        value = loss(cell)
        for i in range(trials):
            row = infeasible() if value is None else completed(value + i, value * (1 + i / 10))
            rows[f"{cell.id}_{i:05d}"] = row
    folder.write(rows)
    return folder


def test_the_depth_table_shows_what_is_computed_by_hand(tmp_path):
    losses = {("rnn", 1): 0.8, ("rnn", 2): 0.4, ("rnn", 4): None, ("gru", 1): None}

    def loss(cell):
        return losses.get((cell.architecture.label, cell.depth), 0.2)

    table = depth(filled(tmp_path, loss).study)
    rnn, gru = table.shown.to_dict("records")
    assert (rnn["depth 1"], rnn["depth 2"], rnn["depth 4"]) == ("0.8", "0.4 : x 0.5", "-")
    assert (gru["depth 1"], gru["depth 2"], gru["depth 4"]) == ("-", "0.2", "0.2")
    assert table.notes[2:] == tuple(
        f"'-': no trial of {name} at depth {layers}, budget 4000, on memory(delay=2, size=3) "
        "completed (0 stopped, 1 infeasible, 0 errored)."
        for name, layers in (("rnn", 4), ("gru", 1))
    )


def test_a_ratio_of_depths_has_limits_around_it_if_there_are_enough_trials(tmp_path):
    def loss(cell):
        return 1 / cell.depth

    few = depth(filled(tmp_path / "few", loss, LEAST_TRIALS - 1).study).tidy
    assert few["low"].isna().all()
    enough = depth(filled(tmp_path / "enough", loss, LEAST_TRIALS).study)
    tidy = enough.tidy
    deep = tidy[tidy["depth"] > 1]
    assert ((deep["low"] < deep["ratio"]) & (deep["ratio"] < deep["high"])).all()
    assert [*deep["ratio"] * deep["depth"]] == pytest.approx([1.0] * len(deep))
    shallow = tidy[tidy["depth"] == 1]
    assert set(shallow["ratio"]) == {1.0}
    assert shallow["low"].isna().all()  # compared with themselves
    assert "(" in enough.shown["depth 2"][0]
    assert enough.shown["depth 1"][0] == "1"


def test_a_ratio_to_a_loss_of_zero_is_missing(tmp_path):
    tidy = depth(filled(tmp_path, lambda cell: 0.0 if cell.depth == 1 else 0.5).study).tidy
    assert tidy["ratio"].isna().all()
    assert [*tidy[tidy["depth"] == 2]["difference"]] == [0.5, 0.5]


def test_the_depth_table_compares_the_objective(tmp_path):
    metric = {"name": "parentheses", "options": PARENTHESES["options"]}
    training = {"steps": 16, "batch_size": 8, "evaluation_interval": 4, "objective": "metric"}
    folder = filled(tmp_path, lambda cell: 7.0, tasks=[metric], training=training)
    tidy = depth(folder.study).tidy
    assert set(tidy["measure"]) == {"accuracy"}
    assert set(tidy["value"]) == {0.5}


def test_a_sweep_of_one_depth_has_no_depth_table(tmp_path):
    assert depth(filled(tmp_path, lambda cell: 1.0, depths=[2]).study).tidy.empty


NETWORKS = [
    "linear_rnn",
    {"name": "linear_rnn", "options": {"act": "tanh"}},
    {"name": "rnn", "options": {"nonlinearity": "tanh"}},
    {"name": "rnn", "options": {"nonlinearity": "tanh", "act": "tanh"}},
    "rnn",  # in no pair, because its nonlinearity is searched
    "gru",
    {"name": "mirnn", "options": {"gate": "identity"}},
    {"name": "mirnn", "options": {"gate": "tanh", "act": "relu"}},
    "mirnn",
    {"name": "cprnn", "options": {"rank": 2, "gate": "identity"}},
    {
        "name": "cprnn",
        "options": {"rank": 3, "gate": "tanh"},
    },  # in no pair, because its rank differs
]
LINEAR, LAYERWISE = "linear_rnn", "linear_rnn(act=tanh)"
RNN, BOTH = "rnn(nonlinearity=tanh)", "rnn(act=tanh, nonlinearity=tanh)"
PAIRS = {
    ("in the recurrence", LINEAR, RNN),
    ("in the recurrence", LAYERWISE, BOTH),
    ("in the recurrence", "mirnn(gate=identity)", "mirnn"),  # its gate is tanh by default
    ("between layers", LINEAR, LAYERWISE),
    ("between layers", RNN, BOTH),
    ("between layers", "mirnn", "mirnn(act=relu, gate=tanh)"),
    ("products instead", LAYERWISE, "mirnn(gate=identity)"),
    ("products instead", LAYERWISE, "cprnn(gate=identity, rank=2)"),
}


def test_pairs_of_networks_differ_in_one_nonlinearity(tmp_path):
    chance = np.random.default_rng(0)
    losses = {}

    def loss(cell):
        return losses.setdefault(
            (cell.architecture.label, cell.depth, cell.budget), chance.uniform()
        )

    folder = filled(tmp_path, loss, architectures=NETWORKS, depths=[1, 2], budgets=[2500, 4000])
    tidy = depth_nonlinearity(folder.study).tidy
    for (layers, budget), group in tidy.groupby(["depth", "budget"]):
        pairs = [*zip(group["change"], group["from"], group["to"], strict=True)]
        assert len(pairs) == len(PAIRS)
        assert set(pairs) == PAIRS
        for row in group.to_dict("records"):
            loss_from, loss_to = (losses[row[side], layers, budget] for side in ("from", "to"))
            assert (row["value_from"], row["value_to"]) == (loss_from, loss_to)
            assert row["difference"] == loss_to - loss_from
            assert row["ratio"] == pytest.approx(loss_to / loss_from)
            assert (row["trials_from"], row["trials_to"]) == (1, 1)
    assert len(tidy) == 4 * len(PAIRS)


@pytest.mark.parametrize("identities", [True, False])
def test_linear_networks_that_started_at_the_identity_are_left_out_against_vanilla_ones(
    tmp_path, identities
):
    """A vanilla network never starts there, so it could not have found such a trial."""
    networks = ["linear_rnn", NETWORKS[1], NETWORKS[2]]
    folder = Folder.of(tmp_path, architectures=networks, tasks=[MEMORY], search={"samples": 20})
    kinds = {"identity": 0.1, "orthogonal": 0.4, "normal": 0.5}
    rows, best, counts = {}, {}, {}
    for trial in folder.plan.trials():
        start = trial.definition["configuration"]["h_square"]
        if not identities and start == "identity":
            continue
        rows[trial.id] = completed(kinds[start], kinds[start])
        label = trial.cell.architecture.label
        best[label] = min(best.get(label, 9), kinds[start])
        counts.setdefault(label, []).append(start)
    folder.write(rows)
    table = depth_nonlinearity(folder.study)
    between, vanilla = table.tidy.to_dict("records")
    started_there = counts[LINEAR].count("identity")
    assert (started_there > 0) == identities and best[LINEAR] == (0.1 if identities else 0.4)
    assert (vanilla["from"], vanilla["to"], vanilla["value_from"]) == (LINEAR, RNN, 0.4)
    assert vanilla["left_out_from"] == started_there and vanilla["left_out_to"] == 0
    assert vanilla["trials_from"] == len(counts[LINEAR]) - started_there
    assert vanilla["ratio"] == best[RNN] / 0.4
    # Two linear networks may both start there.
    assert (between["value_from"], between["left_out_from"]) == (best[LINEAR], 0)
    note = f"Against {RNN}, {started_there} completed trials of {LINEAR} are left out, which "
    assert any(text.startswith(note) for text in table.notes) == identities


def test_a_network_of_a_pair_without_completed_trials_is_a_dash_with_its_reason(tmp_path):
    def loss(cell):
        return None if cell.architecture.label == LAYERWISE else 0.5

    folder = filled(tmp_path, loss, architectures=NETWORKS[:2], depths=[2])
    table = depth_nonlinearity(folder.study)
    (row,) = table.shown.to_dict("records")
    assert (row["value from"], row["value to"], row["ratio"]) == ("0.5", "-", "-")
    assert math.isnan(table.tidy["difference"].item())
    assert table.notes[-1].startswith(f"'-': no trial of {LAYERWISE} at depth 2")


@pytest.mark.parametrize(("fixed", "paired"), [(True, True), (False, True), (True, False)])
def test_paired_sweeps_have_differences_within_configurations(tmp_path, fixed, paired):
    """Networks that draw their initial matrix from different kinds are no pair."""
    space = {"h_square": "orthogonal"} if fixed else {}
    search = {"samples": 4, "paired": paired, "space": space}
    folder = Folder.of(
        tmp_path,
        architectures=[LINEAR, NETWORKS[2]],
        tasks=[MEMORY],
        depths=[1, 2],
        search=search,
    )
    rows, losses = {}, {}
    chance = np.random.default_rng(1)
    for trial in folder.plan.trials():
        cell = trial.cell
        lanes = losses[cell.architecture.label, cell.depth, trial.index] = chance.random(2)
        rows[trial.id] = completed(1.0, 1.0, lanes=[*lanes])
    folder.write(rows)

    def wanted(*pair):
        means = [(losses[*pair[1], index] - losses[*pair[0], index]).mean() for index in range(4)]
        limits = ttest_1samp(means, 0).confidence_interval(0.95)
        return pytest.approx([np.mean(means), limits.low, limits.high])

    limits = ["paired_difference", "paired_low", "paired_high"]
    table = depth(folder.study)
    for row in table.tidy.to_dict("records"):
        name = row["architecture"]
        if paired and row["depth"] == 2:
            assert [row[column] for column in limits] == wanted((name, 1), (name, 2))
            assert (row["paired_configurations"], row["paired_networks"]) == (4, 8)
        else:
            assert math.isnan(row["paired_difference"])
    assert ("paired" in table.shown["depth 2"][0]) == paired
    for row in depth_nonlinearity(folder.study).tidy.to_dict("records"):
        if fixed and paired:
            pair = (LINEAR, row["depth"]), (RNN, row["depth"])
            assert [row[column] for column in limits] == wanted(*pair)
        else:
            assert math.isnan(row["paired_difference"])


def test_without_a_pair_of_networks_the_depth_nonlinearity_table_is_empty(tmp_path):
    assert depth_nonlinearity(filled(tmp_path, lambda cell: 1.0).study).tidy.empty
