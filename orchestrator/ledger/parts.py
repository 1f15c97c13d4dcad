"""Names and lists the files of a ledger, and tells which of them a merge has superseded.

The rows of a dataset and cell lie in several files, the parts. The name of a part holds

- its author, the run that wrote it: a number that grows with every run of the sweep, and the
  beginning of the run's unique name. Two runs therefore never write one file, not even if one of
  them was paused and does not know that the other took over;
- the first and the last sequence number of its rows. The ranges of the parts of one author do not
  overlap, except during a merge of parts: the merged part appears before the old parts are removed;
- a checksum of its content, which proves whether the file is whole.

A merge writes a part that has all rows of some parts and then removes these. Whatever happens in
between, each row is in some part. A row may be in two of them: readers count it once, by its key.
Where author and ranges show that an old part is inside a merged one, it is not read at all.

The release 0.1.0 wrote names without author and checksum, which are read as those of one author.
"""

import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.ledger.schema import DATASETS, Dataset
from trainables import storage
from trainables.storage import Location

SEQUENCES = 10**12  # sequence numbers of a run: run number n has those from n * SEQUENCES on
_OLD_NAME = re.compile(r"part-(?P<first>\d{12})-(?P<last>\d{12})\.parquet")
_NAME = re.compile(
    r"part-(?P<author>\d{6,}-[0-9a-f]{8})-(?P<first>\d{19})-(?P<last>\d{19})-(?P<crc>[0-9a-f]{8})"
    r"\.parquet"
)


def author_of(token: int, run: str) -> str:
    """Return the name by which parts name the run that wrote them.

    Args:
        token: number of the run, which grows with every run of the sweep.
        run: unique name of the run, hexadecimal.
    """
    return f"{token:06d}-{run[:8]:0<8}"


@dataclass(frozen=True, order=True)
class Part:
    """A part is a file with rows of one dataset and cell.

    Attributes:
        first: first sequence number of its range.
        last: last sequence number of its range, included.
        folder: folder of the dataset and cell, ``<ledger>/<dataset>/cell=<id>``.
        name: name of the file.
        author: run that wrote it; empty in names of release 0.1.0.
        checksum: CRC-32 of the content; None in names of release 0.1.0.
        known_size: size in bytes, if it is known without a look at the file.
    """

    first: int
    last: int
    folder: Location
    name: str
    author: str = field(default="", compare=False)
    checksum: int | None = field(default=None, compare=False)
    known_size: int | None = field(default=None, compare=False)

    @property
    def path(self) -> Location:
        """Return the path of the file."""
        return self.folder / self.name

    @property
    def cell(self) -> str:
        """Return the id of the cell."""
        return self.folder.name.removeprefix("cell=")

    def stands_for(self, other: "Part") -> bool:
        """Return whether this part supersedes another: a longer range of the same author has it."""
        longer = (self.first, self.last) != (other.first, other.last)
        inside = self.first <= other.first and other.last <= self.last
        return self.author == other.author and inside and longer

    @property
    def size(self) -> int:
        """Return the size in bytes; 0 if the file no longer exists."""
        if self.known_size is not None:
            return self.known_size
        path = self.path
        return path.stat().st_size if isinstance(path, Path) and path.exists() else 0


def write_part(
    folder: Location, author: str, first: int, last: int, table: pa.Table, durable: bool = False
) -> Part:
    """Write a part in one step: readers see all of it or nothing.

    Args:
        folder: folder of the dataset and cell; it must exist.
        author: run that writes it, see :func:`author_of`.
        first: first sequence number of its range.
        last: last sequence number of its range.
        table: rows of the part.
        durable: whether to return only when the file would survive a power failure.

    Raises:
        OSError: the disk is full or missing, or the object store does not answer. No file is left
            behind.
    """
    content = pa.BufferOutputStream()
    pq.write_table(table, content, compression="zstd", write_page_checksum=True)
    buffer = content.getvalue()
    checksum = zlib.crc32(buffer)
    name = f"part-{author}-{first:019d}-{last:019d}-{checksum:08x}.parquet"
    storage.write(folder / name, memoryview(buffer), durable)
    return Part(first, last, folder, name, author, checksum, buffer.size)


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


def others(folder: Location) -> list[Location]:
    """Return the Parquet files in a ledger that are no parts of it, such as second copies.

    Soundings ignores them, but other readers of the folder read them too.

    Args:
        folder: folder of the ledger.
    """
    return sorted(
        path
        for dataset in DATASETS
        for path, size in storage.files(folder / dataset)
        if path.name.endswith(".parquet") and _part(path.parent, path.name, size) is None
    )


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
    match = _NAME.fullmatch(name) or _OLD_NAME.fullmatch(name)
    if match is None:
        return None
    author, checksum = "", None
    if match.re is _NAME:
        author, checksum = match["author"], int(match["crc"], 16)
    return Part(int(match["first"]), int(match["last"]), folder, name, author, checksum, size)


def _mark_superseded(cell_parts: Iterable[Part]) -> Iterator[tuple[Part, bool]]:
    """Yield the parts of one cell in the order of their ranges, each with whether it is superseded.

    In this order a merged part comes before the parts of its author that it supersedes: it has the
    same first number as the first of them, and of two such parts the one with the longer range
    comes first.
    """
    current: dict[str, Part] = {}  # the last part of each author that is not superseded
    for part in sorted(cell_parts, key=lambda part: (part.first, -part.last, part.name)):
        last = current.get(part.author)
        is_superseded = last is not None and last.stands_for(part)
        yield part, is_superseded
        if not is_superseded:
            current[part.author] = part
