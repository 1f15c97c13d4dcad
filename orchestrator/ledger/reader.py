"""Reads a ledger: skips damaged files and returns each trial and each (trial, step) once."""

import logging
import os
import re
import zlib
from collections import defaultdict
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from orchestrator.errors import BadInput, RunFailed
from orchestrator.ledger.migration import with_best
from orchestrator.ledger.parts import Part, parts
from orchestrator.ledger.schema import (
    BEST,
    DATASETS,
    KEYS,
    READ_VERSIONS,
    VERSION,
    VERSION_KEY,
    Dataset,
)
from trainables import storage
from trainables.storage import Location, ObjectPath, StoreError

MAGIC = b"PAR1"  # first and last bytes of a Parquet file
CHUNK = 1024**2  # bytes that are read at once to compute a checksum
MOST_MEMORY = 2**42  # bytes: no machine is asked for more by a file that is whole
ASIDE = "_damaged-{name}.aside"  # new name of a damaged file, at which no reader looks
DONE_WITH = "_repaired-"  # in place of "_damaged-" when its trials are done with
log = logging.getLogger("soundings")

_BEST_OF = {column: name for name, column in BEST.items()}  # column of trials -> of a report


class Ledger:
    """A ledger returns the rows of its datasets as data frames.

    A damaged file (of a disk that filled up, or of an interrupted copy) is renamed to a name that
    readers ignore, and a warning names it. All other files are read.

    Args:
        folder: folder of the ledger.
    """

    def __init__(self, folder: Location) -> None:
        self.folder = folder

    def trials(
        self,
        columns: Sequence[str] | None = None,
        trials: Collection[str] | None = None,
        cells: Collection[str] | None = None,
    ) -> pd.DataFrame:
        """Return one row for each trial that ended: the last row recorded for it.

        Args:
            columns: names of the columns to read; all by default. ``cell``, ``trial`` and
                ``sequence`` are always read.
            trials: names of the trials to return; all by default.
            cells: ids of the cells to return; all by default. Files of other cells are not read.

        Returns:
            The rows in the order in which the trials ended for the first time.

        Raises:
            BadInput: a file was written in another version of the ledger.
        """
        chosen = list(BEST.values()) if columns is None else [c for c in columns if c in _BEST_OF]
        if not chosen:
            return self._read("trials", columns, trials, cells)
        wanted = None if columns is None else [*columns, "best_step"]
        frame = self._read("trials", wanted, trials, cells)
        lacking = frame["best_step"].isna()
        if lacking.any():  # rows that a release wrote whose ledger has no such columns
            measures = ["objective", *(_BEST_OF[column] for column in chosen)]
            of_trials = frame.loc[lacking, ["trial", "cell"]]
            reports = self.results(measures, set(of_trials["trial"]), set(of_trials["cell"]))
            frame = with_best(frame, reports).astype({"best_step": "int64"})
        asked = columns is None or "best_step" in columns
        return frame if asked else frame.drop(columns="best_step")

    def results(
        self,
        columns: Sequence[str] | None = None,
        trials: Collection[str] | None = None,
        cells: Collection[str] | None = None,
    ) -> pd.DataFrame:
        """Return one row for each report, a (trial, step): the last row recorded for it.

        Args:
            columns: names of the columns to read; all by default. ``cell``, ``trial``, ``step`` and
                ``sequence`` are always read.
            trials: names of the trials to return; all by default.
            cells: ids of the cells to return; all by default. Files of other cells are not read.

        Returns:
            The rows in the order in which the reports arrived for the first time.

        Raises:
            BadInput: a file was written in another version of the ledger.
        """
        return self._read("results", columns, trials, cells)

    def diagnostics(
        self,
        columns: Sequence[str] | None = None,
        trials: Collection[str] | None = None,
        cells: Collection[str] | None = None,
    ) -> pd.DataFrame:
        """Return one row for each diagnosed quantity: the last row recorded for it.

        Args:
            columns: names of the columns to read; all by default. ``cell``, ``trial``, ``step``,
                ``lane``, ``layer``, ``quantity`` and ``sequence`` are always read.
            trials: names of the trials to return; all by default.
            cells: ids of the cells to return; all by default. Files of other cells are not read.

        Returns:
            The rows in the order in which they arrived for the first time.

        Raises:
            BadInput: a file was written in another version of the ledger.
        """
        return self._read("diagnostics", columns, trials, cells)

    def curves(self, trials: Collection[str]) -> dict[str, list[dict[str, Any]]]:
        """Return all reports of some trials in the order in which they arrived, by trial.

        Args:
            trials: names of the trials. One without reports has no entry in the result.

        Returns:
            Rows of ``results`` with all columns as Python values; null is None.
        """
        table = pa.concat_tables(self._tables("results", DATASETS["results"], trials))
        curves: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)  # trial -> step -> row
        for row in table.sort_by("sequence").to_pylist():
            curves[row["trial"]][row["step"]] = row
        return {trial: list(curve.values()) for trial, curve in curves.items()}

    def starts(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the last start of each trial, in the order in which they started first.

        Args:
            columns: names of the columns to read; all by default. ``cell``, ``trial`` and
                ``sequence`` are always read.
        """
        return self._read("starts", columns)

    def set_aside(self, dataset: Dataset) -> list[Location]:
        """Return the damaged files of a dataset that this or an earlier reader has renamed.

        Those that a repair was done with are not among them.
        """
        prefix, _, suffix = ASIDE.partition("{name}")
        return sorted(
            path
            for path, _ in storage.files(self.folder / dataset)
            if path.name.startswith(prefix) and path.name.endswith(suffix)
        )

    def _read(
        self,
        dataset: Dataset,
        columns: Sequence[str] | None = None,
        trials: Collection[str] | None = None,
        cells: Collection[str] | None = None,
    ) -> pd.DataFrame:
        keys = KEYS[dataset]
        schema = DATASETS[dataset]
        if columns is not None:
            wanted = {"sequence", *keys, *columns}
            schema = pa.schema([field for field in schema if field.name in wanted])
        tables = self._tables(dataset, schema, trials, cells)
        frame: pd.DataFrame = pa.concat_tables(tables).to_pandas().sort_values("sequence")
        if not frame.duplicated(keys).any():
            return frame.reset_index(drop=True)
        first = frame.groupby(keys)["sequence"].transform("min")
        last = frame.assign(_first=first).drop_duplicates(keys, keep="last")
        return last.sort_values("_first").drop(columns="_first").reset_index(drop=True)

    def _parts(self, dataset: Dataset, cells: Collection[str] | None) -> list[Part]:
        if cells is None:
            return parts(self.folder, dataset)
        parts_by_cell = storage.side_by_side(
            self.folder, lambda cell: parts(self.folder, dataset, cell), sorted(cells)
        )
        return [part for cell_parts in parts_by_cell for part in cell_parts]

    def _tables(
        self,
        dataset: Dataset,
        schema: pa.Schema,
        trials: Collection[str] | None,
        cells: Collection[str] | None = None,
    ) -> list[pa.Table]:
        """Return the rows of a dataset as tables with the columns of ``schema`` and ``cell``.

        The first table is empty, so that the tables can be put together even if there are no files.
        """
        cell_field = pa.field("cell", pa.string())
        listed_before: list[Part] = []
        while True:
            tables = [schema.append(cell_field).empty_table()]
            listed = self._parts(dataset, cells)
            try:
                contents = storage.side_by_side(
                    self.folder, lambda part: read_part(part, schema), listed
                )
            except FileNotFoundError as error:
                # A run at work merged the part into another one and removed it: list them again.
                # A file that is listed all the same cannot be opened.
                if listed == listed_before:
                    raise missing_content(listed) from error
                listed_before = listed
                continue
            for part, table in zip(listed, contents, strict=True):
                if table is not None:
                    if trials is not None:
                        chosen = pa.array(list(trials), pa.string())
                        table = table.filter(pc.is_in(table["trial"], chosen))
                    cell = pa.array([part.cell] * len(table), pa.string())
                    tables.append(table.append_column(cell_field, cell))
            return tables


def read_part(part: Part, schema: pa.Schema) -> pa.Table | None:
    """Read the columns of ``schema`` from a part.

    A damaged file is renamed to a name that readers ignore, with a warning.

    Returns:
        The rows, or None if the file is damaged.

    Raises:
        FileNotFoundError: the file does not exist.
        BadInput: the file was written in another version of the ledger, or has rows of another
            cell.
        OSError: the disk or the object store has failed.
        RunFailed: the file could not be read although it is whole, for want of memory for example.
    """
    path = part.path
    try:
        storage.require_file(path)
        with _open(path) as source, pq.ParquetFile(source, page_checksum_verification=True) as file:
            _check_version(path, file.schema_arrow)
            table = _with_columns(file.read(columns=schema.names), schema).cast(schema)
    except (pa.ArrowException, OSError, KeyError, UnicodeDecodeError, MemoryError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # an error of the operating system: the file itself may be whole
        if isinstance(error, StoreError):
            raise
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        if not damaged(part, error):
            raise RunFailed(
                f"{path}: could not be read ({reason}), although the file is whole: it is of "
                "another dataset, or this machine is short of memory; nothing was changed"
            ) from error
        _set_aside(path, reason)
        return None
    _check_cell(part, table["trial"])
    return table


def _with_columns(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table with the columns of ``schema``; those that an older file lacks are null.

    Raises:
        KeyError: a column is lacking that every version has.
    """
    for field in schema:
        if field.name in _BEST_OF and field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(len(table), field.type))
    return table.select(schema.names)


def _check_cell(part: Part, trials: pa.ChunkedArray) -> None:
    """Check that the trials of a part are of the cell in whose folder it lies.

    Raises:
        BadInput: one is of another cell.
    """
    own = f"{part.cell}_"
    is_own = pc.and_(
        pc.starts_with(trials, own), pc.utf8_is_digit(pc.utf8_slice_codeunits(trials, len(own)))
    )
    for trial in trials.filter(pc.invert(is_own)).unique().to_pylist():
        if match := re.fullmatch(r"(.+)_\d{5,}", trial, re.DOTALL):
            raise BadInput(
                f"{part.path}: has rows of {trial}, a trial of another cell: move the file back "
                f"into the folder cell={match[1]}, which lies beside this one"
            )


def _open(path: Location) -> pa.NativeFile:
    """Open a file for Arrow, which by itself takes some names for URLs, and no odd bytes in them.

    Raises:
        OSError: the file does not exist or cannot be opened.
    """
    if isinstance(path, Path):
        return pa.OSFile(os.fsencode(path))
    return pa.BufferReader(path.read_bytes())


def verify(part: Part) -> None:
    """Set a part aside if its file is proven not to be whole. One that is gone is passed over.

    A file of release 0.1.0, whose name has no checksum, is read to its end instead.

    Raises:
        OSError: the disk or the object store has failed.
        BadInput: the file was written in another version of the ledger.
        RunFailed: the file could not be read although it is whole.
    """
    with suppress(FileNotFoundError):
        if part.checksum is None:
            read_part(part, DATASETS[_dataset(part)])
        elif damaged(part):
            _set_aside(part.path, "its checksum is wrong")


def _dataset(part: Part) -> Dataset:
    """Return the dataset of a part, which the folder of its cell's folder is called."""
    (dataset,) = [name for name in DATASETS if name == part.folder.parent.name]
    return dataset


def damaged(part: Part, error: Exception | None = None) -> bool:
    """Return whether the file of a part is proven not to be whole.

    The checksum in its name decides. A name of release 0.1.0 has none. Such a file is damaged if
    its first and last bytes are not those of a Parquet file, or if reading it failed, unless that
    was for want of memory.

    Args:
        part: the part.
        error: error with which reading it failed, if it did.

    Raises:
        OSError: the file cannot be read to the end.
    """
    path = part.path
    storage.require_file(path)
    if isinstance(path, ObjectPath):
        content = path.read_bytes()
        checksum, ends = zlib.crc32(content), content[:4] + content[-4:]
    else:
        checksum, ends = 0, b""
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                checksum = zlib.crc32(chunk, checksum)
                ends = (ends or chunk[:4])[:4] + chunk[-4:]
    if part.checksum is not None:
        return checksum != part.checksum
    return ends != MAGIC * 2 or (error is not None and not _out_of_memory(error))


def _out_of_memory(error: Exception) -> bool:
    """Return whether an error of Arrow was for want of memory that the machine might have had."""
    if asked := re.search(r"of size (\d+) failed", str(error)):  # a damaged file may ask for any
        return int(asked[1]) < MOST_MEMORY
    text = str(error).lower()
    return isinstance(error, MemoryError) or "memory" in text or "alloc" in text


def missing_content(listed: Sequence[Part]) -> BadInput:
    """Return the error of parts that a folder lists although they cannot be opened.

    Args:
        listed: all parts that were to be read.
    """
    paths = [part.path for part in listed if isinstance(part.path, Path)]
    lost = [path for path in paths if not path.exists()]
    first = lost[0] if lost else listed[0].path
    target = (
        f", a link to {first.readlink()}" if isinstance(first, Path) and first.is_symlink() else ""
    )
    return BadInput(
        f"{first}{target}: listed, but there is no such file ({len(lost) or 1} of them); fetch the "
        "content of the ledger ('git annex get', 'dvc pull'), or copy it without links"
    )


def _check_version(path: Location, schema: pa.Schema) -> None:
    version = (schema.metadata or {}).get(VERSION_KEY, b"0").decode(errors="replace")
    if version not in map(str, READ_VERSIONS):
        raise BadInput(
            f"{path}: written in version {version} of the ledger, but this Soundings reads version "
            f"{VERSION} and those before it that were released; use the release that wrote it"
        )


def _set_aside(path: Location, reason: str) -> None:
    aside = ASIDE.format(name=path.name)
    try:
        storage.move(path, aside)
        action = f"set aside as {aside}"
    except OSError:
        action = "left out"
    log.warning("%s: not a whole Parquet file (%s); %s, the rest is used", path, reason, action)
