"""Opens the report in a real Chromium without a network and uses what can be clicked."""

import json

import pytest

from orchestrator.views import report, tables
from tests.support.browser import chromium, draw_all, find_chromium, opened
from tests.support.studies import MEMORY, Folder, completed, infeasible, stopped, wcrnn

pytestmark = pytest.mark.skipif(
    find_chromium() is None, reason="no chromium, chromium-browser or google-chrome is installed"
)
SERVER = "http://127.0.0.1:1"


def write(study, folder, mlflow=None):
    return report.write(study, tables.build(study), folder, mlflow)[0]


@pytest.fixture(scope="module")
def browser():
    with chromium() as chromium_process:
        yield chromium_process


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Fill ten of twelve cells, so that all figures except those of reruns are drawn."""
    results = tmp_path_factory.mktemp("report")
    names = ["rnn", "gru", "lstm", "wcrnn", "intersection", wcrnn(residual="heterogeneous")]
    folder = Folder.of(results, architectures=names, depths=[1, 2], tasks=[MEMORY])
    ends = {}
    for number, cell in enumerate(folder.plan.cells[:-2]):
        losses = [(7 * number + 3 * i) % 10 / 10 + 0.05 for i in range(4)]
        completed_ends = [completed(loss, loss * 1.1) for loss in losses]
        for i, end in enumerate([*completed_ends, *[infeasible()] * (number % 3), stopped()][:6]):
            ends[f"{cell.id}_{i:05d}"] = end
    folder.write(ends)
    return folder


@pytest.fixture(scope="module")
def page_file(folder):
    return write(folder.study, folder.paths.folder)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_every_figure_is_drawn_and_nothing_is_wider_than_the_screen(
    browser, page_file, width, scheme
):
    with opened(browser, page_file, width=width, scheme=scheme) as page:
        draw_all(page)
        for plot in page.query_selector_all(".plot"):
            assert plot.query_selector_all(".points path.point"), plot.get_attribute("id")
            assert plot.bounding_box()["width"] > 250
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate("document.documentElement.dataset.scheme") == scheme
        ink = page.evaluate("getComputedStyle(document.body).color")
        assert ink == ("rgb(36, 41, 47)" if scheme == "light" else "rgb(223, 227, 232)")


def test_claims_stand_first_with_their_verdict_scale_and_rule(browser, page_file):
    with opened(browser, page_file, width=390) as page:
        first = page.locator("main > section").first
        assert first.get_attribute("id") == "claims"
        claims = page.locator(".claim")
        assert claims.count() > 0
        assert claims.first.locator(".verdict").inner_text() in ("confirmed", "undecided")
        facts = claims.first.locator("dl").inner_text()
        assert "Measured" in facts and " trials a cell" in facts and "The paper's scale" in facts
        rule = claims.first.locator("details .note")
        assert not rule.is_visible()
        claims.first.locator("summary").click()
        assert rule.is_visible()
        assert claims.first.locator("tbody tr").count() > 0
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        unmeasured = page.locator("#claims > details")
        unmeasured.locator("summary").click()
        assert "capacity_C1" in unmeasured.inner_text()


def test_the_switch_changes_the_colours_of_page_and_figures(browser, page_file):
    with opened(browser, page_file) as page:
        draw_all(page)
        axis = "document.querySelector('.plot .xtick text').style.fill"
        before = page.evaluate(axis)
        page.click("#scheme")
        assert page.evaluate("document.documentElement.dataset.scheme") == "dark"
        assert page.evaluate(axis) != before
        page.click("#scheme")
        assert page.evaluate(axis) == before


def column(page, table, index):
    return page.eval_on_selector_all(
        f"#table-{table} tbody tr", f"rows => rows.map(row => row.cells[{index}].textContent)"
    )


@pytest.mark.parametrize("device", ["click", "keyboard"])
def test_a_heading_sorts_its_column_both_ways_with_missing_values_last(browser, page_file, device):
    with opened(browser, page_file) as page:
        headings = page.eval_on_selector_all(
            "#table-infeasible thead th", "all => all.map(one => one.textContent)"
        )
        index = headings.index("share")
        button = page.locator("#table-infeasible thead th button").nth(index)

        def sort():
            if device == "click":
                button.click()
            else:
                button.focus()
                page.keyboard.press("Enter")

        unsorted = column(page, "infeasible", index)
        values = [float(text.split()[0]) for text in unsorted if text != "-"]
        assert values != sorted(values) != values[::-1] and "-" in unsorted
        for order, reverse in (("ascending", False), ("descending", True)):
            sort()
            assert button.locator("..").get_attribute("aria-sort") == order
            texts = column(page, "infeasible", index)
            assert sorted(texts) == sorted(unsorted)
            numbers = [float(text.split()[0]) for text in texts[: len(values)]]
            assert numbers == sorted(values, reverse=reverse)
            assert set(texts[len(values) :]) == {"-"}


def test_a_column_of_texts_with_numbers_is_sorted_by_these_numbers(browser, page_file):
    texts = ["10", "9.5 (3 %)", "1e-3", "- / inf", ">= 200", "-2 [-3, 1]", "1,000", "inf", "-"]
    with opened(browser, page_file) as page:
        page.evaluate(
            """texts => {
              const table = document.querySelector("#table-infeasible table");
              const rows = texts.map((text) => `<tr><td>${text}</td></tr>`);
              table.tBodies[0].innerHTML = rows.join("");
              sort(table.tHead.rows[0].cells[0]);
            }""",
            texts,
        )
        assert column(page, "infeasible", 0) == [
            *("-2 [-3, 1]", "1e-3", "9.5 (3 %)", "10", ">= 200", "1,000", "inf", "- / inf", "-")
        ]


def test_no_button_of_a_figure_uploads_or_shares_it(browser, page_file):
    with opened(browser, page_file) as page:
        draw_all(page)
        buttons = page.eval_on_selector_all(
            ".plot .modebar-btn", "all => all.map((one) => one.dataset.title)"
        )
        assert "Download plot as a PNG" in str(buttons)
        assert not [title for title in buttons if "Cloud" in title or "hare" in title]


def test_the_legend_hides_an_architecture_in_all_figures_and_shows_it_again(browser, page_file):
    shown = """architecture => [...document.querySelectorAll(".plot")].flatMap((plot) =>
      plot.data.filter((trace) => trace.meta === architecture).map((trace) => trace.visible))"""
    with opened(browser, page_file) as page:
        draw_all(page)
        button = page.locator(".legend button[data-architecture=rnn]").first
        points = "document.querySelectorAll('.plot .points path.point').length"
        all_points = page.evaluate(points)
        assert set(page.evaluate(shown, "rnn")) == {True}
        button.click()
        assert set(page.evaluate(shown, "rnn")) == {False}
        assert set(page.evaluate(shown, "gru")) == {True}
        assert page.evaluate(points) < all_points
        assert button.get_attribute("aria-pressed") == "false"
        button.focus()
        page.keyboard.press("Space")
        assert set(page.evaluate(shown, "rnn")) == {True}
        assert page.evaluate(points) == all_points


def test_a_point_names_its_trial_and_opens_its_run(browser, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(
        report, "run_links", lambda uri, sweeps: {s.name: f"{uri}/#/experiments/7" for s in sweeps}
    )
    page_file = write(folder.study, tmp_path, SERVER)
    with opened(browser, page_file) as page:
        page.evaluate("window.open = (link) => { window.went = link }")
        plot = page.locator("#parameter_matched-0, #distribution-0").first
        plot.scroll_into_view_if_needed()
        page.wait_for_selector("#parameter_matched-0 .points path.point")
        page.locator("#parameter_matched-0 .points path.point").first.hover(force=True)
        page.wait_for_selector("#parameter_matched-0 .hovertext")
        trial = page.evaluate("document.querySelector('#parameter_matched-0').data[0].customdata")
        trial = trial[0][1]
        assert f"trial {trial}" in page.text_content("#parameter_matched-0 .hovertext")
        page.locator("#parameter_matched-0 .points path.point").first.click(force=True)
        page.wait_for_function("window.went")
        went = page.evaluate("window.went")
    assert went == (f"{SERVER}/#/experiments/7&searchFilter=tags.trial%20%3D%20'{trial}'")


def test_nothing_that_a_sweep_or_a_label_holds_becomes_markup(browser, tmp_path):
    evil = "<img src=x onerror=alert(1)>"
    folder = Folder.of(tmp_path, architectures=["rnn", wcrnn()])
    folder.fill("rnn", completed(0.5, 0.5, host=evil, versions=json.dumps({evil: evil})))
    folder.fill("wcrnn", completed(0.4, 0.4), infeasible())
    text = folder.paths.manifest.read_text()
    marked = "</script><script>alert(2)</script><b>$x$ %{x}</b>"
    manifest = json.loads(text)
    for cell in manifest["cells"].values():
        cell["architecture"]["options"] |= {"note": marked}
    for architecture in manifest["architectures"]:
        architecture["options"] |= {"note": marked}
    named = tmp_path / evil
    folder.paths.folder.rename(named)
    (named / "sweep.json").write_text(json.dumps(manifest))
    study = tables.Study(type(folder.paths)(tmp_path, evil))
    wanted = [tables.parameter_matched(study), tables.trainability(study)]
    page_file = report.write(study, wanted, tmp_path / "out", None)[0]
    with opened(browser, page_file) as page:
        draw_all(page)
        assert page.text_content("h1") == evil
        assert page.query_selector("img") is None and page.query_selector(".plot b") is None
        assert page.locator("script").count() == 3
        assert marked in page.text_content("#figures .legend")
        assert marked in page.text_content("#table-trainability")
        assert evil in page.text_content("#provenance")
