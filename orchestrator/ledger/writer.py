"""Appending to a ledger: rows gathered in memory, written as whole files that appear at once."""

import math
import uuid
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.ledger.schema import DATASETS

Dataset = Literal["trials", "results"]


class LedgerWriter:
    """Writes rows of both datasets; nothing is on disk before :meth:`flush`.

    A file is written under a name that no reader looks at and then renamed, results before
    trials: a trial that has its row has all its results.

    A ledger has one writer at a time.

    Args:
        folder: of the ledger.
        sequence: the first sequence number to give out.
    """

    def __init__(self, folder: Path, sequence: int = 0) -> None:
        self._folder = folder
        for broken in folder.glob("*/cell=*/.*.tmp"):  # of a writer that was killed
            broken.unlink()
        self._sequence = sequence
        self._rows: dict[Dataset, dict[str, list[dict[str, Any]]]] = {
            "results": defaultdict(list),
            "trials": defaultdict(list),
        }

    def add(self, dataset: Dataset, cell: str, row: Mapping[str, Any]) -> int:
        """Keep ``row`` for the next flush and return its sequence number."""
        sequence, self._sequence = self._sequence, self._sequence + 1
        self._rows[dataset][cell].append({**row, "sequence": sequence})
        return sequence

    def flush(self) -> None:
        """Write what has been added, a file a dataset and cell.

        Raises:
            OSError: the disk is full or gone; rows not yet written are kept.
        """
        for dataset, cells in self._rows.items():
            for cell in list(cells):
                self._write(dataset, cell, cells[cell])
                del cells[cell]

    def _write(self, dataset: Dataset, cell: str, rows: list[dict[str, Any]]) -> None:
        schema = DATASETS[dataset]
        columns = {name: [_null_if_nan(row.get(name)) for row in rows] for name in schema.names}
        folder = self._folder / dataset / f"cell={cell}"
        folder.mkdir(parents=True, exist_ok=True)
        name = f"part-{rows[0]['sequence']:012d}-{uuid.uuid4().hex[:8]}.parquet"
        hidden = folder / f".{name}.tmp"
        try:
            table = pa.table(columns, schema=schema)
            pq.write_table(table, hidden, compression="zstd", write_page_checksum=True)
            hidden.rename(folder / name)
        except OSError:
            hidden.unlink(missing_ok=True)
            raise


def _null_if_nan(value: Any) -> Any:
    if isinstance(value, list):
        return [_null_if_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
