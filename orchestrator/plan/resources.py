"""Computes the resources that a trial of each cell occupies: cores, a share of a GPU, memory.

Values that the sweep file gives under ``resources`` hold for all cells. The others are computed
from the cell's parameter count, batch size and sequence length. Memory and GPU shares are rounded
up to few sizes, because Tune reuses a worker process only for a trial that asks for the same.
"""

import math
from dataclasses import dataclass

from orchestrator.plan.cells import Cell
from orchestrator.plan.plan import Plan
from trainables import tasks
from trainables.diagnostics.curvature import MOST_BYTES
from trainables.training import EVALUATION_CHUNK
from trainables.workload import TRAINING

GIGABYTE = 1e9
NUMBER_BYTES = 4  # networks compute in float32
WORKER_BYTES = 0.7e9  # main memory of a worker process with Ray and torch that trains nothing
CONTEXT_BYTES = 0.6e9  # GPU memory that each process takes for its CUDA context
COPIES_OF_WEIGHTS = 6  # weights, gradients, two moments and two temporaries of the optimizer
COPIES_OF_STATES = 12  # tensors of the size of all states that a training step has at once
# Tensors of the size of all states in the graph of a second derivative, at the most: two for each
# of the first one.
COPIES_IN_CURVATURE = 2 * COPIES_OF_STATES
COPIES_IN_EVALUATION = 3  # the same for an evaluation, which needs no gradients
GPU_BYTES = 16e9  # assumed memory of a GPU whose memory is not known
# Operations of a training step below which a CPU core is not slower than a GPU, which starts a
# kernel for every time step. A rule of thumb.
GPU_OPERATIONS = 1e9
WHOLE_GPU_OPERATIONS = 1e11  # a training step of so many operations fills a GPU by itself
SHARING = (1, 2, 4, 8)  # numbers of trials that may share a GPU


@dataclass(frozen=True)
class TrialResources:
    """Holds the resources that one trial occupies while it runs.

    Attributes:
        cpus: number of processor cores.
        gpus: number of GPUs: 0, a fraction, or a whole number.
        memory: bytes of main memory.
    """

    cpus: float
    gpus: float
    memory: int

    def as_ray(self) -> dict[str, float]:
        """Return the amounts by Ray's names; a resource that is not needed is left out."""
        amounts = {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory}
        return {name: amount for name, amount in amounts.items() if amount}

    def __str__(self) -> str:
        return f"cpus: {self.cpus:g}, gpus: {self.gpus:g}, memory: {self.memory / GIGABYTE:g}"


def trial_resources(plan: Plan, gpu_bytes: float | None = GPU_BYTES) -> dict[str, TrialResources]:
    """Return the resources that one trial of each cell needs, by the cell's id.

    Args:
        plan: plan of the sweep.
        gpu_bytes: memory of the smallest GPU in bytes; None if there is no GPU.
    """
    return {cell.id: _resources(plan, cell, gpu_bytes) for cell in plan.cells}


def _resources(plan: Plan, cell: Cell, gpu_bytes: float | None) -> TrialResources:
    spec = plan.spec.resources
    task = tasks.shared(cell.task.name, cell.task.options)
    samples = max(plan.held_out_sizes(cell))
    held_out_bytes = 2 * samples * task.length * task.inputs * NUMBER_BYTES
    step = cell.workload(cell.training.batch_size)
    states = max(
        COPIES_OF_STATES * step.elements,
        COPIES_IN_EVALUATION * cell.workload(EVALUATION_CHUNK).elements,
    )
    batch = cell.replicates * cell.training.batch_size * task.length
    training_bytes = _curvature_bytes(plan, cell, samples) + NUMBER_BYTES * (
        COPIES_OF_WEIGHTS * cell.replicates * cell.parameters
        + states
        + 3 * batch * (task.inputs + task.outputs)
    )
    operations = TRAINING * step.products
    gpus = spec.gpus
    if gpus is None:
        gpus = 0.0
        if gpu_bytes is not None and operations >= GPU_OPERATIONS:
            gpus = _share(training_bytes + held_out_bytes + CONTEXT_BYTES, operations, gpu_bytes)
    gigabytes = spec.memory
    if gigabytes is None:
        bytes_needed = WORKER_BYTES + held_out_bytes + (0 if gpus else training_bytes)
        gigabytes = 2.0 ** math.ceil(math.log2(bytes_needed / GIGABYTE))
    cpus = 1.0 if spec.cpus is None else spec.cpus
    return TrialResources(cpus, gpus, round(gigabytes * GIGABYTE))


def _curvature_bytes(plan: Plan, cell: Cell, held_out: int) -> float:
    """Return the bytes of the graphs of a curvature, which is measured one network at a time."""
    request = plan.spec.diagnostics
    if request is None or not request.hessian:
        return 0.0
    states = cell.workload(min(request.samples, held_out)).elements / cell.replicates
    graphs = NUMBER_BYTES * COPIES_IN_CURVATURE * states
    return min(graphs, float(MOST_BYTES))


def _share(bytes_needed: float, operations: float, gpu_bytes: float) -> float:
    """Return the share of one GPU that a trial needs: 1, 1/2, 1/4 or 1/8."""
    fitting = 1 if operations >= WHOLE_GPU_OPERATIONS else gpu_bytes / bytes_needed
    return 1 / max(number for number in SHARING if number <= max(fitting, 1))
