"""An endpoint's model (the image with an artifact) and configuration, as requests that the settings make.

`check_deploy` reports every fault of the settings at once, without a request to AWS.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from backends.errors import BackendError
from backends.runs import Run
from backends.sagemaker.account import Account
from backends.sagemaker.billing.items import Item
from backends.sagemaker.endpoints.capture import data_capture
from backends.sagemaker.endpoints.drivers import (
    ASSUMED_CUDA,
    AUTO,
    NONE,
    check_processor,
    has_gpu,
    host_image,
    image_cuda,
)
from backends.sagemaker.errors import none_if_missing, translate_aws_errors
from backends.sagemaker.names import MAX_NAME_LENGTH, resource_name, tags
from backends.sagemaker.sdk import has_volumes, sdk
from backends.settings.sections import Deploy, Settings

# The SDK's name for the only variant of an endpoint.
VARIANT: Final = "AllTraffic"
# A person's request may be of any size that asynchronous inference takes.
_ASYNC_PAYLOAD_MB: Final = "1024"
_DIGEST: Final = 8


def content_name(run: Run, content: object) -> str:
    """The name of one version of something that a run has made: `kennel-NAME-DIGEST-` and a digest of `content`, JSON.

    The same content meets its own name; another content gets another.
    """
    text = json.dumps(content, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]
    return f"{resource_name(run, MAX_NAME_LENGTH - _DIGEST - 1)}-{digest}"


def serving_environment(account: Account) -> dict[str, str]:
    """The server's environment variables: the log level, and the person's own of [deploy] over it."""
    settings = account.settings.deploy
    return {"SAGEMAKER_CONTAINER_LOG_LEVEL": settings.log_level, **dict(settings.environment)}


def model_request(account: Account, run: Run, source: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """A CreateModel request. source: s3://... of a model.tar.gz, or the ARN of a model package."""
    settings = account.settings.sagemaker
    if source.startswith("arn:"):
        container: dict[str, Any] = {"ModelPackageName": source}
    else:
        container = {"Image": account.image, "ModelDataUrl": source}
    request: dict[str, Any] = {
        "PrimaryContainer": {**container, "Environment": dict(environment)},
        "ExecutionRoleArn": account.role,
        "EnableNetworkIsolation": settings.network_isolation,
        **vpc(account),
    }
    return {"ModelName": content_name(run, request), **request, "Tags": tags(run, account.settings)}


def vpc(account: Account) -> dict[str, Any]:
    """{"VpcConfig": ...} when there is one in the settings, else nothing."""
    settings = account.settings.sagemaker
    if not settings.subnets:
        return {}
    return {"VpcConfig": {"SecurityGroupIds": list(settings.security_groups), "Subnets": list(settings.subnets)}}


def create_model(account: Account, request: Mapping[str, Any]) -> str:
    """Make the model of a request by `model_request`, unless it is there. Returns its name. Raises BackendError."""
    name = str(request["ModelName"])
    client = account.client("sagemaker")
    if none_if_missing(f"looking for the model {name}", lambda: client.describe_model(ModelName=name)):
        return name
    container = request["PrimaryContainer"]
    with translate_aws_errors(f"making the model {name}"):
        if "ModelPackageName" in container:
            # The SDK would approve a version that nobody has approved.
            client.create_model(**request)
        else:
            sdk("model").Model(
                image_uri=container["Image"],
                model_data=container["ModelDataUrl"],
                role=request["ExecutionRoleArn"],
                env=container["Environment"],
                name=name,
                vpc_config=request.get("VpcConfig"),
                enable_network_isolation=request["EnableNetworkIsolation"],
                sagemaker_session=account.session,
            ).create(tags=request["Tags"])
    return name


def host_image_of(account: Account) -> tuple[str | None, str]:
    """(InferenceAmiVersion or None, what the person should know). Raises BackendError where no driver fits."""
    deploy = account.settings.deploy
    if deploy.kind == "serverless":
        return None, ""
    cuda, note = image_cuda(account) if has_gpu(deploy.instance_type) else (ASSUMED_CUDA, "")
    return host_image(deploy.instance_type, cuda, deploy.ami), note


def extra_environment(settings: Settings) -> dict[str, str]:
    """Environment variables that this kind of endpoint needs."""
    return {"SAGEMAKER_MAX_PAYLOAD_IN_MB": _ASYNC_PAYLOAD_MB} if settings.deploy.kind == "async" else {}


def config_request(account: Account, run: Run, model: str, ami: str | None) -> dict[str, Any]:
    """A CreateEndpointConfig request for a model by name. ami: InferenceAmiVersion, or None for the host's own."""
    deploy, key = account.settings.deploy, account.settings.sagemaker.kms_key
    request: dict[str, Any] = {
        "ProductionVariants": [_variant(deploy, model, ami)],
        **data_capture(account, run),
        **(_asynchronous(account, run) if deploy.kind == "async" else {}),
    }
    # Disks that belong to the instance are encrypted by its hardware, and take no key.
    if key and (deploy.kind == "serverless" or has_volumes(deploy.instance_type)):
        request["KmsKeyId"] = key
    return {"EndpointConfigName": content_name(run, request), **request, "Tags": tags(run, account.settings)}


def _variant(deploy: Deploy, model: str, ami: str | None) -> dict[str, Any]:
    make = sdk("session").production_variant
    if deploy.kind == "serverless":
        config = sdk("serverless.serverless_inference_config").ServerlessInferenceConfig(
            memory_size_in_mb=deploy.memory_mb,
            max_concurrency=deploy.max_concurrency,
            provisioned_concurrency=deploy.provisioned_concurrency or None,
        )
        return dict(make(model, serverless_inference_config=config._to_request_dict()))
    return dict(
        make(
            model,
            deploy.instance_type,
            deploy.instance_count,
            # Images differ in what they cost: an instance that is done early takes the next.
            routing_config={"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"} if deploy.kind == "realtime" else None,
            inference_ami_version=ami,
        )
    )


def _asynchronous(account: Account, run: Run) -> dict[str, Any]:
    deploy = account.settings.deploy
    topics = {"SuccessTopic": deploy.success_topic, "ErrorTopic": deploy.error_topic}
    config = sdk("async_inference.async_inference_config").AsyncInferenceConfig(
        output_path=(account.run_location(run) / "async/output").url,
        failure_path=(account.run_location(run) / "async/failure").url,
        max_concurrent_invocations_per_instance=deploy.async_concurrency,
        kms_key_id=account.settings.sagemaker.kms_key or None,
        notification_config={name: topic for name, topic in topics.items() if topic} or None,
    )
    return {"AsyncInferenceConfig": config._to_request_dict()}


def items(account: Account, name: str, gigabytes: float = 0.0) -> list[Item]:
    """What an endpoint of these settings costs. gigabytes: of the artifact, when it has yet to be sent."""
    deploy = account.settings.deploy
    stored = [Item("the artifact in S3", "storage", gigabytes=gigabytes)] if gigabytes else []
    if deploy.kind == "serverless":
        waits = max(deploy.provisioned_concurrency, deploy.max_instances)
        memory = deploy.memory_mb / 1024
        return [Item(f"serverless endpoint {name}", "serverless", gigabytes=memory, waits=waits), *stored]
    count = max(deploy.instance_count, deploy.max_instances)
    scaled = f", {deploy.min_instances} to {count} instances by load" if deploy.max_instances else ""
    words = {"realtime": "endpoint", "async": "asynchronous endpoint"}[deploy.kind]
    return [Item(f"{words} {name}{scaled}", "hosting", deploy.instance_type, count), *stored]


def check_deploy(settings: Settings) -> None:
    """Raises BackendError with all that can't be deployed of [deploy] and [sagemaker]."""
    deploy = settings.deploy
    faults = _scaling_faults(deploy)
    faults += _serverless_faults(settings) if deploy.kind == "serverless" else _instance_faults(deploy)
    if deploy.kind != "async" and (deploy.success_topic or deploy.error_topic):
        faults.append("success_topic and error_topic need kind async; leave them out, or set that")
    if faults:
        raise BackendError(faults[0] if len(faults) == 1 else f"{len(faults)} settings: " + " | ".join(faults))


def _scaling_faults(deploy: Deploy) -> list[str]:
    name = "provisioned_concurrency" if deploy.kind == "serverless" else "instance_count"
    count = getattr(deploy, name)
    if not deploy.max_instances or count <= deploy.max_instances:
        return []
    return [f"{name} {count} is above max_instances {deploy.max_instances}; lower the one or raise the other"]


def _instance_faults(deploy: Deploy) -> list[str]:
    faults = []
    if deploy.shift != "all" and deploy.instance_count < 2:
        faults.append(f"shift {deploy.shift} moves a fleet by parts; set instance_count to 2 or more, or shift to all")
    try:
        check_processor(deploy.instance_type)
    except BackendError as error:
        faults.append(str(error))
    return faults


def _serverless_faults(settings: Settings) -> list[str]:
    deploy, sagemaker_settings = settings.deploy, settings.sagemaker
    faults = []
    if deploy.max_instances and not deploy.provisioned_concurrency:
        faults.append("autoscaling of a serverless endpoint moves provisioned_concurrency; set that to 1 or more")
    if deploy.max_instances > deploy.max_concurrency:
        faults.append(
            f"max_instances {deploy.max_instances} is above max_concurrency {deploy.max_concurrency}; lower the one or "
            "raise the other"
        )
    if deploy.ami not in (AUTO, NONE):
        faults.append("a serverless endpoint has no GPU, so ami must be auto or none")
    if deploy.shift != "all":
        faults.append(f"a serverless endpoint is updated at once; set shift to all, not {deploy.shift}")
    options = {
        "capture_percent": deploy.capture_percent,
        "network_isolation": sagemaker_settings.network_isolation,
        "subnets": sagemaker_settings.subnets,
    }
    if unsupported := [name for name, value in options.items() if value]:
        faults.append(
            f"a serverless endpoint can't have {', '.join(unsupported)}; leave it out, or set kind to realtime"
        )
    return faults
