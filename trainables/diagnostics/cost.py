"""Counts the operations of a diagnosis, from which its time is estimated."""

from collections.abc import Mapping
from typing import Any

from trainables.architectures import build
from trainables.architectures.layer import Layer
from trainables.diagnostics.curvature import PRODUCTS_OF_A_ROW
from trainables.diagnostics.lyapunov import SEQUENCES
from trainables.diagnostics.measured import Settings
from trainables.tasks import Task
from trainables.workload import FORWARD, TRAINING, Workload

# Products with a weight, for each of a forward pass, in one product of a vector with a matrix of
# curvature: two in each of three passes with the Hessian, two in each of two passes with the
# Gauss-Newton matrix. The latter are at most as many as take the time of the Jacobians of outputs.
HESSIAN, GAUSS_NEWTON = 6.0, 4.0
# Floating-point operations per cube of the state's width for a time step's share of exponents: the
# product J Q takes 2, a QR decomposition with Q itself 8 / 3.
QR = 2 + 8 / 3


def operations(
    settings: Settings,
    task: Task,
    architecture: str,
    options: Mapping[str, Any],
    *,
    hidden: int,
    depth: int,
    parameters: int,
    lanes: int,
) -> float:
    """Return the floating-point operations of one diagnosis, of matrix products and decompositions.

    Args:
        settings: what is measured.
        task: task that the networks are trained on.
        architecture: registered name or dotted path of the architecture.
        options: values of the architecture's options by name.
        hidden: hidden width.
        depth: number of layers.
        parameters: parameter count of one network.
        lanes: number of networks that are diagnosed.
    """
    sizes = {"hidden": hidden, "depth": depth, "parameters": parameters, "lanes": lanes}
    products = Workload.of(task, architecture, **sizes, batch=1).products  # one sample of each lane
    samples = min(settings.samples, task.held_out_size)
    total = 0.0
    if settings.lyapunov:
        shape: dict[str, Any] = {"hidden": hidden, "depth": depth, "options": options}
        network = build(
            architecture, inputs=task.inputs, outputs=task.outputs, **shape, device="meta"
        )
        layer = next(layer for layer in network.layers if isinstance(layer, Layer))
        width = sum(layer.state_widths)
        sequences = min(SEQUENCES, samples)
        total += FORWARD * products * sequences
        if layer.exponents() is None:
            # A row of a Jacobian takes a forward pass, and a backward one by the state alone.
            total += 2 * FORWARD * products * sequences * width
            total += QR * width**3 * task.length * depth * lanes * sequences
    if settings.gradients:
        total += 2 * FORWARD * products * samples
    if settings.hessian:
        graphs = 2 * TRAINING  # of each matrix
        rows = (task.length - task.first_output) * task.outputs
        gauss_newton = GAUSS_NEWTON * min(settings.hessian, PRODUCTS_OF_A_ROW * rows)
        of_all = FORWARD * (HESSIAN * settings.hessian + gauss_newton)
        total += products * samples * (graphs + of_all)
    return total
