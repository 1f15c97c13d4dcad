"""What a trial of each cell occupies while it runs: cores, a share of a GPU, memory.

What the sweep file says under ``resources`` holds for all cells. The rest is computed from the
cell's counted parameters, its batch and its length. Memory and shares are rounded up to few sizes:
a worker process goes on from one cell to the next only where both ask for the same.
"""

import math
from dataclasses import dataclass

from orchestrator.plan import Cell, Plan
from orchestrator.workloads import held_out_sizes, work
from trainables import tasks
from trainables.training import EVALUATION_CHUNK
from trainables.workload import TRAINING

GIGABYTE = 1e9
NUMBER_BYTES = 4
WORKER_BYTES = 0.7e9  # a process with Ray and torch that trains nothing
CONTEXT_BYTES = 0.6e9  # of a GPU, a process
COPIES_OF_WEIGHTS = 6  # weights, gradients, two moments, and two for the optimizer to work with
COPIES_OF_STATES = 12  # what a step keeps of each state of each layer, and works with
COPIES_IN_EVALUATION = 3
GPU_BYTES = 16e9  # of a GPU whose memory is not known
# In a training step; below it a processor core is not slower than a GPU that starts a kernel for
# every time step. A rule of thumb.
GPU_OPERATIONS = 1e9
WHOLE_GPU_OPERATIONS = 1e11  # such a step fills a GPU by itself
SHARING = (1, 2, 4, 8)  # trials a GPU


@dataclass(frozen=True)
class Need:
    """Of one trial.

    Attributes:
        gpus: none, a share of one, or several.
        memory: bytes of the machine's.
    """

    cpus: float
    gpus: float
    memory: int

    def resources(self) -> dict[str, float]:
        """By Ray's names; what is not needed is left out."""
        asked = {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory}
        return {name: amount for name, amount in asked.items() if amount}

    def __str__(self) -> str:
        parts = [f"cpus: {self.cpus:g}", f"gpus: {self.gpus:g}"]
        return f"{', '.join(parts)}, memory: {self.memory / GIGABYTE:g}"


def needs(plan: Plan, gpu_bytes: float | None = GPU_BYTES) -> dict[str, Need]:
    """Of a trial of each cell, by its id.

    Args:
        gpu_bytes: memory of the smallest GPU, where there are GPUs.
    """
    return {cell.id: _need(plan, cell, gpu_bytes) for cell in plan.cells}


def _need(plan: Plan, cell: Cell, gpu_bytes: float | None) -> Need:
    said = plan.spec.resources
    task = tasks.make(cell.task.name, cell.task.options)
    samples = max(held_out_sizes(plan, cell, task))
    held_out = 2 * samples * task.length * task.inputs * NUMBER_BYTES
    step = work(plan, cell, task, cell.training.batch_size)
    states = max(
        COPIES_OF_STATES * step.elements,
        COPIES_IN_EVALUATION * work(plan, cell, task, EVALUATION_CHUNK).elements,
    )
    batch = plan.spec.replicates * cell.training.batch_size * task.length
    training = NUMBER_BYTES * (
        COPIES_OF_WEIGHTS * plan.spec.replicates * cell.parameters
        + states
        + 3 * batch * (task.inputs + task.outputs)
    )
    operations = TRAINING * step.products
    gpus = said.gpus
    if gpus is None:
        gpus = 0.0
        if gpu_bytes is not None and operations >= GPU_OPERATIONS:
            gpus = _share(training + held_out + CONTEXT_BYTES, operations, gpu_bytes)
    memory = said.memory
    if memory is None:
        bytes_needed = WORKER_BYTES + held_out + (0 if gpus else training)
        memory = 2.0 ** math.ceil(math.log2(bytes_needed / GIGABYTE))
    cpus = 1.0 if said.cpus is None else said.cpus
    return Need(cpus, gpus, round(memory * GIGABYTE))


def _share(bytes_needed: float, operations: float, gpu_bytes: float) -> float:
    """Of one GPU: 1, a half, a quarter or an eighth, whatever it holds of such trials."""
    fitting = 1 if operations >= WHOLE_GPU_OPERATIONS else gpu_bytes / bytes_needed
    return 1 / max(number for number in SHARING if number <= max(fitting, 1))
