"""Reading a ledger: whole files only, each (trial) and (trial, step) once."""

import logging
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.errors import BadInput
from orchestrator.ledger.schema import DATASETS, KEYS, VERSION, VERSION_KEY
from orchestrator.ledger.writer import Dataset

log = logging.getLogger("soundings")


class Ledger:
    """The ledger in ``folder``.

    A file that cannot be read (a disk that filled up, a copy that broke off) is named in a
    warning and set aside under a name that no reader looks at; the rest is read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def trials(self) -> pd.DataFrame:
        """One row a trial, its last one, in the order of their first; ``cell`` included."""
        return self._read("trials")

    def results(self) -> pd.DataFrame:
        """One row a (trial, step), the last one, in the order in which they first arrived."""
        return self._read("results")

    def _read(self, dataset: Dataset) -> pd.DataFrame:
        cell_field = pa.field("cell", pa.string())
        tables = [DATASETS[dataset].append(cell_field).empty_table()]
        for path in sorted(self.folder.glob(f"{dataset}/cell=*/*.parquet")):
            table = _read_file(path, DATASETS[dataset])
            if table is not None:
                cell = path.parent.name.removeprefix("cell=")
                column = pa.array([cell] * len(table), pa.string())
                tables.append(table.append_column(cell_field, column))
        frame: pd.DataFrame = pa.concat_tables(tables).to_pandas().sort_values("sequence")
        first = frame.groupby(KEYS[dataset])["sequence"].transform("min")
        last = frame.assign(_first=first).drop_duplicates(KEYS[dataset], keep="last")
        return last.sort_values("_first").drop(columns="_first").reset_index(drop=True)


def _read_file(path: Path, schema: pa.Schema) -> pa.Table | None:
    try:
        table = pq.ParquetFile(path, page_checksum_verification=True).read()
        _check_version(path, table.schema)
        table = table.select(schema.names).cast(schema)
    except (pa.ArrowException, OSError, KeyError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the machine's trouble, not the file's
        _set_aside(path, str(error).splitlines()[0])
        return None
    return table


def _check_version(path: Path, schema: pa.Schema) -> None:
    version = (schema.metadata or {}).get(VERSION_KEY, b"0").decode(errors="replace")
    if version != str(VERSION):
        raise BadInput(
            f"{path}: written in version {version} of the ledger, but this Soundings reads version "
            f"{VERSION}; use the Soundings release that wrote it"
        )


def _set_aside(path: Path, reason: str) -> None:
    aside = path.with_name(f"_damaged-{path.name}.aside")
    try:
        path.rename(aside)
        what = f"set aside as {aside.name}"
    except OSError:
        what = "left out"
    log.warning("%s: not a whole Parquet file (%s); %s, the rest is used", path, reason, what)
