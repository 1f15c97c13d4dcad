"""From Tune's events to ledger rows: what was reported, and how each trial ended."""

import json
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
from orchestrator.plan import PlannedTrial
from trainables import tasks

COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # Ray colours the tracebacks of its workers
FLUSH_SECONDS = 0.5  # at most this long, a result that has arrived is not in the ledger
COPIED = [name for name, _ in MEASURES]

Row = dict[str, Any]


class Listener(Protocol):
    """Somebody who follows a sweep."""

    def started(self, cell: str, trial: str) -> None:
        """A trial trains, perhaps again after its process died."""

    def ended(self, trial: Mapping[str, Any], curve: Sequence[Mapping[str, Any]]) -> None:
        """A trial's row and its reports are in the ledger."""

    def tick(self) -> None:
        """Called a few times a second."""


class Recorder(tune.Callback):  # type: ignore[misc]  # Ray ships no types for it
    """Writes every report and every end of a trial to the ledger, then tells the listeners.

    An end is told only once its row is on the disk, so that nothing that a user saw as
    finished is run again after a crash.
    """

    def __init__(
        self,
        sweep: str,
        trials: Sequence[PlannedTrial],
        writer: LedgerWriter,
        listeners: Sequence[Listener],
    ) -> None:
        self._sweep, self._writer, self._listeners = sweep, writer, listeners
        self._planned = {trial.id: trial for trial in trials}
        self._tasks: dict[str, tasks.Task] = {}  # by label: some read their data when made
        self._curves: dict[str, list[Row]] = defaultdict(list)
        self._news: list[Callable[[], None]] = []  # told after the next flush, in this order
        self._versions = json.dumps(
            {"python": platform.python_version()}
            | {package: version(package) for package in ("soundings", "torch", "ray", "numpy")}
        )
        self._flushed = time.monotonic()

    def __reduce__(self) -> tuple[type[tune.Callback], tuple[()]]:
        """Tune pickles its callbacks into snapshots that we never read; ours holds a thread."""
        return tune.Callback, ()

    def on_trial_start(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any
    ) -> None:
        definition = trial.config["definition"]
        for listener in self._listeners:
            self._news.append(partial(listener.started, definition["cell"], definition["trial"]))

    def on_trial_result(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, result: Row, **info: Any
    ) -> None:
        definition = trial.config["definition"]
        row = {key: result[key] for key in COPIED} | {
            "sweep": self._sweep,
            "trial": definition["trial"],
            "seconds": result["seconds"],
            "reported": datetime.now(UTC),
        }
        row["sequence"] = self._writer.add("results", definition["cell"], row)
        self._curves[definition["trial"]].append(row)

    def on_trial_complete(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any
    ) -> None:
        last = trial.last_result
        if last["infeasible"]:
            outcome = "infeasible"
        elif last["step"] >= trial.config["definition"]["steps"]:
            outcome = "completed"
        else:
            outcome = "stopped"
        self._end(trial, outcome, last, error=None)

    def on_trial_error(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any
    ) -> None:
        text = Path(trial.error_file).read_text(encoding="utf-8", errors="replace")
        last = COLOURS.sub("", text.rpartition("Failure # ")[2])  # the file has every attempt
        self._end(trial, "errored", trial.last_result or {}, error=last.strip())

    def on_step_end(self, iteration: int, trials: list[TuneTrial], **info: Any) -> None:
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()
        for listener in self._listeners:
            listener.tick()

    def flush(self) -> None:
        """Put everything into the ledger, then tell the listeners which trials ended."""
        self._writer.flush()
        news, self._news = self._news, []
        for tell in news:
            tell()
        self._flushed = time.monotonic()

    def _end(self, trial: TuneTrial, outcome: str, last: Row, error: str | None) -> None:
        definition = trial.config["definition"]
        planned = self._planned[definition["trial"]]
        cell = planned.cell
        curve = self._curves.pop(planned.id, [])
        if cell.task.label not in self._tasks:
            self._tasks[cell.task.label] = tasks.make(cell.task.name, cell.task.options)
        task = self._tasks[cell.task.label]
        baseline = task.configured(definition["configuration"], cell.parameters).baseline()
        row = {key: last.get(key) for key in COPIED} | {
            "sweep": self._sweep,
            "trial": planned.id,
            "cell": cell.id,
            "index": planned.index,
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
            "error": error,
            "network_seed": definition["network_seed"],
            "data_seed": definition["data_seed"],
            "versions": self._versions,
            "host": last.get("hostname"),
            "ended": datetime.now(UTC),
        }
        row["sequence"] = self._writer.add("trials", cell.id, row)
        self._news += [partial(listener.ended, row, curve) for listener in self._listeners]
