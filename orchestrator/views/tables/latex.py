"""Renders a table as LaTeX, for papers."""

import math
from functools import lru_cache

from pylatexenc.latexencode import UnicodeToLatexEncoder

from orchestrator.views.tables.table import Table

LONG = 40  # number of rows that fit on a page
# Number of letters that fit on a line of an article at each font size, with columns three points
# apart.
SIZES = ((62, ""), (68, "small"), (76, "footnotesize"), (86, "scriptsize"), (math.inf, "tiny"))

_FIT = "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n"
_encoder = UnicodeToLatexEncoder(unknown_char_policy="replace", unknown_char_warning=False)


def latex(table: Table) -> str:
    """Return the table as LaTeX, with caption ``title``, label ``tab:<name>`` and the notes below.

    A document that ``\\input``s it loads booktabs and graphicx, and longtable for a table of more
    than ``LONG`` rows. A table wider than the line is scaled down. A long table gets a smaller font
    instead, so one of very many columns may still be too wide. In the columns that name the row, a
    value that repeats that of the row above is left out.
    """
    shown = table.shown.astype(str)
    names = list(shown.columns[: table.index])
    for position in range(
        table.index, 0, -1
    ):  # innermost first, while the outer names are still complete
        same = (shown[names[:position]] == shown[names[:position]].shift()).all(axis=1)
        shown.loc[same, names[position - 1]] = ""
    shown = shown.map(_escape)
    shown.columns = [_escape(str(name)) for name in table.shown.columns]
    environment = "longtable" if len(shown) > LONG else "table"
    text: str = shown.style.hide(axis="index").to_latex(
        hrules=True,
        column_format="l" * table.index + "r" * (len(shown.columns) - table.index),
        position_float=None if environment == "longtable" else "centering",
        environment=environment,
        caption=_escape(table.title),
        label=f"tab:{table.name}",
    )
    notes = "".join(f"\\par\\smallskip\\footnotesize {_escape(note)}\n" for note in table.notes)
    if environment == "longtable":
        return f"{{{_size(table)}{text}{notes}\\par}}\n"
    text = text.replace("\\begin{tabular}", f"{_FIT}\\begin{{tabular}}", 1)
    text = text.replace("\\end{tabular}", "\\end{tabular}}", 1)
    end = "\\end{table}\n"
    return text.removesuffix(end) + notes + end


def _size(table: Table) -> str:
    """Return the command for the font size at which a long table is about as wide as a line."""
    texts = table.shown.astype(str)
    longest = [max(map(len, [str(name), *texts[name]])) for name in texts]
    size = next(size for room, size in SIZES if sum(longest) + len(longest) <= room)
    return f"\\{size}\\setlength{{\\tabcolsep}}{{3pt}}\n" if size else ""


@lru_cache(maxsize=10_000)
def _escape(text: str) -> str:
    text = text.replace("\n", " ").replace(">=", "≥").replace("<=", "≤")
    escaped: str = _encoder.unicode_to_latex(text)
    return escaped
