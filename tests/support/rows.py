"""Rows of a ledger, made by hand and at random."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import strategies as st

from orchestrator.ledger import LedgerWriter
from orchestrator.ledger.schema import DATASETS

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def report(trial, step, loss=0.5, **others):
    """A row of ``results``."""
    return {"sweep": "s", "trial": trial, "step": step, "validation_loss": loss} | others


def ended(trial, outcome="completed", **others):
    """A row of ``trials``."""
    return {"sweep": "s", "trial": trial, "outcome": outcome, "ended": NOON} | others


def write(folder, dataset, rows, cell="a", sequence=0):
    """One file with ``rows``."""
    writer = LedgerWriter(folder, sequence)
    for row in rows:
        writer.add(dataset, cell, row)
    writer.flush()
    (path,) = [p for p in files(folder, dataset) if f"-{sequence:012d}-" in p.name]
    return path


def files(folder, dataset="*"):
    """What every reader of the ledger sees."""
    return sorted(folder.glob(f"{dataset}/cell=*/*.parquet"))


def plain(value):
    """``value`` of any reader as Python has it: None for what is not there."""
    if isinstance(value, np.ndarray | list):
        return [plain(item) for item in value]
    if value is None or value is pd.NaT or value is pd.NA or value != value:
        return None
    if isinstance(value, np.generic):
        return value.item()
    return value.to_pydatetime() if isinstance(value, pd.Timestamp) else value


def records(frame):
    """A frame's rows as plain dictionaries, integers of a column with nulls as integers."""
    rows = frame.to_dict("records")
    return [{str(name): plain(value) for name, value in row.items()} for row in rows]


numbers = st.floats(allow_nan=True, allow_infinity=True)
integers = st.integers(-(2**53), 2**53)
KINDS = {
    pa.string(): st.text(max_size=6),
    pa.int64(): integers,
    pa.float64(): numbers,
    pa.list_(pa.float64()): st.lists(numbers | st.none(), max_size=3),
    pa.list_(pa.int64()): st.lists(integers | st.none(), max_size=3),
    pa.timestamp("us", tz="UTC"): st.integers(0, 10**15).map(
        lambda us: NOON + timedelta(microseconds=us)
    ),
}


def random_row(dataset):
    """Rows with any of the columns, those of the key apart."""
    columns = {
        field.name: KINDS[field.type] | st.none()
        for field in DATASETS[dataset]
        if field.name not in ("trial", "step", "sequence")
    }
    return st.fixed_dictionaries({}, optional=columns)
