"""Batch transform on SageMaker: what is asked, what is sent, and the answers in order."""

from pathlib import Path

import pytest

from backends.errors import BackendError
from backends.sagemaker.account import Account
from backends.sagemaker.billing.items import Item
from backends.sagemaker.jobs.transform import TransformPlan, list_s3_images
from backends.sagemaker.names import S3Location, resource_name
from backends.settings.sections import AccountSettings, Transform
from backends.transform.inputs import LocalImages
from backends.transform.job import transform
from tests.backends.sagemaker_requests import breaches, service_model
from tests.cloud.conftest import BUCKET, IMAGE, ROLE, settings
from tests.cloud.simulator.server import Simulator
from tests.cloud.transforms import Echo, lines, made_artifact, made_photos, only_run, wanted

MEGABYTE = 1 << 20


@pytest.fixture
def echo(cloud: Simulator) -> Echo:
    cloud.work = Echo()
    return cloud.work


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return made_artifact(tmp_path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return made_photos(tmp_path)


def test_the_whole_request(
    cloud: Simulator, echo: Echo, account: Account, artifact: Path, photos: Path, tmp_path: Path
) -> None:
    transform(wanted(tmp_path, artifact, LocalImages([str(photos)])))
    run = only_run(tmp_path)
    name, place = resource_name(run), account.run_location(run)
    (model,) = cloud.requests("CreateModel")
    (sent,) = cloud.requests("CreateTransformJob")
    assert breaches(sent, service_model().shape_for("CreateTransformJobRequest")) == []
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
    summary, survey = transform(wanted(tmp_path, artifact, LocalImages([str(photos)]), asked=asked))
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
    transform(wanted(tmp_path, artifact, LocalImages([f"{photos}/Pug/3.png"]), probabilities=True))
    best = [{"label": "Pug", "index": 1, "probability": 0.75}, {"label": "Beagle", "index": 0, "probability": 0.25}]
    assert lines(tmp_path) == [
        {"file": f"{photos}/Pug/3.png", "predictions": best, "probabilities": [0.25, 0.75]}
    ]  # fmt: skip
    (sent,) = cloud.requests("CreateTransformJob")
    assert sent["TransformOutput"]["Accept"] == "application/json;format=probabilities"


@pytest.mark.beyond_policy("reads what lies elsewhere")
def test_images_in_s3_are_not_copied(
    cloud: Simulator, echo: Echo, account: Account, artifact: Path, tmp_path: Path
) -> None:
    for name in ("photos/Pug/2.jpg", "photos/Beagle/1.jpg", "photos/readme.txt", "photos-old/Pug/9.jpg"):
        cloud.objects.write(f"s3://{BUCKET}/{name}", b"Pug")
    summary, survey = transform(wanted(tmp_path, artifact, list_s3_images(account, [f"s3://{BUCKET}/photos"])))
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
        list_s3_images(account, ["s3://a/b", "c"])
    with pytest.raises(BackendError, match=r"^s3:// names no bucket"):
        list_s3_images(account, ["s3://"])


def test_settings_reach_the_job(cloud: Simulator, echo: Echo, artifact: Path, photos: Path, tmp_path: Path) -> None:
    key = "arn:aws:kms:eu-west-1:123456789012:key/1"
    common = AccountSettings(region="eu-west-1", role=ROLE, bucket=BUCKET, image=IMAGE, kms_key=key,
                             subnets=("subnet-1a",), security_groups=("sg-1a",), network_isolation=True)  # fmt: skip
    chosen = settings(sagemaker=common, transform=Transform(instance_type="ml.c5.xlarge", instance_count=3))
    transform(wanted(tmp_path, artifact, LocalImages([str(photos)]), chosen, concurrent=20))
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
    assert TransformPlan(S3Location("bucket", "key"), {}, largest, {}).limits(concurrent) == expected
