"""Tabulates the bits that networks store per parameter (capacity paper, Figures 1 and A.1)."""

import json
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.views.study.fits import line
from orchestrator.views.study.searches import (
    interval,
    is_capacity,
    missing,
    outcome_counts,
    search,
)
from orchestrator.views.study.study import CELL, StudiedCell, Study
from orchestrator.views.tables.published_numbers import published
from orchestrator.views.tables.table import NOTHING, Table, behind, between, number


def capacity(study: Study) -> Table:
    """Tabulate Figures 1 and A.1 of the capacity paper, one row for each cell of
    perceptron_capacity.

    The stored bits are the mutual information of labels and answers (equation 22) of the best
    completed trial, which is chosen by the same on the validation set. Bits per parameter are the
    stored bits over the parameter count, with the middle 95 % over random halves of the trials. The
    number of samples is the one that the search chose, which the paper found only slightly larger
    than the number of stored bits; ``most_samples`` is the largest among all completed trials.
    """
    columns = [*CELL, "unrolled_steps", "hidden", "parameters", "sweep", "trial", *_STORED]
    columns += ["networks", *_PUBLISHED, "completed", "infeasible", "stopped", "errored"]
    cells = [cell for cell in study.cells if is_capacity(cell)]
    tidy = pd.DataFrame([_row(study, cell) for cell in cells], columns=columns)
    shown = tidy[[*CELL, "parameters"]].assign(
        **{
            "stored bits": [*map(number, tidy["bits"])],
            "bits a parameter": [*map(number, tidy["bits_per_parameter"])],
            "samples": [*map(number, tidy["samples"])],
            "samples a bit": [*map(number, tidy["samples_per_bit"])],
            "published": _shown_published(tidy),
            "trials": [*map(behind, tidy.to_dict("records"))],
        }
    )
    return Table(
        name="capacity",
        title="Stored bits of the best trial, and the number of samples it was given",
        tidy=tidy,
        shown=shown,
        index=len(CELL),
        notes=(
            "Published: bits a parameter of the capacity paper (claims C1 to C3) at its unrolled "
            "steps and depths; it found the best number of samples only slightly larger than the "
            "stored bits (C9).",
            *_mean_of_papers(tidy),
            *missing(zip(cells, tidy["bits"], strict=True)),
        ),
        references=("capacity",),
    )


def _mean_of_papers(tidy: pd.DataFrame) -> list[str]:
    """Return a note with the mean over all architectures, sizes and depths beside the paper's."""
    same = tidy[tidy["published_low"].notna() & tidy["bits"].notna()]
    if same.empty:
        return []
    mean = number(same["bits_per_parameter"].mean())
    return [f"Mean over {len(same)} cells that are the paper's: {mean}; the paper's: about 5."]


_STORED = [
    *("bits", "bits_per_parameter", "bits_per_parameter_low", "bits_per_parameter_high"),
    *("samples", "samples_per_parameter", "samples_per_bit", "most_samples"),
]
_PUBLISHED = ["published_low", "published_high", "published_about"]


def _row(study: Study, cell: StudiedCell) -> dict[str, Any]:
    row: dict[str, Any] = {
        **cell.place,
        "unrolled_steps": study.task(cell.id).length,
        "hidden": cell.hidden,
        "parameters": cell.parameters,
        "networks": 0,
        **published_bits(study, cell),
        **outcome_counts(cell),
    }
    best = study.best(cell.id)
    if best is None:
        return row
    bits = best["evaluation_metric"]
    samples = _samples(best["further"])
    trials = study.details(["outcome", "further"], [cell.id])
    completed = trials.loc[trials["outcome"] == "completed", "further"]
    low, high = interval(search(study, cell).resampled / cell.parameters)
    return row | {
        "sweep": best["sweep"],
        "trial": best["trial"],
        "bits": bits,
        "bits_per_parameter": bits / cell.parameters,
        "bits_per_parameter_low": low,
        "bits_per_parameter_high": high,
        "samples": samples,
        "samples_per_parameter": samples / cell.parameters,
        "samples_per_bit": samples / bits if bits > 0 else np.nan,
        "most_samples": completed.map(_samples).max(),
        "networks": int(pd.notna(best["lane_evaluation_metrics"]).sum()),
    }


def _samples(further: Any) -> float:
    """Return the number of samples in a trial's column ``further``; nan where it has none."""
    return float(json.loads(further).get("samples", np.nan)) if isinstance(further, str) else np.nan


def published_bits(study: Study, cell: StudiedCell) -> dict[str, float]:
    """Return the capacity paper's bits per parameter for a cell.

    Returns:
        ``published_low``, ``published_high`` and ``published_about``; nan where the paper has no
        such cell.
    """
    architecture = cell.record["architecture"]
    options = dict(architecture["options"])
    nonlinearity = options.pop("nonlinearity", "searched")
    paper = papers_bits()
    match = paper[
        (paper["architecture"] == architecture["name"]) & (paper["nonlinearity"] == nonlinearity)
    ]
    depths = (1,) if nonlinearity == "relu" else (1, 2, 4)  # Figure 2a has one layer
    same = study.papers_task(cell.id) == "perceptron_capacity" and cell.depth in depths
    if options or not same or match.empty:
        return dict.fromkeys(_PUBLISHED, np.nan)
    return {name: float(match[name.removeprefix("published_")].iloc[0]) for name in _PUBLISHED}


@cache
def papers_bits() -> pd.DataFrame:
    """Return the capacity paper's bits per parameter, read once for all cells."""
    return published("capacity_bits_per_parameter").fillna({"nonlinearity": "searched"})


def _shown_published(tidy: pd.DataFrame) -> list[str]:
    texts = []
    for low, high, about in tidy[_PUBLISHED].itertuples(index=False):
        limits = between(low, high)
        about = number(about)
        texts.append(about if limits == NOTHING else f"{limits}, about {about}")
    return texts


def capacity_slopes(study: Study) -> Table:
    """Tabulate how stored bits grow with parameters (capacity paper, Figure 1a to 1d).

    There is one row for each task, architecture and depth. The slope is that of the least-squares
    line of the best trials' bits against parameter counts over all sizes, with 95 % limits by
    Student's t. The exponent is the slope of the same line in logarithms: 1 where bits are
    proportional to parameters, as the paper found (claim C1).
    """
    cells = capacity(study).tidy
    rows = []
    for place, group in cells.groupby(["task", "architecture", "depth"], sort=False):
        row: dict[str, Any] = dict(zip(("task", "architecture", "depth"), place, strict=True))
        stored = group.dropna(subset="bits")
        parameters, bits = (stored[name].to_numpy(dtype=float) for name in ("parameters", "bits"))
        straight = line(parameters, bits)
        positive = (bits > 0).all()
        power = line(np.log(parameters), np.log(bits)) if positive else line(bits[:0], bits[:0])
        row |= {
            "sizes": straight.points,
            "least_parameters": parameters.min() if len(stored) else np.nan,
            "most_parameters": parameters.max() if len(stored) else np.nan,
            "slope": straight.slope,
            "slope_low": straight.low,
            "slope_high": straight.high,
            "intercept": straight.intercept,
            "exponent": power.slope,
            "exponent_low": power.low,
            "exponent_high": power.high,
            "trials": int(group["completed"].sum()),
            **group[_PUBLISHED].iloc[0],
        }
        rows.append(row)
    tidy = pd.DataFrame(rows)
    return Table(
        name="capacity_slopes",
        title="Stored bits against parameters",
        tidy=tidy,
        shown=_slopes_shown(tidy),
        index=3,
        notes=(
            "Slope: bits that one more parameter stores; exponent: 1 where bits are proportional "
            "to parameters. 95 % limits by Student's t.",
            "'-': a slope needs two sizes with a completed trial, its limits three, an exponent "
            "positive bits; no published number where the cell is not the paper's.",
        ),
        references=("capacity", "student"),
    )


def _slopes_shown(tidy: pd.DataFrame) -> pd.DataFrame:
    if tidy.empty:
        return tidy
    limits = {
        name: [
            between(low, high)
            for low, high in zip(tidy[f"{name}_low"], tidy[f"{name}_high"], strict=True)
        ]
        for name in ("slope", "exponent")
    }
    return tidy[["task", "architecture", "depth", "sizes"]].assign(
        **{
            "slope": [*map(number, tidy["slope"])],
            "95 % limits": limits["slope"],
            "exponent": [*map(number, tidy["exponent"])],
            "its 95 % limits": limits["exponent"],
            "published": _shown_published(tidy),
        }
    )
