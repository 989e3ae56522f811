"""The evaluation's and the comparison's pages as a browser shows them."""

import re
from pathlib import Path

import pytest

from tests.browser.chromium import Browser
from tests.browser.conftest import Page
from tests.browser.contrast import CONTRASTS


@pytest.fixture(params=["evaluation", "comparison"])
def page(request: pytest.FixtureRequest) -> Page:
    value = request.getfixturevalue(request.param)
    assert isinstance(value, Page)
    return value


def percent(share: float) -> str:
    return f"{100 * share:.1f}\u00a0%"


def test_it_loads_alone_and_without_a_complaint(browser: Browser, page: Page) -> None:
    browser.open(page.html)
    assert browser.requests == [page.html.as_uri()]
    assert browser.complaints == []
    # The page's policy is at work, so nothing could have been asked for.
    refused = browser.run("fetch('http://127.0.0.1:9/').then(() => 'fetched', error => error.message)")
    assert refused == "Failed to fetch"
    assert any("Content Security Policy" in each for each in browser.complaints)


def test_a_page_that_asks_and_complains_is_found(browser: Browser, tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text("<img src='http://127.0.0.1:9/x.png'><script>console.error('x'); nowhere()</script>")
    browser.open(bad)
    assert browser.requests == [bad.as_uri(), "http://127.0.0.1:9/x.png"]
    assert len(browser.complaints) >= 2


def test_every_picture_shows_and_has_words(browser: Browser, page: Page) -> None:
    browser.open(page.html)
    browser.run("document.querySelectorAll('img').forEach(each => each.loading = 'eager')")
    browser.run("Promise.all([...document.images].map(each => each.decode()))")
    sizes = browser.run("[...document.images].map(each => [each.naturalWidth, each.alt])")
    assert len(sizes) >= 4
    assert all(width > 0 and alt.startswith("Image of ") for width, alt in sizes)
    assert browser.run("[...document.querySelectorAll('main svg:not([aria-hidden])')].every(e => e.ariaLabel)")
    assert browser.run("[...document.querySelectorAll('th')].every(each => each.scope)")
    assert browser.run("[...document.querySelectorAll('nav a, .advice a')].every(e => document.querySelector(e.hash))")


def test_the_evaluation_says_what_the_report_says(browser: Browser, evaluation: Page) -> None:
    browser.open(evaluation.html)
    report = evaluation.report
    assert report["n"] == 36
    values = browser.run("[...document.querySelectorAll('.value')].map(each => each.innerText)")
    assert values == [
        percent(report["accuracy"]), str(report["mistakes_count"]), percent(report["top5_accuracy"]),
        percent(report["macro_f1"]), percent(report["calibration"]["after"]["ece"]),
    ]  # fmt: skip
    headings = browser.run("[...document.querySelectorAll('h2')].map(each => each.innerText)")
    assert headings == [
        "What to look at first", "Confusion matrix", "Most confused pairs", "Most confident mistakes", "Classes",
        "Calibration", "Learning curves", "Slowest-learned classes", "Data",
    ]  # fmt: skip
    cells = browser.run(
        "[...document.querySelectorAll('.matrix tbody tr')].map(row => [...row.cells].slice(1).map(e => e.innerText))"
    )
    shown = [[int(cell.replace("·", "0")) for cell in row] for row in cells]
    assert shown == [[*row, sum(row)] for row in report["confusion_matrix"]]
    names = browser.run("[...document.querySelectorAll('#classes tbody th')].map(each => each.innerText)")
    assert names == report["labels"]
    assert '<b>bold & "co"' in names
    assert browser.run("document.querySelectorAll('#mistakes img').length") == min(24, report["mistakes_count"])
    assert browser.run("document.querySelectorAll('main b').length") == 0


def test_a_click_sorts_the_classes(browser: Browser, evaluation: Page) -> None:
    browser.open(evaluation.html)
    recall = [row["recall"] for row in evaluation.report["per_class"]]
    names = [row["label"] for row in evaluation.report["per_class"]]
    click = "document.querySelectorAll('#classes th button')[{}].click()"
    column = "[...document.querySelectorAll('#classes tbody tr')].map(row => Number(row.cells[{}].dataset.value))"
    order = "document.querySelectorAll('#classes thead th')[{}].getAttribute('aria-sort')"
    assert browser.run(column.format(4)) == recall
    browser.run(click.format(4))
    assert browser.run(column.format(4)) == sorted(recall, reverse=True)
    assert browser.run(order.format(4)) == "descending"
    browser.run(click.format(4))
    assert browser.run(column.format(4)) == sorted(recall)
    assert browser.run(order.format(4)) == "ascending"
    browser.run(click.format(0))
    shown = browser.run("[...document.querySelectorAll('#classes tbody th')].map(each => each.innerText)")
    assert sorted(shown) == sorted(names)
    assert browser.run(order.format(0)) == "ascending"
    assert browser.run(order.format(4)) is None


def test_the_comparison_says_what_the_report_says(browser: Browser, comparison: Page) -> None:
    browser.open(comparison.html)
    report = comparison.report
    test = report["mcnemar"]
    verdict = browser.run("document.querySelector('.verdict').innerText")
    assert verdict.lower() == f"{report['verdict']}.".lower()
    values = browser.run("[...document.querySelectorAll('.value')].map(each => each.innerText)")
    assert values[1:3] == [str(test["fixed"]), str(test["broken"])]
    assert browser.run("document.querySelectorAll('#fixed img').length") == min(24, test["fixed"])
    assert browser.run("document.querySelectorAll('#broken img').length") == min(24, test["broken"])
    assert test["fixed"] + test["broken"] > 0


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_its_text_can_be_read(browser: Browser, page: Page, dark: bool) -> None:
    browser.open(page.html, dark=dark)
    paper = browser.run("getComputedStyle(document.body).backgroundColor")
    shade = sum(map(int, re.findall(r"\d+", paper)))
    assert shade < 150 if dark else shade > 700
    contrasts = browser.run(CONTRASTS)
    assert len(contrasts) >= 60
    # WCAG 2.2 AA: 4.5 for text of this size.
    assert [each for each in contrasts if each[0] < 4.5] == []


@pytest.mark.parametrize("width", [390, 800])
def test_it_fits_a_narrow_window(browser: Browser, page: Page, width: int) -> None:
    browser.open(page.html, width=width)
    assert browser.run("document.documentElement.scrollWidth") <= width
    # Wide tables scroll by themselves, by keyboard too.
    wide = "[...document.querySelectorAll('table')].filter(e => e.offsetWidth > e.parentElement.clientWidth)"
    assert browser.run(f"{wide}.every(each => each.closest('.scroll').tabIndex === 0)")


def test_it_prints(browser: Browser, page: Page) -> None:
    browser.open(page.html, dark=True)
    pdf = browser.print()
    assert pdf.startswith(b"%PDF-")
    pages = len(re.findall(rb"/Type\s*/Page\b", pdf))
    assert 2 <= pages <= 12
    # On paper it is light, whatever the screen is.
    browser.call(
        "Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}]
    )
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.run("getComputedStyle(document.querySelector('.card')).breakInside") == "avoid"
    browser.call("Emulation.setEmulatedMedia", media="", features=[])
