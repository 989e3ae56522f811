"""Training jobs from their start to their end: the run folder afterwards, failures, stops, and going on."""

import json
from pathlib import Path
from typing import Any

import boto3
import pytest

from backends.base import JobProgress
from backends.cancel import CancelToken
from backends.errors import BackendError
from backends.runs import Run, load_run, recorded
from backends.sagemaker.account import Account
from backends.sagemaker.jobs import training
from backends.sagemaker.jobs.results import failure_sentence
from backends.settings.sections import AccountSettings, Settings
from tests.cloud.conftest import BUCKET
from tests.cloud.simulator.server import Simulator
from tests.cloud.simulator.work import Prepared
from tests.cloud.trainings import EPOCHS, SMALL, Seen, leave, new_run, photos, trained


@pytest.fixture(autouse=True)
def artifact(prepared: Prepared, tmp_path: Path) -> None:
    leave(prepared, tmp_path / "left")


def job_of(run: Run) -> str:
    return str(run.record["sagemaker"]["job"])


def test_afterwards_the_run_folder_is_as_a_local_one(account: Account, cloud: Simulator, tmp_path: Path) -> None:
    run, seen = new_run(tmp_path / "runs"), Seen()
    training.train(account, run, photos(tmp_path / "photos"), SMALL, seen.watch, CancelToken())
    assert json.loads((run.artifact / "kennel.json").read_text())["metrics"] == {"test_accuracy": 0.875}
    assert (run.artifact / "model.safetensors").read_bytes() == b"weights"
    assert (run.ml / "output" / "data" / "metrics.jsonl").read_text() == '{"epoch": 1}\n'
    assert run.log.read_text().splitlines() == list(EPOCHS)
    assert not (run.ml / "output" / "failure").exists()
    noted = load_run(run.path).record["sagemaker"]
    name = noted["name"]
    assert name.startswith("kennel-first-")
    artifact = f"s3://{BUCKET}/kennel/runs/{name}/output/{name}/output/model.tar.gz"
    assert {key: noted[key] for key in ("job", "region", "account", "bucket", "prefix", "artifact", "fetched")} == {
        "job": name, "region": "eu-west-1", "account": "123456789012", "bucket": BUCKET, "prefix": "kennel",
        "artifact": artifact, "fetched": True,
    }  # fmt: skip
    assert noted["billable_seconds"] >= 1
    assert seen.phases[:2] == ["checking files", "uploading"]
    assert seen.phases[-2:] == ["fetching output.tar.gz", "fetching model.tar.gz"]
    epochs = [each for each in seen if each.unit == "epochs"]
    assert {each.total for each in epochs} == {2}
    assert (epochs[-1].done, epochs[-1].metrics["validation_accuracy"]) == (2, 0.9)


def test_its_name_is_in_the_folder_before_it_is_made(cloud: Simulator, account: Account, tmp_path: Path) -> None:
    noted: list[bool] = []

    def before(call: Any) -> None:
        if call.operation == "CreateTrainingJob":
            record = json.loads((tmp_path / "runs" / "first" / "run.json").read_text())
            noted.append(record["sagemaker"]["job"] == call.request["TrainingJobName"])

    cloud.before = before
    trained(account, tmp_path)
    assert noted == [True]


def test_a_failed_job_says_why_in_one_sentence(account: Account, prepared: Prepared, tmp_path: Path) -> None:
    prepared.code, prepared.lines = 3, ["loading", "error: the disk is full"]
    run = new_run(tmp_path / "runs")
    with pytest.raises(BackendError) as told, recorded(run):
        training.train(account, run, photos(tmp_path / "photos"), SMALL, lambda _: None, CancelToken())
    sentence = f"training job {job_of(run)} failed: exit code 3; "
    assert str(told.value).startswith(sentence)
    assert "its log ends: loading / error: the disk is full" in str(told.value)
    assert load_run(run.path).status == "failed"
    assert (run.failure() or "").startswith(sentence)
    assert run.log.read_text() == "loading\nerror: the disk is full\n"


def test_after_a_failure_the_same_folder_starts_another_job(
    account: Account, cloud: Simulator, prepared: Prepared, tmp_path: Path
) -> None:
    prepared.code, prepared.lines = 1, ["first try"]
    run, data = new_run(tmp_path / "runs"), photos(tmp_path / "photos")
    with pytest.raises(BackendError):
        training.train(account, run, data, SMALL, lambda _: None, CancelToken())
    prepared.code, prepared.lines = 0, ["second try"]
    training.train(account, load_run(run.path), data, SMALL, lambda _: None, CancelToken())
    first, second = cloud.requests("CreateTrainingJob")
    assert second["TrainingJobName"] == f"{first['TrainingJobName']}-2"
    # The checkpoints of the first are the second's, and so are its tags, by which both are found.
    assert second["CheckpointConfig"] == first["CheckpointConfig"]
    assert second["Tags"] == first["Tags"]
    assert run.log.read_text() == "first try\nsecond try\n"
    assert (run.artifact / "kennel.json").is_file()
    assert not (run.ml / "output" / "failure").exists()


def test_killed_and_begun_again_it_follows_the_same_job(
    account: Account, cloud: Simulator, prepared: Prepared, tmp_path: Path
) -> None:
    prepared.go.clear()
    run, data = new_run(tmp_path / "runs"), photos(tmp_path / "photos")

    class Killed(Exception):
        pass

    def kill(progress: JobProgress) -> None:
        if progress.metrics:
            raise Killed

    with pytest.raises(Killed):
        training.train(account, run, data, SMALL, kill, CancelToken())
    assert run.log.read_text().splitlines() == list(EPOCHS)
    prepared.go.set()
    # A fresh process has nothing but the folder.
    training.train(account, load_run(run.path), data, SMALL, lambda _: None, CancelToken())
    assert len(cloud.requests("CreateTrainingJob")) == 1
    assert run.log.read_text().splitlines() == list(EPOCHS)
    assert (run.artifact / "kennel.json").is_file()


def test_killed_before_the_job_was_made(account: Account, cloud: Simulator, tmp_path: Path) -> None:
    cloud.fail("CreateTrainingJob", "ExpiredTokenException", "The security token included in the request is expired")
    run, data = new_run(tmp_path / "runs"), photos(tmp_path / "photos")
    with pytest.raises(BackendError, match="starting training job"):
        training.train(account, run, data, SMALL, lambda _: None, CancelToken())
    training.train(account, load_run(run.path), data, SMALL, lambda _: None, CancelToken())
    first, second = cloud.requests("CreateTrainingJob")
    assert first["TrainingJobName"] == second["TrainingJobName"] == job_of(load_run(run.path))


def test_a_lost_answer_to_the_request_is_no_failure(account: Account, cloud: Simulator, tmp_path: Path) -> None:
    done: list[bool] = []

    def before(call: Any) -> None:
        # The same request has arrived already, as when the connection broke and botocore asked again.
        if call.operation == "CreateTrainingJob" and call.key != "simulator" and not done:
            done.append(True)
            boto3.client("sagemaker").create_training_job(**call.request)

    cloud.before = before
    run = trained(account, tmp_path)
    assert len(cloud.requests("CreateTrainingJob")) == 2
    assert [each.error for each in cloud.calls if each.operation == "CreateTrainingJob"] == ["ResourceInUse", None]
    assert (run.artifact / "kennel.json").is_file()


def test_a_log_that_may_not_be_read_ends_nothing(
    account: Account, cloud: Simulator, tmp_path: Path, capsys: Any
) -> None:
    cloud.fail("DescribeLogStreams", "AccessDeniedException", "not authorized", times=99, status=400)
    run = trained(account, tmp_path)
    assert capsys.readouterr().out.count("the job goes on, and its log isn't kept here") == 1
    assert (run.artifact / "kennel.json").is_file()


def test_whoever_asks_later_finds_what_it_left(
    account: Account, cloud: Simulator, prepared: Prepared, tmp_path: Path
) -> None:
    prepared.go.clear()
    run = new_run(tmp_path / "runs")

    def leave_it(progress: JobProgress) -> None:
        if progress.phase == "training":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.train(account, run, photos(tmp_path / "photos"), SMALL, leave_it, CancelToken())
    assert training.is_running(account, run)
    prepared.go.set()
    cloud.wait("TrainingJob", job_of(run))
    assert not training.is_running(account, run)
    assert (run.artifact / "kennel.json").is_file()
    asked = len(cloud.calls)
    assert not training.is_running(account, run)
    assert [each.operation for each in cloud.calls[asked:]] == ["DescribeTrainingJob"]


@pytest.mark.parametrize(
    ("description", "told"),
    [
        ({"TrainingJobStatus": "Completed", "SecondaryStatus": "Completed"}, None),
        ({"TrainingJobStatus": "Stopped", "SecondaryStatus": "MaxRuntimeExceeded"},
         "training job j was stopped: MaxRuntimeExceeded; it took longer than it may: raise max_hours in kennel.toml"),
        ({"TrainingJobStatus": "Stopped", "SecondaryStatus": "MaxWaitTimeExceeded"},
         ("training job j was stopped: MaxWaitTimeExceeded; no spare capacity came in time: raise max_wait_hours in "
          "[train], or set spot = false")),
        ({"TrainingJobStatus": "Stopped", "SecondaryStatus": "Stopped"},
         "Stopped: training job j was stopped before its first epoch was over"),
        ({"TrainingJobStatus": "Failed", "SecondaryStatus": "Failed",
          "FailureReason": "AlgorithmError: ClientError: lr must be at most 10, got 20, exit code: 2"},
         "training job j failed: lr must be at most 10, got 20"),
    ],
)  # fmt: skip
def test_how_a_job_ended(tmp_path: Path, description: dict[str, str], told: str | None) -> None:
    assert failure_sentence(new_run(tmp_path), {"TrainingJobName": "j", **description}) == told


def test_without_role_and_image_nothing_is_agreed_to_or_sent(cloud: Simulator, tmp_path: Path) -> None:
    asked: list[object] = []
    bare = Account(Settings(sagemaker=AccountSettings(region="eu-west-1", bucket=BUCKET)), asked.append)
    with pytest.raises(BackendError, match=r"^2 setting faults: there is no execution role; .+ \| there is no image"):
        trained(bare, tmp_path)
    assert asked == []
    assert cloud.changes(objects=True) == []
