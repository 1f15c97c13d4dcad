"""Draws the best and the median loss against the number of configurations tried."""

from collections.abc import Mapping

import pandas as pd

from orchestrator.views.report.figure import Axis, Figure, Panel
from orchestrator.views.report.figures.places import by_panel, lines, spread
from orchestrator.views.study.study import Study
from orchestrator.views.tables import Table

CAPTION = (
    "After so many configurations, in the order in which they were tried: the evaluation loss (on "
    "tasks whose objective it is, the metric) of the best by validation so far and the median of "
    "all, in which an infeasible trial is worse than every number: a median line begins or ends "
    "where that is half of them. Expected best: the mean over all sets of so many of the random "
    "configurations, with its 95 % interval. The paper found that on its hardest tasks rnn and "
    "irnn train worst at every depth, that gru is the most trainable at depth 1 and the "
    "intersection network at depth 8."
)


def trainability(study: Study, tables: Mapping[str, Table]) -> Figure | None:
    """Draw trainability (Figure 4 of the capacity paper): best, median and expected best loss.

    Returns None without the table ``trainability``, or if no cell has two trials.
    """
    if "trainability" not in tables:
        return None
    tidy = tables["trainability"].tidy
    by_metric = tidy["objective"] == "metric"
    for kind in ("best", "median"):
        loss, metric = (tidy[f"{kind}_evaluation_{quantity}"] for quantity in ("loss", "metric"))
        tidy = tidy.assign(**{kind: loss.where(~by_metric, metric)})
    if tidy["tried"].max() < 2:
        return None  # A single point is no curve.
    expected = _expected(tables)
    panels = []
    for title, group in by_panel(tidy, ["task", "depth", "budget"]):
        place = group[["task", "depth", "budget"]].iloc[0]
        for kind in ("best", "median"):
            series = lines(group, study.architectures, "tried", kind)
            panels.append(Panel(f"{title}: {kind}", series))
        same = expected[(expected[list(place.index)] == place).all(axis=1)]
        series = lines(same, study.architectures, "tried", "expected", ("low", "high"))
        panels.append(Panel(f"{title}: expected best", series))
    values = pd.concat([tidy["best"], tidy["median"]])
    return Figure(
        name="trainability",
        title="Trainability",
        caption=CAPTION,
        x=Axis("configurations tried", log=True),
        y=Axis("evaluation loss", log=spread(values)),
        panels=tuple(panel for panel in panels if panel.series),
        source="capacity paper, Figure 4",
    )


def _expected(tables: Mapping[str, Table]) -> pd.DataFrame:
    columns = ["task", "depth", "budget", "architecture", "tried", "expected", "low", "high"]
    if "expected_best" not in tables:
        return pd.DataFrame(columns=columns)
    return tables["expected_best"].tidy.drop(columns="tried").rename(columns={"k": "tried"})
