"""Summarizes the dynamics of networks: Lyapunov exponents, propagation of gradients, curvature."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.views.study.dynamics import NETWORK, SUMMARIES, summary
from orchestrator.views.study.study import CELL, StudiedCell, Study, mean_and_deviation
from orchestrator.views.tables.strengths import RESIDUAL, residual_columns
from orchestrator.views.tables.table import NOTHING, Table, number, spread
from trainables.architectures import check_options
from trainables.diagnostics.curvature import LARGE

START, END = "start", "end"
NUMBERS = tuple(name for names in SUMMARIES.values() for name in names)
EXPECTED = ("expected_log_alpha", "expected_spread")
PLACE = (*CELL, "sweep", "trial", "index", "outcome", "lane", "layer", "at", "step")
COLUMNS = (*PLACE, *NUMBERS, *EXPECTED, *RESIDUAL, "others", "samples")
_SHOWN = {  # column -> its heading for readers
    "exponent_mean": "mean exponent",
    "exponent_max": "largest exponent",
    "gradient_slope": "gradient slope",
    "hessian_max": "largest Hessian eigenvalue",
    "eigenvalues_large": f"Hessian eigenvalues above {LARGE:g}, at least",
    "gauss_newton_max": "largest Gauss-Newton eigenvalue",
}

Summaries = dict[str, float]


def dynamics(study: Study) -> Table:
    """Tabulate what was diagnosed of each network (fading-memory paper, Figures 2, 3 and 5).

    The tidy frame has a row for each layer of each network at each diagnosed training step. What
    was measured of the whole network stands in the rows of all its layers; if nothing else was
    measured, there is one row, of layer -1. As shown there is a row for each layer of a cell, with
    mean and sample deviation over the networks of its best trial by validation, or of its first
    diagnosed trial if none completed.
    """
    tidy = pd.DataFrame(_rows(study), columns=[*COLUMNS])
    shown = _shown(study, tidy)
    return Table(
        name="dynamics",
        title="Dynamics of networks before and after training",
        tidy=tidy,
        shown=shown,
        index=len(CELL) + ("layer" in shown),
        notes=(
            "Exponents are Lyapunov exponents per time step (natural logarithm). The gradient "
            "slope is that of the logarithm of the norm of dL/dh_t against the time steps from t "
            "to the last one. Eigenvalues are over the recurrent weights, found by as many "
            "products as `diagnostics.hessian` asks for: the largest is at least as large as "
            "shown, and no more than these can be counted. Mean and deviation over the networks of "
            "the best configuration by validation, or of the first one if none completed, at the "
            "training steps in the headings: start is before training, end after it. Networks are "
            "those that were finite then.",
            *(["'-': not measured, or no finite number."] if _lacks(shown) else []),
        ),
        references=("fading_memory",),
    )


def shown_trial(study: Study, cell: StudiedCell, rows: pd.DataFrame) -> tuple[str, str]:
    """Return the sweep and the trial that stand for a cell.

    It is the best one by validation if it was diagnosed, else the first one that was.

    Args:
        study: study that has the cell.
        cell: the cell.
        rows: rows of the cell, of at least one trial, with the columns ``sweep`` and ``trial``.
    """
    diagnosed = list(dict.fromkeys(zip(rows["sweep"], rows["trial"], strict=True)))
    best = study.best(cell.id)
    wanted = None if best is None else (best["sweep"], best["trial"])
    return wanted if wanted in diagnosed else diagnosed[0]


def _rows(study: Study) -> list[dict[str, Any]]:
    by_cell = dict(list(study.diagnostics.groupby("cell", sort=False)))
    return [
        row
        for cell in study.cells
        if cell.id in by_cell
        for row in _rows_of_cell(study, cell, by_cell[cell.id])
    ]


def _rows_of_cell(study: Study, cell: StudiedCell, measured: pd.DataFrame) -> list[dict[str, Any]]:
    trials = study.of_cell(cell.id)
    ended = {
        (sweep, trial): {"index": int(index), "outcome": outcome}
        for sweep, trial, index, outcome in zip(
            *(trials[name] for name in ("sweep", "trial", "index", "outcome")), strict=True
        )
    }
    architecture = cell.record["architecture"]
    common = {**expected_exponents(architecture), **residual_columns(architecture)}
    steps = study.training(cell.id)["steps"]
    rows = []
    for (sweep, trial, step, lane), found in _networks(measured).items():
        whole = found.pop(NETWORK, {})
        at = START if step == 0 else END if step == steps else "step"
        for layer, own in (found or {NETWORK: {}}).items():
            place = {"sweep": sweep, "trial": trial, **ended[sweep, trial]}
            place |= {"lane": lane, "layer": layer, "at": at, "step": step}
            rows.append({**cell.place, **place, **common, **whole, **own})
    return rows


def _networks(measured: pd.DataFrame) -> dict[tuple[str, str, int, int], dict[int, Summaries]]:
    """Return the summaries of each layer by sweep, trial, training step and lane of a network.

    ``samples`` among them is the largest number of samples that a quantity used.
    """
    networks: dict[tuple[str, str, int, int], dict[int, Summaries]] = defaultdict(dict)
    for row in measured.to_dict("records"):
        if row["quantity"] not in SUMMARIES:
            continue
        network = row["sweep"], row["trial"], int(row["step"]), int(row["lane"])
        layer = networks[network].setdefault(int(row["layer"]), {"samples": 0})
        layer |= summary(row["quantity"], row["values"])
        layer["samples"] = max(layer["samples"], row["samples"])
    return networks


def expected_exponents(architecture: Mapping[str, Any]) -> Summaries:
    """Return what a weakly coupled network's residual alone gives for its Lyapunov exponents.

    ``expected_log_alpha`` is log(alpha), and ``expected_spread`` the standard deviation of the
    logarithms of the moduli of the residual's eigenvalues: 0, or, where each unit or pair draws its
    own alpha, that of log(u) for u uniform in [alpha - epsilon, alpha + epsilon]. Both are nan for
    other architectures and for alphas of 0 or less. The spread is also nan if each unit of a
    rotated pair draws an alpha of its own, because the pair's eigenvalues then depend on its angle.

    Args:
        architecture: name and options, as a manifest has them.
    """
    nothing = dict.fromkeys(EXPECTED, np.nan)
    if architecture["name"] != "wcrnn":
        return nothing
    options = check_options("wcrnn", architecture["options"])
    alpha, epsilon = options.alpha, options.epsilon
    if alpha <= 0:
        return nothing
    expected = {"expected_log_alpha": float(np.log(alpha)), "expected_spread": 0.0}
    if options.residual in ("heterogeneous", "informed") and epsilon > 0:
        expected["expected_spread"] = _deviation_of_log(alpha - epsilon, alpha + epsilon)
        if options.residual == "informed" and options.alpha_per == "unit":
            expected["expected_spread"] = np.nan
    return expected


def _deviation_of_log(low: float, high: float) -> float:
    """Return the standard deviation of log(u) for u uniform in [low, high]; nan if low <= 0."""
    if low <= 0:
        return np.nan
    # With w = log(high / low), log(u / high) has the density high / (high - low) e^v on [-w, 0].
    # So the variance is 1 - w^2 e^-w / (1 - e^-w)^2.
    w = np.log(high / low)
    return float(np.sqrt(max(0.0, 1 - (w / 2 / np.sinh(w / 2)) ** 2)))


def _lacks(shown: pd.DataFrame) -> bool:
    return bool((shown == NOTHING).to_numpy().any())


def by_cell(study: Study, tidy: pd.DataFrame) -> pd.DataFrame:
    """Return the means over the networks of each cell's :func:`shown_trial`.

    Args:
        study: study that has the cells.
        tidy: frame of the table ``dynamics``.

    Returns:
        A row for each cell, layer and diagnosed step, in the order of the cells, with the tidy
        frame's columns but ``index``, ``outcome`` and ``lane``. ``<number>_deviation`` is the
        sample deviation over networks, ``networks`` their number.
    """
    of_cells = {place: rows for place, rows in tidy.groupby(CELL, sort=False)}
    kept = ["layer", "at", "step", *EXPECTED, *RESIDUAL, "others", "samples"]
    rows = []
    for cell in study.cells:
        of_cell = of_cells.get(tuple(cell.place.values()))
        if of_cell is None:
            continue
        sweep, trial = shown_trial(study, cell, of_cell)
        chosen = of_cell[(of_cell["sweep"] == sweep) & (of_cell["trial"] == trial)]
        for _, networks in chosen.groupby(["layer", "step"]):
            row: dict[str, Any] = {**cell.place, "sweep": sweep, "trial": trial}
            row |= {name: networks[name].iloc[0] for name in kept}
            for name in NUMBERS:
                row[name], row[f"{name}_deviation"], _ = mean_and_deviation(networks[name])
            rows.append(row | {"networks": len(networks)})
    return pd.DataFrame(rows)


def _shown(study: Study, tidy: pd.DataFrame) -> pd.DataFrame:
    measured = [name for name in _SHOWN if tidy[name].notna().any()]
    moments = _moments(tidy)
    deep = tidy["layer"].max() > 0
    rows = []
    means = by_cell(study, tidy)
    for _, of_layer in means.groupby([*CELL, "layer"], sort=False) if len(means) else ():
        first = of_layer.iloc[0]
        row = {name: first[name] for name in (*CELL, *(["layer"] if deep else []))}
        row["log alpha"] = number(first["expected_log_alpha"])
        for name in measured:
            for at in moments:
                found = of_layer[_moment(of_layer) == at]
                value, deviation = (
                    float(found[column].iloc[0]) if len(found) else np.nan
                    for column in (name, f"{name}_deviation")
                )
                row[f"{_SHOWN[name]}, {at}"] = spread(number, value, deviation)
        networks = of_layer[_moment(of_layer).isin(moments)]["networks"]
        row["networks"] = " to ".join(map(str, dict.fromkeys(networks)))
        rows.append(row)
    return pd.DataFrame(rows)


def _moment(rows: pd.DataFrame) -> pd.Series:
    """Return when each row was measured, in words."""
    return rows["at"].where(rows["at"] != "step", "step " + rows["step"].astype(str))


def _moments(rows: pd.DataFrame) -> list[str]:
    """Return start and end, or, where neither was diagnosed, the first and the last step."""
    ends = [at for at in (START, END) if (rows["at"] == at).any()]
    steps = sorted(set(rows["step"]))
    return ends or [f"step {step}" for step in dict.fromkeys([*steps[:1], *steps[-1:]])]
