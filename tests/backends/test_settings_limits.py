"""No setting's limits are wider than the service model's of the request that the setting ends up in."""

import re

import pytest

from backends.settings.read import TABLE, Name
from tests.backends.sagemaker_requests import service_model

# The shapes whose least and most the setting must keep, and by how much its unit is larger.
NUMBERS = [
    ("train.instance_count", "TrainingInstanceCount", 1),
    ("train.volume_gb", "VolumeSizeInGB", 1),
    ("train.max_hours", "MaxRuntimeInSeconds", 3600),
    ("train.keep_alive_minutes", "KeepAlivePeriodInSeconds", 60),
    ("deploy.instance_count", "InitialTaskCount", 1),
    ("deploy.memory_mb", "ServerlessMemorySizeInMB", 1),
    ("deploy.max_concurrency", "ServerlessMaxConcurrency", 1),
    ("deploy.capture_percent", "SamplingPercentage", 1),
    ("deploy.async_concurrency", "MaxConcurrentInvocationsPerInstance", 1),
    ("deploy.shift_wait_s", "WaitIntervalInSeconds", 1),
    ("transform.instance_count", "TransformInstanceCount", 1),
    ("evaluate.volume_gb", "ProcessingVolumeSizeInGB", 1),
    ("evaluate.max_hours", "ProcessingMaxRuntimeInSeconds", 3600),
]
MOST = [
    ("sagemaker.subnets", "Subnets"),
    ("sagemaker.security_groups", "VpcSecurityGroupIds"),
    ("train.environment", "TrainingEnvironmentMap"),
    ("deploy.environment", "EnvironmentMap"),
    ("tune.warm_start", "ParentHyperParameterTuningJobs"),
    ("deploy.alarms", "AlarmList"),
]
TEXTS = [
    ("sagemaker.role", "RoleArn", "arn:aws:iam::123456789012:role/service-role/Kennel_1+=,.@-x", "arn:aws:s3:::bucket"),
    ("sagemaker.image", "ContainerImage", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/kennel:1.0", "x" * 256),
    ("sagemaker.kms_key", "KmsKeyId", "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab", "the key"),
    ("sagemaker.subnets", "SubnetId", "subnet-0123456789abcdef0", "subnet one"),
    ("sagemaker.security_groups", "SecurityGroupId", "sg-0123456789abcdef0", "sg one"),
    ("tune.warm_start", "HyperParameterTuningJobName", "kennel-tuning-1a2b3c", "x" * 33),
    ("deploy.success_topic", "SnsTopicArn", "arn:aws-cn:sns:cn-north-1:123456789012:answers.fifo", "answers"),
    ("deploy.alarms", "AlarmName", "too many errors", "x" * 256),
    ("registry.group", "EntityName", "kennel-dogs", "kennel_dogs"),
]


def about(setting: str) -> dict[str, object]:
    return dict(TABLE[Name(*setting.split("."))].metadata)


@pytest.mark.parametrize(("setting", "shape", "unit"), NUMBERS, ids=[row[0] for row in NUMBERS])
def test_a_number(setting: str, shape: str, unit: int) -> None:
    limits, declared = service_model().shape_for(shape).metadata, about(setting)
    assert limits["min"] <= declared["low"] * unit  # type: ignore[operator]
    assert declared["high"] * unit <= limits.get("max", float("inf"))  # type: ignore[operator]


@pytest.mark.parametrize(("setting", "shape"), MOST, ids=[row[0] for row in MOST])
def test_a_count(setting: str, shape: str) -> None:
    assert about(setting)["most"] == service_model().shape_for(shape).metadata["max"]


def test_there_is_room_for_kennels_own_tags() -> None:
    assert about("sagemaker.tags")["most"] == service_model().shape_for("TagList").metadata["max"] - 2


@pytest.mark.parametrize(("setting", "shape", "good", "bad"), TEXTS, ids=[row[0] for row in TEXTS])
def test_a_text(setting: str, shape: str, good: str, bad: str) -> None:
    limits, own = service_model().shape_for(shape).metadata, str(about(setting)["pattern"])

    def fits(text: str) -> bool:
        return len(text) <= limits["max"] and bool(re.fullmatch(limits["pattern"], text))

    assert (bool(re.fullmatch(own, good)), fits(good)) == (True, True)
    assert (bool(re.fullmatch(own, bad)), fits(bad)) == (False, False)


def test_the_host_images_of_the_service_model_are_taken() -> None:
    known = service_model().shape_for("ProductionVariantInferenceAmiVersion").metadata["enum"]
    assert len(known) >= 5
    pattern = str(about("deploy.ami")["pattern"])
    assert [each for each in [*known, "auto", "none"] if not re.fullmatch(pattern, each)] == []
    assert not re.fullmatch(pattern, "ami-0123")
