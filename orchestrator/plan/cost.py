"""Estimates what a sweep will cost: floating-point operations, and hours on a measured device.

Operations are those of matrix products: two for each weight, sample and time step forward, and
twice that backward; see :mod:`trainables.workload`. Those of diagnostics are counted by
:func:`trainables.diagnostics.operations`.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from orchestrator.errors import BadInput
from orchestrator.plan.cells import Cell
from orchestrator.plan.plan import Plan
from orchestrator.spec.diagnostics import DiagnosticsSpec
from trainables import tasks
from trainables.diagnostics import Settings, operations
from trainables.registry import nearest
from trainables.training import EVALUATION_CHUNK
from trainables.workload import FORWARD, TRAINING, Workload


@dataclass(frozen=True)
class Device:
    """A device describes the speed of one worker process that ``benchmarks/device.py`` measured.

    Attributes:
        name: name of the device's file without its suffix.
        description: processor, versions and date of the measurement.
        factors: for each architecture the seconds that a training step takes for one unit of each
            of :meth:`.Workload.amounts`.
        forward: for each architecture the share of a training step's seconds that the forward pass
            takes.
        trial_seconds: seconds that a trial takes in addition to training and evaluation.
    """

    name: str
    description: str
    factors: dict[str, tuple[float, ...]]
    forward: dict[str, float]
    trial_seconds: float

    def training_seconds(self, work: Workload) -> float:
        """Return the estimated seconds of a training step.

        An architecture that was not measured is assumed to be as slow as the slowest one.

        Args:
            work: work of the training step.
        """
        measured = self.factors.get(work.architecture)
        return max(
            sum(factor * amount for factor, amount in zip(factors, work.amounts(), strict=True))
            for factors in ([measured] if measured else self.factors.values())
        )

    def forward_seconds(self, work: Workload) -> float:
        """Return the estimated seconds of the forward pass of a training step.

        Args:
            work: work of the training step.
        """
        share = self.forward.get(work.architecture, max(self.forward.values()))
        return share * self.training_seconds(work)


@dataclass(frozen=True)
class Cost:
    """A cost is an amount of work.

    Attributes:
        operations: floating-point operations of matrix products.
        seconds: seconds that one worker process of a device takes.
    """

    operations: float
    seconds: float

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.operations + other.operations, self.seconds + other.seconds)

    def __mul__(self, factor: float) -> "Cost":
        return Cost(factor * self.operations, factor * self.seconds)


def estimate_cost(plan: Plan, device: Device) -> tuple[Cost, Cost]:
    """Estimate the cost of a sweep, its diagnostics included.

    Args:
        plan: plan of the sweep.
        device: device whose worker processes train the trials.

    Returns:
        The cost if no trial is stopped early, and the cost if every report that passes a rung lets
        one in ``reduction_factor`` trials pass. Neither includes the time that Ray takes to start.
    """
    without_stopping, with_stopping = diagnostics_cost(plan, device)
    for cell in plan.cells:
        trials = plan.spec.search.samples
        training = _trial(plan, cell, device)
        overhead = Cost(0.0, device.trial_seconds)
        without_stopping += (training + overhead) * trials
        with_stopping += (training * _share_trained(plan, cell) + overhead) * trials
    return without_stopping, with_stopping


def diagnostics_cost(plan: Plan, device: Device) -> tuple[Cost, Cost]:
    """Estimate what diagnosing the networks of a sweep costs, as a part of its whole cost.

    An operation is assumed to take as long as one of the cell's training, all in all.

    Args:
        plan: plan of the sweep.
        device: device whose worker processes train the trials.

    Returns:
        The cost if no trial is stopped early, and the cost with early stopping.
    """
    without_stopping = with_stopping = Cost(0.0, 0.0)
    spec = plan.spec.diagnostics
    if spec is None:
        return without_stopping, with_stopping
    for cell in plan.cells:
        step = cell.workload(cell.training.batch_size)
        counted = _diagnosis(spec, cell)
        pace = device.training_seconds(step) / (TRAINING * step.products)
        diagnosis = Cost(counted, counted * pace) * plan.spec.search.samples
        for moment in spec.request(cell.training.steps)["at"]:
            without_stopping += diagnosis
            with_stopping += diagnosis * _share_reaching(plan, cell, moment)
    return without_stopping, with_stopping


def _diagnosis(spec: DiagnosticsSpec, cell: Cell) -> float:
    """Return the operations of diagnosing the networks of a trial once."""
    return operations(
        Settings(spec.lyapunov, spec.gradients, spec.hessian, spec.samples),
        tasks.shared(cell.task.name, cell.task.options),
        cell.architecture.name,
        cell.architecture.options,
        hidden=cell.hidden,
        depth=cell.depth,
        parameters=cell.parameters,
        lanes=cell.replicates,
    )


def _share_reaching(plan: Plan, cell: Cell, step: int) -> float:
    """Return the share of a cell's trials that train up to a step with early stopping."""
    scheduler = plan.spec.scheduler
    judged = sum(report < step for report in scheduler.judged(cell.training.report_steps))
    return float(scheduler.reduction_factor) ** -judged


def _trial(plan: Plan, cell: Cell, device: Device) -> Cost:
    """Return the cost of training and evaluation of a trial that is not stopped early."""
    training = cell.training
    step = cell.workload(training.batch_size)
    trained = Cost(TRAINING * step.products, device.training_seconds(step)) * training.steps
    sizes = plan.held_out_sizes(cell)
    # An evaluation passes over its set in whole chunks and a last, smaller one.
    chunks, remainder = divmod(round(sum(sizes) / len(sizes)), EVALUATION_CHUNK)
    evaluated = Cost(0.0, 0.0)
    for size, count in ((EVALUATION_CHUNK, chunks), (remainder, min(remainder, 1))):
        chunk = cell.workload(size)
        chunk_cost = Cost(FORWARD * chunk.products, device.forward_seconds(chunk))
        evaluated += chunk_cost * count
    task = tasks.shared(cell.task.name, cell.task.options)
    sets = 1 if task.memorizes else 2  # validation and evaluation set are one if it memorizes
    return trained + evaluated * (sets * training.reports)


def _share_trained(plan: Plan, cell: Cell) -> float:
    """Return the share of all training steps that is trained with early stopping.

    Every report that ASHA judges is assumed to let exactly one in ``reduction_factor`` trials pass.
    """
    scheduler, steps = plan.spec.scheduler, cell.training.steps
    trained, running, previous = 0.0, 1.0, 0
    for report in [*scheduler.judged(cell.training.report_steps), steps]:
        trained += running * (report - previous)
        running, previous = running / scheduler.reduction_factor, report
    return trained / steps


def load_device(name: str) -> Device:
    """Return a device that ships with Soundings, or one from a file.

    Args:
        name: name of a shipped device, or path of a file that ends in ``.json``.

    Raises:
        BadInput: there is no such device, or the file is not one that ``benchmarks/device.py``
            writes.
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
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(
            f"{name}: no device as benchmarks/device.py writes it ({type(error).__name__}: {error})"
        ) from error


def _shipped() -> Iterator[Any]:
    return (path for path in files(__package__).joinpath("devices").iterdir())


def _device(name: str, measurement: Any) -> Device:
    figures = measurement["figures"]
    machine, versions = measurement["machine"], measurement["versions"]
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
        f"{measurement['date']}",
        factors,
        {arch: float(measured["forward"]) for arch, measured in figures["architectures"].items()},
        float(figures["trial_seconds"]),
    )
