"""Draws exponents and curvature of weakly coupled networks against the strength of their residual.

The figures are drawn from the means of the table ``dynamics``.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from orchestrator.views.report.figure import Axis, Figure, Panel, Series
from orchestrator.views.report.figures.places import by_panel, spread, with_limits
from orchestrator.views.report.figures.strengths import by_strength, lines_by_panel, settings_of
from orchestrator.views.study.study import Study
from orchestrator.views.tables import Table
from orchestrator.views.tables.dynamics import END, START, by_cell
from trainables.diagnostics.curvature import LARGE

LOG_ALPHA = "log alpha"
CURVATURE = {  # column -> words for its axis
    "hessian_max": "largest Hessian eigenvalue",
    "gauss_newton_max": "largest Gauss-Newton eigenvalue",
    "eigenvalues_large": f"Hessian eigenvalues above {LARGE:g}, at least",
}
NETWORKS = (
    "The networks of a point are those of the best configuration by validation, or of the first "
    "one if none completed."
)


def lyapunov_exponents(study: Study, tables: Mapping[str, Table]) -> Figure | None:
    """Draw exponents before training (Figure 2B of the fading-memory paper).

    Returns None without the table ``dynamics``, or if no cells differ in one strength alone.
    """
    if "dynamics" not in tables:
        return None
    means = by_cell(study, tables["dynamics"].tidy)
    rows = by_strength(means[means["at"] == START])
    panels = []
    for title, group in by_panel(rows, ["task", "depth", "budget", "layer"]):
        for strength, lines in group.groupby("varied", sort=False):
            ends = lines.assign(
                low=lines["exponent_mean"] - lines["exponent_spread"],
                high=lines["exponent_mean"] + lines["exponent_spread"],
            )
            measured = _lines(ends, "exponent_mean", "kind", "value")
            if not measured:
                continue
            x = Axis(str(strength), log=spread(lines["value"]))
            panels.append(Panel(f"{title}: {strength}", (*measured, *_expected(lines)), x=x))
    return Figure(
        name="lyapunov_exponents",
        title="Lyapunov exponents",
        caption="Mean of the Lyapunov exponents of untrained networks; bars are the deviation of a "
        f"network's exponents. The dashed line is log alpha. {NETWORKS}",
        x=Axis("strength"),
        y=Axis("Lyapunov exponent"),
        panels=tuple(panels),
        source="fading-memory paper, Figure 2B",
        kinds=(*rows["kind"].unique(), LOG_ALPHA),
    )


def curvature(study: Study, tables: Mapping[str, Table]) -> Figure | None:
    """Draw curvature before training (Figures 2C and 5D of the fading-memory paper).

    Returns None without the table ``dynamics``, or if no cells differ in one strength alone.
    """
    if "dynamics" not in tables:
        return None
    means = by_cell(study, tables["dynamics"].tidy)
    rows = by_strength(means[means["at"] == START])
    panels = []
    for title, group in by_panel(rows, ["task", "depth", "budget"]):
        for strength, lines in group[group["layer"] <= 0].groupby("varied", sort=False):
            x = Axis(str(strength), log=spread(lines["value"]))
            for column, words in CURVATURE.items():
                limited = with_limits(lines, column, f"{column}_deviation")
                series = _lines(limited, column, "kind", "value")
                y = Axis(words, log=spread(lines[column]))
                panels.append(Panel(f"{title}: {strength}", series, x=x, y=y))
    return Figure(
        name="curvature",
        title="Curvature of the loss before training",
        caption="Extreme eigenvalues of the Hessian and the Gauss-Newton matrix over the recurrent "
        "weights of untrained networks, and the number of the Hessian's eigenvalues above the "
        f"stated size. Means and deviations over networks. {NETWORKS}",
        x=Axis("strength"),
        y=Axis("eigenvalue"),
        panels=tuple(panel for panel in panels if panel.series),
        source="fading-memory paper, Figures 2C and 5D",
        kinds=tuple(rows["kind"].unique()),
    )


def training_curvature(study: Study, tables: Mapping[str, Table]) -> Figure | None:
    """Draw curvature over training (Figure 3 of the fading-memory paper).

    Returns None without the table ``dynamics``, or if nothing was diagnosed at a second step.
    """
    if "dynamics" not in tables:
        return None
    means = by_cell(study, tables["dynamics"].tidy)
    rows = by_strength(means[(means["layer"] <= 0) & means["hessian_max"].notna()])
    panels = []
    for title, line in lines_by_panel(rows.drop(columns="layer")):
        if line["step"].nunique() > 1:
            limited = with_limits(line, "hessian_max", "hessian_max_deviation")
            series = _lines(limited.sort_values("step"), "hessian_max", "setting", "step")
            panels.append(
                Panel(
                    title, series, y=Axis(CURVATURE["hessian_max"], log=spread(line["hessian_max"]))
                )
            )
    return Figure(
        name="training_curvature",
        title="Curvature of the loss over training",
        caption="Largest eigenvalue of the Hessian over the recurrent weights before, during and "
        f"after training. Means and deviations over networks. {NETWORKS}",
        x=Axis("training steps"),
        y=Axis(CURVATURE["hessian_max"]),
        panels=tuple(panels),
        source="fading-memory paper, Figure 3",
        kinds=settings_of(rows),
    )


def trained_exponents(study: Study, tables: Mapping[str, Table]) -> Figure | None:
    """Draw exponents after training against those before (supplementary Figure 1 of the paper).

    Every architecture is drawn, its residual and form as a kind of its own. Returns None without
    the table ``dynamics``, or if nothing was diagnosed both before and after training.
    """
    if "dynamics" not in tables:
        return None
    means = by_cell(study, tables["dynamics"].tidy)
    means = means[means["exponent_mean"].notna()]
    names = means["architecture"].str.partition("(")[0]
    residual, form = means["residual"].astype(object), means["form"].astype(object)
    words = residual.where(form.isna(), residual.astype(str) + ", " + form.astype(str))
    means = means.assign(kind=names.where(residual.isna(), names + " " + words.astype(str)))
    key = ["task", "depth", "budget", "architecture", "layer", "kind", "sweep", "trial"]
    before, after = (means[means["at"] == at] for at in (START, END))
    both = before[[*key, "exponent_mean"]].merge(after[[*key, "exponent_mean"]], on=key)
    panels = [
        Panel(title, _lines(group, "exponent_mean_y", "kind", "exponent_mean_x"), diagonal=True)
        for title, group in by_panel(both, ["task", "depth", "budget"])
    ]
    return Figure(
        name="trained_exponents",
        title="Lyapunov exponents before and after training",
        caption="Mean Lyapunov exponent of each cell and layer after training against that before. "
        f"On the dashed line training changes nothing. {NETWORKS}",
        x=Axis("exponent before training"),
        y=Axis("exponent after training"),
        panels=tuple(panels),
        source="fading-memory paper, supplementary Figure 1",
        kinds=tuple(both["kind"].unique()),
    )


def _lines(rows: pd.DataFrame, y: str, name: str, x: str) -> tuple[Series, ...]:
    """Return the rows that have a finite ``y`` as a series for each value of the column ``name``.

    Error bars are drawn if there are columns ``low`` and ``high``.
    """
    drawn = rows[np.isfinite(rows[y].astype(float))]
    bars = {"low", "high"} <= set(rows)
    return tuple(
        Series(
            architecture=str(kind),
            x=line[x].tolist(),
            y=line[y].tolist(),
            mode="both" if bars else "points",
            low=line["low"].tolist() if bars else None,
            high=line["high"].tolist() if bars else None,
            trials=[*zip(line["sweep"], line["trial"], strict=True)],
        )
        for kind, line in drawn.groupby(name, sort=False)
    )


def _expected(lines: pd.DataFrame) -> list[Series]:
    """Return log alpha of lines of one panel as dashed lines, equal ones once."""
    levels: dict[tuple[tuple[float, float], ...], None] = {}
    for _, line in lines.groupby("kind", sort=False):
        known = line[line["expected_log_alpha"].notna()]
        levels[tuple(zip(known["value"], known["expected_log_alpha"], strict=True))] = None
    return [
        Series(
            architecture=LOG_ALPHA,
            x=[x for x, _ in points],
            y=[y for _, y in points],
            mode="line",
            dashed=True,
        )
        for points in levels
        if points
    ]
