"""What happens around a search's trials, with a backend whose trainings take no time."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backends.base import WHOLE_MACHINE, MachineSlot, ProgressCallback
from backends.cancel import CancelToken
from backends.errors import BackendError, Stopped
from backends.inputs import parse_hyperparameters
from backends.local import LocalBackend
from backends.runs import Run, create_run, load_run
from backends.search.request import SearchRequest
from backends.search.tune import create_tuning, search_in
from contract.hyperparameters import Hyperparameters

Training = Callable[[Run, Hyperparameters, CancelToken], None]


class Quick(LocalBackend):
    """Does what it is given in the place of a training."""

    def __init__(self, training: Training) -> None:
        super().__init__()
        self._training = training

    def train(
        self, run: Run, data: Path, hyperparameters: Hyperparameters, watch: ProgressCallback,
        slot: MachineSlot = WHOLE_MACHINE, cancel: CancelToken | None = None,
    ) -> None:  # fmt: skip
        assert cancel is not None
        self._training(run, hyperparameters, cancel)

    def tuning_page(self, document: Path) -> None:
        document.with_name("tuning-report.html").write_text("a page")


def leave_artifact(run: Run, accuracy: float) -> None:
    """What a training leaves, as far as a search looks at it."""
    metrics = {"epoch": 1, "validation_loss": 1 - accuracy, "validation_accuracy": accuracy}
    (run.ml / "output" / "data" / "metrics.jsonl").write_text(json.dumps(metrics) + "\n")
    manifest = {"metrics": metrics, "provenance": {"completed": True, "seconds": 2.5}}
    (run.artifact / "kennel.json").write_text(json.dumps(manifest))


def begin(tmp_path: Path, backend: Quick, **search: Any) -> tuple[Run, SearchRequest]:
    values = {"tune_trials": 4, "tune_space": "lr=0.001:0.1:log", "tune_parallel": 1, "device": "cpu", **search}
    (tmp_path / "photos").mkdir()
    request = SearchRequest(tmp_path / "photos", parse_hyperparameters(values))
    return create_tuning(backend, tmp_path / "runs", request, "s"), request


def test_a_trial_that_was_trained_with_nobody_there_counts(tmp_path: Path) -> None:
    trained: list[str] = []

    def training(run: Run, chosen: Hyperparameters, cancel: CancelToken) -> None:
        trained.append(run.name)
        leave_artifact(run, 0.5)

    backend = Quick(training)
    tuning, request = begin(tmp_path, backend, tune_trials=2)
    # Its driver was killed, and its process went on to the end.
    unnoticed = create_run(tmp_path / "runs", "training", "s-trial-001", backend="local", tuning="s", trial=1)
    leave_artifact(unnoticed, 0.75)
    search_in(backend, tuning, request)
    assert trained == ["s-trial-002"]
    document = tuning.read_json("ml/output/data/tuning.json")
    assert next((row["run"], row["objective"], row["seconds"]) for row in document["trials"]) == (
        "s-trial-001", [0.75], 2.5,
    )  # fmt: skip
    assert (document["best"], load_run(unnoticed.path).status) == (1, "completed")


def test_when_no_trial_has_the_objective_the_search_ends_after_two(tmp_path: Path) -> None:
    backend = Quick(lambda run, chosen, stop: leave_artifact(run, 0.5))
    tuning, request = begin(tmp_path, backend, tune_objective="test_accuracy")
    with pytest.raises(BackendError, match=r"without test_accuracy.*as in each of the first trials"):
        search_in(backend, tuning, request)
    assert load_run(tuning.path).status == "failed"
    assert tuning.read_json("ml/output/data/tuning.json")["counts"] == {"completed": 0, "pruned": 0, "failed": 2}


def test_a_fault_of_ours_in_one_trial_stops_the_others_and_is_raised(tmp_path: Path) -> None:
    both = threading.Barrier(2, timeout=60)

    def training(run: Run, chosen: Hyperparameters, cancel: CancelToken) -> None:
        both.wait()
        if run.record["trial"] == 1:
            raise ZeroDivisionError("in trial 1")
        ended = threading.Event()
        while not cancel.requested:
            ended.wait(0.01)
        raise Stopped("stopped")

    backend = Quick(training)
    tuning, request = begin(tmp_path, backend, tune_parallel=2)
    with pytest.raises(ZeroDivisionError, match="in trial 1"):
        search_in(backend, tuning, request)
    statuses = {name: load_run(tmp_path / "runs" / name).status for name in ("s", "s-trial-001", "s-trial-002")}
    assert statuses == {"s": "failed", "s-trial-001": "failed", "s-trial-002": "stopped"}
    # Nothing is left of it that a search could not go on from.
    again = Quick(lambda run, chosen, stop: leave_artifact(run, 0.5))
    search_in(again, tuning, request)
    assert tuning.read_json("ml/output/data/tuning.json")["counts"]["completed"] == 4
