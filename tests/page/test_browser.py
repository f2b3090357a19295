"""The page in a real browser: quiet, alone, no wider than its window, and legible in both schemes."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import linreg_dist as lr
from linreg_dist.verbs.report import report
from tests.parquet import linear_columns, write_parquet

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

FLIGHTS = Path(__file__).parents[2] / "jobs" / "flights.yaml"
# What a browser would fetch for itself, and what it may not do as root in a container.
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
JOBS: dict[str, dict[str, Any]] = {
    "exact": {},
    "adam": {"solver.name": "adam", "solver.epochs": 3, "solver.learning_rate": 0.2},
    "tuned": {"tune": {"l2": [0.001, 0.1, 10], "l1_ratio": [0, 1], "folds": 3}},
}
LONG_NAMES = ["m" * 100, "W" * 100, "温" * 60, "a few words, each of which is short, " * 5]
PAGES = [*JOBS, "long", "huber", "compared"]
LEAST_CONTRAST = 4.5  # WCAG 2 AA, for text of normal size


def find_browser() -> tuple[str, str]:
    """Return the paths of Chromium and its driver; skip the test where something is missing."""
    pytest.importorskip("selenium", reason="selenium is not installed (the test group has it)")
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = next((path for name in names if (path := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("no chromium (or google-chrome) and chromedriver; the README says how to get them")
    return browser, driver


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    path, driver = find_browser()
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = path
    for option in (*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield started
    finally:
        started.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The address of each job's page."""
    find_browser()  # before anything is trained
    folder = tmp_path_factory.mktemp("runs")
    runs = {"run.storage_path": str(folder)}
    made = {name: lr.train(FLIGHTS, {**runs, **overrides, "name": name}) for name, overrides in JOBS.items()}
    columns = linear_columns(300, len(LONG_NAMES))
    data = {name: columns[f"x{i}"] for i, name in enumerate(LONG_NAMES)} | {"y" * 90: columns["y"]}
    path = write_parquet(folder / ("d" * 120) / "a.parquet", data)
    made["long"] = lr.train(
        {"name": "long", "data": {"path": str(path), "target": "y" * 90, "missing": "drop"}}, runs
    )
    small = write_parquet(folder / "small" / "a.parquet", linear_columns(3000))
    huber = {"name": "huber", "data": {"path": str(small), "target": "y"}, "model": {"loss": "huber"}}
    made["huber"] = lr.train(huber, runs)
    addresses = {name: (run.path / "report.html").as_uri() for name, run in made.items()}
    compared = folder / "compared.html"
    report([run.path for run in made.values()], compared)
    return {**addresses, "compared": compared.as_uri()}


def show(browser: Chrome, address: str, *, width: int, scheme: str) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(address)


@pytest.mark.parametrize("job", JOBS)
def test_it_says_nothing_on_the_console_and_asks_for_nothing(
    browser: Chrome, pages: dict[str, str], job: str
) -> None:
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get_log("performance")
    show(browser, pages[job], width=1280, scheme="light")
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert asked == [pages[job]]
    assert browser.get_log("browser") == []
    assert browser.title == f"{job} – linear regression"


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("job", PAGES)
def test_only_tables_and_listings_scroll_sideways(
    browser: Chrome, pages: dict[str, str], job: str, width: int
) -> None:
    show(browser, pages[job], width=width, scheme="light")
    page = "document.documentElement"
    assert browser.execute_script(f"return {page}.clientWidth") <= width
    assert browser.execute_script(f"return {page}.scrollWidth - {page}.clientWidth") == 0
    outside = """
        const edge = document.documentElement.clientWidth + 0.5;
        return [...document.querySelectorAll("body *")]
            .filter(e => !e.closest(".scroll > *, pre > *") && e.getBoundingClientRect().right > edge)
            .map(e => e.outerHTML.slice(0, 200));
    """
    assert browser.execute_script(outside) == []
    drawn = "return [...document.querySelectorAll('svg text')].map(e => e.getBoundingClientRect().height)"
    heights = browser.execute_script(drawn)
    assert heights
    assert min(heights) > 8, "text of the plots is legible"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("job", JOBS)
def test_text_and_plots_stand_out_from_the_paper(
    browser: Chrome, pages: dict[str, str], job: str, scheme: str
) -> None:
    show(browser, pages[job], width=1280, scheme=scheme)
    paper = colour(
        browser.execute_script("return getComputedStyle(document.documentElement).backgroundColor")
    )
    assert (luminance(paper) < 0.1) == (scheme == "dark")
    text = """
        return [...new Set([...document.querySelectorAll("h1, h2, p, li, th, td, caption, figcaption, pre")]
            .map(e => getComputedStyle(e).color))]
    """
    drawn = """
        return [...new Set([...document.querySelectorAll("svg text")].map(e => getComputedStyle(e).fill))]
    """
    for found in browser.execute_script(text) + browser.execute_script(drawn):
        assert contrast(colour(found), paper) >= LEAST_CONTRAST, found
    lines = """
        return [...new Set([...document.querySelectorAll("svg path")].map(e => getComputedStyle(e).stroke))]
    """
    strokes = [colour(found) for found in browser.execute_script(lines) if found != "none"]
    assert strokes
    assert max(contrast(found, paper) for found in strokes) >= LEAST_CONTRAST


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("job", ["exact", "huber", "compared"])
def test_axe_finds_nothing_wrong(browser: Chrome, pages: dict[str, str], job: str, scheme: str) -> None:
    axe = pytest.importorskip(
        "axe_core_python.selenium", reason="axe is not installed (the test group has it)"
    )
    show(browser, pages[job], width=1280, scheme=scheme)
    browser.set_script_timeout(120)
    # Drawings are hidden from a screen reader, which has their words and their numbers instead.
    found = axe.Axe().run(browser, {"exclude": [["svg"]]})
    told = [(each["id"], each["impact"], each["nodes"][0]["html"][:200]) for each in found["violations"]]
    assert told == []
    assert len(found["passes"]) > 20


def test_the_keyboard_reaches_what_scrolls_and_opens(browser: Chrome, pages: dict[str, str]) -> None:
    show(browser, pages["exact"], width=390, scheme="light")
    unreachable = """
        return [...document.querySelectorAll(".scroll, pre, a, summary")]
            .filter(e => e.tabIndex < 0).map(e => e.outerHTML.slice(0, 100));
    """
    assert browser.execute_script(unreachable) == []
    first = "document.querySelector('summary')"
    browser.execute_script(f"{first}.focus(); {first}.scrollIntoView()")
    from selenium.webdriver.common.keys import Keys

    browser.switch_to.active_element.send_keys(Keys.ENTER)
    assert browser.execute_script(f"return {first}.parentElement.open")
    links = browser.execute_script(
        "return [...document.querySelectorAll('nav a')].map(a => [a.textContent, a.hash])"
    )
    for text, target in links:
        shown = browser.execute_script(f"return document.querySelector('{target}').textContent")
        assert shown == text


def test_pointing_at_a_plot_says_its_numbers(browser: Chrome, pages: dict[str, str]) -> None:
    show(browser, pages["exact"], width=1280, scheme="light")
    tips = browser.execute_script("""
        const svg = document.querySelector("[aria-label^='Residuals against predicted'] svg");
        const box = svg.querySelector(".h").getBoundingClientRect();
        svg.scrollIntoView();
        const at = svg.querySelector(".h").getBoundingClientRect();
        const found = document.elementFromPoint(at.left + at.width / 2, at.top + at.height / 2);
        return found.querySelector("title").textContent;
    """)
    assert re.match(r"predicted arr_delay .* to .*\n[\d,]+ rows", tips)


def test_the_plots_keep_within_their_frame(browser: Chrome, pages: dict[str, str]) -> None:
    for address in pages.values():
        show(browser, address, width=1280, scheme="light")
        cut = """
            return [...document.querySelectorAll("svg")].flatMap(svg => {
                const frame = svg.getBoundingClientRect();
                return [...svg.querySelectorAll("text")].map(e => [e.textContent, e.getBoundingClientRect()])
                    .filter(([_, box]) => box.left < frame.left - 1 || box.right > frame.right + 1
                        || box.top < frame.top - 1 || box.bottom > frame.bottom + 1)
                    .map(([text, _]) => text);
            });
        """
        assert browser.execute_script(cut) == []


def colour(css: str) -> tuple[float, float, float]:
    red, green, blue = (float(part) / 255 for part in re.findall(r"[\d.]+", css)[:3])
    return red, green, blue


def luminance(rgb: tuple[float, float, float]) -> float:
    """Return the relative luminance of WCAG 2."""
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)
