"""Figures of comparisons against the tidy frames they are drawn from, and as files."""

import json
import math
from itertools import groupby
from xml.etree import ElementTree

import numpy as np
import plotly.graph_objects
import pytest

from orchestrator.views import report, tables
from orchestrator.views.report.figures import draw
from orchestrator.views.report.interactive import panel_values
from orchestrator.views.report.printed import sheets
from orchestrator.views.report.style import styles, styles_of
from orchestrator.views.study.study import Study
from orchestrator.views.tables.residuals import STEPS
from orchestrator.views.tables.robustness import robustness
from tests.support.studies import (
    MEMORY,
    Folder,
    completed,
    end,
    infeasible,
    repeating_folder,
    wcrnn,
)

TRIALS = 8  # of a cell: enough for limits


def filled(results, ends, **changes):
    """One list of ends a cell, from the cell and random numbers."""
    chance = np.random.default_rng(0)
    folder = Folder.of(results, **{"search": {"samples": TRIALS}, **changes})
    rows = {}
    for cell in folder.plan.cells:
        rows |= {f"{cell.id}_{i:05d}": row for i, row in enumerate(ends(cell, chance))}
    folder.write(rows)
    return folder


def figure_of(study, name, table):
    """The figure, shown to be drawn by both renderers, and its tidy frame."""
    made = table(study)
    figure = {one.name: one for one in draw(study, {made.name: made})}[name]
    looks = styles_of(figure, styles(study.architectures))
    for panel in figure.panels:
        values = panel_values(figure, panel, looks, [sweep.name for sweep in study.sweeps])
        plotly.graph_objects.Figure(values)  # raises for what plotly does not know
        json.dumps(values, allow_nan=False)
    _, svg, pdf = next(sheets(figure, looks))
    words = "".join(ElementTree.fromstring(svg).itertext()).split()
    for title in (figure.title, figure.panels[0].title):
        assert "".join(title.split()) in "".join(words)  # long ones stand in lines
    assert pdf.startswith(b"%PDF")
    return figure, made.tidy


def numbers_of(panel, kind):
    """(architecture, x, y, low, high) of each point of a panel."""
    return [
        (one.architecture, x, y, low, high)
        for one in panel.series
        if one.bars == kind
        for x, y, low, high in zip(
            one.x,
            one.y,
            one.low or [math.nan] * len(one.x),
            one.high or [math.nan] * len(one.x),
            strict=True,
        )
    ]


def same(found, wanted):
    """Whether rows of names and numbers are the same, in whatever order."""
    assert len(found) == len(wanted)
    for one, other in zip(sorted(found, key=str), sorted(wanted, key=str), strict=True):
        assert one[0] == other[0]
        assert one[1:] == pytest.approx(other[1:], nan_ok=True)


TIMES = {"rnn": 2.0, "gru": 1.0, "lstm": 1.5, "irnn": 1e6}


def test_multipliers_are_relative_to_the_one_that_needs_the_fewest(tmp_path):
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
    same(numbers_of(panel, "x"), [*wanted, ("gru", 1.0, 1.0, math.nan, math.nan)])
    found = {series.architecture: series.x for series in panel.series}
    assert found["rnn"] == [pytest.approx(2)] and found["lstm"] == [pytest.approx(1.5)]
    assert "irnn" not in found  # reaches what no other does, and is a row all the same


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


def test_capacity_at_all_depths_together_comes_first(tmp_path):
    def ends(cell, chance):
        return [stored(cell, {"rnn": 2.0, "gru": 4.0}[cell.architecture.label])]

    task = {"name": "perceptron_capacity", "options": {"size": 4, "length": 2}}
    folder = filled(tmp_path, ends, tasks=[task], depths=[1, 2], budgets=[1000, 4000])
    figure, _ = figure_of(folder.study, "parameter_multiplier", tables.parameter_multiplier)
    titles = [panel.title.partition("), ")[2] for panel in figure.panels]
    assert titles == [f"{one}: to equal gru" for one in ("all depths", "depth 1", "depth 2")]
    for panel in figure.panels:
        assert {one.architecture: one.x for one in panel.series} == {
            "rnn": [pytest.approx(2)],
            "gru": [1.0],
        }


@pytest.fixture(scope="module")
def capacity(tmp_path_factory):
    """Searched nonlinearities and options, and three numbers of unrolled steps."""

    def ends(cell, chance):
        rate = 4 - 2 / cell.task.options["length"]
        relu = ["relu", "tanh"] * (TRIALS // 2)
        return [
            stored(cell, rate * share, one)
            for share, one in zip(chance.random(TRIALS), relu, strict=True)
        ]

    options = [{"name": "gru", "options": {"nonlinearity": one}} for one in ("tanh", "relu")]
    tasks = [
        {"name": "perceptron_capacity", "options": {"size": 4, "length": n}} for n in (5, 1, 3)
    ]
    changes = {"tasks": tasks, "budgets": [1000, 2000]}
    folder = filled(
        tmp_path_factory.mktemp("capacity"), ends, architectures=["rnn", *options], **changes
    )
    return folder.study


def test_relu_is_drawn_against_all_else(capacity):
    figure, tidy = figure_of(capacity, "capacity_relu", tables.capacity_effects)
    rows = tidy[tidy["effect"] == "relu"]
    without, with_relu = "bits_per_parameter_without", "bits_per_parameter_with"
    for panel in figure.panels:
        assert panel.diagonal
        of_task = rows[rows["task"] == panel.title].to_dict("records")
        wanted = [
            (
                *(row["architecture"], row[without], row[with_relu]),
                *(row[limit] * row[without] for limit in ("low", "high")),
            )
            for row in of_task
        ]
        assert len(wanted) == 4
        same(numbers_of(panel, "y"), wanted)
    assert rows["low"].notna().sum() == 6  # of the option: the search has no limits


def test_steps_are_drawn_from_the_fewest_on(capacity):
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
            of_it = rows[(rows["budget"] == budget) & (rows["architecture"] == series.architecture)]
            first = [math.nan, *(of_it["low"] * series.y[0])]
            assert series.low == pytest.approx(first, nan_ok=True)
        assert len(panel.series) == 3


STRENGTHS = [
    *(wcrnn(alpha=alpha) for alpha in (0.9, 1.0, 0.8)),
    *(wcrnn(residual="heterogeneous", epsilon=epsilon) for epsilon in (0.05, 0.2)),
    *(wcrnn(residual="rotational", omega=w, form=form) for w in (0.03, 0.6) for form in "AB"),
]


def test_lines_over_a_strength_are_those_of_the_table(tmp_path):
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
            found = numbers_of(panel, "y")
            drawn += [(one.architecture, strength) for one in panel.series]
            for kind, value, y, low, high in found:
                (row,) = rows[
                    (rows["value"] == value)
                    & (rows["residual"] == kind.partition("(")[0])
                    & (rows["form"] == kind[-2] if kind.endswith(")") else True)
                ].to_dict("records")
                width = row[f"{column}_deviation"]
                bottom = y - width if y > width else y
                assert (y, low, high) == pytest.approx((row[column], bottom, y + width))
            assert len(found) == len(rows)
            architectures = {
                trial: study.best(trial.rpartition("_")[0])["trial"]
                for one in panel.series
                for _, trial in one.trials
            }
            assert len(architectures) == len(rows)
            assert all(trial == best for trial, best in architectures.items())
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

    folder = filled(tmp_path, ends, architectures=NETWORKS, tasks=[MEMORY], depths=[1, 2])
    figure, tidy = figure_of(folder.study, "depth_nonlinearity", tables.depth_nonlinearity)
    drawn = 0
    for panel in figure.panels:
        layers = int(panel.title.partition("depth ")[2][0])
        change = panel.title.rpartition(", ")[2]
        rows = tidy[(tidy["depth"] == layers) & (tidy["change"] == change)].to_dict("records")
        drawn += len(rows)
        assert panel.rows == tuple(f"{row['to']}\nover {row['from']}" for row in rows)
        wanted = [
            (row["to"], row["ratio"], place, row["low"], row["high"])
            for place, row in enumerate(rows)
        ]
        same(numbers_of(panel, "x"), wanted)
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
    found = [
        (trial, x)
        for one in panel.series
        if one.faint
        for x, (_, trial) in zip(one.x, one.trials, strict=True)
    ]
    assert sorted(found) == reruns
    means = {one.architecture: (*one.x, *one.low, *one.high) for one in panel.series if one.low}
    for architecture, *wanted in second.sql(
        "select architecture, avg(evaluation_loss), min(evaluation_loss), max(evaluation_loss) "
        "from trials where outcome = 'completed' group by 1"
    ):
        assert means.pop(architecture) == pytest.approx(tuple(wanted))
    assert not means


def test_figures_of_an_earlier_report_go_and_other_files_stay(tmp_path):
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


def test_without_tables_there_is_what_the_trials_alone_show(tmp_path):
    folder = filled(tmp_path, lambda cell, chance: [completed(0.5, 0.5)])
    assert [figure.name for figure in draw(folder.study, {})] == ["distribution"]
