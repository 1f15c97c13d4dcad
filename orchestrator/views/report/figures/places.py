"""What figures have in common: panels by task and size, lines and rows by architecture."""

from collections.abc import Hashable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from orchestrator.views.report.figure import Axis, Series
from orchestrator.views.study.searches import measure
from orchestrator.views.study.study import CELL, Study

Trial = tuple[str, str]  # sweep, trial
Trials = Mapping[tuple[Hashable, ...], Trial]  # of the columns CELL


def by_panel(frame: pd.DataFrame, columns: Sequence[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """The frame's rows by some columns, and what the panel is called.

    A depth or budget that is the same everywhere goes without saying.
    """
    varied = {name for name in columns if name == "task" or frame[name].nunique() > 1}
    for where, group in frame.groupby(list(columns), sort=False):
        said = [
            f"{value}" if name == "task" else f"{name} {value:,}"
            for name, value in zip(columns, where, strict=True)
            if name in varied
        ]
        yield ", ".join(said), group


def judged_by(study: Study) -> dict[str, Axis | None]:
    """Task -> the axis of its metric, where its cells are judged by that and not by their loss."""
    found: dict[str, Axis | None] = {}
    for cell in study.cells:
        name = measure(study, cell)
        found[cell.task] = None if name == "loss" else Axis(name, share=name == "accuracy")
    return found


def best_trials(study: Study) -> Trials:
    """The best trial of each cell that has one."""
    found = {}
    for cell in study.cells:
        best = study.best(cell.id)
        if best is not None:
            found[tuple(cell.place.values())] = (str(best["sweep"]), str(best["trial"]))
    return found


def rows_of(architectures: Sequence[str], group: pd.DataFrame) -> tuple[str, ...]:
    """Architectures that a panel has, in the order of the sweeps."""
    there = set(group["architecture"])
    return tuple(name for name in architectures if name in there)


def lines(
    group: pd.DataFrame,
    architectures: Sequence[str],
    x: str,
    y: str,
    limits: tuple[str, str] | None = None,
    trials: Trials | None = None,
) -> tuple[Series, ...]:
    """One line an architecture through its rows, from left to right, broken where it is infinite.

    Args:
        limits: the columns of the ends of error bars.
        trials: of cells; the rows are cells then.
    """
    there = group[group[x].notna() & group[y].notna()]
    return tuple(
        Series(
            architecture=architecture,
            x=rows[x].tolist(),
            y=rows[y].tolist(),
            low=rows[limits[0]].tolist() if limits else None,
            high=rows[limits[1]].tolist() if limits else None,
            trials=trials_of(rows, trials) if trials else None,
        )
        for architecture in rows_of(architectures, there)
        for rows in [there[there["architecture"] == architecture].sort_values(x, kind="stable")]
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
    """The rows of each architecture on the line of its name."""
    there = group[np.isfinite(group[x].astype(float))]
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
        for architecture in rows_of(names, there)
        for rows in [there[there["architecture"] == architecture]]
    )


def with_limits(frame: pd.DataFrame, value: str, deviation: str) -> pd.DataFrame:
    """With the columns ``low`` and ``high``: the value and its deviation to either side.

    No end is at zero or below, where a logarithmic axis has no place for it.
    """
    width = frame[deviation].fillna(0)
    low = frame[value] - width
    return frame.assign(low=low.where(low > 0, frame[value]), high=frame[value] + width)


def spread(values: pd.Series) -> bool:
    """Whether numbers differ so much that only a logarithmic axis shows them."""
    there = values[np.isfinite(values.astype(float))]
    return bool(len(there) and there.min() > 0 and there.max() > 10 * there.min())


def trials_of(rows: pd.DataFrame, trials: Trials) -> list[Trial]:
    """The best trials of cells that all have one."""
    return [trials[place] for place in rows[CELL].itertuples(index=False, name=None)]
