"""The files of a ledger: parts of a dataset and cell, and what a merged part stands for.

A part is named by the first and the last sequence number of its rows. Parts of one dataset and
cell follow each other without overlap, except while parts are being merged: then the merged one
is there already and those that it stands for are there still. The names alone say which these
are, so that neither a reader nor a writer that comes after a crash counts a row twice.
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
    """A file with the rows of sequence numbers ``first`` to ``last`` of a dataset and cell.

    Attributes:
        known_size: its bytes, where a listing said them.
    """

    first: int
    last: int
    folder: Location
    known_size: int | None = field(default=None, compare=False)

    @property
    def path(self) -> Location:
        return self.folder / f"part-{self.first:012d}-{self.last:012d}.parquet"

    @property
    def cell(self) -> str:
        return self.folder.name.removeprefix("cell=")

    def stands_for(self, other: "Part") -> bool:
        """Whether the rows of ``other`` are in this part, merged."""
        return self.first <= other.first and other.last <= self.last and self != other

    def write(self, table: pa.Table, durable: bool = False) -> "Part":
        """Write the part: a whole file that appears at once. Returns it with its size.

        Args:
            durable: return only when it would survive the power going.

        Raises:
            OSError: the disk is full or gone; nothing is left behind.
        """
        content = pa.BufferOutputStream()
        pq.write_table(table, content, compression="zstd", write_page_checksum=True)
        buffer = content.getvalue()
        storage.write(self.path, memoryview(buffer), durable)
        return replace(self, known_size=buffer.size)

    @property
    def size(self) -> int:
        """Bytes; none if it is gone."""
        if self.known_size is not None:
            return self.known_size
        path = self.path
        return path.stat().st_size if isinstance(path, Path) and path.exists() else 0


def parts(folder: Location, dataset: Dataset, cell: str | None = None) -> list[Part]:
    """The parts of a dataset in the ledger at ``folder``, in their order, cell by cell.

    Without those that a merged part stands for.
    """
    if cell is None:
        listed = _listed_by_cell(folder / dataset)
    else:
        listed = [_listed(folder / dataset / f"cell={cell}")]
    return [part for there in listed for part, by in _overlaps(there) if not by]


def superseded(folder: Location) -> Iterator[Part]:
    """The parts of a ledger that a merge left behind when it was cut off."""
    for dataset in DATASETS:
        for there in _listed_by_cell(folder / dataset):
            yield from (part for part, by in _overlaps(there) if by)


def _listed_by_cell(place: Location) -> list[list[Part]]:
    """The parts in the folders of a dataset's cells."""
    if isinstance(place, Path):
        cells = sorted(name for name in storage.names(place) if name.startswith("cell="))
        return [_listed(place / cell) for cell in cells]
    # A store lists all of them with one request.
    found: dict[str, list[Part]] = {}
    for path, size in storage.files(place):
        if path.parent.parent == place and (part := _part(path.parent, path.name, size)):
            found.setdefault(path.parent.name, []).append(part)
    return [found[cell] for cell in sorted(found)]


def _listed(place: Location) -> list[Part]:
    """The parts in the folder of one cell."""
    if isinstance(place, Path):
        named: Iterable[tuple[str, int | None]] = ((n, None) for n in storage.names(place))
    else:
        named = ((found.path.name, found.size) for found in place.listed())
    return [part for name, size in named if (part := _part(place, name, size))]


def _part(folder: Location, name: str, size: int | None) -> Part | None:
    match = _NAME.fullmatch(name)
    return Part(int(match[1]), int(match[2]), folder, size) if match else None


def _overlaps(listed: Iterable[Part]) -> Iterator[tuple[Part, bool]]:
    """Each part in its order, and whether another stands for it."""
    whole: Part | None = None
    # The one that stands for others comes before them: it begins with the first of them.
    for part in sorted(listed, key=lambda part: (part.first, -part.last)):
        inside = whole is not None and whole.stands_for(part)
        yield part, inside
        if not inside:
            whole = part
