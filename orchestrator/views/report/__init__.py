"""Writes a sweep's report: one self-contained page, and its figures as files for papers."""

from collections.abc import Sequence, Set

from orchestrator.views.mlflow.shown import ShownSweep
from orchestrator.views.mlflow.store import prepare_store
from orchestrator.views.report.figures import draw
from orchestrator.views.report.links import run_links
from orchestrator.views.report.page import page
from orchestrator.views.report.printed import sheets
from orchestrator.views.report.style import styles, styles_of
from orchestrator.views.study.study import Study
from orchestrator.views.tables import Table
from trainables import storage
from trainables.storage import Location

__all__ = ["log_to_mlflow", "write"]


def write(
    study: Study, tables: Sequence[Table], folder: Location, mlflow: str | None
) -> list[Location]:
    """Write ``report.html`` and ``figures/<name>.svg`` and ``.pdf``, each file atomically.

    The same ledger gives the same bytes. Figures of an earlier report that this one does not have
    are removed.

    Args:
        study: cells and trials of the sweeps that the report shows.
        tables: tables of the study, as :func:`orchestrator.views.tables.build` returns them.
        folder: folder or object-store location that the files are written to.
        mlflow: tracking URI, or None. Points of figures link to their MLflow runs if it is the
            URI of a server that answers.

    Returns:
        The locations of the written files, the page first.
    """
    figures = draw(study, {table.name: table for table in tables})
    looks = styles(study.architectures)
    links = run_links(mlflow, [ShownSweep.of(sweep.paths) for sweep in study.sweeps])
    storage.make_folder(folder / "figures")
    contents = {folder / "report.html": page(study, tables, figures, looks, links).encode()}
    for figure in figures:
        for name, svg, pdf in sheets(figure, styles_of(figure, looks)):
            contents[folder / "figures" / f"{name}.svg"] = svg
            contents[folder / "figures" / f"{name}.pdf"] = pdf
    for path, content in contents.items():
        storage.write(path, content)
    _remove_others(folder / "figures", {path.name for path in contents})
    return list(contents)


def _remove_others(figures: Location, names: Set[str]) -> None:
    for name in storage.names(figures):
        if name.endswith((".svg", ".pdf")) and name not in names:
            (figures / name).unlink(missing_ok=True)


def log_to_mlflow(report: Location, mlflow: str, sweep: ShownSweep) -> None:
    """Store the page with the run of the sweep in MLflow, in place of an earlier page.

    Args:
        report: location of ``report.html``.
        mlflow: tracking URI of the store.
        sweep: the sweep.

    Raises:
        Exception: the store is locked or cannot be reached; the type depends on the store.
    """
    prepare_store(mlflow)
    from orchestrator.views.mlflow.view import log_report

    log_report(mlflow, sweep, report.read_bytes())
