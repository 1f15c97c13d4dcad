"""Reading a ledger: whole files only, each (trial) and (trial, step) once."""

import logging
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from orchestrator.errors import BadInput
from orchestrator.ledger.parts import Part, parts
from orchestrator.ledger.schema import DATASETS, KEYS, VERSION, VERSION_KEY, Dataset
from trainables import storage
from trainables.storage import Location

ASIDE = "_damaged-{name}.aside"  # no reader looks at it
log = logging.getLogger("soundings")


class Ledger:
    """The ledger in ``folder``.

    A file that cannot be read (a disk that filled up, a copy that broke off) is named in a
    warning and set aside under a name that no reader looks at; the rest is read.
    """

    def __init__(self, folder: Location) -> None:
        self.folder = folder

    def trials(
        self,
        columns: Sequence[str] | None = None,
        trials: Collection[str] | None = None,
        cells: Collection[str] | None = None,
    ) -> pd.DataFrame:
        """One row a trial, its last one, in the order of their first.

        Args:
            columns: all by default; ``cell``, ``trial`` and ``sequence`` always.
            trials: all by default.
            cells: all by default; only their files are read.
        """
        return self._read("trials", columns, trials, cells)

    def results(
        self,
        columns: Sequence[str] | None = None,
        trials: Collection[str] | None = None,
        cells: Collection[str] | None = None,
    ) -> pd.DataFrame:
        """One row a (trial, step), the last one, in the order in which they first arrived.

        Args:
            columns: all by default; ``cell``, ``trial``, ``step`` and ``sequence`` always.
            trials: all by default.
            cells: all by default; only their files are read.
        """
        return self._read("results", columns, trials, cells)

    def curves(self, trials: Collection[str]) -> dict[str, list[dict[str, Any]]]:
        """All reports of some trials in their order, as plain values, None where there is none."""
        table = pa.concat_tables(self._tables("results", DATASETS["results"], trials))
        found: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
        for row in table.sort_by("sequence").to_pylist():
            found[row["trial"]][row["step"]] = row
        return {trial: list(curve.values()) for trial, curve in found.items()}

    def starts(self) -> pd.DataFrame:
        """One row a trial, its last start, in the order of their first."""
        return self._read("starts")

    def damaged(self, dataset: Dataset) -> set[str]:
        """The cells of which a file was once set aside."""
        return {path.parent.name.removeprefix("cell=") for path in self.set_aside(dataset)}

    def set_aside(self, dataset: Dataset) -> list[Location]:
        """The files that could not be read, then or now."""
        start, _, end = ASIDE.partition("{name}")
        return sorted(
            path
            for path, _ in storage.files(self.folder / dataset)
            if path.name.startswith(start) and path.name.endswith(end)
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
        found = storage.side_by_side(
            self.folder, lambda cell: parts(self.folder, dataset, cell), sorted(cells)
        )
        return [part for of_cell in found for part in of_cell]

    def _tables(
        self,
        dataset: Dataset,
        schema: pa.Schema,
        trials: Collection[str] | None,
        cells: Collection[str] | None = None,
    ) -> list[pa.Table]:
        cell_field = pa.field("cell", pa.string())
        while True:
            tables = [schema.append(cell_field).empty_table()]
            try:
                there = self._parts(dataset, cells)
                read = storage.side_by_side(
                    self.folder, lambda part: read_part(part, schema), there
                )
            except FileNotFoundError:
                continue  # merged into another by a run at work: look again
            for part, table in zip(there, read, strict=True):
                if table is not None:
                    if trials is not None:
                        chosen = pa.array(list(trials), pa.string())
                        table = table.filter(pc.is_in(table["trial"], chosen))
                    cell = pa.array([part.cell] * len(table), pa.string())
                    tables.append(table.append_column(cell_field, cell))
            return tables


def read_part(part: Part, schema: pa.Schema) -> pa.Table | None:
    """The columns of ``schema``; None, and the file set aside, if it is not a whole one.

    Raises:
        FileNotFoundError: it is not there.
        BadInput: another version of the ledger.
    """
    path = part.path
    source = path if isinstance(path, Path) else pa.BufferReader(path.read_bytes())
    try:
        with pq.ParquetFile(source, page_checksum_verification=True) as file:
            _check_version(path, file.schema_arrow)
            table = file.read(columns=schema.names).select(schema.names).cast(schema)
    except (pa.ArrowException, OSError, KeyError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the machine's trouble, not the file's
        _set_aside(path, str(error).splitlines()[0])
        return None
    return table


def _check_version(path: Location, schema: pa.Schema) -> None:
    version = (schema.metadata or {}).get(VERSION_KEY, b"0").decode(errors="replace")
    if version != str(VERSION):
        raise BadInput(
            f"{path}: written in version {version} of the ledger, but this Soundings reads version "
            f"{VERSION}; use the Soundings release that wrote it"
        )


def _set_aside(path: Location, reason: str) -> None:
    aside = ASIDE.format(name=path.name)
    try:
        storage.move(path, aside)
        what = f"set aside as {aside}"
    except OSError:
        what = "left out"
    log.warning("%s: not a whole Parquet file (%s); %s, the rest is used", path, reason, what)
