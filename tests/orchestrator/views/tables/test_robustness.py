"""Compares reruns of the best configuration with SQL, results by hand and the paper."""

import math

import pytest

from orchestrator.views.study.study import Study
from orchestrator.views.tables import build
from orchestrator.views.tables.published_numbers import published
from orchestrator.views.tables.robustness import robustness
from tests.support.compare import assert_same, ordered
from tests.support.random_search import random_search
from tests.support.small import SMALL
from tests.support.studies import (
    MEMORY,
    Folder,
    completed,
    errored,
    infeasible,
    repeating_folder,
    stopped,
)

SPREAD = """
    select task, depth, budget, architecture,
        count(*) filter (outcome != 'errored'), count(*) filter (outcome = 'infeasible'),
        count(*) filter (outcome = 'errored'),
        count(*) filter (outcome = 'infeasible') / count(*) filter (outcome != 'errored'),
        min(evaluation_loss) filter (outcome = 'completed' and not isnan(evaluation_loss)),
        avg(evaluation_loss) filter (outcome = 'completed' and not isnan(evaluation_loss)),
        max(evaluation_loss) filter (outcome = 'completed' and not isnan(evaluation_loss)),
        stddev_samp(evaluation_loss) filter (outcome = 'completed' and not isnan(evaluation_loss))
    from trials group by all order by all
"""
COLUMNS = ["task", "depth", "budget", "architecture", "reruns", "infeasible", "errored"]
COLUMNS += ["infeasible_share", "min", "mean", "max", "deviation"]


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Return a random search and a sweep of its reruns, with all outcomes except stopped."""
    first = random_search(tmp_path_factory.mktemp("pair"), 1)
    drawn = random_search(tmp_path_factory.mktemp("other"), 2)
    query = "select trial, outcome, evaluation_loss from trials"
    ends = {"infeasible": infeasible, "errored": errored}
    second = repeating_folder(first)
    planned = {trial.id for trial in second.plan.trials()}
    second.write(
        {
            trial: ends[outcome]() if outcome in ends else completed(1.0, loss or math.nan)
            for trial, outcome, loss in drawn.sql(query)
            if trial in planned
        }
    )
    return first, second


def test_every_number_in_the_robustness_table_is_that_of_sql(pair):
    first, second = pair
    tidy = robustness(Study([first.paths, second.paths])).tidy
    assert_same(ordered(tidy, COLUMNS), second.sql(SPREAD))
    best = """
        select task, architecture, arg_min(evaluation_loss, (objective, "index"))
        from trials where outcome = 'completed' group by all
    """
    originals = {row[:2]: row[2] for row in first.sql(best)}
    for row in tidy.to_dict("records"):
        wanted = originals[row["task"], row["architecture"]]
        assert row["original"] == pytest.approx(math.nan if wanted is None else wanted, nan_ok=True)
        assert row["deviation_over_mean"] == pytest.approx(row["deviation"] / row["mean"])


def test_the_robustness_table_does_not_depend_on_the_order_of_the_sweeps(pair):
    first, second = pair
    forward = robustness(Study([first.paths, second.paths])).tidy
    backward = robustness(Study([second.paths, first.paths])).tidy
    assert forward.equals(backward)


def test_without_the_sweep_that_was_repeated_the_original_is_not_known(pair):
    _, second = pair
    table = robustness(second.study)
    assert len(table.tidy) == 6 and table.tidy["original"].isna().all()
    assert set(table.shown["original"]) == {"-"}
    assert "the sweep of the original is not among those tabulated" in table.notes[0]
    assert_same(ordered(table.tidy, COLUMNS), second.sql(SPREAD))
    names = {table.name for table in build(second.study)}
    assert "robustness" in names
    assert not names & {"trainability", "infeasible", "expected_best", "random_hyperparameters"}


def test_a_sweep_that_repeats_nothing_has_no_robustness_table(pair):
    first, _ = pair
    table = robustness(first.study)
    assert table.tidy.empty and table.shown.empty


@pytest.fixture
def first(tmp_path):
    folder = Folder.of(tmp_path, tasks=[MEMORY])
    folder.fill("rnn", completed(0.4, 0.7), completed(0.3, 0.9), infeasible())
    folder.fill("gru", completed(0.1, 0.2))
    return folder


def row_of_rnn(first, *ends, **changes):
    second = repeating_folder(first, **changes)
    second.fill("rnn", *ends)
    table = robustness(Study([first.paths, second.paths]))
    (row,), (shown,) = table.tidy.to_dict("records"), table.shown.to_dict("records")
    return row, shown


def test_the_robustness_table_shows_what_is_computed_by_hand(first):
    ends = [completed(9.0, 1.0), infeasible(), completed(9.0, 2.0), errored(), completed(9.0, 6.0)]
    row, shown = row_of_rnn(first, *ends)
    assert row["original_trial"].endswith("_00001") and row["original_sweep"] == "small"
    assert (row["original"], row["reruns"], row["infeasible_share"]) == (0.9, 4, 0.25)
    assert (row["min"], row["mean"], row["max"]) == (1.0, 3.0, 6.0)
    assert row["deviation"] == pytest.approx(math.sqrt((4 + 1 + 9) / 2))
    keys = ("reruns", "original", "infeasible", "mean", "deviation", "deviation / mean")
    assert [shown[key] for key in keys] == ["4", "0.9", "25.0 %", "3", "2.65", "0.882"]
    assert shown["published mean"] == "-"


@pytest.mark.parametrize(
    ("ends", "wanted"),
    [
        ([completed(9.0, 1.0)], ["0.0 %", "1", "1", "-", "-"]),
        ([completed(9.0, math.nan)], ["0.0 %", "-", "-", "-", "-"]),
        ([infeasible()] * 3, ["100.0 %", "-", "-", "-", "-"]),
        ([errored()], ["-", "-", "-", "-", "-"]),
        ([completed(9.0, 0.0)] * 2, ["0.0 %", "0", "0", "0", "-"]),
    ],
)
def test_too_few_reruns_leave_dashes(first, ends, wanted):
    _, shown = row_of_rnn(first, *ends)
    keys = ("infeasible", "min", "mean", "deviation", "deviation / mean")
    assert [shown[key] for key in keys] == wanted


def test_stopped_reruns_are_undetermined(first):
    row, _ = row_of_rnn(
        first, completed(9.0, 1.0), stopped(), infeasible(), scheduler=SMALL["scheduler"]
    )
    assert (row["reruns"], row["infeasible"], row["undetermined"]) == (3, 1, 1)
    assert (row["min"], row["max"]) == (1.0, 1.0)


def test_reruns_of_different_originals_stand_apart(first):
    earlier = repeating_folder(first)
    earlier.fill("rnn", completed(9.0, 1.0))
    first.fill("rnn", None, None, None, completed(0.1, 0.5))  # now the best is another
    later = repeating_folder(first, "once-more")
    later.fill("rnn", completed(9.0, 2.0), completed(9.0, 4.0))
    tidy = robustness(Study([first.paths, earlier.paths, later.paths])).tidy
    assert tidy["original"].tolist() == [0.9, 0.5]
    assert tidy["mean"].tolist() == [1.0, 3.0]
    assert tidy["reruns"].tolist() == [1, 2]


def test_reruns_of_the_same_original_in_two_sweeps_stand_in_one_row(first):
    second, third = repeating_folder(first), repeating_folder(first, "once-more", seed=9)
    second.fill("rnn", completed(9.0, 1.0))
    third.fill("rnn", completed(9.0, 3.0))
    (row,) = robustness(Study([second.paths, third.paths, first.paths])).tidy.to_dict("records")
    assert (row["reruns"], row["mean"], row["original"]) == (2, 2.0, 0.9)


def test_an_original_that_is_also_a_trial_of_another_sweep_is_found(tmp_path, first):
    twin = Folder.of(tmp_path, tasks=[MEMORY], name="twin")  # the same seed, so the same trials
    twin.fill("rnn", None, completed(0.3, 0.9))
    second = repeating_folder(first)
    second.fill("rnn", completed(9.0, 1.0))
    (row,) = robustness(Study([twin.paths, first.paths, second.paths])).tidy.to_dict("records")
    assert row["original"] == 0.9


def test_the_papers_numbers_stand_beside_reruns_of_the_papers_cells(tmp_path):
    folder = Folder.of(
        tmp_path,
        architectures=["irnn", "lstm"],
        depths=[1, 2],
        tasks=["parentheses"],
        budgets=[100_000],
    )
    folder.write({f"{cell.id}_00000": completed(0.1, 0.1) for cell in folder.plan.cells})
    second = repeating_folder(folder, depths=[1, 2], budgets=[100_000])
    second.write({f"{cell.id}_00000": completed(0.1, 0.1) for cell in second.plan.cells})
    tidy = robustness(second.study).tidy.set_index(["depth", "architecture"])
    # Table A.1: the paper's irnn was infeasible in 48 of 100 reruns.
    names = ["original", "infeasible_share", "min", "mean", "max", "deviation"]
    names += ["deviation_over_mean"]
    paper = tidy[[f"published_{name}" for name in names]]
    assert paper.loc[1, "irnn"].tolist() == [
        4.2e-4,
        0.48,
        2.24e-4,
        5.02e-4,
        8.69e-4,
        1.35e-4,
        0.269,
    ]
    assert paper.loc[1, "lstm"].tolist() == [7.96e-4, 0, 8.1e-4, 2.02e-3, 0.0145, 2.31e-3, 1.14]
    assert paper.loc[2].isna().all(axis=None)


def test_the_papers_ratios_are_those_of_its_deviations_and_means():
    paper = published("capacity_tableA1_robustness")
    assert len(paper) == 5
    assert (paper["sd"] / paper["mean"]).tolist() == pytest.approx(
        [*paper["sd_over_mean"]], rel=0.01
    )
    assert (paper["min"] <= paper["mean"]).all() and (paper["mean"] <= paper["max"]).all()
