"""Batch transform on SageMaker: what is asked, what is sent, and the answers in order."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from backends.base import Progress
from backends.cloud.account import Account
from backends.cloud.backend import CloudBackend
from backends.cloud.images import MOST_MB, Plan, listing
from backends.cloud.money.items import Item
from backends.cloud.names import Place, resource_name
from backends.errors import BackendError, StillRunning, Stopped
from backends.runs import Run, all_runs, create_run
from backends.settings.sections import Account as AccountSettings
from backends.settings.sections import Settings, Transform
from backends.stop import Stop
from backends.transform.batch import Batch, Files
from backends.transform.classes import read_artifact
from backends.transform.inputs import Inputs
from backends.transform.job import Request, Server, transform
from tests.backends.sagemaker_requests import MODEL, breaches
from tests.cloud.conftest import BUCKET, IMAGE, ROLE, settings
from tests.cloud.simulator.server import Simulator
from tests.cloud.simulator.work import Answer, Prepared, Task

MEGABYTE = 1 << 20


class Echo(Prepared):
    """A server that predicts what the image says of itself, as bytes."""

    def serve(self, task: Task) -> "Echo | None":
        while not self.go.wait(0.02):
            if task.stop.is_set():
                return None
        self.environment = dict(task.environment)
        task.say("serving")
        return self if self.code == 0 else None

    def ask(self, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        if path != "/invocations":
            return Answer(200, "application/json", b"{}")
        assert body is not None
        if body == b"bad":
            return Answer(200, "application/json", b'{"error": {"code": "not_an_image", "message": "no image"}}')
        if headers["Accept"].endswith("format=probabilities"):
            return Answer(200, "application/json", b"[0.25, 0.75]")
        row = {"label": body.decode(), "index": 0, "probability": 1.0}
        return Answer(200, "application/json", json.dumps({"predictions": [row]}).encode())

    def close(self) -> None:
        """There is nothing to end."""


@pytest.fixture
def echo(cloud: Simulator) -> Echo:
    cloud.work = Echo()
    return cloud.work


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    classes = [{"name": "001.Beagle", "label": "Beagle"}, {"name": "002.Pug", "label": "Pug"}]
    manifest = {"classes": classes, "weights": {"sha256": "ab" * 32}, "metrics": {}}
    (folder / "kennel.json").write_text(json.dumps(manifest))
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for name, content in (("Beagle/1.jpg", b"Beagle"), ("Beagle/2.jpg", b"bad"), ("Pug/3.png", b"Beagle"),
                          ("Pug/notes.txt", b"no image")):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def wanted(
    tmp_path: Path, artifact: Path, files: Files, chosen: Settings | None = None, asked: list[Item] | None = None,
    **more: Any,
) -> Request:  # fmt: skip
    backend = CloudBackend(chosen or settings(), (asked if asked is not None else []).extend)
    server = Server(None, backend, artifact, tmp_path / "runs")
    return Request(files, tmp_path / "out", server, read_artifact(artifact), **more)


def lines(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()]


def only_run(tmp_path: Path) -> Run:
    (run,) = all_runs(tmp_path / "runs")
    return run


def test_the_whole_request(
    cloud: Simulator, echo: Echo, account: Account, artifact: Path, photos: Path, tmp_path: Path
) -> None:
    transform(wanted(tmp_path, artifact, Inputs([str(photos)])))
    run = only_run(tmp_path)
    name, place = resource_name(run), account.place(run)
    (model,) = cloud.requests("CreateModel")
    (sent,) = cloud.requests("CreateTransformJob")
    assert breaches(sent, MODEL.shape_for("CreateTransformJobRequest")) == []
    assert model["PrimaryContainer"]["Environment"] == {
        "SAGEMAKER_CONTAINER_LOG_LEVEL": "info", "KENNEL_BATCH_ERRORS": "answer",
    }  # fmt: skip
    assert sent == {
        "TransformJobName": name,
        "ModelName": model["ModelName"],
        "BatchStrategy": "SingleRecord",
        "TransformInput": {
            "DataSource": {
                "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"{place.url}/transform/input/"}
            },
            "ContentType": "application/octet-stream",
        },
        "TransformOutput": {"S3OutputPath": f"{place.url}/transform/output", "Accept": "application/json"},
        "TransformResources": {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge"},
        "Tags": [{"Key": "kennel:run", "Value": name}, {"Key": "kennel:kind", "Value": "transform"}],
    }  # fmt: skip


def test_answers_come_in_the_order_of_the_files(
    cloud: Simulator, echo: Echo, artifact: Path, photos: Path, tmp_path: Path
) -> None:
    asked: list[Item] = []
    summary, survey = transform(wanted(tmp_path, artifact, Inputs([str(photos)]), asked=asked))
    row = {"label": "Beagle", "index": 0, "probability": 1.0}
    assert lines(tmp_path) == [
        {"file": f"{photos}/Beagle/1.jpg", "predictions": [row]},
        {"file": f"{photos}/Beagle/2.jpg", "error": "no image"},
        {"file": f"{photos}/Pug/3.png", "predictions": [row]},
    ]
    assert (summary["images"], summary["predicted"], summary["failed"]) == (3, 2, 1)
    assert (summary["labelled"]["n"], summary["labelled"]["correct"]) == (2, 1)
    assert dict(survey.left_out) == {".txt": 1}
    assert (tmp_path / "out" / "predictions.csv").read_text().splitlines()[2] == f"{photos}/Beagle/2.jpg,,,no image"
    run = only_run(tmp_path)
    assert (run.kind, run.status) == ("transform", "completed")
    assert run.log.read_text() == "serving\n"
    assert asked == [Item(f"transform job {resource_name(run)}", "transform", "ml.m5.xlarge", 1, 4.0)]
    # The model and the copies of the photos are gone; the job's answers stay.
    assert [each.kind.noun for each in cloud.store] == ["TransformJob"]
    kept = list(cloud.objects.keys(BUCKET, f"kennel/runs/{resource_name(run)}/"))
    assert [key.rsplit("/", 2)[1:] for key in kept] == [["output", f"0000000{number}.out"] for number in range(3)]


def test_probabilities(cloud: Simulator, echo: Echo, artifact: Path, photos: Path, tmp_path: Path) -> None:
    transform(wanted(tmp_path, artifact, Inputs([f"{photos}/Pug/3.png"]), probabilities=True))
    best = [{"label": "Pug", "index": 1, "probability": 0.75}, {"label": "Beagle", "index": 0, "probability": 0.25}]
    assert lines(tmp_path) == [
        {"file": f"{photos}/Pug/3.png", "predictions": best, "probabilities": [0.25, 0.75]}
    ]  # fmt: skip
    (sent,) = cloud.requests("CreateTransformJob")
    assert sent["TransformOutput"]["Accept"] == "application/json;format=probabilities"


def test_images_in_s3_are_not_copied(
    cloud: Simulator, echo: Echo, account: Account, artifact: Path, tmp_path: Path
) -> None:
    for name in ("photos/Pug/2.jpg", "photos/Beagle/1.jpg", "photos/readme.txt", "photos-old/Pug/9.jpg"):
        cloud.objects.write(f"s3://{BUCKET}/{name}", b"Pug")
    summary, survey = transform(wanted(tmp_path, artifact, listing(account, [f"s3://{BUCKET}/photos"])))
    (sent,) = cloud.requests("CreateTransformJob")
    assert sent["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"] == f"s3://{BUCKET}/photos/"
    assert [row["file"] for row in lines(tmp_path)] == [
        f"s3://{BUCKET}/photos/Beagle/1.jpg", f"s3://{BUCKET}/photos/Pug/2.jpg",
    ]  # fmt: skip
    assert (summary["labelled"]["n"], summary["labelled"]["correct"]) == (2, 1)
    assert dict(survey.left_out) == {".txt": 1}
    # They are the person's own.
    assert len(list(cloud.objects.keys(BUCKET, "photos/"))) == 3


def test_faults_of_listings(account: Account) -> None:
    with pytest.raises(
        BackendError, match=r"^one job transforms one prefix of S3, got s3://a/b, c; give one at a time$"
    ):
        listing(account, ["s3://a/b", "c"])
    with pytest.raises(BackendError, match=r"^s3:// names no bucket"):
        listing(account, ["s3://"])


def test_settings_reach_the_job(cloud: Simulator, echo: Echo, artifact: Path, photos: Path, tmp_path: Path) -> None:
    key = "arn:aws:kms:eu-west-1:123456789012:key/1"
    common = AccountSettings(region="eu-west-1", role=ROLE, bucket=BUCKET, image=IMAGE, kms_key=key,
                             subnets=("subnet-1a",), security_groups=("sg-1a",), network_isolation=True)  # fmt: skip
    chosen = settings(sagemaker=common, transform=Transform(instance_type="ml.c5.xlarge", instance_count=3))
    transform(wanted(tmp_path, artifact, Inputs([str(photos)]), chosen, concurrent=20))
    (model,) = cloud.requests("CreateModel")
    (sent,) = cloud.requests("CreateTransformJob")
    assert model["EnableNetworkIsolation"] is True
    assert model["VpcConfig"] == {"SecurityGroupIds": ["sg-1a"], "Subnets": ["subnet-1a"]}
    assert sent["TransformResources"] == {
        "InstanceCount": 3, "InstanceType": "ml.c5.xlarge", "VolumeKmsKeyId": key,
    }  # fmt: skip
    assert sent["TransformOutput"]["KmsKeyId"] == key
    # 20 at once of 6 MB would be more than SageMaker lets be under way.
    assert (sent["MaxConcurrentTransforms"], sent["MaxPayloadInMB"]) == (20, 1)
    puts = [each for each in cloud.requests("PutObject") if "/transform/input/" in each["Key"]]
    assert {each["SSEKMSKeyId"] for each in puts} == {key}


@pytest.mark.parametrize(
    ("largest", "concurrent", "expected"),
    [
        (1, None, (None, None)),
        (6 * MEGABYTE, None, (None, None)),
        (6 * MEGABYTE + 1, None, (14, 7)),
        (60 * MEGABYTE, None, (1, 60)),
        (100 * MEGABYTE, 8, (1, 100)),
        (1, 16, (16, 6)),
        (MEGABYTE + 1, 40, (40, 2)),
        (3 * MEGABYTE, 64, (33, 3)),
    ],
)
def test_limits_of_requests(largest: int, concurrent: int | None, expected: tuple[int | None, int | None]) -> None:
    assert Plan(Place("bucket", "key"), {}, largest, {}).limits(concurrent) == expected


def test_files_that_cannot_be_sent_get_their_error_and_the_others_go(
    cloud: Simulator, echo: Echo, artifact: Path, photos: Path, tmp_path: Path
) -> None:
    with (photos / "Pug" / "large.png").open("wb") as file:
        file.truncate(MOST_MB * MEGABYTE + 1)
    (photos / "Pug" / "gone.png").symlink_to(tmp_path / "nowhere")
    transform(wanted(tmp_path, artifact, Inputs([str(photos / "Pug")])))
    said = {Path(row["file"]).name: row.get("error") for row in lines(tmp_path)}
    assert said == {
        "3.png": None,
        "gone.png": "the file can't be read (No such file or directory)",
        "large.png": "the file has 104857601 bytes, and a transform job takes 104857600 at most",
    }
    assert len([each for each in cloud.requests("PutObject") if "/transform/input/0" in each["Key"]]) == 1


def test_nothing_that_can_be_sent(cloud: Simulator, echo: Echo, artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "gone.png").symlink_to(tmp_path / "nowhere")
    with pytest.raises(
        BackendError, match=r"^none of the 1 images can be sent; the first, .*gone\.png: the file can't be read"
    ):
        transform(wanted(tmp_path, artifact, Inputs([str(tmp_path / "photos")])))
    assert cloud.changes() == []


def test_a_failed_job_says_why_and_leaves_no_model(
    cloud: Simulator, echo: Echo, artifact: Path, photos: Path, tmp_path: Path
) -> None:
    echo.code = 1
    said = r"^transform job kennel-transform-\S+ failed: ClientError: See job logs.*serving"
    with pytest.raises(BackendError, match=said):
        transform(wanted(tmp_path, artifact, Inputs([str(photos)])))
    assert only_run(tmp_path).status == "failed"
    assert [each.kind.noun for each in cloud.store] == ["TransformJob"]
    assert list(cloud.objects.keys(BUCKET, "kennel/runs/")) == []


def test_the_next_start_after_a_failure_makes_another_job(
    cloud: Simulator, echo: Echo, artifact: Path, photos: Path, tmp_path: Path
) -> None:
    echo.code = 1
    with pytest.raises(BackendError):
        transform(wanted(tmp_path, artifact, Inputs([str(photos)])))
    echo.code = 0
    transform(wanted(tmp_path, artifact, Inputs([str(photos)])))
    assert len(lines(tmp_path)) == 3
    assert len({each["TransformJobName"] for each in cloud.requests("CreateTransformJob")}) == 2


def test_a_job_that_was_left_is_gone_on_with(
    cloud: Simulator, echo: Echo, artifact: Path, photos: Path, tmp_path: Path
) -> None:
    """Whoever is killed between two calls starts again with the same command."""
    made = wanted(tmp_path, artifact, Inputs([str(photos)]))

    backend = made.server.backend
    assert isinstance(backend, CloudBackend)
    original = backend.transform

    def once(run: Run, *given: Any) -> Any:
        rows = original(run, *given)
        first = next(rows)
        assert first["file"].endswith("1.jpg")
        raise StillRunning("left alone")

    backend.transform = once  # type: ignore[method-assign, assignment]
    with pytest.raises(StillRunning):
        transform(made)
    assert only_run(tmp_path).status == "running"
    backend.transform = original  # type: ignore[method-assign]
    transform(made)
    assert len(lines(tmp_path)) == 3
    assert len(cloud.requests("CreateTransformJob")) == 1
    assert only_run(tmp_path).status == "completed"


def test_a_wish_to_stop_ends_job_and_model(
    cloud: Simulator, echo: Echo, artifact: Path, photos: Path, tmp_path: Path
) -> None:
    echo.go.clear()
    backend = CloudBackend(settings(), lambda _: None)
    run = create_run(tmp_path / "runs", "transform", "mine", backend="sagemaker")
    stop = Stop()

    def watch(_: Progress) -> None:
        if cloud.requests("CreateTransformJob") and not stop.requested:
            stop.request()

    with pytest.raises(Stopped, match=r"^stopped; transform job kennel-mine-\w+ has ended$"):
        list(backend.transform(run, Batch(Inputs([str(photos)]), 3, artifact), watch, stop))
    assert len(cloud.requests("StopTransformJob")) == 1
    assert [(each.kind.noun, each.status) for each in cloud.store] == [("TransformJob", "Stopped")]


def test_a_job_that_takes_too_long_is_stopped(
    cloud: Simulator, echo: Echo, artifact: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    echo.go.clear()
    chosen = settings(transform=Transform(max_hours=1 / 3600))
    with pytest.raises(BackendError, match=r"was stopped before its end"):
        transform(wanted(tmp_path, artifact, Inputs([str(photos)]), chosen))
    assert "max_hours in [transform], 0.000277778, are over" in capsys.readouterr().out
