"""Compares the table of the expected best of k trials with all sets of trials from SQL."""

import math

import pytest

from orchestrator.views.study.study import Study
from orchestrator.views.tables.expected_best import expected_best_of_k
from tests.support.random_search import random_search
from tests.support.small import small_plan
from tests.support.studies import MEMORY, Folder, completed, errored, infeasible, left_of, stopped

RANKED = """
    with tried as (
        select *, outcome = 'completed' and not isnan(coalesce(evaluation_loss, 'nan')) as feasible
        from trials where outcome != 'errored'
    )
    select task, architecture, list(evaluation_loss order by objective, "index")
        filter (feasible), count(*) from tried group by task, architecture
"""


def test_the_expected_best_of_k_is_the_mean_over_all_sets_of_k_trials_from_sql(tmp_path):
    folder = random_search(tmp_path, 1)
    tidy = expected_best_of_k(folder.study).tidy
    ranked = {row[:2]: row[2:] for row in folder.sql(RANKED)}
    assert len(ranked) == 6
    for row in tidy.to_dict("records"):
        losses, tried = ranked[row["task"], row["architecture"]]
        k, sets = row["k"], math.comb(tried, row["k"])
        assert (row["tried"], row["feasible"]) == (tried, len(losses))
        best = [math.comb(tried - rank, k - 1) / sets for rank in range(1, len(losses) + 1)]
        expected = math.fsum(map(math.prod, zip(best, losses, strict=True))) / math.fsum(best)
        assert row["expected"] == pytest.approx(expected, rel=1e-10)
        assert row["none_feasible"] == pytest.approx(1 - math.fsum(best), abs=1e-12)
        assert (k <= tried / 5) == (row["low"] < row["expected"] < row["high"])


def table_of(tmp_path, *ends, **changes):
    folder = Folder.of(tmp_path, tasks=[MEMORY], **changes)
    folder.fill("rnn", *ends)
    return expected_best_of_k(folder.study)


def test_the_expected_best_table_shows_what_is_computed_by_hand(tmp_path):
    ends = [completed(3.0, 10.0), errored(), infeasible(), completed(1.0, 30.0), infeasible()]
    table = table_of(tmp_path, *ends)
    first, second, third, fourth = table.tidy.to_dict("records")
    assert (first["expected"], first["none_feasible"]) == (20.0, 0.5)
    # Of six pairs, three have the better trial, two only the other one, and one has neither.
    assert second["expected"] == pytest.approx((3 * 30 + 2 * 10) / 5)
    assert second["none_feasible"] == pytest.approx(1 / 6)
    # Of sixteen with replacement, seven have the better one, five the other, four neither.
    assert second["plug_in"] == pytest.approx((7 * 30 + 5 * 10) / 12)
    assert third["expected"] == pytest.approx((3 * 30 + 1 * 10) / 4)
    assert fourth["expected"] == 30.0
    expected, interval, plug_in = table.shown.to_dict("records")
    assert [*table.shown.columns[4:]] == ["estimate", "1", "2", "4", "trials"]
    assert expected["trials"] == 4
    assert [expected[k] for k in ("1", "2", "4")] == ["20", "22", "30"]
    assert [interval[k] for k in ("1", "2", "4")] == ["-", "-", "-"]
    assert plug_in["2"] == "21.7"


def test_ties_go_to_the_earlier_configuration(tmp_path):
    table = table_of(tmp_path, completed(1.0, 5.0), completed(1.0, 2.0))
    assert table.tidy["expected"].tolist() == [3.5, 5.0]


@pytest.mark.parametrize("ends", [[infeasible()], [infeasible()] * 4, [completed(1.0, math.nan)]])
def test_without_a_feasible_configuration_there_are_dashes(tmp_path, ends):
    table = table_of(tmp_path, *ends)
    assert table.tidy["expected"].isna().all()
    assert (table.tidy["none_feasible"] == 1).all()
    assert set(table.shown["1"]) == {"-"}


def test_cells_with_stopped_trials_are_left_out_and_counted(tmp_path):
    folder = Folder.of(tmp_path, tasks=[MEMORY])
    folder.fill("rnn", completed(1.0, 1.0), stopped())
    folder.fill("gru", completed(1.0, 1.0))
    table = expected_best_of_k(folder.study)
    assert table.tidy["architecture"].tolist() == ["gru"]
    assert table.notes[-1].startswith("Left out: 1 cell, for trials of theirs were stopped early")


def test_cells_whose_configurations_were_listed_have_no_expected_best(tmp_path):
    search = {"method": "list", "configurations": [{"learning_rate": 0.1}]}
    table = table_of(tmp_path, completed(1.0, 1.0), search=search)
    assert table.tidy.empty and table.shown.empty
    assert table.notes[-1].startswith("Left out: 1 cell, for their configurations were not all")


def test_reruns_of_one_configuration_have_no_expected_best(tmp_path):
    folder = Folder.of(tmp_path)
    folder.fill("rnn", completed(0.4, 0.1))
    search = {"method": "repeat", "of": "small", "samples": 3}
    plan = small_plan(tmp_path, name="again", search=search)
    paths = folder.paths.__class__(tmp_path, "again")
    left_of(plan, paths)
    Folder(plan, paths).fill("rnn", *[completed(0.1, 0.1)] * 3)
    assert expected_best_of_k(Study(paths)).tidy.empty
    assert len(expected_best_of_k(Study([folder.paths, paths])).tidy) == 1


def test_a_trial_of_two_sweeps_counts_once_as_the_one_that_was_trained_to_its_end(tmp_path):
    early = Folder.of(tmp_path, tasks=[MEMORY])
    early.fill("rnn", completed(3.0, 3.0), stopped(), infeasible())
    unstopped = Folder.of(
        tmp_path, tasks=[MEMORY], name="whole", scheduler="none"
    )  # the same seed, so the same trials
    unstopped.fill("rnn", None, completed(1.0, 1.0), None, completed(2.0, 2.0))
    for sweeps in ([early.paths, unstopped.paths], [unstopped.paths, early.paths]):
        tidy = expected_best_of_k(Study(sweeps)).tidy
        assert tidy["tried"].unique().tolist() == [4]
        # Losses 1, 2, 3 and an infeasible trial: of six pairs three have the best 1, two 2, one 3.
        assert tidy["expected"].tolist() == pytest.approx([2, (3 * 1 + 2 * 2 + 3) / 6, 1.25, 1])
    assert expected_best_of_k(early.study).tidy.empty


def test_where_the_objective_is_the_metric_the_expected_best_is_that_of_the_metric(tmp_path):
    training = {"steps": 16, "batch_size": 8, "evaluation_interval": 4, "objective": "metric"}
    table = table_of(
        tmp_path,
        completed(0.1, 7.0, metrics=[0.2, 0.2], objective=0.2),
        completed(9.0, 8.0, metrics=[0.1, 0.1], objective=0.1),
        training=training,
    )
    assert table.tidy["quantity"].tolist() == ["rms", "rms"]
    assert table.tidy["expected"].tolist() == [pytest.approx(0.15), 0.1]
    assert any("these are not losses but rms" in note for note in table.notes)
