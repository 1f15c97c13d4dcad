"""Makes rows of a ledger by hand, in the form in which the MLflow view gets them."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

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


def frames(*numbers: int) -> tuple[pd.DataFrame, Curves]:
    """Return the rows of trials, and a function that returns the reports of given trials."""
    trials = pd.DataFrame([trial_row(number) for number in numbers])

    def curves(names: Iterable[str]) -> dict[str, list[Row]]:
        return {trial: curve(int(trial[1:])) for trial in names}

    return trials, curves


@dataclass(frozen=True)
class HeldLedger:
    """Stands in for a ledger, and can only return reports.

    Attributes:
        curves: returns the reports of given trials.
    """

    curves: Curves


def held(*numbers: int) -> tuple[HeldLedger, pd.DataFrame]:
    """Return the stand-in for a ledger that holds some trials, and the rows of these trials."""
    trials, curves = frames(*numbers)
    return HeldLedger(curves), trials
