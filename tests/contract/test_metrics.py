"""Metric lines as SageMaker's regular expressions read them."""

import json
import math
import re
from pathlib import Path

import pytest

from contract.metrics import METRICS, MetricLog, format_line, metric_regex


def test_a_line() -> None:
    values = {"epoch": 3, "train_loss": math.log(2), "validation_accuracy": 1.0}
    assert format_line(values) == "epoch=3; train_loss=0.693147; validation_accuracy=1.000000;"


def test_every_metric_is_found_and_none_in_anothers_place() -> None:
    values = {name: number + 0.5 for number, name in enumerate(METRICS)}
    line = format_line(values)
    for name, value in values.items():
        assert [float(found) for found in re.findall(metric_regex(name), line)] == [value]
    assert len(METRICS) <= 40  # SageMaker's limit of metric definitions


@pytest.mark.parametrize("value", [1e-7, 123456.75, -0.5, 0.0, 12])
def test_numbers_of_all_sizes_are_found(value: float) -> None:
    (found,) = re.findall(metric_regex("train_loss"), format_line({"train_loss": value}))
    assert float(found) == pytest.approx(value, abs=5e-7)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_number_is_no_metric(value: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    MetricLog(tmp_path / "metrics.jsonl").write({"epoch": 1, "test_loss": value})
    assert re.findall(metric_regex("test_loss"), capsys.readouterr().out) == []
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {"epoch": 1, "test_loss": None}


def test_the_file_begins_anew_and_then_grows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "data" / "metrics.jsonl"
    MetricLog(file).write({"epoch": 9})
    log = MetricLog(file)
    log.write({"epoch": 1, "train_loss": 0.25})
    log.write({"epoch": 2, "train_loss": 0.125})
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert rows == [{"epoch": 1, "train_loss": 0.25}, {"epoch": 2, "train_loss": 0.125}]
    assert capsys.readouterr().out.splitlines()[1:] == [
        "epoch=1; train_loss=0.250000;",
        "epoch=2; train_loss=0.125000;",
    ]
