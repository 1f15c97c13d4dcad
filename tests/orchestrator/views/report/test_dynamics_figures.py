"""Draws what was diagnosed of networks, and compares the figures with the numbers they show."""

import math

import numpy as np
import pytest

from orchestrator.views import tables
from orchestrator.views.report.figures import draw
from orchestrator.views.report.labelling import diagonal
from tests.support.figures import figure_of
from tests.support.studies import MEMORY, Folder, completed, diagnosed, infeasible, wcrnn

ALPHAS = (0.9, 1.0, 1.1)
EPSILONS = (0.02, 0.04)
DIAGNOSTICS = {"lyapunov": True, "gradients": True, "hessian": 4, "at": [0, "end"]}
T = 300


def network(alpha, lane, step):
    """Return what was diagnosed of a network with three exponents about log(alpha)."""
    place = {"lane": lane, "step": step}
    exponents = [math.log(alpha) + 0.01 * (lane - step / 16) + shift for shift in (0.1, 0.0, -0.1)]
    norms = [alpha ** (T - t) for t in range(1, T + 1)]
    return [
        diagnosed("lyapunov_exponents", exponents, **place),
        diagnosed("gradient_norms", norms, **place),
        diagnosed("hessian_eigenvalues", [100 * alpha + lane, -1.0], layer=-1, **place),
        diagnosed("hessian_large", [10 * alpha], layer=-1, **place),
    ]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    architectures = [
        *(wcrnn(alpha=alpha) for alpha in ALPHAS),
        *(wcrnn(residual="heterogeneous", alpha=0.9, epsilon=epsilon) for epsilon in EPSILONS),
        "gru",
    ]
    folder = Folder.of(
        tmp_path_factory.mktemp("results"),
        architectures=architectures,
        tasks=[MEMORY],
        search={"samples": 1},
        diagnostics=DIAGNOSTICS,
    )
    ends = {}
    for trial in folder.plan.trials():
        alpha = trial.cell.architecture.options.get("alpha", 0.8)
        steps = (0,) if alpha > 1 else (0, 16)
        rows = [row for lane in (0, 1) for step in steps for row in network(alpha, lane, step)]
        rows.append(diagnosed("input_power", [9.0, 1.0, 4.0], layer=-1))
        reports = [
            {"step": step, "evaluation_metric": alpha / step, "lane_validation_metrics": [0.5, 0.5]}
            for step in (4, 8, 12, 16)
        ]
        end = infeasible() if alpha > 1 else completed(0.5, 0.5, reports=reports)
        ends[trial.id] = end | {"diagnostics": rows}
    folder.write(ends)
    return folder.study


def panels(figure, word):
    return [panel for panel in figure.panels if word in panel.title]


def test_exponents_are_drawn_against_alpha_beside_its_logarithm(study):
    figure, _ = figure_of(study, "lyapunov_exponents", tables.dynamics)
    by_alpha, by_epsilon = figure.panels
    measured, expected = by_alpha.series
    logs = [math.log(alpha) for alpha in ALPHAS]
    assert measured.x == list(ALPHAS) and expected.y == pytest.approx(logs)
    assert measured.y == pytest.approx([log + 0.005 for log in logs])  # lanes 0 and 1
    deviation = 0.1 * math.sqrt(2 / 3)
    assert measured.high == pytest.approx([y + deviation for y in measured.y])
    assert expected.architecture == "log alpha" and expected.dashed and "log alpha" in figure.kinds
    assert by_epsilon.series[1].y == pytest.approx([math.log(0.9)] * 2)


def test_curvature_is_drawn_against_each_strength_also_of_infeasible_cells(study):
    figure, _ = figure_of(study, "curvature", tables.dynamics)
    largest, number, *_ = figure.panels  # the Gauss-Newton matrix was not diagnosed
    assert largest.series[0].y == pytest.approx([100 * alpha + 0.5 for alpha in ALPHAS])
    assert largest.series[0].low == pytest.approx(
        [100 * alpha + 0.5 - math.sqrt(0.5) for alpha in ALPHAS]
    )
    assert number.series[0].y == pytest.approx([10 * alpha for alpha in ALPHAS])


def test_gradients_are_drawn_over_time_for_each_strength_thinned_with_their_ends(study):
    figure, _ = figure_of(study, "gradient_norms", tables.dynamics)
    (panel,) = panels(figure, "by alpha")
    assert [series.architecture for series in panel.series] == [f"alpha = {a:g}" for a in ALPHAS]
    for series, alpha in zip(panel.series, ALPHAS, strict=True):
        assert len(series.x) == 100 and series.x[0] == 1 and series.x[-1] == T
        assert series.y == pytest.approx([alpha ** (T - t) for t in series.x])
    assert len(panels(figure, "by epsilon")[0].series) == 2


def test_spectra_are_drawn_in_descending_order_as_means_over_networks(study):
    figure, _ = figure_of(study, "lyapunov_spectra", tables.dynamics)
    (panel,) = panels(figure, "by epsilon")
    for series in panel.series:
        middle = math.log(0.9) + 0.005
        assert series.x == [1, 2, 3]
        assert series.y == pytest.approx([middle + 0.1, middle, middle - 0.1])


def test_curvature_and_exponents_are_drawn_before_and_after_training(study):
    figure, _ = figure_of(study, "training_curvature", tables.dynamics)
    (panel,) = panels(figure, "by alpha")
    by_setting = {series.architecture: series for series in panel.series}
    assert by_setting["alpha = 1"].x == [0, 16] and by_setting["alpha = 1.1"].x == [0]
    figure, _ = figure_of(study, "trained_exponents", tables.dynamics)
    (panel,) = figure.panels
    points = {
        (series.architecture, round(x, 6), round(y, 6))
        for series in panel.series
        for x, y in zip(series.x, series.y, strict=True)
    }
    assert len(points) == 4  # two heterogeneous cells are equal
    for kind, alpha in (("gru", 0.8), ("wcrnn scaled, linear", 1.0)):
        before = math.log(alpha) + 0.005
        assert (kind, round(before, 6), round(before - 0.01, 6)) in points
    low, high = diagonal(panel, log=False)
    assert low == pytest.approx(math.log(0.8) - 0.005) and high == pytest.approx(0.005)


def test_the_spectrum_of_the_inputs_has_its_peak_apart_from_omega_zero(study):
    table = tables.characteristic_frequencies(study)
    (row,) = table.tidy.to_dict("records")
    length = study.task(study.cells[0].id).length
    assert row["omega"] == pytest.approx(2 * 2 * math.pi / length)
    assert row["period"] == pytest.approx(length / 2) and row["share"] == pytest.approx(0.8)
    figure, _ = figure_of(study, "input_power", tables.characteristic_frequencies)
    (panel,) = figure.panels
    assert panel.series[0].y == [1, 4] and panel.levels[0].low == row["omega"]
    np.testing.assert_allclose(panel.series[0].x, 2 * np.pi * np.array([1, 2]) / length)


def test_learning_curves_have_the_reports_of_best_trials(study):
    figure, _ = figure_of(study, "learning_curves", tables.residual_families)
    (panel,) = panels(figure, "by alpha")
    assert [series.architecture for series in panel.series] == ["alpha = 0.9", "alpha = 1"]
    for series, alpha in zip(panel.series, (0.9, 1.0), strict=True):
        assert series.x == [4, 8, 12, 16]
        assert series.y == pytest.approx([alpha / step for step in series.x])


def test_without_diagnostics_no_such_figure_is_drawn(tmp_path):
    folder = Folder.of(tmp_path, architectures=[wcrnn(), wcrnn(alpha=0.9)], search={"samples": 1})
    folder.write({trial.id: completed(0.5, 0.5) for trial in folder.plan.trials()})
    built = {table.name: table for table in tables.build(folder.study)}
    assert not {"dynamics", "characteristic_frequencies"} & set(built)
    names = {figure.name for figure in draw(folder.study, built)}
    assert "residual_dependence" in names and "learning_curves" in names
    assert not {"lyapunov_exponents", "curvature", "gradient_norms", "input_power"} & names


def test_networks_that_differ_in_no_strength_alone_have_neither_curves_nor_lines(tmp_path):
    folder = Folder.of(
        tmp_path,
        architectures=[wcrnn(), "elman", "gru"],
        search={"samples": 1},
        diagnostics=DIAGNOSTICS,
    )
    rows = [row for lane in (0, 1) for step in (0, 16) for row in network(0.9, lane, step)]
    end = completed(0.5, 0.5, diagnostics=rows)
    folder.write({trial.id: end for trial in folder.plan.trials()})
    built = {table.name: table for table in tables.build(folder.study)}
    drawn = {figure.name: figure for figure in draw(folder.study, built)}
    assert not {"learning_curves", "lyapunov_exponents", "curvature", "gradient_norms"} & set(drawn)
    assert {series.architecture for series in drawn["trained_exponents"].panels[0].series} == {
        *("wcrnn scaled, linear", "elman none", "gru"),
    }
