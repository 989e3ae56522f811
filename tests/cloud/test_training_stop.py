"""Training jobs that are stopped, left alone, or can't be asked about any more."""

from pathlib import Path
from typing import Any

import pytest

from backends.base import JobProgress
from backends.cancel import CancelToken
from backends.errors import StillRunning, Stopped
from backends.runs import Run, load_run, recorded
from backends.sagemaker.account import Account
from backends.sagemaker.jobs import polling, training
from tests.cloud.simulator.server import Simulator
from tests.cloud.simulator.work import Prepared
from tests.cloud.trainings import SMALL, Seen, leave, new_run, photos


@pytest.fixture(autouse=True)
def artifact(prepared: Prepared, tmp_path: Path) -> None:
    leave(prepared, tmp_path / "left")


def job_of(run: Run) -> str:
    return str(run.record["sagemaker"]["job"])


class StopAt(CancelToken):
    """Cancelled when a phase is seen, and again `again` answers later."""

    def __init__(self, phase: str, again: int | None = None) -> None:
        super().__init__()
        self.phase, self.again = phase, again
        self.seen = 0

    def watch(self, progress: JobProgress) -> None:
        if progress.phase == self.phase or self.seen:
            self.seen += 1
        if self.seen == 1 or (self.again is not None and self.seen == self.again):
            self.request()


def test_a_wish_to_stop_stops_the_job_and_keeps_what_there_is(
    account: Account, cloud: Simulator, prepared: Prepared, tmp_path: Path
) -> None:
    prepared.go.clear()
    run, cancel = new_run(tmp_path / "runs"), StopAt("training")
    with pytest.raises(Stopped) as told, recorded(run):
        training.train(account, run, photos(tmp_path / "photos"), SMALL, cancel.watch, cancel)
    assert str(told.value).startswith(f"training job {job_of(run)} was stopped before its first epoch was over (run ")
    assert cloud.requests("StopTrainingJob") == [{"TrainingJobName": job_of(run)}]
    assert cloud.wait("TrainingJob", job_of(run))["TrainingJobStatus"] == "Stopped"
    assert load_run(run.path).status == "stopped"


def test_a_second_wish_leaves_it_alone_and_says_how_to_come_back(
    account: Account, cloud: Simulator, prepared: Prepared, tmp_path: Path
) -> None:
    prepared.go.clear()
    run, cancel = new_run(tmp_path / "runs"), StopAt("training", again=2)
    # It takes its time to stop.
    prepared.run = lambda task: _late(prepared, task)  # type: ignore[method-assign]
    with pytest.raises(StillRunning) as told, recorded(run):
        training.train(account, run, photos(tmp_path / "photos"), SMALL, cancel.watch, cancel)
    assert str(told.value) == (
        f"it was asked to stop and hasn't yet; training job {job_of(run)} goes on and costs 1 x ml.g4dn.xlarge until "
        "it ends; follow it with: python deploy.py attach first, end it with: python deploy.py delete first"
    )
    assert load_run(run.path).status == "running"
    assert training.is_running(account, run)
    prepared.go.set()
    cloud.wait("TrainingJob", job_of(run))
    assert not training.is_running(account, run)


def _late(prepared: Prepared, task: Any) -> int:
    prepared.go.wait(30)
    return 143


def test_an_end_between_wish_and_stop_is_an_end(account: Account, cloud: Simulator, tmp_path: Path) -> None:
    run = new_run(tmp_path / "runs")
    cancel = StopAt("uploading the results")

    def watch(progress: JobProgress) -> None:
        if progress.phase == cancel.phase:
            # By the time the stop is asked for, the job is over.
            cloud.wait("TrainingJob", job_of(run))
        cancel.watch(progress)

    training.train(account, run, photos(tmp_path / "photos"), SMALL, watch, cancel)
    assert (run.artifact / "kennel.json").is_file()


def test_a_lost_network_for_a_while(
    account: Account, cloud: Simulator, prepared: Prepared, tmp_path: Path, capsys: Any
) -> None:
    prepared.go.clear()
    run, seen = new_run(tmp_path / "runs"), Seen()

    def watch(progress: JobProgress) -> None:
        if progress.phase == "training" and not seen:
            seen.append(progress)
            cloud.fail("DescribeTrainingJob", "ExpiredTokenException", "The token is expired", times=3)
            prepared.go.set()

    training.train(account, run, photos(tmp_path / "photos"), SMALL, watch, CancelToken())
    assert capsys.readouterr().out.count("; asking again\n") == 1
    assert (run.artifact / "kennel.json").is_file()


def test_credentials_that_end_leave_the_job_alone(
    account: Account, cloud: Simulator, prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "_PATIENCE", 2)
    prepared.go.clear()
    run, seen = new_run(tmp_path / "runs"), Seen()

    def watch(progress: JobProgress) -> None:
        if progress.phase == "training" and not seen:
            seen.append(progress)
            cloud.fail("DescribeTrainingJob", "ExpiredTokenException", "The token is expired", times=99)

    with pytest.raises(StillRunning, match=r"goes on and costs 1 x ml.g4dn.xlarge until it ends; follow it with"):
        training.train(account, run, photos(tmp_path / "photos"), SMALL, watch, CancelToken())
    assert cloud.requests("StopTrainingJob") == []


def test_stopping_a_job_waits_for_its_end_and_fetches(
    account: Account, cloud: Simulator, prepared: Prepared, tmp_path: Path
) -> None:
    prepared.go.clear()
    run = new_run(tmp_path / "runs")

    def leave_it(progress: JobProgress) -> None:
        if progress.phase == "training":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.train(account, run, photos(tmp_path / "photos"), SMALL, leave_it, CancelToken())
    training.stop_job(account, run)
    assert cloud.wait("TrainingJob", job_of(run))["TrainingJobStatus"] == "Stopped"
    assert run.failure() == f"Stopped: training job {job_of(run)} was stopped before its first epoch was over"
    training.stop_job(account, run)
    assert len(cloud.requests("StopTrainingJob")) == 1


def test_a_wish_before_the_job_starts_none(account: Account, cloud: Simulator, tmp_path: Path) -> None:
    cancel = StopAt("checking files")
    with pytest.raises(Stopped, match="stopped while checking files; the same command goes on from here"):
        training.train(account, new_run(tmp_path / "runs"), photos(tmp_path / "photos"), SMALL, cancel.watch, cancel)
    assert cloud.changes(objects=True) == []
