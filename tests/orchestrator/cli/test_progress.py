"""Checks what a user sees while a sweep runs."""

import io

import pandas as pd
import pytest
from rich.console import Console

from orchestrator.cli.cell_progress import COLUMNS
from orchestrator.cli.progress import Progress, shorten
from tests.support.small import small_plan

NONE = pd.DataFrame({name: [] for name in COLUMNS})


def ended(cell, number, outcome="completed", loss=1.0, seconds=2.0, error=None):
    return {
        "cell": cell,
        "trial": f"{cell}_{number}",
        "outcome": outcome,
        "objective": loss,
        "validation_metric": 0.5,
        "metric": "rms",
        "seconds": seconds,
        "error": error,
    }


@pytest.fixture
def plain():
    return Console(file=io.StringIO(), width=100)


def cells(plan):
    return [cell.id for cell in plan.cells]


def test_the_progress_line_counts_outcomes_and_estimates_the_time_left(plain):
    plan = small_plan()
    first, second = cells(plan)
    progress = Progress(plan, NONE, plain)
    assert "0 of 12 trials ended (none yet), 0 running, ? left" in progress.line()
    for cell in (first, second):
        progress.started(cell, f"{cell}_0")
    progress.ended(ended(first, 0), [])
    progress.ended(ended(second, 0, "infeasible", None, 4.0), [])
    # Five trials of 2 s and five of 4 s are left, on two processes.
    assert "2 of 12 trials ended (1 completed, 1 infeasible), 0 running, 0:15 left" in (
        progress.line()
    )


def test_progress_counts_trials_already_in_the_ledger_except_errored_ones(plain):
    plan = small_plan()
    first, _ = cells(plan)
    recorded = pd.DataFrame(
        [ended(first, 0), ended(first, 1, "stopped"), ended(first, 2, "errored", None)]
    )
    progress = Progress(plan, recorded, plain)
    assert "2 of 12 trials ended (1 completed, 1 stopped)" in progress.line()


def test_an_errored_trial_is_printed_at_once_with_the_last_line_of_its_error(plain):
    plan = small_plan()
    first, _ = cells(plan)
    progress = Progress(plan, NONE, plain)
    progress.ended(ended(first, 0, "errored", None, error="Traceback\n  ...\nValueError: bad"), [])
    assert plain.file.getvalue() == f"errored: {first}_0: ValueError: bad\n"


def test_a_finished_cell_is_printed_as_a_line_with_its_best_completed_loss(plain):
    plan = small_plan(search={"samples": 3})
    first, _ = cells(plan)
    progress = Progress(plan, NONE, plain)
    progress.ended(ended(first, 0, loss=2.0), [])
    progress.ended(ended(first, 1, loss=1.25), [])
    assert plain.file.getvalue() == ""
    progress.ended(ended(first, 2, "stopped", loss=0.5), [])
    assert plain.file.getvalue().endswith(
        "rnn depth 1, 4,000: all trials ended, best validation loss 1.25\n"
    )


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (200, 12)])
def test_the_live_table_fits_the_terminal_and_shows_the_running_cell(width, height):
    plan = small_plan(depths=[1, 2, 3, 4, 5, 6], budgets=[4000, 5000, 6000])
    screen = Console(file=io.StringIO(), width=width, height=height, force_terminal=True)
    progress = Progress(plan, NONE, screen)
    last = cells(plan)[-1]
    progress.started(last, f"{last}_0")
    progress.ended(ended(cells(plan)[0], 0, "infeasible", None), [])
    copy = Console(file=io.StringIO(), width=width, height=height)
    copy.print(progress._table())
    lines = copy.file.getvalue().splitlines()
    assert len(lines) <= height and max(map(len, lines)) <= width
    assert any(" 6 " in line and "0/6" in line for line in lines), "the running cell is hidden"
    assert {"best", "infeasible"} <= {*lines[1].split()}


def test_a_long_label_keeps_both_its_ends():
    assert shorten("wcrnn(residual=heterogeneous)", 14) == "wcrnn…geneous)"
    assert shorten("gru", 14) == "gru"
