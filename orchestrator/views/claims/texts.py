"""Says findings in words, and as JSON and Markdown."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from orchestrator.views.claims.claim import Finding, Part, PartFinding, Scale, Verdict
from orchestrator.views.references import citation, name_of
from orchestrator.views.tables.table import number, percent

FEW = 3  # parts that the text of what was measured has, if there are more
_FIRST = (Verdict.CONTRADICTED, Verdict.UNDECIDED, Verdict.CONFIRMED)


def part_text(part: Part) -> str:
    """Return a quantity, its value and its interval, such as ``ratio: 1.2 (1.1 to 1.3)``."""
    return f"{part.quantity}: {value_text(part)}"


def value_text(part: Part) -> str:
    """Return the value of a part and its interval, such as ``1.2 (1.1 to 1.3)``."""
    show = percent if part.shares else number
    estimate = part.estimate
    limits = f" ({show(estimate.low)} to {show(estimate.high)})" if estimate.has_interval else ""
    return f"{show(estimate.value)}{limits}"


def claimed_text(part: Part) -> str:
    """Return the values that a claim allows, such as ``above 1`` or ``0.9 to 1.1``."""
    show = percent if part.shares else number
    if np.isinf(part.high):
        return f"above {show(part.low)}"
    if np.isinf(part.low):
        return f"below {show(part.high)}"
    return f"{show(part.low)} to {show(part.high)}"


def measured_text(finding: Finding) -> str:
    """Return what was measured: all parts, or of many the ones that decided."""
    parts = sorted(finding.parts, key=lambda one: _FIRST.index(one.verdict))
    texts = [f"{part_text(one.part)}, claimed {claimed_text(one.part)}" for one in parts[:FEW]]
    if len(parts) > FEW:
        held = sum(one.verdict is Verdict.CONFIRMED for one in parts)
        texts.append(f"and {len(parts) - FEW} more; {held} of {len(parts)} hold")
    return "; ".join(texts)


def scale_text(scale: Scale | None) -> str:
    """Return at which scale a claim was measured, in words."""
    if scale is None:
        return ""
    cells = "1 cell" if scale.cells == 1 else f"{scale.cells:,} cells"
    trials = "trial" if scale.trials == (1, 1) else "trials"
    networks = "network" if scale.networks == (1, 1) else "networks"
    return (
        f"{cells}; {_between(scale.parameters)} parameters, {_between(scale.steps)} steps, "
        f"{_between(scale.trials)} {trials} a cell, {_between(scale.networks)} {networks} a trial"
    )


def _between(ends: tuple[int, int]) -> str:
    low, high = ends
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def place_text(finding: Finding) -> str:
    """Return paper and place of a claim, such as ``capacity paper, Figure 1``."""
    return f"{name_of(finding.claim.paper)}, {finding.claim.place}"


def as_json(found: Iterable[Finding]) -> list[dict[str, Any]]:
    """Return findings as values that JSON has; a number that is not finite becomes None."""
    return [
        {
            "name": finding.claim.name,
            "statement": finding.claim.statement,
            "paper": citation(finding.claim.paper),
            "place": finding.claim.place,
            "rule": finding.claim.rule,
            "verdict": finding.verdict.value,
            "measured": measured_text(finding),
            "would_decide": finding.would_decide,
            "scale": None if finding.scale is None else vars(finding.scale),
            "papers_scale": finding.claim.papers_scale,
            "sweeps": list(finding.claim.sweeps),
            "parts": [_part_as_json(one) for one in finding.parts],
        }
        for finding in found
    ]


def _part_as_json(one: PartFinding) -> dict[str, Any]:
    estimate = one.part.estimate
    return {
        "quantity": one.part.quantity,
        "value": _finite(estimate.value),
        "low": _finite(estimate.low),
        "high": _finite(estimate.high),
        "claimed_low": _finite(one.part.low),
        "claimed_high": _finite(one.part.high),
        "observations": estimate.count,
        "unit": estimate.unit,
        "verdict": one.verdict.value,
        "would_decide": one.would_decide,
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def markdown(found: Sequence[Finding], sweeps: Sequence[str], where: Sequence[str] = ()) -> str:
    """Return findings as GitHub-flavoured Markdown.

    Args:
        found: the findings.
        sweeps: names of the sweeps that they are of.
        where: filters of the cells that they are of.
    """
    lines = [f"# Claims: {', '.join(sweeps)}", ""]
    if where:
        lines += [f"Only cells with {' and '.join(f'`{text}`' for text in where)}.", ""]
    lines += [", ".join(f"{count} {verdict}" for verdict, count in counted(found)) + "."]
    for finding in found:
        if finding.verdict is not Verdict.NOT_MEASURED:
            lines += _section(finding)
    unmeasured = [one for one in found if one.verdict is Verdict.NOT_MEASURED]
    if unmeasured:
        lines += ["", "## Not measured", ""]
        lines += [
            f"- `{one.claim.name}`: {one.claim.statement} ({place_text(one)}). {one.would_decide}"
            for one in unmeasured
        ]
    return "\n".join(lines) + "\n"


def counted(found: Iterable[Finding]) -> list[tuple[str, int]]:
    """Return each verdict that occurs, and how often."""
    verdicts = [one.verdict for one in found]
    return [(verdict.value, verdicts.count(verdict)) for verdict in Verdict if verdict in verdicts]


def _section(finding: Finding) -> list[str]:
    claim = finding.claim
    lines = [
        *("", f"## {claim.name}: {finding.verdict}", ""),
        *(f"> {claim.statement}", ">", f"> {place_text(finding)}", ""),
        *(f"Rule: {claim.rule}", ""),
        *(
            "| quantity | measured | claimed | rests on | verdict |",
            "| :-- | :-- | :-- | :-- | :-- |",
        ),
    ]
    for one in finding.parts:
        estimate = one.part.estimate
        lines.append(
            f"| {one.part.quantity} | {value_text(one.part)} | {claimed_text(one.part)} | "
            f"{estimate.count:,} {estimate.unit} | {one.verdict} |"
        )
    if finding.would_decide:
        lines += ["", f"What would decide it: {finding.would_decide}"]
    scale = scale_text(finding.scale)
    return [*lines, "", f"Scale: {scale}. The paper's: {claim.papers_scale}."]
