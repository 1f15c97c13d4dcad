"""Renders the report's page: one HTML file that needs nothing else."""

import base64
import hashlib
import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from orchestrator.labels import heading
from orchestrator.views.claims import Finding, Verdict, findings
from orchestrator.views.claims.texts import (
    claimed_text,
    counted,
    measured_text,
    place_text,
    scale_text,
    value_text,
)
from orchestrator.views.references import citations
from orchestrator.views.report.figure import Figure
from orchestrator.views.report.interactive import panel_values
from orchestrator.views.report.provenance import provenance
from orchestrator.views.report.style import DARK, Style, styles_of
from orchestrator.views.report.summary import headline_counts, sentences
from orchestrator.views.report.unmeasured import unmeasured
from orchestrator.views.study.study import Study
from orchestrator.views.tables import Table
from orchestrator.views.tables.table import NOTHING

MOST_ROWS = 2000  # most rows of a table on the page; the table's files have all rows
SHOWN_PANELS = 6  # panels of a figure that are open; a click opens the others


def page(
    study: Study,
    tables: Sequence[Table],
    figures: Sequence[Figure],
    styles: Mapping[str, Style],
    links: Mapping[str, str],
) -> str:
    """Return the HTML of the report, which depends on the arguments alone.

    The template escapes all texts, and data stands in JSON that cannot close its script element.

    Args:
        study: cells and trials of the sweeps.
        tables: tables of the study that have rows; the page cites their references, and the claims
            are tested on them.
        figures: figures in the order of the page.
        styles: style of each architecture.
        links: address of a sweep's runs in MLflow, by sweep; empty without a server.
    """
    sweeps = [sweep.name for sweep in study.sweeps]
    data = {
        "sweeps": sweeps,
        "links": [links.get(sweep) for sweep in sweeps],
        "dark": DARK,
        "panels": {
            f"{figure.name}-{number}": panel_values(
                figure, panel, styles_of(figure, styles), sweeps
            )
            for figure in figures
            for number, panel in enumerate(figure.panels)
        },
    }
    plotly, script = get_plotlyjs(), _read("report.js")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    by_name = {table.name: table for table in tables}
    claims = findings({name: table.tidy for name, table in by_name.items()})
    return environment.from_string(_read("report.html")).render(
        title=", ".join(sweeps),
        style=Markup(_read("report.css")),
        plotly=Markup(plotly),
        script=Markup(script),
        hashes=" ".join(f"'sha256-{_digest(text)}'" for text in (plotly, script)),
        data=Markup(embedded(data)),
        claims=[_claim(one) for one in claims if one.verdict is not Verdict.NOT_MEASURED],
        unclaimed=[_claim(one) for one in claims if one.verdict is Verdict.NOT_MEASURED],
        verdicts=counted(claims),
        counts=headline_counts(study),
        sentences=sentences(study, by_name),
        figures=[_figure(figure, styles) for figure in figures],
        tables=[_table(table) for table in tables],
        unmeasured=unmeasured(study, tables),
        provenance=provenance(study),
        references=citations(_cited(tables, claims)),
        linked=bool(links),
        version=importlib.metadata.version("soundings"),
        shown_panels=SHOWN_PANELS,
    )


def embedded(data: Any) -> str:
    """Return JSON that may stand in a script element, whatever texts it contains."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _figure(figure: Figure, styles: Mapping[str, Style]) -> dict[str, Any]:
    drawn = {series.architecture for panel in figure.panels for series in panel.series}
    legend = [(name, style) for name, style in styles_of(figure, styles).items() if name in drawn]
    return {"figure": figure, "legend": legend}


def _cited(tables: Sequence[Table], claims: Sequence[Finding]) -> list[str]:
    """Return the keys of the papers that tables and measured claims refer to."""
    keys = [key for table in tables for key in table.references]
    return keys + [one.claim.paper for one in claims if one.verdict is not Verdict.NOT_MEASURED]


def _claim(finding: Finding) -> dict[str, Any]:
    """Return the values of a claim for the template."""
    return {
        "claim": finding.claim,
        "place": place_text(finding),
        "verdict": finding.verdict.value,
        "measured": measured_text(finding),
        "would_decide": finding.would_decide,
        "scale": scale_text(finding.scale),
        "parts": [
            {
                "quantity": one.part.quantity,
                "measured": value_text(one.part),
                "claimed": claimed_text(one.part),
                "rests_on": f"{one.part.estimate.count:,} {one.part.estimate.unit}",
                "verdict": one.verdict.value,
            }
            for one in finding.parts
        ],
    }


def _table(table: Table) -> dict[str, Any]:
    """Return the values for the template; a name that all rows share stands above the table."""
    shown = table.shown.astype(str)
    names = [str(name) for name in shown.columns[: table.index]]
    same = {name: shown[name].iloc[0] for name in names if shown[name].nunique() == 1}
    if len(shown) == 1 or len(same) == len(names):
        same = {}
    rows = shown.drop(columns=list(same)).head(MOST_ROWS)
    return {
        "table": table,
        "everywhere": ", ".join(f"{name} {value}" for name, value in same.items()),
        "index": table.index - len(same),
        "headings": [heading(str(name)) for name in rows.columns],
        "rows": rows.to_numpy().tolist(),
        "left_out": max(0, len(shown) - MOST_ROWS),
        "nothing": NOTHING,
    }


def _digest(script: str) -> str:
    """Return the hash with which the page's security policy allows this script alone."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _read(name: str) -> str:
    return (files(__package__) / "assets" / name).read_text(encoding="utf-8")
