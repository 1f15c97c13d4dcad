"""All residual families beside other architectures, and what their strengths do."""

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.views.study.study import CELL, StudiedCell, Study, mean_and_deviation
from orchestrator.views.tables.published_numbers import published
from orchestrator.views.tables.residuals import STEPS, quantity_values, reached, unreported
from orchestrator.views.tables.table import NOTHING, Table, behind, metric_text, number, spread
from trainables.architectures import check_options

FAMILIES = ("wcrnn", "elman", "s4d")  # without one of them on a task this is no such comparison
STRENGTHS = ("alpha", "epsilon", "omega", "gamma")
_OPTIONS = ("residual", "form", "nonlinearity", *STRENGTHS)
_USED = {  # what a residual's strength means something to
    "epsilon": ("heterogeneous", "informed"),
    "omega": ("rotational", "informed"),
}
_CONTEXT = {"s4d": "s4"}  # what the papers give is S4 itself
_PAPERS_TASKS = {"scifar10": "scifar10_grey"}


def residual_families(study: Study) -> Table:
    """Table 2 of the fading-memory paper: residual families, Elman's, LSTM and S4D on each task.

    The best configuration of each cell by validation: the metric on the evaluation set, mean and
    deviation over its networks, and the steps to the minimal performance, as in ``residuals``.
    Published numbers are of other models on the same task, from the S4 paper and the Long Range
    Arena, for context: they are larger networks.
    """
    tasks = {
        cell.task for cell in study.cells if cell.definition["architecture"]["name"] in FAMILIES
    }
    tidy = pd.DataFrame([_row(study, cell) for cell in study.cells if cell.task in tasks])
    shown = pd.DataFrame([_shown(row) for row in tidy.to_dict("records")])
    empty = int(tidy["metric"].isna().sum()) if len(tidy) else 0
    return Table(
        name="residual_families",
        title="Residual families and other networks",
        tidy=tidy,
        shown=shown,
        index=len(CELL),
        notes=(
            "Mean and deviation over the networks of the best configuration by validation; steps "
            "to the minimal performance ('>=': not all networks reached it). Published: another, "
            "larger model on the same task, for context.",
            *([f"'-': no trial of the cell completed ({empty} cells)."] if empty else []),
            *unreported(study, [cell.id for cell in study.cells if cell.task in tasks]),
        ),
    )


def residual_dependence(study: Study) -> Table:
    """Figures 3 to 6 of the fading-memory paper: what follows from a residual's strength.

    Cells of weakly coupled networks that differ in one strength alone (alpha, epsilon, omega or
    gamma), in the order of its values; a range counts with its middle.
    """
    rows: list[dict[Hashable, Any]] = []
    families = residual_families(study).tidy
    if len(families):
        coupled = families[families["residual"].notna() & families["alpha"].notna()]
        for varied in STRENGTHS:
            same = [*(name for name in _OPTIONS if name != varied), "task", "depth", "budget"]
            for _, group in coupled.dropna(subset=varied).groupby(
                [*same, "others"], dropna=False, sort=False
            ):
                if group[varied].nunique() > 1:
                    ordered = group.sort_values(varied)
                    ordered = ordered.assign(varied=varied, value=ordered[varied])
                    rows += ordered.to_dict("records")
    tidy = pd.DataFrame(rows)
    shown = pd.DataFrame(
        [
            {
                **{name: row[name] for name in ("task", "depth", "budget", "residual", "form")},
                "varied": row["varied"],
                "value": number(row["value"]),
                **_measures(row),
                "trials": behind(row),
            }
            for row in rows
        ]
    )
    return Table(
        name="residual_dependence",
        title="What follows from the strength of a residual",
        tidy=tidy,
        shown=shown,
        index=7,
        notes=("Cells that differ in one strength alone; a range counts with its middle.",),
    )


def _row(study: Study, cell: StudiedCell) -> dict[str, Any]:
    architecture = cell.definition["architecture"]
    metric = study.task(cell.id).metric_name
    mean, deviation, networks = mean_and_deviation(quantity_values(study, cell.id, metric))
    steps, steps_deviation, _ = mean_and_deviation(quantity_values(study, cell.id, STEPS))
    model, value = _published(study, cell)
    return {
        **cell.place,
        "parameters": cell.parameters,
        **_options(architecture),
        "metric_name": metric,
        "metric": mean,
        "metric_deviation": deviation,
        STEPS: steps,
        f"{STEPS}_deviation": steps_deviation,
        "reached": reached(study, cell.id),
        "networks": networks,
        "completed": cell.completed,
        "stopped": cell.stopped,
        "infeasible": cell.infeasible,
        "published_model": model,
        "published": value,
    }


def _options(architecture: dict[str, Any]) -> dict[str, Any]:
    """The residual and its strengths, where the architecture has one and it uses them."""
    found: dict[str, Any] = dict.fromkeys(_OPTIONS)
    found |= dict.fromkeys(STRENGTHS, np.nan)
    found["others"] = None
    if architecture["name"] == "elman":
        found["residual"] = check_options("elman", architecture["options"]).residual
    if architecture["name"] != "wcrnn":
        return found
    options = check_options("wcrnn", architecture["options"])
    for name in _OPTIONS:
        value = getattr(options, name)
        if options.residual in _USED.get(name, (options.residual,)):
            found[name] = float(np.mean(value)) if name in STRENGTHS else value
    wide = [name for name in ("omega", "gamma") if isinstance(getattr(options, name), tuple)]
    found["others"] = f"{options.act} {options.skip} {options.alpha_per} {' '.join(wide)}".strip()
    return found


def _published(study: Study, cell: StudiedCell) -> tuple[str | None, float]:
    paper = published("context_results")
    task = study.papers_task(cell.id)
    name = cell.definition["architecture"]["name"]
    model = _CONTEXT.get(name, name)
    match = paper[
        (paper["task"] == _PAPERS_TASKS.get(task, task))
        & (paper["model"] == model)
        & (paper["metric"] == "accuracy_percent")
    ]
    return (model, float(match["value"].iloc[0]) / 100) if len(match) else (None, np.nan)


def _measures(row: dict[Any, Any]) -> dict[str, str]:
    """Metric and steps as text, each with its deviation."""
    metric, steps = [
        spread(text, row[name], row[f"{name}_deviation"])
        for name, text in (
            ("metric", lambda value: metric_text(row["metric_name"], value)),
            (STEPS, number),
        )
    ]
    if row["reached"] < row["networks"] and not np.isnan(
        row[STEPS]
    ):  # what lies beyond is not known: no deviation
        steps = f">= {number(row[STEPS])} ({row['reached']} of {row['networks']})"
    return {"metric": f"{metric} {row['metric_name']}", "steps": steps}


def _shown(row: dict[Any, Any]) -> dict[str, Any]:
    place = {name: row[name] for name in CELL}
    if np.isnan(row["metric"]):
        nothing = dict.fromkeys(("metric", "steps", "published"), NOTHING)
        return {**place, **nothing, "trials": behind(row)}
    known = not np.isnan(row["published"])
    return {
        **place,
        **_measures(row),
        "published": (
            f"{metric_text('accuracy', row['published'])} ({row['published_model']})"
            if known
            else NOTHING
        ),
        "trials": behind(row),
    }
