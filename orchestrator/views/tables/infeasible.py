"""Tabulates the share of infeasible trials of each cell (Table 1 of the capacity paper)."""

from typing import Any

import numpy as np
import pandas as pd

from orchestrator.views.study.statistics import wilson
from orchestrator.views.study.study import CELL, Study
from orchestrator.views.tables.published_numbers import published
from orchestrator.views.tables.table import NOTHING, Table, percent


def infeasible_fractions(study: Study) -> Table:
    """Tabulate the share of configurations of each cell that could not be trained.

    A stopped trial is undetermined: it might have diverged later. So the share lies between that
    of the infeasible trials and that of infeasible and stopped trials together. The limits are the
    lower 95 % Wilson limit of the first share and the upper one of the second. If no trial was
    stopped, they are the Wilson interval of the share. Errored trials say nothing about their
    configuration and are left out. With replicates, a trial is infeasible when all its networks
    are; ``networks`` and ``networks_infeasible`` count single networks.
    """
    # Cells that are only repeated have no configurations of their own and are not among these.
    cells = study.cells
    paper = published("capacity_table1_infeasible").set_index(
        ["task", "architecture", "depth", "parameters"]
    )["infeasible_percent"]
    networks = _networks(study, [cell.id for cell in cells])
    drawn = study.trials.groupby("cell")["random"].all()
    rows: list[dict[str, Any]] = []
    for cell in cells:
        decided = cell.completed + cell.stopped + cell.infeasible
        low = high = share = share_high = np.nan
        if decided:
            share = cell.infeasible / decided
            share_high = (cell.infeasible + cell.stopped) / decided
            low = wilson(cell.infeasible, decided)[0]
            high = wilson(cell.infeasible + cell.stopped, decided)[1]
        place = (study.papers_task(cell.id), cell.architecture, cell.depth, cell.budget)
        rows.append(
            {
                **cell.place,
                "trials": decided,
                "infeasible": cell.infeasible,
                "undetermined": cell.stopped,
                "errored": cell.errored,
                "random": bool(drawn.get(cell.id, False)),
                "share": share,
                "share_with_undetermined": share_high,
                "wilson_low": low,
                "wilson_high": high,
                "networks": networks["all"].get(cell.id, 0),
                "networks_infeasible": networks["infeasible"].get(cell.id, 0),
                "published_share": float(paper.get(place, np.nan)) / 100,
            }
        )
    tidy = pd.DataFrame(rows)
    return Table(
        name="infeasible",
        title="Infeasible trials",
        tidy=tidy,
        shown=_shown(tidy),
        index=len(CELL),
        notes=_notes(study, tidy),
        references=("capacity", "wilson"),
    )


def _networks(study: Study, cells: list[str]) -> pd.DataFrame:
    """Count the networks of the trials that did not err, and the infeasible ones among them.

    Returns:
        Columns ``all`` and ``infeasible``, with the cells' ids as index.
    """
    if not cells:
        return pd.DataFrame(columns=["all", "infeasible"])
    trials = study.details(["outcome", "lane_infeasible_at"], cells)
    trials = trials[trials["outcome"] != "errored"].dropna(subset="lane_infeasible_at")
    lanes = trials["lane_infeasible_at"]
    diverged_at = lanes.explode().to_numpy(dtype=float)  # training step, nan for a feasible lane
    cell_of_lane = np.repeat(trials["cell"].to_numpy(), lanes.str.len().to_numpy(dtype=int))
    counted = pd.DataFrame({"cell": cell_of_lane, "infeasible": ~np.isnan(diverged_at)})
    return counted.groupby("cell").agg(all=("infeasible", "size"), infeasible=("infeasible", "sum"))


def _shown(tidy: pd.DataFrame) -> pd.DataFrame:
    if tidy.empty:
        return tidy
    shown = tidy[[*CELL, "trials", "infeasible", "undetermined", "errored"]].assign(
        share=_intervals(tidy["share"], tidy["share_with_undetermined"]),
        limits=_intervals(tidy["wilson_low"], tidy["wilson_high"]),
        published=_intervals(tidy["published_share"], tidy["published_share"]),
    )
    return shown.rename(columns={"limits": "95 % limits"})


def _notes(study: Study, tidy: pd.DataFrame) -> tuple[str, ...]:
    notes = [
        "Undetermined trials were stopped early; the share lies between that of infeasible "
        "trials alone and that of infeasible and undetermined ones together. '-': no trial ended, "
        "or the paper has no such cell.",
    ]
    chosen = study.trials.loc[~study.trials["random"].astype(bool), "cell"].nunique()
    if chosen:
        notes.append(
            f"Configurations of {chosen} cell{'s' if chosen > 1 else ''} were not drawn at random: "
            "their shares are those of what was chosen, and the limits take them for independent."
        )
    if len(tidy) and max((cell.replicates for cell in study.cells), default=1) > 1:
        notes.append(
            "A trial is infeasible when all its networks are; "
            f"{tidy['networks_infeasible'].sum()} of all {tidy['networks'].sum()} networks were."
        )
    return tuple(notes)


def _intervals(lows: pd.Series, highs: pd.Series) -> list[str]:
    return [_interval(low, high) for low, high in zip(lows, highs, strict=True)]


def _interval(low: float, high: float) -> str:
    if np.isnan(low):
        return NOTHING
    if low == high:
        return percent(low)
    return f"{100 * low:.1f} to {100 * high:.1f} %"
