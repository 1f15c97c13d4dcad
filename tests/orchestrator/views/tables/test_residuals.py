"""Compares Table 1 of the fading-memory paper, as rebuilt, with results computed by hand."""

import math
from importlib import import_module
from itertools import combinations

import pandas as pd
import pytest

from orchestrator.labels import make_label
from orchestrator.views.study.study import Study
from orchestrator.views.tables.learning_steps import STEPS
from orchestrator.views.tables.published_numbers import published
from orchestrator.views.tables.residuals import residuals
from tests.support.studies import PARENTHESES, Folder, completed, infeasible, wcrnn

HOMOGENEOUS = [
    wcrnn(alpha=0.9),
    wcrnn(alpha=0.95, gamma=0.1),
    wcrnn(residual="rotational", omega=0.2),
    wcrnn(residual="heterogeneous", epsilon=0.0),
    wcrnn(residual="informed", epsilon=0.0, omega=0.3),
]
INFORMED = [wcrnn(residual="informed", omega=[0.1, 0.4], gamma=[0.01, 0.1], epsilon=0.01)]
NEITHER = [
    "rnn",
    wcrnn(residual="heterogeneous"),
    wcrnn(residual="orthogonal"),
    wcrnn(residual="rotational", omega=[0.1, 0.4]),
    wcrnn(gamma=[0.01, 0.1]),
    wcrnn(form="A"),
    wcrnn(form="B"),
    wcrnn(nonlinearity="identity"),
    wcrnn(residual="informed", form="A"),
]


def reports(*steps):
    """Return reports after 4, 8, 12 and 16 steps of networks that learned at these steps."""
    return [
        {"step": step, "lane_validation_metrics": [float(step >= learned) for learned in steps]}
        for step in (4, 8, 12, 16)
    ]


def ends_of(*trials):
    """Return completed trials from (objective, metrics, steps) and infeasible ones from None."""
    return [
        infeasible()
        if trial is None
        else completed(trial[0], 0.5, metrics=[*trial[1]], reports=reports(*trial[2]))
        for trial in trials
    ]


def table_of(tmp_path, ends, architectures=None, task=PARENTHESES):
    architectures = architectures or [*HOMOGENEOUS, *INFORMED, *NEITHER]
    folder = Folder.of(tmp_path, architectures=architectures, tasks=[task])
    for cell in folder.plan.cells:
        options = cell.architecture.label
        folder.fill(options, *ends(options))
    return residuals(Study(folder.paths))


def test_the_best_of_all_homogeneous_cells_stands_against_the_best_informed_one(tmp_path):
    good = {
        "wcrnn(alpha=0.95, gamma=0.1)": ((0.2, (0.8, 0.9), (8, 12)), (0.9, (0.5, 0.6), (16, 16))),
        "wcrnn(omega=0.2, residual=rotational)": ((0.3, (0.6, 0.8), (12, 16)), None),
    }

    def ends(label):
        if "epsilon=0.01" in label:
            return ends_of((0.1, (0.9, 0.95), (4, 8)), (0.4, (0.1, 0.1), (16, 16)))
        if label in good:
            return ends_of(*good[label])
        others = [HOMOGENEOUS[0], *HOMOGENEOUS[3:]]
        if label in [make_label(other["name"], other["options"]) for other in others]:
            return ends_of((0.8, (0.4, 0.4), (16, 16)))
        return ends_of((0.01, (1.0, 1.0), (4, 4)))  # the best, if cells of neither kind counted

    table = table_of(tmp_path, ends)
    accuracy, steps = table.tidy.to_dict("records")
    assert accuracy["homogeneous_best"] == "wcrnn(alpha=0.95, gamma=0.1)"
    assert (accuracy["homogeneous"], accuracy["informed"]) == (
        pytest.approx(0.85),
        pytest.approx(0.925),
    )
    assert (accuracy["homogeneous_cells"], accuracy["informed_cells"]) == (5, 1)
    assert (accuracy["homogeneous_trials"], accuracy["informed_trials"]) == (7, 2)
    assert (steps["homogeneous"], steps["homogeneous_from"], steps["informed"]) == (10, 6, 6)
    assert steps["difference"] == -4 and accuracy["difference"] == pytest.approx(0.075)
    # All pairs of seven homogeneous trials, of which one is infeasible.
    trials = [(0.2, 0.85, 10), (0.3, 0.7, 14), (0.9, 0.55, 16), *[(0.8, 0.4, 16)] * 3]
    best = [min(pair) for pair in combinations([*trials, (math.inf, 0, 0)], 2)]
    assert accuracy["effort"] == 2
    assert accuracy["homogeneous_expected"] == pytest.approx(sum(b[1] for b in best) / len(best))
    assert steps["homogeneous_expected"] == pytest.approx(sum(b[2] for b in best) / len(best))
    assert accuracy["informed_expected"] == accuracy["informed"]
    (first, second) = table.shown.to_dict("records")
    assert (first["trials"], first["best homogeneous"]) == ("7 / 2", "wcrnn(alpha=0.95, gamma=0.1)")
    assert second["homogeneous"] == "10 ± 2.83 (6 to 10)"


def test_expected_steps_are_a_lower_bound_where_a_counted_network_never_learned(tmp_path):
    def ends(label):
        never = (0.5, (0.4, 0.4), (99, 4))
        return ends_of((0.1, (0.9, 0.9), (4, 4))) * (1 if "informed" in label else 2) + (
            [] if "informed" in label else ends_of(never)
        )

    table = table_of(tmp_path, ends, [HOMOGENEOUS[0], *INFORMED])
    _, steps = table.shown.to_dict("records")
    # Of the sets of one trial of three, one is the trial of which a network never learned.
    assert steps["at equal effort"] == f">= {(4 + 4 + 10) / 3:g} / 4 (of 1)"


def test_without_an_informed_cell_there_is_no_row(tmp_path):
    table = table_of(tmp_path, lambda label: ends_of((0.1, (0.9, 0.9), (4, 4))), HOMOGENEOUS)
    assert table.tidy.empty and table.shown.empty


def test_a_kind_without_a_completed_trial_is_a_dash(tmp_path):
    def ends(label):
        return ends_of(None if "informed" in label else (0.1, (0.9, 0.9), (4, 4)))

    table = table_of(tmp_path, ends, [HOMOGENEOUS[0], *INFORMED])
    assert [*table.shown["informed"]] == [*table.shown["difference"]] == ["-", "-"]
    assert [*table.shown["homogeneous"]] == ["90.0 % ± 0.0 %", "4 ± 0 (0 to 4)"]


def test_a_kind_of_which_no_trial_has_ended_is_a_dash(tmp_path):
    def ends(label):
        return [] if "informed" in label else ends_of((0.1, (0.9, 0.9), (4, 4)))

    table = table_of(tmp_path, ends, [HOMOGENEOUS[0], *INFORMED])
    assert [*table.shown["informed"]] == [*table.shown["difference"]] == ["-", "-"]
    assert [*table.tidy["effort"]] == [0, 0]


def test_published_numbers_stand_beside_those_of_the_same_task(tmp_path, monkeypatch):
    rows = [
        ["parentheses", "accuracy_percent", 96.05, 98.22],
        ["parentheses", "iterations_to_minimal_performance", 2076, 1038],
        ["memory", "rms", 0.1, 0.2],
    ]
    columns = ["task", "metric", "homogeneous", "heterogeneous"]
    module = import_module(residuals.__module__)
    monkeypatch.setattr(module, "published", lambda name: pd.DataFrame(rows, columns=columns))
    pair = [HOMOGENEOUS[0], *INFORMED]

    def ends(label):
        return [completed(0.1, 0.1)]

    table = table_of(tmp_path / "175", ends, pair, task="parentheses")
    accuracy, steps = table.tidy.to_dict("records")
    assert (accuracy["published_homogeneous"], accuracy["published_informed"]) == (
        pytest.approx(0.9605),
        pytest.approx(0.9822),
    )
    assert (steps["published_homogeneous"], steps["published_informed"]) == (2076, 1038)
    assert [*table.shown["published"]] == ["96.0 % / 98.2 %", "2076 / 1038"]
    shorter = table_of(tmp_path / "6", ends, pair)
    assert [*shorter.shown["published"]] == ["-", "-"]


def test_the_published_numbers_of_psmnist_are_those_of_the_paper():
    paper = published("fading_memory_table1").set_index(["task", "metric"])
    assert paper.loc[("psmnist", "accuracy_percent")].tolist() == [92.66, 95.37]
    assert paper.loc[("psmnist", "iterations_to_minimal_performance")].tolist() == [2076, 1038]
    assert paper.index.is_unique


@pytest.mark.parametrize(("length", "paper"), [(100, (9298.0, 8698.0)), (60, None)])
def test_published_steps_stand_beside_adding_problems_of_the_papers_lengths_alone(
    tmp_path, length, paper
):
    task = {"name": "adding", "options": {"length": length}}
    table = table_of(
        tmp_path, lambda label: [completed(0.1, 0.1)], [HOMOGENEOUS[0], *INFORMED], task
    )
    tidy = table.tidy.set_index("quantity")
    row = tidy.loc[STEPS]
    published_steps = (row["published_homogeneous"], row["published_informed"])
    assert published_steps == paper if paper else all(map(math.isnan, published_steps))
