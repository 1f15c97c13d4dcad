"""Makes rows of a ledger by hand and at random, and reads them back."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import strategies as st

from orchestrator.ledger import LedgerWriter
from orchestrator.ledger.schema import DATASETS, KEYS, Dataset

Row = dict[str, Any]

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def report(trial: str, step: int, loss: float | None = 0.5, **others: Any) -> Row:
    """Return a row of ``results``.

    Args:
        trial: name of the trial.
        step: training step of the report.
        loss: validation loss.
        others: values of further columns.
    """
    return {"sweep": "s", "trial": trial, "step": step, "validation_loss": loss} | others


def diagnosis(trial: str, lane: int, values: list[float], **others: Any) -> Row:
    """Return a row of ``diagnostics``, of a layer's Lyapunov exponents.

    Args:
        trial: name of the trial.
        lane: number of the network.
        values: the exponents.
        others: values of further columns.
    """
    place = {"sweep": "s", "trial": trial, "step": 0, "lane": lane, "layer": 0}
    return {**place, "quantity": "lyapunov_exponents", "values": values, **others}


def ended(trial: str, outcome: str = "completed", **others: Any) -> Row:
    """Return a row of ``trials``.

    Args:
        trial: name of the trial.
        outcome: its outcome.
        others: values of further columns.
    """
    return {"sweep": "s", "trial": trial, "outcome": outcome, "ended": NOON} | others


def write(
    folder: Path, dataset: Dataset, rows: Iterable[Row], cell: str = "a", sequence: int = 0
) -> Path:
    """Write rows into one file of a ledger and return its path.

    Args:
        folder: folder of the ledger.
        dataset: dataset of the rows.
        rows: the rows.
        cell: id of their cell.
        sequence: sequence number of the first row.
    """
    writer = LedgerWriter(folder, sequence)
    for row in rows:
        writer.add(dataset, cell, row)
    writer.flush()
    (path,) = [p for p in files(folder, dataset) if f"-{sequence:019d}-" in p.name]
    return path


def files(folder: Path, dataset: str = "*") -> list[Path]:
    """Return the files of one dataset, or of all, that a reader of the ledger reads."""
    return sorted(folder.glob(f"{dataset}/cell=*/*.parquet"))


def plain(value: Any) -> Any:
    """Return a value that a reader of the ledger returned as a plain Python value.

    A missing value, which may be NaN, becomes None, and an array becomes a list.
    """
    if isinstance(value, np.ndarray | list):
        return [plain(item) for item in value]
    if value is None or value is pd.NaT or value is pd.NA or value != value:
        return None
    if isinstance(value, np.generic):
        return value.item()
    return value.to_pydatetime() if isinstance(value, pd.Timestamp) else value


def records(frame: pd.DataFrame) -> list[Row]:
    """Return the rows of a frame as dictionaries of plain values, see :func:`plain`."""
    rows = frame.to_dict("records")
    return [{str(name): plain(value) for name, value in row.items()} for row in rows]


numbers = st.floats(allow_nan=True, allow_infinity=True)
integers = st.integers(-(2**53), 2**53)
KINDS: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.string(): st.text(max_size=6),
    pa.int64(): integers,
    pa.float64(): numbers,
    pa.list_(pa.float64()): st.lists(numbers | st.none(), max_size=3),
    pa.list_(pa.int64()): st.lists(integers | st.none(), max_size=3),
    pa.timestamp("us", tz="UTC"): st.integers(0, 10**15).map(
        lambda us: NOON + timedelta(microseconds=us)
    ),
}


def random_row(dataset: Dataset) -> st.SearchStrategy[Row]:
    """Return a strategy of rows with any columns of a dataset but those of its key."""
    columns = {
        field.name: KINDS[field.type] | st.none()
        for field in DATASETS[dataset]
        if field.name not in ("trial", "sequence", *KEYS[dataset])
    }
    return st.fixed_dictionaries({}, optional=columns)
