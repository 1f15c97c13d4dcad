"""Compares the report's figures, summary and provenance with SQL and libraries."""

import json
import math
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import plotly.graph_objects
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.views import report, tables
from orchestrator.views.report import links
from orchestrator.views.report.figure import Figure
from orchestrator.views.report.figures import draw
from orchestrator.views.report.interactive import numbers, panel_values
from orchestrator.views.report.labelling import round_numbers
from orchestrator.views.report.page import page
from orchestrator.views.report.printed import sheets
from orchestrator.views.report.provenance import provenance
from orchestrator.views.report.style import styles, styles_of
from orchestrator.views.report.summary import headline_counts, sentences
from orchestrator.views.report.thinning import select_by_rank
from orchestrator.views.report.unmeasured import unmeasured
from orchestrator.views.study.study import Study
from orchestrator.views.tables import Table
from tests.support.many_trials import many_trials
from tests.support.mlflow_rows import shown
from tests.support.studies import Folder, completed, errored, infeasible, random_folder, stopped

MEGABYTE = 1024**2


def built(study):
    return {table.name: table for table in tables.build(study)}


def figures_of(study):
    return {figure.name: figure for figure in draw(study, built(study))}


def written(folder, out, *where):
    study = Study(folder.paths, where)
    return report.write(study, tables.build(study), out, None)


def page_of(study):
    all_tables = built(study)
    return page(
        study, [*all_tables.values()], draw(study, all_tables), styles(study.architectures), {}
    )


@dataclass(frozen=True)
class Parts:
    """Holds the study, tables and figures from which the page of a random folder is built."""

    study: Study
    tables: dict[str, Table]
    figures: dict[str, Figure]


@pytest.fixture(scope="module")
def parts(at_random):
    study = at_random.study
    all_tables = built(study)
    return Parts(study, all_tables, {figure.name: figure for figure in draw(study, all_tables)})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return random_folder(tmp_path_factory.mktemp("folder"), 1)


@pytest.fixture(scope="module")
def report_files(folder, tmp_path_factory):
    """Write a report on one of the tasks; return its files."""
    return written(folder, tmp_path_factory.mktemp("once"), "task=memory")


def test_the_same_ledger_gives_report_files_with_the_same_bytes(folder, report_files, tmp_path):
    again = written(folder, tmp_path / "again", "task=memory")
    assert [path.name for path in report_files] == [path.name for path in again]
    assert len({path.name for path in report_files}) == len(report_files) > 10
    for file, file_again in zip(report_files, again, strict=True):
        assert file.read_bytes() == file_again.read_bytes(), file.name


def test_the_same_ledger_gives_the_same_page(at_random, parts):
    looks = styles(parts.study.architectures)
    first = page(parts.study, [*parts.tables.values()], [*parts.figures.values()], looks, {})
    assert page_of(at_random.study) == first


def test_figure_files_are_complete_and_have_no_date(report_files):
    for path in report_files[1:]:
        content = path.read_bytes()
        if path.suffix == ".svg":
            assert ElementTree.fromstring(content).tag.endswith("svg")
            assert b"<dc:date>" not in content
        else:
            assert content.startswith(b"%PDF") and content.rstrip().endswith(b"%%EOF")
            assert b"CreationDate" not in content


class Outside(HTMLParser):
    """Collects the addresses that a page loads, its identifiers and its fragments."""

    def __init__(self):
        super().__init__()
        self.asked, self.ids, self.fragments = [], [], []

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name == "href" and value.startswith("#"):
                self.fragments.append(value[1:])
            elif name in ("src", "href", "srcset", "data"):
                self.asked.append(value)
            elif name == "id":
                self.ids.append(value)


def test_the_page_loads_nothing_else_and_its_table_of_contents_leads_to_its_sections(report_files):
    text = report_files[0].read_text()
    parser = Outside()
    parser.feed(text)
    assert parser.asked == []
    assert len(set(parser.ids)) == len(parser.ids)
    assert set(parser.fragments) <= set(parser.ids) and len(parser.fragments) > 10
    assert "default-src 'none'" in text


def test_every_panel_is_valid_for_plotly(parts):
    looks = styles(parts.study.architectures)
    panels = [
        panel_values(figure, panel, styles_of(figure, looks), ["small"])
        for figure in parts.figures.values()
        for panel in figure.panels
    ]
    assert len(panels) > 20
    for panel in panels:
        plotly.graph_objects.Figure(
            panel
        )  # raises an error for properties that plotly does not know
        json.dumps(panel, allow_nan=False)


def points(figure, **wanted):
    """Return (x, y) of the series with these attributes, by panel and architecture."""
    return {
        (panel.title, series.architecture): [*zip(series.x, series.y, strict=True)]
        for panel in figure.panels
        for series in panel.series
        if all(getattr(series, name) == value for name, value in wanted.items())
    }


def test_loss_at_matched_parameters_is_that_of_the_best_trials(at_random, parts):
    figure = parts.figures["parameter_matched"]
    wanted = at_random.sql(
        "select task || ', depth ' || depth, architecture, parameters, evaluation_loss, trial "
        "from trials where outcome = 'completed' qualify row_number() over "
        '(partition by cell order by objective, "index") = 1 order by 1, 2, 3'
    )
    drawn = sorted(
        (panel.title, series.architecture, x, y, trial)
        for panel in figure.panels
        for series in panel.series
        for x, y, (_, trial) in zip(series.x, series.y, series.trials, strict=True)
    )
    assert drawn == wanted


def test_shares_of_infeasible_trials_are_those_of_sql(at_random, parts):
    figure = parts.figures["infeasible"]
    drawn = {
        (panel.title, series.architecture): series.x[0]
        for panel in figure.panels
        for series in panel.series
        if not series.published
    }
    wanted = at_random.sql(
        "select task || ', depth ' || depth || ', budget ' || format('{:,}', budget), architecture,"
        " avg((outcome = 'infeasible')::int) from trials where outcome != 'errored' group by all"
    )
    assert drawn == {(title, name): pytest.approx(share) for title, name, share in wanted}


def test_every_trial_with_a_loss_is_in_the_distribution(at_random, parts):
    figure = parts.figures["distribution"]
    drawn = sorted(
        (trial, x)
        for panel in figure.panels
        for series in panel.series
        if series.faint
        for x, (_, trial) in zip(series.x, series.trials, strict=True)
    )
    assert drawn == at_random.sql(
        "select trial, evaluation_loss from trials where outcome in ('completed', 'stopped') "
        "and isfinite(evaluation_loss) order by trial"
    )
    medians = {
        (panel.title, series.architecture): series.x[0]
        for panel in figure.panels
        for series in panel.series
        if not series.faint
    }
    wanted = at_random.sql(
        "select task || ', depth ' || depth || ', budget ' || format('{:,}', budget), architecture,"
        " median(evaluation_loss) filter (outcome = 'completed') from trials group by all "
        "having count(*) filter (outcome = 'stopped') = 0 "
        "and count(*) filter (outcome = 'completed') > 0"
    )
    assert len(wanted) > 3
    assert medians == {(title, name): pytest.approx(middle) for title, name, middle in wanted}


def test_published_shares_of_infeasible_trials_are_drawn_as_marks(tmp_path):
    papers = {"name": "parentheses", "options": {}}
    folder = Folder.of(
        tmp_path, architectures=["rnn", "gru"], tasks=[papers], budgets=[200_000], replicates=1
    )
    folder.fill("rnn", infeasible(), completed(0.5, 0.5))
    folder.fill("gru", completed(0.5, 0.5), completed(0.6, 0.6))
    marks_of_panels = points(figures_of(folder.study)["infeasible"], published=True)
    assert [marks for marks in marks_of_panels.values()] == [
        [(pytest.approx(0.215), 0.0)],
        [(pytest.approx(0.155), 1.0)],
    ]
    summary = sentences(folder.study, built(folder.study))
    assert summary[-1].startswith("Of 2 published shares of infeasible trials that can be compared")


def test_the_summary_counts_what_sql_counts(at_random, parts):
    counts = {noun: number for number, noun in headline_counts(parts.study)}
    wanted = dict(at_random.sql("select outcome, count(*) from trials group by 1"))
    assert {name: int(counts[name]) for name in wanted} == wanted
    assert counts["trials"] == str(sum(wanted.values()))
    assert counts["cells"] == str(len(at_random.plan.cells))
    (seconds,) = at_random.sql("select sum(seconds) from trials")[0]
    assert float(counts["hours of training"]) == pytest.approx(seconds / 3600, rel=1e-2)


def test_the_summary_names_the_lowest_loss_on_each_task(at_random, parts):
    summary = " ".join(sentences(parts.study, parts.tables))
    for task, loss, architecture, depth in at_random.sql(
        "select task, evaluation_loss, architecture, depth from (select * from trials where "
        "outcome = 'completed' qualify row_number() over "
        '(partition by cell order by objective, "index") = 1) '
        "qualify row_number() over (partition by task order by evaluation_loss) = 1"
    ):
        text = re.search(
            rf"On {re.escape(task)} the lowest evaluation loss is (\S+) \(.*?\), of "
            rf"{re.escape(architecture)} at depth {depth} with",
            summary,
        )
        assert float(text[1]) == pytest.approx(loss, rel=1e-2)


def test_provenance_is_that_of_the_ledger(tmp_path):
    folder = Folder.of(tmp_path)
    versions, other_versions = json.dumps({"torch": "1", "ray": "3"}), json.dumps({"torch": "2"})
    folder.fill(
        "rnn", completed(0.5, 0.5, host="a", versions=versions, seconds=1800.0), infeasible()
    )
    folder.fill("gru", completed(0.5, 0.5, host="b", versions=other_versions), errored())
    (origin,) = provenance(folder.study)
    assert origin.versions == [("ray", "3", 1), ("torch", "1", 1), ("torch", "2", 1)]
    assert origin.hosts == [
        ("a", 1, 0.5),
        ("b", 1, pytest.approx(1 / 3600)),
        ("unknown", 2, pytest.approx(2 / 3600)),
    ]
    assert origin.hours == pytest.approx(1803 / 3600)
    assert origin.first == origin.last == "2026-01-02 12:00 UTC"
    assert "learning_rate:" in origin.manifest and "seed: 3" in origin.manifest


def test_the_report_lists_what_was_not_measured(tmp_path):
    folder = Folder.of(tmp_path, architectures=["rnn", "gru", "lstm", "intersection"])
    folder.fill("rnn", completed(0.5, 0.5), stopped(), errored())
    folder.fill("gru", infeasible(), infeasible())
    study = folder.study
    lists = dict(unmeasured(study, tables.build(study)))
    (lacking,) = (things for sentence, things in lists.items() if sentence.startswith("Tables"))
    assert {"capacity", "memory", "depth"} <= {*lacking} and "infeasible" not in lacking
    lists = {sentence: things for sentence, things in lists.items() if things is not lacking}
    assert lists.pop("What random configurations are worth is not known of all cells:") == [
        "Left out: 1 cell, for no trial of theirs has ended, or all errored.",
        "Left out: 1 cell, for trials of theirs were stopped early, so those that completed are "
        "chosen ones.",
    ]
    cell = "depth 1, budget 4,000, parentheses(held_out_size=32, length=6)"
    assert lists.pop("These cells cannot exist:") == [
        "intersection does not exist at depth 1: it needs depth 2 or more"
    ]
    assert lists.pop("1 cell had no trial that ended:") == [f"lstm, {cell}"]
    assert lists.pop("1 cell had no trial that completed, and so no loss:") == [
        f"gru, {cell} (0 stopped, 2 infeasible)"
    ]
    assert [sentence.split(" ended")[0].split(" were")[0] for sentence in lists] == ["1 trial"] * 2


def test_a_damaged_file_is_named_on_the_page(tmp_path):
    folder = Folder.of(tmp_path)
    folder.fill("rnn", completed(0.5, 0.5))
    folder.fill("gru", completed(0.5, 0.5))
    (part,) = folder.paths.ledger.glob("trials/cell=*gru*/*.parquet")
    part.write_bytes(part.read_bytes()[:-20])
    text = page_of(folder.study)
    assert "Files of the ledger could not be read:" in text and part.name in text


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(
    "ends",
    [
        [completed(0.5, 0.5)],
        [infeasible(), infeasible()],
        [errored()],
        [stopped()],
        [completed(math.nan, math.nan), completed(0.5, math.inf)],
        [completed(0.5, 0.5), completed(0.5, 0.5)],
        [completed(0.0, 0.0), completed(-1.0, -1.0)],
    ],
    ids=["one", "infeasible", "errored", "stopped", "no numbers", "ties", "not positive"],
)
def test_a_report_is_written_whatever_the_outcomes_and_losses_of_trials_are(tmp_path, ends):
    folder = Folder.of(tmp_path)
    folder.fill("rnn", *ends)
    assert written(folder, tmp_path / "out")[0].read_text().count("<h2>") >= 3


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=300),
    st.integers(2, 50),
)
def test_thinning_keeps_the_extremes_the_order_and_the_number(values, most):
    kept = select_by_rank(pd.Series(values), most)
    assert len(kept) == len(set(kept)) == min(len(values), most)
    assert list(kept) == sorted(kept)
    chosen = np.asarray(values)[kept]
    assert chosen.min() == min(values) and chosen.max() == max(values)


def test_thinning_keeps_the_distribution():
    values = pd.Series(np.random.default_rng(0).lognormal(size=10_000))
    kept = values.iloc[select_by_rank(values, 500)]
    for share in (0.01, 0.25, 0.5, 0.75, 0.99):
        assert (values < kept.quantile(share)).mean() == pytest.approx(share, abs=0.005)


def test_a_report_of_a_hundred_thousand_trials_draws_a_part_of_them_and_says_so(tmp_path):
    folder = many_trials(tmp_path, 2_100)
    study = folder.study
    assert len(study.trials) > 100_000
    wanted = {"parameter_matched": tables.parameter_matched(study)}
    wanted |= {"trainability": tables.trainability(study)}
    looks = styles(study.architectures)
    drawn = draw(study, wanted)
    text = page(study, [*wanted.values()], drawn, looks, {})
    assert len(text.encode()) < 15 * MEGABYTE
    (figure,) = [f for f in drawn if f.name == "distribution"]
    _, svg, _ = next(sheets(figure, looks))
    assert len(svg) < MEGABYTE  # many marks are drawn as one picture
    shown = sum(len(s.x) for panel in figure.panels for s in panel.series if s.faint)
    ((feasible,),) = folder.sql("select count(*) from trials where outcome != 'infeasible'")
    assert shown < 40_000 and shown + figure.thinned == feasible
    assert f"Points were thinned: {figure.thinned:,} are left out" in text
    ((low, high),) = folder.sql("select min(evaluation_loss), max(evaluation_loss) from trials")
    positions = [x for panel in figure.panels for series in panel.series for x in series.x]
    assert (min(positions), max(positions)) == (low, high)


def test_numbers_of_a_figure_are_rounded_and_left_out_if_they_are_not_finite():
    assert numbers([1.0, math.nan, math.inf, 123456.789]) == [1.0, None, None, 123460.0]


@given(st.floats(1e-9, 1e9), st.floats(1, 1e12) | st.floats(1, 1.001))
def test_a_logarithmic_axis_has_a_few_round_numbers(low, ratio):
    high = low * ratio
    ticks = round_numbers(low, high)
    assert len(ticks) <= 60
    visible = [value for value in ticks if low <= value <= high]
    assert len(visible) <= 15
    if ratio > 1.5:
        assert visible


def test_architectures_differ_in_marker_and_dash_and_not_in_colour_alone():
    looks = styles([f"a{number}" for number in range(24)])
    assert len(set(looks.values())) == 24
    shapes = {(look.marker, look.dash) for look in looks.values()}
    assert len(shapes) == 24  # they can be told apart without colours


def test_links_to_runs_need_an_mlflow_server_that_answers():
    for uri in (None, "sqlite:///x.db", "http://127.0.0.1:1"):
        assert links.run_links(uri, [shown(1)]) == {}


def test_an_address_on_the_page_holds_no_password():
    assert links._address("http://me:secret@host:5000/mlflow/") == "http://host:5000/mlflow"
