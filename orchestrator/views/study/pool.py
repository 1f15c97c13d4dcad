"""Pools the trials of several sweeps, and keeps one of each trial that sweeps share."""

from collections.abc import Mapping, Sequence

import pandas as pd

from orchestrator.views.study.sweeps import CellRecord, Sweep

# Columns that are read of every trial. Study.details reads further columns of some cells.
LIGHT = [
    *("index", "outcome", "step", "objective", "validation_loss", "evaluation_loss"),
    *("evaluation_metric", "seconds", "network_seed", "data_seed"),
]


def pool(
    sweeps: Sequence[Sweep], cells: Mapping[str, tuple[CellRecord, Sequence[Sweep]]]
) -> pd.DataFrame:
    """Return the trials of sweeps with the columns ``LIGHT``, ``sweep``, ``trial``, ``cell``
    and ``random``.

    The rows are ordered by sweep, cell and index of the configuration. A trial that several sweeps
    share is kept once.

    Args:
        sweeps: sweeps whose ledgers are read.
        cells: record of each cell by its id, and the sweeps that have it.
    """
    frames = []
    for sweep in sweeps:
        own_cells = [cell for cell, (_, owners) in cells.items() if sweep in owners]
        frame = sweep.trials(LIGHT, cells=own_cells).drop(columns="sequence")
        # Files may have been copied from another sweep, so the folder decides the sweep's name.
        frame = frame.assign(sweep=sweep.name, random=sweep.random)
        order = pd.Categorical(frame["cell"], own_cells)
        frames.append(frame.assign(_cell=order).sort_values(["_cell", "index"]))
    pooled = concatenated(frames)
    if len(sweeps) > 1:
        pooled = _once(pooled, sweeps)
    return pooled.drop(columns="_cell", errors="ignore").reset_index(drop=True)


def _once(pooled: pd.DataFrame, sweeps: Sequence[Sweep]) -> pd.DataFrame:
    """Return the rows with one row for each trial that several sweeps share.

    The row that did not err is kept, then the one that was trained further, then the first.
    """
    key = ["cell", "index", "network_seed", "data_seed"]
    shared = pooled[pooled.duplicated(key, keep=False)]
    if shared.empty:
        return pooled
    # A search that learns may have given the same index another configuration: such trials are
    # different ones.
    configurations = [
        sweep.trials(["configuration"], set(rows["trial"]), set(rows["cell"])).assign(
            sweep=sweep.name
        )[["sweep", "trial", "configuration"]]
        for sweep in sweeps
        if len(rows := shared[shared["sweep"] == sweep.name])
    ]
    shared = shared.assign(_row=shared.index, _errored=shared["outcome"] == "errored")
    shared = shared.merge(concatenated(configurations), on=["sweep", "trial"])
    ranked = shared.sort_values(["_errored", "step", "_row"], ascending=[True, False, True])
    superseded = ranked.loc[ranked.duplicated([*key, "configuration"]), "_row"]
    return pooled[~pooled.index.isin(superseded)]


def concatenated(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of all frames; without a frame, an empty frame with the columns of trials."""
    filled = [frame for frame in frames if len(frame)]
    if filled:
        return pd.concat(filled, ignore_index=True)
    if frames:
        return frames[0]
    texts = dict.fromkeys(("sweep", "trial", "cell", "outcome", "random"), object)
    kinds = {name: texts.get(name, float) for name in (*texts, *LIGHT)}
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})
