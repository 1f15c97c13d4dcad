"""Records Tune's events in the ledger: each start, report and end of a trial becomes a row."""

import json
import logging
import math
import platform
import re
import time
import typing
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.experiment import Trial as TuneTrial

from orchestrator.ledger import LedgerWriter
from orchestrator.ledger.schema import BEST, MEASURES
from orchestrator.outcome import Outcome, outcome_of
from orchestrator.paths import SweepPaths
from orchestrator.plan.cells import Cell
from orchestrator.plan.plan import Plan
from trainables import storage, tasks
from trainables.definition import Definition
from trainables.external import users_code
from trainables.plain_text import fit_text, traceback_of
from trainables.registry import OptionError
from trainables.storage import Location

COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # Ray colours the tracebacks of its workers
FLUSH_SECONDS = 0.5  # a report is in the ledger at most this long after it arrived,
FLUSH_SHARE = 0.1  # unless writing would take more than this share of the driver's time
COPIED = [name for name, _ in MEASURES]
LONGEST_NAME = 255  # characters of a host's name

Row = dict[str, Any]
log = logging.getLogger("soundings")


class Listener(typing.Protocol):
    """Follows a running sweep, to show it or to write a view."""

    def started(self, cell: str, trial: str) -> None:
        """Take note that a trial trains; called again if it restarts after its process died."""

    def ended(self, trial: Mapping[str, Any], curve: Sequence[Mapping[str, Any]]) -> None:
        """Take note that a trial ended; its row and its reports are in the ledger.

        Args:
            trial: the row of the ledger's trials.
            curve: the rows of its reports, in order.
        """

    def tick(self) -> None:
        """Do periodic work; called a few times a second."""


class Recorder(tune.Callback):  # type: ignore[misc]  # Ray ships no types for it
    """Writes every start, every report and every end of a trial to the ledger.

    Listeners hear of the end of a trial only once its row is on the disk, so that no trial that a
    user saw as finished runs again after a crash. Its checkpoints are removed only then. A trial
    that resumes from a checkpoint repeats reports; these are not written again.

    Args:
        plan: the sweep's plan.
        paths: the sweep's files.
        writer: the ledger's writer.
        listeners: followers of the sweep.
        curves: recorded reports of trials that have not ended, by trial.
        run: name of the run that holds the sweep's lock.
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
        self._plan, self._paths, self._run = plan, paths, run
        self._writer, self._listeners = writer, listeners
        self._curves: dict[str, list[Row]] = defaultdict(list, curves)
        self._news: list[Callable[[], None]] = []  # calls of listeners after the next flush
        self._done: list[Location] = []  # checkpoints to be removed after the next flush
        self._versions = json.dumps(
            {"python": platform.python_version()}
            | {package: version(package) for package in ("soundings", "torch", "ray", "numpy")}
        )
        self._flushed, self._took = time.monotonic(), 0.0

    def __reduce__(self) -> tuple[type[tune.Callback], tuple[()]]:
        """Let Tune pickle an empty callback into its snapshots, which are never read.

        This one refers to a thread, which cannot be pickled.
        """
        return tune.Callback, ()

    def given(self, definition: Definition, learnt: bool) -> None:
        """Record that a trial was given out.

        Args:
            definition: definition of the trial.
            learnt: whether its configuration was proposed from the outcomes of other trials. Then
                it is written to the ledger before the trial begins.
        """
        row = {
            "sweep": self._plan.spec.name,
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
        """Record a trial that ended in an earlier run, which was killed before it wrote the row.

        Args:
            definition: definition of the trial.
            outcome: outcome that follows from the recorded reports of the trial.
        """
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
            log.warning("%s", fit_text(warning))
        if "error" in result:
            return
        curve = self._curves[definition["trial"]]
        if curve and result["step"] <= curve[-1]["step"]:
            return
        row = {key: result[key] for key in COPIED} | {
            "sweep": self._plan.spec.name,
            "trial": definition["trial"],
            "seconds": result["seconds"],
            "host": fit_text(result["hostname"], LONGEST_NAME),
            "reported": datetime.now(UTC),
        }
        for diagnosis in result["diagnostics"]:
            common = {key: row[key] for key in ("sweep", "trial", "host", "reported")}
            self._writer.add("diagnostics", definition["cell"], {**diagnosis, **common})
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
        self._end(trial.config["definition"], "errored", _error_of(trial))

    def on_step_end(self, iteration: int, trials: list[TuneTrial], **info: Any) -> None:
        pause = max(FLUSH_SECONDS, self._took / FLUSH_SHARE)
        if time.monotonic() - self._flushed > pause:
            self.flush()
        for listener in self._listeners:
            listener.tick()

    def flush(self, durable: bool = False) -> None:
        """Write everything to the ledger, then tell the listeners which trials ended.

        Args:
            durable: whether to return only when the rows would survive a power failure.

        Raises:
            OSError: the ledger cannot be written.
        """
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
        cell, trial = self._plan.by_id[definition["cell"]], definition["trial"]
        curve = self._curves.pop(trial, [])
        last: Row = curve[-1] if curve else {}
        best = _best_of(curve)
        baseline, fault = _baseline_of(cell, definition)
        if fault and outcome != "errored":
            outcome, error = "errored", fault
        row = {key: last.get(key) for key in COPIED} | {
            **{column: best.get(name) for name, column in BEST.items()},
            "best_step": best.get("step", 0),
            "sweep": self._plan.spec.name,
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
            "metric": tasks.find(cell.task.name).metric_name,
            "baseline_loss": baseline and baseline.loss,
            "baseline_metric": baseline and baseline.metric,
            "seconds": sum(report["seconds"] for report in curve),
            "error": fit_text(error.strip()) if error else None,
            "network_seed": definition["network_seed"],
            "data_seed": definition["data_seed"],
            "versions": self._versions,
            "host": last.get("host"),
            "ended": datetime.now(UTC),
        }
        row["sequence"] = self._writer.add("trials", cell.id, row)
        self._news += [partial(listener.ended, row, curve) for listener in self._listeners]
        if outcome != "errored":  # an errored trial may resume from its checkpoint
            self._done.append(self._paths.checkpoints_of(trial))


def _best_of(curve: Sequence[Row]) -> Row:
    """Return the first report with the lowest objective, or an empty row."""
    judged = [row for row in curve if row["objective"] is not None]
    judged = [row for row in judged if not math.isnan(row["objective"])]
    return min(judged, key=lambda row: row["objective"], default={})


def _baseline_of(cell: Cell, definition: Definition) -> tuple[tasks.Baseline | None, str]:
    """Return the baseline of a trial, or None and the traceback of what the task raised instead.

    The task may be the user's own: whatever it raises concerns this trial alone.
    """
    try:
        with users_code(f"task {cell.task.label} does not work in the driver", ()):
            task = tasks.shared(cell.task.name, cell.task.options)
            configured = task.configured(definition["configuration"], cell.parameters)
            return tasks.finite_baseline(configured), ""
    except OptionError as error:
        return None, traceback_of(error)


def _error_of(trial: TuneTrial) -> str:
    """Return the traceback of the last attempt of a trial whose process failed."""
    try:
        text = Path(trial.error_file or "").read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return f"its process failed, and Tune's file on why cannot be read: {error}"
    # Tune's file has a line with number and time before the traceback of each attempt.
    return COLOURS.sub("", text.rpartition("Failure # ")[2].partition("\n")[2])
