"""Training steps against the matrix products in them, and against PyTorch's own layers.

    python benchmarks/training.py [--rounds 15] [--only gru ...] [--record]

One thread; freed memory stays in the process, as in a worker. A step is the trainer's own:
forward, backward, Adam and the finite checks, on a batch that is already there. The floor is the
matrix products alone by ``torch.addmm`` or ``torch.baddbmm``, whichever is faster, into memory
allocated beforehand: the input product of all steps at once, a recurrent product a step and its
backward, the weight gradients over all steps at once and, above the first layer, the input
gradient. (A step can take less: :mod:`trainables.architectures.products` has a faster product.)

PyTorch's layers are measured in a bare step, and in one that does what this project's does: cuts
gradients to a norm, decays weights and learns initial states.

The contenders of a part run in turn in one process of their own, several rounds of it. Figures are
medians in milliseconds of processor time, which a busy neighbour changes less than those of a
clock. ``memory`` is the most that a step holds of what it allocated, over what its forward pass
keeps for its backward pass. With a GPU, steps there are compared too.

Parts: the cases by name, PyTorch's layer alone as it comes, without a worker's settings
(``gru_as_it_comes`` and so on), ``rnn_pack`` (a pack of lanes against one lane), ``architectures``
(each one, small, against a loop over torch.nn modules) and ``gpu``.
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
from trainables.space import draw
from trainables.tasks import Baseline, Batch, Split, Task
from trainables.training import Schedule, Trainer

Step = Callable[[], Any]
ROUND_SECONDS = 0.1  # each contender repeats its step for about this long in each round


@dataclass(frozen=True)
class Case:
    """A network, a batch, and what its step may cost.

    Attributes:
        products: columns of each recurrent product of a step, in units of ``hidden``.
        peer: of ``torch.nn``, without its suffix "Cell".
        first_output: the time step from which on there is a loss.
        target: at most this times the floor.
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


# Inputs, outputs and losses of the papers' tasks: parentheses, adding, text8, sequential MNIST.
CASES = (
    Case("gru", "gru", 120, 32, 175, 300, 100, 174, (2, 1), "GRU", target=1.3),
    Case("rnn", "rnn", 100, 16, 100, 2, 1, 99, (1,), "RNN", target=1.8),
    Case("lstm", "lstm", 50, 32, 50, 27, 27, 13, (4,), "LSTM", depth=4, target=2.0),
    Case("wcrnn", "wcrnn", 100, 128, 784, 1, 10, 783, (1,), target=1.4),
)
SMALL = Case("small", "", 32, 32, 50, 8, 10, 0, depth=2)  # of every architecture
PACK = Case("rnn_pack", "rnn", 12, 64, 5, 2, 1, 4)
PACK_LANES, PACK_TARGET = 16, 7.0
GPU_LANES = (1, 16, 64, 256)


# -- contenders ------------------------------------------------------------------------------


class FixedBatch(Task):
    """One batch of noise for ever."""

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
    """A training step of this project."""
    return trainer(case, lanes, **factory)._train_one


def trainer(case: Case, lanes: int = 1, **factory: Any) -> Trainer:
    network = build(
        case.architecture,
        inputs=case.inputs,
        outputs=case.outputs,
        hidden=case.hidden,
        depth=case.depth,
        lanes=lanes,
        **factory,
    )
    fixed = {"optimizer": "adam", "nonlinearity": "tanh", "learning_rate": 1e-4, "clip_norm": 1.0}
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
    """The matrix products of a step, by ``addmm`` and by ``baddbmm``."""
    return [_floor(case, torch.addmm, ()), _floor(case, torch.baddbmm, (1,))]


def _floor(case: Case, product: Callable[..., Tensor], lanes: tuple[int, ...]) -> Step:
    n, rows = case.hidden, case.time * case.batch
    layers = []
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
    """PyTorch's own layers, all steps in one call."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        layer = getattr(nn, str(case.peer))
        self.recurrent = layer(case.inputs, case.hidden, case.depth)
        self.readout = nn.Linear(case.hidden, case.outputs)

    def forward(self, x: Tensor, first: int) -> Tensor:
        return self.readout(self.recurrent(x)[0][first:])


class WholeFromLearned(Whole):
    """The same from initial states that are learned, as all networks of this project have them."""

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        states = 2 if case.peer == "LSTM" else 1
        self.start = nn.Parameter(torch.zeros(states, case.depth, 1, case.hidden))

    def forward(self, x: Tensor, first: int) -> Tensor:
        states = self.start.expand(-1, -1, x.shape[1], -1).contiguous().unbind(0)
        outputs = self.recurrent(x, states if len(states) > 1 else states[0])[0]
        return self.readout(outputs[first:])


def peer(case: Case, model: nn.Module, same: bool = False, **factory: Any) -> list[Step]:
    """Training steps of ``model``, by both forms of PyTorch's Adam.

    Args:
        same: with all that this project's step does: weight decay, and gradients cut to a norm.
    """
    task = FixedBatch(case, 1)
    batch = task.batch(seed=0, lanes=[0], step=0, size=case.batch)
    x, targets = batch.inputs[0].to(**factory), batch.targets[0].to(**factory)

    def with_adam(**form: bool) -> Step:
        decay = 1e-6 if same else 0.0
        adam = torch.optim.Adam(model.parameters(), 1e-4, weight_decay=decay, **form)

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
    """Of processor time, a step. There is one thread, so it is what a clock shows when alone."""
    begin = time.process_time()
    for _ in range(repeats):
        step()
    return (time.process_time() - begin) / repeats


def repeats_for(step: Step) -> int:
    seconds(step, 3)
    return max(1, round(ROUND_SECONDS / seconds(step, 2)))


def fastest(steps: list[Step]) -> Step:
    """The fastest of several ways to do the same."""
    times = [min(seconds(step, repeats_for(step)) for _ in range(3)) for step in steps]
    return steps[times.index(min(times))]


def in_turn(contenders: dict[str, Step], rounds: int) -> dict[str, float]:
    """The median milliseconds of each contender's step, all of them measured in each round."""
    repeats = {name: repeats_for(step) for name, step in contenders.items()}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, step in contenders.items():
            times[name].append(1e3 * seconds(step, repeats[name]))
    return {name: round(statistics.median(values), 4) for name, values in times.items()}


def memory(case: Case) -> dict[str, float]:
    """Bytes that a step holds at most, and that its forward pass keeps for its backward pass."""
    made = trainer(case)
    made._train_one()
    outside = {p.untyped_storage().data_ptr() for p in made.network.parameters()}
    outside.add(made.task.batch(seed=0, lanes=[0], step=0, size=0).inputs.data_ptr())
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in outside:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        made._train_one()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as measured:
        made._train_one()
    events = measured.profiler.kineto_results.events()
    changes = [(e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]"]
    held = most = 0
    for _, change in sorted(changes):
        held += change
        most = max(most, held)
    stored = sum(kept.values())
    return {"stored_bytes": stored, "peak_bytes": most, "times_stored": round(most / stored, 2)}


def against_floor(case: Case, rounds: int) -> dict[str, Any]:
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
    """Each architecture, small, against a loop over torch.nn modules."""
    figures = {}
    for name in ARCHITECTURES:
        case = replace(SMALL, architecture=name)
        loop = NaiveNetwork(name, case.inputs, case.hidden, case.depth, case.outputs)
        times = in_turn({"own": own(case), "loop": fastest(peer(case, loop))}, rounds)
        figures[name] = times | {"gain": round(times["loop"] / times["own"], 2)}
    return figures


def lanes_per_second(rounds: int) -> dict[str, Any]:
    """How many lanes one pack trains a second, against one lane alone."""
    times = in_turn({"one": own(PACK), "pack": own(PACK, PACK_LANES)}, rounds)
    gain = round(PACK_LANES * times["one"] / times["pack"], 2)
    return {"milliseconds": times, "gain": gain, "lanes": PACK_LANES, "target": PACK_TARGET}


def on_gpu(rounds: int) -> dict[str, Any]:
    """Milliseconds by a clock of a step of packs of lanes, and of PyTorch's layers, one lane."""
    figures: dict[str, Any] = {}
    for case in CASES:
        if case.peer not in ("GRU", "LSTM"):
            continue
        for dtype in (torch.float32, torch.bfloat16):
            factory = {"device": "cuda", "dtype": dtype}
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
    given = parser.parse_args()
    # A process a part, as one worker's cells: what another part left in memory is no matter.
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as processes:
        parts = [name for name in PARTS if not given.only or name in given.only]
        figures = dict(zip(parts, processes.map(partial(part, given.rounds), parts), strict=True))
    record("training", figures, given.record)


if __name__ == "__main__":
    main()
