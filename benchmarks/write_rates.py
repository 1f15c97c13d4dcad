"""Measures how fast results are written to the ledger, against MLflow in SQLite and on a server.

    python benchmarks/write_rates.py [--seconds 60] [--rate 1000] [--record]

First the largest rates are measured. The ledger is flushed after half a second's worth of results,
as in a run. The MLflow view gets trials of 10 and of 100 reports as fast as it writes them. The
server is MLflow with basic auth on PostgreSQL; it runs on this machine and shares the processor.

Then a sweep of ``--rate`` results per second is imitated for ``--seconds``, in trials of 100
reports, without a view and with each view. The figures say whether the ledger keeps up at the pace
of a run's recorder, how many trials the view lacks at the end of the sweep, and how long it takes
to catch up. One process passes on the results, as the driver of a run does; nothing is trained.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recording import record

from orchestrator.ledger import Ledger, LedgerWriter
from orchestrator.running.recorder import FLUSH_SECONDS, FLUSH_SHARE
from orchestrator.views.mlflow.background import BackgroundView
from orchestrator.views.mlflow.shown import ShownSweep
from orchestrator.views.mlflow.store import open_view

sys.path.append(str(Path(__file__).parent.parent))
from tests.support.mlflow_server import mlflow_server

CELLS = 36
REPORTS = 100  # reports of a trial of the sweep
LANES = 2
OPTIONS = "auth_cache_ttl_seconds = 60"
Row = dict[str, Any]


def report(trial: str, step: int) -> Row:
    """Return a report of a trial as a row of the ledger, with made-up numbers."""
    lanes = {
        f"lane_{split}_{quantity}": [1.0 / step] * LANES
        for split in ("validation", "evaluation")
        for quantity in ("losses", "metrics")
    }
    return lanes | {
        "sweep": "rates",
        "trial": trial,
        "step": step,
        "objective": 1.0 / step,
        "training_loss": 1.0 / step,
        "validation_loss": 1.0 / step,
        "evaluation_loss": 1.0 / step,
        "validation_metric": 0.5,
        "evaluation_metric": 0.5,
        "further": None,
        "lane_infeasible_at": [None] * LANES,
        "seconds": 0.1,
        "host": "here",
        "reported": datetime.now(UTC),
    }


def cell_of(number: int) -> str:
    """Return the cell's id of trial ``number``."""
    return f"digits_gru_d1_p{number % CELLS}"


def ended(number: int, last: Row) -> Row:
    """Return the row of trial ``number`` that ended with report ``last``."""
    configuration = {f"hyperparameter_{index}": 0.001 for index in range(8)}
    return last | {
        "trial": trial_of(number),
        "cell": cell_of(number),
        "index": number,
        "task": "digits",
        "architecture": "gru",
        "depth": 1,
        "budget": 1000,
        "hidden": 7,
        "parameters": 990,
        "configuration": json.dumps(configuration),
        "outcome": "completed",
        "metric": "accuracy",
        "baseline_loss": 2.3,
        "baseline_metric": 0.1,
        "error": None,
        "network_seed": 1,
        "data_seed": 2,
        "versions": "{}",
        "ended": datetime.now(UTC),
    }


def trial_of(number: int) -> str:
    """Return the name of trial ``number``."""
    return f"{cell_of(number)}_{number:05d}"


def whole(number: int, reports: int) -> tuple[Row, list[Row]]:
    """Return the row of trial ``number`` and the rows of its reports."""
    curve = [report(trial_of(number), step) for step in range(1, reports + 1)]
    return ended(number, curve[-1]) | {"sequence": number}, curve


def most_in_ledger(results: int, rate: int) -> dict[str, float]:
    """Return the largest rate of the ledger, in results per second.

    Args:
        results: number of results to write.
        rate: results per second; each flush has the results of ``FLUSH_SECONDS`` at this rate.
    """
    with tempfile.TemporaryDirectory() as folder:
        writer, took = LedgerWriter(Path(folder)), []
        begin = time.perf_counter()
        for first in range(0, results, int(rate * FLUSH_SECONDS)):
            for number in range(first, first + int(rate * FLUSH_SECONDS)):
                # ``rate // 10`` trials report in turn; each cell has some of them.
                trial = number % (rate // 10)
                writer.add("results", cell_of(trial), report(trial_of(trial), number + 1))
            flush_start = time.perf_counter()
            writer.flush()
            took.append(time.perf_counter() - flush_start)
        seconds = time.perf_counter() - begin
        assert len(Ledger(Path(folder)).results()) == number + 1
    return {
        "results_a_second": round((number + 1) / seconds),
        "longest_flush_seconds": round(max(took), 3),
    }


def most_in_view(uri: str, trials: int, reports: int) -> dict[str, float]:
    """Return the largest rate of the view, with ``trials`` trials of ``reports`` reports."""
    nothing = Ledger(Path("no-folder"))
    view = open_view(uri, ShownSweep(f"most-{reports}", uuid.uuid4().hex, nothing))
    rows = [whole(number, reports) for number in range(trials)]
    view.write_all(rows[:4])  # opens connections and makes tables
    begin = time.perf_counter()
    assert view.write_all(rows[4:]) == trials - 4
    seconds = time.perf_counter() - begin
    return {
        "trials_a_second": round((trials - 4) / seconds, 1),
        "results_a_second": round((trials - 4) * reports / seconds),
    }


def sweep(uri: str | None, rate: int, seconds: float) -> dict[str, float]:
    """Imitate a sweep that reports ``rate`` results per second; return its figures.

    Args:
        uri: tracking URI of the view; None runs without a view.
        rate: results per second of all trials together.
        seconds: length of the sweep.
    """
    at_once = rate // 10  # each reports ten times a second
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder))
        writer = LedgerWriter(Path(folder))
        shown = ShownSweep("sweep", uuid.uuid4().hex, ledger)
        view = BackgroundView(uri, shown, 0) if uri else None
        begin = flushed = time.perf_counter()
        flushing = late = longest = 0.0
        pause, results, finished = FLUSH_SECONDS, 0, 0
        curves: dict[int, list[Row]] = {}
        news: list[tuple[Row, list[Row]]] = []
        while results < rate * seconds:
            # Each slot runs one trial after another. Slots are shifted in time against each other.
            slot, turn = results % at_once, results // at_once
            offset = slot * REPORTS // at_once
            number = (turn + offset) // REPORTS * at_once + slot
            row = report(trial_of(number), (turn + offset) % REPORTS + 1)
            row["sequence"] = writer.add("results", cell_of(number), row)
            curves.setdefault(number, []).append(row)
            if row["step"] == REPORTS:
                end = ended(number, row)
                end["sequence"] = writer.add("trials", cell_of(number), end)
                news.append((end, curves.pop(number)))
            results += 1
            now, last = time.perf_counter(), results == rate * seconds
            if now - flushed > pause or last:
                writer.flush()
                if view is not None:
                    for end, curve in news:
                        view.ended(end, curve)
                finished, news = finished + len(news), []
                longest = max(longest, time.perf_counter() - flushed)
                flushed = time.perf_counter()
                flushing += flushed - now
                pause = max(FLUSH_SECONDS, (flushed - now) / FLUSH_SHARE)
            due = begin + results / rate
            late = max(late, time.perf_counter() - due)
            time.sleep(max(0.0, due - time.perf_counter()))
        took = time.perf_counter() - begin
        figures = {
            "trials": finished,
            "results_a_second": round(results / took),
            "ledger_share_of_time": round(flushing / took, 3),
            "most_seconds_until_a_result_is_on_the_disk": round(longest, 2),
            "most_seconds_that_results_were_late": round(late, 2),
        }
        if view is not None:
            figures["view_lacks_trials_at_the_end"] = view.unwritten
            begin = time.perf_counter()
            assert view.close() is None
            figures["view_catches_up_in_seconds"] = round(time.perf_counter() - begin, 1)
        return figures


@contextmanager
def sqlite() -> Iterator[str]:
    """Provide the tracking URI of a new SQLite store."""
    with tempfile.TemporaryDirectory() as folder:
        yield f"sqlite:///{folder}/mlflow.db"


@contextmanager
def server() -> Iterator[str]:
    """Provide the tracking URI of an MLflow server on PostgreSQL."""
    with mlflow_server(options=OPTIONS) as running:
        os.environ.update(running.environment)
        yield running.uri


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--trials", type=int, default=104, help="that the view is given at once")
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/")
    args = parser.parse_args()
    figures: dict[str, Any] = {
        "ledger_at_most": most_in_ledger(int(args.rate * args.seconds), args.rate)
    }
    stores: dict[str, Callable[[], AbstractContextManager[str | None]]] = {
        "no_view": nullcontext,
        "sqlite": sqlite,
        "server_on_postgresql": server,
    }
    for name, store in stores.items():
        with store() as uri:
            for reports in (10, REPORTS):
                if uri is None:
                    continue
                figures[f"{name}_at_most_{reports}_reports"] = most_in_view(
                    uri, args.trials, reports
                )
            figures[f"{name}_sweep"] = sweep(uri, args.rate, args.seconds)
            print(json.dumps(figures), flush=True)
    record("write_rates", figures, args.record)


if __name__ == "__main__":
    main()
