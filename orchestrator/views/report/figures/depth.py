"""Loss against depth at equal parameters."""

from collections.abc import Mapping

from orchestrator.views.report.figure import Axis, Figure, Panel, Series
from orchestrator.views.report.figures.matched import limits, spread
from orchestrator.views.report.figures.places import best_trials, by_panel, places, rows_of
from orchestrator.views.tables import Study, Table

CAPTION = (
    "Evaluation loss of each cell's best completed trial by validation, against the number of "
    "layers at the same number of parameters; bars are the deviation over its networks."
)


def depth(study: Study, tables: Mapping[str, Table]) -> Figure | None:
    """What depth brings at equal parameters; nothing where all cells are as deep."""
    if "parameter_matched" not in tables:
        return None
    tidy = tables["parameter_matched"].tidy
    there = tidy[tidy["trial"].notna()]
    if there["depth"].nunique() < 2:
        return None
    trials, panels = best_trials(study), []
    for title, group in by_panel(there, ["task", "budget"]):
        series = []
        for architecture in rows_of(study.architectures, group):
            rows = group[group["architecture"] == architecture].sort_values("depth")
            low, high = limits(rows, "evaluation_loss", "evaluation_loss_deviation")
            series.append(
                Series(
                    architecture=architecture,
                    x=rows["depth"].tolist(),
                    y=rows["evaluation_loss"].tolist(),
                    low=low,
                    high=high,
                    trials=[trials[place] for place in places(rows)],
                )
            )
        panels.append(Panel(title, tuple(series)))
    return Figure(
        name="depth",
        title="Loss against depth",
        caption=CAPTION,
        x=Axis("layers", whole=True),
        y=Axis("evaluation loss", log=spread(there["evaluation_loss"])),
        panels=tuple(panels),
        source="depth paper",
    )
