"""Running a sweep: train under Ray Tune what the ledger lacks of the plan, and record it."""

import math
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial

from ray import tune

from orchestrator.cluster.local import local_ray
from orchestrator.errors import BadInput, RunFailed
from orchestrator.interruption import Interruption
from orchestrator.ledger import LedgerWriter
from orchestrator.lock import NOBODY, Holder, reason_to_stop
from orchestrator.outcome import Outcome, outcome_of
from orchestrator.paths import SweepPaths
from orchestrator.plan import Plan, index_of
from orchestrator.recorder import Listener, Recorder
from orchestrator.remaining import Remaining, clear_checkpoints
from orchestrator.scheduler import PerCellASHA, PerCellFIFO
from orchestrator.searcher import PlannedTrials
from orchestrator.spec import ResourcesSpec
from trainables.definition import Definition
from trainables.trial import Checkpointing, Trial


def run(
    plan: Plan,
    paths: SweepPaths,
    left: Remaining,
    listeners: Sequence[Listener],
    lost: Callable[[str], None],
    us: Holder = NOBODY,
    trainable: type = Trial,
) -> bool:
    """Train what is left on this machine; returns False if it was interrupted.

    By Ctrl-C, SIGTERM or :func:`orchestrator.lock.request_stop`.

    Args:
        listeners: told of every trial that ended.
        lost: called, in a thread of its own, when Ray itself dies; it has to end the process.
        us: the run that this is, which holds the sweep's lock.
        trainable: what a trial does; anything that reports as :class:`Trial` does.

    Raises:
        RunFailed: the ledger could not be written, or Tune itself failed.
    """
    spec = plan.spec
    writer = LedgerWriter(paths.ledger, left.sequence)
    recorder = Recorder(plan, paths, writer, listeners, left.curves, us.run)
    scheduler = PerCellFIFO()
    stopped: set[str] = set()
    if spec.scheduler.method == "asha":
        steps = {cell.id: cell.training.steps for cell in plan.cells}
        scheduler = asha = PerCellASHA(spec.scheduler, steps, spec.seed)
        stopped = asha.replay(
            zip(*(left.reports[c] for c in ("cell", "trial", "step", "objective")), strict=True),
            stopped=_steps_of_stopped(left),
            undecided=left.undecided,
        )
    settled = list(_settled(plan, left, stopped))
    for definition, outcome, _ in settled:
        recorder.settle(definition, outcome)
    try:
        recorder.flush()
    except OSError as error:
        raise RunFailed(f"the ledger cannot be written: {error}") from error
    left = left.without([definition for definition, _, _ in settled])
    if not left.count:
        return True

    def checkpointing(definition: Definition) -> Checkpointing:
        return {
            "folder": str(paths.checkpoints_of(definition["trial"]).absolute()),
            "seconds": spec.recovery.checkpoint_seconds,
            "rungs": scheduler.rungs(definition["cell"]),
        }

    interruption = Interruption(partial(reason_to_stop, paths, us))
    # Caught while Ray starts, and again after it: Ray puts a SIGTERM handler of its own.
    with (
        interruption.caught(),
        local_ray(lost) as there,
        interruption.caught(),
        _tunes_own_files(paths) as folder,
    ):
        clear_checkpoints(plan, paths, left)  # now that no process of an earlier run is alive
        slots = min(_slots(spec.resources, there), left.count)
        proposals = None
        if spec.search.method == "gp":
            from orchestrator.proposals import Proposals

            proposals = Proposals(plan, left, there["CPU"])
            for settlement in settled:
                proposals.ended(*settlement)
        tuner = tune.Tuner(
            tune.with_resources(
                trainable, {"cpu": spec.resources.cpus, "gpu": spec.resources.gpus}
            ),
            tune_config=tune.TuneConfig(
                num_samples=-1,
                metric="objective",
                mode="min",
                search_alg=PlannedTrials(plan, left, proposals, checkpointing, recorder.given),
                scheduler=scheduler,
                max_concurrent_trials=slots,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="run",
                storage_path=folder,
                callbacks=[recorder],
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                failure_config=tune.FailureConfig(max_failures=spec.recovery.retries),
                stop=interruption,
                verbose=0,
            ),
        )
        try:
            tuner.fit()
            recorder.flush()
        except Exception as error:
            with suppress(OSError):  # what had arrived by then, if the disk takes it
                recorder.flush()
            # Tune says that something failed; what failed is the cause.
            raise RunFailed(f"the run broke off: {error.__cause__ or error}") from error
    return not interruption.happened


@contextmanager
def _tunes_own_files(paths: SweepPaths) -> Iterator[str]:
    """A folder for what Tune writes and nobody reads again, also gone after a run was killed."""
    shutil.rmtree(paths.tune, ignore_errors=True)
    paths.tune.mkdir()
    try:
        yield str(paths.tune.absolute())
    finally:
        shutil.rmtree(paths.tune, ignore_errors=True)


def _steps_of_stopped(left: Remaining) -> dict[str, int]:
    stopped = left.recorded[left.recorded["outcome"] == "stopped"]
    return dict(zip(stopped["trial"], stopped["step"], strict=True))


def _settled(
    plan: Plan, left: Remaining, stopped: Collection[str]
) -> Iterator[tuple[Definition, Outcome, float]]:
    """Trials that their last report ended, though a crash came before their rows, and how.

    Args:
        stopped: those that the scheduler stops.
    """
    cells = {cell.id: cell for cell in plan.cells}
    configurations = left.configurations()
    for trial in left.undecided:
        last = left.curves[trial][-1]
        cell = cells[last["cell"]]
        index = index_of(cell.id, trial)
        definition = plan.trial(cell, index, configurations.get(trial)).definition
        seen = math.nan if last["objective"] is None else last["objective"]
        outcome = outcome_of({"objective": seen, "step": last["step"]}, definition["steps"])
        if outcome != "stopped" or trial in stopped:
            yield definition, outcome, seen


def _slots(asked: ResourcesSpec, there: Mapping[str, float]) -> int:
    """How many trials fit side by side."""
    slots = math.inf
    for kind, amount in (("CPU", asked.cpus), ("GPU", asked.gpus)):
        if amount > there[kind]:
            raise BadInput(
                f"a trial asks for {kind.lower()}s: {amount:g}, but this machine has "
                f"{there[kind]:g}; lower resources.{kind.lower()}s in the sweep file"
            )
        if amount:
            slots = min(slots, math.floor(there[kind] / amount + 1e-9))  # 1 / 0.1 is ten
    return int(slots)
