"""After training: a page that can't be made costs a warning, not the artifact."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from contract.hyperparameters import Hyperparameters
from contract.metrics import MetricLog
from contract.paths import MLPaths
from contract.progress import Progress
from model.metrics import Evaluation
from model.network import Classifier
from model.preprocess import Preprocess
from monitor.callbacks import Callbacks
from tests.train.evaluations import random_evaluation
from tests.train.support import make_classes
from train import finish
from train.context import TrainingRun
from train.data.load import load_data
from train.evaluation.calibration import fit_temperature


class NamedLoaders(TrainingRun):
    def loader(self, role: str, augmented: bool = False, shuffle: bool = False) -> Any:
        return SimpleNamespace(role=role)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Evaluation]:
    """What the network answers, by split: six images of three classes each."""
    found = {role: random_evaluation(6, 3, seed) for role, seed in (("valid", 1), ("test", 2))}
    found = {role: replace(each, labels=np.array([0, 0, 1, 1, 2, 2])) for role, each in found.items()}
    monkeypatch.setattr(finish, "evaluate", lambda _network, loader, _device: found[loader.role])
    return found


@pytest.fixture
def run(tmp_path: Path) -> TrainingRun:
    for role in ("train", "valid", "test"):
        make_classes(tmp_path / "data" / role, 2)
    data = load_data({role: tmp_path / "data" / role for role in ("train", "valid", "test")}, Progress(None))
    paths = MLPaths(tmp_path)
    return NamedLoaders(
        paths, Hyperparameters(), torch.device("cpu"), Preprocess.for_size(32), data, "none",
        MetricLog(paths.metrics), Progress(None),
    )  # fmt: skip


NETWORK = cast("Classifier", None)


def test_the_test_is_made_with_the_validations_temperature(run: TrainingRun, answers: dict[str, Evaluation]) -> None:
    calibration, metrics = finish.assess(run, NETWORK, [], {"best_epoch": 1}, "0123456789ab", Callbacks([]))
    temperature = fit_temperature(answers["valid"].logits, answers["valid"].labels)
    assert calibration.temperature == temperature
    assert metrics["test_loss"] == replace(answers["test"], temperature=temperature).loss
    report = json.loads(run.paths.evaluation.read_text())
    assert (report["split"], report["calibration"]["temperature"]) == ("test", temperature)
    assert report["calibration"]["before"]["negative_log_likelihood"] == answers["test"].loss


@pytest.mark.usefixtures("answers")
def test_a_page_that_fails_is_a_warning(
    run: TrainingRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no page today")

    monkeypatch.setattr(finish, "write_evaluation_page", fail)
    _, metrics = finish.assess(run, NETWORK, [], {}, "0123456789ab", Callbacks([]))
    assert 0 <= metrics["test_accuracy"] <= 1
    assert run.paths.evaluation.is_file()
    assert not run.paths.evaluation_page.exists()
    assert "WARNING: the evaluation's page can't be made; training goes on without it" in capsys.readouterr().err
