"""Appends rows to a ledger: gathers them in memory, and writes and merges whole files."""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from orchestrator.ledger.parts import (
    SEQUENCES,
    Part,
    author_of,
    parts,
    superseded,
    write_part,
)
from orchestrator.ledger.reader import DONE_WITH, missing_content, read_part
from orchestrator.ledger.schema import DATASETS, KEYS, Dataset
from trainables import storage
from trainables.storage import Location

MERGED_AT_ONCE = 16  # least number of parts of similar size that are merged into one
NOBODY = author_of(0, "")  # author of rows that no run writes
LARGEST_MERGED = 16 * 1024**2  # bytes; a larger part is not merged any more


class LedgerWriter:
    """Writes rows of all datasets; :meth:`flush` writes what :meth:`add` has collected.

    A ledger has one writer at a time. Should a run that was paused write beside the one that took
    over, nothing is lost: no run replaces a file of another, and none removes rows that it has not
    written again. When a dataset and cell has many parts, the writer merges them: it then has some
    dozens of files, however many trials it has. A new writer first removes what an earlier one left
    behind when it was killed.

    Args:
        folder: folder of the ledger.
        sequence: sequence number of the first row to be added. No other run may use it or a
            higher one, see :func:`first_sequence`.
        author: name of the run in the names of its files, see :func:`.parts.author_of`.
        confirm: called before each file is written; it raises an OSError if this run may no longer
            write, because another one has taken over.

    Attributes:
        token: number of the run, which its sequence numbers begin with.
    """

    def __init__(
        self,
        folder: Location,
        sequence: int = 0,
        author: str = NOBODY,
        confirm: Callable[[], None] = lambda: None,
    ) -> None:
        self._folder, self._author, self._confirm = folder, author, confirm
        if isinstance(folder, Path):  # an object store never shows an unfinished object
            for unfinished in folder.glob("*/cell=*/.*.tmp"):
                unfinished.unlink(missing_ok=True)
        for part in superseded(folder):
            part.path.unlink(missing_ok=True)
        self._sequence, self.token = sequence, sequence // SEQUENCES
        self._rows: dict[Dataset, dict[str, list[dict[str, Any]]]] = {
            dataset: defaultdict(list) for dataset in DATASETS
        }
        self._parts: dict[tuple[Dataset, str], list[Part]] = {}

    def add(self, dataset: Dataset, cell: str, row: Mapping[str, Any]) -> int:
        """Keep a row for the next flush, and return its sequence number.

        Args:
            dataset: dataset that the row belongs to.
            cell: id of the cell that the row belongs to.
            row: values of the dataset's columns by name. A missing value is written as null, and
                keys that are no columns are ignored.
        """
        sequence, self._sequence = self._sequence, self._sequence + 1
        self._rows[dataset][cell].append({**row, "sequence": sequence})
        return sequence

    def put_away(self, aside: Location) -> None:
        """Rename a damaged file again, once its trials have been done with; it is never deleted.

        Args:
            aside: one of :meth:`.Ledger.set_aside`.
        """
        storage.move(aside, DONE_WITH + aside.name.partition("-")[2])

    def flush(self, durable: bool = False) -> None:
        """Write the rows that have been added, one file for each dataset and cell.

        Args:
            durable: whether to return only when the rows would survive a power failure.

        Raises:
            OSError: the disk is full or missing, or the object store does not answer. Rows that
                are not written yet are kept for the next flush.
        """
        for dataset, cells in self._rows.items():
            written = list(cells)

            def write(cell: str, dataset: Dataset = dataset, cells: Any = cells) -> None:
                self._write(dataset, cell, cells[cell], durable)
                del cells[cell]

            storage.side_by_side(self._folder, write, written)
            self._merge_some(dataset, written)

    def forget(self, trials: Mapping[str, Collection[str]]) -> None:
        """Remove all rows of some trials from the ledger.

        Args:
            trials: names of the trials by the id of their cell.

        Raises:
            OSError: the disk is full or missing, or the object store does not answer.
        """
        for cell, forgotten in trials.items():
            for dataset in DATASETS:
                if existing_parts := self._parts_of(dataset, cell):
                    self._merge(dataset, cell, existing_parts, without=forgotten)

    def compact(self) -> None:
        """Merge the parts of every dataset and cell into as few as ``LARGEST_MERGED`` allows.

        Like every merge this may be killed at any time, and readers may read at the same time.

        Raises:
            OSError: the disk is full or missing, or the object store does not answer.
        """
        for dataset in DATASETS:
            groups: list[list[Part]] = []  # each becomes one part
            size = 0  # bytes of the last group
            for part in parts(self._folder, dataset):
                size += part.size
                if not groups or groups[-1][0].folder != part.folder or size > LARGEST_MERGED:
                    groups.append([])
                    size = part.size
                groups[-1].append(part)

            def merge(group: list[Part], dataset: Dataset = dataset) -> None:
                self._merge(dataset, group[0].cell, group)

            mergeable = [group for group in groups if len(group) > 1]
            storage.side_by_side(self._folder, merge, mergeable)

    def _write(
        self, dataset: Dataset, cell: str, rows: list[dict[str, Any]], durable: bool
    ) -> None:
        schema = DATASETS[dataset]
        columns = {name: [_null_if_nan(row.get(name)) for row in rows] for name in schema.names}
        existing_parts = self._parts_of(dataset, cell)
        folder = self._folder / dataset / f"cell={cell}"
        storage.make_folder(folder)
        first, last = rows[0]["sequence"], rows[-1]["sequence"]
        table = pa.table(columns, schema=schema)
        self._confirm()
        existing_parts.append(write_part(folder, self._author, first, last, table, durable))

    def _parts_of(self, dataset: Dataset, cell: str) -> list[Part]:
        if (dataset, cell) not in self._parts:
            self._parts[dataset, cell] = parts(self._folder, dataset, cell)
        return self._parts[dataset, cell]

    def _merge_some(self, dataset: Dataset, written: Sequence[str]) -> None:
        """Merge parts of a few cells: of those with mergeable parts the ones that have most.

        Cells that are written by the same flushes need a merge at the same time. A cell needs its
        next merge only ``MERGED_AT_ONCE`` flushes later. The limit spreads the merges of all cells
        over half as many flushes, so that no single flush takes long.
        """
        due = [tail for cell in written if (tail := self._mergeable(dataset, cell))]
        due.sort(key=len, reverse=True)
        storage.side_by_side(
            self._folder,
            lambda tail: self._merge(dataset, tail[0].cell, tail),
            due[: 1 + 2 * len(written) // MERGED_AT_ONCE],
        )

    def _mergeable(self, dataset: Dataset, cell: str) -> list[Part]:
        """Return the last parts of a dataset and cell if enough of them have a similar size.

        Large parts are not merged with small ones. A row is therefore rewritten only a few times
        in all, not at every merge.

        Returns:
            At least ``MERGED_AT_ONCE`` parts, or none.
        """
        existing_parts = self._parts_of(dataset, cell)
        first = len(existing_parts) - MERGED_AT_ONCE
        if first < 0:
            return []
        sizes = [part.size for part in existing_parts[first:]]
        # Similar: no part has more than four times the median size.
        largest = min(LARGEST_MERGED, 4 * sorted(sizes)[len(sizes) // 2])
        if max(sizes) > largest:
            return []
        while first > 0 and existing_parts[first - 1].size <= largest:
            first -= 1
        return existing_parts[first:]

    def _merge(
        self, dataset: Dataset, cell: str, old: Sequence[Part], without: Collection[str] = ()
    ) -> None:
        """Write one part in place of the parts ``old``, which must be neighbours, and remove them.

        The merged part appears before the old parts are removed; see :mod:`.parts`.

        Args:
            dataset: dataset of the parts.
            cell: id of the cell of the parts.
            old: parts to be merged, in the order of their ranges.
            without: names of trials whose rows are dropped.
        """
        tables = []
        for part in old:
            try:
                tables.append(read_part(part, DATASETS[dataset]))
            except FileNotFoundError as error:
                # Set aside by a reader, or merged by another run. A link that leads nowhere must
                # stay: its content may be fetched yet.
                if isinstance(part.path, Path) and part.path.is_symlink():
                    raise missing_content([part]) from error
        table = pa.concat_tables([DATASETS[dataset].empty_table(), *filter(None, tables)])
        table = table.filter(pc.invert(pc.is_in(table["trial"], pa.array(without, pa.string()))))
        table = _once(table, dataset).combine_chunks()
        self._confirm()
        # Written durably, because the only other copies of these rows are removed next.
        first, last = old[0].first, max(part.last for part in old)
        merged = write_part(old[0].folder, self._author, first, last, table, durable=True)
        storage.side_by_side(
            self._folder,
            lambda part: part.path.unlink(missing_ok=True),
            [part for part in old if part != merged],
        )
        kept = [part for part in self._parts_of(dataset, cell) if part not in old]
        self._parts[dataset, cell] = sorted([*kept, merged])


def first_sequence(folder: Location, token: int) -> int:
    """Return the first sequence number of a new run, which is higher than all that are recorded.

    Each run has ``SEQUENCES`` numbers of its own. A row of a run that took over therefore counts
    more than a row of the run before it, whichever was written last.

    Args:
        folder: folder of the ledger.
        token: number of the run. A higher one is taken if the ledger has rows of this one.
    """
    last = max((part.last for name in DATASETS for part in parts(folder, name)), default=-1)
    return max(token, last // SEQUENCES + 1) * SEQUENCES


def _once(table: pa.Table, dataset: Dataset) -> pa.Table:
    """Return the rows of a table without repetitions, which two runs at once can have left."""
    repeated = table.select([*KEYS[dataset], "sequence"]).to_pandas().duplicated()
    return table.filter(pa.array(~repeated.to_numpy())) if repeated.any() else table


def _null_if_nan(value: Any) -> Any:
    if isinstance(value, list):
        return [_null_if_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
