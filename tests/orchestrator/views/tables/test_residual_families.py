"""Compares residual families with other networks, and their strengths with each other."""

import math

import numpy as np
import pytest

from orchestrator.views.tables.learning_steps import STEPS
from orchestrator.views.tables.residual_families import residual_dependence, residual_families
from tests.support.studies import MEMORY, PARENTHESES, Folder, completed, infeasible, wcrnn

FAMILIES = [
    wcrnn(),
    wcrnn(residual="heterogeneous", epsilon=0.2),
    wcrnn(residual="rotational"),
    wcrnn(residual="rotational", omega=[0.1, 0.3]),
    wcrnn(residual="orthogonal", form="B"),
    "elman",
    {"name": "elman", "options": {"residual": "identity"}},
    "lstm",
    "s4d",
]


def filled(results, architectures, **changes):
    folder = Folder.of(results, architectures=architectures, search={"samples": 1}, **changes)
    rows = {}
    for number, trial in enumerate(folder.plan.trials()):
        metrics = [0.1 * (number + 1), 0.1 * (number + 2)]
        reports = [
            {"step": step, "lane_validation_metrics": [value, None]}
            for step, value in ((4, 0.0), (8, 0.99), (12, 0.0), (16, 1.0))
        ]
        rows[trial.id] = completed(0.5, 0.5, metrics=metrics, reports=reports)
    folder.write(rows)
    return folder


def test_every_family_has_a_row_with_its_options(tmp_path):
    folder = filled(tmp_path, FAMILIES)
    tidy = residual_families(folder.study).tidy
    assert len(tidy) == len(FAMILIES)
    means = [0.1 * (number + 1.5) for number in range(len(FAMILIES))]
    assert tidy["metric"].tolist() == pytest.approx(means)
    assert tidy["metric_deviation"].tolist() == pytest.approx([0.1 / math.sqrt(2)] * len(tidy))
    # One network reached the threshold, half-way from a constant answer to perfection, at step
    # 8; the other one never did.
    assert set(tidy[STEPS]) == {(8 + 16) / 2} and set(tidy["reached"]) == {1}
    residuals = ["scaled", "heterogeneous", "rotational", "rotational", "orthogonal"]
    shown = [None if x is None or x != x else x for x in tidy["residual"]]
    assert shown == [*residuals, "none", "identity", None, None]
    missing = math.nan
    frequency = 2 * math.pi / 28
    wanted = [missing, missing, frequency, 0.2, missing]
    np.testing.assert_allclose(tidy["omega"][:5], wanted)
    np.testing.assert_allclose(tidy["epsilon"][:5], [missing, 0.2, missing, missing, missing])
    assert tidy["alpha"][5:].isna().all()


def test_networks_with_and_without_clipping_have_rows_of_their_own(tmp_path):
    """The paper's Table 2 has a row of Elman networks whose gradients are clipped."""
    search = {"samples": 12, "space": {"clip_norm": [math.inf, 1.0]}}
    folder = Folder.of(tmp_path, architectures=["elman", wcrnn()], tasks=[MEMORY], search=search)
    best, rows = {}, {}
    for trial in folder.plan.trials():
        label, norm = trial.cell.architecture.label, trial.definition["configuration"]["clip_norm"]
        if label == "wcrnn" and norm == "none":
            continue  # without a trial that clips nothing it has one row
        loss = (trial.index * 5 % 12) / 10
        reports = [
            {"step": step, "lane_validation_metrics": [0.1 if step > 4 * loss + 4 else 0.9] * 2}
            for step in (4, 8, 12, 16)
        ]
        rows[trial.id] = completed(loss, loss, metrics=[loss, loss + 0.2], reports=reports)
        best.setdefault((label, norm), []).append(loss)
    folder.write(rows)
    table = residual_families(folder.study)
    unclipped, clipped, other = table.tidy.to_dict("records")
    for row, norm, number in ((unclipped, "none", math.inf), (clipped, 1.0, 1.0)):
        losses = best["elman", norm]
        assert len(losses) > 1
        assert (row["clipped"], row["clip_norm"]) == (norm != "none", number)
        assert row["metric"] == pytest.approx(min(losses) + 0.1)
        assert row["completed"] == len(losses)
        assert row[STEPS] == (8 if min(losses) < 1 else 12)
    assert other["clipped"] is None and other["clip_norm"] == 1
    assert [*table.shown["clipped at"]] == ["never", "1", "1"]
    assert {unclipped["trial"], clipped["trial"]} > {
        folder.study.best(folder.plan.cells[0].id)["trial"]
    }


def test_without_a_residual_network_the_residual_tables_are_empty(tmp_path):
    assert residual_families(filled(tmp_path, ["rnn", "lstm"]).study).tidy.empty
    assert residual_dependence(filled(tmp_path / "b", ["rnn", "lstm"]).study).tidy.empty


def test_a_cell_without_a_completed_trial_is_a_dash_with_its_reason(tmp_path):
    folder = Folder.of(tmp_path, architectures=[wcrnn(), "lstm"])
    folder.fill("wcrnn", infeasible())
    table = residual_families(folder.study)
    assert table.shown["metric"].tolist() == ["-", "-"]
    assert any("no trial of the cell completed (2 cells)" in note for note in table.notes)


def test_published_numbers_stand_beside_the_papers_tasks(tmp_path):
    folder = filled(tmp_path, ["lstm", "ur_lstm", "s4d", wcrnn()], tasks=["smnist"])
    tidy = residual_families(folder.study).tidy
    assert tidy["published"].tolist()[:3] == pytest.approx([0.989, 0.9928, 0.9963])
    assert tidy["published_model"].tolist()[:3] == ["lstm", "ur_lstm", "s4"]
    assert math.isnan(tidy["published"][3])


def test_strengths_are_compared_where_nothing_else_differs(tmp_path):
    architectures = [
        *(wcrnn(alpha=alpha) for alpha in (0.9, 1.0, 0.8)),
        *(wcrnn(residual="heterogeneous", epsilon=epsilon) for epsilon in (0.05, 0.2)),
        wcrnn(residual="rotational", omega=0.3),
        wcrnn(residual="rotational", omega=0.3, form="A"),
    ]
    folder = filled(tmp_path, architectures, tasks=[MEMORY, PARENTHESES])
    tidy = residual_dependence(folder.study).tidy
    assert set(zip(tidy["varied"], tidy["residual"], strict=True)) == {
        ("alpha", "scaled"),
        ("epsilon", "heterogeneous"),
    }
    scaled = tidy[(tidy["varied"] == "alpha") & tidy["task"].str.startswith("memory")]
    assert scaled["value"].tolist() == [0.8, 0.9, 1.0]
    families = residual_families(folder.study).tidy
    for row in scaled.to_dict("records"):
        (family,) = families[
            (families["alpha"] == row["value"])
            & (families["residual"] == "scaled")
            & (families["task"] == row["task"])
        ].to_dict("records")
        assert row["metric"] == family["metric"]
