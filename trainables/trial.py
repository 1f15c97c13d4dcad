"""A trial: the training of one configuration as a Ray Tune trainable."""

import json
import math
import os
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from ray import tune
from ray.tune.result import DONE, SHOULD_CHECKPOINT

from trainables import tasks
from trainables.allocator import keep_freed_memory
from trainables.architectures import build
from trainables.definition import Definition
from trainables.space import Configuration
from trainables.training import Schedule, Scores, Trainer

CHECKPOINT_SECONDS = 60.0  # of training between two checkpoints of a trial


@lru_cache(maxsize=32)
def _task(name: str, options: str) -> tasks.Task:
    """Tasks are kept from trial to trial of a worker: their data is read once."""
    return tasks.make(name, json.loads(options))


class Trial(tune.Trainable):  # type: ignore[misc]  # Ray ships no types for it
    """Trains one configuration and reports after every ``evaluation_interval`` steps.

    An actor serves one trial after the other (``reset_config``), also across cells. A restored
    trial goes on bit for bit: weights, optimizer state and counters are in the checkpoint, and
    batches are pure functions of the step.
    """

    def setup(self, config: Mapping[str, Any]) -> None:
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))
        keep_freed_memory()
        self._begin(config)

    def reset_config(self, new_config: Mapping[str, Any]) -> bool:
        self._begin(new_config)
        return True

    def _begin(self, config: Mapping[str, Any]) -> None:
        definition: Definition = config["definition"]
        self._definition = definition
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
        self._trainer = Trainer(
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
        self._baseline = task.baseline()
        self._checkpointed = time.monotonic()

    def step(self) -> dict[str, Any]:
        definition, trainer, task = self._definition, self._trainer, self._trainer.task
        start = time.perf_counter()
        trainer.train(min(trainer.step + definition["evaluation_interval"], definition["steps"]))
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
            "seconds": time.perf_counter() - start,
            DONE: infeasible or trainer.step >= definition["steps"],
        }
        if time.monotonic() - self._checkpointed > CHECKPOINT_SECONDS:
            result[SHOULD_CHECKPOINT] = True
            self._checkpointed = time.monotonic()
        return result

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

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        torch.save(self._trainer.state_dict(), Path(checkpoint_dir) / "state.pt")

    def load_checkpoint(self, checkpoint: Any) -> None:
        path = Path(str(checkpoint)) / "state.pt"
        state = torch.load(path, weights_only=True, map_location=self._trainer.device)
        self._trainer.load_state_dict(state)


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
