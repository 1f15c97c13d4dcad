"""Compares homogeneous with heterogeneous residuals (Table 1 of the fading-memory paper)."""

from collections.abc import Callable, Hashable, Iterable
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t

from orchestrator.views.study.study import Study, mean_and_deviation
from orchestrator.views.tables.published_numbers import published
from orchestrator.views.tables.table import NOTHING, Table, metric_text, spread
from trainables.architectures import check_options

STEPS = "steps_to_minimal_performance"
KINDS = ("homogeneous", "heterogeneous")


def residuals(study: Study) -> Table:
    """Tabulate pairs of networks with homogeneous and with heterogeneous residuals.

    Pairs are weakly coupled networks that differ in their residual alone. They are compared by the
    metric of each cell's best configuration and by its steps to the minimal performance. Means and
    sample deviations are over the replicates of that configuration. A network's steps to the
    minimal performance are those at the first report whose validation metric is as good as the
    task's threshold, or the steps of the whole training if no report is.
    """
    homogeneous: dict[tuple[Any, ...], str] = {}
    heterogeneous: dict[tuple[Any, ...], str] = {}
    for cell in study.cells:
        architecture = cell.record["architecture"]
        if architecture["name"] != "wcrnn":
            continue
        options = check_options("wcrnn", architecture["options"])
        shared = (_text(getattr(options, name)) for name in _SHARED)
        key = (cell.task, cell.depth, cell.budget, *shared)
        if options.residual == "heterogeneous":
            heterogeneous[*key, _text(options.epsilon)] = cell.id
        elif options.residual == "scaled":
            homogeneous.setdefault(key, cell.id)  # a homogeneous residual has no epsilon
    rows = [
        row
        for key, cell_id in heterogeneous.items()
        if key[:-1] in homogeneous
        for row in _compare(
            study, key, {"homogeneous": homogeneous[key[:-1]], "heterogeneous": cell_id}
        )
    ]
    tidy = pd.DataFrame(rows, columns=[*_PLACE, "quantity", *_VALUES])
    # An option that is the same in all rows stands in a note instead of a column.
    same = [option for option in _OPTIONS if tidy[option].nunique() <= 1]
    columns = [column for column in (*_PLACE, "quantity") if column not in same]
    notes = [
        "Mean and deviation over the networks of the best configuration by validation. The "
        "difference is that of networks of the same number, which saw the same batches, with a "
        "95 % interval of its mean where there are two pairs at least."
    ]
    tasks = {cell.task: study.task(cell.id) for cell in study.cells}
    minimal = (
        f"{metric_text(task.metric_name, task.minimal_performance)} {task.metric_name} on {name}"
        for name, task in tasks.items()
    )
    intervals = sorted({study.training(cell.id)["evaluation_interval"] for cell in study.cells})
    notes.append(
        f"Minimal performance: {', '.join(minimal)}; looked for every "
        f"{' or '.join(map(str, intervals))} steps; "
        "'>=' (k of n): only k of n networks reached it."
    )
    in_pairs = [*homogeneous.values(), *heterogeneous.values()]
    notes += unreported(study, in_pairs if rows else ())
    named = [f"{name} {_shown_option(tidy[name][0])}" for name in same if _is_named(tidy, name)]
    if named:
        notes.append(f"All with {', '.join(named)}.")
    return Table(
        name="residuals",
        title="Homogeneous against heterogeneous residuals",
        tidy=tidy,
        shown=_shown(tidy, columns),
        index=len(columns),
        notes=tuple(notes),
        references=("fading_memory", "student"),
    )


# Options that both networks of a pair share; only the heterogeneous one uses epsilon.
_SHARED = ["alpha", "gamma", "form", "nonlinearity", "act", "skip"]
_OPTIONS = [*_SHARED, "epsilon"]
_PLACE = ["task", "depth", "budget", *_OPTIONS]
_PARTS = ("", "_deviation", "_networks", "_reached", "_trials")
_VALUES = [
    *(f"{kind}{part}" for kind in KINDS for part in _PARTS),
    *("difference", "difference_low", "difference_high", "pairs"),
    *(f"published_{kind}" for kind in KINDS),
]


def _text(option: Any) -> str | float | bool:
    """Return an option's value as one number or word; a range of two numbers becomes text."""
    if isinstance(option, tuple):
        return f"[{', '.join(f'{number:g}' for number in option)}]"
    return option if isinstance(option, float | bool) else str(option)


def _shown_option(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else value


def _is_named(tidy: pd.DataFrame, name: str) -> bool:
    """Return whether a note names an option: always a strength, others only if not the default."""
    default = _text(getattr(check_options("wcrnn", {}), name))
    return len(tidy) > 0 and (tidy[name][0] != default or name in ("alpha", "gamma", "epsilon"))


def _compare(study: Study, key: tuple[Any, ...], pair: dict[str, str]) -> list[dict[str, Any]]:
    task_name = study.papers_task(pair["homogeneous"])
    paper = published("fading_memory_table1")
    metric = study.task(pair["homogeneous"]).metric_name
    rows = []
    for quantity in (metric, STEPS):
        row: dict[str, Any] = dict(zip(_PLACE, key, strict=True))
        row["quantity"] = quantity
        for kind, cell in pair.items():
            values = quantity_values(study, cell, quantity)
            mean, deviation, networks = mean_and_deviation(values)
            row |= {kind: mean, f"{kind}_deviation": deviation, f"{kind}_networks": networks}
            row[f"{kind}_trials"] = len(study.of_cell(cell).query("outcome != 'errored'"))
            if quantity == STEPS:
                row[f"{kind}_reached"] = reached(study, cell)
        row |= _difference(*(quantity_values(study, pair[kind], quantity) for kind in KINDS))
        names = {"accuracy": "accuracy_percent", STEPS: "iterations_to_minimal_performance"}
        match = paper[
            (paper["task"] == task_name) & (paper["metric"] == names.get(quantity, quantity))
        ]
        for kind in KINDS:
            value = float(match[kind].iloc[0]) if len(match) else np.nan
            row[f"published_{kind}"] = value / 100 if quantity == "accuracy" else value
        rows.append(row)
    return rows


def _difference(homogeneous: list[float], heterogeneous: list[float]) -> dict[str, float]:
    """Return the mean paired difference, heterogeneous minus homogeneous, with its 95 % interval.

    Networks with the same lane number are pairs, since they saw the same batches. The interval is
    that of Student's paired t.

    Args:
        homogeneous: quantity of each network, ``[lanes]``; None and nan are left out.
        heterogeneous: the same quantity of the networks of the other kind, ``[lanes]``.
    """
    both = [
        b - a
        for a, b in zip(homogeneous, heterogeneous, strict=False)
        if not pd.isna(a) and not pd.isna(b)
    ]
    mean, deviation, pairs = mean_and_deviation(both)
    half = t.ppf(0.975, pairs - 1) * deviation / np.sqrt(pairs) if pairs > 1 else np.nan
    return {
        "difference": mean,
        "difference_low": mean - half,
        "difference_high": mean + half,
        "pairs": pairs,
    }


def quantity_values(study: Study, cell: str, quantity: str) -> list[float]:
    """Return a quantity of each network of the cell's best trial.

    Args:
        study: study that has the cell.
        cell: id of the cell.
        quantity: ``STEPS``, the training steps to the minimal performance, or the name of the
            metric. A network that never reached it has the steps of the whole training.

    Returns:
        One value for each network, ``[lanes]``; empty without a completed trial, or if a report of
        the best trial is missing where ``quantity`` is ``STEPS``.
    """
    best = study.best(cell)
    if best is None:
        return []
    if quantity != STEPS:
        return list(best["lane_evaluation_metrics"])
    all_steps = float(study.training(cell)["steps"])
    return [all_steps if step is None else step for step in study.first_reached(cell)]


def unreported(study: Study, cells: Iterable[str]) -> list[str]:
    """Return a note with the cells whose ledger lacks reports of the best trial, if there are any.

    Args:
        study: study that has the cells.
        cells: ids of the cells.
    """
    lost = [cell for cell in cells if study.best(cell) and not study.first_reached(cell)]
    if not lost:
        return []
    return [f"'-': reports of the best trial are not in the ledger ({', '.join(lost)})."]


def reached(study: Study, cell: str) -> int:
    """Return how many networks of the cell's best trial reached the minimal performance."""
    return sum(step is not None for step in study.first_reached(cell))


def _shown(tidy: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    rows = []
    for row in tidy.to_dict("records"):

        def text(value: float, quantity: str = row["quantity"]) -> str:
            return metric_text(quantity, value)

        shown = {column: row[column] for column in columns}
        shown["quantity"] = row["quantity"].replace("_", " ")
        for kind in KINDS:
            shown[kind] = spread(text, row[kind], row[f"{kind}_deviation"])
            if row["quantity"] == STEPS and row[f"{kind}_reached"] < row[f"{kind}_networks"]:
                reached, networks = int(row[f"{kind}_reached"]), row[f"{kind}_networks"]
                # The steps of the other networks are unknown, so there is no deviation.
                shown[kind] = f">= {text(row[kind])} ({reached} of {networks})"
        unknown = any(shown[kind].startswith(">=") for kind in KINDS)
        shown["difference"] = "-" if unknown else _difference_text(row, text)
        published_values = [row[f"published_{kind}"] for kind in KINDS]
        shown["trials"] = " / ".join(str(row[f"{kind}_trials"]) for kind in KINDS)
        shown["published"] = (
            "-" if np.isnan(published_values).all() else " / ".join(map(text, published_values))
        )
        rows.append(shown)
    names = [*columns, *KINDS, "difference", "published", "trials"]
    return pd.DataFrame(rows, columns=names)


def _difference_text(row: dict[Hashable, Any], text: Callable[[float], str]) -> str:
    ends = [row["difference"], row["difference_low"], row["difference_high"]]
    if np.isnan(ends[0]):
        return NOTHING
    unit = ""
    if row["quantity"] == "accuracy":
        unit, text = " points", lambda value: f"{100 * value:+.1f}"
    shown = text(ends[0])
    if not np.isnan(ends[1]):
        shown += f" [{text(ends[1])}, {text(ends[2])}]"
    return shown + unit
