"""A job that SageMaker's tuner has started: what it says of the tuner's objective, and its last value."""

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from contract.metrics import METRICS, metric_regex, not_printed
from contract.paths import MLPaths
from tests.train.support import CLASSES, Finished, configure, finish, make_classes, start_train
from train.job_config import read_job


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("validation_loss", "validation_loss"),
        ('"average test loss"', "average test loss"),
        ("average test loss", "average test loss"),
        ("0.5", "0.5"),
        (None, None),
    ],
)
def test_the_objective_in_every_form(tmp_path: Path, given: object, read: str | None) -> None:
    configure(tmp_path, {"_tuning_objective_metric": given})
    assert read_job(MLPaths(tmp_path)).tuner_objective == read


def test_a_job_without_a_tuner_has_none(tmp_path: Path) -> None:
    configure(tmp_path, {})
    assert read_job(MLPaths(tmp_path)).tuner_objective is None


def test_what_is_printed_needs_no_note() -> None:
    def unprinted(with_test: bool, with_latency: bool) -> list[str]:
        return [name for name in METRICS if not_printed(name, with_test, with_latency)]

    of_test = ["test_loss", "test_accuracy", "test_top5_accuracy", "test_macro_f1", "average test loss"]
    assert unprinted(with_test=True, with_latency=True) == []
    assert unprinted(with_test=False, with_latency=True) == of_test
    assert unprinted(with_test=True, with_latency=False) == ["latency_ms"]
    assert unprinted(with_test=False, with_latency=False) == [*of_test, "latency_ms"]
    told = not_printed("latency_ms", with_test=True, with_latency=False)
    assert told is not None
    assert told.startswith("the tuner's objective is latency_ms, which only tune_objective=latency_ms has measured: ")


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Finished]:
    """Two jobs of the tuner, one of them with test data, side by side.

    The validation data have other classes' names, so that what is learnt makes it worse, and the first epochs are best.
    """
    started = {}
    for name, objective, test in (
        ("known", '"validation_accuracy"', True),
        ("unknown", "validation:accuracy", False),
    ):
        root = tmp_path_factory.mktemp(name)
        make_classes(root / "input" / "data" / "train", 8)
        make_classes(root / "input" / "data" / "validation", 4, (*CLASSES[1:], CLASSES[0]), seed=100)
        if test:
            make_classes(root / "input" / "data" / "test", 2, seed=200)
        schedule: dict[str, Any] = {
            "epochs": "3",
            "freeze": "backbone",
            "lr": "0.01",
            "lr_schedule": "constant",
            "warmup_ratio": "0",
        }
        process = start_train(root, **schedule, _tuning_objective_metric=objective)
        started[name] = (process, root)
    ended = {name: finish(process, root) for name, (process, root) in started.items()}
    assert [each.code for each in ended.values()] == [0, 0], [each.err for each in ended.values()]
    return ended


def test_the_last_value_is_the_artifacts(jobs: dict[str, Finished]) -> None:
    for name in ("known", "unknown"):
        job = jobs[name]
        kept = job.manifest["provenance"]["best_epoch"]
        assert kept < 3
        for metric in METRICS[:6]:
            values = [float(value) for value in re.findall(metric_regex(metric), job.out)]
            assert len(values) == 4  # of 3 epochs, and of the artifact
            assert values[3] == values[kept - 1] == pytest.approx(job.manifest["metrics"][metric], abs=5e-7)
        # The rows remain those of the epochs.
        assert [row["epoch"] for row in job.metrics if "epoch" in row] == [1, 2, 3]


def test_test_metrics_stay_single(jobs: dict[str, Finished]) -> None:
    assert re.findall(metric_regex("latency_ms"), jobs["known"].out) == []
    for metric in METRICS[6:11]:
        assert len(re.findall(metric_regex(metric), jobs["known"].out)) == 1
        assert re.findall(metric_regex(metric), jobs["unknown"].out) == []


def test_a_name_that_is_not_in_the_log_is_told_before_training(jobs: dict[str, Finished]) -> None:
    lines = jobs["unknown"].out.splitlines()
    (note,) = [line for line in lines if line.startswith("tuning: ")]
    assert note == (
        "tuning: the tuner's objective is validation:accuracy, which is no name in this log: it finds a value only if "
        "its metric definition gives that name to one of train_loss, train_accuracy, validation_loss, "
        "validation_accuracy, learning_rate, epoch_seconds"
    )
    assert lines.index(note) < next(i for i, line in enumerate(lines) if line.startswith("training "))
    assert not any(re.search(metric_regex(name), note) for name in METRICS)
    assert "tuning: " not in jobs["known"].out


def test_a_test_metric_without_test_data_is_told() -> None:
    told = not_printed("average test loss", with_test=False, with_latency=False)
    assert told is not None
    assert "which takes test data, and there are none" in told


def test_a_stopped_jobs_last_value_is_the_artifacts(tmp_path: Path) -> None:
    make_classes(tmp_path / "input" / "data" / "train", 8)
    process = start_train(tmp_path, epochs="10000", _tuning_objective_metric="validation_accuracy")
    assert process.stdout is not None
    head = ""
    while "epoch=3;" not in head:
        line = process.stdout.readline()
        assert line, head
        head += line
    # As the tuner's early stopping does.
    process.send_signal(signal.SIGTERM)
    stopped = finish(process, tmp_path)
    assert stopped.code == 143
    assert json.loads((stopped.model / "kennel.json").read_text())["provenance"]["completed"] is False
    last = re.findall(metric_regex("validation_loss"), stopped.out)[-1]
    assert float(last) == pytest.approx(stopped.manifest["metrics"]["validation_loss"], abs=5e-7)
    kept = stopped.manifest["provenance"]["best_epoch"]
    assert re.findall(r"^epoch=(\d+);", stopped.out, re.MULTILINE)[-1] == str(kept)
