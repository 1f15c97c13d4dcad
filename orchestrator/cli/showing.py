"""Writes the tables and the report of sweeps beside their ledger, and prints tables."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from orchestrator.cli.terminal import console, say
from orchestrator.errors import BadInput, first_line, remedy
from orchestrator.paths import SweepPaths
from trainables.storage import Location, StoreError

if TYPE_CHECKING:
    from orchestrator.views.claims import Finding
    from orchestrator.views.study.study import Study
    from orchestrator.views.tables import Table


class Views:
    """Writes the tables and the report of some sweeps into the folder of the first one.

    Args:
        sweeps: the files of each sweep.
        where: filters of cells, such as ``depth>=2``.
    """

    def __init__(self, sweeps: Sequence[SweepPaths], where: Sequence[str] = ()) -> None:
        self._sweeps, self._where = list(dict.fromkeys(sweeps)), where
        first, *others = self._sweeps
        self._folder = first.selection([other.sweep for other in others], where)

    @cached_property
    def _study(self) -> "Study":
        from orchestrator.views.study.study import Study

        return Study(self._sweeps, self._where)

    @cached_property
    def _tables(self) -> "list[Table]":
        from orchestrator.views.tables import build

        return build(self._study)

    def write_tables(self, printed: Collection[str] | None = None) -> Location:
        """Write the tables and print them; return their folder.

        Args:
            printed: names of the tables to print; all by default.

        Raises:
            BadInput: the tables cannot be written.
        """
        from orchestrator.cli.printed_tables import print_table
        from orchestrator.views.tables import without_rows

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

        folder, tables = self._folder / "tables", self._tables
        with _writing(folder):
            write(tables, folder)
        return folder

    @cached_property
    def _findings(self) -> "list[Finding]":
        from orchestrator.views.claims import findings

        return findings({table.name: table.tidy for table in self._tables})

    def write_claims(self, names: Collection[str], as_json: bool) -> Sequence[Location]:
        """Write what the sweeps say about all claims, print some of it and return the files.

        Args:
            names: names of the claims to print.
            as_json: whether they are printed as JSON.

        Raises:
            BadInput: the files cannot be written.
        """
        from orchestrator.cli.printed_claims import print_claims
        from orchestrator.views.claims.files import in_json

        written = self._written_claims
        printed = [one for one in self._findings if one.claim.name in names]
        if as_json:
            print(in_json(printed))
            return written
        print_claims(printed, console)
        for warning in self._study.warnings:
            say(warning)
        return written

    @cached_property
    def _written_claims(self) -> "list[Location]":
        from orchestrator.views.claims.files import write

        with _writing(self._folder):
            names = [one.name for one in self._study.sweeps]
            return write(self._findings, names, self._folder, self._where)

    def write_report(self, uri: str, log: bool) -> tuple[Location, str]:
        """Write the page, its figures, its tables and its claims.

        Args:
            uri: tracking URI of the MLflow store; points of figures link to their runs if it is an
                MLflow server.
            log: whether to store the page in MLflow with the run of the sweep. A page of several
                sweeps or of some cells is never stored there.

        Returns:
            The page, and why MLflow lacks it, or an empty text.

        Raises:
            BadInput: the files cannot be written.
        """
        from orchestrator.views import report
        from orchestrator.views.mlflow.shown import ShownSweep
        from orchestrator.views.mlflow.store import why_not

        _ = self._written_tables, self._written_claims  # the page links to them
        with _writing(self._folder):
            page, *_ = report.write(self._study, self._tables, self._folder, uri)
        if log and self._folder == self._sweeps[0].folder:
            try:
                report.log_to_mlflow(page, uri, ShownSweep.of(self._sweeps[0]))
            except Exception as error:  # a store, a network or a driver may raise anything
                return page, f"lacks the report: {why_not(error)}"
        return page, ""


@contextmanager
def _writing(folder: Location) -> Iterator[None]:
    """Raise BadInput with what to do if a file of the folder cannot be written in the block."""
    try:
        yield
    except OSError as error:
        if not isinstance(error, StoreError) and not str(error.filename).startswith(str(folder)):
            raise  # a file of the ledger cannot be read
        raise BadInput(
            f"{first_line(error)}; tables and report are written beside the ledger: "
            f"{remedy(error)}, or copy it and name the copy with --results"
        ) from error
