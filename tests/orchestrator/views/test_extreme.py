"""Tests that tables and the report are made from ledgers with any numbers."""

import json
import math
import random

import pytest

from orchestrator.views import report, tables
from orchestrator.views.tables.render import write
from tests.support.studies import MEMORY, Folder, end, wcrnn

LARGEST = 1.7e308
FINITE = [LARGEST, -LARGEST, 1e300, 5e-324, 0.0, -0.0, 0.5, -1.0, 1e-300, math.nan]
ANY = [*FINITE, math.inf, -math.inf]
QUANTITIES = ("training_loss", "validation_loss", "evaluation_loss", "objective")
METRICS = ("validation_metric", "evaluation_metric")
LANES = [f"lane_{s}_{q}" for s in ("validation", "evaluation") for q in ("losses", "metrics")]


def folder(results, seed, numbers, **changes):
    chance = random.Random(seed)

    def measures():
        values = {name: chance.choice(numbers) for name in (*QUANTITIES, *METRICS)}
        return values | {name: chance.choices(numbers, k=2) for name in LANES}

    made = Folder.of(results, search={"samples": 4}, scheduler="none", **changes)
    rows = {}
    for trial in made.plan.trials():
        outcome = chance.choice(["completed"] * 4 + ["infeasible", "errored", "stopped"])
        reports = [{"step": step, "seconds": 1.0, **measures()} for step in (4, 8, 12, 16)]
        figures = {"bits_per_parameter": chance.choice((LARGEST, -1.0, 0.0)), "samples": LARGEST}
        rows[trial.id] = end(outcome, reports=reports, further=json.dumps(figures)) | {
            **reports[-1],
            "seconds": chance.choice((0.0, 1e300, 1e-300)),
            "baseline_loss": chance.choice([*numbers, None]),
        }
    made.write(rows)
    return made


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("seed", "numbers"), [(0, FINITE), (1, ANY)], ids=["finite", "any"])
def test_tables_are_made_from_any_numbers(tmp_path, seed, numbers):
    changes = {
        "architectures": ["rnn", wcrnn(), wcrnn(residual="heterogeneous")],
        "tasks": [MEMORY, "perceptron_capacity"],
        "depths": [1, 2],
        "budgets": [2500],
    }
    made = folder(tmp_path, seed, numbers, **changes)
    built = tables.build(made.study)
    assert len(built) > 5
    write(built, tmp_path / "tables")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("seed", "numbers"), [(0, FINITE), (1, ANY)], ids=["finite", "any"])
def test_a_report_is_made_from_any_numbers(tmp_path, seed, numbers):
    made = folder(tmp_path, seed, numbers, tasks=[MEMORY], architectures=["rnn", wcrnn()])
    study = made.study
    page, *figures = report.write(study, tables.build(study), made.paths.folder, None)
    assert page.exists() and len(figures) > 4
