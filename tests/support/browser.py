"""Opens a report in a real Chromium, from a file and without a network."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Dialog, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str | None:
    """Return the path of the first Chromium that is installed, None if there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a browser, which serves many pages, and close it on leaving."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@contextmanager
def opened(
    browser: Browser,
    report: Path,
    *,
    width: int = 1280,
    scheme: Literal["dark", "light", "no-preference"] = "light",
) -> Iterator[Page]:
    """Open the page of a report; on leaving, assert that it complained and requested nothing.

    Args:
        browser: browser that opens the page.
        report: HTML file of the report.
        width: width of the window in pixels.
        scheme: colour scheme that the user prefers.
    """
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
    )
    page = context.new_page()
    complaints: list[str] = []
    requested: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        complaints.append(dialog.message)
        dialog.dismiss()

    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", dismiss)
    page.on("request", lambda request: requested.append(request.url))
    page.goto(report.as_uri())
    yield page
    context.close()
    assert complaints == [], complaints
    assert [url for url in requested if not url.startswith(("data:", "blob:"))] == [report.as_uri()]


def draw_all(page: Page) -> None:
    """Unfold every section and scroll to every figure, so that all figures are drawn."""
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    for element in page.query_selector_all(".plot"):
        element.scroll_into_view_if_needed()
    page.wait_for_function(
        "[...document.querySelectorAll('.plot')].every((one) => one.querySelector('.main-svg'))"
    )
