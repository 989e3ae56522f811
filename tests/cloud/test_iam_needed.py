"""docs/iam/person.json allows nothing that no code of Kennel asks for."""

import ast
import inspect
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name

from backends.sagemaker.sdk import sdk
from tests.cloud.iam.needs import _S3, needs
from tests.cloud.iam.policy import Need, actions, read

ROOT = Path(__file__).parents[2]
ROLE = "arn:aws:iam::123456789012:role/kennel-execution"
# What the SDK calls for us: the operation, the class and the method of it that the code uses.
BY_THE_SDK = {
    "CreateTrainingJob": ("estimator.Estimator", "fit"),
    "CreateHyperParameterTuningJob": ("tuner.HyperparameterTuner", "fit"),
    "CreateProcessingJob": ("processing.Processor", "run"),
    "CreateTransformJob": ("transformer.Transformer", "transform"),
}
# What AWS does on the caller's behalf: a call, which the code makes, that wants it.
TAGGED = {"Tags": [{"Key": "kennel:run", "Value": "kennel-a"}]}
TARGET = {"ServiceNamespace": "sagemaker", "ResourceId": "endpoint/kennel-a/variant/AllTraffic"}
BY_AWS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "sagemaker:AddTags": ("sagemaker", "CreateModel", {"ModelName": "kennel-a", **TAGGED}),
    "iam:PassRole": ("sagemaker", "CreateModel", {"ModelName": "kennel-a", "ExecutionRoleArn": ROLE}),
    "sagemaker:UpdateEndpointWeightsAndCapacities": ("application-autoscaling", "RegisterScalableTarget", TARGET),
    "iam:CreateServiceLinkedRole": ("application-autoscaling", "RegisterScalableTarget", TARGET),
    "application-autoscaling:TagResource": (
        "application-autoscaling", "RegisterScalableTarget", {**TARGET, "Tags": {"kennel:run": "kennel-a"}},
    ),
    "cloudwatch:TagResource": ("cloudwatch", "PutMetricAlarm", {"AlarmName": "kennel-a", **TAGGED}),
    "kms:CreateGrant": ("sagemaker", "CreateEndpointConfig", {"EndpointConfigName": "kennel-a", "KmsKeyId": "k"}),
    "kms:DescribeKey": ("sagemaker", "CreateEndpointConfig", {"EndpointConfigName": "kennel-a", "KmsKeyId": "k"}),
    "kms:GenerateDataKey": ("s3", "PutObject", {"Bucket": "b", "Key": "kennel/k", "SSEKMSKeyId": "k"}),
    "kms:Decrypt": ("s3", "PutObject", {"Bucket": "b", "Key": "kennel/k", "SSEKMSKeyId": "k"}),
    # Of an object that has versions.
    "s3:DeleteObjectVersion": (
        "s3", "DeleteObjects", {"Bucket": "b", "Delete": {"Objects": [{"Key": "kennel/k", "VersionId": "1"}]}},
    ),
    # An upload in parts that is given up.
    "s3:AbortMultipartUpload": ("s3", "AbortMultipartUpload", {"Bucket": "b", "Key": "kennel/k"}),
}  # fmt: skip


@cache
def words() -> tuple[frozenset[str], tuple[str, ...]]:
    """Names and short texts in the source of the backends, and the patterns of its f-strings."""
    named, patterns = set(), set()
    for file in [*(ROOT / "backends").rglob("*.py"), *(ROOT / "cli").rglob("*.py"), ROOT / "deploy.py"]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute):
                named.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                named.add(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = [
                    re.escape(str(each.value)) if isinstance(each, ast.Constant) else "(.+)" for each in node.values
                ]
                if re.match(r"(describe|list|stop|delete)_", "".join(parts)):
                    patterns.add("".join(parts))
    return frozenset(named), tuple(patterns)


def called(operation: str) -> bool:
    """Whether the source names a client's method for the operation, or puts its name together."""
    named, patterns = words()
    method = xform_name(operation)
    if method in named:
        return True
    found = [match for pattern in patterns if (match := re.fullmatch(pattern, method))]
    return any(match[1] in named and "_" in match[1] for match in found)


def operations(action: str) -> list[str]:
    """Those that want the action."""
    service, _, operation = action.partition(":")
    others = [name for name, wanted in _S3.items() if wanted == operation] if service == "s3" else []
    return [operation, *others]


WANTED = sorted({action for name in ("person.json", "person-kms.json") for action in actions(read(name))})


@pytest.mark.parametrize("action", WANTED)
def test_an_action_has_a_place_in_the_code(action: str) -> None:
    if action in BY_AWS:
        service, operation, parameters = BY_AWS[action]
        assert called(operation) or operation == "AbortMultipartUpload"
        assert action in {need.action for need in needs(service, operation, parameters)}
    elif (operation := action.partition(":")[2]) in BY_THE_SDK:
        where, method = BY_THE_SDK[operation]
        named, _ = words()
        module, _, name = where.rpartition(".")
        assert {name, method} <= named
        assert hasattr(getattr(sdk(module), name), method)
        session = sdk("session").Session
        assert f".{xform_name(operation)}(" in inspect.getsource(session)
    else:
        assert [each for each in operations(action) if called(each)], f"nothing asks for {action}"


def test_an_action_that_nothing_needs_would_be_told() -> None:
    assert len(WANTED) >= 60
    assert not called("CreateNotebookInstance")
    assert not called("DescribeNotebookInstance")
    assert called("DescribeEndpoint")
    assert called("StopProcessingJob")


def test_the_tables_here_hold_nothing_stale() -> None:
    assert set(BY_AWS) <= set(WANTED)
    assert {f"sagemaker:{operation}" for operation in BY_THE_SDK} <= set(WANTED)
    assert isinstance(needs("sts", "GetCallerIdentity", {})[0], Need)
