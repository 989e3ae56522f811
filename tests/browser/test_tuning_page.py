"""The tuning page as a browser shows it, of searches that are made up and of a real one."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from reports.tuning_page import tuning_page
from tests.browser.chromium import Browser
from tests.browser.contrast import CONTRASTS
from tests.browser.test_debug_pages import DRAWN, OVERLAPS
from tests.train.tuning_documents import ACCURACY, LATENCY, LOSS, SPACE, WIDE, document, made_up, searched, trial

HOSTILE = '<b>bold & "co"</b><script>document.title = "taken"</script>'
ODD = {"name": HOSTILE, "kind": "categorical", "values": ["a" * 60, HOSTILE, "c"]}
SEARCHES: dict[str, Callable[[Path], dict[str, Any]]] = {
    "real": lambda folder: searched(folder / "real.journal", 20),
    "ordinary": lambda _: made_up(
        20, failed=0.15, winner={"trained": True, "metrics": {"validation_accuracy": 0.9}, "reproduced": False}
    ),
    "large": lambda _: made_up(200, WIDE, interruptions=2, state="stopped", reason="tune_minutes: 30 minutes are over"),
    "two": lambda _: made_up(40, objectives=(ACCURACY, LATENCY)),
    "loss": lambda _: made_up(40, objectives=(LOSS,)),
    "one": lambda _: document([trial(1)]),
    "failed": lambda _: document([trial(n, None, "failed", reason="out of memory " * 90) for n in range(1, 6)]),
    "none": lambda _: document([], state="running", trials_wanted=20),
    "odd": lambda _: made_up(30, (*SPACE, ODD, *({**ODD, "name": f"{HOSTILE} {k}"} for k in range(12)))),
}
# History, importance, parallel coordinates, learning curves, and a slice each hyperparameter.
CHARTS = {
    "real": 7, "ordinary": 7, "large": 14, "two": 8, "loss": 7, "one": 6, "failed": 2, "none": 0, "odd": 20,
}  # fmt: skip
MARKS = """
(where => Object.fromEntries(["completed", "pruned", "failed", "winner", "faint"].map(name =>
  [name, document.querySelectorAll(`${where} .${name}:is(.trial, .curve, .coordinates)`).length])))
"""


@pytest.fixture(scope="module")
def searches(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("searches")
    return {name: json.loads(json.dumps(make(folder), allow_nan=False)) for name, make in SEARCHES.items()}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, searches: Mapping[str, Any]) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    for name, made in searches.items():
        (folder / f"{name}.html").write_bytes(tuning_page(made))
    return {name: folder / f"{name}.html" for name in searches}


@pytest.fixture(params=[*SEARCHES])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_it_loads_alone_and_every_plot_has_data(browser: Browser, pages: dict[str, Path], name: str) -> None:
    browser.open(pages[name])
    assert browser.requests == [pages[name].as_uri()]
    assert browser.complaints == []
    assert browser.run("document.title").startswith("Tuning: ")
    drawn = browser.run(DRAWN)
    assert len(drawn) == CHARTS[name]
    for each in drawn:
        assert each["label"]
        assert each["shown"] > 10_000
        assert each["outside"] == []
    assert browser.run("[...document.querySelectorAll('th')].every(each => each.scope)")
    assert browser.run("[...document.querySelectorAll('nav a, .advice a')].every(e => document.querySelector(e.hash))")
    assert browser.run("document.querySelectorAll('main b').length") == 0


@pytest.mark.parametrize("name", ["real", "ordinary", "large", "two", "loss", "failed"])
def test_its_marks_are_the_documents_trials(
    browser: Browser, pages: dict[str, Path], searches: Mapping[str, Any], name: str
) -> None:
    browser.open(pages[name])
    counts = searches[name]["counts"]
    best = 1 if searches[name]["best"] else 0
    trials = {**counts, "completed": counts["completed"] - best, "winner": best, "faint": 0}
    assert browser.run(f"{MARKS}('#history')") == trials
    rows = "[...document.querySelectorAll('#trials tbody tr')]"
    states = [each["state"] for each in searches[name]["trials"]]
    assert browser.run(f"{rows}.map(row => row.cells[1].dataset.value)") == states
    if name == "failed":
        return
    for place in range(len(searches[name]["space"])):
        assert browser.run(f"{MARKS}('#slice-{place}')") == trials
    assert browser.run(f"{MARKS}('#learning')") == {
        **trials, "failed": sum(1 for e in searches[name]["trials"] if e["state"] == "failed" and e["epochs"]),
    }  # fmt: skip
    lines = browser.run("document.querySelectorAll('#parallel g.coordinates').length")
    assert lines == sum(counts.values())
    assert browser.run(f"{MARKS}('#parallel')")["faint"] == counts["pruned"] + counts["failed"]
    # All have a length that can be seen, and a mark's words name its trial.
    assert browser.run(
        "[...document.querySelectorAll('#parallel .coordinates polyline')].every(e => e.getTotalLength() > 100)"
    )
    named = browser.run("[...document.querySelectorAll('#history .trial title')].map(e => e.textContent)")
    assert sorted(int(each.split(":")[0].split(" ")[1]) for each in named) == list(range(1, len(states) + 1))


def test_heights_are_the_values(browser: Browser, pages: dict[str, Path], searches: Mapping[str, Any]) -> None:
    browser.open(pages["ordinary"])
    values = {each["number"]: each["objective"][0] for each in searches["ordinary"]["trials"] if each["objective"]}
    places = browser.run(
        "[...document.querySelectorAll('#history .completed:not(.beyond), #history .winner')]"
        ".map(each => [each.textContent, each.getBoundingClientRect()])"
        ".map(([words, box]) => [words, box.x + box.width / 2, box.y + box.height / 2])"
    )
    found = sorted((int(words.split(":")[0].split(" ")[1]), x, y) for words, x, y in places)
    assert len(found) >= 10
    assert [x for _, x, _ in found] == sorted(x for _, x, _ in found)
    # On a straight line through the best and the worst of them.
    marks = [(values[number], y) for number, _, y in found]
    (low, bottom), (high, top) = min(marks), max(marks)
    assert bottom - top > 100
    for value, y in marks:
        assert abs(y - (bottom + (top - bottom) * (value - low) / (high - low))) < 1


@pytest.mark.parametrize("name", ["real", "ordinary", "large", "two", "loss", "one", "failed", "odd"])
def test_no_words_lie_on_others(browser: Browser, pages: dict[str, Path], name: str) -> None:
    browser.open(pages[name])
    assert browser.run("document.querySelectorAll('main svg text').length") >= 6
    assert browser.run(OVERLAPS) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_its_text_can_be_read(browser: Browser, pages: dict[str, Path], name: str, dark: bool) -> None:
    browser.open(pages[name], dark=dark)
    contrasts = browser.run(CONTRASTS)
    assert len(contrasts) >= 20
    # WCAG 2.2 AA: 4.5 for text of this size.
    assert [each for each in contrasts if each[0] < 4.5] == []


LINES = """
(() => {
  const numbers = colour => {
    const found = colour.match(/[\\d.]+/g).map(Number).slice(0, 3);
    return colour.startsWith("color(") ? found.map(v => 255 * v) : found;
  };
  const light = colour => numbers(colour).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
  const paper = light(getComputedStyle(document.body).backgroundColor);
  const drawn = ".coordinates polyline, .curve polyline, .curve circle, .trial, rect.importance, polyline.bestsofar";
  return [...document.querySelectorAll(`${drawn}, polyline.front`)].map(each => {
    const { stroke, fill } = getComputedStyle(each);
    const own = Math.max(...[stroke, fill].filter(colour => colour !== "none").map(light).map(colour =>
      (Math.max(colour, paper) + 0.05) / (Math.min(colour, paper) + 0.05)));
    return [own, each.closest("g[class]")?.getAttribute("class") ?? each.getAttribute("class")];
  });
})()
"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["ordinary", "large", "two"])
def test_its_lines_and_marks_can_be_seen(browser: Browser, pages: dict[str, Path], name: str, dark: bool) -> None:
    browser.open(pages[name], dark=dark)
    found = browser.run(LINES)
    kinds = {each[1] for each in found}
    assert {"curve pruned", "curve completed", "curve winner", "coordinates v0", "coordinates v6", "coordinates faint",
            "trial completed", "trial failed", "trial winner", "importance", "bestsofar"} <= kinds  # fmt: skip
    # WCAG 2.2, 1.4.11: 3 for graphical objects.
    assert {each[1]: each[0] for each in found if each[0] < 3} == {}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_colours_rise_with_the_value(browser: Browser, pages: dict[str, Path], dark: bool) -> None:
    browser.open(pages["large"], dark=dark)
    shades = browser.run(
        "[0, 1, 2, 3, 4, 5, 6].map(k => getComputedStyle(document.querySelector(`.coordinates.v${k} polyline`)).stroke)"
        ".map(c => (c.startsWith('color') ? 255 : 1) * c.match(/[\\d.]+/g).slice(0, 3).map(Number)"
        ".reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0))"
    )
    # By lightness alone, so that who can't tell the colours apart sees the order: darker on paper, lighter in the dark.
    assert shades == sorted(shades, reverse=not dark)
    assert abs(shades[-1] - shades[0]) > 90
    assert browser.run("getComputedStyle(document.querySelector('.coordinates.winner polyline')).strokeWidth") == "4px"


@pytest.mark.parametrize("width", [390, 800])
def test_it_fits_a_narrow_window(browser: Browser, pages: dict[str, Path], name: str, width: int) -> None:
    browser.open(pages[name], width=width)
    browser.run("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert browser.run("document.documentElement.scrollWidth") <= width
    drawn = "[...document.querySelectorAll('table, svg[role=img]')]"
    wide = f"{drawn}.filter(e => e.clientWidth > e.parentElement.clientWidth)"
    assert browser.run(f"{wide}.every(each => each.closest('.scroll').tabIndex === 0)")
    ends = "[...document.querySelectorAll('.advice li')].map(each => each.getBoundingClientRect().right)"
    assert max(browser.run(ends)) <= width


@pytest.mark.parametrize("name", ["ordinary", "large", "two"])
def test_it_prints(browser: Browser, pages: dict[str, Path], name: str) -> None:
    browser.open(pages[name], width=690, dark=True)
    pdf = browser.print()
    assert pdf.startswith(b"%PDF-")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 20
    browser.call(
        "Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}]
    )
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    # Nothing is cut off at the right.
    assert browser.run("document.documentElement.scrollWidth") <= 690
    assert browser.run("[...document.querySelectorAll('svg[role=img]')].every(e => e.clientWidth <= innerWidth)")
    # All rows are on paper, whatever part of them a screen shows at once.
    assert browser.run("[...document.querySelectorAll('.tall')].every(e => e.scrollHeight <= e.clientHeight)")
    assert browser.run("[...document.querySelectorAll('.copybutton')].every(e => !e.offsetHeight)")
    browser.call("Emulation.setEmulatedMedia", media="", features=[])


def test_a_click_sorts_the_trials(browser: Browser, pages: dict[str, Path], searches: Mapping[str, Any]) -> None:
    browser.open(pages["ordinary"])
    click = "document.querySelectorAll('#trials th button')[{}].click()"
    numbers = "[...document.querySelectorAll('#trials tbody th')].map(each => Number(each.innerText))"
    assert browser.run(numbers) == list(range(1, 21))
    browser.run(click.format(2))
    values = {each["number"]: (each["objective"] or [-1])[0] for each in searches["ordinary"]["trials"]}
    order = browser.run(numbers)
    assert [values[number] for number in order] == sorted(values.values(), reverse=True)
    assert order[0] == searches["ordinary"]["best"]
    browser.run(click.format(0))
    assert browser.run(numbers) == list(range(20, 0, -1))
    browser.run(click.format(0))
    assert browser.run(numbers) == list(range(1, 21))
    browser.run(click.format(1))
    states = browser.run("[...document.querySelectorAll('#trials tbody tr')].map(e => e.cells[1].dataset.value)")
    assert states == sorted(each["state"] for each in searches["ordinary"]["trials"])
    assert browser.complaints == []


def test_a_click_copies_by_keyboard_too(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["ordinary"])
    # What is copied is what execCommand or the clipboard gets: the block's text, selected.
    browser.run("document.querySelectorAll('.copybutton')[1].focus()")
    assert browser.run("document.activeElement.ariaLabel") == "Copy: Command with options"
    for kind in ("keyDown", "keyUp"):
        browser.call(
            "Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r"
        )
    selected = browser.run("getSelection().toString().trim()")
    assert selected.startswith("python deploy.py train --data DATA --set lr=")
    assert selected == browser.run("document.querySelectorAll('pre.copy')[1].textContent.trim()")
    answer = browser.run(
        "new Promise(done => { const b = document.querySelectorAll('.copybutton')[1];"
        "const look = () => b.textContent === 'Copy' ? requestAnimationFrame(look) : done(b.textContent); look(); })"
    )
    assert answer in ("Copied", "Selected: copy it with the keyboard")
    assert browser.complaints == []


def test_a_trial_that_a_sentence_names_is_found(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["large"])
    browser.run("document.querySelector('.card.lead a').click()")
    row = browser.run("document.querySelector('tr:target').cells[0].innerText")
    assert f"trial {row}" == browser.run("document.querySelector('.card.lead a').innerText")
    assert browser.run("document.querySelector('tr:target').className") == "bestrow"
