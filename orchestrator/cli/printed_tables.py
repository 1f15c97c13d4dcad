"""Prints tables on a terminal, never wider than it is."""

import pandas as pd
from rich.console import Console, JustifyMethod
from rich.table import Table as RichTable

from orchestrator.cli.terminal import say
from orchestrator.labels import heading
from orchestrator.views.tables.table import Table


def print_table(table: Table, console: Console) -> None:
    """Print the table; columns that the terminal has no room for follow below it."""
    if table.shown.empty:
        return
    shown = table.shown
    heads, values = list(shown.columns[: table.index]), list(shown.columns[table.index :])
    # Where there is nothing at all, a column of dashes only takes room.
    values = [name for name in values if (shown[name] != "-").any()] or values
    console.print(f"\n[bold]{table.title}[/bold]")
    if _width(_grid(shown[heads + values[:1]], len(heads)), console) > console.width:
        same = [name for name in heads if shown[name].nunique() == 1]
        heads = [name for name in heads if name not in same]
        everywhere = ", ".join(f"{name} {shown[name].iloc[0]}" for name in same)
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
        head = position < index  # broken where not even one column of values fits beside it
        justify: JustifyMethod = "left" if head else "right"
        grid.add_column(heading(str(name)), justify=justify, no_wrap=not head, overflow="fold")
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
