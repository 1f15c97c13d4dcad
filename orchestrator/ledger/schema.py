"""Defines the columns of the three datasets of a ledger, a file format that has a version.

- ``starts`` has a row for each time that the driver gave a trial to Tune to be trained.
- ``results`` has a row for each report of a trial.
- ``trials`` has a row for each end of a trial.

All are partitioned by cell, hive style (``trials/cell=<id>/part-*.parquet``). The column ``cell``
is therefore not stored in the files; readers of such datasets take it from the paths.

A trial that is run again, for instance after an error, can have several rows of ``starts`` and of
``trials``, and several rows of ``results`` for one step. The row with the highest ``sequence``
counts.

A column is null only where its comment says so. Numbers that do not exist are null, never NaN. List
columns have one entry for each lane of the trial, in the order of the lanes.
"""

from typing import Literal

import pyarrow as pa

VERSION = 3
VERSION_KEY = b"soundings.ledger.version"

_LANES = pa.list_(pa.float64())

# The numbers of a report. They stand in its row of ``results``, and the row of ``trials`` repeats
# those of the trial's last report. If a trial ends without a report, ``step`` is 0 in its row of
# ``trials`` and the other columns are null.
#
# The loss of a trial is the mean over its lanes, in which a lane without a number counts as the
# divergence threshold; its metric is the mean over the lanes with a number. A lane has no number if
# it is infeasible, and none on a set on which its loss exceeds the divergence threshold or is not
# finite. Loss and metric are null if no lane has a number. Losses have no unit but that of the
# task's loss function; the column ``metric`` of ``trials`` names the unit of metrics.
MEASURES: tuple[tuple[str, pa.DataType], ...] = (
    ("step", pa.int64()),  # training steps done when the trial reported
    # What search and early stopping see, less is better: the validation loss, or the validation
    # metric, negated if a higher metric is better. In this mean of the metric an infeasible lane
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

Dataset = Literal["results", "trials", "starts"]

# In the order in which a flush writes them, so that after a crash a trial that has its row of
# ``trials`` has all its reports, and a trial that has reports has its start.
DATASETS: dict[Dataset, pa.Schema] = {"starts": STARTS, "results": RESULTS, "trials": TRIALS}
# The columns that identify what a row is about. Of several rows with the same values the one with
# the highest ``sequence`` counts.
KEYS: dict[Dataset, list[str]] = {
    "results": ["trial", "step"],
    "trials": ["trial"],
    "starts": ["trial"],
}
