"""The debugger's and the profiler's pages as a browser shows them, of reports that are made up."""

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from reports.debugger_page import debugger_page
from reports.profiler_page import profiler_page
from tests.browser.chromium import Browser
from tests.browser.contrast import CONTRASTS
from tests.train.reports import (
    STARTED,
    bottlenecks,
    debugger_report,
    fired_rules,
    layers,
    profiler_report,
    trends,
)

EPOCHS = [{"epoch": epoch, "validation_loss": 2.0 / epoch} for epoch in range(1, 9)]
OLD = {"TRAIN": [], "EVAL": [], "GLOBAL": [[k * 500, k * 500, 2.3 * 0.97**k] for k in range(30)]}
DEBUGGER: dict[str, Callable[[], dict[str, Any]]] = {
    "quiet": lambda: debugger_report(epochs=EPOCHS, steps_per_epoch=5),
    "broken": lambda: debugger_report(
        fired_rules(layers(161), 400), trends=trends(161, 400, nan_from=240), epochs=EPOCHS, steps_per_epoch=50,
        outcome={"completed": False, "reason": "gradient/Classifier_head.weight holds NaN"},
    ),
    "one-step": lambda: debugger_report(trends=trends(62, 1)),
    "old": lambda: debugger_report(trends={"losses": OLD}, outcome={}, hyperparameters={}),
}  # fmt: skip
# Parts of which the narrow ones have room for one word beside each other at most.
SHARES = {"data": 0.045, "forward": 0.25, "copy": 0.06, "backward": 0.45, "optimizer": 0.08, "validation": 0.115}
PHASES = {name: {"seconds": 90 * s, "share": s, "mean_ms": 900 * s, "p95_ms": 999.0} for name, s in SHARES.items()}
PROFILER: dict[str, Callable[[], dict[str, Any]]] = {
    "slow": lambda: profiler_report(rules=bottlenecks()),
    "narrow-parts": lambda: profiler_report(steps={"n": 90, "phases": PHASES}),
    "large": lambda: profiler_report(cores=192, gpus=8, epochs=60, rules=bottlenecks()),
    "one-sample": lambda: profiler_report(points=1, cores=2, gpus=1, count=1, epochs=1),
    "system-only": lambda: profiler_report(
        gpus=1, timeline=[], steps={}, operators=None, machine={}, job={"started": STARTED, "seconds": 300.0}
    ),
}
CHARTS = {
    "quiet": 5,
    "broken": 5,
    "one-step": 5,
    "old": 1,
    "slow": 4,
    "narrow-parts": 3,
    "large": 4,
    "one-sample": 4,
    "system-only": 1,
}

# What each drawing shows of its data: marks that have an extent, or are dots.
DRAWN = """
[...document.querySelectorAll("main svg[role=img]")].map(drawing => {
  const lines = [...drawing.querySelectorAll("polyline, polygon, path.cell, path.stepdots")];
  const dots = drawing.querySelectorAll("circle, path.marker, path.stepdots, rect.part").length;
  const box = drawing.getBoundingClientRect();
  return {
    label: drawing.ariaLabel, lengths: lines.map(each => each.getTotalLength()), dots, shown: box.width * box.height,
    // Of the small plots on one axis each has a line, or a dot where there is but one sample.
    empty: [...drawing.querySelectorAll("g.plot")].filter(each => !each.querySelector("circle") &&
      ![...each.querySelectorAll("polyline")].some(line => line.getTotalLength() > 5)).length,
    plots: drawing.querySelectorAll("g.plot").length,
    outside: [...drawing.querySelectorAll("polyline, path, circle, text, rect")].filter(each => {
      const own = each.closest("pattern") ? box : each.getBoundingClientRect();
      return own.left < box.left - 2 || own.right > box.right + 2 ||
        own.top < box.top - 2 || own.bottom > box.bottom + 2;
    }).map(each => each.outerHTML.slice(0, 120)),
  };
})
"""
# Pairs of words in one drawing that lie on each other.
OVERLAPS = """
[...document.querySelectorAll("main svg[role=img]")].flatMap(drawing => {
  const words = [...drawing.querySelectorAll("text")].filter(each => each.textContent)
    .map(each => [each.textContent, each.getBoundingClientRect()]);
  return words.flatMap(([a, p], k) => words.slice(k + 1).filter(([, q]) =>
    Math.min(p.right, q.right) - Math.max(p.left, q.left) > 1 &&
    Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top) > 4
  ).map(([b]) => `${a} | ${b}`));
})
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    contents = {name: debugger_page(make()) for name, make in DEBUGGER.items()}
    contents |= {name: profiler_page(make()) for name, make in PROFILER.items()}
    for name, content in contents.items():
        (folder / f"{name}.html").write_bytes(content)
    return {name: folder / f"{name}.html" for name in contents}


@pytest.fixture(params=[*DEBUGGER, *PROFILER])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_it_loads_alone_and_every_plot_has_data(browser: Browser, pages: dict[str, Path], name: str) -> None:
    browser.open(pages[name])
    assert browser.requests == [pages[name].as_uri()]
    assert browser.complaints == []
    drawn = browser.run(DRAWN)
    assert len(drawn) == CHARTS[name]
    for each in drawn:
        assert each["label"]
        assert each["shown"] > 10_000
        # A line of some pixels, a field, or dots where there is but one value.
        assert sum(each["lengths"]) > 5 or each["dots"] > 0, each["label"]
        assert each["empty"] == 0
        assert each["outside"] == []
    # CPU, I/O wait, two of memory, disk and network at least.
    assert sum(each["plots"] for each in drawn) >= (6 if name in PROFILER else 0)
    assert browser.run("[...document.querySelectorAll('th')].every(each => each.scope)")
    assert browser.run("[...document.querySelectorAll('nav a, .advice a')].every(e => document.querySelector(e.hash))")


def test_no_words_lie_on_others(browser: Browser, pages: dict[str, Path], name: str) -> None:
    browser.open(pages[name])
    assert browser.run("document.querySelectorAll('main svg text').length") > 10
    assert browser.run(OVERLAPS) == []


def test_words_on_each_other_are_found(browser: Browser, tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    one, two = ("<text x='9' y='20'>one</text>", "<text x='15' y='22'>two</text>")
    bad.write_text(
        f"<main><svg role='img' width='90' height='40'>{one}{two}<text x='60' y='20'>far</text></svg></main>"
    )
    browser.open(bad)
    assert browser.run(OVERLAPS) == ["one | two"]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_its_text_can_be_read(browser: Browser, pages: dict[str, Path], name: str, dark: bool) -> None:
    browser.open(pages[name], dark=dark)
    contrasts = browser.run(CONTRASTS)
    assert len(contrasts) >= 60
    # WCAG 2.2 AA: 4.5 for text of this size.
    assert [each for each in contrasts if each[0] < 4.5] == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_shades_differ_and_rise(browser: Browser, pages: dict[str, Path], dark: bool) -> None:
    browser.open(pages["broken"], dark=dark)
    shades = browser.run(
        "[...document.querySelectorAll('#gradient_norm rect.cell')].filter(e => /cell s/.test(e.getAttribute('class')))"
        ".map(each => getComputedStyle(each).fill).map(fill => (fill.startsWith('color') ? 255 : 1) *"
        " fill.match(/[\\d.]+/g).slice(0, 3).map(Number).reduce((a, b) => a + b))"
    )
    assert len(shades) >= 8
    assert shades == sorted(shades, reverse=not dark)
    # Of three channels from 0 to 255.
    assert min(abs(after - before) for before, after in pairwise(shades)) > 12


@pytest.mark.parametrize("width", [390, 800])
def test_it_fits_a_narrow_window(browser: Browser, pages: dict[str, Path], name: str, width: int) -> None:
    browser.open(pages[name], width=width)
    browser.run("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert browser.run("document.documentElement.scrollWidth") <= width
    drawn = "[...document.querySelectorAll('table, svg[role=img]')]"
    wide = f"{drawn}.filter(e => e.clientWidth > e.parentElement.clientWidth)"
    assert browser.run(f"{wide}.every(each => each.closest('.scroll').tabIndex === 0)")
    # What to do is read without scrolling sideways.
    places = "[...document.querySelectorAll('.rules .words')].map(each => each.getBoundingClientRect().right)"
    assert max(browser.run(places)) <= width


@pytest.mark.parametrize("name", ["quiet", "broken", "slow", "large"])
def test_it_prints(browser: Browser, pages: dict[str, Path], name: str) -> None:
    browser.open(pages[name], width=690, dark=True)
    pdf = browser.print()
    assert pdf.startswith(b"%PDF-")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 20
    browser.call(
        "Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}]
    )
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    # Nothing is cut off at the right, and charts shrink to the paper.
    assert browser.run("document.documentElement.scrollWidth") <= 690
    assert browser.run("[...document.querySelectorAll('svg[role=img]')].every(e => e.clientWidth <= innerWidth)")
    browser.call("Emulation.setEmulatedMedia", media="", features=[])


def test_the_pointer_tells_the_values_under_it(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["slow"])
    # I/O wait falls from 30 % by one each 0.5 s: after 0.5 s it is 30, and 0 after 15.5 s, of 300.
    pointed_at = """
    (seconds => {
      const drawing = document.querySelector("#usage svg");
      const box = drawing.getBoundingClientRect();
      const clientX = box.left + box.width * (74 + 866 * seconds / 300) / 960;
      drawing.dispatchEvent(new PointerEvent("pointermove", { clientX, clientY: box.top + 40, bubbles: true }));
      return [...drawing.querySelectorAll(".readout")].map(each => each.textContent);
    })
    """
    words = browser.run(f"{pointed_at}(0.5)")
    assert words[1] == "30 %"
    assert words[-1] == "1.5, 0.68 KiB/s"
    assert browser.run(f"{pointed_at}(100)")[1] == "0 %"
    browser.run("document.querySelector('#usage svg').dispatchEvent(new PointerEvent('pointerleave'))")
    assert browser.run(
        "[...document.querySelectorAll('.readout')].every(e => getComputedStyle(e).visibility === 'hidden')"
    )
    assert browser.complaints == []


def test_findings_open_by_keyboard(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["broken"])
    browser.run("document.querySelector('.rules summary').focus()")
    assert browser.run("document.activeElement.tagName") == "SUMMARY"
    for kind in ("keyDown", "keyUp"):
        browser.call(
            "Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r"
        )
    assert browser.run("document.querySelector('.rules details').open")
    assert browser.run("document.querySelectorAll('.rules details[open] .findings li').length") == 200
    assert browser.run("document.querySelector('.rules details[open] .findings').offsetHeight") > 100
