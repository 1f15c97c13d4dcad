"""Writes the summary of a report: what was compared and what came out, in words and numbers."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from orchestrator.views.study.searches import measure_name, more_is_better
from orchestrator.views.study.study import OUTCOME_COLUMNS, StudiedCell, Study
from orchestrator.views.tables import Table
from orchestrator.views.tables.table import metric_text, number, percent


def headline_counts(study: Study) -> list[tuple[str, str]]:
    """Return the numbers that the page shows in large type, each with the noun that it counts."""
    trials = pd.concat([study.trials, study.repetitions], ignore_index=True)
    outcomes = trials["outcome"].value_counts()
    return [
        (f"{len(study.all_cells):,}", "cells"),
        (f"{len(trials):,}", "trials"),
        *((f"{outcomes.get(outcome, 0):,}", outcome) for outcome in OUTCOME_COLUMNS),
        (number(trials["seconds"].sum() / 3600), "hours of training"),
    ]


def sentences(study: Study, tables: Mapping[str, Table]) -> list[str]:
    """Return the sentences of the summary.

    They say what was compared, what the best result on each task is, with which architectures
    training failed most and least often, and how many published shares agree with the measured
    ones.

    Args:
        study: cells and trials of the sweeps.
        tables: tables that have rows, by name.
    """
    lines = [_compared(study)]
    if "parameter_matched" in tables:
        lines += _best(study, tables["parameter_matched"].tidy)
    lines += _infeasible(study)
    if "infeasible" in tables:
        lines += _published(tables["infeasible"].tidy)
    return lines


def listed(words: Sequence[str]) -> str:
    """Join words as a sentence does: a, b and c."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def plural(count: int, noun: str) -> str:
    """Return a count with its noun, which gets an ``s`` unless the count is 1."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _compared(study: Study) -> str:
    cells = study.all_cells
    depths = sorted({cell.depth for cell in cells})
    tasks = list(dict.fromkeys(cell.task for cell in cells))
    budgets = sorted({cell.budget for cell in cells})
    sizes = f"at most {budgets[0]:,}"
    if len(budgets) > 1:
        sizes = f"budgets of {budgets[0]:,} to {budgets[-1]:,}"
    architectures = plural(len({cell.architecture for cell in cells}), "architecture")
    return (
        f"{architectures} at {'depth' if len(depths) == 1 else 'depths'} "
        f"{listed([str(depth) for depth in depths])} with {sizes} parameters, on "
        f"{listed(tasks)}."
    )


def _best(study: Study, tidy: pd.DataFrame) -> list[str]:
    """Say the lowest loss of each task, or the best metric where cells are judged by that."""
    judged = {cell.task: cell for cell in study.cells if measure_name(study, cell) != "loss"}
    lines = []
    for task, group in tidy.groupby("task", sort=False):
        if task in judged:
            lines.append(_best_metric(study, judged[str(task)], group))
            continue
        losses = group["evaluation_loss"]
        if losses.notna().sum() == 0:
            lines.append(f"On {task} no trial completed with a loss.")
            continue
        best = group.iloc[int(losses.argmin())]
        lines.append(
            f"On {task} the lowest evaluation loss is {number(best['evaluation_loss'])} "
            f"({best['metric']} {metric_text(best['metric'], best['evaluation_metric'])}), of "
            f"{best['architecture']} at depth {best['depth']} with {best['parameters']:,} "
            f"parameters; without looking at the input it is {number(best['baseline_loss'])}."
        )
    return lines


def _best_metric(study: Study, cell: StudiedCell, group: pd.DataFrame) -> str:
    values, name = group["evaluation_metric"], measure_name(study, cell)
    if values.notna().sum() == 0:
        return f"On {cell.task} no trial completed with a number."
    best = group.iloc[int(values.argmax() if more_is_better(study, cell) else values.argmin())]
    return (
        f"On {cell.task} the best is {metric_text(name, best['evaluation_metric'])} ({name}), of "
        f"{best['architecture']} at depth {best['depth']} with {best['parameters']:,} parameters."
    )


def _infeasible(study: Study) -> list[str]:
    """Say which architectures diverged most and least often, over all cells of each one."""
    cells = [
        {
            "architecture": cell.architecture,
            "decided": cell.completed + cell.stopped + cell.infeasible,
            "infeasible": cell.infeasible,
            "stopped": cell.stopped,
        }
        for cell in study.cells
    ]
    if not any(cell["decided"] for cell in cells):
        return []
    frame = pd.DataFrame(cells).groupby("architecture", sort=False).sum()
    frame = frame[frame["decided"] > 0]
    if frame["infeasible"].sum() == 0:
        return ["No trial was infeasible."]
    share = frame["infeasible"] / frame["decided"]
    if len(frame) == 1:
        return [f"{percent(share.iloc[0])} of its trials were infeasible."]
    ends = []
    for end in (share.max(), share.min()):
        names = [str(name) for name in share.index[share == end]]
        ends.append(f"{listed(names)} ({percent(end)} of {'their' if names[1:] else 'its'} trials)")
    sentence = f"Training failed most often with {ends[0]} and least often with {ends[1]}"
    if stopped := int(frame["stopped"].sum()):
        sentence += f"; {plural(stopped, 'trial')} more were stopped early and are undetermined"
    return [f"{sentence}."]


def _published(tidy: pd.DataFrame) -> list[str]:
    both = tidy[tidy["published_share"].notna() & tidy["share"].notna()]
    if both.empty:
        return []
    within = both["published_share"].between(both["wilson_low"], both["wilson_high"])
    return [
        f"Of {plural(len(both), 'published share')} of infeasible trials that can be compared, "
        f"{int(np.sum(within))} lie within the limits measured here."
    ]
