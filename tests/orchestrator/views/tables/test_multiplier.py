"""Compares parameter multipliers with known ones and other methods; checks their coverage."""

import dataclasses
import json
import math
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import hypergeom, linregress

from orchestrator.views.study.fits import line, mean_log_ratio
from orchestrator.views.study.searches import (
    LEAST_TRIALS,
    RESAMPLES,
    _ranks,
    best_and_halves,
    compared,
    interval,
)
from orchestrator.views.study.study import Study
from orchestrator.views.tables.multiplier import parameter_multiplier
from orchestrator.views.tables.multiplier_pairs import interpolated
from tests.support.studies import MEMORY, Folder, completed, end, infeasible, stopped

CAPACITY = {"name": "perceptron_capacity", "options": {"size": 4, "length": 2}}
BUDGETS = [1000, 2000, 4000, 8000]


def power_law(parameters, times=1.0):
    """Return the loss of a network that needs so many times the parameters."""
    return 100 * (parameters / times) ** -0.5


def filled(tmp_path, ends, **changes):
    """Fill each cell with the ends that ``ends`` returns for it."""
    defaults = {"architectures": ["rnn", "gru"], "tasks": [MEMORY], "budgets": BUDGETS}
    folder = Folder.of(tmp_path, **{**defaults, "search": {"samples": 20}, **changes})
    rows = {}
    for cell in folder.plan.cells:
        rows |= {f"{cell.id}_{i:05d}": row for i, row in enumerate(ends(cell))}
    folder.write(rows)
    return folder


def pair(table, architecture="gru", equals="rnn", depth=1):
    tidy = table.tidy
    chosen = (tidy["architecture"] == architecture) & (tidy["equals"] == equals)
    at_depth = tidy["depth"].isna() if depth is None else (tidy["depth"] == depth).fillna(False)
    (row,) = tidy[chosen & at_depth].to_dict("records")
    return row


def losses(cell, gru=2.0):
    loss = power_law(cell.parameters, gru if cell.architecture.label == "gru" else 1.0)
    return [
        completed(loss, loss),
        completed(loss + 1, 1e-9),
    ]  # better by evaluation, but not by validation


def test_a_known_multiplier_is_found_and_its_inverse_stands_opposite(tmp_path):
    folder = filled(tmp_path, losses)
    table = parameter_multiplier(folder.study)
    row, other = pair(table), pair(table, "rnn", "gru")
    assert row["multiplier"] == pytest.approx(2.0)
    assert other["multiplier"] == pytest.approx(0.5)
    assert (row["sizes"], row["equals_sizes"], row["trials"]) == (4, 4, 8)
    parameters = {
        name: [c.parameters for c in folder.plan.cells if c.architecture.label == name]
        for name in ("rnn", "gru")
    }
    # Both reach the losses between those of the smallest rnn and of the largest gru.
    assert row["best_measure"] == pytest.approx(power_law(max(parameters["gru"]), 2))
    assert row["worst_measure"] == pytest.approx(power_law(min(parameters["rnn"])))
    shown = table.shown.set_index("equals")
    assert [*shown["rnn"]] == ["1", "0.5"]
    assert [*shown["gru"]] == ["2", "1"]


def test_a_multiplier_has_limits_only_if_there_are_enough_trials(tmp_path):
    few = parameter_multiplier(filled(tmp_path / "few", losses).study)
    assert math.isnan(pair(few)["low"])
    assert pair(few)["resamples"] == 0

    def many(cell):
        best = losses(cell)[0]
        loss = 1.1 * best["evaluation_loss"]
        return [best, *[completed(loss + i, loss) for i in range(LEAST_TRIALS - 1)]]

    row = pair(parameter_multiplier(filled(tmp_path / "many", many).study))
    assert row["resamples"] == RESAMPLES
    assert row["low"] < row["multiplier"] < row["high"]


@pytest.mark.parametrize("seed", range(20))
def test_the_mean_log_ratio_of_two_curves_is_that_of_adaptive_quadrature(seed):
    """The curves are broken lines that are not monotone; quadrature integrates their ratio."""
    chance = np.random.default_rng(seed)
    curves = []
    for _ in range(2):
        size = np.sort(chance.uniform(0, 10, chance.integers(2, 7)))
        cost = -size + chance.normal(0, 1, len(size))
        curves.append((size, cost))

    low = max(cost.min() for _, cost in curves)
    high = min(cost[0] for _, cost in curves)
    first, second = curves
    ratio = mean_log_ratio(first[0], first[1][None], second[0], second[1][None])[0]
    if low >= high:
        assert math.isnan(ratio)
        return
    knots = np.unique(np.concatenate([first[1], second[1]]))
    knots = knots[(knots > low) & (knots < high)]
    edges = [low, *knots, high]
    total = sum(
        quad(lambda c: _least_size(first, c) - _least_size(second, c), a, b, epsabs=1e-12)[0]
        for a, b in pairwise(edges)
    )
    assert ratio == pytest.approx(total / (high - low), abs=1e-9)


def _least_size(curve, cost):
    """Return the least size at which the broken line of lowest costs so far is at the cost."""
    size, lowest = curve[0], np.minimum.accumulate(curve[1])
    for i in range(len(size) - 1):
        if lowest[i] >= cost >= lowest[i + 1] and lowest[i] > lowest[i + 1]:
            share = (lowest[i] - cost) / (lowest[i] - lowest[i + 1])
            return size[i] + share * (size[i + 1] - size[i])
    return size[0]


def test_a_multiplier_is_missing_where_the_losses_of_two_architectures_do_not_overlap(tmp_path):
    def apart(cell):
        loss = power_law(cell.parameters) / (1 if cell.architecture.label == "gru" else 100)
        return [completed(loss, loss)]

    table = parameter_multiplier(filled(tmp_path, apart).study)
    assert table.tidy["multiplier"].isna().all()
    assert [*table.shown["gru"]] == ["-", "1"]
    task = "memory(delay=2, size=3)"
    note = f"'-' on {task} at depth 1: what they reach does not overlap: gru and rnn."
    assert table.notes[-1] == note


def test_a_note_counts_many_pairs_without_overlap_and_does_not_list_them(tmp_path):
    names = ["rnn", "gru", "lstm", "ugrnn", "irnn"]

    def apart(cell):
        loss = power_law(cell.parameters) / 100 ** names.index(cell.architecture.label)
        return [completed(loss, loss)]

    table = parameter_multiplier(filled(tmp_path, apart, architectures=names).study)
    assert table.tidy["multiplier"].isna().all()
    assert table.notes[-1].endswith("does not overlap: 10 pairs, those of no other note.")


def test_a_curve_needs_two_sizes_that_have_a_best_trial(tmp_path):
    nan = math.nan

    def ends(cell):
        if cell.architecture.label == "rnn" or cell.budget == 1000:
            return losses(cell)
        lost = {2000: infeasible(), 4000: stopped(), 8000: completed(0.1, nan)}
        return [lost[cell.budget]]

    table = parameter_multiplier(filled(tmp_path, ends).study)
    row = pair(table)
    assert (row["sizes"], row["equals_sizes"]) == (1, 4)
    assert math.isnan(row["multiplier"])
    assert table.notes[-1].endswith("fewer than two sizes have a best trial: gru.")


def test_a_multiplier_bridges_a_size_without_a_best_trial(tmp_path):
    def ends(cell):
        return [infeasible()] if cell.budget == 2000 else losses(cell)

    assert pair(parameter_multiplier(filled(tmp_path, ends).study))["multiplier"] == pytest.approx(
        2
    )


def test_losses_that_are_not_positive_are_compared_as_they_are(tmp_path):
    def ends(cell):
        twice = 2 if cell.architecture.label == "gru" else 1
        loss = 8.0 - math.log(cell.parameters / twice)
        return [completed(loss, loss)]

    row = pair(parameter_multiplier(filled(tmp_path, ends).study))
    assert row["best_measure"] < 0
    assert row["multiplier"] == pytest.approx(2)


def test_a_sweep_of_one_size_or_one_architecture_has_no_multiplier_table(tmp_path):
    one_size = filled(tmp_path / "size", losses, budgets=[4000])
    assert parameter_multiplier(one_size.study).tidy.empty
    alone = filled(tmp_path / "alone", losses, architectures=["gru"])
    assert parameter_multiplier(alone.study).tidy.empty


def stores(bits_per_parameter):
    def ends(cell):
        bits = bits_per_parameter(cell) * cell.parameters
        further = json.dumps({"bits_per_parameter": bits / cell.parameters, "samples": bits + 10})
        return [
            end("completed", 0.5, 0.5, metrics=[bits, bits], objective=-bits, further=further),
            end("completed", 0.1, 0.1, metrics=[1.0, 1.0], objective=-1.0, further=further),
        ]

    return ends


def test_capacity_is_compared_by_stored_bits(tmp_path):
    ends = stores(lambda cell: 2.5 if cell.architecture.label == "gru" else 5.0)
    folder = filled(tmp_path, ends, tasks=[CAPACITY], depths=[1, 2])
    table = parameter_multiplier(folder.study)
    for depth in (1, 2, None):
        assert pair(table, depth=depth)["multiplier"] == pytest.approx(2)
        assert pair(table, depth=depth)["measure"] == "bits"
    assert [*table.shown["depth"]] == ["1", "1", "2", "2", "all", "all"]


def test_the_multiplier_at_all_depths_is_a_ratio_of_mean_bits_over_cells_that_both_have(tmp_path):
    """The paper shows this ratio in its figure 1i."""

    def rate(cell):
        if cell.architecture.label == "lstm":
            return 5.0 if cell.depth == 1 else 3.0 + cell.budget / 4000
        return 2.0

    folder = filled(
        tmp_path,
        stores(rate),
        tasks=[CAPACITY],
        depths=[1, 2],
        architectures=["lstm", "intersection"],  # the second does not exist at depth 1
        budgets=[2000, 4000],
    )
    table = parameter_multiplier(folder.study)
    row = pair(table, "intersection", "lstm", depth=None)
    (wanted,) = folder.sql(
        """
        with best as (
            select architecture, budget, evaluation_metric / parameters as bits from trials
            where outcome = 'completed' and depth = 2
            qualify row_number() over (partition by cell order by objective, "index") = 1
        )
        select avg(bits) filter (architecture = 'lstm')
            / avg(bits) filter (architecture = 'intersection') from best
        """
    )
    assert row["multiplier"] == pytest.approx(wanted[0]) == pytest.approx(3.75 / 2)
    assert row["sizes"] == 2


def test_overlapping_sweeps_count_their_trials_once(tmp_path):
    first = filled(tmp_path / "one", losses)
    second = filled(tmp_path / "other", losses, name="other")
    together = parameter_multiplier(Study([first.paths, second.paths])).tidy
    assert together.equals(parameter_multiplier(first.study).tidy)


def test_the_multiplier_of_a_pair_does_not_depend_on_other_architectures_in_the_study(tmp_path):
    chance = np.random.default_rng(5)

    def ends(cell):
        return [completed(v, v) for v in power_law(cell.parameters) + chance.exponential(size=12)]

    folder = filled(tmp_path, ends, architectures=["rnn", "gru", "lstm"])
    all_three = parameter_multiplier(folder.study)
    assert all_three.tidy.equals(parameter_multiplier(folder.study).tidy)
    two = Study(folder.paths, ["architecture=rnn", "architecture=gru"])
    assert pair(parameter_multiplier(two)) == pair(all_three)
    assert pair(all_three)["low"] < pair(all_three)["high"]


@pytest.mark.parametrize("trials", [2, 7, 8, 30, 1000])
def test_ranks_are_those_of_the_best_of_a_random_half(trials):
    """The ranks follow a hypergeometric distribution, as do those of halves that are drawn."""
    ranks = np.concatenate([_ranks(trials, f"cell {i}") for i in range(50)])
    chance = np.random.default_rng(0)
    drawn = [chance.permutation(trials)[: trials // 2].min() for _ in range(5000)]
    for rank in range(min(4, trials - trials // 2)):
        beyond = hypergeom(trials, rank + 1, trials // 2).pmf(0)
        assert (ranks > rank).mean() == pytest.approx(beyond, abs=4 * 0.5 / math.sqrt(len(ranks)))
        assert np.mean(np.array(drawn) > rank) == pytest.approx(beyond, abs=4 * 0.5 / 5000**0.5)


def test_an_interval_needs_a_value_of_nearly_all_resamples():
    values = np.arange(100.0)
    assert interval(values) == pytest.approx((2.475, 96.525))
    values[:5] = np.nan
    assert interval(values) == pytest.approx((5 + 0.025 * 94, 5 + 0.975 * 94))
    values[5] = np.inf
    assert all(map(math.isnan, interval(values)))


SCATTER = {
    "exponential": lambda chance, n: chance.exponential(size=n),
    "light": lambda chance, n: chance.weibull(4, n),
    "heavy": lambda chance, n: np.exp(chance.standard_normal(n)),
    "normal": lambda chance, n: 3 + chance.standard_normal(n),
}


def simulated(chance, scatter, trials, name, middle):
    """Simulate the trials of a cell; evaluation losses are validation losses with some noise."""
    validation = middle + 0.15 * SCATTER[scatter](chance, trials)
    evaluation = validation + 0.01 * chance.standard_normal(trials)
    return best_and_halves(np.exp(evaluation[np.argsort(validation)]), name)


@pytest.mark.parametrize("scatter", SCATTER)
@pytest.mark.parametrize("trials", [LEAST_TRIALS, 50])
def test_the_limits_of_a_multiplier_cover_it(scatter, trials):
    """In 200 sweeps of four sizes, one architecture needs exactly twice the parameters."""
    chance = np.random.default_rng(0)
    covered = []
    for sweep in range(200):
        curves = {}
        for name, times in (("one", 2.0), ("other", 1.0)):
            curves[name] = [
                (
                    SimpleNamespace(parameters=p),
                    simulated(
                        chance, scatter, trials, f"{sweep} {name} {p}", -0.3 * math.log(p / times)
                    ),
                )
                for p in (1000, 3000, 9000, 27000)
            ]
        limits = interpolated(curves["one"], curves["other"], more=False)
        covered.append(limits["low"] <= 2 <= limits["high"])
    assert np.mean(covered) >= 0.92
    # The limits are narrow: the noise is a fraction of what a factor of two changes.
    assert limits["high"] / limits["low"] < 3


@pytest.mark.parametrize("scatter", SCATTER)
@pytest.mark.parametrize(("trials", "least"), [(LEAST_TRIALS, 0.89), (50, 0.92)])
def test_the_limits_of_a_ratio_of_two_cells_cover_it(scatter, trials, least):
    chance = np.random.default_rng(1)
    covered = []
    for sweep in range(200):
        first = simulated(chance, scatter, trials, f"{sweep} one", math.log(1.2))
        second = simulated(chance, scatter, trials, f"{sweep} other", 0.0)
        limits = compared(first, second)
        covered.append(limits["low"] <= 1.2 <= limits["high"])
    assert least <= np.mean(covered)


def test_the_limits_of_a_slope_cover_it_at_their_rate():
    chance = np.random.default_rng(0)
    x = np.array([1000.0, 3000, 10_000, 30_000, 100_000])
    covered = []
    for _ in range(200):
        fit = line(x, 5 * x + 100 + chance.normal(0, 5000, len(x)))
        covered.append(fit.low <= 5 <= fit.high)
    assert 0.91 <= np.mean(covered) <= 0.99


def test_a_slope_is_that_of_scipy_and_of_the_normal_equations():
    x, y = np.array([1.0, 2.0, 4.0, 8.0]), np.array([2.0, 3.5, 9.0, 15.0])
    fit = line(x, y)
    design = np.stack([np.ones(4), x], axis=1)
    intercept, slope = np.linalg.solve(design.T @ design, design.T @ y)
    residuals = y - design @ [intercept, slope]
    deviation = math.sqrt(residuals @ residuals / 2 * np.linalg.inv(design.T @ design)[1, 1])
    half = 4.302652729911275 * deviation  # Student's t of two degrees of freedom
    wanted = (slope, slope - half, slope + half, intercept, 4)
    assert dataclasses.astuple(fit) == pytest.approx(wanted)
    assert fit.slope == pytest.approx(linregress(x, y).slope)


def test_a_line_through_too_few_points_has_no_limits_or_is_none():
    two = line(np.array([1.0, 3.0]), np.array([1.0, 5.0]))
    assert (two.slope, two.intercept, two.points) == (2.0, -1.0, 2)
    assert math.isnan(two.low)
    assert math.isnan(line(np.array([3.0, 3.0]), np.array([1.0, 5.0])).slope)
    assert math.isnan(line(np.array([]), np.array([])).slope)
