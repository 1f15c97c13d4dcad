"""Warns of cells whose states grow beyond the divergence threshold over a task's time steps."""

import math
from collections.abc import Iterator

from orchestrator.plan.cells import Cell
from orchestrator.plan.plan import Plan
from trainables import tasks
from trainables.architectures import check_options, find
from trainables.architectures.layer import Growth

# Size of a state that does not grow, against which its growth is set: the drives of many time steps
# add up. With it, factors of 1.01 over 784 steps, which are infeasible within five training steps,
# are warned of, and factors of 1.005, which train, are not (docs/science.md).
STATE = 10.0
MOST_NAMED = 3  # cells that a warning names


def warnings(plan: Plan) -> Iterator[str]:
    """Yield a warning for each task on which states of some cells grow beyond the threshold.

    A state that may grow by a factor g at each step (:meth:`.Layer.growth`) reaches about
    ``STATE`` g^T after T steps. Where that is more than the divergence threshold, the losses are,
    too.

    Args:
        plan: plan of a sweep.
    """
    cells: dict[str, list[Cell]] = {}
    for cell in plan.cells:
        cells.setdefault(cell.task.label, []).append(cell)
    for label, of_task in cells.items():
        task = of_task[0].task
        length = tasks.shared(task.name, task.options).length
        threshold = of_task[0].training.divergence_threshold
        bearable = (threshold / STATE) ** (1 / length)
        growths = {cell.architecture.label: _growth(cell) for cell in of_task}
        growing = {name: growth for name, growth in growths.items() if growth.factor > bearable}
        if not growing:
            continue
        worst = max(growing.values(), key=lambda growth: growth.factor)
        named = ", ".join([*growing][:MOST_NAMED])
        more = f" and {len(growing) - MOST_NAMED} more" if len(growing) > MOST_NAMED else ""
        # Rounded down to what is still bearable.
        most = max(math.floor(bearable * 1000) / 1000, 1.0)
        yield (
            f"warning: {label}: networks of {named}{more} will be infeasible within a few training "
            f"steps: {worst.of} is {'up to ' if len(growing) > 1 else ''}{worst.factor:g}, and "
            f"{worst.factor:g}^{length} = {_power(worst.factor, length)} takes states beyond the "
            f"divergence threshold of {threshold:,g}; {length} steps bear {most:g}"
        )


def _growth(cell: Cell) -> Growth:
    options = check_options(cell.architecture.name, cell.architecture.options)
    return find(cell.architecture.name).growth(options)


def _power(base: float, exponent: int) -> str:
    """Return a power in two digits, also where it is beyond the numbers of a float."""
    digits = exponent * math.log10(base)
    whole = math.floor(digits)
    return f"{10 ** (digits - whole):.1f}e{whole}" if whole > 5 else f"{base**exponent:,.0f}"
