"""Prints tables on a terminal, never wider than it is."""

import pandas as pd
from rich.console import Console, JustifyMethod
from rich.table import Table as RichTable
from rich.text import Text

from orchestrator.cli.terminal import say
from orchestrator.labels import heading
from orchestrator.views.tables.table import Table


def print_table(table: Table, console: Console) -> None:
    """Print a table; columns that do not fit on the terminal follow below it."""
    if table.shown.empty:
        return
    shown = table.shown
    heads, values = list(shown.columns[: table.index]), list(shown.columns[table.index :])
    # A column with nothing but dashes says nothing and takes room.
    values = [name for name in values if (shown[name] != "-").any()] or values
    console.print(Text(f"\n{table.title}", style="bold"))
    if _width(_grid(shown[heads + values[:1]], len(heads)), console) > console.width:
        constant = [name for name in heads if shown[name].nunique() == 1]
        heads = [name for name in heads if name not in constant]
        everywhere = ", ".join(f"{name} {shown[name].iloc[0]}" for name in constant)
        if everywhere:
            say(f"Everywhere: {everywhere}", console, wrap=True)
    while values:
        fitting = len(values)
        grid = _grid(shown[heads + values], len(heads))
        while fitting > 1 and _width(grid, console) > console.width:
            fitting -= 1
            grid = _grid(shown[heads + values[:fitting]], len(heads))
        console.print(grid)
        values = values[fitting:]
    for note in table.notes:
        say(note, console, style="dim", wrap=True)


def _width(grid: RichTable, console: Console) -> int:
    return console.measure(grid, options=console.options.update(width=10_000)).maximum


def _grid(frame: pd.DataFrame, index: int) -> RichTable:
    grid = RichTable(box=None, padding=(0, 1), pad_edge=False, header_style="bold")
    for position, name in enumerate(frame.columns):
        is_head = position < index
        justify: JustifyMethod = "left" if is_head else "right"
        # Only heads may be broken, if not even one column of values fits beside them.
        # Texts, for strings would be read as markup, and labels may hold brackets.
        grid.add_column(
            Text(heading(str(name))), justify=justify, no_wrap=not is_head, overflow="fold"
        )
    previous_row: tuple[object, ...] = ()
    for row in frame.itertuples(index=False):
        # Heads that repeat those of the row above are left out.
        repeats = 0
        while repeats < index and previous_row[: repeats + 1] == tuple(row)[: repeats + 1]:
            repeats += 1
        previous_row = tuple(row)
        texts = [heading(str(value)) if i < index else str(value) for i, value in enumerate(row)]
        grid.add_row(*[""] * repeats, *map(Text, texts[repeats:]))
    return grid
