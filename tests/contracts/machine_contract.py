"""What a backend must do besides whose jobs run on this machine: share it, and what one job leaves for the next."""

import os
from pathlib import Path

import pytest

from backends.base import Backend, MachineSlot
from backends.inputs import parse_hyperparameters
from backends.jobs import train_run
from backends.runs import Run, all_runs
from tests.contracts.backend_contract import TINY, BackendContract


class MachineContract(BackendContract):
    """The whole suite, and more."""

    def slot(self) -> MachineSlot:
        return MachineSlot((min(os.sched_getaffinity(0)),))

    def check_slot(self, backend: Backend, run: Run) -> None:
        # One core, so one thread.
        assert "epochs on cpu, 1 threads" in run.log.read_text() or backend.gpus()

    def check_trials(self, trials: list[Run]) -> None:
        # Each has its folder, and the second found the first one's features.
        assert [(trial.name, trial.status) for trial in trials] == [
            ("search-trial-001", "completed"), ("search-trial-002", "completed"),
        ]  # fmt: skip
        assert "views found in" in trials[1].log.read_text()

    @pytest.mark.long
    def test_a_second_training_finds_the_features_of_the_first(
        self, backend: Backend, data: Path, tmp_path: Path
    ) -> None:
        for name, lr in (("one", "0.01"), ("two", "0.1")):
            chosen = parse_hyperparameters({**TINY, "freeze": "backbone", "lr": lr})
            log = train_run(backend, tmp_path, data, chosen, name).log.read_text()
            assert ("features of train images: 2 of 2 views found in" in log) == (name == "two")
            assert "features: (2, 36, 512) for training" in log
        assert {path.lstat().st_uid for path in tmp_path.rglob("*")} == {os.getuid()}
        assert sorted(run.name for run in all_runs(tmp_path)) == ["one", "two"]
