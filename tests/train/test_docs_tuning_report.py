"""docs/tuning.md documents every key of tuning.json, and the report's limits as the code has them."""

import re
from pathlib import Path
from typing import Any

import pytest

from reports import tuning_advice, tuning_page
from reports.charts import parallel_coordinates, parameter_axes, search
from reports.tuning_page import page_file
from tests.train.support import REPOSITORY
from tests.train.tuning_documents import ACCURACY, LATENCY, made_up, searched
from train.tuning_report import KEYS
from tuning import results

TEXT = (REPOSITORY / "docs" / "tuning.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """Up to the next heading of any rank."""
    return re.split(r"^#+ ", TEXT.split(f"# {title}\n", 1)[1], maxsplit=1, flags=re.M)[0]


def keys_of(table: str) -> list[str]:
    """Those in backquotes in each row's first cell."""
    return [name for row in re.findall(r"^\| (`.+?) \|", table, re.M) for name in re.findall(r"`(\w+)`", row)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A real search's document, with trials of each state."""
    found = searched(tmp_path_factory.mktemp("search") / "search.journal", 20)
    assert min(found["counts"].values()) >= 1
    assert found["importance"] is not None
    return found


def test_the_tables_are_the_documents_keys(made: dict[str, Any]) -> None:
    documented = section("tuning.json")
    whole, trials = documented.split("| key of a trial |")
    assert keys_of(whole) == list(made)
    for trial in made["trials"]:
        assert keys_of(trials) == list(trial)


def test_the_command_asks_for_the_same_keys(made: dict[str, Any]) -> None:
    assert ["format", *KEYS] == list(made)
    assert [key for key, types in KEYS.items() if not isinstance(made[key], types)] == []


def test_the_keys_within_are_named(made: dict[str, Any]) -> None:
    documented = section("tuning.json")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", documented, re.M))
    for key in ("counts", "importance"):
        assert [name for name in made[key] if f"`{name}`" not in rows[key]] == []
    assert [name for name in made["objectives"][0] if f"`{name}`" not in rows["objectives"]] == []
    space = documented.split("An entry of `space`:")[1].split("\n\n")[0]
    names = {name for entry in made["space"] for name in entry}
    assert names == {"name", "kind", "low", "high", "scale", "values"}
    kinds = {entry["kind"] for entry in made["space"]}
    assert [each for each in (*names, *kinds) if f"`{each}`" not in space] == []
    for state in {each["state"] for each in made["trials"]}:
        assert f"`{state}`" in rows["state"] + documented.split("| key of a trial |")[1]


def test_the_made_up_documents_are_like_the_real_one(made: dict[str, Any]) -> None:
    invented = made_up(20)
    assert list(invented) == list(made)
    assert list(invented["trials"][0]) == list(made["trials"][0])
    assert invented["objectives"] == made["objectives"] == [ACCURACY]
    assert set(invented["importance"]) == set(made["importance"])


def test_the_sections_are_the_pages() -> None:
    page = tuning_page.tuning_page(made_up(20, objectives=(ACCURACY, LATENCY)))
    headings = re.findall(r"<h2>(.*?)</h2>", page.decode())
    documented = re.findall(r"^\| ([A-Z][\w ]+) \|", section("The report"), re.M)
    assert documented == [each for each in headings if each not in ("Common to all trials", "Notes")]


def test_the_numbers_named_are_the_codes() -> None:
    report, suggests = section("The report"), section("What the search suggests")
    assert f"Beyond {search.MOST_CURVES} trials" in report
    assert parallel_coordinates.MOST_LINES == search.MOST_CURVES
    assert f"beyond {tuning_page.MOST_ROWS} only those are in the table" in report
    assert f"below {results.FEWEST_TRIALS} completed" in report
    assert f"below {results.FEWEST_TRIALS} completed" in section("tuning.json")
    assert parameter_axes._FAR == 4
    assert "more than four times as far" in report
    assert f"at least {100 * tuning_advice._EQUAL:g} % of the first's. Below {tuning_advice._ROUGH} trials" in suggests
    assert f"within {100 * tuning_advice._EDGE:g} % of the range" in suggests
    assert f"of at least {tuning_advice._CHOICES} numbers" in suggests
    assert f"with at least {tuning_advice._LEAST_AT_EDGE} completed trials" in suggests
    assert (
        f"the last {100 - 100 * tuning_advice._LATE:g} % or the first half of at least {tuning_advice._LEAST}"
        in suggests
    )
    assert (tuning_advice._EARLY, tuning_advice._CHEAP, tuning_advice._CLOSE) == (0.5, 0.5, 0.005)


def test_the_pages_name() -> None:
    assert page_file(Path("a/tuning.json")) == Path("a/tuning-report.html")
    assert page_file(Path("a/b.json")) == Path("a/b.html")
    assert "tuning-report.html" in section("The report")
