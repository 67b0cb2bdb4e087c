# SPDX-License-Identifier: Apache-2.0
"""The page of a job in a real browser, opened as a file as a person would open it."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from executor.report.page import PageBuilder
from executor.report.summarize import summarize
from executor.testing.book import Book
from tests.integration import pagejobs

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
SIZES = {"desktop": (1280, 720), "phone": (390, 844)}

Driver = webdriver.Chrome
Open = Callable[[Book], Driver]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """Debian's Chromium; what is missing skips these tests, or fails them where everything must be there."""
    programs = shutil.which("chromium"), shutil.which("chromedriver")
    if programs[0] is None or programs[1] is None:
        reason = "no chromium with chromedriver: scripts/setup test installs them"
        if os.environ.get("LAVA_EXEC_REQUIRE_E2E"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    options = webdriver.ChromeOptions()
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.binary_location = programs[0]
    browser = webdriver.Chrome(options=options, service=Service(programs[1]))
    browser.set_page_load_timeout(60)
    yield browser
    browser.quit()


@pytest.fixture
def open_page(driver: Driver, tmp_path: Path) -> Iterator[Open]:
    """Shows the page of a journal from a file; at the end the browser must have nothing to complain of."""
    resize(driver, *SIZES["desktop"])

    def show(book: Book) -> Driver:
        builder = PageBuilder()
        builder.add(book.records)
        file = tmp_path / "job.html"
        file.write_text("".join(builder.page(summarize(io.BytesIO(book.data)))), encoding="utf-8")
        driver.get(file.as_uri())
        return driver

    yield show
    assert driver.get_log("browser") == []


def resize(driver: Driver, width: int, height: int, **features: str) -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    media = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": media})


def box(driver: Driver, css: str) -> dict[str, float]:
    """Where an element is in the window."""
    return dict(
        driver.execute_script(
            "return document.querySelector(arguments[0]).getBoundingClientRect().toJSON()", css
        )
    )


def shown(driver: Driver, css: str) -> list[str]:
    return [element.text for element in driver.find_elements(By.CSS_SELECTOR, css) if element.is_displayed()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_the_cause_of_a_failed_job_is_seen_without_scrolling(
    open_page: Open, driver: Driver, size: str, scheme: str
) -> None:
    width, height = SIZES[size]
    resize(driver, width, height, prefers_color_scheme=scheme)
    open_page(pagejobs.panicked())
    for css, words in (
        (".who", "For the test writer"),
        ("#cause", pagejobs.PANIC),
        (".where", "log line 640"),
    ):
        place = box(driver, css)
        assert 0 <= place["top"] < place["bottom"] <= height, css
        assert 0 <= place["left"] < place["right"] <= width, css
        assert words in driver.find_element(By.CSS_SELECTOR, css).text
    last = box(driver, ".excerpt > div:last-child")
    assert last["bottom"] <= box(driver, ".excerpt")["bottom"] <= height, "with the line itself"
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width, "nothing sticks out"
    ink, page = (channels(driver, name) for name in ("color", "backgroundColor"))
    assert (sum(ink) > sum(page)) is (scheme == "dark")
    assert contrast(ink, page) > 7


def channels(driver: Driver, name: str) -> list[int]:
    script = "return getComputedStyle(document.body)[arguments[0]].match(/\\d+/g).map(Number)"
    return list(driver.execute_script(script, name))[:3]


def contrast(one: list[int], other: list[int]) -> float:
    """As the accessibility guidelines count it; 4.5 is asked for, 7 is good."""

    def luminance(colour: list[int]) -> float:
        parts = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_link_of_the_cause_unfolds_and_marks_its_line(open_page: Open) -> None:
    driver = open_page(pagejobs.panicked())
    driver.find_element(By.CSS_SELECTOR, "[data-fold=close]").click()
    line = driver.find_element(By.ID, "L640")
    assert not line.is_displayed()
    driver.find_element(By.ID, "to-cause").click()
    assert line.is_displayed()
    assert pagejobs.PANIC in line.text
    assert driver.execute_script("return document.querySelector(':target').id") == "L640"
    top = box(driver, "#L640")["top"]
    assert 0 < top < 720


def test_only_what_failed_is_unfolded_at_first_and_all_of_it_on_request(open_page: Open) -> None:
    driver = open_page(pagejobs.panicked())
    unfolded = "#lines details[open] > summary strong"
    names = f"return [...document.querySelectorAll('{unfolded}')].map(e => e.textContent)"
    assert driver.execute_script(names) == ["uboot-action", "login-action"]
    driver.find_element(By.CSS_SELECTOR, "[data-fold=open]").click()
    assert len(driver.execute_script(names)) == len(driver.find_elements(By.CSS_SELECTOR, "#lines details"))
    driver.find_element(By.CSS_SELECTOR, "[data-fold=close]").click()
    assert driver.execute_script(names) == []


def test_debug_lines_can_be_hidden(open_page: Open) -> None:
    driver = open_page(pagejobs.panicked())
    driver.find_element(By.CSS_SELECTOR, "[data-fold=open]").click()
    before = len(shown(driver, "#lines .d"))
    driver.find_element(By.ID, "debug").click()
    assert before > 10
    assert shown(driver, "#lines .d") == []


def test_results_are_filtered_by_what_came_out_and_by_name(open_page: Open) -> None:
    driver = open_page(pagejobs.half_passed(cases=40))
    rows = "#results > table tr[data-result]"
    assert len(shown(driver, rows)) == 40
    driver.find_element(By.CSS_SELECTOR, "[data-show=fail]").click()
    assert [text.split()[:3] for text in shown(driver, rows)] == [["✗", "fail", "case-3"]]
    driver.find_element(By.CSS_SELECTOR, "[data-show=all]").click()
    name = driver.find_element(By.ID, "name")
    name.send_keys("case-2")
    assert len(shown(driver, rows)) == 11
    name.send_keys("nothing")
    assert shown(driver, rows) == []
    assert shown(driver, "#none") == ["No test case is like that."]


def test_the_keyboard_reaches_everything(open_page: Open) -> None:
    driver = open_page(pagejobs.panicked(noise=3))
    seen: list[str] = []
    while "debug" not in seen:
        assert len(seen) < 60
        driver.switch_to.active_element.send_keys(Keys.TAB)
        active = driver.switch_to.active_element
        seen.append(active.get_attribute("id") or active.text or active.tag_name)
        assert active.is_displayed()
    assert seen[0] == "Skip to the results"
    assert {"to-cause", "Results", "Unfold all", "debug"} <= set(seen)
    summary = driver.find_element(By.CSS_SELECTOR, "#lines summary")
    summary.send_keys(Keys.ENTER)
    assert driver.find_element(By.CSS_SELECTOR, "#lines details").get_attribute("open") is not None


def test_parts_have_names_for_those_who_do_not_see_them(open_page: Open) -> None:
    driver = open_page(pagejobs.half_passed(cases=12))
    tree = driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    named = {
        (node["role"]["value"], node.get("name", {}).get("value", "")) for node in tree if not node["ignored"]
    }
    assert {
        ("heading", "Results"),
        ("heading", "Log"),
        ("region", "Timeline"),
        ("searchbox", "Name"),
    } <= named
    assert ("navigation", "Parts of this page") in named
    for role in ("button", "link", "checkbox", "searchbox", "region"):
        assert (role, "") not in named
    assert driver.find_element(By.CSS_SELECTOR, "html").get_attribute("lang") == "en"


def test_hostile_text_is_inert(open_page: Open) -> None:
    driver = open_page(pagejobs.panicked(hostile=pagejobs.HOSTILE))
    driver.find_element(By.CSS_SELECTOR, "[data-fold=open]").click()
    state: dict[str, Any] = driver.execute_script(
        "return {hacked: window.hacked, scripts: document.scripts.length, images: document.images.length}"
    )
    assert state == {"hacked": None, "scripts": 1, "images": 0}
    assert any(pagejobs.HOSTILE in text for text in shown(driver, "#lines .t"))


def test_it_prints_with_the_cause_on_the_first_page(open_page: Open) -> None:
    driver = open_page(pagejobs.panicked())
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert shown(driver, "nav, .tools") == []
    assert shown(driver, "#cause") == [pagejobs.PANIC]
    assert len(driver.execute_cdp_cmd("Page.printToPDF", {})["data"]) > 10_000


def test_a_huge_log_is_a_page_that_can_be_used(open_page: Open) -> None:
    driver = open_page(pagejobs.panicked(noise=100_000))
    assert "are left out here" in driver.find_element(By.CSS_SELECTOR, ".gap").get_attribute("textContent")
    driver.find_element(By.ID, "to-cause").click()
    assert pagejobs.PANIC in driver.find_element(By.CSS_SELECTOR, ":target").text
