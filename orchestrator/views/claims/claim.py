"""Defines claims: published statements, and what a sweep says about them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import pandas as pd

Frames = Mapping[str, pd.DataFrame]  # tidy tables by name; a table without a row is absent
Place = tuple[str, int, int, str]  # task, depth, budget and architecture of a cell


class Verdict(StrEnum):
    """Names what a sweep says about a claim."""

    CONFIRMED = "confirmed"
    CONTRADICTED = "contradicted"
    UNDECIDED = "undecided"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Estimate:
    """Holds a measured quantity with its 95 % interval.

    Attributes:
        value: the estimate; nan where there is none.
        low: lower 95 % limit; nan where too few observations bear an interval.
        high: upper 95 % limit, likewise.
        count: number of observations that the interval rests on, in ``unit``.
        unit: what is counted, in the plural, such as ``trials a cell`` or ``networks``.
        least: fewest observations with which there is an interval.
        df: degrees of freedom of Student's distribution that the limits come from; infinite where
            they come from a normal distribution or from resampling.
    """

    value: float
    low: float
    high: float
    count: int
    unit: str
    least: int
    df: float = np.inf

    @property
    def has_interval(self) -> bool:
        """Return whether the value and both limits are numbers."""
        return not np.isnan([self.value, self.low, self.high]).any()


@dataclass(frozen=True)
class Effort:
    """Holds how long a search was whose result only improves with its length.

    A value that a longer search moves towards what is claimed contradicts the claim only if the
    search was as long as the paper's.

    Attributes:
        direction: 1 if a longer search can only raise the quantity, -1 if it can only lower it.
        trials: completed trials of the cell that has the fewest.
        papers_trials: number of trials of a cell in the paper.
    """

    direction: int
    trials: int
    papers_trials: int


@dataclass(frozen=True)
class Part:
    """Holds one quantity that a claim makes a statement about, and the values that it allows.

    A difference that is claimed allows one side of a bound: the other end is infinite. Equality
    allows the values within a margin.

    Attributes:
        quantity: what is measured, in words.
        estimate: the measured quantity.
        low: least value that the claim allows.
        high: greatest value that it allows.
        shares: whether the quantity is a share or a difference of shares, shown in percent.
        effort: how long the search was, where its length moves the quantity one way alone.
    """

    quantity: str
    estimate: Estimate
    low: float = -np.inf
    high: float = np.inf
    shares: bool = False
    effort: Effort | None = None


@dataclass(frozen=True)
class Evidence:
    """Holds what a sweep measured of a claim. The claim is that all parts hold.

    Attributes:
        parts: the quantities; without one the claim is not measured.
        places: the cells that they come from.
        lacking: what must be measured besides, in words, before the claim can be confirmed.
    """

    parts: tuple[Part, ...] = ()
    places: frozenset[Place] = frozenset()
    lacking: tuple[str, ...] = ()


Test = Callable[[Frames], Evidence]


@dataclass(frozen=True)
class Claim:
    """Holds a published statement and the test that decides whether a sweep confirms it.

    Attributes:
        name: name on the command line and in files; it never changes.
        statement: the statement as published, shortened.
        paper: key of the paper, see :data:`orchestrator.views.references.REFERENCES`.
        place: where the paper makes it, such as ``Figure 1``.
        rule: the rule of the verdict in one or two sentences; ``docs/science.md`` has it too.
        papers_scale: at which scale the paper measured it.
        sweeps: files of the shipped sweeps that measure it.
        test: measures the claim on the tidy tables of a study.
    """

    name: str
    statement: str
    paper: str
    place: str
    rule: str
    papers_scale: str
    sweeps: tuple[str, ...]
    test: Test = field(repr=False)


@dataclass(frozen=True)
class Scale:
    """Holds at which scale a claim was measured.

    Attributes:
        cells: number of cells.
        parameters: least and greatest parameter count.
        steps: least and greatest number of training steps of a trial.
        trials: least and greatest number of trials of a cell that did not err.
        networks: least and greatest number of networks of a best trial.
    """

    cells: int
    parameters: tuple[int, int]
    steps: tuple[int, int]
    trials: tuple[int, int]
    networks: tuple[int, int]


@dataclass(frozen=True)
class PartFinding:
    """Holds a part of a claim and its verdict.

    Attributes:
        part: the part.
        verdict: its verdict; a contradiction is corrected for the number of parts.
        would_decide: what would decide it; empty unless it is undecided.
    """

    part: Part
    verdict: Verdict
    would_decide: str = ""


@dataclass(frozen=True)
class Finding:
    """Holds what a sweep says about a claim.

    Attributes:
        claim: the claim.
        verdict: the verdict.
        parts: what was measured; empty if nothing was.
        would_decide: what would decide the claim, as a sentence; empty if it is decided.
        scale: at which scale it was measured; None if it was not.
    """

    claim: Claim
    verdict: Verdict
    parts: tuple[PartFinding, ...]
    would_decide: str
    scale: Scale | None
