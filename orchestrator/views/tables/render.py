"""Writes tables as files for papers: CSV, Parquet, Markdown and LaTeX."""

import io
import re
from collections.abc import Iterable

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.views.tables.latex import latex
from orchestrator.views.tables.table import Table
from trainables import storage
from trainables.storage import Location


def write(tables: Iterable[Table], folder: Location) -> list[Location]:
    """Write four files for each table; no file is ever half-written.

    ``<name>.csv`` and ``<name>.parquet`` hold the tidy data, ``<name>.md`` and ``<name>.tex`` the
    formatted text.

    Args:
        tables: tables to write.
        folder: folder of the files, which is made if it does not exist.

    Returns:
        The paths of the files.
    """
    storage.make_folder(folder)
    written = []
    for table in tables:
        contents = {
            "csv": table.tidy.to_csv(index=False).encode(),
            "parquet": _parquet(table.tidy),
            "md": markdown(table).encode(),
            "tex": latex(table).encode(),
        }
        for suffix, content in contents.items():
            path = folder / f"{table.name}.{suffix}"
            storage.write(path, content)
            written.append(path)
    return written


def _parquet(frame: pd.DataFrame) -> bytes:
    content = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), content, compression="zstd")
    return content.getvalue()


def markdown(table: Table) -> str:
    """Return the table with its title and notes as GitHub-flavoured Markdown."""

    def line(cells: Iterable[object]) -> str:
        return "| " + " | ".join(_in_markdown(str(cell)) for cell in cells) + " |"

    shown = table.shown
    numeric = [":--" if i < table.index else "--:" for i in range(len(shown.columns))]
    lines = [f"## {table.title}", "", line(shown.columns), line(numeric)]
    lines += [line(row) for row in shown.itertuples(index=False)]
    lines += [text for note in table.notes for text in ("", note)]
    return "\n".join(lines) + "\n"


def _in_markdown(text: str) -> str:
    """Return a text as a cell of a table: on one line, without a column's end and HTML in it."""
    text = " ".join(text.splitlines()).replace("|", "\\|")
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text)
