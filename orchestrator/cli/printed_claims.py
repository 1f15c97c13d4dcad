"""Prints what sweeps say about claims on a terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from orchestrator.cli.terminal import say
from orchestrator.views.claims import Finding, Verdict
from orchestrator.views.claims.texts import measured_text, scale_text

_STYLES = {
    Verdict.CONFIRMED: "green",
    Verdict.CONTRADICTED: "red",
    Verdict.UNDECIDED: "yellow",
}


def print_claims(found: Sequence[Finding], console: Console) -> None:
    """Print a table of the claims that were measured, and the names of the others below it."""
    measured = [one for one in found if one.verdict is not Verdict.NOT_MEASURED]
    if measured:
        grid = RichTable(box=None, padding=(0, 1, 1, 0), pad_edge=False, header_style="bold")
        grid.add_column("claim", no_wrap=True)
        grid.add_column("verdict", no_wrap=True)
        grid.add_column("measured", ratio=1)
        for one in measured:
            name, verdict = Text(one.claim.name), Text(one.verdict, style=_STYLES[one.verdict])
            grid.add_row(name, verdict, _measured(one))
        console.print(grid)
    missing: dict[str, list[str]] = {}
    for one in found:
        if one.verdict is Verdict.NOT_MEASURED:
            sweeps = " or ".join(one.claim.sweeps) or "no shipped sweep"
            missing.setdefault(sweeps, []).append(one.claim.name)
    if missing:
        texts = (f"{', '.join(names)} ({sweeps})" for sweeps, names in missing.items())
        say(f"Not measured, and by which sweep: {'; '.join(texts)}.", console, "dim", wrap=True)


def _measured(one: Finding) -> Text:
    text = Text(measured_text(one))
    if one.would_decide:
        text.append(f"\nWould decide it: {one.would_decide}", style="dim")
    return text.append(f"\n{scale_text(one.scale)}", style="dim")
