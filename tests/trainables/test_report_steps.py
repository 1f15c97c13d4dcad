"""Tests the steps at which trials report, against lists of them."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from trainables.report_steps import Interval, ReportSteps

COUNTS = st.integers(1, 60)


@st.composite
def intervals(draw: st.DrawFn) -> Interval:
    """Draw an evaluation interval in one of its three forms."""
    form = draw(st.sampled_from(["number", "steps", "stretches"]))
    if form == "number":
        return draw(COUNTS)
    if form == "steps":
        return sorted(draw(st.sets(COUNTS, min_size=1, max_size=8)))
    stretches, until = [], 0
    for every, reports in draw(
        st.lists(st.tuples(st.integers(1, 9), st.integers(1, 4)), min_size=1)
    ):
        until += every * reports
        stretches.append({"every": every, "until": until})
    if draw(st.booleans()):
        del stretches[-1]["until"]
    return stretches


def listed(interval: Interval, steps: int) -> list[int]:
    """Return all report steps of a trial, as a reader of the sweep file would count them."""
    if isinstance(interval, int):
        return [*range(interval, steps, interval), steps]
    reports, begin = {steps}, 0
    for entry in interval:
        if isinstance(entry, int):
            reports.add(entry)
        else:
            until = entry.get("until", steps)
            reports.update(range(begin + entry["every"], until + 1, entry["every"]))
            begin = until
    return sorted(report for report in reports if report <= steps)


@given(intervals(), COUNTS)
def test_every_form_reports_at_the_listed_steps(interval, steps):
    report_steps, reports = ReportSteps.of(interval, steps), listed(interval, steps)
    found = [0]
    while found[-1] < steps:
        found.append(report_steps.after(found[-1]))
    assert found[1:] == reports
    assert [report_steps.before(report) for report in reports] == [0, *reports[:-1]]
    assert [report_steps.count(report) for report in reports] == [*range(1, len(reports) + 1)]
    assert report_steps.after(steps) == steps


@given(intervals(), COUNTS)
def test_between_two_reports_a_trial_makes_the_later_one(interval, steps):
    """A network may become infeasible at any step; its trial then reports there."""
    report_steps, reports = ReportSteps.of(interval, steps), listed(interval, steps)
    for number, (before, report) in enumerate(pairwise([0, *reports]), start=1):
        for step in range(before + 1, report + 1):
            assert report_steps.count(step) == number
            assert report_steps.before(step) == before
            assert report_steps.after(step - 1) == report
    assert report_steps.count(0) == 0


def test_reports_are_dense_first_and_sparse_later():
    steps = ReportSteps.of([{"every": 20, "until": 2_000}, {"every": 500}], 3_900)
    assert steps.count(3_900) == 100 + 4
    assert [steps.after(step) for step in (0, 1_990, 2_000, 3_500)] == [20, 2_000, 2_500, 3_900]
    assert steps.numbers([20, 2_000, 2_001, 3_900]).tolist() == [1, 100, 101, 104]
