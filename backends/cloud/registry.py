"""The model registry: artifacts as versions of a group, with figures and model card; approved or not."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from backends.cloud import artifact as packed
from backends.cloud.account import Account
from backends.cloud.errors import Refused, told
from backends.cloud.model import serving_environment
from backends.cloud.model_card import card, metrics_of
from backends.cloud.names import Place
from backends.cloud.upload.send import encryption
from backends.errors import BackendError

PENDING: Final = "PendingManualApproval"
APPROVED: Final = "Approved"
REJECTED: Final = "Rejected"
_EVALUATION: Final = "evaluation.json"
# What serve takes and gives, docs/serving.md.
_CONTENT_TYPES: Final = ("image/jpeg", "image/png", "image/webp", "application/x-image", "application/octet-stream",
                         "application/json", "application/x-npy", "multipart/form-data")  # fmt: skip
_RESPONSE_TYPES: Final = ("application/json", "text/csv", "application/jsonlines", "application/x-npy")
_SHOWN: Final = ("test_accuracy", "validation_accuracy")
_MOST_METADATA: Final = 50
_LONGEST_WORDS: Final = 1024
_TAG: Final = "kennel:kind"


@dataclass(frozen=True)
class Version:
    """A model package of the group. metadata: as `add` noted it. accuracy: of the test data, else of the validation
    data, in words; empty when neither is known.
    """

    number: int
    arn: str
    approval: str
    created: str
    url: str
    image: str
    metadata: Mapping[str, str]

    @property
    def accuracy(self) -> str:
        return next((self.metadata[name] for name in _SHOWN if name in self.metadata), "")


def add(account: Account, artifact: Path, run: str, scratch: Path) -> tuple[int, bool]:
    """Register an artifact's folder as a version of the group; returns its number, and whether it is a new one.

    An artifact that a version with the same image has already is not registered again. run: the name of the run that
    it is of, empty if unknown. scratch: a folder for the archive. Raises BackendError.
    """
    manifest = _read_json(artifact / packed.MANIFEST)
    if manifest is None:
        raise BackendError(f"{artifact} has no {packed.MANIFEST}; give the folder ml/model of a run, or its name")
    _make_group(account)
    place = packed.upload(account, artifact, scratch)
    for version in versions(account):
        if (version.url, version.image) == (place.url, account.image):
            return version.number, False
    evaluation = _read_json(artifact.parent / "output" / "data" / _EVALUATION) or {}
    request = _request(account, manifest, evaluation, place, run)
    if evaluation:
        request["ModelMetrics"] = {"ModelQuality": {"Statistics": _send(account, place, evaluation)}}
    with told("registering the artifact"):
        answer = account.client("sagemaker").create_model_package(**request)
    return int(str(answer["ModelPackageArn"]).rsplit("/", 1)[-1]), True


def _request(
    account: Account, manifest: Mapping[str, Any], evaluation: Mapping[str, Any], place: Place, run: str
) -> dict[str, Any]:
    container = {"Image": account.image, "ModelDataUrl": place.url, "Environment": serving_environment(account)}
    settings = account.settings
    return {
        "ModelPackageGroupName": settings.registry.group,
        "ModelPackageDescription": _description(manifest, run),
        "InferenceSpecification": {
            "Containers": [container],
            "SupportedContentTypes": list(_CONTENT_TYPES),
            "SupportedResponseMIMETypes": list(_RESPONSE_TYPES),
            "SupportedRealtimeInferenceInstanceTypes": [settings.deploy.instance_type],
            "SupportedTransformInstanceTypes": [settings.transform.instance_type],
        },
        "ModelApprovalStatus": PENDING,
        "Domain": "COMPUTER_VISION",
        "Task": "IMAGE_CLASSIFICATION",
        "CustomerMetadataProperties": _metadata(manifest, run),
        "ModelCard": {
            "ModelCardContent": card(manifest, evaluation, place.url, account.image),
            "ModelCardStatus": "Draft",
        },
    }


def _description(manifest: Mapping[str, Any], run: str) -> str:
    told_run = f", run {run}" if run else ""
    return f"{manifest['architecture']} for {len(manifest['classes'])} classes{told_run}"[:_LONGEST_WORDS]


def _metadata(manifest: Mapping[str, Any], run: str) -> dict[str, str]:
    facts = {
        "run": run,
        "artifact": str(manifest["weights"]["sha256"])[:12],
        "architecture": str(manifest["architecture"]),
        "classes": str(len(manifest["classes"])),
        **{name: f"{value:.6g}" for name, value in metrics_of(manifest).items()},
    }
    return {name: value for name, value in list(facts.items())[:_MOST_METADATA] if value}


def _send(account: Account, place: Place, evaluation: Mapping[str, Any]) -> dict[str, str]:
    """The evaluation beside the artifact, for whoever compares versions in Studio."""
    target = Place(place.bucket, f"{place.key.rsplit('/', 1)[0]}/{_EVALUATION}")
    with told(f"sending the evaluation to {target.url}"):
        account.client("s3").put_object(
            Bucket=target.bucket, Key=target.key, Body=json.dumps(evaluation).encode(), ContentType="application/json",
            **encryption(account),
        )  # fmt: skip
    return {"ContentType": "application/json", "S3Uri": target.url}


def _make_group(account: Account) -> None:
    """The group, unless it is there. Its versions have no tags of their own."""
    chosen = account.settings
    group = chosen.registry.group
    tags = [{"Key": key, "Value": value} for key, value in {**dict(chosen.sagemaker.tags), _TAG: "registry"}.items()]
    client = account.client("sagemaker")
    try:
        with told(f"looking for the group {group}"):
            client.describe_model_package_group(ModelPackageGroupName=group)
    except Refused as error:
        if not error.missing:
            raise
        with told(f"making the group {group}"):
            client.create_model_package_group(
                ModelPackageGroupName=group, ModelPackageGroupDescription="Image classifiers made by Kennel", Tags=tags
            )


def versions(account: Account) -> list[Version]:
    """All versions in the group, the newest first; none when there is no group. Raises BackendError."""
    try:
        return sorted(_versions(account), key=lambda each: -each.number)
    except Refused as error:
        if error.missing:
            return []
        raise


def _versions(account: Account) -> Iterator[Version]:
    client = account.client("sagemaker")
    with told(f"listing the group {account.settings.registry.group}"):
        pages = client.get_paginator("list_model_packages").paginate(
            ModelPackageGroupName=account.settings.registry.group
        )
        arns = [each["ModelPackageArn"] for page in pages for each in page["ModelPackageSummaryList"]]
        for arn in arns:
            found = client.describe_model_package(ModelPackageName=arn)
            container = found["InferenceSpecification"]["Containers"][0]
            yield Version(
                number=int(found["ModelPackageVersion"]),
                arn=arn,
                approval=str(found.get("ModelApprovalStatus", PENDING)),
                created=f"{found['CreationTime'].astimezone():%Y-%m-%d %H:%M}",
                url=str(container.get("ModelDataUrl", "")),
                image=str(container.get("Image", "")),
                metadata=found.get("CustomerMetadataProperties", {}),
            )


def find(account: Account, number: int | None) -> Version:
    """The version of that number; without one the newest that is approved. Raises BackendError when there is none."""
    found = versions(account)
    group = account.settings.registry.group
    if number is None:
        approved = next((each for each in found if each.approval == APPROVED), None)
        if approved is None:
            raise BackendError(
                f"no version of the group {group} is approved; python deploy.py registry list shows them, and registry "
                "approve VERSION approves one"
            )
        return approved
    version = next((each for each in found if each.number == number), None)
    if version is None:
        known = ", ".join(str(each.number) for each in found) or "none"
        raise BackendError(f"the group {group} has no version {number} (there are: {known})")
    return version


def judge(account: Account, version: Version, status: str, why: str) -> None:
    """Approve or reject a version. why: in words, for others; may be empty. Raises BackendError."""
    reason = {"ApprovalDescription": why[:_LONGEST_WORDS]} if why else {}
    with told(f"changing version {version.number}"):
        account.client("sagemaker").update_model_package(
            ModelPackageArn=version.arn, ModelApprovalStatus=status, **reason
        )


def deployable(version: Version) -> str:
    """The ARN to deploy a version by. Raises BackendError for one that isn't approved."""
    if version.approval != APPROVED:
        raise BackendError(
            f"version {version.number} isn't approved (it is {version.approval}); python deploy.py registry approve "
            f"{version.number}"
        )
    return version.arn


def _read_json(file: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
