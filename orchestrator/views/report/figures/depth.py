"""Loss against depth at equal parameters."""

from collections.abc import Mapping

from orchestrator.views.report.figure import Axis, Figure, Panel
from orchestrator.views.report.figures.places import (
    best_trials,
    by_panel,
    lines,
    spread,
    with_limits,
)
from orchestrator.views.tables import Study, Table

CAPTION = (
    "Evaluation loss of each cell's best completed trial by validation, against the number of "
    "layers at the same number of parameters; bars are the deviation over its networks."
)


def depth(study: Study, tables: Mapping[str, Table]) -> Figure | None:
    """What depth brings at equal parameters; nothing where all cells are as deep."""
    if not {"depth", "parameter_matched"} <= set(tables):
        return None
    tidy = tables["parameter_matched"].tidy
    there = tidy[tidy["trial"].notna()]
    there = with_limits(there, "evaluation_loss", "evaluation_loss_deviation")
    trials, order = best_trials(study), study.architectures
    panels = tuple(
        Panel(title, lines(group, order, "depth", "evaluation_loss", ("low", "high"), trials))
        for title, group in by_panel(there, ["task", "budget"])
        if group["depth"].nunique() > 1
    )
    return Figure(
        name="depth",
        title="Loss against depth",
        caption=CAPTION,
        x=Axis("layers", whole=True),
        y=Axis("evaluation loss", log=spread(there["evaluation_loss"])),
        panels=panels,
        source="depth paper",
    )
