"""Makes rows of a ledger by hand, in the form in which the MLflow view gets them."""

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pandas as pd

from orchestrator.ledger import Ledger
from orchestrator.views.mlflow.shown import ShownSweep

Row = dict[str, Any]
Curves = Callable[[Iterable[str]], dict[str, list[Row]]]

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def trial_row(
    number: int,
    outcome: str = "completed",
    sequence: int | None = None,
    error: str | None = None,
) -> Row:
    """Return the row of ``trials`` of trial ``t<number>``.

    Args:
        number: number of the trial, which decides its objective and the time of its end.
        outcome: its outcome.
        sequence: sequence number of the row, 1000 + ``number`` if it is None.
        error: traceback of an errored trial.
    """
    return {
        "trial": f"t{number}",
        "sequence": 1000 + number if sequence is None else sequence,
        "cell": "digits_gru_d1_p1000",
        "architecture": "gru",
        "task": "digits",
        "depth": 1,
        "budget": 1000,
        "hidden": 7,
        "parameters": 990,
        "index": number,
        "network_seed": 42,
        "data_seed": 43,
        "configuration": '{"learning_rate": 0.01, "optimizer": "adam"}',
        "outcome": outcome,
        "metric": "accuracy",
        "step": 30,
        "objective": 1.5 + number,
        "baseline_loss": 2.25,
        "baseline_metric": None,
        "seconds": 2.5,
        "error": error,
        "ended": START + timedelta(minutes=number),
    }


def curve(number: int, reports: int = 3) -> list[Row]:
    """Return so many rows of ``results`` of trial ``t<number>``, in the order of their steps."""
    return [
        {
            "trial": f"t{number}",
            "step": 10 * (i + 1),
            "training_loss": 3.0 - 0.001 * i,
            "validation_loss": 2.0 - 0.001 * i + number,
            "evaluation_loss": 2.5 - 0.001 * i + number,
            "validation_metric": 0.1,
            "evaluation_metric": None,
            "further": json.dumps({"perplexity": 2.0**-i}) if i else None,
            "reported": START + timedelta(seconds=i),
        }
        for i in range(reports)
    ]


@dataclass
class HeldLedger:
    """Stands in for a ledger; rows may be added while a view reads it.

    Attributes:
        rows: rows of the trials, the last of a trial counts.
        curves: returns the reports of given trials.
    """

    rows: list[Row]
    curves: Curves

    def trials(
        self, columns: Sequence[str] | None = None, trials: Collection[str] | None = None
    ) -> pd.DataFrame:
        """Return the newest row of each trial, or of some of them, with all columns."""
        newest: dict[str, Row] = {}
        for row in list(self.rows):
            if row["sequence"] >= newest.get(row["trial"], row)["sequence"]:
                newest[row["trial"]] = row
        chosen = [row for row in newest.values() if trials is None or row["trial"] in trials]
        return pd.DataFrame(chosen, columns=list(trial_row(0)))


def reports_of(names: Iterable[str]) -> dict[str, list[Row]]:
    """Return the reports of trials that are called ``t<number>``."""
    return {trial: curve(int(trial[1:])) for trial in names}


def shown(*ended: int | Row, name: str = "s", identity: str = "5" * 32) -> ShownSweep:
    """Return a sweep whose ledger holds some trials.

    Args:
        ended: numbers of the trials, or their rows.
        name: name of the sweep.
        identity: its identity.
    """
    rows = [trial_row(each) if isinstance(each, int) else each for each in ended]
    return ShownSweep(name, identity, cast(Ledger, HeldLedger(rows, reports_of)))
