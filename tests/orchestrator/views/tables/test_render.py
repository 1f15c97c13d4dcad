"""Writes tables as CSV, Parquet, Markdown and LaTeX, and reads them back."""

import math
import re

import duckdb
import pandas as pd
import pytest

from orchestrator.views.tables import Table, build
from orchestrator.views.tables.render import markdown, write
from orchestrator.views.tables.table import metric_text, number, percent
from tests.support.studies import Folder, completed, infeasible, stopped

NAMES = ["parameter_matched", "trainability", "infeasible", "residual_pairs"]


def split_row(line):
    """Return the cells of a Markdown row, as GitHub reads it."""
    assert line.startswith("| ")
    assert line.endswith(" |")
    cells = re.split(r"(?<!\\)\|", line[1:-1])
    return [cell.strip().replace("\\|", "|") for cell in cells]


def test_all_tables_are_written_in_every_form(at_random, tmp_path):
    tables = build(at_random.study)
    names = [table.name for table in tables]
    assert {*NAMES} <= {*names} and len({*names}) == len(names)
    folder = tmp_path / "new" / "tables"
    paths = write(tables, folder)
    assert [p.name for p in paths] == [
        f"{name}.{suffix}" for name in names for suffix in ("csv", "parquet", "md", "tex")
    ]
    assert sorted(folder.iterdir()) == sorted(paths)  # no temporary file is left


def test_a_label_with_signs_of_markdown_and_html_stays_in_its_cell():
    label = "mine:Net(note=a|b\n<script>x</script> 1 < 2)"
    frame = pd.DataFrame({"architecture": [label], "value": ["1"]})
    *_, row = markdown(Table("name", "title", frame, frame, 1)).rstrip().split("\n")
    assert split_row(row) == ["mine:Net(note=a|b &lt;script>x&lt;/script> 1 < 2)", "1"]


def with_none(frame):
    """Return the frame with None for every missing value."""
    return frame.astype(object).where(frame.notna(), None)


def test_a_csv_and_a_parquet_file_read_back_as_the_tidy_table(at_random, tmp_path):
    for table in build(at_random.study):
        csv, parquet, *_ = write([table], tmp_path)
        from_csv = pd.read_csv(csv)
        assert len(from_csv) > 0
        wanted = with_none(table.tidy)
        pd.testing.assert_frame_equal(with_none(from_csv), wanted, check_dtype=False, rtol=1e-14)
        from_parquet = duckdb.sql(f"select * from '{parquet}'").df()
        pd.testing.assert_frame_equal(with_none(from_parquet), wanted, check_dtype=False)


def test_markdown_parses_back_to_what_is_shown(at_random):
    for table in build(at_random.study):
        title, empty, head, line, *lines = markdown(table).split("\n")
        assert (title, empty) == (f"## {table.title}", "")
        columns = len(table.shown.columns)
        assert split_row(head) == [str(name) for name in table.shown.columns]
        assert split_row(line) == [":--"] * table.index + ["--:"] * (columns - table.index)
        rows = lines[: lines.index("")]
        wanted = table.shown.map(str).to_numpy().tolist()
        assert [split_row(row) for row in rows] == wanted
        notes = [text for note in table.notes for text in ("", note)]
        assert lines[len(rows) :] == [*notes, ""]


def by_hand(values, index=1, columns=("name", "a|b", "c"), **others):
    frame = pd.DataFrame(values, columns=list(columns))
    return Table("t", "A title", frame, frame, index, **others)


def test_a_bar_inside_a_cell_is_escaped_in_markdown():
    lines = markdown(by_hand([["x|y", "1|2|3", "4"]])).split("\n")
    assert lines[2:5] == [
        "| name | a\\|b | c |",
        "| :-- | --: | --: |",
        "| x\\|y | 1\\|2\\|3 | 4 |",
    ]
    assert {len(split_row(line)) for line in lines[2:5]} == {3}


def test_the_same_ledger_gives_tables_with_the_same_bytes(at_random, tmp_path):
    contents = [
        [path.read_bytes() for path in write(build(at_random.study), tmp_path / again)]
        for again in ("first", "second")
    ]
    assert contents[0] == contents[1]
    assert len(contents[0]) >= 4 * len(NAMES)


def test_tables_do_not_depend_on_the_order_in_which_trials_ended(tmp_path):
    ends = [completed(0.2, 0.3), infeasible(), completed(0.1, 0.4), stopped(), completed(0.1, 9.0)]
    orders = ([0, 1, 2, 3, 4], [4, 2, 0, 3, 1])
    texts = []
    for order in orders:
        folder = Folder.of(tmp_path / str(order[0]))
        for index in order:
            folder.fill("rnn", *[None] * index, ends[index])
        texts.append([(markdown(t), t.tidy.to_csv()) for t in build(folder.study)])
    assert texts[0] == texts[1]


def test_a_table_written_again_takes_the_place_of_the_old_one(tmp_path):
    for value in ("old", "new"):
        csv, _, md, _ = write([by_hand([["x", value, "1"]])], tmp_path)
    assert csv.read_text() == "name,a|b,c\nx,new,1\n"
    assert "old" not in md.read_text()
    assert len([*tmp_path.iterdir()]) == 4


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.123456, "0.123"),
        (1.0, "1"),
        (12.34, "12.3"),
        (999.4, "999"),
        (999.6, "1000"),
        (123456.7, "123457"),
        (9_999_999.0, "9999999"),
        (1e7, "1e+07"),
        (-1234.5, "-1234"),
        (0.00001234, "1.23e-05"),
        (0.0, "0"),
        (math.inf, "inf"),
        (math.nan, "-"),
        (None, "-"),
    ],
)
def test_numbers_have_three_digits_or_all_before_the_point(value, text):
    assert number(value) == text


def test_shares_are_percentages_and_other_metrics_numbers():
    assert [percent(v) for v in (0.1234, 1.0, 0.0, math.nan, None)] == [
        "12.3 %",
        "100.0 %",
        "0.0 %",
        "-",
        "-",
    ]
    assert (metric_text("accuracy", 0.5), metric_text("rms", 0.5)) == ("50.0 %", "0.5")
