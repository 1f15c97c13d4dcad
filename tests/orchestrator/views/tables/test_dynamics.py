"""Builds ledgers whose exponents, norms and eigenvalues are known, and compares the table."""

import math

import numpy as np
import pandas as pd
import pytest

from orchestrator.views.study.study import Study
from orchestrator.views.tables.dynamics import dynamics, expected_exponents
from tests.support.rows import files
from tests.support.studies import Folder, completed, diagnosed, infeasible, repeating_folder, wcrnn

DIAGNOSTICS = {"lyapunov": True, "gradients": True, "hessian": 4, "at": [0, 8, "end"]}
STEPS = (0, 8, 16)  # the small sweep trains 16 steps
T = 20


def measured(alpha, lane, step, layers=1):
    """Return rows of a network whose exponents are log(alpha) less 0 to 0.03 and its gradients."""
    shift = 0.001 * (10 * lane + step)
    place = {"lane": lane, "step": step}
    rows = []
    for layer in range(layers):
        exponents = [math.log(alpha) - shift - 0.01 * number for number in range(4)]
        norms = [(1 + layer) * alpha ** (T - t) for t in range(1, T + 1)]
        rows.append(diagnosed("lyapunov_exponents", exponents, layer=layer, **place))
        rows.append(diagnosed("gradient_norms", norms, layer=layer, **place, samples=64))
    top = 10.0 * alpha + step + lane
    rows.append(diagnosed("hessian_eigenvalues", [top, 1.0, -0.5], layer=-1, **place))
    rows.append(diagnosed("gauss_newton_eigenvalues", [2 * top, 0.0], layer=-1, **place))
    rows.append(diagnosed("hessian_large", [2.0], layer=-1, **place))
    return rows


def filled(results, alphas=(0.9, 1.0), steps=STEPS, **changes):
    options = {"architectures": [wcrnn(alpha=alpha) for alpha in alphas], "search": {"samples": 2}}
    folder = Folder.of(results, **{**options, "diagnostics": DIAGNOSTICS, **changes})
    ends = {}
    for trial in folder.plan.trials():
        alpha, layers = trial.cell.architecture.options["alpha"], trial.cell.depth
        rows = [
            row
            for lane in (0, 1)
            for step in steps
            for row in measured(alpha + trial.index, lane, step, layers)
        ]
        ends[trial.id] = completed(1.0 + trial.index, 1.0, diagnostics=rows)
    folder.write(ends)
    return folder


def test_each_network_has_a_row_for_each_diagnosed_step_with_the_numbers_of_its_closed_forms(
    tmp_path,
):
    tidy = dynamics(filled(tmp_path).study).tidy
    assert len(tidy) == 2 * 2 * 3 * 2  # cells, trials, steps, lanes
    assert [*dict.fromkeys(zip(tidy["at"], tidy["step"], strict=True))] == [
        *(("start", 0), ("step", 8), ("end", 16)),
    ]
    for row in tidy.rename(columns={"index": "number"}).itertuples():
        base = (0.9 if "0.9" in row.architecture else 1.0) + row.number
        mean = math.log(base) - 0.001 * (10 * row.lane + row.step) - 0.015
        assert row.exponent_mean == pytest.approx(mean)
        assert row.exponent_max == pytest.approx(mean + 0.015)
        assert row.exponent_spread == pytest.approx(0.01 * math.sqrt(5 / 4))
        assert row.gradient_slope == pytest.approx(math.log(base), abs=1e-12)
        assert row.gradient_slope_r2 == pytest.approx(1)
        assert row.hessian_max == 10 * base + row.step + row.lane and row.hessian_min == -0.5
        assert row.gauss_newton_max == 2 * row.hessian_max
        assert row.eigenvalues_large == 2 and math.isnan(row.gauss_newton_large)
        assert row.expected_log_alpha == pytest.approx(math.log(base - row.number))
        assert row.expected_spread == 0
        assert (row.layer, row.samples, row.outcome) == (0, 100, "completed")


def test_duckdb_reads_the_same_rows_and_numbers(tmp_path):
    folder = filled(tmp_path)
    study = folder.study
    rows = folder.sql(
        "select cell, trial, step, lane, layer, quantity, values, samples from diagnostics"
    )
    frame = study.diagnostics.drop(columns="sweep")
    ours = [(*row[:6], list(row[6]), row[7]) for row in frame.itertuples(index=False)]
    assert sorted(ours) == sorted(rows)
    means = folder.sql(
        "select trial, step, lane, list_avg(values) from diagnostics "
        "where quantity = 'lyapunov_exponents' order by all"
    )
    tidy = dynamics(study).tidy.sort_values(["trial", "step", "lane"])
    assert [row[:3] for row in means] == [
        *zip(tidy["trial"], tidy["step"], tidy["lane"], strict=True)
    ]
    assert tidy["exponent_mean"].tolist() == pytest.approx([row[3] for row in means])


def test_a_cell_shows_the_networks_of_its_best_trial(tmp_path):
    table = dynamics(filled(tmp_path).study)
    assert table.shown["networks"].tolist() == ["2", "2"]
    # Of the first configuration, which is the best: 10 alpha + lane before training.
    assert table.shown["largest Hessian eigenvalue, start"].tolist() == [
        "9.5 ± 0.707",
        "10.5 ± 0.707",
    ]
    assert table.shown["largest Hessian eigenvalue, end"].tolist() == [
        "25.5 ± 0.707",
        "26.5 ± 0.707",
    ]
    assert table.shown["log alpha"].tolist() == ["-0.105", "0"]


def test_without_start_and_end_the_first_and_the_last_diagnosed_step_are_shown(tmp_path):
    asked = DIAGNOSTICS | {"at": [4, 8, 12]}
    shown = dynamics(filled(tmp_path, steps=(4, 8, 12), diagnostics=asked).study).shown
    headings = [name for name in shown if name.startswith("largest Hessian")]
    assert headings == [f"largest Hessian eigenvalue, step {step}" for step in (4, 12)]
    # Of the first configuration: 10 alpha + step + lane.
    assert shown[headings[1]].tolist() == ["21.5 ± 0.707", "22.5 ± 0.707"]
    assert shown["networks"].tolist() == ["2", "2"]


def test_whole_network_quantities_stand_in_the_rows_of_all_layers(tmp_path):
    folder = filled(tmp_path, depths=[1, 2])
    table = dynamics(folder.study)
    deep = table.tidy[table.tidy["depth"] == 2]
    assert sorted(deep["layer"].unique()) == [0, 1]
    by_network = deep.groupby(["trial", "step", "lane"])
    assert (by_network["hessian_max"].nunique() == 1).all() and (by_network.size() == 2).all()
    assert table.index == 5 and table.shown["layer"].tolist() == [0, 0, 0, 1, 0, 1]


def test_a_quantity_of_the_whole_network_alone_has_one_row(tmp_path):
    folder = Folder.of(tmp_path, architectures=["rnn"], diagnostics={"hessian": 4, "at": [0]})
    rows = [diagnosed("hessian_eigenvalues", [4.0, -1.0], layer=-1, lane=lane) for lane in (0, 1)]
    folder.fill("rnn", infeasible(diagnostics=rows))
    table = dynamics(folder.study)
    assert table.tidy["layer"].tolist() == [-1, -1] and table.tidy["hessian_max"].tolist() == [4, 4]
    assert table.tidy["outcome"].tolist() == ["infeasible"] * 2  # and shown, for want of a better
    assert table.shown["largest Hessian eigenvalue, start"].tolist() == ["4 ± 0"]
    assert table.tidy["expected_log_alpha"].isna().all() and table.tidy["residual"].isna().all()


def test_a_sweep_without_diagnostics_has_no_row_and_reads_no_file(tmp_path):
    folder = Folder.of(tmp_path)
    folder.fill("rnn", completed(1.0, 1.0))
    assert dynamics(folder.study).tidy.empty
    assert not (folder.paths.ledger / "diagnostics").exists()


def test_only_trials_of_the_study_are_read_and_shared_ones_once(tmp_path):
    one, two = filled(tmp_path, name="one"), filled(tmp_path, name="two")
    architectures = [wcrnn(alpha=alpha) for alpha in (0.9, 1.0)]
    again = repeating_folder(one, architectures=architectures, diagnostics=DIAGNOSTICS)
    again.write(
        {t.id: completed(1.0, 1.0, diagnostics=measured(0.5, 0, 0)) for t in again.plan.trials()}
    )
    study = Study([one.paths, two.paths, again.paths], where=["architecture=wcrnn(alpha=0.9)"])
    assert len(study.diagnostics) == len(one.study.diagnostics) / 2
    assert set(study.diagnostics["sweep"]) == {"one"}


def test_a_damaged_file_of_diagnostics_is_named_and_the_rest_is_read(tmp_path):
    folder = filled(tmp_path)
    lost, *_ = files(folder.paths.ledger, "diagnostics")
    lost.write_bytes(lost.read_bytes()[:-9])
    study = folder.study
    assert dynamics(study).tidy["alpha"].unique().tolist() == [1.0]
    assert any("diagnostics" in warning for warning in study.warnings)


@pytest.mark.parametrize("residual", ["heterogeneous", "informed"])
def test_the_expected_spread_is_that_of_uniform_draws(residual):
    options = {"residual": residual, "alpha": 0.95, "epsilon": 0.04}
    expected = expected_exponents(wcrnn(**options))
    drawn = np.log(np.random.default_rng(0).uniform(0.91, 0.99, size=1_000_000))
    assert expected["expected_spread"] == pytest.approx(drawn.std(), rel=2e-3)
    assert expected["expected_log_alpha"] == pytest.approx(math.log(0.95))


def test_what_the_residual_does_not_tell_is_not_expected():
    nothing = {"expected_log_alpha": math.nan, "expected_spread": math.nan}
    for architecture in ({"name": "gru", "options": {}}, wcrnn(alpha=0.0)):
        assert expected_exponents(architecture) == pytest.approx(nothing, nan_ok=True)
    beyond = expected_exponents(wcrnn(residual="heterogeneous", alpha=0.1, epsilon=0.1))
    assert math.isnan(beyond["expected_spread"])
    unlike = expected_exponents(wcrnn(residual="informed", alpha_per="unit"))
    assert math.isnan(unlike["expected_spread"]) and unlike["expected_log_alpha"] == 0
    assert pd.notna(expected_exponents(wcrnn(residual="informed"))["expected_spread"])
