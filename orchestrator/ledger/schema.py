"""The three datasets of a ledger, column by column.

``starts`` has a row each time a trial was given out to be trained, ``results`` a row each time one
reported, ``trials`` a row each time one ended. All are partitioned by cell, hive style
(``trials/cell=<id>/part-*.parquet``), so ``cell`` is a column of the dataset and stands in the
paths. A trial that errored and ran again has a row of ``trials`` again: the row with the highest
``sequence`` counts.

A loss or metric is null where there is none (an infeasible network, an errored trial).
"""

from typing import Literal

import pyarrow as pa

VERSION = 3
VERSION_KEY = b"soundings.ledger.version"

_LANES = pa.list_(pa.float64())

# What a report says and what a trial's row repeats of its last report.
MEASURES: tuple[tuple[str, pa.DataType], ...] = (
    ("step", pa.int64()),  # training steps done
    ("objective", pa.float64()),  # what search and early stopping saw; less is better
    ("training_loss", pa.float64()),
    ("validation_loss", pa.float64()),  # mean over lanes, see docs/science.md
    ("evaluation_loss", pa.float64()),
    ("validation_metric", pa.float64()),
    ("evaluation_metric", pa.float64()),
    ("further", pa.string()),  # JSON object: what follows from the evaluation metric -> value
    ("lane_validation_losses", _LANES),
    ("lane_evaluation_losses", _LANES),
    ("lane_validation_metrics", _LANES),
    ("lane_evaluation_metrics", _LANES),
    ("lane_infeasible_at", pa.list_(pa.int64())),  # training step, null while feasible
)


def _schema(*fields: tuple[str, pa.DataType]) -> pa.Schema:
    return pa.schema(fields, metadata={VERSION_KEY: str(VERSION).encode()})


TRIALS = _schema(
    ("sweep", pa.string()),
    ("trial", pa.string()),  # unique in the sweep
    ("sequence", pa.int64()),  # order in which the driver learnt of it, over all runs
    ("index", pa.int64()),  # of the configuration inside its cell
    ("task", pa.string()),  # label: name and given options
    ("architecture", pa.string()),  # label: name and given options
    ("depth", pa.int64()),
    ("budget", pa.int64()),
    ("hidden", pa.int64()),
    ("parameters", pa.int64()),
    ("configuration", pa.string()),  # JSON object: hyperparameter -> value
    ("outcome", pa.string()),  # completed, stopped, infeasible, errored
    ("metric", pa.string()),  # what the metrics are: accuracy, rms, bits
    ("baseline_loss", pa.float64()),  # of a predictor that ignores its input
    ("baseline_metric", pa.float64()),
    *MEASURES,
    ("seconds", pa.float64()),  # training and evaluation, without waiting
    ("error", pa.string()),  # traceback of an errored trial
    ("network_seed", pa.int64()),
    ("data_seed", pa.int64()),
    ("versions", pa.string()),  # JSON object: package -> version
    ("host", pa.string()),
    ("ended", pa.timestamp("us", tz="UTC")),
)

RESULTS = _schema(
    ("sweep", pa.string()),
    ("trial", pa.string()),
    ("sequence", pa.int64()),
    *MEASURES,
    ("seconds", pa.float64()),  # since the report before
    ("host", pa.string()),
    ("reported", pa.timestamp("us", tz="UTC")),
)

STARTS = _schema(
    ("sweep", pa.string()),
    ("trial", pa.string()),
    ("sequence", pa.int64()),
    ("index", pa.int64()),
    ("configuration", pa.string()),  # JSON object; of a search that learns, it is decided here
    ("run", pa.string()),  # of the command that gave it out
    ("started", pa.timestamp("us", tz="UTC")),
)

Dataset = Literal["results", "trials", "starts"]

# In the order in which they are written: a trial that has its row has all its results, and one
# that has results has its start.
DATASETS: dict[Dataset, pa.Schema] = {"starts": STARTS, "results": RESULTS, "trials": TRIALS}
KEYS: dict[Dataset, list[str]] = {
    "results": ["trial", "step"],
    "trials": ["trial"],
    "starts": ["trial"],
}
