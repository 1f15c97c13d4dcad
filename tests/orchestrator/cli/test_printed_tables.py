"""Prints tables on terminals: they are never wider than it and lack no column."""

import io
import re
from collections import Counter

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from orchestrator.cli.printed_tables import print_table
from orchestrator.labels import heading
from orchestrator.views.tables import Table, build


def printed(table, width):
    """Return the lines that a terminal of ``width`` columns shows."""
    console = Console(file=io.StringIO(), width=width)
    print_table(table, console)
    return console.file.getvalue().split("\n")


def table_of(frame, index, notes=()):
    return Table("t", "A title", frame, frame, index, notes)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_printed_tables_fit_the_terminal_and_lose_no_value(at_random, width):
    for table in build(at_random.study):
        lines = printed(table, width)
        assert max(map(len, lines)) <= width
        text = "\n".join(lines)
        assert "…" not in text
        for name in table.shown.columns[table.index :]:
            values = Counter(str(value) for value in table.shown[name])
            if {*values} == {"-"}:
                continue  # a column of nothing but dashes is not printed
            assert heading(str(name)).split("\n")[-1] in text
            for value, times in values.items():
                assert text.count(value) >= times, (table.name, name, value)


def grid(rows, values, digits):
    """Return a table in which every text occurs once."""
    frame = {"task": [f"task{r // 2}" for r in range(rows)], "row": [f"r{r}" for r in range(rows)]}
    frame |= {f"c{c}": [f"r{r}c{c}".ljust(digits, "x") for r in range(rows)] for c in range(values)}
    return pd.DataFrame(frame)


@given(
    rows=st.integers(1, 4),
    values=st.integers(1, 9),
    digits=st.integers(4, 12),
    width=st.integers(30, 130),
)
def test_every_value_of_a_printed_table_stands_once_in_the_line_of_its_row(
    rows, values, digits, width
):
    lines = printed(table_of(grid(rows, values, digits), index=2), width)
    assert max(map(len, lines)) <= width
    line_of_value = {}
    for line in lines:
        for row, column in re.findall(r"\br(\d)c(\d)x*\b", line):
            assert (row, column) not in line_of_value
            line_of_value[row, column] = line
            assert re.search(rf"\br{row}\b", line)
    assert len(line_of_value) == rows * values
    heads = [c for line in lines if "row" in line for c in re.findall(r"\bc\d\b", line)]
    assert heads == [f"c{c}" for c in range(values)]


def test_columns_without_room_follow_below_with_the_names_of_the_rows():
    frame = pd.DataFrame([["digits", 1, "0.5 (50.0 %)", "0.25 (75.0 %)"]])
    frame.columns = ["task", "depth", "rnn", "gru"]
    assert [line.split() for line in printed(table_of(frame, 2), 34)] == [
        [],
        ["A", "title"],
        ["task", "depth", "rnn"],
        ["digits", "1", "0.5", "(50.0", "%)"],
        ["task", "depth", "gru"],
        ["digits", "1", "0.25", "(75.0", "%)"],
        [],
    ]


def test_a_name_of_many_rows_is_printed_once():
    frame = pd.DataFrame(
        [["a", 1, "x"], ["a", 1, "x"], ["a", 2, "z"], ["b", 2, "v"]],
        columns=["task", "depth", "value"],
    )
    assert [line.split() for line in printed(table_of(frame, 2), 60)][3:-1] == [
        ["a", "1", "x"],
        ["x"],  # values are printed even if they repeat
        ["2", "z"],
        ["b", "2", "v"],
    ]


def test_where_names_leave_no_room_columns_with_one_value_are_stated_once_above():
    columns = ["task", "alpha", "gamma", "quantity", "value"]
    rows = [
        ["parentheses", 1.0, 0.05, f"steps to performance {i}", f"{i}.25 ± 0.5"] for i in (1, 2)
    ]
    lines = printed(table_of(pd.DataFrame(rows, columns=columns), 4), 40)
    assert "Everywhere: task parentheses, alpha 1.0, gamma 0.05" in " ".join(lines[2:4])
    assert max(map(len, lines)) <= 40
    wide = printed(table_of(pd.DataFrame(rows, columns=columns), 4), 100)
    assert wide[2].split() == columns


def test_a_column_of_dashes_takes_no_room_unless_there_is_nothing_else():
    frame = pd.DataFrame([["a", "-", "1"], ["b", "-", "-"]], columns=["task", "none", "some"])
    assert printed(table_of(frame, 1), 60)[2].split() == ["task", "some"]
    assert printed(table_of(frame[["task", "none"]], 1), 60)[2].split() == ["task", "none"]


def test_notes_stand_below_a_printed_table_and_are_text_not_markup():
    frame = pd.DataFrame([["a", "1"]], columns=["task", "value"])
    lines = printed(table_of(frame, 1, notes=("One [bold]note[/bold].", "Another.")), 60)
    assert lines[-3:] == ["One [bold]note[/bold].", "Another.", ""]
    assert printed(table_of(frame.head(0), 1), 60) == [""]


@pytest.mark.parametrize(
    ("label", "broken"),
    [
        ("gru", "gru"),
        ("parentheses(length=20)", "parentheses\n(length=20)"),
        ("wcrnn(residual=scaled)", "wcrnn\n(residual=\nscaled)"),
        ("m(delay=2, size=3)", "m\n(delay=2,\nsize=3)"),
        (
            "w(form=A, gamma=[0.01, 0.1], skip=true)",
            "w\n(form=A,\ngamma=\n[0.01, 0.1],\nskip=true)",
        ),
    ],
)
def test_labels_are_broken_at_their_options(label, broken):
    assert heading(label) == broken
    assert "".join(broken.split("\n")) == label.replace(", ", ",").replace(".01,", ".01, ")
