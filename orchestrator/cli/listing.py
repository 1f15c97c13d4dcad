"""Lists the architectures, tasks and sweeps that there are."""

import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import Any, get_type_hints

from orchestrator.cli.terminal import say
from orchestrator.errors import BadInput, explained
from orchestrator.ledger import Ledger
from orchestrator.paths import sweeps
from orchestrator.spec.small import has_variant
from orchestrator.spec.sweep import load
from trainables.architectures import ARCHITECTURES
from trainables.architectures.layer import StackOptions
from trainables.registry import IN_A_FILE, describe
from trainables.storage import Location
from trainables.tasks import TASKS, make


def print_architectures() -> None:
    """Print each architecture with its source and options, then the options that all have."""
    common = {field.name for field in dataclasses.fields(StackOptions)}
    for name, layer in ARCHITECTURES.items():
        depth = f"; depth {layer.minimal_depth} or more" if layer.minimal_depth > 1 else ""
        _print_entry(name, f"{layer.summary}{depth}", layer.source, layer.Options, common)
    say("\nEvery architecture also has")
    _print_options(StackOptions)
    say(
        "\nAn architecture of your own is named by its path, mypackage.cells:MyCell "
        "(docs/extending.md)."
    )


def print_tasks() -> None:
    """Print each task with its source, shape and options."""
    for name, kind in TASKS.items():
        _print_entry(name, kind.summary, kind.source, kind.Options)
        task = make(name)
        better = "more" if task.higher_is_better else "less"
        say(
            f"  {task.inputs} inputs, {task.outputs} outputs, {task.length} steps; "
            f"{task.metric_name}, {better} is better, {task.baseline().metric:.3g} by chance"
        )
        for hyperparameter, domain in task.hyperparameters.items():
            say(f"  searched: {hyperparameter}: {domain}")
    say("\nA task of your own is named by its path, mypackage.tasks:MyTask (docs/extending.md).")


def print_sweeps(files: Path, results: Location) -> None:
    """Print the sweep files of a folder, and the sweeps that have results."""
    for path in sorted(files.glob("*.y*ml")):
        try:
            small = ", with a small variant (--small)" if has_variant(path) else ""
            say(f"{path}  sweep '{load(path).name}'{small}")
        except BadInput as error:
            say(str(error))
    for paths in sweeps(results):
        try:
            paths.require_sweep()
            trials = Ledger(paths.ledger).trials(["outcome"])
            say(f"{paths.folder}  {len(trials)} trials in the ledger")
        except (BadInput, OSError) as error:  # the other sweeps are still shown
            say(explained(error))


def _print_entry(
    name: str, summary: str, source: str, options: Any, hidden: Collection[str] = ()
) -> None:
    say(f"{name:<26} {summary}; {source}")
    _print_options(options, hidden)


def _print_options(options: Any, hidden: Collection[str] = ()) -> None:
    hints = get_type_hints(options)
    for option in dataclasses.fields(options):
        if option.name not in hidden:
            default = "searched" if option.default is None else _as_in_a_file(option.default)
            default = option.metadata.get(IN_A_FILE, default)
            say(f"  {option.name}: {describe(hints[option.name])} = {default}")


def _as_in_a_file(value: Any) -> str:
    """Return a value as a sweep file would have it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)
