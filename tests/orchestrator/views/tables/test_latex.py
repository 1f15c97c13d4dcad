"""Tables as LaTeX: what a paper includes compiles, and says what the table says."""

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
    """The text of the document that includes the tables."""
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
def test_every_table_of_a_sweep_compiles(at_random, tmp_path):
    tables = build(at_random.study)
    log = compiled(tmp_path, [one for one in tables if len(one.shown) <= LONG])
    assert "Overfull" not in log
    compiled(tmp_path, tables)


@pytest.mark.slow
def test_whatever_stands_in_a_table_compiles(tmp_path):
    rows = [[NASTY, "1"], [NASTY, "2"], ["", "-"]]
    compiled(tmp_path, [table(rows, ("a_b & c", NASTY), notes=(NASTY,))])


@pytest.mark.slow
def test_a_table_longer_than_a_page_goes_on_on_the_next(tmp_path):
    log = compiled(tmp_path, [table([[f"row {n}", n] for n in range(3 * LONG)])])
    assert int(re.search(r"\((\d+) pages", log)[1]) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("letters", [20, 60, 75, 90])
def test_a_long_table_is_no_wider_than_a_line(tmp_path, letters):
    name = ("a name of several words " * 5)[: letters - 12].strip()
    log = compiled(tmp_path, [table([[name, f"{n:.6f}"] for n in range(2 * LONG)])])
    assert "Overfull" not in log


def test_every_table_parses_to_what_is_shown(at_random):
    for one in build(at_random.study):
        text = latex(one)
        walker = LatexWalker(text)
        nodes, _, length = walker.get_latex_nodes()
        assert length == len(text) and nodes
        if len(one.shown) <= LONG:
            body = re.search(r"\\midrule\n(.*?)\n\\bottomrule", text, re.S)
            rows = body[1].split("\\\\\n")
            assert len(rows) == len(one.shown)
            assert {row.count(" & ") for row in rows} == {len(one.shown.columns) - 1}


def test_by_hand():
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
