"""Builds what figures share: panels by task and size, lines and rows by architecture."""

from collections.abc import Hashable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from orchestrator.views.report.figure import Axis, Series
from orchestrator.views.study.searches import measure_name
from orchestrator.views.study.study import CELL, Study

Trial = tuple[str, str]  # sweep, trial
Trials = Mapping[tuple[Hashable, ...], Trial]  # keys: values of the columns CELL


def by_panel(frame: pd.DataFrame, columns: Sequence[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the title and the rows of each panel, in the order in which they first occur.

    A depth or budget that is the same in all rows is not in the titles.

    Args:
        frame: rows of all panels.
        columns: columns whose values are the same within a panel.
    """
    varied = {name for name in columns if name == "task" or frame[name].nunique() > 1}
    for where, group in frame.groupby(list(columns), sort=False):
        words = [
            f"{value}" if name == "task" else f"{name} {value:,}"
            for name, value in zip(columns, where, strict=True)
            if name in varied
        ]
        yield ", ".join(words), group


def judged_by(study: Study) -> dict[str, Axis | None]:
    """Return the axis of the metric of each task, or None if its cells are judged by their loss."""
    axes: dict[str, Axis | None] = {}
    for cell in study.cells:
        name = measure_name(study, cell)
        axes[cell.task] = None if name == "loss" else Axis(name, share=name == "accuracy")
    return axes


def best_trial_ids(study: Study) -> Trials:
    """Return the sweep and the trial of each cell's best trial, for cells that have one."""
    best_trials = {}
    for cell in study.cells:
        best = study.best(cell.id)
        if best is not None:
            best_trials[tuple(cell.place.values())] = (str(best["sweep"]), str(best["trial"]))
    return best_trials


def rows_of(architectures: Sequence[str], group: pd.DataFrame) -> tuple[str, ...]:
    """Return the architectures of a panel, in the order of the sweeps.

    Args:
        architectures: all architectures, in the order of the sweeps.
        group: rows of the panel.
    """
    present = set(group["architecture"])
    return tuple(name for name in architectures if name in present)


def lines(
    group: pd.DataFrame,
    architectures: Sequence[str],
    x: str,
    y: str,
    limits: tuple[str, str] | None = None,
    trials: Trials | None = None,
) -> tuple[Series, ...]:
    """Return a line for each architecture, from left to right, broken at infinite values.

    Args:
        group: rows of the panel.
        architectures: all architectures, in the order of the sweeps.
        x: column of the x coordinates.
        y: column of the y coordinates.
        limits: columns of the lower and the upper ends of error bars.
        trials: best trial of each cell, if the rows are cells; points then name their trials.
    """
    drawn = group[group[x].notna() & group[y].notna()]
    return tuple(
        Series(
            architecture=architecture,
            x=rows[x].tolist(),
            y=rows[y].tolist(),
            low=rows[limits[0]].tolist() if limits else None,
            high=rows[limits[1]].tolist() if limits else None,
            trials=trials_of(rows, trials) if trials else None,
        )
        for architecture in rows_of(architectures, drawn)
        for rows in [drawn[drawn["architecture"] == architecture].sort_values(x, kind="stable")]
        if np.isfinite(rows[y].astype(float)).any()
    )


def dots(
    group: pd.DataFrame,
    names: Sequence[str],
    x: str,
    limits: tuple[str, str] | None = None,
    trials: Trials | None = None,
    name: str = "",
    published: bool = False,
) -> tuple[Series, ...]:
    """Return the values of each architecture as points in the row of its name.

    Args:
        group: rows of the panel.
        names: architectures of the panel's rows, from the top.
        x: column of the values.
        limits: columns of the lower and the upper ends of error bars.
        trials: best trial of each cell, if the rows are cells; points then name their trials.
        name: words that tell the points from others of the same architecture.
        published: whether the values are those of a paper.
    """
    drawn = group[np.isfinite(group[x].astype(float))]
    return tuple(
        Series(
            architecture=architecture,
            x=rows[x].tolist(),
            y=[float(names.index(architecture))] * len(rows),
            name=name,
            mode="points",
            low=rows[limits[0]].tolist() if limits else None,
            high=rows[limits[1]].tolist() if limits else None,
            bars="x",
            trials=trials_of(rows, trials) if trials else None,
            published=published,
        )
        for architecture in rows_of(names, drawn)
        for rows in [drawn[drawn["architecture"] == architecture]]
    )


def with_limits(frame: pd.DataFrame, value: str, deviation: str) -> pd.DataFrame:
    """Return the frame with the columns ``low`` and ``high``: the value -/+ its deviation.

    ``low`` is the value itself if the end would not be positive, because a logarithmic axis cannot
    show that.

    Args:
        frame: rows to extend.
        value: column of the values.
        deviation: column of their deviations; nan counts as 0.
    """
    width = frame[deviation].fillna(0)
    low = frame[value] - width
    return frame.assign(low=low.where(low > 0, frame[value]), high=frame[value] + width)


def spread(values: pd.Series) -> bool:
    """Return whether values are positive and differ so much that their axis is logarithmic."""
    finite = values[np.isfinite(values.astype(float))]
    return bool(len(finite) and finite.min() > 0 and finite.max() > 10 * finite.min())


def trials_of(rows: pd.DataFrame, trials: Trials) -> list[Trial]:
    """Return the best trial of each row's cell.

    Raises:
        KeyError: a cell has no best trial.
    """
    return [trials[place] for place in rows[CELL].itertuples(index=False, name=None)]
