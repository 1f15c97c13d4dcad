"""Trials of several sweeps together, each once."""

from collections.abc import Mapping, Sequence

import pandas as pd

from orchestrator.views.study.sweeps import Definition, Sweep

# Of every trial; of some there is more, see Study.details.
LIGHT = [
    *("index", "outcome", "step", "objective", "validation_loss", "evaluation_loss"),
    *("evaluation_metric", "seconds", "network_seed", "data_seed"),
]


def pool(
    sweeps: Sequence[Sweep], cells: Mapping[str, tuple[Definition, Sequence[Sweep]]]
) -> pd.DataFrame:
    """The trials of some sweeps in some cells, each once, with the columns ``LIGHT``.

    Sweep by sweep, cell by cell, in the order of the configurations.
    """
    frames = []
    for sweep in sweeps:
        there = [cell for cell, (_, owners) in cells.items() if sweep in owners]
        frame = sweep.ledger.trials(LIGHT, cells=there).drop(columns="sequence")
        # A file may have been copied from elsewhere: the folder says what sweep this is.
        frame = frame.assign(sweep=sweep.name, random=sweep.random)
        order = pd.Categorical(frame["cell"], there)
        frames.append(frame.assign(_cell=order).sort_values(["_cell", "index"]))
    pooled = concatenated(frames)
    if len(sweeps) > 1:
        pooled = _once(pooled, sweeps)
    return pooled.drop(columns="_cell", errors="ignore").reset_index(drop=True)


def _once(pooled: pd.DataFrame, sweeps: Sequence[Sweep]) -> pd.DataFrame:
    """Without trials that are those of another sweep again."""
    key = ["cell", "index", "network_seed", "data_seed"]
    twice = pooled[pooled.duplicated(key, keep=False)]
    if twice.empty:
        return pooled
    # A search that learns may have given the same place another configuration.
    configurations = [
        sweep.ledger.trials(["configuration"], set(rows["trial"]), set(rows["cell"])).assign(
            sweep=sweep.name
        )[["sweep", "trial", "configuration"]]
        for sweep in sweeps
        if len(rows := twice[twice["sweep"] == sweep.name])
    ]
    twice = twice.assign(_row=twice.index, _errored=twice["outcome"] == "errored")
    twice = twice.merge(concatenated(configurations), on=["sweep", "trial"])
    ranked = twice.sort_values(["_errored", "step", "_row"], ascending=[True, False, True])
    again = ranked.loc[ranked.duplicated([*key, "configuration"]), "_row"]
    return pooled[~pooled.index.isin(again)]


def concatenated(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The frames below each other; without one, an empty frame of trials."""
    there = [frame for frame in frames if len(frame)]
    if there:
        return pd.concat(there, ignore_index=True)
    if frames:
        return frames[0]
    texts = dict.fromkeys(("sweep", "trial", "cell", "outcome", "random"), object)
    kinds = {name: texts.get(name, float) for name in (*texts, *LIGHT)}
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})
