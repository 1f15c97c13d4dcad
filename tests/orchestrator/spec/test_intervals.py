"""Tests the three forms of an evaluation interval in a sweep file, and what is refused."""

import json

import pytest

from orchestrator.errors import BadInput
from orchestrator.spec.sweep import SweepSpec, load
from tests.support.small import SMALL, small_file, small_plan

STRETCHES = [{"every": 2, "until": 8}, {"every": 4}]
FORMS = (
    "must be a number of training steps (100), a list of steps ([100, 200, 500]), or stretches "
    "([{every: 20, until: 2000}, {every: 500}])"
)


def training(interval):
    return {**SMALL["training"], "evaluation_interval": interval}


@pytest.mark.parametrize("interval", [4, [2, 3, 16], STRETCHES, [{"every": 4, "until": 8}]])
def test_the_interval_of_the_file_reaches_the_trials_and_the_manifest(interval):
    plan = small_plan(training=training(interval), scheduler="none")
    cell = plan.cells[0]
    assert plan.trial(cell, 0).definition["evaluation_interval"] == interval
    assert json.loads(json.dumps(cell.record()))["training"]["evaluation_interval"] == interval
    recorded = json.loads(plan.spec.model_dump_json(exclude={"search": {"samples"}}))
    assert recorded["training"]["evaluation_interval"] == interval
    assert SweepSpec.model_validate(plan.spec.model_dump(mode="json")) == plan.spec


def test_a_cell_has_as_many_reports_as_its_stretches():
    assert small_plan(training=training(STRETCHES)).cells[0].training.reports == 4 + 2


@pytest.mark.parametrize(
    ("interval", "sentence"),
    [
        (0, f"evaluation_interval is 0, but {FORMS}"),
        (2.0, f"evaluation_interval is 2.0, but {FORMS}"),
        ("often", f"evaluation_interval is 'often', but {FORMS}"),
        ([], f"evaluation_interval is [], but {FORMS}"),
        ([1, {"every": 2}], f"evaluation_interval has {{'every': 2}}, but {FORMS}"),
        ([1, True], f"evaluation_interval has True, but {FORMS}"),
        ([None, 1], f"evaluation_interval has None, but {FORMS}"),
        ([{"every": 2, "to": 8}], f"evaluation_interval has {{'every': 2, 'to': 8}}, but {FORMS}"),
        (
            [4, 8, 8],
            "evaluation_interval has step 8 after 8: list the steps in ascending order",
        ),
        (
            [{"every": 2}, {"every": 4}],
            "evaluation_interval needs 'until', the step with which it ends, in each stretch but "
            "the last",
        ),
        (
            [{"every": 2, "until": 8}, {"every": 2, "until": 6}],
            "evaluation_interval has a stretch until 6 after one until 8: list the stretches in "
            "ascending order",
        ),
        (
            [{"every": 3, "until": 8}],
            "evaluation_interval has reports every 3 steps from 0 until 8, which is no whole "
            "number of reports: let it end at 6",
        ),
        (
            [4, 17],
            "evaluation_interval goes up to 17, but a trial has only 16 steps: report no "
            "later, or train longer",
        ),
        (
            17,
            "evaluation_interval is 17, but a trial has only 16 steps: report no "
            "later, or train longer",
        ),
        (
            [{"every": 4, "until": 20}],
            "evaluation_interval goes up to 20, but a trial has only 16 steps: report no "
            "later, or train longer",
        ),
    ],
)
def test_what_is_no_interval_is_refused_in_one_sentence_with_its_line(tmp_path, interval, sentence):
    path = small_file(tmp_path, training=training(interval))
    with pytest.raises(BadInput) as caught:
        load(path)
    (line,) = [str(caught.value)]
    where, _, said = line.partition(": ")
    assert said == sentence
    assert where.startswith(f"{path}:") and int(where.rpartition(":")[2]) > 1
