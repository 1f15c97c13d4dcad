"""Appending to a ledger: rows gathered in memory, written as whole files that appear at once."""

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from orchestrator.ledger.parts import Part, parts, superseded
from orchestrator.ledger.reader import read_part
from orchestrator.ledger.schema import DATASETS, Dataset
from trainables import storage
from trainables.storage import Location

MERGED_AT_ONCE = 16  # parts of about one size become one, or a few more
LARGEST_MERGED = 16 * 1024**2  # bytes; a part beyond it is left as it is


class LedgerWriter:
    """Writes rows of all datasets; nothing is on disk before :meth:`flush`.

    A ledger has one writer at a time. Parts that have become many are merged, so that a dataset
    and cell has some dozens of files however many trials it has.

    Args:
        folder: of the ledger.
        sequence: the first sequence number to give out.
    """

    def __init__(self, folder: Location, sequence: int = 0) -> None:
        self._folder = folder
        if isinstance(folder, Path):  # a store shows no object that is not whole
            for broken in folder.glob("*/cell=*/.*.tmp"):  # of a writer that was killed
                broken.unlink()
        for merged in superseded(folder):
            merged.path.unlink()
        self._sequence = sequence
        self._rows: dict[Dataset, dict[str, list[dict[str, Any]]]] = {
            dataset: defaultdict(list) for dataset in DATASETS
        }
        self._parts: dict[tuple[Dataset, str], list[Part]] = {}

    def add(self, dataset: Dataset, cell: str, row: Mapping[str, Any]) -> int:
        """Keep ``row`` for the next flush and return its sequence number."""
        sequence, self._sequence = self._sequence, self._sequence + 1
        self._rows[dataset][cell].append({**row, "sequence": sequence})
        return sequence

    def flush(self, durable: bool = False) -> None:
        """Write what has been added, a file a dataset and cell.

        Args:
            durable: return only when it would survive the power going.

        Raises:
            OSError: the disk is full or gone; rows not yet written are kept.
        """
        for dataset, cells in self._rows.items():
            written = list(cells)

            def write(cell: str, dataset: Dataset = dataset, cells: Any = cells) -> None:
                self._write(dataset, cell, cells[cell], durable)
                del cells[cell]

            storage.side_by_side(self._folder, write, written)
            self._merge_some(dataset, written)

    def forget(self, trials: Mapping[str, Collection[str]]) -> None:
        """Take all rows of some trials out of the ledger.

        Args:
            trials: by cell.

        Raises:
            OSError: the disk is full or gone.
        """
        for cell, forgotten in trials.items():
            for dataset in DATASETS:
                if there := self._parts_of(dataset, cell):
                    self._merge(dataset, cell, there, without=forgotten)

    def compact(self) -> None:
        """Merge the parts of every dataset and cell into few.

        Safe at any time against a kill and beside readers, as every merge is.

        Raises:
            OSError: the disk is full or gone.
        """
        for dataset in DATASETS:
            groups: list[list[Part]] = []
            size = 0  # of the last group
            for part in parts(self._folder, dataset):
                size += part.size
                if not groups or groups[-1][0].folder != part.folder or size > LARGEST_MERGED:
                    groups.append([])
                    size = part.size
                groups[-1].append(part)

            def merge(group: list[Part], dataset: Dataset = dataset) -> None:
                self._merge(dataset, group[0].cell, group)

            many = [group for group in groups if len(group) > 1]
            storage.side_by_side(self._folder, merge, many)

    def _write(
        self, dataset: Dataset, cell: str, rows: list[dict[str, Any]], durable: bool
    ) -> None:
        schema = DATASETS[dataset]
        columns = {name: [_null_if_nan(row.get(name)) for row in rows] for name in schema.names}
        there = self._parts_of(dataset, cell)
        folder = self._folder / dataset / f"cell={cell}"
        storage.make_folder(folder)
        part = Part(rows[0]["sequence"], rows[-1]["sequence"], folder)
        there.append(part.write(pa.table(columns, schema=schema), durable))

    def _parts_of(self, dataset: Dataset, cell: str) -> list[Part]:
        if (dataset, cell) not in self._parts:
            self._parts[dataset, cell] = parts(self._folder, dataset, cell)
        return self._parts[dataset, cell]

    def _merge_some(self, dataset: Dataset, written: Sequence[str]) -> None:
        """Merge the parts of the cells that have most of them.

        Cells that are written together become due together. Of ``MERGED_AT_ONCE`` flushes half
        are enough for all of them, so that no flush waits for more than its share.
        """
        due = [tail for cell in written if (tail := self._mergeable(dataset, cell))]
        due.sort(key=len, reverse=True)
        storage.side_by_side(
            self._folder,
            lambda tail: self._merge(dataset, tail[0].cell, tail),
            due[: 1 + 2 * len(written) // MERGED_AT_ONCE],
        )

    def _mergeable(self, dataset: Dataset, cell: str) -> list[Part]:
        """The last parts, once enough of them are of about one size: each row is rewritten a few
        times in all, not once a merge.
        """
        there = self._parts_of(dataset, cell)
        first = len(there) - MERGED_AT_ONCE
        if first < 0:
            return []
        sizes = [part.size for part in there[first:]]
        most = min(LARGEST_MERGED, 4 * sorted(sizes)[len(sizes) // 2])
        if max(sizes) > most:
            return []
        while first > 0 and there[first - 1].size <= most:
            first -= 1
        return there[first:]

    def _merge(
        self, dataset: Dataset, cell: str, old: Sequence[Part], without: Collection[str] = ()
    ) -> None:
        tables = []
        for part in old:
            with suppress(FileNotFoundError):  # a reader found it damaged and set it aside
                tables.append(read_part(part, DATASETS[dataset]))
        table = pa.concat_tables([DATASETS[dataset].empty_table(), *filter(None, tables)])
        table = table.filter(pc.invert(pc.is_in(table["trial"], pa.array(without, pa.string()))))
        table = table.combine_chunks()
        merged = Part(old[0].first, old[-1].last, old[0].folder).write(table, durable=True)
        storage.side_by_side(
            self._folder,
            lambda part: part.path.unlink(missing_ok=True),
            [part for part in old if part != merged],
        )
        kept = [part for part in self._parts_of(dataset, cell) if part not in old]
        self._parts[dataset, cell] = sorted([*kept, merged])


def _null_if_nan(value: Any) -> Any:
    if isinstance(value, list):
        return [_null_if_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
