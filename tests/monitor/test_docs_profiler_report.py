"""docs/profiler.md documents every profiler rule, key of the report, and metric of SageMaker's that is read."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from contract.rules.profiler import PROFILER_RULES
from monitor.profiler import report as document
from monitor.profiler import sagemaker_format, step_times
from monitor.profiler.engine import analyse
from monitor.profiler.rules import base
from tests.train.profiles import LOADING, default_rules, sample, steps, write_job
from tests.train.support import REPOSITORY

TEXT = (REPOSITORY / "docs" / "profiler.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return TEXT.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def shown(default: Any) -> str:
    return "empty" if default == "" else f"{default:g}"


def test_the_rules_table_is_the_contracts() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.*) ?\|$", section("Rules"), re.M)
    expected = [
        (
            rule.name,
            rule.fires,
            ", ".join(
                f"`{name}` {shown(each.default)}"
                for name, each in rule.parameters.items()
                if name != "scan_interval_us"
            ),
        )
        for rule in PROFILER_RULES.values()
    ]
    assert [(name, fires, parameters.strip()) for name, fires, parameters in rows] == expected
    assert len(rows) == 11
    scans = {rule.parameters["scan_interval_us"].default for rule in PROFILER_RULES.values()}
    assert [f"`scan_interval_us` {scan}" in section("Rules") for scan in scans] == [True]


def keys(value: Any) -> Iterator[str]:
    """Every key at any depth, but those of tables that are named after something else."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            if name not in ("parameters", "hyperparameters", "machine", "Details"):
                yield from keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner)


def test_every_key_of_the_report(tmp_path: Path) -> None:
    gpu: dict[str, Any] = {"gpu": [20.0], "gpu_memory": [5.0], "gpu_memory_bytes": [10**9]}
    rows = steps(100)
    rows[90] |= LOADING
    rows.append({"mode": "EVAL", "epoch": 1, "t": rows[-1]["t"] + 1, "seconds": 1.0, "phase": "validation"})
    write_job(tmp_path, [sample(index, **gpu) for index in range(40)], rows)
    report = analyse(tmp_path, default_rules(), {})
    found = set(keys(report))
    assert len(found) >= 80
    assert {"outlier_limit_s", "phase", "start_s", "gpu0_memory_bytes", "RuleTriggered", "epoch"} <= found
    documented = section("The report's keys")
    assert sorted(name for name in found if f"`{name}`" not in documented) == []
    table = re.findall(r"^\| `(\w+)` \|", documented.split("\n\n`job`", 1)[0], re.M)
    assert table[0] == "format"
    assert sorted(table) == sorted(report)


def test_the_numbers_named_are_the_codes() -> None:
    report, rules = section("The report's keys"), section("Rules")
    assert f"at most {document.MOST_POINTS} points" in report
    assert f"at most {document.MOST_STEPS} steps" in report
    assert f"the {document.MOST_OUTLIERS} longest" in report
    assert f"over {document.MOST_EPOCHS})" in report
    assert f"(at least {base.LEAST_SAMPLES})" in rules
    assert f"they want {base.LEAST_LIVE} samples" in rules
    assert f"over {step_times.WAITING:g} % of their time" in rules


def test_every_metric_that_is_read() -> None:
    names = {*sagemaker_format._PLAIN, *sagemaker_format._NETWORK}
    assert len(names) == 5
    for name in (*names, "CPUUtilization", "I/OWaitPercentage", "GPUUtilization", "GPUMemoryUtilization"):
        assert f"`{name}`" in section("SageMaker's files"), name
