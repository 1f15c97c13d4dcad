"""The share of infeasible trials (Table 1 of the capacity paper)."""

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from orchestrator.views.tables.study import Study, mean_and_deviation, published
from orchestrator.views.tables.table import CELL, Table, percent

COUNTS = ["completed", "stopped", "infeasible", "errored"]


def wilson(count: int, trials: int) -> tuple[float, float]:
    """The 95 % Wilson score interval of a share."""
    interval = binomtest(count, trials).proportion_ci(confidence_level=0.95, method="wilson")
    return float(interval.low), float(interval.high)


def infeasible_fractions(study: Study) -> Table:
    """How many configurations of each cell could not be trained.

    A stopped trial is undetermined: it might have diverged later. So the share lies between that
    of the infeasible trials and that of infeasible and stopped ones together; the limits are the
    lower Wilson limit of the one and the upper of the other. Errored trials say nothing about the
    configuration and are left out. With replicates, a trial is infeasible when all its networks
    are; the share of single networks stands beside it.
    """
    paper = published("capacity_table1_infeasible").rename(columns={"parameters": "budget"})
    rows = []
    for cell in study.cells:
        decided = cell.completed + cell.stopped + cell.infeasible
        low = high = share = share_high = np.nan
        if decided:
            share = cell.infeasible / decided
            share_high = (cell.infeasible + cell.stopped) / decided
            low = wilson(cell.infeasible, decided)[0]
            high = wilson(cell.infeasible + cell.stopped, decided)[1]
        trials = study.details(["outcome", "lane_infeasible_at"], [cell.id])
        lanes = trials.loc[trials["outcome"] != "errored", "lane_infeasible_at"]
        networks = sum(len(lane) for lane in lanes)
        match = paper[
            (paper["task"] == study.papers_task(cell.id))
            & (paper["architecture"] == cell.architecture)
            & (paper["depth"] == cell.depth)
            & (paper["budget"] == cell.budget)
        ]
        rows.append(
            {
                **cell.place,
                "trials": decided,
                "infeasible": cell.infeasible,
                "undetermined": cell.stopped,
                "errored": cell.errored,
                "share": share,
                "share_with_undetermined": share_high,
                "wilson_low": low,
                "wilson_high": high,
                "networks": networks,
                "networks_infeasible": sum(mean_and_deviation(lane)[2] for lane in lanes),
                "published_share": match["infeasible_percent"].sum(min_count=1) / 100,
            }
        )
    tidy = pd.DataFrame(rows)
    shown = tidy[[*CELL, "trials", "infeasible", "undetermined", "errored"]].assign(
        share=_intervals(tidy["share"], tidy["share_with_undetermined"]),
        limits=_intervals(tidy["wilson_low"], tidy["wilson_high"]),
        published=_intervals(tidy["published_share"], tidy["published_share"]),
    )
    notes = [
        "Undetermined trials were stopped early; the share lies between that of infeasible "
        "trials alone and that of infeasible and undetermined ones together.",
    ]
    if max(cell.replicates for cell in study.cells) > 1:
        notes.append(
            "A trial is infeasible when all its networks are; "
            f"{tidy['networks_infeasible'].sum()} of all {tidy['networks'].sum()} networks were."
        )
    return Table(
        name="infeasible",
        title="Infeasible trials",
        tidy=tidy,
        shown=shown.rename(columns={"limits": "95 % limits"}),
        index=len(CELL),
        notes=tuple(notes),
    )


def _intervals(lows: pd.Series, highs: pd.Series) -> list[str]:
    return [_interval(low, high) for low, high in zip(lows, highs, strict=True)]


def _interval(low: float, high: float) -> str:
    if np.isnan(low):
        return "-"
    if low == high:
        return percent(low)
    return f"{100 * low:.1f} to {100 * high:.1f} %"
