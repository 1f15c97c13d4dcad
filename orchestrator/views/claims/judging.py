"""Decides claims: the verdict of each part, their conjunction, and what would decide the rest."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from orchestrator.views.claims.claim import (
    Claim,
    Evidence,
    Finding,
    Frames,
    Part,
    PartFinding,
    Place,
    Scale,
    Verdict,
)
from orchestrator.views.study.statistics import CONFIDENCE, holm
from orchestrator.views.study.study import CELL

LEVEL = 1 - CONFIDENCE
FAR = 100  # with a larger factor of observations, the value lies at the margin
NAMED = 3  # largest number of undecided parts that a sentence names


def judge(claim: Claim, frames: Frames) -> Finding:
    """Return what a study says about a claim.

    A part is confirmed if its 95 % interval lies in the range that the claim allows, contradicted
    if it lies outside, and else undecided. The claim is confirmed if all its parts are, which
    needs no correction (each must hold at the same level), and if nothing is lacking. It is
    contradicted if one part is, at a level that Holm's method corrects for the number of parts: no
    single noisy part among many contradicts a claim.

    Args:
        claim: the claim.
        frames: tidy tables of the study by name.
    """
    evidence = claim.test(frames)
    if not evidence.parts:
        return Finding(claim, Verdict.NOT_MEASURED, (), _measured_by(claim), None)
    parts = judged(evidence.parts)
    verdicts = {one.verdict for one in parts}
    if Verdict.CONTRADICTED in verdicts:
        verdict, would = Verdict.CONTRADICTED, ""
    elif verdicts == {Verdict.CONFIRMED} and not evidence.lacking:
        verdict, would = Verdict.CONFIRMED, ""
    else:
        verdict, would = Verdict.UNDECIDED, _would_decide(parts, evidence)
    return Finding(claim, verdict, parts, would, _scale(evidence.places, frames))


def judged(parts: Sequence[Part]) -> tuple[PartFinding, ...]:
    """Return the verdict of each part of a claim."""
    against = holm([_p_outside(part) for part in parts])
    return tuple(
        _judged(part, p, len(parts)) for part, p in zip(parts, map(float, against), strict=True)
    )


def _judged(part: Part, p: float, parts: int) -> PartFinding:
    """Return the verdict of a part.

    Args:
        part: the part.
        p: corrected p value of the value lying outside of what is claimed.
        parts: number of parts of the claim.
    """
    estimate = part.estimate
    if not estimate.has_interval:
        return PartFinding(part, Verdict.UNDECIDED, _fewest(part))
    if part.low < estimate.low and estimate.high < part.high:
        return PartFinding(part, Verdict.CONFIRMED)
    if p <= LEVEL:
        if longer := _longer_search(part):
            return PartFinding(part, Verdict.UNDECIDED, longer)
        return PartFinding(part, Verdict.CONTRADICTED)
    return PartFinding(part, Verdict.UNDECIDED, _more(part, parts))


def _longer_search(part: Part) -> str:
    """Return that a longer search is needed, if it could bring the value to what is claimed."""
    effort, value = part.effort, part.estimate.value
    if effort is None or effort.trials >= effort.papers_trials:
        return ""
    raises = effort.direction > 0
    if (raises and value > part.high) or (not raises and value < part.low):
        return ""
    return (
        f"a search as long as the paper's, {effort.papers_trials:,} trials a cell instead of "
        f"{effort.trials:,}, for a longer one can only {'raise' if raises else 'lower'} it"
    )


def _p_outside(part: Part) -> float:
    """Return the two-sided p value of the hypothesis that the value lies at the nearest bound.

    It is 0.05 where the limit meets the bound. It is 1 for a value within what is claimed or at its
    bound, and nan without an interval.
    """
    estimate = part.estimate
    if not estimate.has_interval:
        return np.nan
    if part.low <= estimate.value <= part.high:
        return 1.0
    if estimate.value < part.low:
        distance, width = part.low - estimate.value, estimate.high - estimate.value
    else:
        distance, width = estimate.value - part.high, estimate.value - estimate.low
    if width <= 0:
        return 0.0
    quantile = stats.t.ppf(1 - LEVEL / 2, estimate.df)
    return float(2 * stats.t.sf(quantile * distance / width, estimate.df))


def _fewest(part: Part) -> str:
    estimate = part.estimate
    if estimate.count < estimate.least:
        return f"{estimate.least:,} {estimate.unit} instead of {estimate.count:,}"
    return f"a value, with an interval, of {part.quantity}"


def _more(part: Part, parts: int) -> str:
    """Return how many observations an interval needs that decides the part, in words.

    The width of an interval falls with the root of the number of observations.
    """
    estimate = part.estimate
    ratios = [0.0]
    if part.low <= estimate.value <= part.high:  # the limits pass a bound
        if estimate.low <= part.low:
            ratios.append(_ratio(estimate.value - estimate.low, estimate.value - part.low))
        if estimate.high >= part.high:
            ratios.append(_ratio(estimate.high - estimate.value, part.high - estimate.value))
    else:  # a limit reaches into what is claimed, or would but for the number of parts
        stricter = stats.norm.ppf(1 - LEVEL / 2 / parts) / stats.norm.ppf(1 - LEVEL / 2)
        if estimate.value < part.low:
            ratio = _ratio(estimate.high - estimate.value, part.low - estimate.value)
        else:
            ratio = _ratio(estimate.value - estimate.low, estimate.value - part.high)
        ratios.append(float(stricter) * ratio)
    factor = max(ratios) ** 2
    if factor > FAR:
        return f"more than {FAR} times the {estimate.unit}: what was measured lies at the margin"
    needed = max(_rounded_up(factor * estimate.count), estimate.count + 1)
    return f"about {needed:,} {estimate.unit} instead of {estimate.count:,}"


def _ratio(width: float, distance: float) -> float:
    return width / distance if distance > 0 else math.inf


def _rounded_up(number: float) -> int:
    """Return the number rounded up to two digits."""
    unit: int = 10 ** max(0, len(str(math.ceil(number))) - 2)
    return math.ceil(number / unit) * unit


def _would_decide(parts: Sequence[PartFinding], evidence: Evidence) -> str:
    """Return what would decide an undecided claim, as a sentence."""
    wanted: dict[str, list[str]] = {}
    for one in parts:
        if one.verdict is Verdict.UNDECIDED:
            wanted.setdefault(one.would_decide, []).append(one.part.quantity)
    texts = []
    for text, quantities in list(wanted.items())[:NAMED]:
        more = f" and {len(quantities) - 1} more" if len(quantities) > 1 else ""
        texts.append(f"{text} ({quantities[0]}{more})")
    if len(wanted) > NAMED:
        texts.append(f"and likewise for {len(wanted) - NAMED} more")
    if evidence.lacking:
        texts.append(f"besides these: {', '.join(evidence.lacking)}")
    sentence = "; ".join(texts)
    return f"{sentence[0].upper()}{sentence[1:]}."


def _measured_by(claim: Claim) -> str:
    if not claim.sweeps:
        return "No shipped sweep measures it."
    return f"{' and '.join(claim.sweeps)} measure{'s' * (len(claim.sweeps) == 1)} it."


def _scale(places: frozenset[Place], frames: Frames) -> Scale | None:
    matched = frames.get("parameter_matched", pd.DataFrame())
    if matched.empty:
        return None
    keys = zip(*(matched[name] for name in CELL), strict=True)
    cells = matched[[key in places for key in keys]]
    if cells.empty:
        return None
    tried = cells[["completed", "stopped", "infeasible"]].sum(axis=1)

    def ends(values: pd.Series) -> tuple[int, int]:
        return int(values.min()), int(values.max())

    return Scale(
        cells=len(cells),
        parameters=ends(cells["parameters"]),
        steps=ends(cells["steps"]),
        trials=ends(tried),
        networks=ends(cells["networks"]),
    )
