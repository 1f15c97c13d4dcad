"""Builds what figures of residuals share: names of lines, and lines by the value of a strength."""

from collections.abc import Hashable, Iterator

import pandas as pd

from orchestrator.views.report.figures.places import by_panel
from orchestrator.views.tables.strengths import STRENGTHS, varied

# Options that tell equal residuals apart.
OTHER_OPTIONS = ("form", "nonlinearity", *STRENGTHS, "others")


def with_kinds(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with the column ``kind``: the residual, and in brackets what else differs.

    Args:
        rows: rows with the columns of :func:`.residual_columns` and ``varied``, the strength in
            which the cells of a line differ; their index has no value twice.
    """
    kinds: dict[Hashable, str] = {}
    for (strength, residual), same in rows.groupby(["varied", "residual"], sort=False):
        apart = [
            name
            for name in OTHER_OPTIONS
            if name != strength and same[name].nunique(dropna=False) > 1
        ]
        for index, row in same[apart].iterrows():
            options = ", ".join(_option(str(name), value) for name, value in row.items())
            kinds[index] = f"{residual}({options})" if options else str(residual)
    return rows.assign(kind=[kinds[index] for index in rows.index])


def _option(name: str, value: object) -> str:
    if name == "others":
        return str(value)
    return f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"


def by_strength(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows of weakly coupled networks that differ in one strength alone.

    Args:
        rows: rows with the columns of :func:`.residual_columns` and their task, depth and budget.

    Returns:
        The rows of each line one after the other, with ``varied``, the name of the strength,
        ``value``, ``kind`` (:func:`with_kinds`) and ``setting``, the strength and its value as
        words. A row may be on several lines.
    """
    lines = [line.assign(varied=name, value=line[name]) for name, line in varied(rows)]
    if not lines:
        columns = [*rows.columns, "varied", "value", "kind", "setting"]
        return pd.DataFrame(columns=columns)
    joined = with_kinds(pd.concat(lines, ignore_index=True))
    settings = [
        f"{name} = {value:g}" for name, value in zip(joined["varied"], joined["value"], strict=True)
    ]
    return joined.assign(setting=settings)


def lines_by_panel(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield a title and the rows of each line of :func:`by_strength`.

    Args:
        rows: rows from :func:`by_strength`, with the column ``layer`` or without.
    """
    place = ["task", "depth", "budget", *(["layer"] if "layer" in rows else [])]
    for title, group in by_panel(rows, place):
        for (strength, kind), line in group.groupby(["varied", "kind"], sort=False):
            yield f"{title}: {kind} by {strength}", line


def settings_of(rows: pd.DataFrame) -> tuple[str, ...]:
    """Return the settings of rows from :func:`by_strength` in the order of strength and value."""
    order = rows.assign(_place=rows["varied"].map(STRENGTHS.index))
    return tuple(dict.fromkeys(order.sort_values(["_place", "value"])["setting"]))
