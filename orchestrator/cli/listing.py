"""What there is: architectures, tasks, sweeps."""

import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import Any, get_type_hints

from rich.console import Console

from orchestrator.errors import BadInput
from orchestrator.ledger import Ledger
from orchestrator.paths import sweeps
from orchestrator.spec import load
from orchestrator.variant import has_variant
from trainables.architectures import ARCHITECTURES
from trainables.architectures.layer import StackOptions
from trainables.registry import describe
from trainables.storage import Location
from trainables.tasks import TASKS, make


def print_architectures(console: Console) -> None:
    """Each architecture with its source and options, then the options that all have."""
    common = {field.name for field in dataclasses.fields(StackOptions)}
    for name, layer in ARCHITECTURES.items():
        depth = f"; depth {layer.minimal_depth} or more" if layer.minimal_depth > 1 else ""
        _entry(console, name, f"{layer.summary}{depth}", layer.source, layer.Options, common)
    _line(console, "\nEvery architecture also has")
    _options(console, StackOptions)
    _line(
        console,
        "\nAn architecture of your own is named by its path, mypackage.cells:MyCell "
        "(docs/extending.md).",
    )


def print_tasks(console: Console) -> None:
    """Each task with its source, shape and options."""
    for name, task in TASKS.items():
        _entry(console, name, task.summary, task.source, task.Options)
        made = make(name)
        better = "more" if made.higher_is_better else "less"
        _line(
            console,
            f"  {made.inputs} inputs, {made.outputs} outputs, {made.length} steps; "
            f"{made.metric_name}, {better} is better, {made.baseline().metric:.3g} by chance",
        )
        for hyperparameter, domain in made.hyperparameters.items():
            _line(console, f"  searched: {hyperparameter}: {domain}")
    _line(
        console,
        "\nA task of your own is named by its path, mypackage.tasks:MyTask (docs/extending.md).",
    )


def print_sweeps(console: Console, files: Path, results: Location) -> None:
    """Sweep files, and the sweeps that have results."""
    for path in sorted(files.glob("*.y*ml")):
        try:
            small = ", with a small variant (--small)" if has_variant(path) else ""
            _line(console, f"{path}  sweep '{load(path).name}'{small}")
        except BadInput as error:
            _line(console, str(error))
    for paths in sweeps(results):
        _line(console, f"{paths.folder}  {len(Ledger(paths.ledger).trials())} trials in the ledger")


def _entry(
    console: Console,
    name: str,
    summary: str,
    source: str,
    options: Any,
    hidden: Collection[str] = (),
) -> None:
    _line(console, f"{name:<26} {summary}; {source}")
    _options(console, options, hidden)


def _options(console: Console, options: Any, hidden: Collection[str] = ()) -> None:
    hints = get_type_hints(options)
    for option in dataclasses.fields(options):
        if option.name not in hidden:
            default = "searched" if option.default is None else _written(option.default)
            _line(console, f"  {option.name}: {describe(hints[option.name])} = {default}")


def _written(value: Any) -> str:
    """As a sweep file would have it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _line(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
