"""Diagnoses the lanes of a network on held-out samples."""

import copy
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from trainables.architectures.layer import Layer
from trainables.architectures.network import Network
from trainables.diagnostics import curvature
from trainables.diagnostics.gradients import gradient_norms
from trainables.diagnostics.lanes import of_lanes
from trainables.diagnostics.lyapunov import SEQUENCES, lyapunov_exponents
from trainables.diagnostics.measured import NETWORK, Measured, Quantity, Settings
from trainables.tasks import Batch, Task

CURVATURES: tuple[tuple[Callable[..., Tensor], Quantity, Quantity], ...] = (
    (curvature.hessian, "hessian_eigenvalues", "hessian_large"),
    (curvature.gauss_newton, "gauss_newton_eigenvalues", "gauss_newton_large"),
)


def diagnose(
    network: Network,
    task: Task,
    held_out: Batch,
    settings: Settings,
    feasible: Sequence[bool] | None = None,
) -> list[Measured]:
    """Measure the diagnostics of every feasible lane of a network.

    Network, gradients of its parameters and torch's random state stay as they are. Exponents and
    gradients are computed in float64, since gradients that vanish over time leave the range of
    smaller numbers; curvature in the number format of the network.

    Args:
        network: the network.
        task: task that the network is trained on.
        held_out: samples of a held-out set, of which the first ones are used.
        settings: what is measured.
        feasible: whether each lane is feasible; the others are passed over. None: all are.

    Returns:
        What was measured, a quantity after the other, by layer and lane.
    """
    lanes = [lane for lane in range(network.lanes) if feasible is None or feasible[lane]]
    if not lanes:
        return []
    copied = copy.deepcopy(network).requires_grad_(False)
    precise = copy.deepcopy(copied).to(torch.float64)
    device, dtype = network.readout_bias.device, network.readout_bias.dtype
    size = min(settings.samples, held_out.inputs.shape[2])
    inputs = held_out.inputs[:, :, :size].to(device)
    x = inputs.to(torch.float64).expand(network.lanes, -1, -1, -1)
    targets = held_out.targets[:, :size].to(device)
    measured: list[Measured] = []

    def record(
        quantity: Quantity,
        by_layer: Sequence[Tensor],
        samples: int,
        seconds: float,
        first_layer: int = 0,
    ) -> None:
        measured.extend(
            Measured(
                lane=lane,
                layer=layer,
                quantity=quantity,
                values=values[lane].tolist(),
                samples=samples,
                seconds=seconds / (len(by_layer) * len(lanes)),
            )
            for layer, values in enumerate(by_layer, first_layer)
            for lane in lanes
        )

    if settings.lyapunov:
        begin, few = time.perf_counter(), x[:, :, :SEQUENCES]
        with torch.no_grad():
            by_layer = precise.layer_inputs(few)
        exponents = [
            lyapunov_exponents(layer, layer_inputs)
            for layer, layer_inputs in zip(precise.layers, by_layer, strict=True)
            if isinstance(layer, Layer)
        ]
        record("lyapunov_exponents", exponents, few.shape[2], time.perf_counter() - begin)
    if settings.gradients:
        begin = time.perf_counter()
        norms = gradient_norms(precise, task, x, targets)
        record("gradient_norms", norms, size, time.perf_counter() - begin)
    if settings.hessian:
        x = inputs.to(dtype).expand(network.lanes, -1, -1, -1)
        # One lane after the other: the graphs that are kept then cover as many samples as they can.
        alone = {lane: of_lanes(copied, [lane]) for lane in lanes}
        for function, eigenvalues, large in CURVATURES:
            begin = time.perf_counter()
            values = torch.empty(network.lanes, 0, dtype=torch.float64)
            for lane in lanes:
                of_lane = slice(lane, lane + 1)
                own_targets = targets if len(targets) == 1 else targets[of_lane]
                (row,) = function(alone[lane], task, x[of_lane], own_targets, settings.hessian)
                if not values.shape[1]:
                    values = row.new_full((network.lanes, len(row)), torch.nan)
                values[lane] = row
            seconds = time.perf_counter() - begin
            record(eigenvalues, [values], size, seconds, first_layer=NETWORK)
            record(large, [curvature.count_large(values)], size, 0.0, first_layer=NETWORK)
    return measured
