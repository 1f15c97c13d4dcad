"""A ledger is plain Parquet: pandas, pyarrow and duckdb read the same rows as ``Ledger``."""

import math
from datetime import timedelta

import duckdb
import pandas as pd
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.ledger import Ledger, LedgerWriter
from orchestrator.ledger.schema import DATASETS, KEYS
from tests.support.rows import (
    NOON,
    diagnosis,
    ended,
    files,
    plain,
    random_row,
    records,
    report,
    write,
)

TEXTS = ("trial", "quantity")  # parts of keys that are no numbers
CELLS = ("parentheses-length-20_wcrnn-alpha-0.98_d1_p10000", "digits_gru_d2_p200000")


def with_pandas(folder):
    return records(pd.read_parquet(folder).astype({"cell": str}))


def with_pyarrow(folder):
    return ds.dataset(folder, format="parquet", partitioning="hive").to_table().to_pylist()


def with_duckdb(folder, columns):
    """Read rows with duckdb, times as microseconds: its own conversion needs one more package."""
    times = ("ended", "reported", "started")
    wanted = ", ".join(f"epoch_us({c})" if c in times else f'"{c}"' for c in columns)
    query = f"select {wanted} from read_parquet('{folder}/*/*.parquet', hive_partitioning = true)"
    return [
        {
            name: NOON + timedelta(microseconds=value - round(NOON.timestamp() * 1e6))
            if name in times and value is not None
            else plain(value)
            for name, value in zip(columns, row, strict=True)
        }
        for row in duckdb.sql(query).fetchall()
    ]


def by_sequence(rows):
    return sorted(rows, key=lambda row: row["sequence"])


@pytest.fixture
def folder(tmp_path):
    """Write a ledger of two cells with three files per dataset; some rows lack numbers."""
    writer = LedgerWriter(tmp_path)
    for part in range(3):
        for cell in CELLS:
            trial = f"{cell}_{part:05d}"
            lanes = [0.25 * part, math.nan]
            writer.add("starts", cell, {"sweep": "s", "trial": trial, "started": NOON})
            for lane in (0, 1):
                writer.add("diagnostics", cell, diagnosis(trial, lane, [0.5 * part, math.nan]))
            for step in (10, 20):
                later = {"reported": NOON + timedelta(seconds=step), "seconds": 0.5}
                writer.add("results", cell, report(trial, step, step / 7, **later))
            row = ended(trial, "errored", error="Traceback:\n ünwahr | '\"", step=0)
            if part:
                row = ended(trial, depth=1, hidden=7, lane_evaluation_losses=lanes, error=None)
            writer.add("trials", cell, row | {"best_step": 20 if part else 0})
        writer.flush()
    return tmp_path


@pytest.mark.parametrize("dataset", DATASETS)
def test_pandas_pyarrow_and_duckdb_read_the_same_rows_as_the_ledger(folder, dataset):
    frame = getattr(Ledger(folder), dataset)()
    expected = by_sequence(records(frame))
    assert len(expected) == {"results": 12, "trials": 6, "starts": 6, "diagnostics": 12}[dataset]
    assert {row["cell"] for row in expected} == {*CELLS}
    assert [*frame.columns] == [*DATASETS[dataset].names, "cell"]
    for rows in (
        with_pandas(folder / dataset),
        with_pyarrow(folder / dataset),
        with_duckdb(folder / dataset, list(frame.columns)),
    ):
        assert by_sequence(rows) == expected


def test_the_ledger_reads_the_values_that_were_written(folder):
    trials = Ledger(folder).trials().set_index("trial")
    errored, completed = trials.loc[f"{CELLS[0]}_00000"], trials.loc[f"{CELLS[1]}_00002"]
    assert (errored["outcome"], errored["error"]) == ("errored", "Traceback:\n ünwahr | '\"")
    assert plain(completed["lane_evaluation_losses"]) == [0.5, None]
    assert plain(errored["lane_evaluation_losses"]) is None
    assert (completed["hidden"], plain(errored["hidden"])) == (7, None)
    assert completed["ended"] == NOON
    results = Ledger(folder).results()
    assert [*results["validation_loss"][:2]] == [10 / 7, 20 / 7]


@pytest.mark.parametrize("dataset", DATASETS)
def test_temporary_files_and_files_set_aside_are_read_by_no_reader(folder, dataset):
    before = by_sequence(with_pyarrow(folder / dataset))
    for path in files(folder, dataset):
        for name in (f".{path.name}.tmp", f"_damaged-{path.name}.aside"):
            path.with_name(name).write_bytes(path.read_bytes()[:50])
    assert by_sequence(with_pyarrow(folder / dataset)) == before
    assert len(with_pandas(folder / dataset)) == len(before)
    assert len(with_duckdb(folder / dataset, ["trial"])) == len(before)
    assert len(getattr(Ledger(folder), dataset)()) == len(before)


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_file_names_its_schemas_version_and_has_the_documented_columns(folder, dataset):
    for path in files(folder, dataset):
        schema = pq.read_schema(path)
        assert schema.metadata[b"soundings.ledger.version"] == b"4"
        assert schema.equals(DATASETS[dataset])


@pytest.mark.parametrize("dataset", DATASETS)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_row_is_read_as_it_was_written(tmp_path_factory, dataset, data):
    drawn_rows = data.draw(st.lists(random_row(dataset), min_size=1, max_size=4))
    keys = [{name: f"t{i}" if name in TEXTS else i for name in KEYS[dataset]} for i in range(4)]
    if dataset == "trials":  # without it the row is one of an earlier version
        keys = [{**key, "best_step": 1} for key in keys]
    rows = [row | key for row, key in zip(drawn_rows, keys, strict=False)]
    folder = tmp_path_factory.mktemp("ledger")
    path = write(folder, dataset, rows)
    empty = dict.fromkeys(DATASETS[dataset].names)
    expected = [
        {**empty, **{name: plain(value) for name, value in row.items()}, "sequence": sequence}
        for sequence, row in enumerate(rows)
    ]
    assert pq.ParquetFile(path).read().to_pylist() == expected
    read = getattr(Ledger(folder), dataset)().to_dict("records")
    for row, wanted in zip(read, expected, strict=True):
        assert row.pop("cell") == "a"
        assert {name: plain(value) for name, value in row.items()} == wanted
