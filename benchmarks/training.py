"""Measures training steps against their matrix products alone and against PyTorch's own layers.

    python benchmarks/training.py [--rounds 15] [--only gru ...] [--record]

Everything runs on one thread, and the process keeps freed memory, as in a worker. A step is the
trainer's own: forward pass, backward pass, Adam and the checks for finite numbers, on a batch that
exists already.

The floor is the time of the matrix products alone by ``torch.addmm`` or ``torch.baddbmm``,
whichever is faster, into memory allocated beforehand: the input product of all time steps at once,
a recurrent product for each time step and its backward product, the weight gradients over all time
steps at once and, above the first layer, the input gradient. (A step can take less than the floor:
:mod:`trainables.architectures.products` has a faster product.)

PyTorch's layers are measured in a plain step, and in one that does all that this project's step
does: it clips the norm of gradients, decays weights and learns initial states.

The contenders of a part alternate for several rounds, in a process of their own. Figures are
medians in milliseconds of processor time, which depends less on other processes than wall time.
``memory`` is the largest memory that a step holds of what it allocated, over the memory that its
forward pass keeps for its backward pass. With a GPU, steps on it are compared as well.

The parts are the cases by name, PyTorch's layer alone without a worker's settings
(``gru_as_it_comes`` and so on), ``rnn_pack`` (lanes side by side against one lane),
``architectures`` (each one, small, against a loop over torch.nn modules) and ``gpu``.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from naive import Network as NaiveNetwork
from recording import record
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from trainables import worker
from trainables.architectures import ARCHITECTURES, build, search_space
from trainables.space import Value, draw
from trainables.tasks import Baseline, Batch, Split, Task
from trainables.training import Schedule, Trainer

Step = Callable[[], Any]
ROUND_SECONDS = 0.1  # each contender repeats its step for about this long in each round


@dataclass(frozen=True)
class Case:
    """A case is a network, a batch, and a target for the time of its training step.

    Attributes:
        name: name of the part.
        architecture: registered name of the architecture.
        hidden: hidden width.
        batch: batch size.
        time: number of time steps.
        inputs: size of the input at a time step.
        outputs: size of the output at a time step.
        first_output: first time step that has a loss.
        products: columns of each recurrent product of a time step, in units of ``hidden``.
        peer: name of PyTorch's layer in ``torch.nn``, if it has one.
        depth: number of layers.
        target: largest ratio of the step's time and the floor.
    """

    name: str
    architecture: str
    hidden: int
    batch: int
    time: int
    inputs: int
    outputs: int
    first_output: int
    products: tuple[int, ...] = ()
    peer: str | None = None
    depth: int = 1
    target: float | None = None


# Shapes are those of the papers' tasks: parentheses, adding, text8, sequential MNIST.
CASES = (
    Case("gru", "gru", 120, 32, 175, 300, 100, 174, (2, 1), "GRU", target=1.3),
    Case("rnn", "rnn", 100, 16, 100, 2, 1, 99, (1,), "RNN", target=1.8),
    Case("lstm", "lstm", 50, 32, 50, 27, 27, 13, (4,), "LSTM", depth=4, target=2.0),
    Case("wcrnn", "wcrnn", 100, 128, 784, 1, 10, 783, (1,), target=1.4),
)
SMALL = Case("small", "", 32, 32, 50, 8, 10, 0, depth=2)  # shape for every architecture
PACK = Case("rnn_pack", "rnn", 12, 64, 5, 2, 1, 4)
PACK_LANES, PACK_TARGET = 16, 7.0
GPU_LANES = (1, 16, 64, 256)


# -- contenders ------------------------------------------------------------------------------


class FixedBatch(Task):
    """A task whose every batch is the same noise."""

    summary = source = ""
    Options = type(None)
    metric_name = "rms"
    held_out_size, minimal_performance = 1, 0.0

    def __init__(self, case: Case, lanes: int) -> None:
        self.inputs, self.outputs, self.length = case.inputs, case.outputs, case.time
        self.first_output = case.first_output
        self._batch = Batch(
            torch.randn(lanes, case.time, case.batch, case.inputs),
            torch.randn(lanes, case.time - case.first_output, case.batch, case.outputs),
        )

    def batch(self, *, seed: int, lanes: Sequence[int], step: int, size: int) -> Batch:
        return self._batch

    def samples(
        self, split: Split, generator: np.random.Generator, size: int
    ) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).square().mean((1, 3))

    def scores(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return self.losses(outputs, targets)

    def baseline(self) -> Baseline:
        return Baseline(1.0, 1.0)


def own(case: Case, lanes: int = 1, **factory: Any) -> Step:
    """Return a training step of this project.

    Args:
        case: the network and its batch.
        lanes: number of networks that are trained side by side.
        factory: device and dtype of the network.
    """
    return trainer(case, lanes, **factory)._train_one


def trainer(case: Case, lanes: int = 1, **factory: Any) -> Trainer:
    """Return the trainer of a case, with Adam and clipped gradients."""
    network = build(
        case.architecture,
        inputs=case.inputs,
        outputs=case.outputs,
        hidden=case.hidden,
        depth=case.depth,
        lanes=lanes,
        **factory,
    )
    fixed: dict[str, Value] = {
        "optimizer": "adam",
        "nonlinearity": "tanh",
        "learning_rate": 1e-4,
        "clip_norm": 1.0,
    }
    drawn = draw(search_space(case.architecture, {}), "benchmark")
    configuration = drawn | {key: value for key, value in fixed.items() if key in drawn}
    return Trainer(
        network,
        FixedBatch(case, lanes),
        Schedule(steps=1_000_000, batch_size=case.batch, divergence_threshold=1e9),
        [configuration] * lanes,
        network_seed=0,
        data_seed=0,
    )


def floor(case: Case) -> list[Step]:
    """Return the matrix products of a step in two forms, by ``addmm`` and by ``baddbmm``."""
    return [_floor(case, torch.addmm, ()), _floor(case, torch.baddbmm, (1,))]


def _floor(case: Case, product: Callable[..., Tensor], lanes: tuple[int, ...]) -> Step:
    n, rows = case.hidden, case.time * case.batch
    layers: list[dict[str, Any]] = []
    for inputs in (case.inputs, *[n] * (case.depth - 1)):
        columns = n * sum(case.products)
        weights = [torch.randn(*lanes, n, n * width) / n for width in case.products]
        layers.append(
            {
                "x": torch.randn(*lanes, rows, inputs),
                "w_in": torch.randn(*lanes, inputs, columns),
                "bias": torch.randn(*lanes, 1, columns),
                "u": torch.empty(*lanes, rows, columns),
                "z": [torch.randn(*lanes, case.batch, n * width) for width in case.products],
                "w": [(weight, weight.mT) for weight in weights],
                "dw_in": torch.zeros(*lanes, inputs, columns),
                "dw": torch.zeros(*lanes, n, columns),
                "dx": torch.zeros(*lanes, rows, inputs),
            }
        )
    h, dh = (torch.randn(*lanes, case.batch, n) for _ in range(2))
    outputs = torch.randn(*lanes, rows, n)

    def step() -> None:
        for layer in layers:
            product(layer["bias"], layer["x"], layer["w_in"], out=layer["u"])
            for _ in range(case.time):
                for z, (weight, _) in zip(layer["z"], layer["w"], strict=True):
                    product(z, h, weight, out=z, beta=0.5)
        for index, layer in reversed(list(enumerate(layers))):
            for _ in range(case.time):
                for z, (_, transposed) in zip(layer["z"], layer["w"], strict=True):
                    product(dh, z, transposed, out=dh, beta=0.5)
            product(layer["dw"], outputs.mT, layer["u"], out=layer["dw"], beta=0)
            product(layer["dw_in"], layer["x"].mT, layer["u"], out=layer["dw_in"], beta=0)
            if index:
                product(layer["dx"], layer["u"], layer["w_in"].mT, out=layer["dx"], beta=0)

    return step


class Whole(nn.Module):
    """A network of PyTorch's own recurrent layers, which run all time steps in one call."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        layer = getattr(nn, str(case.peer))
        self.recurrent = layer(case.inputs, case.hidden, case.depth)
        self.readout = nn.Linear(case.hidden, case.outputs)

    def forward(self, x: Tensor, first: int) -> Tensor:
        outputs: Tensor = self.readout(self.recurrent(x)[0][first:])
        return outputs


class WholeFromLearned(Whole):
    """A network of PyTorch's layers that learns initial states, as this project's networks do."""

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        states = 2 if case.peer == "LSTM" else 1
        self.start = nn.Parameter(torch.zeros(states, case.depth, 1, case.hidden))

    def forward(self, x: Tensor, first: int) -> Tensor:
        states = self.start.expand(-1, -1, x.shape[1], -1).contiguous().unbind(0)
        hidden: Tensor = self.recurrent(x, states if len(states) > 1 else states[0])[0]
        outputs: Tensor = self.readout(hidden[first:])
        return outputs


def peer(case: Case, model: nn.Module, same: bool = False, **factory: Any) -> list[Step]:
    """Return training steps of ``model``, one by each form of PyTorch's Adam.

    Args:
        case: the batch and the first time step with a loss.
        model: the network.
        same: whether a step does all that this project's step does: weight decay and clipped
            gradients.
        factory: device and dtype of the batch.
    """
    task = FixedBatch(case, 1)
    batch = task.batch(seed=0, lanes=[0], step=0, size=case.batch)
    x, targets = batch.inputs[0].to(**factory), batch.targets[0].to(**factory)

    def with_adam(fused: bool | None = None, foreach: bool | None = None) -> Step:
        decay = 1e-6 if same else 0.0
        adam = torch.optim.Adam(
            model.parameters(), 1e-4, weight_decay=decay, foreach=foreach, fused=fused
        )

        def step() -> None:
            adam.zero_grad()
            (model(x, case.first_output) - targets).square().mean().backward()
            if same:
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            adam.step()

        return step

    return [with_adam(fused=True), with_adam(foreach=True)]


# -- measuring -------------------------------------------------------------------------------


def seconds(step: Step, repeats: int) -> float:
    """Return the processor seconds of a step: with one thread, the wall time on an idle machine."""
    begin = time.process_time()
    for _ in range(repeats):
        step()
    return (time.process_time() - begin) / repeats


def repeats_for(step: Step) -> int:
    """Return how often a step is repeated in a round of ``ROUND_SECONDS``."""
    seconds(step, 3)
    return max(1, round(ROUND_SECONDS / seconds(step, 2)))


def fastest(steps: list[Step]) -> Step:
    """Return the fastest of several steps that do the same."""
    times = [min(seconds(step, repeats_for(step)) for _ in range(3)) for step in steps]
    return steps[times.index(min(times))]


def in_turn(contenders: dict[str, Step], rounds: int) -> dict[str, float]:
    """Return the median milliseconds of each contender's step; each round measures all of them."""
    repeats = {name: repeats_for(step) for name, step in contenders.items()}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, step in contenders.items():
            times[name].append(1e3 * seconds(step, repeats[name]))
    return {name: round(statistics.median(values), 4) for name, values in times.items()}


def memory(case: Case) -> dict[str, float]:
    """Return the largest bytes of a step, and the bytes kept for its backward pass."""
    case_trainer = trainer(case)
    case_trainer._train_one()
    # Parameters and batch exist before the step, so they do not count.
    outside = {p.untyped_storage().data_ptr() for p in case_trainer.network.parameters()}
    outside.add(case_trainer.task.batch(seed=0, lanes=[0], step=0, size=0).inputs.data_ptr())
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in outside:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        case_trainer._train_one()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as measured:
        case_trainer._train_one()
    events = measured.profiler.kineto_results.events()
    changes = [(e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]"]
    held = peak = 0
    for _, change in sorted(changes):
        held += change
        peak = max(peak, held)
    stored = sum(kept.values())
    return {"stored_bytes": stored, "peak_bytes": peak, "times_stored": round(peak / stored, 2)}


def against_floor(case: Case, rounds: int) -> dict[str, Any]:
    """Return the figures of a case against the floor, PyTorch's layer and a loop over modules."""
    contenders = {"floor": fastest(floor(case)), "own": own(case)}
    if case.peer is not None:
        contenders[f"nn.{case.peer}"] = fastest(peer(case, Whole(case)))
        same = fastest(peer(case, WholeFromLearned(case), same=True))
        contenders[f"nn.{case.peer}, the same step"] = same
    loop = NaiveNetwork(case.architecture, case.inputs, case.hidden, case.depth, case.outputs)
    contenders["loop over torch.nn modules"] = fastest(peer(case, loop))
    times = in_turn(contenders, rounds)
    return {
        "milliseconds": times,
        "times_the_floor": round(times["own"] / times["floor"], 3),
        "target": case.target,
        "memory": memory(case),
    }


def against_loops(rounds: int) -> dict[str, Any]:
    """Return the figures of each architecture, small, against a loop over torch.nn modules."""
    figures = {}
    for name in ARCHITECTURES:
        case = replace(SMALL, architecture=name)
        loop = NaiveNetwork(name, case.inputs, case.hidden, case.depth, case.outputs)
        times = in_turn({"own": own(case), "loop": fastest(peer(case, loop))}, rounds)
        figures[name] = times | {"gain": round(times["loop"] / times["own"], 2)}
    return figures


def lanes_per_second(rounds: int) -> dict[str, Any]:
    """Return the lanes that train per second side by side, against one lane alone."""
    times = in_turn({"one": own(PACK), "pack": own(PACK, PACK_LANES)}, rounds)
    gain = round(PACK_LANES * times["one"] / times["pack"], 2)
    return {"milliseconds": times, "gain": gain, "lanes": PACK_LANES, "target": PACK_TARGET}


def on_gpu(rounds: int) -> dict[str, Any]:
    """Return wall milliseconds on the GPU of steps of several lanes, and of PyTorch's layers."""
    figures: dict[str, Any] = {}
    for case in CASES:
        if case.peer not in ("GRU", "LSTM"):
            continue
        for dtype in (torch.float32, torch.bfloat16):
            factory: dict[str, Any] = {"device": "cuda", "dtype": dtype}
            contenders = {f"{n} lanes": own(case, n, **factory) for n in GPU_LANES}
            contenders[f"nn.{case.peer}"] = peer(case, Whole(case).to(**factory), **factory)[0]
            times: dict[str, list[float]] = {name: [] for name in contenders}
            for _ in range(rounds):
                for name, step in contenders.items():
                    times[name].append(_gpu_milliseconds(step))
            medians = {name: round(statistics.median(t), 3) for name, t in times.items()}
            figures[f"{case.name} {dtype}".replace("torch.", "")] = medians
    return figures


def _gpu_milliseconds(step: Step) -> float:
    step()
    torch.cuda.synchronize()
    begin = time.perf_counter()
    for _ in range(3):
        step()
    torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - begin) / 3


AS_IT_COMES = "_as_it_comes"  # PyTorch's layer without a worker's settings


PARTS = (
    *(case.name for case in CASES),
    *(case.name + AS_IT_COMES for case in CASES if case.peer),
    PACK.name,
    "architectures",
    "gpu",
)


def part(rounds: int, name: str) -> dict[str, Any]:
    """Return the figures of a part."""
    torch.manual_seed(0)
    if name.endswith(AS_IT_COMES):
        torch.set_num_threads(1)
        case = next(case for case in CASES if case.name + AS_IT_COMES == name)
        return in_turn({f"nn.{case.peer}": fastest(peer(case, Whole(case)))}, rounds)
    worker.prepare(threads=1)
    if name == PACK.name:
        return lanes_per_second(rounds)
    if name == "architectures":
        return against_loops(rounds)
    if name == "gpu":
        return on_gpu(rounds) if torch.cuda.is_available() else {}
    return against_floor(next(case for case in CASES if case.name == name), rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", nargs="*", choices=PARTS, help="parts; all if not given")
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/")
    args = parser.parse_args()
    # Each part has a process of its own, so that memory left by another part has no effect.
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as processes:
        parts = [name for name in PARTS if not args.only or name in args.only]
        figures = dict(zip(parts, processes.map(partial(part, args.rounds), parts), strict=True))
    record("training", figures, args.record)


if __name__ == "__main__":
    main()
