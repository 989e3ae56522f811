"""What the tuner's metric definitions find in real logs: every metric of a training, none in a search's lines."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from backends.sagemaker.jobs.tuner_arguments import metric_definitions, static_hyperparameters
from contract.metrics import METRICS
from tests.backends.sagemaker_requests import settings
from tests.train.support import Finished, make_classes, train
from tuning.objective import parse_objectives
from tuning.study import Search


def found(log: str) -> dict[str, list[float]]:
    """What SageMaker reads from a log by the tuner's metric definitions."""
    return {each["Name"]: [float(value) for value in re.findall(each["Regex"], log)] for each in metric_definitions()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A job that the tuner started for the least latency, with test data."""
    root = tmp_path_factory.mktemp("tuned")
    for number, name in enumerate(("train", "valid", "test")):
        make_classes(root / "input" / "data" / name, 4, seed=100 * number)
    search = settings(tune_space="lr=0.01:0.1; batch_size=4,8", pretrained="none", image_size=32, device="cpu",
                      tensorboard="off", export="none", debug="off", profile="off", epochs=2,
                      tune_objective="latency_ms")  # fmt: skip
    sent = {"lr": "0.0316", "batch_size": "8", "_tuning_objective_metric": "latency_ms"}
    job = train(root, **{**static_hyperparameters(search), **sent})  # type: ignore[arg-type]
    assert job.code == 0, job.err
    assert "tuning: " not in job.out
    return job


def test_every_definition_finds_its_values_in_a_real_log(trained: Finished) -> None:
    values = found(trained.out)
    assert tuple(values) == METRICS
    for name in METRICS:
        expected = [row[name] for row in trained.metrics if name in row]
        if name in METRICS[:6]:
            assert len(expected) == 2
            expected.append(trained.manifest["metrics"][name])
        else:
            assert len(expected) == 1
        assert values[name] == pytest.approx(expected, abs=5e-7)


def test_no_line_of_a_search_is_a_metric(tmp_path: Path, trained: Finished) -> None:
    """The real lines of trials that ended in every way, whose reasons and names do what they can to look like one."""
    lines: list[str] = []
    search = settings(tune_space="lr=0.001:0.1:log; optimizer=adamw,sgd; label_smoothing=0:0.5", tune_pruner="none")
    objectives = parse_objectives("validation_loss,test_loss,latency_ms")
    study = Search(tmp_path / "study.journal", replace(search, objectives=objectives), lines.append)
    epoch = trained.metrics[0]
    test = {name: value for row in trained.metrics if "epoch" not in row for name, value in row.items()}
    assert {"test_loss", "latency_ms"} <= set(test)
    for number in range(1, 4):
        trial = study.ask()
        assert trial is not None
        assert trial.number == number
        study.report(number, 1, epoch)
        if number == 1:
            study.complete(number, {**epoch, **test}, 0.5)
        elif number == 2:
            study.prune(number, 0.5)
        else:
            study.fail(number, "train_loss=1.5; validation_accuracy=0.5;", 0.5)
    study.close()
    assert len(lines) == 3
    assert found("\n".join(lines)) == {name: [] for name in METRICS}
