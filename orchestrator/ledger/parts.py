"""Names and lists the files of a ledger, and tells which of them a merge has superseded.

The rows of a dataset and cell lie in several files, the parts. The name of a part holds the first
and the last sequence number of its rows. The ranges of the parts of one dataset and cell do not
overlap, except during a merge of parts: the merged part appears before the old parts are removed.
The old parts can be recognized by their names alone, because their ranges lie inside the range of
the merged part. A reader, or a writer that starts after a crash, therefore counts no row twice.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.ledger.schema import DATASETS, Dataset
from trainables import storage
from trainables.storage import Location

_NAME = re.compile(r"part-(\d{12})-(\d{12})\.parquet")


@dataclass(frozen=True, order=True)
class Part:
    """A part is a file with rows of one dataset and cell.

    Attributes:
        first: first sequence number of its range.
        last: last sequence number of its range, included.
        folder: folder of the dataset and cell, ``<ledger>/<dataset>/cell=<id>``.
        known_size: size in bytes, if it is known without a look at the file.
    """

    first: int
    last: int
    folder: Location
    known_size: int | None = field(default=None, compare=False)

    @property
    def path(self) -> Location:
        """Return the path of the file."""
        return self.folder / f"part-{self.first:012d}-{self.last:012d}.parquet"

    @property
    def cell(self) -> str:
        """Return the id of the cell."""
        return self.folder.name.removeprefix("cell=")

    def stands_for(self, other: "Part") -> bool:
        """Return whether this part supersedes another one: its range includes the other's range."""
        return self.first <= other.first and other.last <= self.last and self != other

    def write(self, table: pa.Table, durable: bool = False) -> "Part":
        """Write the file in one step: readers see all of it or nothing.

        Args:
            table: rows of the part.
            durable: whether to return only when the file would survive a power failure.

        Returns:
            The same part with its size.

        Raises:
            OSError: the disk is full or missing, or the object store does not answer. No file is
                left behind.
        """
        content = pa.BufferOutputStream()
        pq.write_table(table, content, compression="zstd", write_page_checksum=True)
        buffer = content.getvalue()
        storage.write(self.path, memoryview(buffer), durable)
        return replace(self, known_size=buffer.size)

    @property
    def size(self) -> int:
        """Return the size in bytes; 0 if the file no longer exists."""
        if self.known_size is not None:
            return self.known_size
        path = self.path
        return path.stat().st_size if isinstance(path, Path) and path.exists() else 0


def parts(folder: Location, dataset: Dataset, cell: str | None = None) -> list[Part]:
    """Return the parts of a dataset, without those that a merged part supersedes.

    Args:
        folder: folder of the ledger.
        dataset: name of the dataset.
        cell: id of the only cell whose parts are returned; all cells by default.

    Returns:
        The parts in the order of their cells, those of one cell in the order of their ranges.
    """
    if cell is None:
        parts_by_cell = _list_by_cell(folder / dataset)
    else:
        parts_by_cell = [_list_cell(folder / dataset / f"cell={cell}")]
    return [
        part
        for cell_parts in parts_by_cell
        for part, is_superseded in _mark_superseded(cell_parts)
        if not is_superseded
    ]


def superseded(folder: Location) -> Iterator[Part]:
    """Yield the parts that an interrupted merge left behind, although a merged part has their rows.

    Args:
        folder: folder of the ledger.
    """
    for dataset in DATASETS:
        for cell_parts in _list_by_cell(folder / dataset):
            marked = _mark_superseded(cell_parts)
            yield from (part for part, is_superseded in marked if is_superseded)


def _list_by_cell(dataset_folder: Location) -> list[list[Part]]:
    """Return the parts of a dataset, one list for each cell."""
    if isinstance(dataset_folder, Path):
        cells = sorted(name for name in storage.names(dataset_folder) if name.startswith("cell="))
        return [_list_cell(dataset_folder / cell) for cell in cells]
    # An object store lists the parts of all cells with one request.
    by_cell: dict[str, list[Part]] = {}
    for path, size in storage.files(dataset_folder):
        if path.parent.parent == dataset_folder and (part := _part(path.parent, path.name, size)):
            by_cell.setdefault(path.parent.name, []).append(part)
    return [by_cell[cell] for cell in sorted(by_cell)]


def _list_cell(folder: Location) -> list[Part]:
    """Return the parts in the folder of one dataset and cell."""
    if isinstance(folder, Path):
        sizes: Iterable[tuple[str, int | None]] = ((n, None) for n in storage.names(folder))
    else:
        sizes = ((entry.path.name, entry.size) for entry in folder.listed())
    return [part for name, size in sizes if (part := _part(folder, name, size))]


def _part(folder: Location, name: str, size: int | None) -> Part | None:
    match = _NAME.fullmatch(name)
    return Part(int(match[1]), int(match[2]), folder, size) if match else None


def _mark_superseded(cell_parts: Iterable[Part]) -> Iterator[tuple[Part, bool]]:
    """Yield the parts of one cell in the order of their ranges, each with whether it is superseded.

    In this order a merged part comes before the parts that it supersedes: it has the same first
    number as the first of them, and of two such parts the one with the longer range comes first.
    """
    current: Part | None = None  # the last part that is not superseded
    for part in sorted(cell_parts, key=lambda part: (part.first, -part.last)):
        is_superseded = current is not None and current.stands_for(part)
        yield part, is_superseded
        if not is_superseded:
            current = part
