"""Evaluations on SageMaker: the processing job that is asked for, and the report that comes back."""

import json
from pathlib import Path

import pytest

from backends.base import JobProgress
from backends.cancel import CancelToken
from backends.errors import BackendError, StillRunning, Stopped
from backends.runs import Run, all_runs
from backends.sagemaker.account import Account
from backends.sagemaker.billing.items import Item
from backends.sagemaker.jobs import evaluation
from backends.sagemaker.names import resource_name
from backends.sagemaker.storage.artifact import artifact_location, read_artifact
from backends.settings.sections import AccountSettings, Evaluate, General, Settings
from tests.backends.sagemaker_requests import breaches, service_model
from tests.cloud.conftest import BUCKET, IMAGE, ROLE, settings
from tests.cloud.searches import photos
from tests.cloud.simulator.server import Simulator
from tests.cloud.simulator.work import Prepared, Task


class Evaluator(Prepared):
    """Writes the report that the command's arguments ask for."""

    def run(self, task: Task) -> int:
        self.command = list(task.command)
        task.say("12 images: accuracy 0.7500")
        while not self.go.wait(0.02):
            if task.stop.is_set():
                return 143
        if self.code == 0:
            words = task.words()
            report = Path(words[words.index("--json") + 1])
            report.write_text('{"n": 12, "accuracy": 0.75}')
            report.with_suffix(".html").write_text("<p>the page")
        return self.code


@pytest.fixture
def evaluator(cloud: Simulator) -> Evaluator:
    cloud.work = Evaluator()
    return cloud.work


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return made_artifact(tmp_path / "model", b"weights")


def made_artifact(folder: Path, weights: bytes) -> Path:
    folder.mkdir()
    (folder / "kennel.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(weights)
    return folder


def chosen(tmp_path: Path, **sections: object) -> Settings:
    return settings(kennel=General(runs=str(tmp_path / "runs")), **sections)


def an_account(tmp_path: Path, asked: list[Item] | None = None, **sections: object) -> Account:
    return Account(chosen(tmp_path, **sections), (asked if asked is not None else []).extend)


def only_run(tmp_path: Path) -> Run:
    (run,) = all_runs(tmp_path / "runs")
    return run


def nothing(_: JobProgress) -> None:
    """No display."""


def test_the_whole_request(cloud: Simulator, evaluator: Evaluator, artifact: Path, tmp_path: Path) -> None:
    asked: list[Item] = []
    account = an_account(tmp_path, asked)
    data = tmp_path / "photos"
    # With a class folder beside the splits, so that all of it is the data.
    photos(data)
    (data / "extra").mkdir()
    (data / "extra" / "9.jpg").write_bytes(b"9")
    evaluation.evaluate(account, artifact, data, tmp_path / "evaluation.json", nothing, cancel=CancelToken())
    run = only_run(tmp_path)
    name = resource_name(run)
    (sent,) = cloud.requests("CreateProcessingJob")
    assert breaches(sent, service_model().shape_for("CreateProcessingJobRequest")) == []
    where = sent["ProcessingInputs"][1]["S3Input"].pop("S3Uri")
    assert where.startswith(f"s3://{BUCKET}/kennel/data/photos-")
    assert where.endswith("/")
    common = {"S3DataType": "S3Prefix", "S3InputMode": "File", "S3DataDistributionType": "FullyReplicated",
              "S3CompressionType": "None"}  # fmt: skip
    assert sent == {
        "ProcessingJobName": name,
        "AppSpecification": {
            "ImageUri": IMAGE,
            "ContainerEntrypoint": ["python", "-m", "train.evaluate"],
            "ContainerArguments": [
                "--artifact", "/opt/ml/processing/artifact/model.tar.gz", "--data", "/opt/ml/processing/data",
                "--json", "/opt/ml/processing/output/evaluation.json",
            ],
        },
        "ProcessingInputs": [
            {"InputName": "artifact", "AppManaged": False, "S3Input": {
                "S3Uri": artifact_location(account, read_artifact(artifact)).url,
                "LocalPath": "/opt/ml/processing/artifact",
                **common,
            }},
            {"InputName": "data", "AppManaged": False, "S3Input": {"LocalPath": "/opt/ml/processing/data", **common}},
        ],
        "ProcessingOutputConfig": {"Outputs": [
            {"OutputName": "report", "AppManaged": False, "S3Output": {
                "S3Uri": f"{account.run_location(run).url}/evaluate", "LocalPath": "/opt/ml/processing/output",
                "S3UploadMode": "EndOfJob",
            }},
        ]},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 50},
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 7200},
        "RoleArn": ROLE,
        "Tags": [{"Key": "kennel:run", "Value": name}, {"Key": "kennel:kind", "Value": "evaluation"}],
    }  # fmt: skip
    assert asked[0] == Item(f"processing job {name}", "processing", "ml.m5.xlarge", 1, 2.0)
    assert [each.kind for each in asked[1:]] == ["storage"]


def test_report_and_page_come_back(cloud: Simulator, evaluator: Evaluator, artifact: Path, tmp_path: Path) -> None:
    report = tmp_path / "reports" / "mine.json"
    evaluation.evaluate(
        an_account(tmp_path), artifact, photos(tmp_path / "photos"), report, nothing, cancel=CancelToken()
    )
    assert json.loads(report.read_text()) == {"n": 12, "accuracy": 0.75}
    assert report.with_suffix(".html").read_text() == "<p>the page"
    run = only_run(tmp_path)
    assert (run.kind, run.status) == ("evaluation", "completed")
    assert run.log.read_text() == "12 images: accuracy 0.7500\n"
    assert (run.ml / "output" / "data" / "evaluation.html").is_file()


def test_only_the_split_that_is_judged_travels(
    cloud: Simulator, evaluator: Evaluator, artifact: Path, tmp_path: Path
) -> None:
    data = photos(tmp_path / "photos")
    evaluation.evaluate(an_account(tmp_path), artifact, data, tmp_path / "e.json", nothing, cancel=CancelToken())
    (sent,) = cloud.requests("CreateProcessingJob")
    source = sent["ProcessingInputs"][1]["S3Input"]
    assert source["S3Uri"].endswith("/valid/")
    assert source["LocalPath"] == "/opt/ml/processing/data/valid"
    assert "/opt/ml/processing/data" in sent["AppSpecification"]["ContainerArguments"]


def test_a_comparison(cloud: Simulator, evaluator: Evaluator, artifact: Path, tmp_path: Path) -> None:
    baseline = made_artifact(tmp_path / "old", b"others")
    report = tmp_path / "comparison.json"
    evaluation.evaluate(
        an_account(tmp_path), artifact, photos(tmp_path / "photos"), report, nothing, baseline, cancel=CancelToken()
    )
    (sent,) = cloud.requests("CreateProcessingJob")
    assert sent["AppSpecification"]["ContainerEntrypoint"] == ["python", "-m", "train.compare"]
    assert sent["AppSpecification"]["ContainerArguments"][2:4] == [
        "--baseline", "/opt/ml/processing/baseline/model.tar.gz",
    ]  # fmt: skip
    assert [each["InputName"] for each in sent["ProcessingInputs"]] == ["artifact", "baseline", "data"]
    assert report.is_file()


def test_settings_reach_the_job(cloud: Simulator, evaluator: Evaluator, artifact: Path, tmp_path: Path) -> None:
    key = "arn:aws:kms:eu-west-1:123456789012:key/1"
    common = AccountSettings(
        region="eu-west-1", role=ROLE, bucket=BUCKET, image=IMAGE, kms_key=key, subnets=("subnet-1a",),
        security_groups=("sg-1a",), network_isolation=True, encrypt_traffic=True,
    )  # fmt: skip
    own = Evaluate(instance_type="ml.g5.xlarge", volume_gb=30, max_hours=0.5)
    account = an_account(tmp_path, sagemaker=common, evaluate=own)
    evaluation.evaluate(
        account, artifact, photos(tmp_path / "photos"), tmp_path / "e.json", nothing, cancel=CancelToken()
    )
    (sent,) = cloud.requests("CreateProcessingJob")
    # An instance with a disk of its own takes no key for it.
    assert sent["ProcessingResources"]["ClusterConfig"] == {
        "InstanceCount": 1, "InstanceType": "ml.g5.xlarge", "VolumeSizeInGB": 30,
    }  # fmt: skip
    assert sent["StoppingCondition"] == {"MaxRuntimeInSeconds": 1800}
    assert sent["ProcessingOutputConfig"]["KmsKeyId"] == key
    assert sent["NetworkConfig"] == {
        "EnableNetworkIsolation": True, "EnableInterContainerTrafficEncryption": True,
        "VpcConfig": {"SecurityGroupIds": ["sg-1a"], "Subnets": ["subnet-1a"]},
    }  # fmt: skip


def test_a_failure_is_told_with_the_logs_end(
    cloud: Simulator, evaluator: Evaluator, artifact: Path, tmp_path: Path
) -> None:
    evaluator.code = 2
    said = r"^processing job kennel-evaluation-\S+ failed: exit code 2; its log ends: 12 images: accuracy 0\.7500 \(run"
    with pytest.raises(BackendError, match=said):
        evaluation.evaluate(
            an_account(tmp_path),
            artifact,
            photos(tmp_path / "photos"),
            tmp_path / "e.json",
            nothing,
            cancel=CancelToken(),
        )
    assert only_run(tmp_path).status == "failed"
    assert not (tmp_path / "e.json").exists()


def test_whatever_ends_an_evaluation_is_recorded(
    cloud: Simulator, evaluator: Evaluator, artifact: Path, tmp_path: Path
) -> None:
    def broken(_: JobProgress) -> None:
        raise RuntimeError("the display broke")

    with pytest.raises(RuntimeError, match="the display broke"):
        evaluation.evaluate(
            an_account(tmp_path), artifact, photos(tmp_path / "photos"), tmp_path / "e.json", broken,
            cancel=CancelToken(),
        )  # fmt: skip
    run = only_run(tmp_path)
    assert (run.status, run.record["reason"]) == ("failed", "RuntimeError('the display broke')")


def test_a_wish_to_stop_stops_the_job(cloud: Simulator, evaluator: Evaluator, artifact: Path, tmp_path: Path) -> None:
    evaluator.go.clear()
    cancel = CancelToken()

    def watch(_: JobProgress) -> None:
        if cloud.requests("CreateProcessingJob") and not cancel.requested:
            cancel.request()

    with pytest.raises(Stopped):
        evaluation.evaluate(
            an_account(tmp_path), artifact, photos(tmp_path / "photos"), tmp_path / "e.json", watch, cancel=cancel
        )
    assert [each.status for each in cloud.store] == ["Stopped"]
    assert only_run(tmp_path).status == "stopped"


def test_an_evaluation_that_was_left_is_gone_on_with(
    cloud: Simulator, evaluator: Evaluator, artifact: Path, tmp_path: Path
) -> None:
    evaluator.go.clear()
    cancel = CancelToken()

    def watch(_: JobProgress) -> None:
        # Ctrl-C, and again.
        if cloud.requests("CreateProcessingJob"):
            cancel.request()
            cancel.request()

    account, report = an_account(tmp_path), tmp_path / "e.json"
    with pytest.raises(StillRunning, match=r"processing job kennel-evaluation-\S+ goes on .* attach evaluation-"):
        evaluation.evaluate(account, artifact, photos(tmp_path / "photos"), report, watch, cancel=cancel)
    assert only_run(tmp_path).status == "running"
    evaluator.go.set()
    assert evaluation.resume(account, only_run(tmp_path), nothing, CancelToken()) == report
    assert report.is_file()
    assert len(cloud.requests("CreateProcessingJob")) == 1
    assert only_run(tmp_path).status == "completed"
