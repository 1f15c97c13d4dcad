"""Running a sweep: subtract the ledger from the plan, train the rest under Ray Tune, record."""

import json
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pandas as pd
from ray import tune

from orchestrator.cluster.local import local_ray
from orchestrator.errors import BadInput, RunFailed
from orchestrator.interruption import Interruption
from orchestrator.ledger import Ledger, LedgerWriter
from orchestrator.paths import SweepPaths
from orchestrator.plan import Plan, PlannedTrial
from orchestrator.recorder import Listener, Recorder
from orchestrator.scheduler import PerCellASHA
from orchestrator.searcher import PlannedTrials
from orchestrator.spec import ResourcesSpec
from trainables.trial import Trial

ENDED = ("completed", "stopped", "infeasible")  # errored trials are run again
MOST_TRIALS = 20_000  # of a sweep: the driver's memory grows with them
RETRIES = 1  # of a trial whose process died, from its last checkpoint


@dataclass(frozen=True)
class Unfinished:
    """What is left of a sweep: the trials to run, and what the ledger already holds."""

    trials: list[PlannedTrial]
    recorded: pd.DataFrame
    results: pd.DataFrame


def unfinished(plan: Plan, paths: SweepPaths) -> Unfinished:
    """Subtract the ledger from the plan.

    Raises:
        BadInput: the results folder holds another sweep of this name, or cannot be written to,
            or the sweep has more trials than a run can hold.
    """
    if plan.trial_count > MOST_TRIALS:
        raise BadInput(
            f"sweep '{plan.spec.name}' has {plan.trial_count:,} trials, but one run holds at most "
            f"{MOST_TRIALS:,}; lower search.samples, or split the sweep"
        )
    paths.make_writable()
    _claim(plan, paths)
    ledger = Ledger(paths.ledger)
    recorded, results = ledger.trials(), ledger.results()
    done = set(recorded.loc[recorded["outcome"].isin(ENDED), "trial"])
    return Unfinished([t for t in plan.trials() if t.id not in done], recorded, results)


def _claim(plan: Plan, paths: SweepPaths) -> None:
    """Record what the sweep is, or hold it against what its first run recorded."""
    cells = {cell.id: cell.definition() for cell in plan.cells}
    spec = plan.spec.model_dump(mode="json", exclude={"resources"})  # where, not what
    impossible = [cell.definition() for cell in plan.impossible]
    ours = json.loads(json.dumps({**spec, "cells": cells, "impossible": impossible}))
    if any(paths.ledger.rglob("*.parquet")):
        if not paths.definition.exists():
            raise BadInput(
                f"{paths.folder} has a ledger, but not {paths.definition.name}, which says what "
                "sweep it is of; put it back, or name another folder with --results"
            )
        theirs = paths.read_definition()
        # What the file says comes first, then what it means: widths, spaces.
        derived = {key: theirs[key] for key in ("cells", "impossible")}
        differences = list(_differences(theirs, {**ours, **derived}))
        differences = differences or list(_differences(theirs, ours))
        if differences:
            more = f" (and {len(differences) - 3} more)" if len(differences) > 3 else ""
            raise BadInput(
                f"{paths.folder} holds another sweep called '{plan.spec.name}': "
                f"{'; '.join(differences[:3])}{more}; change the sweep's name, "
                "name another folder with --results, or take the change back"
            )
        return
    hidden = paths.definition.with_name(f".{paths.definition.name}.tmp")
    hidden.write_text(json.dumps(ours, indent=1), encoding="utf-8")
    hidden.rename(paths.definition)


def _differences(theirs: Any, ours: Any, where: str = "") -> Iterator[str]:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in [*theirs, *(key for key in ours if key not in theirs)]:
            place = f"{where}.{key}" if where else key
            if key not in ours:
                yield f"{place} was there and is not in the file"
            elif key not in theirs:
                yield f"{place} is new in the file"
            else:
                yield from _differences(theirs[key], ours[key], place)
    elif theirs != ours:
        yield f"{where} was {json.dumps(theirs)} and is {json.dumps(ours)} in the file"


def run(
    plan: Plan,
    paths: SweepPaths,
    left: Unfinished,
    listeners: Sequence[Listener],
    trainable: type = Trial,
) -> bool:
    """Train what is left on this machine; returns False if it was interrupted (Ctrl-C, SIGTERM).

    Args:
        listeners: told of every trial that ended.
        trainable: what a trial does; anything that reports as :class:`Trial` does.

    Raises:
        RunFailed: the ledger could not be written, or Tune itself failed.
    """
    spec = plan.spec
    last = max((f["sequence"].max() for f in (left.recorded, left.results) if len(f)), default=-1)
    recorder = Recorder(spec.name, left.trials, LedgerWriter(paths.ledger, last + 1), listeners)
    scheduler = None
    if spec.scheduler.method == "asha":
        steps = {cell.id: cell.training.steps for cell in plan.cells}
        scheduler = PerCellASHA(spec.scheduler, steps)
        scheduler.replay(_reports(left.results))
    interruption = Interruption()
    # Caught while Ray starts, and again after it: Ray puts a SIGTERM handler of its own.
    with interruption.caught(), local_ray() as there, interruption.caught():
        slots = min(_slots(spec.resources, there), len(left.trials))
        paths.checkpoints.mkdir(exist_ok=True)
        tuner = tune.Tuner(
            tune.with_resources(
                trainable, {"cpu": spec.resources.cpus, "gpu": spec.resources.gpus}
            ),
            tune_config=tune.TuneConfig(
                num_samples=-1,
                metric="objective",
                mode="min",
                search_alg=PlannedTrials(left.trials),
                scheduler=scheduler,
                max_concurrent_trials=slots,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="run",
                storage_path=str(paths.checkpoints.absolute()),
                callbacks=[recorder],
                failure_config=tune.FailureConfig(max_failures=RETRIES),
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
        finally:
            # Within one run a trial goes on from its checkpoint; the next run starts it anew.
            shutil.rmtree(paths.checkpoints, ignore_errors=True)
    return not interruption.happened


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


def _reports(results: pd.DataFrame) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The ledger's reports as the scheduler once saw them."""
    columns = ("cell", "trial", "step", "objective")
    for cell, trial, step, seen in zip(*(results[name] for name in columns), strict=True):
        yield cell, trial, {"step": step, "objective": seen, "infeasible": math.isnan(seen)}
