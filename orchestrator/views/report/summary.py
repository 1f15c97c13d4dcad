"""The summary: what was compared and what came out, in words and numbers."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from orchestrator.views.study.searches import measure, more_is_better
from orchestrator.views.study.study import OUTCOME_COLUMNS, StudiedCell, Study
from orchestrator.views.tables import Table
from orchestrator.views.tables.table import metric_text, number, percent


def counts(study: Study) -> list[tuple[str, str]]:
    """What stands in large figures: a number and what it is of."""
    trials = pd.concat([study.trials, study.repetitions], ignore_index=True)
    outcomes = trials["outcome"].value_counts()
    return [
        (f"{len(study.all_cells):,}", "cells"),
        (f"{len(trials):,}", "trials"),
        *((f"{outcomes.get(outcome, 0):,}", outcome) for outcome in OUTCOME_COLUMNS),
        (number(trials["seconds"].sum() / 3600), "hours of training"),
    ]


def sentences(study: Study, tables: Mapping[str, Table]) -> list[str]:
    """What was compared; on each task the lowest loss; where training failed most and least."""
    said = [_compared(study)]
    if "parameter_matched" in tables:
        said += _best(study, tables["parameter_matched"].tidy)
    said += _infeasible(study)
    if "infeasible" in tables:
        said += _published(tables["infeasible"].tidy)
    return said


def listed(words: Sequence[str]) -> str:
    """As in a sentence: a, b and c."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _compared(study: Study) -> str:
    cells = study.all_cells
    depths = sorted({cell.depth for cell in cells})
    tasks = list(dict.fromkeys(cell.task for cell in cells))
    budgets = sorted({cell.budget for cell in cells})
    sizes = f"at most {budgets[0]:,}"
    if len(budgets) > 1:
        sizes = f"budgets of {budgets[0]:,} to {budgets[-1]:,}"
    there = {cell.architecture for cell in cells}
    return (
        f"{plural(len(there), 'architecture')} at {'depth' if len(depths) == 1 else 'depths'} "
        f"{listed([str(depth) for depth in depths])} with {sizes} parameters, on "
        f"{listed(tasks)}."
    )


def _best(study: Study, tidy: pd.DataFrame) -> list[str]:
    """The lowest loss, or the best metric of a task whose cells are judged by that."""
    judged = {cell.task: cell for cell in study.cells if measure(study, cell) != "loss"}
    said = []
    for task, group in tidy.groupby("task", sort=False):
        if task in judged:
            said.append(_best_metric(study, judged[str(task)], group))
            continue
        losses = group["evaluation_loss"]
        if losses.notna().sum() == 0:
            said.append(f"On {task} no trial completed with a loss.")
            continue
        best = group.iloc[int(losses.argmin())]
        said.append(
            f"On {task} the lowest evaluation loss is {number(best['evaluation_loss'])} "
            f"({best['metric']} {metric_text(best['metric'], best['evaluation_metric'])}), of "
            f"{best['architecture']} at depth {best['depth']} with {best['parameters']:,} "
            f"parameters; without looking at the input it is {number(best['baseline_loss'])}."
        )
    return said


def _best_metric(study: Study, cell: StudiedCell, group: pd.DataFrame) -> str:
    values, name = group["evaluation_metric"], measure(study, cell)
    if values.notna().sum() == 0:
        return f"On {cell.task} no trial completed with a number."
    best = group.iloc[int(values.argmax() if more_is_better(study, cell) else values.argmin())]
    return (
        f"On {cell.task} the best is {metric_text(name, best['evaluation_metric'])} ({name}), of "
        f"{best['architecture']} at depth {best['depth']} with {best['parameters']:,} parameters."
    )


def _infeasible(study: Study) -> list[str]:
    """All cells of an architecture together; stopped trials may have diverged later."""
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
    said = f"Training failed most often with {ends[0]} and least often with {ends[1]}"
    if stopped := int(frame["stopped"].sum()):
        said += f"; {plural(stopped, 'trial')} more were stopped early and are undetermined"
    return [f"{said}."]


def _published(tidy: pd.DataFrame) -> list[str]:
    both = tidy[tidy["published_share"].notna() & tidy["share"].notna()]
    if both.empty:
        return []
    within = both["published_share"].between(both["wilson_low"], both["wilson_high"])
    return [
        f"Of {plural(len(both), 'published share')} of infeasible trials that can be compared, "
        f"{int(np.sum(within))} lie within the limits measured here."
    ]
