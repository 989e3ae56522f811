"""`run --on sagemaker` against an account whose containers only pretend: what they leave, and how it is started."""

import json
from pathlib import Path
from typing import Any, Final

from tests.cloud.conftest import BUCKET, IMAGE, ROLE
from tests.cloud.policies import Call, beyond
from tests.cloud.simulator.jobs import DONE
from tests.cloud.simulator.server import PERSON, Simulator
from tests.cloud.simulator.store import REGION
from tests.cloud.simulator.work import Prepared

# Two classes of two photos, the least that trains.
PHOTOS: Final = ("train/cat/1.jpg", "train/cat/2.jpg", "train/dog/1.jpg", "train/dog/2.jpg", "test/cat/3.jpg")
LINES: Final = (
    "epoch=1; train_loss=0.9; train_accuracy=0.5; validation_loss=0.8; validation_accuracy=0.75; learning_rate=0.001;",
    "test_loss=0.7; test_accuracy=0.75;",
)
ANSWER: Final = {"predictions": [{"label": "cat", "probability": 0.75}, {"label": "dog", "probability": 0.25}]}
TOML: Final = f"""
[sagemaker]
region = "{REGION}"
role = "{ROLE}"
bucket = "{BUCKET}"
image = "{IMAGE}"

[deploy]
max_instances = 2
schedule = ["0 7 ? * MON-FRI *=1:2"]
"""


def make_photos(folder: Path) -> Path:
    """The data set."""
    from PIL import Image

    for number, name in enumerate(PHOTOS):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), (40 * number, 90, 120)).save(file)
    return folder


def make_left(folder: Path) -> Path:
    """What a training leaves in model/ and output/: as little as the commands after it read."""
    manifest: dict[str, Any] = {
        "format": 1, "labels": ["cat", "dog"],
        "metrics": {"epoch": 1, "validation_accuracy": 0.75, "test_accuracy": 0.75},
        "provenance": {"completed": True},
    }  # fmt: skip
    _write(folder / "model" / "kennel.json", manifest)
    _write(folder / "model" / "model.safetensors", {})
    _write(folder / "output" / "data" / "evaluation.json", {"predictions": {"cat/3.jpg": {"label": "cat"}}})
    return folder


def _write(file: Path, value: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value))


def pretend(cloud: Simulator, folder: Path) -> Prepared:
    """Let the account's containers pretend."""
    cloud.work = Prepared(make_left(folder), LINES, answer=json.dumps(ANSWER))
    return cloud.work


def environment(cloud: Simulator, folder: Path) -> dict[str, str]:
    """Of a person's command in the account, with a kennel.toml in the folder."""
    settings = folder / "kennel.toml"
    settings.write_text(TOML)
    return {**cloud.environment(), "KENNEL_POLL_S": "0.05", "KENNEL_CONFIG": str(settings)}


def run_arguments(photos: Path, folder: Path, *more: str) -> list[str | Path]:
    """`run` of two trials, its run folders in folder/runs."""
    runs = folder / "runs"
    return ["run", "--on", "sagemaker", "--yes", "--data", photos, "--trials", "2", "--runs", runs, *more]


def beyond_policies(cloud: Simulator) -> list[str]:
    """What commands have asked for and docs/iam doesn't allow a person. Of an account that nobody else has used."""
    calls = [Call(each.service, each.operation, each.request) for each in cloud.calls if each.key == PERSON]
    return sorted({f"{each.operation}: {what}" for each in calls for what in beyond(each)})


def leftovers(cloud: Simulator) -> list[str]:
    """Everything that is in the account but ended jobs' records, which nobody can remove and nothing costs."""
    found = [
        f"{each.kind.noun} {each.name}" for each in cloud.store if not each.kind.is_job() or each.status not in DONE
    ]
    found += [f"alarm {each['AlarmName']}" for each in cloud.client("cloudwatch").describe_alarms()["MetricAlarms"]]
    scaling = cloud.client("application-autoscaling")
    for operation, key, name in (
        ("describe_scalable_targets", "ScalableTargets", "ResourceId"),
        ("describe_scaling_policies", "ScalingPolicies", "PolicyName"),
        ("describe_scheduled_actions", "ScheduledActions", "ScheduledActionName"),
    ):
        found += [f"{key} {each[name]}" for each in getattr(scaling, operation)(ServiceNamespace="sagemaker")[key]]
    found += [f"object {key}" for key in cloud.objects.keys(BUCKET, "")]
    # The jobs' groups are everybody's.
    groups = cloud.client("logs").describe_log_groups(logGroupNamePrefix="/aws/sagemaker/Endpoints/")["logGroups"]
    return found + [f"log group {each['logGroupName']}" for each in groups]
