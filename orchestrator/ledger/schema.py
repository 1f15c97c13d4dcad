"""Defines the columns of the four datasets of a ledger, a file format that has a version.

- ``starts`` has a row for each time that the driver gave a trial to Tune to be trained.
- ``results`` has a row for each report of a trial.
- ``trials`` has a row for each end of a trial.
- ``diagnostics`` has a row for each quantity that was diagnosed of a network.

All are partitioned by cell, hive style (``trials/cell=<id>/part-*.parquet``). The column ``cell``
is therefore not stored in the files; readers of such datasets take it from the paths.

A trial that is run again, for instance after an error, can have several rows of ``starts`` and of
``trials``, and several rows of ``results`` for one step. The row with the highest ``sequence``
counts.

Version 4 added ``diagnostics`` and the columns ``best_*`` of ``trials``. In files of version 3
these columns are missing; :class:`orchestrator.ledger.Ledger` computes them from ``results``.

A column is null only where its comment says so. Numbers that do not exist are null, never NaN. List
columns have one entry for each lane of the trial, in the order of the lanes.
"""

from typing import Literal

import pyarrow as pa

VERSION = 4
READ_VERSIONS = (3, 4)
VERSION_KEY = b"soundings.ledger.version"

_LANES = pa.list_(pa.float64())

# The numbers of a report. They stand in its row of ``results``, and the row of ``trials`` repeats
# those of the trial's last report. If a trial ends without a report, ``step`` is 0 in its row of
# ``trials`` and the other columns are null. The columns ``best_*`` of ``trials`` repeat those of
# its best report, which is the first one with the lowest objective; if no report has an objective,
# ``best_step`` is 0 and the others are null.
#
# The loss of a trial is the mean over its lanes, in which a lane without a number counts as the
# divergence threshold; its metric is the mean over the lanes with a number. A lane has no number if
# it is infeasible, and none on a set on which its loss exceeds the divergence threshold or is not
# finite. Loss and metric are null if no lane has a number. Losses have no unit but that of the
# task's loss function; the column ``metric`` of ``trials`` names the unit of metrics.
MEASURES: tuple[tuple[str, pa.DataType], ...] = (
    ("step", pa.int64()),  # training steps done when the trial reported
    # What search and early stopping see, less is better: the validation loss, or the validation
    # metric, negated if a higher metric is better. If the trial is judged by its best report
    # (training.report), the lowest one so far. In this mean of the metric an infeasible lane
    # counts with the metric of the baseline. Null if no lane has a number.
    ("objective", pa.float64()),
    ("training_loss", pa.float64()),  # loss on the last batch that each lane trained on
    ("validation_loss", pa.float64()),  # loss on the validation set
    ("evaluation_loss", pa.float64()),  # loss on the evaluation set, which decides nothing
    ("validation_metric", pa.float64()),  # metric on the validation set
    ("evaluation_metric", pa.float64()),  # metric on the evaluation set
    # JSON object, name -> value, of further measures that follow from the evaluation metric, such
    # as "bits_per_parameter". Null if the task has none, or if every lane is infeasible.
    ("further", pa.string()),
    # The same losses and metrics lane by lane. An entry is null if the lane has no number.
    ("lane_validation_losses", _LANES),
    ("lane_evaluation_losses", _LANES),
    ("lane_validation_metrics", _LANES),
    ("lane_evaluation_metrics", _LANES),
    # Training step at which each lane became infeasible. An entry is null if the lane is feasible.
    ("lane_infeasible_at", pa.list_(pa.int64())),
)

# Columns that ``trials`` has for the best report, too, by their names in a report.
BEST: dict[str, str] = {
    name: f"best_{name}"
    for name, _ in MEASURES
    if name not in ("training_loss", "lane_infeasible_at")
}


def _schema(*fields: tuple[str, pa.DataType]) -> pa.Schema:
    return pa.schema(fields, metadata={VERSION_KEY: str(VERSION).encode()})


TRIALS = _schema(
    ("sweep", pa.string()),  # name of the sweep
    ("trial", pa.string()),  # name of the trial, unique in the sweep
    # Position of the row in the order in which the driver added rows, with one count for all
    # datasets and all runs of the sweep.
    ("sequence", pa.int64()),
    ("index", pa.int64()),  # number of the configuration inside its cell, from 0
    ("task", pa.string()),  # name and given options, such as "parentheses(length=20)"
    ("architecture", pa.string()),  # name and given options
    ("depth", pa.int64()),  # number of layers
    ("budget", pa.int64()),  # largest parameter count that the cell allows
    ("hidden", pa.int64()),  # hidden width: units per layer
    ("parameters", pa.int64()),  # parameter count of one network
    ("configuration", pa.string()),  # JSON object: hyperparameter -> value
    ("outcome", pa.string()),  # completed, stopped, infeasible or errored
    ("metric", pa.string()),  # name of the task's metric, such as accuracy, rms or bits
    # Loss of a predictor that ignores its input; this and the next are null if the trial errored
    # because the task, one of the user's own, could not name them.
    ("baseline_loss", pa.float64()),
    ("baseline_metric", pa.float64()),  # metric of that predictor
    *MEASURES,
    *((BEST[name], kind) for name, kind in MEASURES if name in BEST),
    # Seconds of training and evaluation: the sum over all reports of the trial. Time in which the
    # trial waited is not included. 0 if it made no report.
    ("seconds", pa.float64()),
    ("error", pa.string()),  # traceback of an errored trial; null for any other outcome
    ("network_seed", pa.int64()),  # seed of the initial weights
    ("data_seed", pa.int64()),  # seed of the batches and of the validation and evaluation sets
    # JSON object, package -> version, of Python, soundings, torch, ray and numpy on the driver.
    ("versions", pa.string()),
    ("host", pa.string()),  # name of the host of the last report; null if there was none
    ("ended", pa.timestamp("us", tz="UTC")),  # time at which the driver recorded the end
)

RESULTS = _schema(
    ("sweep", pa.string()),  # name of the sweep
    ("trial", pa.string()),  # name of the trial
    ("sequence", pa.int64()),  # position of the row, counted as in ``trials``
    *MEASURES,
    # Seconds of training and evaluation since the trial's previous report or, for the first one,
    # since its first step.
    ("seconds", pa.float64()),
    ("host", pa.string()),  # name of the host that trained it
    ("reported", pa.timestamp("us", tz="UTC")),  # time at which the driver received the report
)

STARTS = _schema(
    ("sweep", pa.string()),  # name of the sweep
    ("trial", pa.string()),  # name of the trial
    ("sequence", pa.int64()),  # position of the row, counted as in ``trials``
    ("index", pa.int64()),  # number of the configuration inside its cell, from 0
    # JSON object: hyperparameter -> value. If a search proposes configurations, this is the only
    # record of the configuration until the trial ends.
    ("configuration", pa.string()),
    ("run", pa.string()),  # unique name of the run, one call of a command, that started the trial
    ("started", pa.timestamp("us", tz="UTC")),  # time at which the driver gave the trial to Tune
)

DIAGNOSTICS = _schema(
    ("sweep", pa.string()),  # name of the sweep
    ("trial", pa.string()),  # name of the trial
    ("sequence", pa.int64()),  # position of the row, counted as in ``trials``
    ("step", pa.int64()),  # training steps done before; 0 for the untrained network
    ("lane", pa.int64()),  # number of the network in its trial, from 0
    ("layer", pa.int64()),  # number of the layer, from 0; -1 for the whole network
    ("quantity", pa.string()),  # name of the quantity, see :mod:`trainables.diagnostics`
    # Its values. An entry is null if it is no number; minus infinity is the exponent of a direction
    # that a step removes.
    ("values", _LANES),
    ("samples", pa.int64()),  # number of samples of the evaluation set that were used
    # Seconds that its measurement took, shared out evenly among the networks and layers of a trial.
    ("seconds", pa.float64()),
    ("host", pa.string()),  # name of the host that computed it
    ("reported", pa.timestamp("us", tz="UTC")),  # time at which the driver received it
)

Dataset = Literal["results", "trials", "starts", "diagnostics"]

# In the order in which a flush writes them, so that after a crash a trial that has its row of
# ``trials`` has all its reports, and a trial that has reports has its start.
DATASETS: dict[Dataset, pa.Schema] = {
    "starts": STARTS,
    "diagnostics": DIAGNOSTICS,
    "results": RESULTS,
    "trials": TRIALS,
}
# The columns that identify what a row is about. Of several rows with the same values the one with
# the highest ``sequence`` counts.
KEYS: dict[Dataset, list[str]] = {
    "results": ["trial", "step"],
    "trials": ["trial"],
    "starts": ["trial"],
    "diagnostics": ["trial", "step", "lane", "layer", "quantity"],
}
