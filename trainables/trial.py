"""A trial: the training of one configuration as a Ray Tune trainable."""

import json
import math
import os
import time
import traceback
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypedDict

import torch
from ray import tune
from ray.tune.result import DONE

from trainables import checkpoints, storage, tasks, worker
from trainables.architectures import build
from trainables.definition import Definition
from trainables.space import Configuration
from trainables.training import Schedule, Scores, Trainer

PATIENCE = storage.Patience(120.0)  # with a store that is away
LEAST_SECONDS = 1.0  # between two checkpoints, however close the rungs are

# After these a process is not what it was: its trial goes on in a new one.
MACHINE_ERRORS = (MemoryError, torch.OutOfMemoryError, torch.AcceleratorError)


class Checkpointing(TypedDict):
    """Where a trial keeps its checkpoints, and when it writes one.

    ``seconds`` of training lie between two, and a trial that goes on from a report at which it
    passed one of ``rungs`` has one there, unless the last was written this very second.
    """

    folder: str
    seconds: float
    rungs: Sequence[float]


@lru_cache(maxsize=32)
def _task(name: str, options: str) -> tasks.Task:
    """Tasks are kept from trial to trial of a worker: their data is read once."""
    return tasks.make(name, json.loads(options))


class Trial(tune.Trainable):  # type: ignore[misc]  # Ray ships no types for it
    """Trains one configuration and reports after every ``evaluation_interval`` steps.

    An actor serves one trial after the other (``reset_config``), also across cells. A trial goes
    on from its newest checkpoint, wherever and by whichever process that was written, bit for
    bit: weights, optimizer state and counters are in it, and batches are pure functions of the
    step.

    An error in the code that is trained (a bug in an architecture or a task) is tried once more
    from there; the second is reported as ``error``, the traceback. What means that the process or
    the machine is in trouble is raised.

    Args of ``config``:
        definition: a :class:`Definition`.
        checkpointing: a :class:`Checkpointing`; a trial without it keeps none.
    """

    def setup(self, config: Mapping[str, Any]) -> None:
        worker.prepare(threads=int(os.environ.get("OMP_NUM_THREADS") or 1))
        self._take_up(config)

    def reset_config(self, new_config: Mapping[str, Any]) -> bool:
        self._take_up(new_config)
        return True

    def _take_up(self, config: Mapping[str, Any]) -> None:
        self._definition: Definition = config["definition"]
        self._checkpointing: Checkpointing | None = config.get("checkpointing")
        if self._checkpointing is not None:
            self._folder = storage.location(self._checkpointing["folder"])
            storage.be_patient(self._folder, PATIENCE)
        self._begun, self._failed = False, False

    def step(self) -> dict[str, Any]:
        while True:
            try:
                if not self._begun:
                    self._begin()
                    self._begun = True
                return self.report()
            except MACHINE_ERRORS:
                raise
            except (Exception, SystemExit) as error:
                if isinstance(error, RuntimeError) and "allocate memory" in str(error):
                    raise  # torch's own, on a CPU
                if self._failed:
                    return {"error": traceback.format_exc(), "objective": math.nan, DONE: True}
                self._failed, self._begun = True, False

    def _begin(self) -> None:
        """Start the trial, or go on from its newest checkpoint."""
        self._trainer = self._make_trainer()
        self._spent = 0.0  # seconds since the last report, before the checkpoint
        self._warnings: list[str] = []
        if self._checkpointing is not None:
            used, self._warnings = checkpoints.load(self._folder, self._identity, self._go_on_from)
            if self._warnings and not used:  # the one that did not fit may have left its traces
                self._trainer, self._spent = self._make_trainer(), 0.0
        self._checkpointed = time.monotonic()
        self._checkpoint_due = False

    def _go_on_from(self, state: Mapping[str, Any]) -> None:
        self._trainer.load_state_dict(state["trainer"])
        self._spent = state["spent"]

    def _make_trainer(self) -> Trainer:
        definition = self._definition
        configuration: Configuration = definition["configuration"]
        task = _task(definition["task"], json.dumps(definition["task_options"], sort_keys=True))
        task = task.configured(configuration, definition["parameters"])
        lanes = definition["replicates"]
        network = build(
            definition["architecture"],
            inputs=task.inputs,
            outputs=task.outputs,
            hidden=definition["hidden"],
            depth=definition["depth"],
            lanes=lanes,
            options=definition["architecture_options"],
            device=torch.device("cuda" if definition["gpus"] > 0 else "cpu"),
        )
        self._baseline = task.baseline()
        return Trainer(
            network,
            task,
            Schedule(
                steps=definition["steps"],
                batch_size=definition["batch_size"],
                divergence_threshold=definition["divergence_threshold"],
                shared_batches=definition["shared_batches"],
            ),
            [configuration] * lanes,
            network_seed=definition["network_seed"],
            data_seed=definition["data_seed"],
            first_lane=definition["first_lane"],
        )

    def report(self) -> dict[str, Any]:
        """Train up to the next report."""
        definition, trainer, task = self._definition, self._trainer, self._trainer.task
        self._started = time.perf_counter() - self._spent
        self._spent = 0.0
        # Not when it was due: a trial that its rung stops needs none, and one that goes on has
        # had the report of that step taken.
        self._write_checkpoint_if_due()
        before, interval = trainer.step, definition["evaluation_interval"]
        # A checkpoint may lie between two reports; these stay where they are. None is written at
        # the step of a report before that was taken: a process that dies then would take the
        # report with it, and the next one would go on behind it.
        until = min((before // interval + 1) * interval, definition["steps"])
        trainer.train(until, self._write_checkpoint_if_due)
        validation = trainer.evaluate("validation")
        evaluation = validation if task.memorizes else trainer.evaluate("evaluation")
        infeasible_at = trainer.infeasible_at
        training_losses = [
            loss if at is None else math.nan
            for loss, at in zip(trainer.training_losses, infeasible_at, strict=True)
        ]
        result = summarize(
            training_losses, validation, evaluation, definition["divergence_threshold"]
        )
        infeasible = all(step is not None for step in infeasible_at)
        further = task.further(result["evaluation_metric"], definition["parameters"])
        result |= {
            "objective": self._objective(validation, result["validation_loss"]),
            "further": json.dumps(further, sort_keys=True) if further and not infeasible else None,
            "step": trainer.step,
            "infeasible": infeasible,
            "lane_infeasible_at": infeasible_at,
            "seconds": time.perf_counter() - self._started,
            DONE: infeasible or trainer.step >= definition["steps"],
        }
        if self._warnings:
            result["warnings"] = self._warnings
            self._warnings = []
        if self._checkpointing is not None and not result[DONE]:
            rungs = self._checkpointing["rungs"]
            self._checkpoint_due |= any(before < rung <= trainer.step for rung in rungs)
        return result

    def _write_checkpoint_if_due(self) -> None:
        """A checkpoint that cannot be written is a warning: the trial itself is well."""
        if self._checkpointing is None or self._trainer.step == 0:
            return
        age = time.monotonic() - self._checkpointed
        due = self._checkpoint_due and age > LEAST_SECONDS
        if due or age > self._checkpointing["seconds"]:
            try:
                spent = time.perf_counter() - self._started
                state = {"trainer": self._trainer.state_dict(), "spent": spent}
                checkpoints.write(self._folder, self._trainer.step, self._identity, state)
            except OSError as error:
                self._warnings.append(f"the checkpoint could not be written: {error}")
            self._checkpointed = time.monotonic()
            self._checkpoint_due = False

    @property
    def _identity(self) -> str:
        """All that the trial is; on which device it trains does not matter."""
        known = {key: value for key, value in self._definition.items() if key != "gpus"}
        return json.dumps(known, sort_keys=True)

    def _objective(self, validation: Scores, loss: float) -> float:
        """What search and early stopping see: less is better, nan where there is nothing.

        In a metric a lane that is infeasible counts with the baseline's, as in a loss with the
        divergence threshold.
        """
        if self._definition["objective"] == "loss" or math.isnan(loss):
            return loss
        lanes = [self._baseline.metric if math.isnan(m) else m for m in validation.metrics]
        mean = sum(lanes) / len(lanes)
        return -mean if self._trainer.task.higher_is_better else mean


def summarize(
    training_losses: list[float], validation: Scores, evaluation: Scores, threshold: float
) -> dict[str, Any]:
    """One report: each lane's numbers, and the trial's.

    A loss of the trial is the mean over its lanes, an infeasible lane counting as the divergence
    threshold: a configuration that diverges in one replicate of five must not win by the other
    four. Metrics are means over the feasible lanes.
    """

    def loss(lanes: list[float]) -> float:
        if all(math.isnan(lane) for lane in lanes):
            return math.nan
        return sum(threshold if math.isnan(lane) else lane for lane in lanes) / len(lanes)

    def metric(lanes: list[float]) -> float:
        feasible = [lane for lane in lanes if not math.isnan(lane)]
        return sum(feasible) / len(feasible) if feasible else math.nan

    return {
        "training_loss": loss([lane if lane < threshold else math.nan for lane in training_losses]),
        "validation_loss": loss(validation.losses),
        "evaluation_loss": loss(evaluation.losses),
        "validation_metric": metric(validation.metrics),
        "evaluation_metric": metric(evaluation.metrics),
        "lane_validation_losses": validation.losses,
        "lane_evaluation_losses": evaluation.losses,
        "lane_validation_metrics": validation.metrics,
        "lane_evaluation_metrics": evaluation.metrics,
    }
