"""Decides claims: what sweeps say about the published statements of the papers.

``docs/science.md`` has the rule of each claim.
"""

from collections.abc import Iterable
from pathlib import Path

from orchestrator.errors import BadInput
from orchestrator.views import tables
from orchestrator.views.claims import capacity, chapter, depth, fading_memory
from orchestrator.views.claims.claim import Claim, Finding, Frames, Verdict
from orchestrator.views.claims.judging import judge
from trainables.registry import nearest
from trainables.storage import Location

__all__ = ["CLAIMS", "Claim", "Finding", "Verdict", "chosen", "claims_of", "findings"]

CLAIMS: dict[str, Claim] = {
    claim.name: claim
    for claim in (
        *capacity.CLAIMS,
        *fading_memory.CLAIMS,
        *depth.CLAIMS,
        *chapter.CLAIMS,
    )
}


def findings(frames: Frames) -> list[Finding]:
    """Return what a study says about every claim, in the order of the papers.

    Args:
        frames: tidy tables of the study by name, as :func:`orchestrator.views.tables.frames`
            returns them.
    """
    return [judge(claim, frames) for claim in CLAIMS.values()]


def chosen(names: Iterable[str]) -> list[str]:
    """Check names of claims, and return them; without one, return the names of all claims.

    Raises:
        BadInput: there is no claim of such a name.
    """
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        if name not in CLAIMS:
            raise BadInput(f"--claim {name}: there is no such claim{nearest(name, CLAIMS)}")
    return wanted or [*CLAIMS]


def claims_of(
    *sweeps: str, results: Location | str = Path("results"), where: str | Iterable[str] = ()
) -> list[Finding]:
    """Return what sweeps say about every claim, in the order of the papers.

    Args:
        sweeps: names of the sweeps; their cells and trials are judged together.
        results: folder or URL of the results folder that holds the sweeps.
        where: one or several filters of cells, such as ``task=parentheses`` or ``depth>=2``.

    Raises:
        BadInput: see :class:`orchestrator.views.study.study.Study`.
    """
    return findings(tables.frames(*sweeps, results=results, where=where))
