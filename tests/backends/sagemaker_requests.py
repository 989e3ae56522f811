"""Requests to SageMaker that are never sent, and what its service model allows."""

import re
from functools import cache
from typing import Any

import boto3
from botocore.session import Session as Models

from backends.sagemaker.sdk import sdk
from contract.hyperparameters import Hyperparameters
from tuning.settings import SearchSettings

REGION = "eu-west-1"
JAVA_CLASSES = {
    r"\p{Alnum}": "a-zA-Z0-9", r"\p{L}": r"\w", r"\p{M}": r"\w", r"\p{N}": r"\w", r"\p{Z}": r"\s",
    r"\p{S}": "+<=>^`|~$", r"\p{P}": r"!-/:-@\[-`{-~", r"\p{Print}": "[ -~]", r"\p{ASCII}": r"[\x00-\x7f]",
    r"\uD800\uDC00-\uDBFF\uDFFF": r"\U00010000-\U0010FFFF",
}  # fmt: skip


@cache
def service_model() -> Any:
    """SageMaker's service model."""
    return Models().get_service_model("sagemaker")


@cache
def client() -> Any:
    """For requests that a stub answers."""
    return boto3.client("sagemaker", region_name=REGION, aws_access_key_id="none", aws_secret_access_key="none")


def settings(**chosen: object) -> SearchSettings:
    return SearchSettings.of(Hyperparameters.parse({"tune_trials": 20, **chosen}))


def session() -> Any:
    sdk("tuner")  # the first import of the SDK has warnings
    from sagemaker.session import Session

    boto_session = boto3.Session(aws_access_key_id="none", aws_secret_access_key="none", region_name=REGION)
    return Session(boto_session=boto_session, sagemaker_client=client(), default_bucket="bucket")


def breaches(value: Any, shape: Any, where: str = "") -> list[str]:
    """Where a request is not what the service model allows: lengths, limits, patterns, enumerations.

    botocore itself checks names, types and least lengths, no more.
    """
    limits = shape.metadata
    size = value if shape.type_name in ("integer", "float") else len(value) if hasattr(value, "__len__") else 0
    found = [] if limits.get("min", size) <= size <= limits.get("max", size) else [f"{where}: {size}"]
    if shape.type_name == "structure":
        return found + [each for key in value for each in breaches(value[key], shape.members[key], f"{where}.{key}")]
    if shape.type_name == "list":
        return found + [each for item in value for each in breaches(item, shape.member, f"{where}[]")]
    if shape.type_name == "map":
        found += [each for key in value for each in breaches(key, shape.key, f"{where} key")]
        return found + [each for item in value.values() for each in breaches(item, shape.value, f"{where} value")]
    if shape.type_name == "string":
        if "enum" in limits and value not in limits["enum"]:
            found.append(f"{where}: {value}")
        if "pattern" in limits and not re.fullmatch(_pattern(limits["pattern"]), value):
            found.append(f"{where}: {value}")
    return found


def _pattern(text: str) -> str:
    """The model's patterns are Java's, with classes that Python lacks; some repeat the text's end."""
    for java, here in JAVA_CLASSES.items():
        text = text.replace(java, here)
    return re.sub(r"\$\{\d+,\d+\}$", "", text)


def allowed(request: dict[str, Any]) -> dict[str, Any]:
    """The request, which the service model allows."""
    assert breaches(request, service_model().shape_for("CreateHyperParameterTuningJobRequest")) == []
    return request
