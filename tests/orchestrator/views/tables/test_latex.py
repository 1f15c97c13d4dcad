"""Checks that tables as LaTeX compile in a document and have the rows of the table."""

import re
import shutil
import subprocess

import pandas as pd
import pytest
from pylatexenc.latexwalker import LatexWalker

from orchestrator.views.tables import Table, build
from orchestrator.views.tables.latex import LONG, latex
from orchestrator.views.tables.render import write

DOCUMENT = r"""
\documentclass{article}
\usepackage{booktabs,graphicx,longtable}
\begin{document}
%s
\end{document}
"""
NASTY = r"a_b & c% $d$ #e {f} \g ~h ^i <j> ±k ≥l ≤m é 中 ×"  # noqa: RUF001


def table(rows, columns=("name", "x_1"), index=1, **others):
    frame = pd.DataFrame(rows, columns=list(columns))
    return Table("t", "A title", frame, frame, index, **others)


def compiled(folder, tables):
    """Compile a document that includes the tables; return the log of pdflatex."""
    if shutil.which("pdflatex") is None:
        pytest.skip("there is no pdflatex (Debian: texlive-latex-recommended)")
    paths = [path for path in write(tables, folder) if path.suffix == ".tex"]
    (folder / "paper.tex").write_text(DOCUMENT % "\n".join(rf"\input{{{p.name}}}" for p in paths))
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert (folder / "paper.pdf").read_bytes().startswith(b"%PDF")
    return done.stdout


@pytest.mark.slow
def test_every_table_of_a_sweep_compiles_as_latex(at_random, tmp_path):
    tables = build(at_random.study)
    log = compiled(tmp_path, [short for short in tables if len(short.shown) <= LONG])
    assert "Overfull" not in log
    compiled(tmp_path, tables)


@pytest.mark.slow
def test_a_table_with_special_characters_compiles_as_latex(tmp_path):
    rows = [[NASTY, "1"], [NASTY, "2"], ["", "-"]]
    compiled(tmp_path, [table(rows, ("a_b & c", NASTY), notes=(NASTY,))])


@pytest.mark.slow
def test_a_table_longer_than_a_page_continues_on_the_next_page(tmp_path):
    log = compiled(tmp_path, [table([[f"row {n}", n] for n in range(3 * LONG)])])
    assert int(re.search(r"\((\d+) pages", log)[1]) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("letters", [20, 60, 75, 90])
def test_a_long_table_is_no_wider_than_a_line(tmp_path, letters):
    name = ("a name of several words " * 5)[: letters - 12].strip()
    log = compiled(tmp_path, [table([[name, f"{n:.6f}"] for n in range(2 * LONG)])])
    assert "Overfull" not in log


def test_the_latex_of_every_table_parses_to_the_rows_that_are_shown(at_random):
    for built in build(at_random.study):
        text = latex(built)
        walker = LatexWalker(text)
        nodes, _, length = walker.get_latex_nodes()
        assert length == len(text) and nodes
        if len(built.shown) <= LONG:
            body = re.search(r"\\midrule\n(.*?)\n\\bottomrule", text, re.S)
            rows = body[1].split("\\\\\n")
            assert len(rows) == len(built.shown)
            assert {row.count(" & ") for row in rows} == {len(built.shown.columns) - 1}


def test_the_latex_of_a_small_table_is_that_written_by_hand():
    shown = table(
        [["a", "x", "1 ± 2 %"], ["a", "y", "-"], ["b", "y", "<1"]],
        ("task", "rnn_2", "v"),
        2,
        notes=("100 % of 3.",),
    )
    assert latex(shown) == (
        "\\begin{table}\n\\centering\n\\caption{A title}\n\\label{tab:t}\n"
        "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n"
        "\\begin{tabular}{llr}\n\\toprule\n"
        "task & rnn\\_2 & v \\\\\n\\midrule\n"
        "a & x & 1 \\ensuremath{\\pm} 2 \\% \\\\\n"
        " & y & - \\\\\nb & y & \\ensuremath{<}1 \\\\\n\\bottomrule\n"
        "\\end{tabular}}\n"
        "\\par\\smallskip\\footnotesize 100 \\% of 3.\n\\end{table}\n"
    )
