"""Reports of jobs in the account: what is fetched from where, and the pages that are made of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from backends.base import JobProgress
from backends.cancel import CancelToken
from backends.errors import BackendError
from backends.runs import load_run
from backends.sagemaker.account import Account
from backends.sagemaker.jobs.report import fetch_report, locations
from tests.backends.test_deploy_debug import SCRIPT
from tests.cloud.conftest import BUCKET
from tests.cloud.simulator.server import Simulator
from tests.cloud.simulator.work import Prepared
from tests.cloud.test_simulator import training

HOOK = {"S3OutputPath": f"s3://{BUCKET}/kennel/debug/"}
PROFILER = {"S3OutputPath": f"s3://{BUCKET}/kennel/profile", "ProfilingIntervalInMilliseconds": 500}


def nothing(_: JobProgress) -> None:
    """No display."""


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """What somebody else's training leaves: a model, tensors as smdebug saves them."""
    folder = tmp_path / "left"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "model.pth").write_bytes(b"weights")
    (folder / "output" / "data").mkdir(parents=True)
    environment = {name: value for name, value in os.environ.items() if name != "TRAINING_JOB_NAME"}
    command = [sys.executable, "-c", SCRIPT, str(folder / "output" / "tensors")]
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return folder


def start(cloud: Simulator, name: str, **more: object) -> None:
    cloud.objects.write(f"s3://{BUCKET}/data/dog/1.jpg", b"photo")
    # Where docs/iam lets a person read; of other prefixes that is to be allowed first.
    output = {"S3OutputPath": f"s3://{BUCKET}/kennel/out"}
    boto3.client("sagemaker").create_training_job(**training(name, OutputDataConfig=output, **more))


def test_a_job_of_somebody_elses_gets_the_same_pages(
    cloud: Simulator, prepared: Prepared, account: Account, left: Path, tmp_path: Path
) -> None:
    prepared.left, prepared.lines = left, ["train loss: 76.0000, acc: 13.0000"]
    start(cloud, "tutorial-1", DebugHookConfig=HOOK)
    cloud.wait("TrainingJob", "tutorial-1")
    rules = f"s3://{BUCKET}/kennel/out/tutorial-1/rule-output/ProfilerReport-1/profiler-output/profiler-report.html"
    cloud.objects.write(rules, b"<p>AWS's own")
    run = fetch_report(account, "tutorial-1", tmp_path / "runs", nothing, CancelToken())
    assert run.path == (tmp_path / "runs" / "tutorial-1").resolve()
    assert (run.artifact / "model.pth").read_bytes() == b"weights"
    assert run.log.read_text() == "train loss: 76.0000, acc: 13.0000\n"
    assert (run.ml / "output" / "tensors" / "index").is_dir()
    own = run.ml / "output" / "rule-output" / "ProfilerReport-1" / "profiler-output" / "profiler-report.html"
    assert own.read_bytes() == b"<p>AWS's own"
    report = json.loads((run.ml / "output" / "data" / "debugger-report.json").read_text())
    assert report["steps"]["TRAIN"] == 70
    found = {rule["name"]: rule["status"] for rule in report["rules"]}
    assert found["LossNotDecreasing"] == "IssuesFound"
    assert (run.ml / "output" / "data" / "debugger-report.html").is_file()


def test_only_what_is_new_is_fetched_again(
    cloud: Simulator, prepared: Prepared, account: Account, tmp_path: Path
) -> None:
    """A job that still runs is looked into, too; and one without tensors has no page."""
    folder = tmp_path / "left"
    (folder / "model").mkdir(parents=True)
    (folder / "output" / "tensors").mkdir(parents=True)
    (folder / "output" / "data").mkdir()
    (folder / "output" / "data" / "debugger-report.json").write_text('{"rules": []}')
    (folder / "model" / "kennel.json").write_text("{}")
    prepared.left = folder
    prepared.go.clear()
    start(cloud, "own-1", DebugHookConfig=HOOK, ProfilerConfig=PROFILER)
    cloud.objects.write(f"s3://{BUCKET}/kennel/debug/own-1/debug-output/events/1.tfevents", b"first")
    run = fetch_report(account, "own-1", tmp_path / "runs", nothing, CancelToken())
    assert (run.ml / "output" / "tensors" / "events" / "1.tfevents").read_bytes() == b"first"
    assert not (run.artifact / "kennel.json").exists()
    prepared.go.set()
    cloud.wait("TrainingJob", "own-1")
    cloud.objects.write(f"s3://{BUCKET}/kennel/debug/own-1/debug-output/events/2.tfevents", b"second")
    fetched = len(cloud.requests("GetObject"))
    run = fetch_report(account, "own-1", tmp_path / "runs", nothing, CancelToken())
    assert (run.ml / "output" / "tensors" / "events" / "2.tfevents").read_bytes() == b"second"
    assert (run.artifact / "kennel.json").is_file()
    assert [each["Key"].rsplit("/", 1)[-1] for each in cloud.requests("GetObject")[fetched:]] == [
        "output.tar.gz", "model.tar.gz", "2.tfevents",
    ]  # fmt: skip
    # Kennel's own report came with the job's output, and is left as it is.
    assert (run.ml / "output" / "data" / "debugger-report.json").read_text() == '{"rules": []}'
    assert load_run(run.path).record["sagemaker"]["job"] == "own-1"


def test_where_things_lie() -> None:
    description = {
        "TrainingJobName": "one",
        "DebugHookConfig": HOOK,
        "ProfilerConfig": PROFILER,
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/kennel/out"},
    }
    found = [(folder, place.url) for folder, place in locations(description)]
    assert found == [
        ("tensors", f"s3://{BUCKET}/kennel/debug/one/debug-output"),
        ("profiler", f"s3://{BUCKET}/kennel/profile/one/profiler-output"),
        ("rule-output", f"s3://{BUCKET}/kennel/debug/one/rule-output"),
        ("rule-output", f"s3://{BUCKET}/kennel/profile/one/rule-output"),
        ("rule-output", f"s3://{BUCKET}/kennel/out/one/rule-output"),
    ]
    bare = {"TrainingJobName": "one", "OutputDataConfig": {"S3OutputPath": "s3://b/out/"}}
    assert [place.url for _, place in locations(bare)] == ["s3://b/out/one/rule-output"]


def test_names_that_lead_nowhere(cloud: Simulator, account: Account, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"^there is no run nobody in .*, and no training job or endpoint nobody"):
        fetch_report(account, "nobody", tmp_path / "runs", nothing, CancelToken())


def test_a_key_that_would_leave_the_folder_is_refused(
    cloud: Simulator, prepared: Prepared, account: Account, tmp_path: Path
) -> None:
    start(cloud, "evil-1", DebugHookConfig=HOOK)
    cloud.wait("TrainingJob", "evil-1")
    cloud.objects.write(f"s3://{BUCKET}/kennel/debug/evil-1/debug-output/../../../x", b"x")
    with pytest.raises(BackendError, match=r"would lie outside"):
        fetch_report(account, "evil-1", tmp_path / "runs", nothing, CancelToken())
    assert not list(tmp_path.rglob("x"))
