"""From Tune's events to ledger rows: what was given out and reported, how each trial ended."""

import json
import logging
import platform
import re
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from ray import tune
from ray.tune.experiment import Trial as TuneTrial

from orchestrator.ledger import LedgerWriter
from orchestrator.ledger.schema import MEASURES
from orchestrator.outcome import Outcome, outcome_of
from orchestrator.paths import SweepPaths
from orchestrator.plan import Plan
from trainables import storage, tasks
from trainables.definition import Definition
from trainables.storage import Location

COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # Ray colours the tracebacks of its workers
FLUSH_SECONDS = 0.5  # at most this long, a result that has arrived is not in the ledger,
FLUSH_SHARE = 0.1  # unless writing it would take more than this share of the driver's time
COPIED = [name for name, _ in MEASURES]

Row = dict[str, Any]
log = logging.getLogger("soundings")


class Listener(Protocol):
    """Somebody who follows a sweep."""

    def started(self, cell: str, trial: str) -> None:
        """A trial trains, perhaps again after its process died."""

    def ended(self, trial: Mapping[str, Any], curve: Sequence[Mapping[str, Any]]) -> None:
        """A trial's row and its reports are in the ledger."""

    def tick(self) -> None:
        """Called a few times a second."""


class Recorder(tune.Callback):  # type: ignore[misc]  # Ray ships no types for it
    """Writes every start, every report and every end of a trial to the ledger.

    An end is told to the listeners only once its row is on the disk, so that nothing that a user
    saw as finished is run again after a crash; only then do its checkpoints go. A report that a
    trial makes again, because it went on from a checkpoint, is not written again.

    Args:
        curves: the reports that the ledger has of trials that have not ended.
        run: the name of this one.
    """

    def __init__(
        self,
        plan: Plan,
        paths: SweepPaths,
        writer: LedgerWriter,
        listeners: Sequence[Listener],
        curves: Mapping[str, list[Row]],
        run: str,
    ) -> None:
        self._sweep, self._paths, self._run = plan.spec.name, paths, run
        self._cells = {cell.id: cell for cell in plan.cells}
        self._writer, self._listeners = writer, listeners
        self._tasks: dict[str, tasks.Task] = {}  # by label: some read their data when made
        self._curves: dict[str, list[Row]] = defaultdict(list, curves)
        self._news: list[Callable[[], None]] = []  # told after the next flush, in this order
        self._done: list[Location] = []  # checkpoints that nothing needs after it
        self._versions = json.dumps(
            {"python": platform.python_version()}
            | {package: version(package) for package in ("soundings", "torch", "ray", "numpy")}
        )
        self._flushed, self._took = time.monotonic(), 0.0

    def __reduce__(self) -> tuple[type[tune.Callback], tuple[()]]:
        """Tune pickles its callbacks into snapshots that we never read; ours holds a thread."""
        return tune.Callback, ()

    def given(self, definition: Definition, learnt: bool) -> None:
        """A trial was given out.

        Args:
            learnt: whether its configuration follows from what other trials showed. Then it is in
                the ledger before the trial begins.
        """
        row = {
            "sweep": self._sweep,
            "trial": definition["trial"],
            "index": definition["index"],
            "configuration": json.dumps(definition["configuration"], sort_keys=True),
            "run": self._run,
            "started": datetime.now(UTC),
        }
        self._writer.add("starts", definition["cell"], row)
        if learnt:
            self.flush(durable=True)

    def settle(self, definition: Definition, outcome: Outcome) -> None:
        """The reports that are in the ledger ended a trial whose row was not written any more."""
        self._end(definition, outcome, error=None)

    def on_trial_start(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any
    ) -> None:
        definition = trial.config["definition"]
        for listener in self._listeners:
            listener.started(definition["cell"], definition["trial"])

    def on_trial_result(
        self,
        iteration: int,
        trials: list[TuneTrial],
        trial: TuneTrial,
        result: Row,
        **info: Any,
    ) -> None:
        definition = trial.config["definition"]
        for warning in result.get("warnings", ()):
            log.warning("%s", warning)
        if "error" in result:
            return
        curve = self._curves[definition["trial"]]
        if curve and result["step"] <= curve[-1]["step"]:
            return
        row = {key: result[key] for key in COPIED} | {
            "sweep": self._sweep,
            "trial": definition["trial"],
            "seconds": result["seconds"],
            "host": result["hostname"],
            "reported": datetime.now(UTC),
        }
        row["sequence"] = self._writer.add("results", definition["cell"], row)
        curve.append(row)

    def on_trial_complete(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any
    ) -> None:
        definition, last = trial.config["definition"], trial.last_result
        self._end(definition, outcome_of(last, definition["steps"]), last.get("error"))

    def on_trial_error(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any
    ) -> None:
        text = Path(trial.error_file).read_text(encoding="utf-8", errors="replace")
        # The file has every attempt, each after a line with its number and time.
        last = COLOURS.sub("", text.rpartition("Failure # ")[2].partition("\n")[2])
        self._end(trial.config["definition"], "errored", last)

    def on_step_end(self, iteration: int, trials: list[TuneTrial], **info: Any) -> None:
        pause = max(FLUSH_SECONDS, self._took / FLUSH_SHARE)
        if time.monotonic() - self._flushed > pause:
            self.flush()
        for listener in self._listeners:
            listener.tick()

    def flush(self, durable: bool = False) -> None:
        """Put everything into the ledger, then tell the listeners which trials ended."""
        began = time.monotonic()
        self._writer.flush(durable)
        news, self._news = self._news, []
        for tell in news:
            tell()
        done, self._done = self._done, []
        storage.side_by_side(self._paths.checkpoints, storage.remove, done)
        self._flushed = time.monotonic()
        self._took = self._flushed - began

    def _end(self, definition: Definition, outcome: Outcome, error: str | None) -> None:
        cell, trial = self._cells[definition["cell"]], definition["trial"]
        curve = self._curves.pop(trial, [])
        last: Row = curve[-1] if curve else {}
        if cell.task.label not in self._tasks:
            self._tasks[cell.task.label] = tasks.make(cell.task.name, cell.task.options)
        task = self._tasks[cell.task.label]
        baseline = task.configured(definition["configuration"], cell.parameters).baseline()
        row = {key: last.get(key) for key in COPIED} | {
            "sweep": self._sweep,
            "trial": trial,
            "cell": cell.id,
            "index": definition["index"],
            "task": cell.task.label,
            "architecture": cell.architecture.label,
            "depth": cell.depth,
            "budget": cell.budget,
            "hidden": cell.hidden,
            "parameters": cell.parameters,
            "configuration": json.dumps(definition["configuration"], sort_keys=True),
            "outcome": outcome,
            "step": last.get("step", 0),
            "metric": task.metric_name,
            "baseline_loss": baseline.loss,
            "baseline_metric": baseline.metric,
            "seconds": sum(report["seconds"] for report in curve),
            "error": error.strip() if error else None,
            "network_seed": definition["network_seed"],
            "data_seed": definition["data_seed"],
            "versions": self._versions,
            "host": last.get("host"),
            "ended": datetime.now(UTC),
        }
        row["sequence"] = self._writer.add("trials", cell.id, row)
        self._news += [partial(listener.ended, row, curve) for listener in self._listeners]
        if outcome != "errored":  # one that errored may go on from its checkpoint
            self._done.append(self._paths.checkpoints_of(trial))
