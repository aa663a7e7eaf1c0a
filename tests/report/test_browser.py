"""The page in a real headless browser, offline. Skipped, and said so, where there is no Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from remeasure.report import render
from remeasure.report.screenshot import ARGUMENTS
from report.sample import sample

CHROMIUM = shutil.which("chromium")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="no chromium on the PATH (Debian: apt install chromium)"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield started
        started.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    site = tmp_path_factory.mktemp("site")
    render(sample(), site)
    return Path(site / "index.html").as_uri()


def opened(browser: Any, address: str, **options: Any) -> Any:
    """A tab that remembers what it asked for and what it complained about."""
    context = browser.new_context(offline=True, **options)
    tab = context.new_page()
    tab.asked, tab.complaints = [], []
    tab.on("request", lambda request: tab.asked.append(request.url))
    tab.on("console", lambda message: tab.complaints.append(message.text))
    tab.on("pageerror", lambda error: tab.complaints.append(str(error)))
    tab.goto(address)
    return tab


def test_the_page_loads_offline_and_asks_for_nothing(browser: Any, address: str) -> None:
    tab = opened(browser, address)
    assert [url for url in tab.asked if url != address and not url.startswith("data:")] == []
    assert tab.complaints == []


@pytest.mark.parametrize("width", [390, 800, 1360])
def test_the_page_never_scrolls_sideways(browser: Any, address: str, width: int) -> None:
    tab = opened(browser, address, viewport={"width": width, "height": 844})
    tab.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    outside = """[...document.querySelectorAll('main :is(p, h1, h2, h3, h4, h5, dd, .pill, .num, svg)')]
        .filter(e => !e.closest('.scroll') && e.getBoundingClientRect().right > innerWidth + 1)
        .map(e => e.textContent.slice(0, 60))"""
    assert tab.evaluate(outside) == []


def test_light_and_dark_differ_and_figures_follow(browser: Any, address: str) -> None:
    colours = """() => [getComputedStyle(document.body).backgroundColor,
        getComputedStyle(document.querySelector('.forest .claimed')).stroke,
        getComputedStyle(document.querySelector('.forest .bar')).stroke]"""
    light = opened(browser, address, color_scheme="light").evaluate(colours)
    dark = opened(browser, address, color_scheme="dark").evaluate(colours)
    assert all(a != b for a, b in zip(light, dark, strict=True))


def test_how_a_number_was_made_unfolds(browser: Any, address: str) -> None:
    tab = opened(browser, address)
    claim = tab.locator("#opdai-O3")
    command = claim.get_by_text("remeasure run --claim opdai/O3")
    assert not command.is_visible()
    claim.get_by_text("How this number was made").click()
    assert command.is_visible()


def test_tables_sort_by_their_headings(browser: Any, address: str) -> None:
    tab = opened(browser, address)
    table = tab.locator("#opdai table.claims")

    def ids() -> list[str]:
        return table.locator("tbody th").all_inner_texts()

    before = ids()
    table.get_by_role("button", name="estimate").click()
    up = ids()
    assert up[0] == "O9", "the lowest estimate first"
    assert up[-1] == "O1", "what has no number stays below"
    table.get_by_role("button", name="estimate").click()
    down = ids()
    assert down[0] == "O8"
    assert down[-1] == "O1"
    assert sorted(before) == sorted(up) == sorted(down)
    assert table.locator("th[aria-sort]").count() == 1


def test_the_page_is_readable_without_javascript(browser: Any, address: str) -> None:
    tab = opened(browser, address, java_script_enabled=False)
    assert tab.locator("h1").inner_text() == "5 of 7 judged claims of the papers held"
    assert tab.locator("thead button").count() == 0
    assert tab.locator("#opdai-O5 .pill").first.inner_text().endswith("not reproduced")
    summary = tab.locator("#opdai-O3 summary")
    summary.click()
    assert tab.get_by_text("remeasure run --claim opdai/O3").is_visible()


def test_the_forest_plot_puts_intervals_where_they_belong(browser: Any, address: str) -> None:
    """O5's interval spans zero: its bar must cross the reference line; O2's must lie right of it."""
    tab = opened(browser, address)
    place = """id => { const row = document.querySelector(`.forest a[href='#${id}']`).closest('li');
        const x = s => row.querySelector(s).getBoundingClientRect();
        return [x('.bar').left, x('.bar').right, x('.reference').left] }"""
    left, right, zero = tab.evaluate(place, "opdai-O5")
    assert left < zero < right
    left, _, zero = tab.evaluate(place, "opdai-O2")
    assert left > zero


def test_print_hides_the_contents_and_unfolds_everything(browser: Any, address: str) -> None:
    tab = opened(browser, address)
    tab.emulate_media(media="print")
    assert not tab.locator("nav.contents").is_visible()
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert tab.locator("details:not([open])").count() == 0
    tab.evaluate("dispatchEvent(new Event('afterprint'))")
    assert tab.locator("details[open]").count() == 0
