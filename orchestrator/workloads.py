"""What trials of a cell work on, for what they cost and what they need."""

from orchestrator.plan import Cell, Plan
from trainables import tasks
from trainables.workload import Workload

CONFIGURATIONS = 20  # of a cell, of which evaluation sets are looked at


def work(plan: Plan, cell: Cell, task: tasks.Task, batch: int) -> Workload:
    """A step of a trial of ``cell`` on ``batch`` samples a network."""
    return Workload.of(
        task,
        cell.architecture.name,
        hidden=cell.hidden,
        depth=cell.depth,
        parameters=cell.parameters,
        lanes=plan.spec.replicates,
        batch=batch,
    )


def held_out_sizes(plan: Plan, cell: Cell, task: tasks.Task) -> list[int]:
    """Samples of an evaluation set: one number, or of some configurations where it is theirs."""
    if not task.hyperparameters:
        return [task.held_out_size]
    return [
        task.configured(plan.configuration(cell, index), cell.parameters).held_out_size
        for index in range(min(plan.spec.search.samples, CONFIGURATIONS))
    ]
