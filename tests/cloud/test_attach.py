"""Jobs and endpoints that are there already, taken under a run; and the commands attach and upload."""

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner

from backends.base import JobProgress
from backends.cancel import CancelToken
from backends.errors import BackendError
from backends.runs import create_run, load_run
from backends.sagemaker.account import Account
from backends.sagemaker.jobs import training
from backends.sagemaker.jobs.attach import attach
from deploy import app
from tests.backends.photos import make_photos
from tests.cloud.conftest import BUCKET, IMAGE, ROLE
from tests.cloud.simulator.server import Simulator
from tests.cloud.simulator.work import Prepared
from tests.cloud.test_logs import SETTINGS
from tests.cloud.trainings import EPOCHS, SMALL, leave, new_run, photos

RUNNER = CliRunner()


def others_job(cloud: Simulator, name: str = "notebook-job", **hyperparameters: str) -> None:
    """A job that somebody started from a notebook."""
    cloud.objects.write(f"s3://{BUCKET}/theirs/pug/1.jpg", b"photo")
    boto3.client("sagemaker").create_training_job(
        TrainingJobName=name, RoleArn=ROLE, OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/theirs/out/"},
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        InputDataConfig=[{
            "ChannelName": "train",
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/theirs/"}},
        }],
        ResourceConfig={"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 10},
        StoppingCondition={"MaxRuntimeInSeconds": 3600}, HyperParameters=hyperparameters,
    )  # fmt: skip


def left_alone(account: Account, prepared: Prepared, folder: Path) -> None:
    """A training whose terminal was closed while it ran."""
    prepared.go.clear()

    def leave_it(progress: JobProgress) -> None:
        if progress.phase == "training":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.train(account, new_run(folder / "runs"), photos(folder / "photos"), SMALL, leave_it, CancelToken())


@pytest.mark.beyond_policy("reads what lies elsewhere")
def test_a_job_of_another_program(account: Account, cloud: Simulator, prepared: Prepared, tmp_path: Path) -> None:
    leave(prepared, tmp_path / "left")
    others_job(cloud, epochs="2", lr='"0.01"')
    run = attach(account, "notebook-job", tmp_path / "runs")
    assert (run.name, run.kind, run.status) == ("notebook-job", "training", "running")
    assert (run.record["hyperparameters"]["epochs"], run.record["hyperparameters"]["lr"]) == (2, 0.01)
    assert run.record["data"] == f"s3://{BUCKET}/theirs/"
    training.finish(account, run, lambda _: None, CancelToken())
    assert (run.artifact / "kennel.json").is_file()
    assert run.log.read_text().splitlines() == list(EPOCHS)
    # The second time it is the same run.
    assert attach(account, "notebook-job", tmp_path / "runs").path == run.path
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_a_job_that_is_not_kennels_has_its_own_hyperparameters(
    account: Account, cloud: Simulator, prepared: Prepared, tmp_path: Path
) -> None:
    others_job(cloud, sagemaker_program='"hpo.py"', layers="18")
    run = attach(account, "notebook-job", tmp_path / "runs")
    assert run.record["hyperparameters"] == {"sagemaker_program": '"hpo.py"', "layers": "18"}


def test_a_folder_of_that_name_is_left_alone(
    account: Account, cloud: Simulator, prepared: Prepared, tmp_path: Path
) -> None:
    others_job(cloud)
    (tmp_path / "runs" / "notebook-job").mkdir(parents=True)
    assert attach(account, "notebook-job", tmp_path / "runs").name == "notebook-job-2"


def test_an_endpoint(account: Account, cloud: Simulator, prepared: Prepared, tmp_path: Path) -> None:
    sagemaker = boto3.client("sagemaker")
    cloud.objects.store_archive(_artifact(tmp_path), f"s3://{BUCKET}/m.tar.gz")
    sagemaker.create_model(
        ModelName="m", ExecutionRoleArn=ROLE,
        PrimaryContainer={"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/m.tar.gz"},
    )  # fmt: skip
    variant = {"VariantName": "AllTraffic", "ModelName": "m", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="dogs", EndpointConfigName="c")
    run = attach(account, "dogs", tmp_path / "runs")
    assert (run.kind, run.status, run.record["sagemaker"]["endpoint"]) == ("deployment", "running", "dogs")
    assert run.record["url"] == "https://runtime.sagemaker.eu-west-1.amazonaws.com/endpoints/dogs/invocations"
    assert attach(account, "dogs", tmp_path / "runs").path == run.path
    shown = RUNNER.invoke(app, ["attach", "dogs", "--runs", str(tmp_path / "runs"), *SETTINGS])
    assert (shown.exit_code, shown.stdout.splitlines()[-1]) == (0, run.record["url"])


def _artifact(folder: Path) -> Path:
    (folder / "artifact").mkdir()
    (folder / "artifact" / "kennel.json").write_text("{}")
    return folder / "artifact"


def test_nothing_of_that_name(account: Account, tmp_path: Path) -> None:
    with pytest.raises(BackendError) as told:
        attach(account, "nobody", tmp_path / "runs")
    assert str(told.value) == (
        f"there is no run nobody in {tmp_path / 'runs'}, and no training job or endpoint nobody in eu-west-1; python "
        "deploy.py status --on sagemaker lists what there is"
    )


def test_the_command_follows_what_was_left_alone(
    account: Account, cloud: Simulator, prepared: Prepared, tmp_path: Path
) -> None:
    leave(prepared, tmp_path / "left")
    left_alone(account, prepared, tmp_path)
    prepared.go.set()
    shown = RUNNER.invoke(app, ["attach", "first", "--runs", str(tmp_path / "runs"), *SETTINGS])
    assert shown.exit_code == 0, shown.output
    run = load_run(tmp_path / "runs" / "first")
    assert (run.status, run.record["metrics"]) == ("completed", {"test_accuracy": 0.875})
    assert shown.stdout.splitlines()[-2:] == ["first: test accuracy 0.8750", str(run.artifact)]
    # Again: it is fetched anew, and nothing is started.
    again = RUNNER.invoke(app, ["attach", "first", "--runs", str(tmp_path / "runs"), *SETTINGS])
    assert again.exit_code == 0, again.output
    assert run.log.read_text().splitlines() == list(EPOCHS)
    assert len(cloud.requests("CreateTrainingJob")) == 1


def test_the_command_tells_a_failure(account: Account, prepared: Prepared, tmp_path: Path) -> None:
    left_alone(account, prepared, tmp_path)
    prepared.code = 5
    prepared.go.set()
    shown = RUNNER.invoke(app, ["attach", "first", "--runs", str(tmp_path / "runs"), *SETTINGS])
    assert shown.exit_code == 2
    assert "failed: exit code 5" in shown.stderr
    assert load_run(tmp_path / "runs" / "first").status == "failed"


@pytest.mark.parametrize(
    ("kind", "backend", "told"),
    [
        ("training", "local",
         ("error: old is no run of an account (it is on local); python deploy.py logs old --follow shows what it "
          "prints\n")),
        ("transform", "sagemaker", "error: old is a transform; the command that began it goes on with it\n"),
    ],
)  # fmt: skip
def test_what_attach_is_not_for(tmp_path: Path, kind: Any, backend: str, told: str) -> None:
    create_run(tmp_path / "runs", kind, "old", backend=backend)
    shown = RUNNER.invoke(app, ["attach", "old", "--runs", str(tmp_path / "runs"), *SETTINGS])
    assert (shown.exit_code, shown.stderr) == (2, told)


def test_upload_checks_says_and_sends(cloud: Simulator, tmp_path: Path) -> None:
    data = make_photos(tmp_path / "photos")
    size = sum(each.stat().st_size for each in data.rglob("*.jpg"))
    command = ["upload", "--data", str(data), "--runs", str(tmp_path / "runs"), *SETTINGS]
    dry = RUNNER.invoke(app, [*command, "--dry-run"])
    assert dry.exit_code == 0, dry.output
    assert f"60 files, {size / 1e6:.1f} MB for s3://{BUCKET}/kennel/data/photos-" in dry.stdout
    assert f"60 to send ({size / 1e6:.1f} MB), 0 to remove; " in dry.stdout
    assert "a month as long as it lies there" in dry.stdout
    assert cloud.changes(objects=True) == []
    sent = RUNNER.invoke(app, [*command, "--yes"])
    assert sent.exit_code == 0, sent.output
    assert sent.stdout.splitlines()[-1].startswith(f"  channel training: s3://{BUCKET}/kennel/data/photos-")
    assert len(cloud.requests("PutObject")) == 61
    report = json.loads((tmp_path / "runs" / "data.json").read_text())
    assert report["images"] == {"train": 36, "valid": 12, "test": 12}
    again = RUNNER.invoke(app, [*command, "--dry-run"])
    assert "0 to send (0.0 MB), 0 to remove" in again.stdout
