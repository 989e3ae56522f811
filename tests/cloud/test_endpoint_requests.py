"""What is asked of SageMaker to make an endpoint, field by field, for each kind."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backends.errors import BackendError, Stopped
from backends.runs import Run, load_run
from backends.sagemaker.account import Account
from backends.sagemaker.billing.items import Item
from backends.sagemaker.endpoints import endpoints
from backends.settings.sections import Deploy, Settings
from tests.cloud.conftest import BUCKET, IMAGE, ROLE, settings
from tests.cloud.endpoint_cases import (
    DIGEST_OF_ARTIFACT,
    account_of,
    checked,
    deployment,
    make_artifact,
    tags_of,
    up,
)
from tests.cloud.simulator.server import Simulator
from tests.cloud.simulator.work import Prepared

DATA = f"s3://{BUCKET}/kennel/models/{DIGEST_OF_ARTIFACT}/model.tar.gz"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/1"


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return make_artifact(tmp_path / "artifact")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return deployment(tmp_path)


def asked(cloud: Simulator, run: Run, artifact: Path, chosen: Settings) -> tuple[dict[str, Any], ...]:
    """The three requests that make an endpoint of these settings."""
    up(account_of(chosen), run, artifact)
    names = ("CreateModel", "CreateEndpointConfig", "CreateEndpoint")
    found = [cloud.requests(name) for name in names]
    assert [len(each) for each in found] == [1, 1, 1]
    return tuple(checked("sagemaker", name, each[0]) for name, each in zip(names, found, strict=True))


def test_real_time_is_asked_for_as_the_tutorial_did_it(
    cloud: Simulator, prepared: Prepared, run: Run, artifact: Path
) -> None:
    model, config, endpoint = asked(
        cloud, run, artifact, settings(deploy=Deploy(instance_type="ml.m5.large", instance_count=3))
    )
    name = run.record["sagemaker"]["endpoint"]
    tags = tags_of(run, name)
    assert name.startswith("kennel-first-")
    assert model.pop("ModelName").startswith(f"{name}-")
    assert model == {
        "PrimaryContainer": {
            "Image": IMAGE, "ModelDataUrl": DATA, "Environment": {"SAGEMAKER_CONTAINER_LOG_LEVEL": "info"},
        },
        "ExecutionRoleArn": ROLE,
        "Tags": tags,
    }  # fmt: skip
    assert config.pop("EndpointConfigName").startswith(f"{name}-")
    assert config == {
        "ProductionVariants": [{
            "VariantName": "AllTraffic", "ModelName": run.record["sagemaker"]["model"], "InitialVariantWeight": 1,
            "InitialInstanceCount": 3, "InstanceType": "ml.m5.large",
            "RoutingConfig": {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"},
        }],
        "Tags": tags,
    }  # fmt: skip
    assert endpoint == {
        "EndpointName": name, "EndpointConfigName": run.record["sagemaker"]["config"], "Tags": tags,
    }  # fmt: skip
    assert cloud.changes() == ["PutObject", "CreateModel", "CreateEndpointConfig", "CreateEndpoint"]


def test_serverless(cloud: Simulator, prepared: Prepared, run: Run, artifact: Path) -> None:
    chosen = Deploy(kind="serverless", memory_mb=4096, max_concurrency=20, provisioned_concurrency=2)
    _, config, _ = asked(cloud, run, artifact, settings(deploy=chosen))
    assert config["ProductionVariants"] == [{
        "VariantName": "AllTraffic", "ModelName": run.record["sagemaker"]["model"], "InitialVariantWeight": 1,
        "ServerlessConfig": {"MemorySizeInMB": 4096, "MaxConcurrency": 20, "ProvisionedConcurrency": 2},
    }]  # fmt: skip
    assert set(config) == {"EndpointConfigName", "ProductionVariants", "Tags"}


def test_serverless_without_provisioned_concurrency_waits_for_nothing(
    cloud: Simulator, prepared: Prepared, run: Run, artifact: Path
) -> None:
    _, config, _ = asked(cloud, run, artifact, settings(deploy=Deploy(kind="serverless")))
    assert config["ProductionVariants"][0]["ServerlessConfig"] == {"MemorySizeInMB": 3072, "MaxConcurrency": 5}


def test_asynchronous(cloud: Simulator, prepared: Prepared, run: Run, artifact: Path) -> None:
    chosen = Deploy(
        kind="async", min_instances=0, max_instances=2, async_concurrency=8,
        success_topic="arn:aws:sns:eu-west-1:123456789012:done",
        error_topic="arn:aws:sns:eu-west-1:123456789012:failed",
        environment=(("KENNEL_MAX_IMAGES", "500"),),
    )  # fmt: skip
    model, config, _ = asked(cloud, run, artifact, settings(deploy=chosen))
    name = run.record["sagemaker"]["endpoint"]
    assert model["PrimaryContainer"]["Environment"] == {
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": "1024", "SAGEMAKER_CONTAINER_LOG_LEVEL": "info", "KENNEL_MAX_IMAGES": "500",
    }  # fmt: skip
    # The service takes no less; autoscaling takes it to nothing.
    assert config["ProductionVariants"][0]["InitialInstanceCount"] == 1
    assert "RoutingConfig" not in config["ProductionVariants"][0]
    assert config["AsyncInferenceConfig"] == {
        "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 8},
        "OutputConfig": {
            "S3OutputPath": f"s3://{BUCKET}/kennel/runs/{name}/async/output",
            "S3FailurePath": f"s3://{BUCKET}/kennel/runs/{name}/async/failure",
            "NotificationConfig": {
                "SuccessTopic": "arn:aws:sns:eu-west-1:123456789012:done",
                "ErrorTopic": "arn:aws:sns:eu-west-1:123456789012:failed",
            },
        },
    }


def test_a_gpu_gets_a_driver_and_what_is_assumed_is_said(
    cloud: Simulator, prepared: Prepared, run: Run, artifact: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, config, _ = asked(cloud, run, artifact, settings(deploy=Deploy(instance_type="ml.g4dn.xlarge")))
    (variant,) = config["ProductionVariants"]
    assert (variant["InstanceType"], variant["InferenceAmiVersion"]) == (
        "ml.g4dn.xlarge", "al2023-ami-sagemaker-inference-gpu-4-1",
    )  # fmt: skip
    assert "the image's CUDA is taken to be 13.0, for its labels can't be read" in capsys.readouterr().out


def test_where_no_driver_fits_nothing_is_made(cloud: Simulator, run: Run, artifact: Path) -> None:
    with pytest.raises(BackendError, match="no code for the V100"):
        endpoints.deploy(account_of(settings(deploy=Deploy(instance_type="ml.p3.2xlarge"))), run, artifact)
    assert cloud.changes() == []
    assert "sagemaker" not in load_run(run.path).record


def test_captured_data_encryption_network_and_own_tags(
    cloud: Simulator, prepared: Prepared, run: Run, artifact: Path
) -> None:
    chosen = settings(deploy=Deploy(capture_percent=25, log_level="debug"))
    guarded = replace(
        chosen.sagemaker, kms_key=KEY, subnets=("subnet-1a", "subnet-2b"), security_groups=("sg-3c",),
        network_isolation=True, tags=(("team", "dogs"),),
    )  # fmt: skip
    model, config, endpoint = asked(cloud, run, artifact, replace(chosen, sagemaker=guarded))
    name = run.record["sagemaker"]["endpoint"]
    assert model["VpcConfig"] == {"SecurityGroupIds": ["sg-3c"], "Subnets": ["subnet-1a", "subnet-2b"]}
    assert model["EnableNetworkIsolation"] is True
    assert model["PrimaryContainer"]["Environment"] == {"SAGEMAKER_CONTAINER_LOG_LEVEL": "debug"}
    assert config["KmsKeyId"] == KEY
    assert config["DataCaptureConfig"] == {
        "EnableCapture": True, "InitialSamplingPercentage": 25, "KmsKeyId": KEY,
        "DestinationS3Uri": f"s3://{BUCKET}/kennel/runs/{name}/capture",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/json"]},
    }  # fmt: skip
    for request in (model, config, endpoint):
        assert request["Tags"] == [{"Key": "team", "Value": "dogs"}, *tags_of(run, name)]


def test_disks_that_belong_to_the_instance_take_no_key(
    cloud: Simulator, prepared: Prepared, run: Run, artifact: Path
) -> None:
    chosen = settings(deploy=Deploy(instance_type="ml.g5.xlarge"))
    chosen = replace(chosen, sagemaker=replace(chosen.sagemaker, kms_key=KEY))
    _, config, _ = asked(cloud, run, artifact, chosen)
    assert "KmsKeyId" not in config


def test_run_json_knows_all_names_before_the_first_of_them_is_made(
    cloud: Simulator, account: Account, prepared: Prepared, run: Run, artifact: Path
) -> None:
    seen: list[dict[str, Any]] = []

    def note(call: Any) -> None:
        if call.changes:
            seen.append(load_run(run.path).record["sagemaker"])

    cloud.before = note
    up(account, run, artifact)
    name = run.record["sagemaker"]["endpoint"]
    assert len(seen) == 4
    assert all(each == run.record["sagemaker"] for each in seen)
    assert {key: value for key, value in seen[0].items() if key not in ("model", "config")} == {
        "name": name, "region": "eu-west-1", "account": "123456789012", "bucket": BUCKET, "prefix": "kennel",
        "endpoint": name, "endpoint_kind": "realtime",
    }  # fmt: skip
    assert cloud.requests("CreateModel")[0]["ModelName"] == seen[0]["model"]
    assert cloud.requests("CreateEndpointConfig")[0]["EndpointConfigName"] == seen[0]["config"]


def test_done_again_it_goes_on_where_it_was_ended_and_makes_nothing_twice(
    cloud: Simulator, account: Account, prepared: Prepared, run: Run, artifact: Path
) -> None:
    for operation in ("CreateModel", "CreateEndpointConfig", "CreateEndpoint"):
        cloud.fail(operation, "AccessDeniedException", "Not you")
        with pytest.raises(BackendError, match=f"may not do {operation}"):
            endpoints.deploy(account, run, artifact)
    up(account, run, artifact)
    made = [len(cloud.store.of(noun)) for noun in ("Model", "EndpointConfig", "Endpoint")]
    assert made == [1, 1, 1]
    before = cloud.changes()
    endpoints.deploy(account, run, artifact)
    assert cloud.changes() == before


def test_another_artifact_doesnt_change_an_endpoint_that_is_up(
    cloud: Simulator, account: Account, prepared: Prepared, run: Run, artifact: Path
) -> None:
    up(account, run, artifact)
    (artifact / "model.safetensors").write_bytes(b"others\n")
    with pytest.raises(BackendError, match=r"is there with other settings or another artifact; .*--update first"):
        endpoints.deploy(account, run, artifact)
    assert len(cloud.requests("CreateEndpoint")) == 1


def test_without_consent_nothing_is_made(cloud: Simulator, run: Run, artifact: Path) -> None:
    asked_for: list[Item] = []

    def refuse(items: Any) -> None:
        asked_for.extend(items)
        raise Stopped("not cancelled")

    chosen = settings(deploy=Deploy(instance_type="ml.c6i.xlarge", instance_count=2, max_instances=6))
    with pytest.raises(Stopped):
        endpoints.deploy(Account(chosen, refuse), run, artifact)
    endpoint, stored = asked_for
    assert (endpoint.kind, endpoint.instance_type, endpoint.count, endpoint.hours) == (
        "hosting", "ml.c6i.xlarge", 6, None,
    )  # fmt: skip
    assert endpoint.what.endswith(", 1 to 6 instances by load")
    assert (stored.kind, stored.gigabytes) == ("storage", 18e-9)
    assert cloud.changes() == []


def test_a_serverless_endpoint_costs_its_memory_and_what_waits(cloud: Simulator, run: Run, artifact: Path) -> None:
    asked_for: list[Item] = []
    chosen = settings(deploy=Deploy(kind="serverless", memory_mb=2048, provisioned_concurrency=1, max_instances=3))
    endpoints.deploy(Account(chosen, asked_for.extend), run, artifact)
    assert (asked_for[0].kind, asked_for[0].gigabytes, asked_for[0].waits) == ("serverless", 2.0, 3)


def test_a_model_package_is_deployed_by_its_arn(
    cloud: Simulator, account: Account, prepared: Prepared, run: Run
) -> None:
    arn = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/kennel/1"
    cloud.fail("CreateModel", "ValidationException", f"Could not find model package {arn}", times=9)
    with pytest.raises(BackendError, match="Could not find model package"):
        endpoints.deploy(account, run, arn)
    # Refused, because there is none: what was asked for is what counts here.
    (request,) = cloud.requests("CreateModel")
    assert checked("sagemaker", "CreateModel", request)["PrimaryContainer"] == {
        "ModelPackageName": arn, "Environment": {"SAGEMAKER_CONTAINER_LOG_LEVEL": "info"},
    }  # fmt: skip
    assert cloud.requests("PutObject") == []
    assert cloud.requests("UpdateModelPackage") == []
