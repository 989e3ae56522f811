"""docs/evaluation.md documents every key of the reports."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from model.metrics import BINS
from tests.train.support import REPOSITORY, Finished, run
from train.evaluation.calibration import HIGHEST, LOWEST
from train.evaluation.document import EXAMPLES, LEARNED, MISTAKES, PAIRS, SLOWEST

TEXT = (REPOSITORY / "docs" / "evaluation.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return TEXT.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def keys(value: Any, by_file: bool = False) -> Iterator[str]:
    """Every key at any depth; the names of files are none."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if not by_file:
                yield name
            yield from keys(inner, by_file=name == "predictions")
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner)


def test_every_key_of_an_evaluation(whole: Finished) -> None:
    found = set(keys(whole.evaluation))
    assert len(found) >= 50
    # An epoch's figures are the metric lines', which docs/training.md tells.
    found -= {name for epoch in whole.evaluation["learning"]["epochs"] for name in epoch}
    assert sorted(name for name in found if f"`{name}`" not in section("evaluation.json")) == []


def test_every_key_of_a_comparison(whole: Finished, other: Finished, tmp_path: Path) -> None:
    options = ("--artifact", str(whole.model), "--baseline", str(other.model), "--device", "cpu")
    data = str(whole.root / "input" / "data")
    result = run(["train.compare", *options, "--data", data, "--json", str(tmp_path / "x.json")], tmp_path)
    assert result.code == 0, result.err
    report = json.loads((tmp_path / "x.json").read_text())
    found = set(keys(report))
    assert len(found) >= 30
    documented = section("comparison.json")
    # `model` and the files left out are the same as an evaluation's.
    for name in sorted(found - set(report["artifact"]["model"]) - {"reason"}):
        assert f"`{name}`" in documented, name


def test_the_numbers_named_are_the_codes() -> None:
    for words in (
        f"the {PAIRS} pairs",
        f"the {MISTAKES} most probable",
        f"`bins` ({BINS})",
        f"`learned_threshold` ({LEARNED:g})",
        f"`slowest_classes`, {SLOWEST} at most",
    ):
        assert words in section("evaluation.json")
    assert EXAMPLES == 6
    assert "(the six most probable)" in section("evaluation.json")
    assert f"between {LOWEST:g} and\n{HIGHEST:g}." in section("The temperature")


def test_the_headline_keys_are_a_table_in_the_reports_order(whole: Finished) -> None:
    rows = re.findall(r"^\| (`[^|]+`) \|", section("evaluation.json").split("\n\n`per_class`", 1)[0], re.M)
    documented = [name for row in rows for name in re.findall(r"`([a-z0-9_]+)`", row)]
    assert documented[0] == "split"
    assert sorted(documented) == sorted(whole.evaluation)
