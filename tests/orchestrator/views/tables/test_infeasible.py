"""Compares fractions of infeasible trials with SQL, a closed formula and the paper."""

import math

import numpy as np
import pytest

from orchestrator.views.study.statistics import wilson
from orchestrator.views.tables.infeasible import infeasible_fractions
from orchestrator.views.tables.published_numbers import published
from tests.support.compare import assert_same, ordered
from tests.support.intervals import wilson_in_closed_form
from tests.support.studies import MEMORY, Folder, completed, end, errored, infeasible, stopped

COUNTS = """
    select task, depth, budget, architecture,
        count(*) filter (outcome != 'errored'),
        count(*) filter (outcome = 'infeasible'), count(*) filter (outcome = 'stopped'),
        count(*) filter (outcome = 'errored'),
        sum(len(lane_infeasible_at)) filter (outcome != 'errored'),
        sum(list_aggregate(lane_infeasible_at, 'count')) filter (outcome != 'errored')
    from trials group by all order by task, depth, budget, architecture
"""
COLUMNS = ["task", "depth", "budget", "architecture", "trials", "infeasible", "undetermined"]
COLUMNS += ["errored", "networks", "networks_infeasible"]


def test_counts_of_infeasible_trials_are_those_of_sql_and_limits_follow_from_them(at_random):
    tidy = infeasible_fractions(at_random.study).tidy
    decided = tidy[tidy["trials"] > 0]
    assert_same(ordered(decided, COLUMNS), [row for row in at_random.sql(COUNTS) if row[4]])
    for row in decided.to_dict("records"):
        diverged, undetermined, trials = row["infeasible"], row["undetermined"], row["trials"]
        assert row["share"] == pytest.approx(diverged / trials)
        assert row["share_with_undetermined"] == pytest.approx((diverged + undetermined) / trials)
        assert row["wilson_low"] == pytest.approx(
            wilson_in_closed_form(diverged, trials)[0], abs=1e-12
        )
        assert row["wilson_high"] == pytest.approx(
            wilson_in_closed_form(diverged + undetermined, trials)[1], abs=1e-12
        )
        assert 0 <= row["wilson_low"] <= row["share"] <= row["share_with_undetermined"]
        assert row["share_with_undetermined"] <= row["wilson_high"] <= 1


def row_of_rnn(tmp_path, *ends, **changes):
    folder = Folder.of(tmp_path, **{"tasks": [MEMORY], "search": {"samples": 20}, **changes})
    folder.fill("rnn", *ends)
    folder.fill("gru", completed(0.1, 0.5))
    table = infeasible_fractions(folder.study)
    (row,) = table.tidy[table.tidy["architecture"] == "rnn"].to_dict("records")
    (shown,) = table.shown[table.shown["architecture"] == "rnn"].to_dict("records")
    return row, shown


def test_the_share_of_infeasible_trials_and_its_limits_are_those_computed_by_hand(tmp_path):
    ends = [infeasible()] * 3 + [stopped()] * 5 + [completed(1.0, 1.0)] * 2 + [errored()] * 4
    row, shown = row_of_rnn(tmp_path, *ends)
    assert (row["trials"], row["infeasible"], row["undetermined"], row["errored"]) == (10, 3, 5, 4)
    assert (row["share"], row["share_with_undetermined"]) == (0.3, 0.8)
    # The limits of 3 of 10 are 0.1078 and 0.6032, and those of 2 of 10, which 8 of 10 mirror,
    # are 0.0567 and 0.5098.
    assert row["wilson_low"] == pytest.approx(0.1078, abs=5e-5)
    assert row["wilson_high"] == pytest.approx(1 - 0.0567, abs=5e-5)
    assert shown["share"] == "30.0 to 80.0 %"
    assert shown["95 % limits"] == "10.8 to 94.3 %"
    assert shown["published"] == "-"


@pytest.mark.parametrize(
    ("ends", "share", "limits"),
    [
        ([infeasible()] * 4, "100.0 %", "51.0 to 100.0 %"),
        ([completed(1.0, 1.0)] * 4, "0.0 %", "0.0 to 49.0 %"),
        ([stopped()] * 4, "0.0 to 100.0 %", "0.0 to 100.0 %"),
        ([infeasible()], "100.0 %", "20.7 to 100.0 %"),
    ],
)
def test_the_share_has_limits_also_where_all_trials_ended_alike_or_there_is_one(
    tmp_path, ends, share, limits
):
    _, shown = row_of_rnn(tmp_path, *ends)
    assert (shown["share"], shown["95 % limits"]) == (share, limits)


@pytest.mark.parametrize("ends", [[], [errored()], [errored(), errored()]])
def test_without_a_decided_trial_there_is_no_share(tmp_path, ends):
    row, shown = row_of_rnn(tmp_path, *ends)
    assert (row["trials"], row["errored"]) == (0, len(ends))
    assert math.isnan(row["share"])
    assert math.isnan(row["wilson_low"])
    assert (shown["share"], shown["95 % limits"]) == ("-", "-")


def test_infeasible_networks_are_counted_beside_infeasible_trials(tmp_path):
    half = end("completed", 1.0, 1.0, lanes=[1.0] * 3, lane_infeasible_at=[None, 7, None])
    all_of_them = infeasible(lane_infeasible_at=[1, 2, 3])
    row, _ = row_of_rnn(tmp_path, half, half, all_of_them, errored(), replicates=3)
    assert (row["trials"], row["infeasible"]) == (3, 1)
    assert (row["networks"], row["networks_infeasible"]) == (9, 5)


def test_networks_of_trials_with_different_numbers_of_networks_are_all_counted(tmp_path):
    one_network = infeasible(lane_infeasible_at=[4])
    three_networks = end("completed", 1.0, 1.0, lanes=[1.0] * 3, lane_infeasible_at=[None, None, 2])
    row, _ = row_of_rnn(tmp_path, one_network, three_networks, stopped(), errored())
    assert (row["networks"], row["networks_infeasible"]) == (1 + 3 + 2, 2)


def test_a_note_counts_cells_whose_configurations_were_not_drawn_at_random(tmp_path):
    search = {"method": "list", "configurations": [{"learning_rate": 0.1}]}
    folder = Folder.of(tmp_path, tasks=[MEMORY], search=search)
    folder.fill("rnn", infeasible())
    (note,) = [n for n in infeasible_fractions(folder.study).notes if "at random" in n]
    assert note.startswith("Configurations of 1 cell were not drawn at random")
    drawn = Folder.of(tmp_path / "drawn", tasks=[MEMORY])
    drawn.fill("rnn", infeasible())
    assert not any("at random" in note for note in infeasible_fractions(drawn.study).notes)


def published_shares(tmp_path, **changes):
    folder = Folder.of(tmp_path, search={"samples": 1}, **changes)
    cell = folder.plan.cells[0]
    folder.write({f"{cell.id}_00000": infeasible()})
    table = infeasible_fractions(folder.study)
    return {
        (row["architecture"], row["depth"], row["task"], row["budget"]): row["published_share"]
        for row in table.tidy.to_dict("records")
        if not math.isnan(row["published_share"])
    }


def test_the_papers_shares_stand_beside_the_cells_that_the_paper_has(tmp_path):
    names = ["rnn", "irnn", "ugrnn", "gru", "lstm", "intersection", "wcrnn"]
    shares = published_shares(
        tmp_path,
        architectures=names,
        depths=[1, 2, 8],
        tasks=["parentheses", MEMORY],
        budgets=[100_000, 200_000],
    )
    percents = {  # table 1 of the paper, parentheses at 200,000 parameters
        1: {"gru": 15.5, "irnn": 56.7, "lstm": 12.0, "rnn": 21.5, "ugrnn": 20.2},
        8: {"gru": 3.2, "irnn": 44.6, "lstm": 4.0, "rnn": 18.7, "ugrnn": 11.5, "intersection": 8.8},
    }
    assert shares == pytest.approx(
        {
            (name, depth, "parentheses", 200_000): percent / 100
            for depth, architectures in percents.items()
            for name, percent in architectures.items()
        }
    )


@pytest.mark.parametrize(
    ("options", "is_published"),
    [({"held_out_size": 64}, True), ({"length": 175}, True), ({"length": 20}, False)],
)
def test_published_shares_stand_beside_tasks_of_the_papers_length_alone(
    tmp_path, options, is_published
):
    task = {"name": "parentheses", "options": options}
    shares = published_shares(tmp_path, architectures=["gru"], tasks=[task], budgets=[200_000])
    assert [*shares.values()] == ([0.155] if is_published else [])


def test_published_shares_of_infeasible_trials_are_percentages():
    paper = published("capacity_table1_infeasible")
    assert len(paper) == 11
    assert paper["infeasible_percent"].between(0, 100).all()
    assert not paper.duplicated(["architecture", "depth", "parameters", "task"]).any()


def test_limits_cover_the_rate_of_divergence_that_early_stopping_hides():
    """In 200 sweeps, half of the trials that would diverge are stopped before they do."""
    outcomes = np.random.default_rng(5).multinomial(100, [0.15, 0.5, 0.35], 200)
    limits = [
        (wilson(diverged, 100)[0], wilson(diverged + undetermined, 100)[1])
        for diverged, undetermined, _ in outcomes
    ]
    assert sum(low <= 0.3 <= high for low, high in limits) >= 190
    # The Wilson interval of the trials that did diverge does not hold the rate.
    assert sum(wilson(diverged, 100)[1] >= 0.3 for diverged, _, _ in outcomes) < 100
