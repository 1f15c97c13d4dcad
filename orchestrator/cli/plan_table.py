"""A plan for eyes."""

from rich.console import Console
from rich.table import Table

from orchestrator.cost import Device, cost
from orchestrator.labels import heading
from orchestrator.needs import GIGABYTE, GPU_BYTES, needs
from orchestrator.plan import Plan
from trainables.architectures import check_options, find

NEEDS = ("cpus", "gpus", "memory")  # of a trial


def print_plan(plan: Plan, device: Device, console: Console) -> None:
    """Cells with hidden width, counted parameters and how far these are under the budget.

    At the end what it all costs on ``device``.

    ``trials`` reads: trials of the cell x training steps of each.
    """
    samples = plan.spec.search.samples
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("task", "architecture"):
        table.add_column(name, no_wrap=True)
    for name in ("depth", "budget", "hidden", "counted", "under", "trials", *NEEDS):
        table.add_column(name, justify="right", no_wrap=True)
    needed = needs(plan)
    for cell in plan.cells:
        need = needed[cell.id]
        table.add_row(
            heading(cell.task.label),
            heading(cell.architecture.label),
            str(cell.depth),
            f"{cell.budget:,}",
            f"{cell.hidden:,}",
            f"{cell.parameters:,}",
            f"{100 * (1 - cell.parameters / cell.budget):.1f} %",
            f"{samples:,} x {cell.training.steps:,}",
            f"{need.cpus:g}",
            f"{need.gpus:g}",
            f"{need.memory / GIGABYTE:g} GB",
        )
    console.print(table)
    for cell in plan.cells:
        if cell.unrounded != cell.hidden:
            options = check_options(cell.architecture.name, cell.architecture.options)
            multiple = find(cell.architecture.name).width_multiple(options)
            console.print(
                f"rounded down: {cell.task.label}, {cell.architecture.label}, depth {cell.depth}, "
                f"budget {cell.budget:,}: {cell.unrounded} units would fit, but the width must be "
                f"a multiple of {multiple}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
    for never in plan.impossible:
        console.print(
            f"impossible: {never.task.label}, {never.architecture.label}, depth {never.depth}, "
            f"budget {never.budget:,}: {never.reason}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    if plan.lacking:
        console.print(
            f"cannot run yet: {plan.lacking}", markup=False, highlight=False, soft_wrap=True
        )
    if plan.spec.resources.gpus is None and any(need.gpus for need in needed.values()):
        console.print(
            f"gpus: of cards with {GPU_BYTES / GIGABYTE:.0f} GB; on a machine without any, such "
            "trials train on a core",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    early = plan.spec.scheduler.method == "asha"
    whole, stopped = cost(plan, device)
    for line in (
        f"\n{len(plan.cells):,} cell{'s' if len(plan.cells) > 1 else ''}, "
        f"{plan.trial_count:,} trials of {plan.spec.replicates} "
        f"network{'s' if plan.spec.replicates > 1 else ''}, {plan.step_count:,} training steps "
        + ("if none is stopped early" if early else "in all"),
        f"{_counted(whole.operations)} floating-point operations, {_time(whole.seconds)} on one "
        f"worker of {device.name}"
        + (f"; with early stopping about {_time(stopped.seconds)}" if early else ""),
        f"{device.name}: {device.description}",
    ):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _counted(operations: float) -> str:
    return f"{operations:.2g}".replace("e+", "e")


def _time(seconds: float) -> str:
    hours = seconds / 3600
    return f"{seconds / 60:.2g} minutes" if hours < 1 else f"{hours:,.{hours < 100:d}f} hours"
