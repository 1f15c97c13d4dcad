"""Compares best and median losses over configurations tried with SQL and by hand."""

import math
import random
import statistics
from itertools import pairwise

import pytest

from orchestrator.views.tables import build
from orchestrator.views.tables.trainability import shown_counts, thinned_counts, trainability
from tests.support.compare import assert_same, ordered
from tests.support.studies import MEMORY, Folder, completed, errored, infeasible, stopped

CURVES = """
    with tried as (
        select *, row_number() over (partition by cell order by "index") as k,
            case outcome when 'infeasible' then 'infinity'::double else evaluation_loss end as loss
        from trials where outcome != 'errored'
    ),
    so_far as (
        select now.task, now.depth, now.budget, now.architecture, now.k,
            list_sort(list(before.loss)) as losses,
            arg_min(before.evaluation_loss, before.objective + 1e-9 * before.k)
                filter (before.outcome = 'completed') as best,
            count(*) filter (before.outcome = 'completed') as completed,
            count(*) filter (before.outcome = 'infeasible') as infeasible
        from tried now join tried before on before.cell = now.cell and before.k <= now.k
        group by now.task, now.depth, now.budget, now.architecture, now.k
    )
    select task, depth, budget, architecture, k, best,
        (losses[(k + 1) // 2] + losses[k // 2 + 1]) / 2, completed, infeasible
    from so_far order by task, depth, budget, architecture, k
"""
COLUMNS = ["task", "depth", "budget", "architecture", "tried", "best_evaluation_loss"]
COLUMNS += ["median_evaluation_loss", "completed", "infeasible"]


def test_every_number_in_the_trainability_table_is_that_of_sql(at_random):
    tidy = trainability(at_random.study).tidy
    assert len(tidy) > 100
    assert_same(ordered(tidy, COLUMNS, key=5), at_random.sql(CURVES))


def table_of(tmp_path, *ends, samples=6, **changes):
    folder = Folder.of(tmp_path, tasks=[MEMORY], search={"samples": samples}, **changes)
    folder.fill("rnn", *ends)
    folder.fill("gru", completed(0.1, 0.5))
    return trainability(folder.study)


def curve(table, column, architecture="rnn"):
    return [*table.tidy[table.tidy["architecture"] == architecture][f"{column}_evaluation_loss"]]


def test_best_and_median_losses_are_those_computed_by_hand(tmp_path):
    inf = math.inf
    table = table_of(
        tmp_path,
        stopped(3.0),
        completed(0.5, 1.0),
        infeasible(),
        completed(0.2, 2.0),  # better by validation, worse by evaluation
        infeasible(),
        infeasible(),
    )
    assert curve(table, "best") == pytest.approx([math.nan, 1, 1, 2, 2, 2], nan_ok=True)
    assert curve(table, "median") == [3, 2, 3, 2.5, 3, inf]
    (row, other) = table.shown.to_dict("records")
    shown = {name: row[name] for name in ("1", "2", "5", "6")}
    assert shown == {"1": "- / 3", "2": "1 / 2", "5": "2 / 3", "6": "2 / inf"}
    # A cell of which fewer configurations were tried ends earlier.
    assert [other[name] for name in ("1", "2", "5", "6")] == ["0.5 / 0.5", "-", "-", "-"]


def test_errored_and_missing_trials_do_not_count_as_tried(tmp_path):
    table = table_of(tmp_path, errored(), completed(0.2, 2.0), None, completed(0.1, 1.0))
    assert curve(table, "best") == [2.0, 1.0]
    assert curve(table, "median") == [2.0, 1.5]
    assert [*table.shown.columns[4:]] == ["1", "2"]


def test_ties_go_to_the_earlier_configuration(tmp_path):
    table = table_of(tmp_path, completed(0.2, 2.0), completed(0.2, 1.0), completed(0.3, 0.5))
    assert curve(table, "best") == [2.0, 2.0, 2.0]
    assert curve(table, "median") == [2.0, 1.5, 1.0]


def test_a_loss_that_is_not_a_number_is_worse_than_every_number(tmp_path):
    nan = math.nan
    lost = completed(nan, nan)
    table = table_of(tmp_path, lost, completed(0.2, 2.0), lost, completed(0.1, 1.0))
    assert curve(table, "best") == pytest.approx([nan, 2, 2, 1], nan_ok=True)
    assert curve(table, "median") == [math.inf, math.inf, math.inf, math.inf]
    more = table_of(tmp_path / "more", completed(0.2, 2.0), lost, completed(0.1, 1.0))
    assert curve(more, "median") == [2.0, math.inf, 2.0]


def test_the_curve_of_one_infeasible_trial_has_one_point_and_no_best_loss(tmp_path):
    table = table_of(tmp_path, infeasible())
    assert curve(table, "best") == pytest.approx([math.nan], nan_ok=True)
    assert curve(table, "median") == [math.inf]
    assert [*table.shown["1"]] == ["- / inf", "0.5 / 0.5"]


def test_counts_shown_are_one_two_five_and_the_last(tmp_path):
    table = table_of(tmp_path, *[completed(1.0, 1.0)] * 23, samples=23)
    assert [*table.shown.columns[4:]] == ["1", "2", "5", "10", "20", "23"]
    exact = table_of(tmp_path / "exact", *[completed(1.0, 1.0)] * 20, samples=20)
    assert [*exact.shown.columns[4:]] == ["1", "2", "5", "10", "20"]


@pytest.mark.parametrize("most", [1, 2, 9, 10, 11, 20, 97, 100, 2400, 1_000_000])
def test_counts_are_thinned_evenly_on_a_logarithmic_axis(most):
    counts = thinned_counts(most)
    assert counts[:10] == [*range(1, 11)][:most] and counts[-1] == most
    assert sorted(set(counts)) == counts
    factors = [b / a for a, b in pairwise(counts) if a >= 10 and b != most]
    assert all(1.08 <= factor <= 1.18 for factor in factors)
    assert {f"{k}" for k in counts} >= {f"{k}" for k in shown_counts(most)}


def test_thinned_curves_have_the_numbers_of_a_loop_over_all_earlier_trials(tmp_path):
    """For 300 trials, a loop over all earlier trials computes the numbers independently."""
    chance = random.Random(4)
    losses = [(round(chance.random(), 2), chance.random()) for _ in range(300)]
    ends = [infeasible() if v > 0.7 else completed(v, e) for v, e in losses]
    table = table_of(tmp_path, *ends, samples=300)
    rows = table.tidy[table.tidy["architecture"] == "rnn"].to_dict("records")
    assert [row["tried"] for row in rows] == thinned_counts(300)
    for row in rows:
        before = losses[: row["tried"]]
        done = [pair for pair in before if pair[0] <= 0.7]
        _, best = min(done, key=lambda pair: pair[0], default=(0.0, math.nan))
        assert row["best_evaluation_loss"] == pytest.approx(best, nan_ok=True)
        ranked = [e if v <= 0.7 else math.inf for v, e in before]
        assert row["median_evaluation_loss"] == statistics.median(ranked)
        assert (row["completed"], row["infeasible"]) == (len(done), len(before) - len(done))


def test_where_all_trials_errored_there_is_no_trainability_table(tmp_path):
    folder = Folder.of(tmp_path, tasks=[MEMORY])
    folder.fill("rnn", errored())
    assert trainability(folder.study).tidy.empty
    assert "trainability" not in {table.name for table in build(folder.study)}


@pytest.mark.parametrize(("replicates", "notes"), [(1, 1), (2, 2)])
def test_a_note_says_with_which_loss_a_diverged_network_counts(tmp_path, replicates, notes):
    training = {"steps": 16, "batch_size": 8, "evaluation_interval": 4}
    table = table_of(
        tmp_path,
        completed(0.1, 0.1),
        replicates=replicates,
        training=training | {"divergence_threshold": 500},
    )
    assert len(table.notes) == notes
    assert any("a loss of 500 in it" in note for note in table.notes) == (replicates > 1)
