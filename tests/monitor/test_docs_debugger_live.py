"""docs/debugger.md says what configuration, actions and report are."""

import re

from contract.rules.request import parse_rules
from contract.rules.tensor import TENSOR_RULES
from contract.rules.verdict import Finding, Verdict
from monitor.debugger.trends import MOST_STEPS, Trends
from tests.train.saved_steps import DOCUMENT_KEYS, Saved
from tests.train.support import REPOSITORY

TEXT = (REPOSITORY / "docs" / "debugger.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return TEXT.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def test_the_examples_of_rules_are_rules() -> None:
    values = re.findall(r"^\| `([^`]+)` \|", section("Configuration"), re.M)
    assert len(values) == 5
    for value in values:
        parse_rules(value)
    off = [name for name, spec in TENSOR_RULES.items() if not spec.on]
    assert f"all but {' and '.join(f'`{name}`' for name in off)} |" in section("Configuration")
    (entry,) = re.findall(r"^    (\[\{.+?\}\])$", section("Configuration"), re.M | re.S)
    assert parse_rules(entry).tensor[0].parameters["ratio_threshold"] == 0.05
    errors = [name for name, spec in TENSOR_RULES.items() if spec.severity == "error"]
    assert f"errors ({', '.join(f'`{name}`' for name in errors)})" in section("Actions")


def test_every_key_of_the_report_is_documented() -> None:
    verdict = Verdict(TENSOR_RULES["Overfit"], {})
    verdict.add([Finding("so", 1.0, 2, "TRAIN", 1, "loss")])
    row = verdict.to_dict()
    keys = [
        *DOCUMENT_KEYS,
        *row,
        *row["report"],
        *row["findings"][0],
        *Trends().to_dict(),
        *Trends().to_dict()["weight_norm"],
    ]
    assert len(keys) >= 37
    assert [key for key in keys if f"`{key}`" not in section("The report's keys")] == []
    assert f"Each has {MOST_STEPS} steps at most" in section("The report's keys")
    trends = Trends()
    trends.add(Saved(0, "TRAIN", 0))
    assert trends.to_dict()["losses"] == {"TRAIN": [], "EVAL": []}


def test_every_status_is_documented() -> None:
    for status in ("InProgress", "IssuesFound", "NoIssuesFound", "Stopped", "Error"):
        assert f"`{status}" in section("Rules live")
