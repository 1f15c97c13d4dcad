"""Compares residual families with other architectures, and the strengths of one residual."""

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.views.study.study import CELL, StudiedCell, Study, mean_and_deviation
from orchestrator.views.tables.published_numbers import published
from orchestrator.views.tables.residuals import STEPS, quantity_values, reached, unreported
from orchestrator.views.tables.table import NOTHING, Table, behind, metric_text, number, spread
from trainables.architectures import check_options

FAMILIES = ("wcrnn", "elman", "s4d")  # only tasks with one of these architectures are compared
STRENGTHS = ("alpha", "epsilon", "omega", "gamma")
_OPTIONS = ("residual", "form", "nonlinearity", *STRENGTHS)
_USED = {  # the residuals that use a strength; any residual uses those not listed
    "epsilon": ("heterogeneous", "informed"),
    "omega": ("rotational", "informed"),
}
_CONTEXT = {"s4d": "s4"}  # the papers give results of S4 instead of S4D
_PAPERS_TASKS = {"scifar10": "scifar10_grey"}


def residual_families(study: Study) -> Table:
    """Tabulate residual families, Elman's network, LSTM and S4D on each task (fading-memory paper,
    Table 2).

    There is one row for each cell with the results of its best configuration by validation: the
    metric on the evaluation set, as mean and sample deviation over its networks, and the steps to
    the minimal performance, as in the table ``residuals``. Published numbers give context: they are
    those of larger models on the same task, from the S4 paper and the Long Range Arena.
    """
    tasks = {cell.task for cell in study.cells if cell.record["architecture"]["name"] in FAMILIES}
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
        references=("fading_memory", "s4", "long_range_arena"),
    )


def residual_dependence(study: Study) -> Table:
    """Tabulate metric and steps against residual strength (fading-memory paper, Figures 3 to 6).

    The rows are cells of weakly coupled networks that differ in one strength alone (alpha, epsilon,
    omega or gamma), in the order of its values. A range counts with its middle.
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
        references=("fading_memory",),
    )


def _row(study: Study, cell: StudiedCell) -> dict[str, Any]:
    architecture = cell.record["architecture"]
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
    """Return the residual and the strengths that it uses.

    Options that an architecture does not have are None, unused strengths are nan.
    """
    columns: dict[str, Any] = dict.fromkeys(_OPTIONS)
    columns |= dict.fromkeys(STRENGTHS, np.nan)
    columns["others"] = None
    if architecture["name"] == "elman":
        columns["residual"] = check_options("elman", architecture["options"]).residual
    if architecture["name"] != "wcrnn":
        return columns
    options = check_options("wcrnn", architecture["options"])
    for name in _OPTIONS:
        value = getattr(options, name)
        if options.residual in _USED.get(name, (options.residual,)):
            columns[name] = float(np.mean(value)) if name in STRENGTHS else value
    ranges = [name for name in ("omega", "gamma") if isinstance(getattr(options, name), tuple)]
    others = f"{options.act} {options.skip} {options.alpha_per} {' '.join(ranges)}".strip()
    return columns | {"others": others}


def _published(study: Study, cell: StudiedCell) -> tuple[str | None, float]:
    paper = published("context_results")
    task = study.papers_task(cell.id)
    name = cell.record["architecture"]["name"]
    model = _CONTEXT.get(name, name)
    match = paper[
        (paper["task"] == _PAPERS_TASKS.get(task, task))
        & (paper["model"] == model)
        & (paper["metric"] == "accuracy_percent")
    ]
    return (model, float(match["value"].iloc[0]) / 100) if len(match) else (None, np.nan)


def _measures(row: dict[Any, Any]) -> dict[str, str]:
    """Return metric and steps as text, each with its deviation."""
    metric, steps = [
        spread(text, row[name], row[f"{name}_deviation"])
        for name, text in (
            ("metric", lambda value: metric_text(row["metric_name"], value)),
            (STEPS, number),
        )
    ]
    # The steps of networks that did not reach it are unknown, so there is no deviation.
    if row["reached"] < row["networks"] and not np.isnan(row[STEPS]):
        steps = f">= {number(row[STEPS])} ({row['reached']} of {row['networks']})"
    return {"metric": f"{metric} {row['metric_name']}", "steps": steps}


def _shown(row: dict[Any, Any]) -> dict[str, Any]:
    place = {name: row[name] for name in CELL}
    if np.isnan(row["metric"]):
        nothing = dict.fromkeys(("metric", "steps", "published"), NOTHING)
        return {**place, **nothing, "trials": behind(row)}
    has_published = not np.isnan(row["published"])
    return {
        **place,
        **_measures(row),
        "published": (
            f"{metric_text('accuracy', row['published'])} ({row['published_model']})"
            if has_published
            else NOTHING
        ),
        "trials": behind(row),
    }
