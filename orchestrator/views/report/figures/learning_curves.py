"""Draws learning curves of weakly coupled networks that differ in one strength of a residual."""

from collections.abc import Mapping

import pandas as pd

from orchestrator.views.report.figure import Axis, Figure, Panel, Series
from orchestrator.views.report.figures.places import best_trial_ids, trials_of
from orchestrator.views.report.figures.strengths import by_strength, lines_by_panel, settings_of
from orchestrator.views.report.thinning import evenly
from orchestrator.views.study.study import CELL, Study
from orchestrator.views.tables import Table

MOST_POINTS = 100  # of a curve


def learning_curves(study: Study, tables: Mapping[str, Table]) -> Figure | None:
    """Draw metric against training step (Figures 3A, 4, 5A and 6 of the fading-memory paper).

    Returns None without the table ``residual_families``, or if no cells differ in one strength
    alone.
    """
    if "residual_families" not in tables:
        return None
    families = tables["residual_families"].tidy
    rows = by_strength(families[families["metric"].notna()])
    if rows.empty:
        return None
    trials = best_trial_ids(study)
    cells = {tuple(cell.place.values()): cell.id for cell in study.cells}
    best = [study.best(cells[place]) for place in dict.fromkeys(rows[CELL].itertuples(False, None))]
    reports = study.curves(["evaluation_metric"], pd.DataFrame(best))
    curves = dict(list(reports.groupby(["sweep", "trial"], sort=False)))
    panels = []
    for title, line in lines_by_panel(rows):
        series = []
        for setting, trial in zip(line["setting"], trials_of(line, trials), strict=True):
            if trial in curves:
                curve = curves[trial]
                kept = curve.iloc[evenly(len(curve), MOST_POINTS)]
                series.append(
                    Series(
                        architecture=setting,
                        x=kept["step"].tolist(),
                        y=kept["evaluation_metric"].tolist(),
                        mode="line",
                        trials=[trial] * len(kept),
                    )
                )
        metric = str(line["metric_name"].iloc[0])
        panels.append(Panel(title, tuple(series), y=Axis(metric, share=metric == "accuracy")))
    return Figure(
        name="learning_curves",
        title="Learning curves",
        caption="Metric on the evaluation set at the reports of each cell's best configuration by "
        f"validation, as the mean over its networks. At most {MOST_POINTS} reports of a trial are "
        "drawn, evenly spaced, the first and the last among them.",
        x=Axis("training steps"),
        y=Axis("metric"),
        panels=tuple(panel for panel in panels if panel.series),
        source="fading-memory paper, Figures 3A, 4, 5A and 6",
        kinds=settings_of(rows),
    )
