"""A ledger counts every trial and every (trial, step) once: the last of its rows."""

import random

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.ledger import Ledger, LedgerWriter
from tests.support.rows import ended, records, report


def rows_of(frame, *columns):
    return [tuple(row[c] for c in columns) for row in records(frame)]


def test_the_last_row_of_a_trial_that_ran_twice_counts(tmp_path):
    writer = LedgerWriter(tmp_path)
    for trial, outcome in [("a", "errored"), ("b", "completed"), ("a", "completed"), ("c", "x")]:
        writer.add("trials", "cell", ended(trial, outcome))
        writer.flush()
    assert rows_of(Ledger(tmp_path).trials(), "trial", "outcome", "sequence") == [
        ("a", "completed", 2),  # stands in the place of its first row
        ("b", "completed", 1),
        ("c", "x", 3),
    ]


def test_a_step_reported_twice_counts_once_in_the_order_of_first_arrival(tmp_path):
    writer = LedgerWriter(tmp_path)
    reports = [("a", 10, 1.0), ("b", 10, 2.0), ("a", 20, 3.0), ("a", 10, 4.0), ("b", 20, 5.0)]
    reports += [("a", 20, 6.0), ("a", 30, 7.0)]  # trial a began anew after its fourth row
    for trial, step, loss in reports:
        writer.add("results", "cell", report(trial, step, loss))
    writer.flush()
    assert rows_of(Ledger(tmp_path).results(), "trial", "step", "validation_loss") == [
        ("a", 10, 4.0),
        ("b", 10, 2.0),
        ("a", 20, 6.0),
        ("b", 20, 5.0),
        ("a", 30, 7.0),
    ]


def test_the_sequence_decides_and_not_the_order_of_files(tmp_path):
    for sequence, loss in [(50, 2.0), (10, 1.0), (90, 3.0)]:
        writer = LedgerWriter(tmp_path, sequence)
        writer.add("results", "cell", report("a", 1, loss))
        writer.flush()
    writer = LedgerWriter(tmp_path, 10**12 - 1)  # the highest number that file names have room for
    writer.add("results", "cell", report("b", 1, 9.0))
    writer.flush()
    assert rows_of(Ledger(tmp_path).results(), "trial", "validation_loss") == [
        ("a", 3.0),
        ("b", 9.0),
    ]


def test_the_same_step_of_different_trials_or_cells_gives_separate_rows(tmp_path):
    writer = LedgerWriter(tmp_path)
    for cell, trial in [("x", "x_0"), ("x", "x_1"), ("y", "y_0")]:
        writer.add("results", cell, report(trial, 1))
    writer.flush()
    rows = rows_of(Ledger(tmp_path).results(), "cell", "trial")
    assert rows == [("x", "x_0"), ("x", "x_1"), ("y", "y_0")]


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(1, 4), st.booleans()), min_size=1, max_size=25
    ),
    seed=st.integers(0, 99),
)
def test_any_history_reads_as_sql_reads_it(tmp_path_factory, rows, seed):
    folder = tmp_path_factory.mktemp("ledger")
    writer, losses = LedgerWriter(folder), random.Random(seed)
    for trial, step, flush in rows:
        writer.add("results", trial.upper(), report(trial, step, losses.random()))
        if flush:
            writer.flush()
    writer.flush()
    query = f"""
        select trial, step, arg_max(validation_loss, sequence), max(sequence), cell
        from read_parquet('{folder}/results/*/*.parquet', hive_partitioning = true)
        group by trial, step, cell order by min(sequence)
    """
    columns = ("trial", "step", "validation_loss", "sequence", "cell")
    assert rows_of(Ledger(folder).results(), *columns) == duckdb.sql(query).fetchall()


@pytest.mark.parametrize("cell", ["10", "2026-01-02", "true"])
def test_a_cell_is_text_whatever_it_looks_like(tmp_path, cell):
    writer = LedgerWriter(tmp_path)
    writer.add("trials", cell, ended("a"))
    writer.flush()
    assert rows_of(Ledger(tmp_path).trials(), "cell") == [(cell,)]
