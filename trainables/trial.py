"""Trains one configuration as a Ray Tune trainable, which reports and writes checkpoints."""

import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypedDict, cast

import torch
from ray import tune

from trainables import checkpoints, storage, tasks, worker
from trainables.architectures import build
from trainables.definition import Definition, identity_of
from trainables.diagnostics import NETWORK, Measured, Settings, diagnose, power_spectrum
from trainables.plain_text import traceback_of
from trainables.report import Diagnosis, Failure, Report, further_figures, mean, summarize
from trainables.report_steps import ReportSteps
from trainables.space import Configuration
from trainables.training import Schedule, Scores, Trainer

# How long requests to an object store are retried: longer than the driver does, so that an outage
# ends the run, which can be resumed, and leaves no trial errored.
PATIENCE = storage.Patience(360.0)
LEAST_SECONDS = 1.0  # between two checkpoints, however close the rungs are

# Errors after which a process may be damaged: its trial goes on in a new one.
MACHINE_ERRORS = (
    MemoryError,
    torch.OutOfMemoryError,
    torch.AcceleratorError,
    storage.StoreError,
)


class MachineFailure(Exception):
    """Reports an error of the process or the machine to Tune, with its traceback as a plain text.

    The error itself may be one that cannot be pickled, or whose class the driver cannot import.
    """


class Checkpointing(TypedDict):
    """Says where a trial keeps its checkpoints, and when it writes one.

    ``folder`` is a path or a URL. ``token`` is the number of the run of the sweep; the trial goes
    on from a checkpoint of another run only up to the step ``others_until``. A checkpoint is
    written after ``seconds`` of training since the last one, and before a trial goes on from the
    first report at or behind one of ``rungs`` (training steps), unless the last checkpoint is less
    than ``LEAST_SECONDS`` old.
    """

    folder: str
    token: int
    others_until: int
    seconds: float
    rungs: Sequence[float]


class TrialConfig(TypedDict, total=False):
    """Holds the configuration that Tune hands to a :class:`Trial`.

    ``definition`` is required. A trial without ``checkpointing`` keeps no checkpoints. ``gpus`` is
    the number of GPUs, or the share of one, that the trial occupies; without it or with 0 it trains
    on a CPU. ``cpus`` is the number of cores, by default 1: it trains with as many threads, and at
    least with one. ``modules`` are the folders in which the driver searches for modules, where a
    user's own may lie.
    """

    definition: Definition
    checkpointing: Checkpointing
    gpus: float
    cpus: float
    modules: Sequence[str]


class Trial(tune.Trainable):  # type: ignore[misc]  # Ray ships no types for it
    """Trains one configuration and reports at the steps of its ``evaluation_interval``.

    An actor serves one trial after the other (``reset_config``), also across cells. A trial goes
    on from its newest checkpoint, wherever and by whichever process that was written, bit for
    bit: weights, optimizer state and counters are in it, and batches are pure functions of the
    step.

    An error in the code that is trained (a bug in an architecture or a task) is tried once more
    from that checkpoint; the second one ends the trial with a :class:`Failure`. That goes for
    everything that such code can raise, also to leave the process. An error of the process or the
    machine is raised, so that Tune starts the trial again in a new process.

    Its ``config`` is a :class:`TrialConfig`.
    """

    def setup(self, config: Mapping[str, Any]) -> None:
        # Every trial of a worker has the same resources: Tune starts another worker for others.
        worker.prepare(threads=max(math.floor(config.get("cpus", 1.0)), 1))
        worker.search_last(config.get("modules", ()))
        self._working_folder = Path()
        with suppress(OSError):  # it is gone already
            self._working_folder = Path.cwd()
        self._told: set[str] = set()  # troubles with further figures that were reported
        self._take_up(cast(TrialConfig, config))

    def reset_config(self, new_config: Mapping[str, Any]) -> bool:
        self._take_up(cast(TrialConfig, new_config))
        return True

    def _take_up(self, config: TrialConfig) -> None:
        self._definition = config["definition"]
        self._device = torch.device("cuda" if config.get("gpus", 0.0) > 0 else "cpu")
        self._checkpointing = config.get("checkpointing")
        if self._checkpointing is not None:
            self._folder = storage.location(self._checkpointing["folder"])
            storage.be_patient(self._folder, PATIENCE)
        self._begun, self._failed = False, False

    def step(self) -> Report | Failure:
        try:
            return self._report_or_failure()
        finally:
            with suppress(OSError):  # a user's code may have left the folder, which others need
                os.chdir(self._working_folder)

    def _report_or_failure(self) -> Report | Failure:
        while True:
            try:
                if not self._begun:
                    self._begin()
                    self._begun = True
                return self.report()
            except BaseException as error:
                text = traceback_of(error)
                if _is_of_the_machine(error, text):
                    raise MachineFailure(text) from None
                if self._failed:
                    return Failure(error=text, objective=math.nan, done=True)
                self._failed, self._begun = True, False

    def _begin(self) -> None:
        """Start the trial, or go on from its newest checkpoint."""
        self._trainer = self._make_trainer()
        self._spent = 0.0  # seconds between the last report and the checkpoint
        self._diagnostics: list[Diagnosis] = []  # since the last report
        self._lowest = math.inf  # objective of all reports so far
        self._warnings: list[str] = []
        if self._checkpointing is not None:
            used, self._warnings = checkpoints.load(
                self._folder,
                self._identity,
                self._go_on_from,
                self._checkpointing["token"],
                self._checkpointing["others_until"],
            )
            if self._warnings and not used:
                # A checkpoint that did not fit may have been loaded in part.
                self._trainer, self._spent = self._make_trainer(), 0.0
                self._diagnostics, self._lowest = [], math.inf
        self._checkpointed = time.monotonic()
        self._checkpoint_due = False

    def _go_on_from(self, state: Mapping[str, Any]) -> None:
        self._trainer.load_state_dict(state["trainer"])
        self._spent = state["spent"]
        # Checkpoints of earlier releases have neither; their trials need neither.
        self._diagnostics = state.get("diagnostics", [])
        self._lowest = state.get("lowest", math.inf)

    def _make_trainer(self) -> Trainer:
        definition = self._definition
        configuration: Configuration = definition["configuration"]
        # The task is kept from trial to trial of a worker: its data are read once.
        task = tasks.shared(definition["task"], definition["task_options"])
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
            device=self._device,
        )
        self._baseline = tasks.finite_baseline(task)
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
            paired=definition["paired"],
        )

    def report(self) -> Report:
        """Train up to the next report and return it."""
        definition, trainer, task = self._definition, self._trainer, self._trainer.task
        self._started = time.perf_counter() - self._spent
        self._spent = 0.0
        # Written here and not when it became due: a trial that its rung stops needs no checkpoint.
        # If the trial goes on, Tune already has the report of this step, so a resumed trial does
        # not skip it.
        self._write_checkpoint_if_due()
        before = trainer.step
        # Checkpoints may fall between reports, so continue to the next report step. Never
        # checkpoint at a report's step before the report is returned: a resumed trial would skip
        # it.
        until = self._report_steps.after(before)
        for step in self._diagnosed_steps(before, until):
            trainer.train(step, self._write_checkpoint_if_due)
            self._diagnose(step)
        trainer.train(until, self._write_checkpoint_if_due)
        validation = trainer.evaluate("validation")
        evaluation = validation if task.memorizes else trainer.evaluate("evaluation")
        infeasible_at = trainer.infeasible_at
        training_losses = [
            loss if at is None else math.nan
            for loss, at in zip(trainer.training_losses, infeasible_at, strict=True)
        ]
        summary = summarize(
            training_losses, validation, evaluation, definition["divergence_threshold"]
        )
        infeasible = all(step is not None for step in infeasible_at)
        further, trouble = further_figures(
            task, summary["evaluation_metric"], definition["parameters"]
        )
        if trouble and trouble not in self._told:
            self._told.add(trouble)
            self._warnings.append(f"task {definition['task']}: {trouble}")
        report = Report(
            **summary,
            objective=self._judged(self._objective(validation, summary["validation_loss"])),
            further=json.dumps(further, sort_keys=True) if further else None,
            step=trainer.step,
            diagnostics=self._diagnostics,
            infeasible=infeasible,
            lane_infeasible_at=infeasible_at,
            seconds=time.perf_counter() - self._started,
            done=infeasible or trainer.step >= definition["steps"],
            warnings=self._warnings,
        )
        self._warnings, self._diagnostics = [], []
        if self._checkpointing is not None and not report["done"]:
            rungs = self._checkpointing["rungs"]
            self._checkpoint_due |= any(before < rung <= trainer.step for rung in rungs)
        return report

    def _diagnosed_steps(self, before: int, until: int) -> list[int]:
        """Return the steps up to a report at which the networks are diagnosed."""
        request = self._definition["diagnostics"]
        if request is None:
            return []
        return [step for step in request["at"] if before < step <= until or step == before == 0]

    def _diagnose(self, step: int) -> None:
        """Diagnose the feasible networks unless all became infeasible before ``step``."""
        request, trainer = self._definition["diagnostics"], self._trainer
        feasible = [at is None for at in trainer.infeasible_at]
        if request is None or trainer.step < step or not any(feasible):
            return
        measured = diagnose(
            trainer.network,
            trainer.task,
            trainer.held_out("evaluation"),
            Settings(
                lyapunov=request["lyapunov"],
                gradients=request["gradients"],
                hessian=request["hessian"],
                samples=request["samples"],
            ),
            feasible=feasible,
        )
        if self._definition["index"] == 0 and step == request["at"][0]:
            # The same for all trials of the task: one of each cell records it.
            measured.append(self._input_power(request["samples"]))
        self._diagnostics += [Diagnosis(**one, step=step) for one in measured]

    def _input_power(self, samples: int) -> Measured:
        """Measure the mean power spectrum of the task's held-out inputs."""
        began = time.perf_counter()
        inputs = self._trainer.held_out("evaluation").inputs[:, :, :samples]
        powers = power_spectrum(inputs).tolist()
        return Measured(
            lane=0,
            layer=NETWORK,
            quantity="input_power",
            values=powers,
            samples=inputs.shape[2],
            seconds=time.perf_counter() - began,
        )

    def _write_checkpoint_if_due(self) -> None:
        """Write a checkpoint if it is time; one that cannot be written is only a warning."""
        if self._checkpointing is None or self._trainer.step == 0:
            return
        age = time.monotonic() - self._checkpointed
        due = self._checkpoint_due and age > LEAST_SECONDS
        if due or age > self._checkpointing["seconds"]:
            try:
                spent = time.perf_counter() - self._started
                state = {
                    "trainer": self._trainer.state_dict(),
                    "spent": spent,
                    "diagnostics": self._diagnostics,
                    "lowest": self._lowest,
                }
                checkpoints.write(
                    self._folder,
                    self._trainer.step,
                    self._identity,
                    state,
                    self._checkpointing["token"],
                )
            except OSError as error:
                self._warnings.append(f"the checkpoint could not be written: {error}")
            self._checkpointed = time.monotonic()
            self._checkpoint_due = False

    @property
    def _identity(self) -> str:
        """Return the text by which a checkpoint is recognized as one of this trial."""
        return identity_of(self._definition)

    @property
    def _report_steps(self) -> ReportSteps:
        """Return the steps at which this trial reports."""
        return ReportSteps.of(self._definition["evaluation_interval"], self._definition["steps"])

    def _judged(self, objective: float) -> float:
        """Return the objective by which the trial is judged, given that of this report.

        It stays nan where all networks are infeasible, which ends the trial.
        """
        if self._definition["report"] == "last" or math.isnan(objective):
            return objective
        self._lowest = min(self._lowest, objective)
        return self._lowest

    def _objective(self, validation: Scores, loss: float) -> float:
        """Return what search and early stopping see: less is better, nan if there is no number.

        In a metric an infeasible lane counts with the baseline's metric, as in a loss with the
        divergence threshold.
        """
        if self._definition["objective"] == "loss" or math.isnan(loss):
            return loss
        lanes = [self._baseline.metric if math.isnan(m) else m for m in validation.metrics]
        return -mean(lanes) if self._trainer.task.higher_is_better else mean(lanes)


def _is_of_the_machine(error: BaseException, text: str) -> bool:
    """Return whether an error with this traceback says that the process may be damaged."""
    if isinstance(error, MACHINE_ERRORS) or isinstance(error.__cause__, MACHINE_ERRORS):
        return True
    return isinstance(error, RuntimeError) and any(
        sign in text for sign in checkpoints.OUT_OF_MEMORY
    )
