"""Tables as files for papers and as text for a terminal."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from rich.console import Console, JustifyMethod
from rich.table import Table as RichTable

from orchestrator.views.tables.study import Table

NARROW = 13  # characters that an option may have before it is broken


def write(tables: Iterable[Table], folder: Path) -> list[Path]:
    """Write ``<name>.csv`` (tidy) and ``<name>.md`` (for eyes) of each table, each file whole."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for table in tables:
        texts = {"csv": table.tidy.to_csv(index=False), "md": markdown(table)}
        for suffix, text in texts.items():
            path = folder / f"{table.name}.{suffix}"
            hidden = folder / f".{path.name}.tmp"
            hidden.write_text(text, encoding="utf-8")
            hidden.rename(path)
            written.append(path)
    return written


def markdown(table: Table) -> str:
    """The table with its title and notes as GitHub-flavoured Markdown."""

    def line(cells: Iterable[object]) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"

    shown = table.shown
    numeric = [":--" if i < table.index else "--:" for i in range(len(shown.columns))]
    lines = [f"## {table.title}", "", line(shown.columns), line(numeric)]
    lines += [line(row) for row in shown.itertuples(index=False)]
    lines += [text for note in table.notes for text in ("", note)]
    return "\n".join(lines) + "\n"


def print_table(table: Table, console: Console) -> None:
    """Print the table; columns that the terminal has no room for follow below it."""
    if table.shown.empty:
        return
    # Where there is nothing at all, a column of dashes only takes room.
    columns = [name for name in table.shown.columns if (table.shown[name] != "-").any()]
    heads, values = columns[: table.index], columns[table.index :]
    console.print(f"\n[bold]{table.title}[/bold]")
    while values:
        fitting = len(values)
        while (
            fitting > 1 and _width(table.shown[heads + values[:fitting]], console) > console.width
        ):
            fitting -= 1
        console.print(_grid(table.shown[heads + values[:fitting]], table.index))
        values = values[fitting:]
    for note in table.notes:
        console.print(note, style="dim", markup=False, highlight=False)


def _width(frame: pd.DataFrame, console: Console) -> int:
    return console.measure(_grid(frame, 0), options=console.options.update(width=10_000)).maximum


def _grid(frame: pd.DataFrame, index: int) -> RichTable:
    grid = RichTable(box=None, padding=(0, 1), pad_edge=False, header_style="bold")
    for position, name in enumerate(frame.columns):
        justify: JustifyMethod = "left" if position < index else "right"
        grid.add_column(heading(str(name)), justify=justify, no_wrap=True)
    before: tuple[object, ...] = ()
    for row in frame.itertuples(index=False):
        # A value that repeats that of the row above, in the columns that name the row, is left out.
        repeats = 0
        while repeats < index and before[: repeats + 1] == tuple(row)[: repeats + 1]:
            repeats += 1
        before = tuple(row)
        texts = [heading(str(value)) if i < index else str(value) for i, value in enumerate(row)]
        grid.add_row(*[""] * repeats, *texts[repeats:])
    return grid


def heading(name: str) -> str:
    """A label broken before its options and between them, so that columns stay narrow."""
    name, bracket, options = name.partition("(")
    if not bracket:
        return name
    parts = [
        part if len(part) < NARROW else part.replace("=", "=\n") for part in options.split(", ")
    ]
    return name + "\n(" + ",\n".join(parts)
