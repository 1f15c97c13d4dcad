"""Compares tables of stored bits, of their slopes and of effects on them with SQL and scipy."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from orchestrator.views.study.searches import LEAST_TRIALS
from orchestrator.views.tables.capacity import capacity, capacity_slopes
from orchestrator.views.tables.capacity_effects import capacity_effects
from tests.support.compare import assert_same, ordered
from tests.support.studies import MEMORY, Folder, completed, end, errored, infeasible, stopped

SMALL = {"name": "perceptron_capacity", "options": {"size": 4, "length": 2}}
BUDGETS = [1000, 2000, 4000, 8000]
BEST = """
    with best as (
        select * from trials where outcome = 'completed' and task like 'perceptron%'
        qualify row_number() over (partition by cell order by objective, "index") = 1
    )
    select task, depth, budget, architecture, trial, evaluation_metric,
        evaluation_metric / parameters, cast(further->>'samples' as double),
        cast(further->>'samples' as double) / evaluation_metric, hidden, parameters,
        list_aggregate(lane_evaluation_metrics, 'count'),
        (select max(cast(further->>'samples' as double)) from trials
            where trials.cell = best.cell and outcome = 'completed')
    from best order by task, depth, budget, architecture
"""
COLUMNS = ["task", "depth", "budget", "architecture", "trial", "bits", "bits_per_parameter"]
COLUMNS += ["samples", "samples_per_bit", "hidden", "parameters", "networks", "most_samples"]


def stored(bits, parameters, samples=None, **others):
    """Return a completed trial that stored so many bits, which are its objective."""
    samples = 1.25 * bits if samples is None else samples
    further = {"bits_per_parameter": bits / parameters, "samples": samples}
    return end(
        "completed",
        0.3,
        0.3,
        metrics=[bits, bits],
        objective=-bits,
        further=json.dumps(further),
        **others,
    )


def filled(tmp_path, ends, **changes):
    """Fill each cell with the trials that ``ends`` returns for it."""
    defaults = {"architectures": ["rnn", "gru"], "tasks": [SMALL], "budgets": BUDGETS}
    folder = Folder.of(tmp_path, **{**defaults, "search": {"samples": 20}, **changes})
    rows = {}
    for cell in folder.plan.cells:
        rows |= {f"{cell.id}_{i:05d}": row for i, row in enumerate(ends(cell))}
    folder.write(rows)
    return folder


def random_ends(seed):
    chance = np.random.default_rng(seed)

    def ends(cell):
        rows = [
            stored(chance.uniform(1, 6) * cell.parameters, cell.parameters)
            for _ in range(chance.integers(0, 5))
        ]
        return [infeasible(), stopped(), *rows, errored()]

    return ends


@pytest.mark.parametrize("seed", [1, 2])
def test_every_number_in_the_capacity_table_is_that_of_sql(tmp_path, seed):
    folder = filled(tmp_path, random_ends(seed), depths=[1, 2], tasks=[SMALL, MEMORY])
    tidy = capacity(folder.study).tidy
    assert len(tidy) == len([c for c in folder.plan.cells if c.task.name != "memory"]) == 16
    assert_same(ordered(tidy[tidy["trial"].notna()], COLUMNS), folder.sql(BEST))
    assert set(tidy["infeasible"]) == set(tidy["stopped"]) == set(tidy["errored"]) == {1}


def test_the_capacity_table_shows_what_is_computed_by_hand(tmp_path):
    def ends(cell):
        if cell.architecture.label == "gru":
            return [infeasible()]
        return [stored(2000, cell.parameters, samples=2500), stored(10, cell.parameters)]

    folder = filled(tmp_path, ends, budgets=[1000])
    table = capacity(folder.study)
    (rnn, gru) = table.shown.to_dict("records")
    parameters = folder.plan.cells[0].parameters
    assert rnn["stored bits"] == "2000"
    assert rnn["bits a parameter"] == f"{2000 / parameters:.3g}"
    assert (rnn["samples"], rnn["samples a bit"], rnn["published"]) == ("2500", "1.25", "-")
    assert (gru["stored bits"], gru["samples"]) == ("-", "-")
    assert table.notes[-1] == (
        "'-': no trial of gru at depth 1, budget 1000, on perceptron_capacity(length=2, size=4) "
        "completed (0 stopped, 1 infeasible, 0 errored)."
    )


def test_a_best_trial_that_stored_nothing_has_no_samples_per_bit(tmp_path):
    tidy = capacity(filled(tmp_path, lambda cell: [stored(0.0, cell.parameters, 9)]).study).tidy
    assert set(tidy["bits"]) == {0.0}
    assert set(tidy["samples"]) == {9.0}
    assert tidy["samples_per_bit"].isna().all()


def test_published_bits_stand_beside_the_papers_own_cells(tmp_path):
    paper = "perceptron_capacity"
    relu = {"name": "ugrnn", "options": {"nonlinearity": "relu"}}
    tanh = {"name": "ugrnn", "options": {"nonlinearity": "tanh"}}
    folder = filled(
        tmp_path,
        lambda cell: [stored(4.0 * cell.parameters, cell.parameters)],
        architectures=["rnn", "irnn", relu, tanh, "ur_lstm", "intersection"],
        tasks=[paper, SMALL],
        depths=[1, 4, 8],
        budgets=[3000],
    )
    table = capacity(folder.study)
    tidy = table.tidy.fillna(-1)
    published = {
        (row["task"], row["depth"], row["architecture"]): (
            row["published_low"],
            row["published_high"],
            row["published_about"],
        )
        for row in tidy.to_dict("records")
    }
    assert published[paper, 1, "rnn"] == published[paper, 4, "intersection"] == (3, 6, 5)
    assert published[paper, 1, "irnn"] == (3, 6, 3.5)
    assert published[paper, 1, "ugrnn(nonlinearity=relu)"] == (-1, -1, 3.5)
    unpublished = [place for place, values in published.items() if values == (-1, -1, -1)]
    assert (paper, 1, "ur_lstm") in unpublished
    assert (paper, 1, "ugrnn(nonlinearity=tanh)") in unpublished
    assert (paper, 8, "rnn") in unpublished
    assert (paper, 4, "ugrnn(nonlinearity=relu)") in unpublished
    assert (tidy["task"] != paper).sum() == sum(task != paper for task, _, _ in unpublished)
    assert table.notes[1] == "Mean over 5 cells that are the paper's: 4; the paper's: about 5."
    assert {*table.shown["published"]} == {"3 to 6, about 5", "3 to 6, about 3.5", "3.5", "-"}


def test_the_slope_is_that_of_scipy_and_proportional_bits_have_exponent_one(tmp_path):
    chance = np.random.default_rng(0)

    def ends(cell):
        rate = 5.0 if cell.architecture.label == "rnn" else chance.uniform(2, 4)
        return [stored(rate * cell.parameters, cell.parameters)]

    folder = filled(tmp_path, ends)
    table = capacity_slopes(folder.study)
    rnn, gru = table.tidy.to_dict("records")
    assert rnn["slope"] == pytest.approx(5)
    assert rnn["exponent"] == pytest.approx(1)
    assert (rnn["sizes"], rnn["trials"]) == (4, 4)
    points = folder.sql(
        "select parameters, evaluation_metric from trials where architecture = 'gru'"
    )
    x, y = np.array(points).T
    for name, fit in (
        ("slope", stats.linregress(x, y)),
        ("exponent", stats.linregress(np.log(x), np.log(y))),
    ):
        half = stats.t.ppf(0.975, 2) * fit.stderr
        assert gru[name] == pytest.approx(fit.slope)
        assert gru[f"{name}_low"] == pytest.approx(fit.slope - half)
        assert gru[f"{name}_high"] == pytest.approx(fit.slope + half)
    assert (gru["least_parameters"], gru["most_parameters"]) == (x.min(), x.max())
    assert table.shown["slope"][0] == "5"


def test_a_slope_of_few_sizes_has_no_limits_or_is_a_dash(tmp_path):
    def ends(cell):
        sizes = 1 if cell.architecture.label == "gru" else 2
        if BUDGETS.index(cell.budget) < sizes:
            return [stored(2.0 * cell.parameters, cell.parameters)]
        return [infeasible()]

    shown = capacity_slopes(filled(tmp_path, ends).study).shown.to_dict("records")
    columns = ("sizes", "slope", "95 % limits", "exponent", "its 95 % limits")
    assert tuple(shown[0][name] for name in columns) == (2, "2", "-", "1", "-")
    assert tuple(shown[1][name] for name in columns) == (1, "-", "-", "-", "-")


def test_bits_that_are_not_positive_have_no_exponent(tmp_path):
    def ends(cell):
        return [stored(float(cell.budget - 1000), cell.parameters)]

    tidy = capacity_slopes(filled(tmp_path, ends).study).tidy
    assert tidy["slope"].notna().all()
    assert tidy["exponent"].isna().all()


def test_without_the_capacity_task_its_tables_are_empty(tmp_path):
    study = filled(tmp_path, lambda cell: [completed(0.1, 0.1)], tasks=[MEMORY]).study
    for table in (capacity(study), capacity_slopes(study), capacity_effects(study)):
        assert table.tidy.empty


def configured(row, nonlinearity):
    return row | {"configuration": json.dumps({"nonlinearity": nonlinearity, "l2": 1e-8})}


def test_the_effect_of_relu_within_a_search_is_that_of_sql(tmp_path):
    chance = np.random.default_rng(3)

    def ends(cell):
        rows = [
            configured(
                stored(chance.uniform(1, 5) * cell.parameters, cell.parameters),
                chance.choice(["relu", "tanh"]),
            )
            for _ in range(7)
        ]
        return [*rows, configured(stopped(), "relu"), configured(infeasible(), "relu")]

    folder = filled(tmp_path, ends, architectures=["rnn", "gru", "irnn"])
    table = capacity_effects(folder.study)
    wanted = folder.sql(
        """
        select "budget", architecture, max(evaluation_metric / parameters),
            max(evaluation_metric / parameters) filter (configuration->>'nonlinearity' = 'relu'),
            count(*), count(*) filter (configuration->>'nonlinearity' = 'relu')
        from trials where outcome = 'completed' and architecture != 'irnn'
        group by all order by all
        """
    )
    columns = ["budget", "architecture", "bits_per_parameter_without", "bits_per_parameter_with"]
    columns += ["trials_without", "trials_with"]
    of_all = table.tidy[table.tidy["without"] == "best of all"]
    assert_same(ordered(of_all, columns, key=2), wanted)
    wanted = folder.sql(
        """
        select "budget", architecture,
            max(evaluation_metric / parameters) filter (configuration->>'nonlinearity' = 'tanh'),
            max(evaluation_metric / parameters) filter (configuration->>'nonlinearity' = 'relu'),
            count(*) filter (configuration->>'nonlinearity' = 'tanh'),
            count(*) filter (configuration->>'nonlinearity' = 'relu')
        from trials where outcome = 'completed' and architecture != 'irnn'
        group by all having count(*) filter (configuration->>'nonlinearity' = 'tanh') > 0
        order by all
        """
    )
    of_tanh = table.tidy[table.tidy["without"] == "best with tanh"].dropna(subset=columns[2])
    assert_same(ordered(of_tanh, columns, key=2), wanted)
    assert set(table.tidy["effect"]) == {"relu"}
    assert (
        table.tidy["low"].isna().all()
    )  # trials with ReLU are among those of the other side, so there are no limits


def test_a_search_without_a_completed_relu_trial_shows_dashes_for_relu(tmp_path):
    def ends(cell):
        return [configured(stored(2000, cell.parameters), "tanh"), configured(infeasible(), "relu")]

    row, _ = capacity_effects(
        filled(tmp_path, ends, architectures=["rnn"], budgets=[1000]).study
    ).shown.to_dict("records")
    assert (row["with"], row["ratio"]) == ("-", "-")
    assert row["without"] != "-"


def test_a_search_of_one_nonlinearity_has_no_row_for_relu(tmp_path):
    folder = filled(
        tmp_path,
        lambda cell: [configured(stored(2000, cell.parameters), "tanh")],
        search={"samples": 20, "space": {"nonlinearity": "tanh"}},
    )
    assert capacity_effects(folder.study).tidy.empty


@pytest.mark.parametrize("by_search", [False, True])
def test_relu_as_an_option_is_compared_with_tanh_and_has_its_published_bits(tmp_path, by_search):
    rates = {"relu": 3.0, "tanh": 4.0}
    chance = np.random.default_rng(0)
    of_tanh = {} if by_search else {"nonlinearity": "tanh"}

    def ends(cell):
        rate = rates[cell.architecture.options.get("nonlinearity", "tanh")]
        spread = chance.uniform(0.9, 1, LEAST_TRIALS)
        spread[0] = 1
        return [stored(rate * s * cell.parameters, cell.parameters) for s in spread]

    folder = filled(
        tmp_path,
        ends,
        architectures=[
            {"name": name, "options": options}
            for name in ("rnn", "gru")
            for options in ({"nonlinearity": "relu"}, of_tanh)
        ],
        search={"samples": 20, "space": {"nonlinearity": "tanh"} if by_search else {}},
        tasks=["perceptron_capacity"],
        budgets=[3000],
        depths=[1, 2],
    )
    tidy = capacity_effects(folder.study).tidy
    assert len(tidy) == 4
    assert [*tidy["ratio"]] == pytest.approx([0.75] * 4)
    assert [*tidy["difference"]] == pytest.approx([-1.0] * 4)
    assert ((tidy["low"] < 0.75) & (tidy["high"] > 0.75)).all()
    published = tidy.set_index(["architecture", "depth"])["published_with"]
    assert published["rnn" if by_search else "rnn(nonlinearity=tanh)", 1] == 3.5
    assert published.notna().sum() == 1  # bits are published for rnn and ugrnn with one layer


def test_unrolled_steps_are_compared_with_the_fewest(tmp_path):
    rates = {1: 2.0, 3: 3.0, 5: 4.0}
    folder = filled(
        tmp_path,
        lambda cell: [
            stored(rates[cell.task.options["length"]] * cell.parameters, cell.parameters)
        ],
        architectures=["irnn"],
        tasks=[
            {"name": "perceptron_capacity", "options": {"size": 4, "length": n}} for n in (5, 1, 3)
        ],
        budgets=[1000],
    )
    table = capacity_effects(folder.study)
    assert [*table.tidy["effect"]] == ["unrolled steps"] * 2
    assert [*table.shown["pair"]] == ["1 : 3", "1 : 5"]
    assert [*table.tidy["ratio"]] == pytest.approx([1.5, 2.0])
    assert [*table.shown["ratio"]] == ["1.5", "2"]
    assert all(math.isnan(limit) for limit in table.tidy["low"])  # one trial is too few


def test_the_capacity_task_without_options_counts_as_five_unrolled_steps(tmp_path):
    folder = filled(
        tmp_path,
        lambda cell: [stored(2000, cell.parameters)],
        architectures=["irnn"],
        tasks=["perceptron_capacity", {"name": "perceptron_capacity", "options": {"length": 1}}],
        budgets=[3000],
    )
    assert [*capacity_effects(folder.study).shown["pair"]] == ["1 : 5"]
