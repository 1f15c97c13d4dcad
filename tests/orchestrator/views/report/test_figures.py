"""Compares figures with the tidy frames from which they are drawn, and checks their files."""

import json
import math
from itertools import groupby

import numpy as np
import pytest

from orchestrator.views import report, tables
from orchestrator.views.report.figures import draw
from orchestrator.views.study.study import Study
from orchestrator.views.tables.learning_steps import STEPS
from orchestrator.views.tables.robustness import robustness
from tests.support.figures import figure_of
from tests.support.studies import (
    MEMORY,
    Folder,
    completed,
    end,
    infeasible,
    repeating_folder,
    wcrnn,
)

TRIALS = 8  # trials of a cell: enough for confidence limits


def filled(results, ends, **changes):
    """Fill each cell with the ends that ``ends`` returns for it and a random generator."""
    chance = np.random.default_rng(0)
    folder = Folder.of(results, **{"search": {"samples": TRIALS}, **changes})
    rows = {}
    for cell in folder.plan.cells:
        rows |= {f"{cell.id}_{i:05d}": row for i, row in enumerate(ends(cell, chance))}
    folder.write(rows)
    return folder


def numbers_of(panel, kind):
    """Return (architecture, x, y, low, high) of each point of a panel."""
    return [
        (series.architecture, x, y, low, high)
        for series in panel.series
        if series.bars == kind
        for x, y, low, high in zip(
            series.x,
            series.y,
            series.low or [math.nan] * len(series.x),
            series.high or [math.nan] * len(series.x),
            strict=True,
        )
    ]


def assert_same_rows(rows, wanted_rows):
    """Assert that rows of a name and numbers are the same, in whatever order."""
    assert len(rows) == len(wanted_rows)
    for row, wanted in zip(sorted(rows, key=str), sorted(wanted_rows, key=str), strict=True):
        assert row[0] == wanted[0]
        assert row[1:] == pytest.approx(wanted[1:], nan_ok=True)


def test_losses_are_drawn_against_units_beside_parameters(tmp_path):
    def ends(cell, chance):
        return [completed(loss, loss) for loss in chance.random(TRIALS)]

    folder = filled(
        tmp_path, ends, architectures=["rnn", "lstm"], tasks=[MEMORY], budgets=[2000, 4000, 8000]
    )
    for name, column in (("matched_units", "hidden"), ("parameter_matched", "parameters")):
        figure, tidy = figure_of(folder.study, name, tables.parameter_matched)
        (panel,) = figure.panels
        cells = folder.plan.cells
        sizes = {(cell.architecture.label, getattr(cell, column)) for cell in cells}
        assert {(row.architecture, row[column]) for _, row in tidy.iterrows()} == sizes
        wanted = [
            (
                row.architecture,
                row[column],
                row.evaluation_loss,
                row.evaluation_loss,
                row.evaluation_loss,
            )
            for _, row in tidy.iterrows()
        ]
        assert_same_rows(numbers_of(panel, "y"), wanted)


def test_losses_of_one_budget_are_not_drawn_against_units(tmp_path):
    def ends(cell, chance):
        return [completed(0.5, 0.5)]

    study = filled(tmp_path, ends, tasks=[MEMORY]).study
    matched = tables.parameter_matched(study)
    names = [figure.name for figure in draw(study, {matched.name: matched})]
    assert "parameter_matched" in names and "matched_units" not in names


TIMES = {"rnn": 2.0, "gru": 1.0, "lstm": 1.5, "irnn": 1e6}


def test_multipliers_are_drawn_relative_to_the_architecture_that_needs_the_fewest_parameters(
    tmp_path,
):
    def ends(cell, chance):
        times = TIMES[cell.architecture.label]
        losses = (cell.parameters / times) ** -0.5 * (1 + np.r_[0, chance.random(TRIALS - 1)])
        return [completed(loss, loss) for loss in losses]

    folder = filled(
        tmp_path, ends, architectures=[*TIMES], tasks=[MEMORY], budgets=[2000, 4000, 8000]
    )
    figure, tidy = figure_of(folder.study, "parameter_multiplier", tables.parameter_multiplier)
    (panel,) = figure.panels
    assert panel.rows == (*TIMES,) and panel.title.endswith("to equal gru")
    rows = tidy[(tidy["equals"] == "gru") & tidy["multiplier"].notna()]
    wanted = [
        (row.architecture, row.multiplier, panel.rows.index(row.architecture), row.low, row.high)
        for row in rows.itertuples()
    ]
    assert_same_rows(numbers_of(panel, "x"), [*wanted, ("gru", 1.0, 1.0, math.nan, math.nan)])
    drawn = {series.architecture: series.x for series in panel.series}
    assert drawn["rnn"] == [pytest.approx(2)] and drawn["lstm"] == [pytest.approx(1.5)]
    assert "irnn" not in drawn  # its losses overlap with no other's: a row without a point


def stored(cell, rate, nonlinearity="tanh"):
    bits = float(rate * cell.parameters)
    further = json.dumps({"bits_per_parameter": rate, "samples": bits})
    configuration = json.dumps({"nonlinearity": nonlinearity})
    return end(
        "completed",
        0.3,
        0.3,
        metrics=[bits, bits],
        objective=-bits,
        further=further,
        configuration=configuration,
    )


def test_multipliers_of_the_capacity_task_at_all_depths_together_are_the_first_panel(tmp_path):
    def ends(cell, chance):
        return [stored(cell, {"rnn": 2.0, "gru": 4.0}[cell.architecture.label])]

    task = {"name": "perceptron_capacity", "options": {"size": 4, "length": 2}}
    folder = filled(tmp_path, ends, tasks=[task], depths=[1, 2], budgets=[1000, 4000])
    figure, _ = figure_of(folder.study, "parameter_multiplier", tables.parameter_multiplier)
    titles = [panel.title.partition("), ")[2] for panel in figure.panels]
    assert titles == [f"{depths}: to equal gru" for depths in ("all depths", "depth 1", "depth 2")]
    for panel in figure.panels:
        assert {series.architecture: series.x for series in panel.series} == {
            "rnn": [pytest.approx(2)],
            "gru": [1.0],
        }


@pytest.fixture(scope="module")
def capacity(tmp_path_factory):
    """Return a study of searched and fixed nonlinearities and three numbers of unrolled steps."""

    def ends(cell, chance):
        rate = 4 - 2 / cell.task.options["length"]
        nonlinearities = ["relu", "tanh"] * (TRIALS // 2)
        return [
            stored(cell, rate * share, nonlinearity)
            for share, nonlinearity in zip(chance.random(TRIALS), nonlinearities, strict=True)
        ]

    options = [
        {"name": "gru", "options": {"nonlinearity": nonlinearity}}
        for nonlinearity in ("tanh", "relu")
    ]
    tasks = [
        {"name": "perceptron_capacity", "options": {"size": 4, "length": n}} for n in (5, 1, 3)
    ]
    changes = {"tasks": tasks, "budgets": [1000, 2000]}
    folder = filled(
        tmp_path_factory.mktemp("capacity"), ends, architectures=["rnn", *options], **changes
    )
    return folder.study


def test_relu_is_drawn_against_the_other_nonlinearities(capacity):
    figure, tidy = figure_of(capacity, "capacity_relu", tables.capacity_effects)
    # In the search, ReLU against the best of all: the pair with tanh is not in the paper's figure.
    rows = tidy[(tidy["effect"] == "relu") & (tidy["without"] != "best with tanh")]
    without, with_relu = "bits_per_parameter_without", "bits_per_parameter_with"
    for panel in figure.panels:
        assert panel.diagonal
        task_rows = rows[rows["task"] == panel.title].to_dict("records")
        wanted = [
            (
                *(row["architecture"], row[without], row[with_relu]),
                *(row[limit] * row[without] for limit in ("low", "high")),
            )
            for row in task_rows
        ]
        assert len(wanted) == 4
        assert_same_rows(numbers_of(panel, "y"), wanted)
    assert rows["low"].notna().sum() == 6  # those of the option: in the search there are no limits


def test_bits_over_unrolled_steps_are_drawn_from_the_fewest_steps_on(capacity):
    figure, tidy = figure_of(capacity, "capacity_steps", tables.capacity_effects)
    rows = tidy[tidy["effect"] == "unrolled steps"]
    assert len(figure.panels) == rows["budget"].nunique() == 2
    best = {
        (cell.architecture, cell.budget, capacity.task(cell.id).length): capacity.best(cell.id)[
            "evaluation_metric"
        ]
        / cell.parameters
        for cell in capacity.cells
    }
    for panel, budget in zip(figure.panels, (1000, 2000), strict=True):
        for series in panel.series:
            assert series.x == [1, 3, 5]
            wanted = [best[series.architecture, budget, steps] for steps in series.x]
            assert series.y == pytest.approx(wanted)
            series_rows = rows[
                (rows["budget"] == budget) & (rows["architecture"] == series.architecture)
            ]
            lows = [math.nan, *(series_rows["low"] * series.y[0])]
            assert series.low == pytest.approx(lows, nan_ok=True)
        assert len(panel.series) == 3


STRENGTHS = [
    *(wcrnn(alpha=alpha) for alpha in (0.9, 1.0, 0.8)),
    *(wcrnn(residual="heterogeneous", epsilon=epsilon) for epsilon in (0.05, 0.2)),
    *(wcrnn(residual="rotational", omega=w, form=form) for w in (0.03, 0.6) for form in "AB"),
]


def test_lines_over_a_residual_strength_have_the_numbers_of_the_table(tmp_path):
    def ends(cell, chance):
        reports = [
            {"step": s, "lane_validation_metrics": [*chance.random(2)]} for s in range(4, 17, 4)
        ]
        return [completed(0.5, 0.5, metrics=[*chance.random(2)], reports=reports)]

    folder = filled(tmp_path, ends, architectures=STRENGTHS, tasks=[MEMORY])
    study = folder.study
    figure, tidy = figure_of(study, "residual_dependence", tables.residual_dependence)
    kinds = ("scaled", "heterogeneous", "rotational(form=A)", "rotational(form=B)")
    assert set(figure.kinds) == set(kinds)
    drawn = []
    for title, panels in groupby(figure.panels, lambda panel: panel.title):
        strength = title.rpartition(": ")[2]
        rows = tidy[tidy["varied"] == strength]
        for panel, column in zip(panels, ("metric", STEPS), strict=True):
            assert figure.axes(panel)[0].title == strength
            points = numbers_of(panel, "y")
            drawn += [(series.architecture, strength) for series in panel.series]
            for kind, value, y, low, high in points:
                (row,) = rows[
                    (rows["value"] == value)
                    & (rows["residual"] == kind.partition("(")[0])
                    & (rows["form"] == kind[-2] if kind.endswith(")") else True)
                ].to_dict("records")
                width = row[f"{column}_deviation"]
                bottom = y - width if y > width else y
                assert (y, low, high) == pytest.approx((row[column], bottom, y + width))
            assert len(points) == len(rows)
            best_trials = {
                trial: study.best(trial.rpartition("_")[0])["trial"]
                for series in panel.series
                for _, trial in series.trials
            }
            assert len(best_trials) == len(rows)
            assert all(trial == best for trial, best in best_trials.items())
    assert sorted(set(drawn)) == sorted(
        zip(kinds, ("alpha", "epsilon", "omega", "omega"), strict=True)
    )


NETWORKS = [
    *("linear_rnn", {"name": "linear_rnn", "options": {"act": "tanh"}}),
    *({"name": "rnn", "options": {"nonlinearity": "tanh"}}, "gru"),
    *({"name": "mirnn", "options": {"gate": "identity"}}, "mirnn"),
]


def test_every_pair_of_networks_has_a_row_with_its_ratio(tmp_path):
    def ends(cell, chance):
        return [completed(loss, loss) for loss in chance.random(TRIALS) + 0.1]

    search = {"samples": TRIALS, "space": {"h_square": "orthogonal"}}  # every trial competes
    folder = filled(
        tmp_path, ends, architectures=NETWORKS, tasks=[MEMORY], depths=[1, 2], search=search
    )
    figure, tidy = figure_of(folder.study, "depth_nonlinearity", tables.depth_nonlinearity)
    drawn = 0
    for panel in figure.panels:
        layers = int(panel.title.partition("depth ")[2][0])
        change = panel.title.rpartition(", ")[2]
        rows = tidy[(tidy["depth"] == layers) & (tidy["change"] == change)].to_dict("records")
        drawn += len(rows)
        assert panel.rows == tuple(f"{row['to']}\nover {row['from']}" for row in rows)
        wanted = [
            (row["to"], row["ratio"], index, row["low"], row["high"])
            for index, row in enumerate(rows)
        ]
        assert_same_rows(numbers_of(panel, "x"), wanted)
    assert drawn == len(tidy) == 2 * 4
    assert tidy["low"].notna().all()


def test_a_sweep_of_reruns_alone_has_its_tables_and_its_page(tmp_path):
    first = filled(tmp_path, lambda cell, chance: [completed(0.5, 0.4)], tasks=[MEMORY])
    second = repeating_folder(first, samples=3)
    second.write({trial.id: completed(0.5, 0.6) for trial in second.plan.trials()})
    study = second.study
    built = tables.build(study)
    assert {table.name for table in built} == {"robustness", "cost"}
    page, *figures = report.write(study, built, tmp_path / "page", None)
    assert "Reruns of the best configuration" in page.read_text()
    assert {path.stem for path in figures} == {"robustness", "cost"}


def test_reruns_are_drawn_with_their_mean_and_range(tmp_path):
    first = filled(tmp_path, lambda cell, chance: [completed(0.5, 0.4)], tasks=[MEMORY])
    second = repeating_folder(first, samples=20)
    chance = np.random.default_rng(1)
    second.write(
        {
            trial.id: infeasible() if chance.random() < 0.2 else completed(0.5, chance.random())
            for trial in second.plan.trials()
        }
    )
    figure, _ = figure_of(Study([first.paths, second.paths]), "robustness", robustness)
    (panel,) = figure.panels
    reruns = second.sql(
        "select trial, evaluation_loss from trials where outcome = 'completed' order by 1"
    )
    drawn = [
        (trial, x)
        for series in panel.series
        if series.faint
        for x, (_, trial) in zip(series.x, series.trials, strict=True)
    ]
    assert sorted(drawn) == reruns
    means = {
        series.architecture: (*series.x, *series.low, *series.high)
        for series in panel.series
        if series.low
    }
    for architecture, *wanted in second.sql(
        "select architecture, avg(evaluation_loss), min(evaluation_loss), max(evaluation_loss) "
        "from trials where outcome = 'completed' group by 1"
    ):
        assert means.pop(architecture) == pytest.approx(tuple(wanted))
    assert not means


def test_figures_of_an_earlier_report_are_removed_and_other_files_stay(tmp_path):
    folder = filled(tmp_path, lambda cell, chance: [infeasible()])
    figures = tmp_path / "out" / "figures"
    figures.mkdir(parents=True)
    others = ["memory.svg", "memory-2.pdf", "notes.txt", "mine.png"]
    for name in others:
        (figures / name).write_text("")
    study = folder.study
    written = report.write(study, tables.build(study), tmp_path / "out", None)
    left = {path.name for path in figures.iterdir()}
    assert left == {path.name for path in written[1:]} | {"notes.txt", "mine.png"}
    assert "infeasible.svg" in left


def test_without_tables_only_the_distribution_of_losses_is_drawn(tmp_path):
    folder = filled(tmp_path, lambda cell, chance: [completed(0.5, 0.5)])
    assert [figure.name for figure in draw(folder.study, {})] == ["distribution"]
