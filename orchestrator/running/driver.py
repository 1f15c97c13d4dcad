"""Running a sweep: train under Ray Tune what the ledger lacks of the plan, and record it."""

import math
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ray import tune

from orchestrator.cluster.cluster import Cluster, Connect, Lost
from orchestrator.cluster.local import local_ray
from orchestrator.cluster.room import Room
from orchestrator.errors import RunFailed
from orchestrator.interruption import Interruption
from orchestrator.ledger import LedgerWriter
from orchestrator.lock import NOBODY, Holder, reason_to_stop
from orchestrator.needs import GPU_BYTES, Need, needs
from orchestrator.outcome import Outcome, outcome_of
from orchestrator.paths import SweepPaths
from orchestrator.plan import Plan, index_of
from orchestrator.recorder import Listener, Recorder
from orchestrator.remaining import Remaining, clear_checkpoints
from orchestrator.scheduler import PerCellASHA, PerCellFIFO
from orchestrator.searcher import PlannedTrials
from trainables import storage
from trainables.definition import Definition
from trainables.trial import Checkpointing, Trial

PATIENCE_SECONDS = 300.0  # with a store that is away; the run waits


def run(
    plan: Plan,
    paths: SweepPaths,
    left: Remaining,
    listeners: Sequence[Listener],
    lost: Lost,
    us: Holder = NOBODY,
    trainable: type = Trial,
    connect: Connect = local_ray,
) -> bool:
    """Train what is left; returns False if it was interrupted.

    By Ctrl-C, SIGTERM or :func:`orchestrator.lock.request_stop`.

    Args:
        listeners: told of every trial that ended.
        lost: called, in a thread of its own, when Ray itself dies; it has to end the process.
        us: the run that this is, which holds the sweep's lock.
        trainable: what a trial does; anything that reports as :class:`Trial` does.
        connect: to the cluster; by default a Ray instance of this machine and run.

    Raises:
        BadInput: there is no host for some trial, or a host is not fit.
        RunFailed: the ledger could not be written, or Tune itself failed.
    """
    spec = plan.spec
    reasons: list[Callable[[], str]] = [partial(reason_to_stop, paths, us)]
    interruption = Interruption(lambda: next(filter(None, (reason() for reason in reasons)), ""))
    storage.be_patient(
        paths.results, storage.Patience(PATIENCE_SECONDS, lambda: interruption.happened)
    )
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

    # Caught while Ray starts, and again after it: Ray puts a SIGTERM handler of its own.
    with (
        interruption.caught(),
        connect(lost) as there,
        interruption.caught(),
        _tunes_own_files(paths) as folder,
    ):
        reasons.append(there.trouble)
        room, asked = Room(there.look), _asked(plan, there)
        room.check(asked[cell] for cell, indices in left.indices.items() if indices)
        clear_checkpoints(plan, paths, left)  # now that no process of an earlier run is alive
        proposals = None
        if spec.search.method == "gp":
            from orchestrator.proposals import Proposals

            cores = sum(host.resources.get("CPU", 0.0) for host in there.look())
            proposals = Proposals(plan, left, cores)
            for settlement in settled:
                proposals.ended(*settlement)
        tuner = tune.Tuner(
            tune.with_resources(trainable, _resources),
            tune_config=tune.TuneConfig(
                num_samples=-1,
                metric="objective",
                mode="min",
                search_alg=PlannedTrials(
                    plan, left, proposals, checkpointing, recorder.given, room, asked
                ),
                scheduler=scheduler,
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
            if not interruption.happened:
                writer.compact()
        except Exception as error:
            storage.be_patient(paths.results, storage.Patience(0.0))
            with suppress(OSError):  # what had arrived by then, if the disk takes it
                recorder.flush()
            # Tune says that something failed; what failed is the cause.
            what = error if isinstance(error, OSError) else error.__cause__ or error
            raise RunFailed(f"the run broke off: {what}") from error
    return not interruption.happened


@contextmanager
def _tunes_own_files(paths: SweepPaths) -> Iterator[str]:
    """A folder for what Tune writes and nobody reads again, also gone after a run was killed."""
    if not isinstance(paths.tune, Path):
        with tempfile.TemporaryDirectory(prefix="soundings-") as folder:
            yield folder
        return
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


def _asked(plan: Plan, there: Cluster) -> dict[str, Need]:
    """What a trial of each cell asks for on the hosts there are."""
    hosts = there.look()
    any_gpu = any(host.resources.get("GPU") for host in hosts)
    asked = needs(plan, (there.gpu_bytes or GPU_BYTES) if any_gpu else None)
    if plan.spec.resources.memory is not None:
        return asked
    # What was only estimated is no reason to run nothing.
    most = int(max((host.resources.get("memory", 0.0) for host in hosts), default=0.0))
    return {cell: replace(need, memory=min(need.memory, most)) for cell, need in asked.items()}


def _resources(config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """What Tune asks Ray for, trial by trial."""
    return tune.PlacementGroupFactory([config["resources"]])
