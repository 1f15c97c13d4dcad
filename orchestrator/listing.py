"""What there is: architectures, tasks, sweeps."""

import dataclasses
from pathlib import Path
from typing import Any, get_args, get_type_hints

from rich.console import Console

from orchestrator.errors import BadInput
from orchestrator.ledger import Ledger
from orchestrator.paths import SweepPaths
from orchestrator.spec import load
from trainables.architectures import ARCHITECTURES
from trainables.tasks import TASKS, make


def print_architectures(console: Console) -> None:
    """Each architecture with its source and options."""
    for name, cell in ARCHITECTURES.items():
        depth = f"; depth {cell.minimal_depth} or more" if cell.minimal_depth > 1 else ""
        _entry(console, name, f"{cell.summary}{depth}", cell.source, cell.Options)


def print_tasks(console: Console) -> None:
    """Each task with its source, shape and options."""
    for name, task in TASKS.items():
        _entry(console, name, task.summary, task.source, task.Options)
        made = make(name)
        _line(
            console,
            f"  {made.inputs} inputs, {made.outputs} outputs, {made.length} steps; "
            f"{made.metric_name}, {made.baseline().metric:.3g} for a constant",
        )


def print_sweeps(console: Console, files: Path, results: Path) -> None:
    """Sweep files, and the sweeps that have results."""
    for path in sorted(files.glob("*.y*ml")):
        try:
            _line(console, f"{path}  sweep '{load(path).name}'")
        except BadInput as error:
            _line(console, str(error))
    for definition in sorted(results.glob("*/sweep.json")):
        paths = SweepPaths(results, definition.parent.name)
        _line(console, f"{paths.folder}  {len(Ledger(paths.ledger).trials())} trials in the ledger")


def _entry(console: Console, name: str, summary: str, source: str, options: Any) -> None:
    _line(console, f"{name:<13} {summary} ({source})")
    hints = get_type_hints(options)
    for option in dataclasses.fields(options):
        hint = hints[option.name]
        kind = " or ".join(map(repr, get_args(hint))) or hint.__name__
        _line(console, f"  {option.name}: {kind} = {option.default}")


def _line(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
