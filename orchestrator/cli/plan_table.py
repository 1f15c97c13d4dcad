"""Prints a plan: its cells, what a trial of each needs, and what the sweep will cost."""

import math
from collections.abc import Collection, Iterator, Sequence

from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from orchestrator.cli.terminal import say
from orchestrator.labels import heading
from orchestrator.plan import growth
from orchestrator.plan.cost import Device, diagnostics_cost, estimate_cost
from orchestrator.plan.plan import Plan
from orchestrator.plan.resources import GIGABYTE, GPU_BYTES, trial_resources
from trainables.architectures import check_options, find

NAMES = ("task", "architecture")  # columns that hold no numbers
COLUMNS = (
    *NAMES,
    *("depth", "budget", "hidden", "counted", "under", "trials"),
    *("cpus", "gpus", "memory"),
)
MOST_LISTED = 5  # rungs that a warning names


def print_plan(plan: Plan, device: Device, console: Console) -> None:
    """Print the cells of a plan, the impossible ones, and the cost of the sweep on a device.

    A row has the hidden width, the counted parameters and how far these are under the budget.
    ``trials`` reads: trials of the cell x training steps of each.
    """
    resources = trial_resources(plan)
    samples = plan.spec.search.samples
    rows = []
    for cell in plan.cells:
        trial = resources[cell.id]
        rows.append(
            (
                heading(cell.task.label),
                heading(cell.architecture.label),
                str(cell.depth),
                f"{cell.budget:,}",
                f"{cell.hidden:,}",
                f"{cell.parameters:,}",
                f"{100 * (1 - cell.parameters / cell.budget):.1f} %",
                f"{samples:,} x {cell.training.steps:,}",
                f"{trial.cpus:g}",
                f"{trial.gpus:g}",
                f"{trial.memory / GIGABYTE:g} GB",
            )
        )
    console.print(_table(rows))
    for cell in plan.cells:
        if cell.unrounded != cell.hidden:
            options = check_options(cell.architecture.name, cell.architecture.options)
            multiple = find(cell.architecture.name).width_multiple(options)
            say(
                f"rounded down: {cell.task.label}, {cell.architecture.label}, depth {cell.depth}, "
                f"budget {cell.budget:,}: {cell.unrounded} units would fit, but the width must be "
                f"a multiple of {multiple}",
                console,
            )
    for impossible in plan.impossible:
        say(
            f"impossible: {impossible.task.label}, {impossible.architecture.label}, depth "
            f"{impossible.depth}, budget {impossible.budget:,}: {impossible.reason}",
            console,
        )
    if plan.lacking:
        say(f"cannot run yet: {plan.lacking}", console)
    for sentence in [*_skipped_rungs(plan), *growth.warnings(plan)]:
        say(sentence, console)
    if plan.spec.resources.gpus is None and any(trial.gpus for trial in resources.values()):
        say(
            f"gpus: of cards with {GPU_BYTES / GIGABYTE:.0f} GB; on a machine without any, such "
            "trials train on a core",
            console,
        )
    for line in _totals(plan, device):
        say(line, console)


def _table(rows: Sequence[Sequence[str]]) -> Table:
    """Return a table of the cells, made of one row whose texts have a line for each line of cells.

    Rich takes milliseconds for a row, however short, and a sweep may have thousands of cells.
    """
    heights = [max(text.count("\n") for text in row) for row in rows]
    table = Table(box=None, pad_edge=False, header_style="bold")
    texts = []
    for name, column in zip(COLUMNS, zip(*rows, strict=True), strict=True):
        justify: JustifyMethod = "left" if name in NAMES else "right"
        table.add_column(name, no_wrap=True, justify=justify)
        padded = (
            text + "\n" * (height - text.count("\n"))
            for text, height in zip(column, heights, strict=True)
        )
        texts.append(Text("\n".join(padded)))
    table.add_row(*texts)
    return table


def _skipped_rungs(plan: Plan) -> Iterator[str]:
    """Yield a warning for each task whose reports are too seldom for early stopping."""
    scheduler = plan.spec.scheduler
    for label, training in {cell.task.label: cell.training for cell in plan.cells}.items():
        if skipped := scheduler.skipped(training.report_steps):
            judged = scheduler.judged(training.report_steps).values()
            interval = training.evaluation_interval
            every = f" every {interval:,} steps," if isinstance(interval, int) else ""
            yield (
                f"warning: {label} reports{every} too "
                f"seldom for early stopping: no trial is judged at the {_listed(skipped)}, "
                + (f"only at the {_listed(judged)}" if judged else "so none is stopped")
                + "; lower training.evaluation_interval, or raise scheduler.grace or "
                "scheduler.reduction_factor"
            )


def _listed(rungs: Collection[float]) -> str:
    """Return the first steps at or behind some rungs, as ``rungs 10, 30, 90 and 2 more``."""
    steps = [f"{math.ceil(rung):,}" for rung in rungs]
    more = f" and {len(steps) - MOST_LISTED:,} more" if len(steps) > MOST_LISTED else ""
    return f"rung{'s' if len(steps) > 1 else ''} {', '.join(steps[:MOST_LISTED])}{more}"


def _totals(plan: Plan, device: Device) -> list[str]:
    stops_early = plan.spec.scheduler.method == "asha"
    without_stopping, with_stopping = estimate_cost(plan, device)
    return [
        f"\n{len(plan.cells):,} cell{'s' if len(plan.cells) > 1 else ''}, "
        f"{plan.trial_count:,} trials of {plan.spec.replicates} "
        f"network{'s' if plan.spec.replicates > 1 else ''}, {plan.step_count:,} training steps "
        + ("if none is stopped early" if stops_early else "in all"),
        f"{_counted(without_stopping.operations)} floating-point operations, "
        f"{_time(without_stopping.seconds)} on one worker of {device.name}"
        + (f"; with early stopping about {_time(with_stopping.seconds)}" if stops_early else ""),
        *_diagnostics(plan, device),
        f"{device.name}: {device.description}",
    ]


def _diagnostics(plan: Plan, device: Device) -> Iterator[str]:
    """Yield a line that says what diagnostics add to the cost, if the sweep has any."""
    if plan.spec.diagnostics is not None:
        added, _ = diagnostics_cost(plan, device)
        yield (
            f"diagnostics are {_counted(added.operations)} of these operations and "
            f"{_time(added.seconds)} of this time"
        )


def _counted(operations: float) -> str:
    return f"{operations:.2g}".replace("e+", "e")


def _time(seconds: float) -> str:
    hours = seconds / 3600
    return f"{seconds / 60:.2g} minutes" if hours < 1 else f"{hours:,.{hours < 100:d}f} hours"
