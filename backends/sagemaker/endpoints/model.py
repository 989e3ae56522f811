"""A SageMaker model: the image together with an artifact in S3, or a version in the registry."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from backends.runs import Run
from backends.sagemaker.account import Account
from backends.sagemaker.errors import none_if_missing, translate_aws_errors
from backends.sagemaker.names import MAX_NAME_LENGTH, resource_name, tags
from backends.sagemaker.sdk import sdk

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
