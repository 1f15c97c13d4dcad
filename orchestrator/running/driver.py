"""Drives a run: trains the trials that the ledger lacks under Ray Tune, and records them.

A run is three steps: replay the recorded reports into the scheduler, settle the trials that these
reports ended, and let Tune train the rest.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ray import tune

from orchestrator import ray_internals
from orchestrator.cluster.capacity import Capacity
from orchestrator.cluster.cluster import Cluster, Connect, Lost
from orchestrator.cluster.local import local_ray
from orchestrator.errors import RunFailed
from orchestrator.ledger import LedgerWriter
from orchestrator.lock.holder import NOBODY, Holder
from orchestrator.lock.sweep_lock import sweep_lock
from orchestrator.outcome import Outcome
from orchestrator.paths import SweepPaths
from orchestrator.plan.plan import Plan
from orchestrator.plan.remaining import Remaining
from orchestrator.plan.repair import clear_checkpoints
from orchestrator.plan.resources import GPU_BYTES, TrialResources, trial_resources
from orchestrator.running.interruption import Interruption
from orchestrator.running.recorder import Listener, Recorder
from orchestrator.running.settlement import settled_trials
from orchestrator.search.queue import TrialQueue
from orchestrator.search.scheduler import PerCellASHA, PerCellFIFO
from trainables import storage
from trainables.definition import Definition
from trainables.trial import Checkpointing, Trial

PATIENCE_SECONDS = 300.0  # how long a run waits for an object store that does not answer

Settled = tuple[Definition, Outcome, float]


@dataclass
class Driver:
    """Trains what is left of a sweep.

    Attributes:
        plan: the sweep's plan.
        paths: the sweep's files.
        writer: the ledger's writer, see :func:`.writer.ledger_writer`.
        listeners: told of every trial that starts or ends.
        holder: the run that holds the sweep's lock; it is asked whether it has to stop.
        trainable: the Tune trainable of a trial; its reports have to be those of :class:`Trial`.
    """

    plan: Plan
    paths: SweepPaths
    writer: LedgerWriter
    listeners: Sequence[Listener]
    holder: Holder = NOBODY
    trainable: type = Trial

    def run(self, left: Remaining, lost: Lost, connect: Connect = local_ray) -> bool:
        """Train what is left; return False if the run was interrupted.

        Ctrl-C, SIGTERM and :meth:`.SweepLock.request_stop` interrupt it.

        Args:
            left: the trials to run.
            lost: called in a thread of its own when Ray itself dies; it has to end the process.
            connect: connects to the cluster; by default it starts a Ray instance on this machine
                for this run.

        Raises:
            BadInput: there is no host for some trial, or a host is not fit.
            RunFailed: the ledger could not be written, or Tune itself failed.
        """
        reasons: list[Callable[[], str]] = [
            partial(sweep_lock(self.paths).reason_to_stop, self.holder)
        ]
        interruption = Interruption(
            lambda: next(filter(None, (reason() for reason in reasons)), "")
        )
        storage.be_patient(
            self.paths.results,
            storage.Patience(PATIENCE_SECONDS, lambda: interruption.happened or bool(reasons[0]())),
        )
        recorder = Recorder(
            self.plan, self.paths, self.writer, self.listeners, left.record.curves, self.holder.run
        )
        scheduler, stopped = self._replay(left)
        settled = list(settled_trials(self.plan, left, stopped))
        _settle(recorder, settled)
        left = left.without([definition for definition, _, _ in settled])
        if not left.count:
            return True
        # Signals are caught while Ray starts, and again afterwards: Ray handles SIGTERM itself.
        with (
            interruption.caught(),
            connect(lost) as cluster,
            interruption.caught(),
            _folder_of_tune(self.paths) as folder,
        ):
            reasons.append(cluster.trouble)
            capacity, resources = Capacity(cluster.look), self._resources(cluster)
            capacity.check(resources[cell] for cell, indices in left.indices.items() if indices)
            # Now no process of an earlier run is alive that could write another checkpoint.
            clear_checkpoints(self.plan, self.paths, left)
            queue = self._queue(left, settled, recorder, capacity, resources)
            tuner = self._tuner(queue, scheduler, recorder, interruption, folder)
            try:
                tuner.fit()
                recorder.flush()
                if not interruption.happened:
                    self.writer.compact()
            except Exception as error:
                raise self._broken_off(error, recorder) from error
        return not interruption.happened

    def _replay(self, left: Remaining) -> tuple[PerCellFIFO, set[str]]:
        """Return the scheduler with the recorded reports, and the undecided trials it stops."""
        spec = self.plan.spec
        if spec.scheduler.method != "asha":
            return PerCellFIFO(), set()
        steps = {cell.id: cell.training.steps for cell in self.plan.cells}
        scheduler = PerCellASHA(spec.scheduler, steps, spec.seed)
        reports, trials = left.record.reports, left.record.trials
        rows_of_stopped = trials[trials["outcome"] == "stopped"]
        stopped = scheduler.replay(
            zip(*(reports[c] for c in ("cell", "trial", "step", "objective")), strict=True),
            stopped=dict(zip(rows_of_stopped["trial"], rows_of_stopped["step"], strict=True)),
            undecided=left.undecided,
        )
        return scheduler, stopped

    def _queue(
        self,
        left: Remaining,
        settled: Sequence[Settled],
        recorder: Recorder,
        capacity: Capacity,
        resources: dict[str, TrialResources],
    ) -> TrialQueue:
        proposals = None
        if self.plan.spec.search.method == "gp":
            from orchestrator.search.proposals import Proposals

            cores = sum(host.resources.get("CPU", 0.0) for host in capacity.hosts)
            proposals = Proposals(self.plan, left, cores)
            for settlement in settled:
                proposals.ended(*settlement)
        return TrialQueue(
            self.plan,
            left,
            proposals,
            # Tune pickles its searcher: it must not refer to the listeners, which hold threads.
            partial(
                _checkpointing,
                self.plan,
                self.paths,
                self.writer.token,
                {trial: curve[-1]["step"] for trial, curve in left.record.curves.items()},
            ),
            recorder.given,
            capacity,
            resources,
        )

    def _resources(self, cluster: Cluster) -> dict[str, TrialResources]:
        """Return the resources of a trial of each cell on the hosts there are."""
        hosts = cluster.look()
        any_gpu = any(host.resources.get("GPU") for host in hosts)
        gpu_bytes = (cluster.gpu_bytes or GPU_BYTES) if any_gpu else None
        resources = trial_resources(self.plan, gpu_bytes)
        if self.plan.spec.resources.memory is not None:
            return resources
        # The memory is only estimated, so a host with less is no reason to refuse the sweep.
        most = int(max((host.resources.get("memory", 0.0) for host in hosts), default=0.0))
        return {
            cell: replace(needed, memory=min(needed.memory, most))
            for cell, needed in resources.items()
        }

    def _tuner(
        self,
        queue: TrialQueue,
        scheduler: PerCellFIFO,
        recorder: Recorder,
        interruption: Interruption,
        folder: str,
    ) -> tune.Tuner:
        """Return the tuner that trains the trials of the queue.

        Args:
            folder: folder for the files that Tune itself writes.
        """
        ray_internals.retry_trials_that_take_over_a_worker()
        return tune.Tuner(
            tune.with_resources(self.trainable, _placement),
            tune_config=tune.TuneConfig(
                num_samples=-1,
                metric="objective",
                mode="min",
                search_alg=queue,
                scheduler=scheduler,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="run",
                storage_path=folder,
                callbacks=[recorder],
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                failure_config=tune.FailureConfig(max_failures=self.plan.spec.recovery.retries),
                stop=interruption,
                verbose=0,
            ),
        )

    def _broken_off(self, error: Exception, recorder: Recorder) -> RunFailed:
        """Return the error that a run ends with, after a last try to record what arrived."""
        storage.be_patient(self.paths.results, storage.Patience(0.0))
        with suppress(OSError):  # the disk may still refuse
            recorder.flush()
        # Tune says only that something failed; the cause of its error says what.
        cause = error if isinstance(error, OSError) else error.__cause__ or error
        return RunFailed(f"the run broke off: {cause}")


def _settle(recorder: Recorder, settled: Sequence[Settled]) -> None:
    """Record the ends of trials of an earlier run."""
    for definition, outcome, _ in settled:
        recorder.settle(definition, outcome)
    try:
        recorder.flush()
    except OSError as error:
        raise RunFailed(f"the ledger cannot be written: {error}") from error


@contextmanager
def _folder_of_tune(paths: SweepPaths) -> Iterator[str]:
    """Provide a folder for the files of Tune, which nobody reads, and remove it afterwards.

    A folder that a killed run left behind is removed first.
    """
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


def _checkpointing(
    plan: Plan,
    paths: SweepPaths,
    token: int,
    recorded: Mapping[str, int],
    definition: Definition,
) -> Checkpointing:
    """Return where a trial keeps its checkpoints, and when it writes one.

    Args:
        token: number of the run.
        recorded: step of the last recorded report of each trial that began, by its name.
    """
    return {
        "folder": str(paths.checkpoints_of(definition["trial"]).absolute()),
        "token": token,
        # From a later checkpoint the trial would not make its next report.
        "others_until": plan.by_id[definition["cell"]].training.report_steps.after(
            recorded.get(definition["trial"], 0)
        )
        - 1,
        "seconds": plan.spec.recovery.checkpoint_seconds,
        "rungs": plan.spec.scheduler.rungs(definition["steps"]),
    }


def _placement(config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """Return the resources that Ray needs to place a trial, in Tune's form."""
    return tune.PlacementGroupFactory([config["resources"]])
