"""Compares losses of random hyperparameters and their tests with SQL, scipy and the paper."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, ttest_1samp
from scipy.stats import t as student
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttest_ind

from orchestrator.views.tables.published_numbers import published
from orchestrator.views.tables.random_hyperparameters import random_hyperparameters
from orchestrator.views.tables.random_pairs import random_hyperparameters_pairs
from tests.support.compare import assert_same, ordered
from tests.support.random_search import random_search
from tests.support.studies import (
    MEMORY,
    PARENTHESES,
    Folder,
    completed,
    errored,
    infeasible,
    stopped,
)

SPREAD = """
    with tried as (
        select *, evaluation_loss as loss, outcome = 'completed' and evaluation_loss is not null
            and not isnan(evaluation_loss) as valid
        from trials where outcome != 'errored'
    )
    select task, depth, budget, architecture, count(*),
        count(*) filter (outcome = 'infeasible'),
        count(*) filter (outcome = 'completed' and not valid),
        min(loss) filter (valid), quantile_cont(loss, 0.05) filter (valid),
        quantile_cont(loss, 0.25) filter (valid), median(loss) filter (valid),
        quantile_cont(loss, 0.75) filter (valid), quantile_cont(loss, 0.95) filter (valid),
        max(loss) filter (valid), avg(loss) filter (valid), stddev_samp(loss) filter (valid)
    from tried group by all order by all
"""
COLUMNS = ["task", "depth", "budget", "architecture", "trials", "infeasible", "without_number"]
COLUMNS += ["min", "quantile_05", "quantile_25", "median", "quantile_75", "quantile_95", "max"]
COLUMNS += ["mean", "deviation"]
LOSSES = """
    select task, architecture,
        list(case when outcome = 'completed' then coalesce(evaluation_loss, 'nan')
            else 'nan' end order by "index")
    from trials where outcome != 'errored' group by all
"""


@pytest.mark.parametrize("seed", [1, 2])
def test_every_number_of_the_distribution_is_that_of_sql(tmp_path, seed):
    folder = random_search(tmp_path, seed)
    tidy = random_hyperparameters(folder.study).tidy
    assert_same(ordered(tidy, COLUMNS), folder.sql(SPREAD))
    assert tidy["without_number"].sum() > 0 < tidy["infeasible"].min()


def test_every_pair_is_compared_as_scipy_and_statsmodels_do(tmp_path):
    folder = random_search(tmp_path, 3)
    losses = {row[:2]: np.array(row[2]) for row in folder.sql(LOSSES)}
    tidy = random_hyperparameters_pairs(folder.study).tidy
    assert len(tidy) == 2 * 3
    for row in tidy.to_dict("records"):
        a, b = (losses[row["task"], row[f"architecture_{side}"]] for side in "ab")
        first, second = a[~np.isnan(a)], b[~np.isnan(b)]
        t, p, df = ttest_ind(first, second, usevar="unequal")
        assert (row["t"], row["df"], row["p"]) == pytest.approx((t, df, p), rel=1e-9)
        assert (row["completed_a"], row["completed_b"]) == (len(first), len(second))
        assert (row["mean_a"], row["mean_b"]) == pytest.approx((first.mean(), second.mean()))
        assert (row["hedges_g"] < 0) == (t < 0) == (second.mean() > first.mean())
        ranked = [np.where(np.isnan(values), math.inf, values) for values in (a, b)]
        assert row["rank_p"] == pytest.approx(mannwhitneyu(*ranked).pvalue, rel=1e-9)
        better = np.mean([(x < y) + (x == y) / 2 for x in ranked[0] for y in ranked[1]])
        assert row["a_better"] == pytest.approx(better)


def test_p_values_are_corrected_within_a_task(tmp_path):
    tidy = random_hyperparameters_pairs(random_search(tmp_path, 3).study).tidy
    for _, family in tidy.groupby("task"):
        for test in ("p", "rank_p"):
            wanted = multipletests(family[test], method="holm")[1]
            assert family[f"{test}_holm"].to_numpy() == pytest.approx(wanted)


def tables_of(tmp_path, first, second, **changes):
    folder = Folder.of(tmp_path, **{"tasks": [MEMORY], **changes})
    folder.fill("rnn", *first)
    folder.fill("gru", *second)
    return random_hyperparameters(folder.study), random_hyperparameters_pairs(folder.study)


def test_the_distribution_and_the_test_of_a_pair_are_those_computed_by_hand(tmp_path):
    spread, pairs = tables_of(
        tmp_path,
        [completed(1.0, 1.0), errored(), completed(1.0, 2.0), completed(1.0, 3.0), infeasible()],
        [completed(1.0, 5.0), completed(1.0, 7.0)],
    )
    row, _ = spread.tidy.to_dict("records")
    assert (row["trials"], row["infeasible"]) == (4, 1)
    assert (row["quantile_25"], row["mean"], row["deviation"]) == (1.5, 2.0, 1.0)
    (pair,) = pairs.tidy.to_dict("records")
    assert (pair["architecture_a"], pair["architecture_b"]) == ("rnn", "gru")
    # t = (2 - 6) / sqrt(1 / 3 + 2 / 2); df = (4 / 3)^2 / ((1 / 3)^2 / 2 + 1^2 / 1).
    assert pair["t"] == pytest.approx(-4 / math.sqrt(4 / 3))
    assert pair["df"] == pytest.approx((16 / 9) / (1 / 18 + 1))
    assert pair["a_better"] == 6 / 8  # all but the infeasible trial are better than both
    (shown,) = pairs.shown.to_dict("records")
    assert (shown["first"], shown["second"]) == ("rnn", "gru")
    assert (shown["t"], shown["better"]) == ("-3.46", "75.0 %")
    assert shown["published t (df), p"] == "-"


@pytest.mark.parametrize(
    ("ends", "better"),
    [
        ([], None),
        ([infeasible()] * 4, "100.0 %"),
        ([completed(1.0, 0.5)], "0.0 %"),
        ([completed(1.0, math.nan)], "100.0 %"),
        ([completed(1.0, 1.0)], "25.0 %"),
    ],
)
def test_a_pair_with_too_few_trials_has_no_t_but_may_have_a_rank_test(tmp_path, ends, better):
    spread, pairs = tables_of(tmp_path, [completed(1.0, 1.0), completed(1.0, 2.0)], ends)
    assert len(spread.tidy) == (2 if ends else 1)
    assert [row["deviation"] for row in spread.shown.to_dict("records")[1:]] == ["-"] * bool(ends)
    shown = [(row["t"], row["g"], row["better"]) for row in pairs.shown.to_dict("records")]
    assert shown == ([("-", "-", better)] if better else [])


@pytest.mark.parametrize("paired", [True, False])
def test_the_difference_within_configurations_counts_in_a_paired_sweep(tmp_path, paired):
    """Configurations scatter more than networks differ, which the tests cannot know."""
    losses = [0.1, 1.0, 2.0, 4.0]
    first = [completed(loss, loss) for loss in losses]
    second = [
        completed(loss, loss + more)
        for loss, more in zip(losses, (0.1, 0.2, 0.1, 0.2), strict=True)
    ]
    search = {"samples": 6, "paired": paired}
    _, pairs = tables_of(tmp_path, first, second, search=search, scheduler="none")
    (row,) = pairs.tidy.to_dict("records")
    assert row["p"] > 0.5
    if paired:
        limits = ttest_1samp([0.1, 0.2, 0.1, 0.2], 0).confidence_interval(0.95)
        assert row["paired_difference"] == pytest.approx(0.15)
        assert (row["paired_low"], row["paired_high"]) == pytest.approx((limits.low, limits.high))
        assert row["paired_low"] > 0
        assert any("the paired difference counts" in note for note in pairs.notes)
    else:
        assert math.isnan(row["paired_difference"])
        assert "paired" not in pairs.shown


def test_equal_losses_are_no_difference(tmp_path):
    equal = [completed(1.0, 1.0)] * 4
    _, pairs = tables_of(tmp_path, equal, equal)
    (row,) = pairs.tidy.to_dict("records")
    assert math.isnan(row["t"]) and math.isnan(row["p_holm"])
    assert (row["a_better"], row["rank_p"], row["rank_p_holm"]) == (0.5, 1.0, 1.0)


def test_a_cell_with_stopped_trials_is_in_no_pair(tmp_path):
    two = [completed(1.0, 1.0), completed(1.0, 2.0)]
    spread, pairs = tables_of(tmp_path, [*two, stopped()], two)
    assert spread.tidy["architecture"].tolist() == ["gru"]
    assert pairs.tidy.empty and pairs.shown.empty
    for table in (spread, pairs):
        assert table.notes[-1].startswith("Left out: 1 cell, for trials of theirs were stopped")


def test_the_rank_test_is_reversed_where_a_higher_metric_is_better(tmp_path):
    training = {"steps": 16, "batch_size": 8, "evaluation_interval": 4, "objective": "metric"}
    high, low = ([completed(1.0, 1.0, metrics=[m, m])] for m in (0.9, 0.1))
    _, pairs = tables_of(
        tmp_path,
        [*high, *high, infeasible()],
        [*low, *low],
        tasks=[PARENTHESES],
        training=training,
    )
    (row,) = pairs.tidy.to_dict("records")
    assert row["quantity"] == "accuracy"
    assert (row["mean_a"], row["mean_b"]) == (pytest.approx(0.9), pytest.approx(0.1))
    assert row["a_better"] == pytest.approx(4 / 6)


def test_the_papers_tests_stand_beside_pairs_in_the_order_of_the_sweep(tmp_path):
    names = ["lstm", "intersection", "gru", "wcrnn"]
    folder = Folder.of(
        tmp_path,
        architectures=names,
        depths=[1, 8],
        tasks=["parentheses", MEMORY],
        budgets=[100_000, 200_000],
        search={"samples": 1},
    )
    folder.write({f"{cell.id}_00000": infeasible() for cell in folder.plan.cells})
    tidy = random_hyperparameters_pairs(folder.study).tidy
    published_rows = tidy[tidy["published_t"].notna()]
    assert set(published_rows["task"]) == {"parentheses"} and set(published_rows["budget"]) == {
        200_000
    }
    keys = ["depth", "architecture_a", "architecture_b"]
    numbers = {
        tuple(row[key] for key in keys): tuple(row[f"published_{n}"] for n in ("t", "df", "p"))
        for row in published_rows.to_dict("records")
    }
    assert numbers == {  # table A.2 of the paper; exchanged, t has the other sign
        (1, "lstm", "gru"): (6.65, 1750, "<0.001"),
        (8, "lstm", "intersection"): (26.1, 941, "<0.001"),
        (8, "lstm", "gru"): (4.84, 1290, "<0.001"),
        (8, "intersection", "gru"): (-23.6, 1080, "<0.001"),
    }


def test_the_papers_p_values_follow_from_its_t_and_its_df():
    """The paper's numbers are those of Welch's test, two-sided and uncorrected."""
    paper = published("capacity_tableA2_welch")
    assert len(paper) == math.comb(5, 2) + math.comb(6, 2)
    for row in paper.to_dict("records"):
        p = 2 * student.sf(abs(row["t"]), row["df"])
        assert p < 1e-3 if row["p"] == "<0.001" else p == pytest.approx(float(row["p"]), rel=0.02)
    for depth, depth_rows in paper.groupby("depth"):
        pairs = {
            frozenset(pair) for pair in depth_rows[["architecture_a", "architecture_b"]].values
        }
        names = set.union(*map(set, pairs))
        assert pairs == {frozenset(pair) for pair in combinations(names, 2)}, depth
