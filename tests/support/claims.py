"""Judges claims on sweeps that tests write by hand."""

import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.plan.cells import Cell
from orchestrator.views.claims import CLAIMS, Finding
from orchestrator.views.claims.judging import judge
from orchestrator.views.study.study import Study
from orchestrator.views.tables import TABLES
from tests.support.studies import Folder, completed

Ends = Callable[[Cell], Iterable[dict[str, Any]]]


def found(study: Study, claim: str, *tables: str) -> Finding:
    """Return what a study says about a claim.

    Args:
        study: the study.
        claim: name of the claim.
        tables: names of the tables that the claim is tested on, beside ``parameter_matched``.
    """
    built = [TABLES[name](study) for name in ("parameter_matched", *tables)]
    return judge(CLAIMS[claim], {table.name: table.tidy for table in built if len(table.tidy)})


def filled(results: Path, ends: Ends, samples: int = 24, **changes: Any) -> Folder:
    """Return the folder of a sweep whose cells have the trials that ``ends`` returns for them.

    Args:
        results: results folder.
        ends: returns the end of each trial of a cell; at most ``samples``.
        samples: number of trials that the sweep plans for each cell.
        changes: keys of the sweep file that replace those of the small sweep.
    """
    defaults = {"search": {"samples": samples}, "replicates": 1}
    folder = Folder.of(results, **{**defaults, **changes})
    rows: dict[str, dict[str, Any]] = {}
    for cell in folder.plan.cells:
        rows |= {f"{cell.id}_{number:05d}": end for number, end in enumerate(ends(cell))}
    folder.write(rows)
    return folder


def scattered(cell: Cell, count: int, spread: float, better: int = -1) -> list[float]:
    """Return factors that scatter like the results of a search, the best first, which is 1.

    Args:
        cell: cell whose id is the seed.
        count: number of factors.
        spread: deviation of their logarithms.
        better: 1 if more is better, -1 if less is.
    """
    chance = np.random.default_rng(zlib.crc32(cell.id.encode()))
    factors = np.sort(np.exp(spread * chance.standard_normal(count)))[::-better]
    return [float(factor / factors[0]) for factor in factors]


def losing(loss: Callable[[Cell], float], trials: int = 12, spread: float = 0.01) -> Ends:
    """Return ends of cells in which the best of some completed trials has a loss.

    Args:
        loss: returns the loss of the best trial of a cell.
        trials: number of trials of each cell.
        spread: deviation of the logarithms of their losses.
    """

    def ends(cell: Cell) -> Iterable[dict[str, Any]]:
        for factor in scattered(cell, trials, spread):
            value = loss(cell) * factor
            yield completed(value, value, lanes=[value])

    return ends
