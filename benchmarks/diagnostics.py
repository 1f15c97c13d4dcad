"""Measures the time of diagnosing one wcrnn, and a Hessian product beside autograd's own.

    python benchmarks/diagnostics.py [--record] [--samples 1000] [--length 784]

The network has 100 units and a scaled residual, the task is adding. Loops over time are compiled
and loaded before, as they are in a worker that trains. All figures are seconds of CPU
time on one thread, which other programs on the machine change less than the time on the clock.
Peer: ``torch.autograd.functional.vhp`` on the same network as a loop of PyTorch's operations, for
one product with the Hessian, over chunks of samples of the same size.
"""

import argparse
import time
from collections.abc import Callable
from typing import TypeVar

import torch
from recording import record
from torch import Tensor
from torch.autograd.functional import vhp

from trainables import tasks, worker
from trainables.architectures import Network, build
from trainables.architectures.residual import WeaklyCoupledRNN
from trainables.diagnostics import Settings, curvature, diagnose
from trainables.tasks import Task

T = TypeVar("T")

UNITS, PRODUCTS = 100, 20
OPTIONS = {"residual": "scaled", "alpha": 0.98, "gamma": 0.05}
CHUNK = 200  # samples in a chunk of the peer
TARGET = 60.0  # largest seconds of all diagnostics of one network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/")
    parser.add_argument("--samples", type=int, default=1000, help="held-out samples")
    parser.add_argument("--length", type=int, default=784, help="time steps")
    args = parser.parse_args()
    worker.prepare(threads=1)
    task = tasks.make("adding", {"length": args.length})
    network = build("wcrnn", inputs=2, outputs=1, hidden=UNITS, options=OPTIONS)
    network.initialize([{}], [torch.Generator().manual_seed(0)])
    held_out = task.held_out("evaluation", seed=0)
    x, targets = held_out.inputs[:, :, : args.samples], held_out.targets[:, : args.samples]
    diagnose(network, task, held_out, Settings(lyapunov=True, gradients=True, hessian=2, samples=5))
    own, large = _own_product(network, task, x, targets)
    peer, by_peer = _peers_product(network, task, x, targets)
    seconds = {}
    for name, chosen in (
        ("lyapunov", Settings(lyapunov=True, samples=args.samples)),
        ("gradients", Settings(gradients=True, samples=args.samples)),
        ("curvature", Settings(hessian=PRODUCTS, samples=args.samples)),
    ):
        begin = time.process_time()
        diagnose(network, task, held_out, chosen)
        seconds[name] = time.process_time() - begin
    figures = {
        "units": UNITS,
        "steps": args.length,
        "samples": args.samples,
        "products": PRODUCTS,
        "cpu_seconds": {name: round(value, 1) for name, value in seconds.items()},
        "cpu_seconds_of_all": round(sum(seconds.values()), 1),
        "target": TARGET,
        "hessian_product": {"own": round(own, 2), "peer": round(peer, 2)},
        "times_faster": round(peer / own, 2),
        "relative_difference": float(f"{abs(large / by_peer - 1):.1e}"),
    }
    record("diagnostics", figures, args.record)


def _own_product(network: Network, task: Task, x: Tensor, targets: Tensor) -> tuple[float, float]:
    """Return the CPU seconds of a product, and the Rayleigh quotient of the first one."""
    network.requires_grad_(False)
    curvature.hessian(network, task, x, targets, 1)  # touches memory for the first time
    one, first = _cpu_seconds(lambda: curvature.hessian(network, task, x, targets, 1))
    four, _ = _cpu_seconds(lambda: curvature.hessian(network, task, x, targets, 4))
    network.requires_grad_(True)
    return (four - one) / 3, float(first[0, 0])


def _peers_product(network: Network, task: Task, x: Tensor, targets: Tensor) -> tuple[float, float]:
    """Return the CPU seconds of a product, and its Rayleigh quotient with the same vector."""
    layer = network.layers[0]
    assert isinstance(layer, WeaklyCoupledRNN) and layer.residual is not None
    alpha, gamma = layer.residual[0], layer.gamma[0]
    weight = layer.recurrent_weight[0].detach()
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(weight.numel(), dtype=torch.float64, generator=generator)
    v = (v / v.norm()).to(weight.dtype).view(weight.shape)

    def loss(w: Tensor, part: slice) -> Tensor:
        u = x[0, :, part] @ layer.input_weight[0].detach() + layer.bias[0].detach()
        h = layer.initial_state[0].detach().expand(u.shape[1], -1)
        for u_t in u.unbind(0):
            h = alpha * h + gamma * torch.tanh(u_t + h @ w)
        outputs = h @ network.readout_weight[0].detach() + network.readout_bias[0].detach()
        return task.losses(outputs[None, None], targets[:, part]).sum()

    def product() -> float:
        total = torch.zeros_like(weight)
        for begin in range(0, x.shape[2], CHUNK):
            part = slice(begin, begin + CHUNK)
            total += vhp(lambda w, part=part: loss(w, part), weight, v)[1]
        return float((total * v).sum()) / x.shape[2]

    return _cpu_seconds(product)


def _cpu_seconds(function: Callable[[], T]) -> tuple[float, T]:
    begin = time.process_time()
    result = function()
    return time.process_time() - begin, result


if __name__ == "__main__":
    main()
