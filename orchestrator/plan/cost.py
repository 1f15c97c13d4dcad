"""What a sweep will cost: floating-point operations, and hours on a device that was measured.

Operations are those of matrix products: two a weight, sample and time step forward, and twice that
backward; see :mod:`trainables.workload`.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from orchestrator.errors import BadInput
from orchestrator.plan import Cell, Plan
from orchestrator.workloads import held_out_sizes, work
from trainables import tasks
from trainables.registry import nearest
from trainables.training import EVALUATION_CHUNK
from trainables.workload import FORWARD, TRAINING, Workload


@dataclass(frozen=True)
class Device:
    """How fast one worker is, from ``benchmarks/device.py``.

    Attributes:
        name: of the file.
        description: what was measured, and when.
        factors: for each architecture the seconds of a training step for each of
            :meth:`.Workload.amounts`.
        forward: for each architecture the share of the forward pass in them.
        trial_seconds: of a trial beside its training.
    """

    name: str
    description: str
    factors: dict[str, tuple[float, ...]]
    forward: dict[str, float]
    trial_seconds: float

    def training_seconds(self, work: Workload) -> float:
        """Of a training step. An architecture that was not measured is as slow as the slowest."""
        known = self.factors.get(work.architecture)
        return max(
            sum(factor * amount for factor, amount in zip(factors, work.amounts(), strict=True))
            for factors in ([known] if known else self.factors.values())
        )

    def forward_seconds(self, work: Workload) -> float:
        """Of its forward pass alone."""
        share = self.forward.get(work.architecture, max(self.forward.values()))
        return share * self.training_seconds(work)


@dataclass(frozen=True)
class Cost:
    """Operations, and seconds of one worker of a device."""

    operations: float
    seconds: float

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.operations + other.operations, self.seconds + other.seconds)

    def __mul__(self, factor: float) -> "Cost":
        return Cost(factor * self.operations, factor * self.seconds)


def cost(plan: Plan, device: Device) -> tuple[Cost, Cost]:
    """Of the whole sweep if no trial is stopped early, and as early stopping is meant to leave it.

    Both are without the time that Ray takes to start.
    """
    whole = stopped = Cost(0.0, 0.0)
    for cell in plan.cells:
        trials = plan.spec.search.samples
        one = _trial(plan, cell, device)
        start = Cost(0.0, device.trial_seconds)
        whole += (one + start) * trials
        stopped += (one * _share_trained(plan, cell) + start) * trials
    return whole, stopped


def _trial(plan: Plan, cell: Cell, device: Device) -> Cost:
    task = tasks.make(cell.task.name, cell.task.options)
    training = cell.training

    step = work(plan, cell, task, training.batch_size)
    trained = Cost(TRAINING * step.products, device.training_seconds(step)) * training.steps
    sizes = held_out_sizes(plan, cell, task)
    chunks, rest = divmod(round(sum(sizes) / len(sizes)), EVALUATION_CHUNK)
    evaluated = Cost(0.0, 0.0)
    for size, times in ((EVALUATION_CHUNK, chunks), (rest, min(rest, 1))):
        samples = work(plan, cell, task, size)
        once = Cost(FORWARD * samples.products, device.forward_seconds(samples))
        evaluated += once * times
    sets = 1 if task.memorizes else 2
    return trained + evaluated * (sets * training.reports)


def _share_trained(plan: Plan, cell: Cell) -> float:
    """Of all training steps, if every rung lets one in ``reduction_factor`` go on."""
    scheduler, steps = plan.spec.scheduler, cell.training.steps
    if scheduler.grace is None:
        return 1.0
    rungs = [*_rungs(scheduler.grace, scheduler.reduction_factor, steps), steps]
    trained, left, before = 0.0, 1.0, 0
    for rung in rungs:
        trained += left * (rung - before)
        left, before = left / scheduler.reduction_factor, rung
    return trained / steps


def _rungs(grace: int, factor: float, steps: int) -> Iterator[int]:
    rung = float(grace)
    while rung < steps:
        yield math.ceil(rung)
        rung *= factor


def load_device(name: str) -> Device:
    """A device that ships with Soundings by its name, or one measured elsewhere by its file.

    Raises:
        BadInput: there is none, or the file is no device.
    """
    shipped = {path.name.removesuffix(".json"): path for path in _shipped()}
    if name in shipped:
        text = shipped[name].read_text(encoding="utf-8")
    elif name.endswith(".json"):
        try:
            text = Path(name).read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise BadInput(f"{name}: cannot read the device: {error.strerror}") from error
    else:
        raise BadInput(
            f"unknown device '{name}'{nearest(name, shipped)}; benchmarks/device.py measures "
            "another one and writes a file that --device takes"
        )
    try:
        return _device(Path(name).stem, json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            f"{name}: no device as benchmarks/device.py writes it ({type(error).__name__}: {error})"
        ) from error


def _shipped() -> Iterator[Any]:
    return (path for path in files(__package__).joinpath("devices").iterdir())


def _device(name: str, found: Any) -> Device:
    figures = found["figures"]
    machine, versions = found["machine"], found["versions"]
    factors = {}
    for architecture, measured in figures["architectures"].items():
        factors[architecture] = tuple(map(float, measured["seconds"]))
        numbers = [*factors[architecture], float(measured["forward"])]
        if len(numbers) != 5 or not all(0 <= number < math.inf for number in numbers):
            raise ValueError(f"{architecture} has no four factors and a share of the forward pass")
    if not factors:
        raise ValueError("no architecture")
    return Device(
        name,
        f"{figures['worker']} of {machine['processor']}, torch {versions['torch']}, measured "
        f"{found['date']}",
        factors,
        {arch: float(measured["forward"]) for arch, measured in figures["architectures"].items()},
        float(figures["trial_seconds"]),
    )
