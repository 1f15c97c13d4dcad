"""Compares the table of homogeneous and heterogeneous residuals with SQL and by hand."""

import math

import numpy as np
import pytest
from scipy.stats import ttest_rel

from orchestrator.views.tables.residual_pairs import residual_pairs
from tests.support.studies import MEMORY, PARENTHESES, Folder, completed, infeasible, wcrnn
from trainables import tasks

STEPS = "steps_to_minimal_performance"
PAIR = [wcrnn(residual="scaled"), wcrnn(residual="heterogeneous")]
SCALED, SPREAD = "wcrnn(residual=scaled)", "wcrnn(residual=heterogeneous)"
NONE = (None, None, 0, None, None, 0, [], [])  # numbers of a cell without a completed trial
LANES = """
    with best as (
        select * from trials where outcome = 'completed'
        qualify row_number() over (partition by cell order by objective, "index") = 1
    ),
    metrics as (
        select trial, architecture, task, depth, budget,
            unnest(lane_evaluation_metrics) as metric,
            unnest(lane_infeasible_at) as dead,
            generate_subscripts(lane_evaluation_metrics, 1) as lane
        from best
    ),
    reports as (
        select trial, step, unnest(lane_validation_metrics) as metric,
            generate_subscripts(lane_validation_metrics, 1) as lane
        from results
    ),
    reached as (
        select m.*,
            (select min(r.step) from reports r where r.trial = m.trial and r.lane = m.lane
                and case when m.task like 'memory%' then r.metric <= {rms}
                    else r.metric >= {accuracy} end) as first
        from metrics m
    ),
    lanes as (
        select *, coalesce(first, {steps}) as steps,
            coalesce(first, case when dead is null then 'inf'::double end) as compared
        from reached
    )
    select architecture, task, depth, budget,
        avg(metric), stddev_samp(metric), count(metric), avg(steps), stddev_samp(steps), count(*),
        list(metric order by lane), list(compared order by lane)
    from lanes group by all
"""


def test_every_number_in_the_residual_pairs_table_is_that_of_sql(at_random):
    thresholds = {"rms": 0.3, "accuracy": (1 + tasks.make(**PARENTHESES).baseline().metric) / 2}
    by_cell = {row[:4]: row[4:] for row in at_random.sql(LANES.format(steps=16, **thresholds))}
    tidy = residual_pairs(at_random.study).tidy
    # 2 tasks, 2 depths, 2 budgets, 2 heterogeneous networks against one, 2 quantities.
    assert len(tidy) == 2 * 2 * 2 * 2 * 2
    labels = {0.05: SPREAD, 0.2: "wcrnn(epsilon=0.2, residual=heterogeneous)"}
    compared = paired = 0
    for row in tidy.to_dict("records"):
        lanes = {}
        for kind, label in (("homogeneous", "wcrnn"), ("heterogeneous", labels[row["epsilon"]])):
            numbers = by_cell.get((label, row["task"], row["depth"], row["budget"]), NONE)
            is_steps = row["quantity"] == STEPS
            mean, deviation, networks = numbers[3:6] if is_steps else numbers[:3]
            lanes[kind] = numbers[7 if is_steps else 6]
            assert row[f"{kind}_networks"] == networks
            wanted = [math.nan if value is None else value for value in (mean, deviation)]
            values = [row[kind], row[f"{kind}_deviation"]]
            assert values == pytest.approx(wanted, rel=1e-12, nan_ok=True)
            compared += networks > 0
        pairs = [
            (a, b)
            for a, b in zip(lanes["heterogeneous"], lanes["homogeneous"], strict=False)
            if a is not None and b is not None
        ]
        assert not row["paired"] and row["pairs"] == len(pairs)
        signs = [int(np.sign(a - b)) for a, b in pairs if a != b]
        assert (row["less"], row["more"]) == (signs.count(-1), signs.count(1))
        both = [(a, b) for a, b in pairs if math.isfinite(a - b)]
        assert row["both"] == len(both)
        if len(both) > 1 and len({a - b for a, b in both}) > 1:
            test = ttest_rel(*zip(*both, strict=True))
            low, high = test.confidence_interval(0.95)
            if len(both) < len(pairs):
                low = high = math.nan
            wanted = [np.mean([a - b for a, b in both]), low, high]
            difference = [row[f"difference{part}"] for part in ("", "_low", "_high")]
            assert difference == pytest.approx(wanted, rel=1e-9, nan_ok=True)
            paired += len(both) == len(pairs)
        elif not both:
            assert math.isnan(row["difference"])
    assert compared > 30 and paired > 3


def table_of(tmp_path, homogeneous, heterogeneous, task=PARENTHESES, **changes):
    folder = Folder.of(tmp_path, architectures=PAIR, tasks=[task], **changes)
    folder.fill(SCALED, *homogeneous)
    folder.fill(SPREAD, *heterogeneous)
    return residual_pairs(folder.study)


def reports(*metrics):
    """Return a report every four steps of sixteen; one number for both lanes, or one each."""
    both = [m if isinstance(m, list) else [m, m] for m in metrics]
    both += [both[-1]] * (4 - len(both))
    return [{"step": 4 * i, "lane_validation_metrics": m} for i, m in enumerate(both, start=1)]


def test_means_deviations_and_steps_of_pairs_are_those_computed_by_hand(tmp_path):
    worse = completed(0.9, 0.9, metrics=[1.0, 1.0], reports=reports(1.0))
    best = completed(0.1, 0.9, metrics=[0.92, 0.96], reports=reports(0.1, [0.95, 0.2], 0.99))
    other = completed(0.3, 0.3, metrics=[0.5, 0.7], reports=reports(0.1, 0.2, 0.3, 0.4))
    table = table_of(tmp_path, [worse, best], [infeasible(), other])
    accuracy, steps = table.tidy.to_dict("records")
    assert accuracy["quantity"] == "accuracy"
    assert accuracy["homogeneous"] == pytest.approx(0.94)
    assert accuracy["homogeneous_deviation"] == pytest.approx(0.04 / math.sqrt(2))
    assert accuracy["difference"] == pytest.approx(0.6 - 0.94)
    # Lanes reach the threshold, halfway from a constant answer to perfection, at steps 8 and 12;
    # those that never do count 16 steps.
    assert (steps["quantity"], steps["homogeneous"], steps["heterogeneous"]) == (STEPS, 10, 16)
    assert steps["homogeneous_deviation"] == pytest.approx(2 * math.sqrt(2))
    assert steps["heterogeneous_deviation"] == 0
    assert (steps["homogeneous_from"], steps["homogeneous_reached"]) == ((4 + 8) / 2, 2)
    shown = table.shown[["quantity", "homogeneous", "heterogeneous", "difference", "sooner"]]
    assert [tuple(row) for row in shown.itertuples(index=False)] == [
        ("accuracy", "94.0 % ± 2.8 %", "60.0 % ± 14.1 %", "-34.0 [-135.6, +67.6] points", "-"),
        (
            "steps to minimal performance",
            "10 ± 2.83 (6 to 10)",
            ">= 16 (0 of 2)",
            "-",
            "0 sooner, 2 later (p 0.5)",
        ),
    ]
    assert [*table.shown["pairs"]] == ["2", "2 (both learned in 0)"]
    assert table.notes[-1] == "All with residual heterogeneous, alpha 1, gamma 0.05, epsilon 0.05."


def test_where_the_metric_is_an_error_a_network_reaches_the_threshold_from_above(tmp_path):
    good = completed(0.1, 0.1, metrics=[0.2, 0.2], reports=reports(0.9, [0.31, 0.3], 0.2, 0.9))
    table = table_of(tmp_path, [good], [good], task=MEMORY)
    assert [*table.tidy["quantity"]] == ["rms", STEPS]
    assert table.tidy["homogeneous"][1] == 10  # steps 12 and 8


def test_a_network_that_diverged_has_no_metric_and_counts_all_steps_if_it_reached_nothing(tmp_path):
    nan = math.nan
    lost = completed(0.1, 0.1, metrics=[nan, 0.8], reports=reports([nan, 0.99]))
    accuracy, steps = table_of(tmp_path, [lost], [lost]).tidy.to_dict("records")
    assert (accuracy["homogeneous"], accuracy["homogeneous_networks"]) == (0.8, 1)
    assert math.isnan(accuracy["homogeneous_deviation"])
    assert (steps["homogeneous"], steps["homogeneous_networks"]) == ((16 + 4) / 2, 2)


def test_a_side_without_a_completed_trial_is_a_dash(tmp_path):
    end = completed(0.1, 0.1, metrics=[0.8, 0.8], reports=reports(0.99))
    table = table_of(tmp_path, [end], [infeasible()])
    assert [*table.tidy["heterogeneous_networks"]] == [0, 0]
    assert [*table.shown["homogeneous"]] == ["80.0 % ± 0.0 %", "4 ± 0 (0 to 4)"]
    assert [*table.shown["heterogeneous"]] == [*table.shown["difference"]] == ["-", "-"]


def test_steps_are_unknown_where_a_report_is_not_in_the_ledger(tmp_path):
    complete = completed(0.1, 0.1, metrics=[0.8, 0.8], reports=reports(0.99))
    for number, recorded in enumerate(([], reports(0.99)[1:], reports(0.1)[:3])):
        incomplete = completed(0.1, 0.1, metrics=[0.8, 0.8], reports=recorded)
        table = table_of(tmp_path / str(number), [incomplete], [complete])
        accuracy, steps = table.tidy.to_dict("records")
        assert accuracy["homogeneous"] == 0.8
        assert math.isnan(steps["homogeneous"]) and math.isnan(steps["difference"])
        assert [*table.shown["homogeneous"]] == ["80.0 % ± 0.0 %", "-"]
        cell = "parentheses-held-out-size-32-length-6_wcrnn-residual-scaled_d1_p4000"
        assert f"'-': reports of the best trial are not in the ledger ({cell})." in table.notes


def test_pairs_of_networks_differ_in_their_residual_alone(tmp_path):
    networks = [
        wcrnn(alpha=0.9),
        wcrnn(alpha=0.9, residual="heterogeneous"),
        wcrnn(alpha=0.9, residual="heterogeneous", epsilon=0.1),
        wcrnn(alpha=0.9, gamma=0.2),  # in no pair
        wcrnn(alpha=0.8, residual="heterogeneous"),
        wcrnn(alpha=0.9, residual="rotational"),
        wcrnn(alpha=0.9, residual="heterogeneous", form="A", gamma=[0.01, 0.1]),
        wcrnn(alpha=0.9, form="A", gamma=[0.01, 0.1]),  # in a pair with the one before
    ]
    folder = Folder.of(tmp_path, architectures=["rnn", *networks], depths=[1, 2])
    cells = [cell for cell in folder.plan.cells if cell.architecture.name == "wcrnn"]
    ends = {
        f"{cell.id}_00000": completed(1.0, 1.0, metrics=[i / 10] * 2)
        for i, cell in enumerate(cells)
    }
    folder.write(ends)
    tidy = residual_pairs(folder.study).tidy
    metric = tidy[tidy["quantity"] == "accuracy"]
    columns = ["depth", "alpha", "gamma", "epsilon", "homogeneous", "heterogeneous"]
    nonlinear = metric[metric["form"] == "A"]
    assert nonlinear["gamma"].unique().tolist() == ["[0.01, 0.1]"]
    assert nonlinear[["depth", "homogeneous", "heterogeneous"]].to_numpy().tolist() == [
        pytest.approx(row) for row in ([1, 0.7, 0.6], [2, 1.5, 1.4])
    ]
    metric = metric[metric["form"] == "linear"]
    assert metric[columns].to_numpy().tolist() == [
        pytest.approx(row)
        for row in (
            [1, 0.9, 0.05, 0.05, 0.0, 0.1],
            [1, 0.9, 0.05, 0.1, 0.0, 0.2],
            [2, 0.9, 0.05, 0.05, 0.8, 0.9],
            [2, 0.9, 0.05, 0.1, 0.8, 1.0],
        )
    ]
