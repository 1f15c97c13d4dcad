"""Tables and report of sweeps, written where they belong."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from orchestrator.errors import BadInput
from orchestrator.paths import SweepPaths
from orchestrator.terminal import console, say
from trainables.storage import Location

if TYPE_CHECKING:
    from orchestrator.views.tables import Study, Table


class Views:
    """What is rebuilt from the ledgers of some sweeps; it lies with the first.

    Args:
        where: filters of cells.
    """

    def __init__(self, sweeps: Sequence[SweepPaths], where: Sequence[str] = ()) -> None:
        self._sweeps, self._where = list(dict.fromkeys(sweeps)), where
        first, *others = self._sweeps
        self._folder = first.selection([other.sweep for other in others], where)

    @cached_property
    def _study(self) -> "Study":
        from orchestrator.views.tables import Study

        return Study(self._sweeps, self._where)

    @cached_property
    def _tables(self) -> "list[Table]":
        from orchestrator.views.tables import build

        return build(self._study)

    def write_tables(self, printed: Collection[str] | None = None) -> Location:
        """Write the tables and print them; returns their folder.

        Args:
            printed: names of tables; all by default.

        Raises:
            BadInput: they cannot be written.
        """
        from orchestrator.views.tables import without_rows
        from orchestrator.views.tables.render import print_table

        folder = self._written_tables
        for table in self._tables:
            if printed is None or table.name in printed:
                print_table(table, console)
        if printed is None and (lacking := without_rows(self._tables)):
            say(f"\nNo row here has: {', '.join(lacking)}. docs/science.md says what each is of.")
        for warning in self._study.warnings:
            say(warning)
        return folder

    @cached_property
    def _written_tables(self) -> Location:
        from orchestrator.views.tables.render import write

        folder = self._folder / "tables"
        with _writing(folder):
            write(self._tables, folder)
        return folder

    def write_report(self, uri: str, log: bool) -> tuple[Location, str]:
        """Write the page, its figures and its tables.

        Returns the page, and why MLflow lacks it, or nothing.

        Args:
            uri: of the MLflow store; points link to their runs where it is a server's.
            log: whether the page is to be stored in MLflow, with the run of the sweep. That of
                several sweeps, or of some cells, is not.

        Raises:
            BadInput: they cannot be written.
        """
        from orchestrator.views import report
        from orchestrator.views.background import first_line

        _ = self._written_tables  # to which the page points
        with _writing(self._folder):
            page, *_ = report.write(self._study, self._tables, self._folder, uri)
        if log and self._folder == self._sweeps[0].folder:
            try:
                report.log_to_mlflow(page, uri, self._sweeps[0].sweep)
            except Exception as error:  # whatever a store, a network or a driver of it may raise
                return page, f"lacks the report: {first_line(error)}"
        return page, ""


@contextmanager
def _writing(folder: Location) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadInput(
            f"{error.filename or folder}: {error.strerror or error}; tables and report are written "
            "beside the ledger, so make its folder writable, or copy it and name the copy with "
            "--results"
        ) from error
