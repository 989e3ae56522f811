"""The model registry: artifacts as versions of a group, with figures and model card; approved or not.

The model card of a version in the registry: what the artifact's manifest says, in the form that SageMaker shows.

The form is the schema of a model package's card, which SageMaker checks: a simpler one than that of a card by itself.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from backends.errors import BackendError
from backends.sagemaker.account import Account
from backends.sagemaker.endpoints.config import serving_environment
from backends.sagemaker.errors import AwsError, translate_aws_errors
from backends.sagemaker.names import S3Location
from backends.sagemaker.storage import artifact as artifact_store
from contract.files import read_object

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
class ModelVersion:
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


def register(account: Account, artifact: Path, run: str, scratch: Path) -> tuple[int, bool]:
    """Register an artifact's folder as a version of the group; returns its number, and whether it is a new one.

    An artifact that a version with the same image has already is not registered again. run: the name of the run that
    it is of, empty if unknown. scratch: a folder for the archive. Raises BackendError.
    """
    manifest = read_object(artifact / artifact_store.MANIFEST)
    if not manifest:
        raise BackendError(
            f"{artifact} has no {artifact_store.MANIFEST}; give the folder ml/model of a run, or its name"
        )
    _make_group(account)
    location = artifact_store.upload_artifact(account, artifact, scratch)
    for version in list_versions(account):
        if (version.url, version.image) == (location.url, account.image):
            return version.number, False
    evaluation = read_object(artifact.parent / "output" / "data" / _EVALUATION)
    request = _request(account, manifest, evaluation, location, run)
    if evaluation:
        request["ModelMetrics"] = {"ModelQuality": {"Statistics": _send(account, location, evaluation)}}
    with translate_aws_errors("registering the artifact"):
        answer = account.client("sagemaker").create_model_package(**request)
    return int(str(answer["ModelPackageArn"]).rsplit("/", 1)[-1]), True


def _request(
    account: Account, manifest: Mapping[str, Any], evaluation: Mapping[str, Any], location: S3Location, run: str
) -> dict[str, Any]:
    container = {"Image": account.image, "ModelDataUrl": location.url, "Environment": serving_environment(account)}
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
            "ModelCardContent": card(manifest, evaluation, location.url, account.image),
            "ModelCardStatus": "Draft",
        },
    }


def _description(manifest: Mapping[str, Any], run: str) -> str:
    of_run = f", run {run}" if run else ""
    return f"{manifest['architecture']} for {len(manifest['classes'])} classes{of_run}"[:_LONGEST_WORDS]


def _metadata(manifest: Mapping[str, Any], run: str) -> dict[str, str]:
    facts = {
        "run": run,
        "artifact": str(manifest["weights"]["sha256"])[:12],
        "architecture": str(manifest["architecture"]),
        "classes": str(len(manifest["classes"])),
        **{name: f"{value:.6g}" for name, value in metrics_of(manifest).items()},
    }
    return {name: value for name, value in list(facts.items())[:_MOST_METADATA] if value}


def _send(account: Account, location: S3Location, evaluation: Mapping[str, Any]) -> dict[str, str]:
    """The evaluation beside the artifact, for whoever compares versions in Studio."""
    target = S3Location(location.bucket, f"{location.key.rsplit('/', 1)[0]}/{_EVALUATION}")
    with translate_aws_errors(f"sending the evaluation to {target.url}"):
        account.client("s3").put_object(
            Bucket=target.bucket, Key=target.key, Body=json.dumps(evaluation).encode(), ContentType="application/json",
            **account.encryption,
        )  # fmt: skip
    return {"ContentType": "application/json", "S3Uri": target.url}


def _make_group(account: Account) -> None:
    """The group, unless it is there. Its versions have no tags of their own."""
    settings = account.settings
    group = settings.registry.group
    tags = [{"Key": key, "Value": value} for key, value in {**dict(settings.sagemaker.tags), _TAG: "registry"}.items()]
    client = account.client("sagemaker")
    try:
        with translate_aws_errors(f"looking for the group {group}"):
            client.describe_model_package_group(ModelPackageGroupName=group)
    except AwsError as error:
        if not error.missing:
            raise
        with translate_aws_errors(f"making the group {group}"):
            client.create_model_package_group(
                ModelPackageGroupName=group, ModelPackageGroupDescription="Image classifiers made by Kennel", Tags=tags
            )


def list_versions(account: Account) -> list[ModelVersion]:
    """All versions in the group, the newest first; none when there is no group. Raises BackendError."""
    try:
        return sorted(_versions(account), key=lambda each: -each.number)
    except AwsError as error:
        if error.missing:
            return []
        raise


def _versions(account: Account) -> Iterator[ModelVersion]:
    client = account.client("sagemaker")
    with translate_aws_errors(f"listing the group {account.settings.registry.group}"):
        pages = client.get_paginator("list_model_packages").paginate(
            ModelPackageGroupName=account.settings.registry.group
        )
        arns = [each["ModelPackageArn"] for page in pages for each in page["ModelPackageSummaryList"]]
        for arn in arns:
            versions = client.describe_model_package(ModelPackageName=arn)
            container = versions["InferenceSpecification"]["Containers"][0]
            yield ModelVersion(
                number=int(versions["ModelPackageVersion"]),
                arn=arn,
                approval=str(versions.get("ModelApprovalStatus", PENDING)),
                created=f"{versions['CreationTime'].astimezone():%Y-%m-%d %H:%M}",
                url=str(container.get("ModelDataUrl", "")),
                image=str(container.get("Image", "")),
                metadata=versions.get("CustomerMetadataProperties", {}),
            )


def find_version(account: Account, number: int | None) -> ModelVersion:
    """The version of that number; without one the newest that is approved. Raises BackendError when there is none."""
    versions = list_versions(account)
    group = account.settings.registry.group
    if number is None:
        approved = next((each for each in versions if each.approval == APPROVED), None)
        if approved is None:
            raise BackendError(
                f"no version of the group {group} is approved; python deploy.py registry list shows them, and registry "
                "approve VERSION approves one"
            )
        return approved
    version = next((each for each in versions if each.number == number), None)
    if version is None:
        known = ", ".join(str(each.number) for each in versions) or "none"
        raise BackendError(f"the group {group} has no version {number} (there are: {known})")
    return version


def set_approval(account: Account, version: ModelVersion, status: str, why: str) -> None:
    """Approve or reject a version. why: in words, for others; may be empty. Raises BackendError."""
    reason = {"ApprovalDescription": why[:_LONGEST_WORDS]} if why else {}
    with translate_aws_errors(f"changing version {version.number}"):
        account.client("sagemaker").update_model_package(
            ModelPackageArn=version.arn, ModelApprovalStatus=status, **reason
        )


def approved_arn(version: ModelVersion) -> str:
    """The ARN to deploy a version by. Raises BackendError for one that isn't approved."""
    if version.approval != APPROVED:
        raise BackendError(
            f"version {version.number} isn't approved (it is {version.approval}); python deploy.py registry approve "
            f"{version.number}"
        )
    return version.arn


# The schema's limits.
LONGEST_CONTENT: Final = 100_000
_MOST_METRICS: Final = 50
_MOST_HYPERPARAMETERS: Final = 100
_LONGEST_VALUE: Final = 255
_LONGEST_NAME: Final = 63
_LONGEST_URL: Final = 1024
_LONGEST_TEXT: Final = 2048
_LONGEST_OBSERVATION: Final = 1024

Manifest = Mapping[str, Any]


def card(manifest: Manifest, evaluation: Mapping[str, Any], url: str, image: str) -> str:
    """The card's content, JSON. manifest: kennel.json. evaluation: evaluation.json, empty without one. url, image:
    what the version is made of. Raises BackendError for a manifest that says too little.
    """
    try:
        content: dict[str, Any] = {
            "model_overview": {
                "model_creator": f"Kennel {_version(manifest)}".strip(),
                "model_artifact": [_truncated(url, _LONGEST_URL)],
            },
            "intended_uses": {
                "purpose_of_model": _truncated(_purpose(manifest), _LONGEST_TEXT), "risk_rating": "Unknown",
            },
            "training_details": _training(manifest, image),
            "additional_information": {"custom_details": _details(manifest)},
        }  # fmt: skip
        if groups := list(_groups(manifest, evaluation)):
            content["evaluation_details"] = [_evaluation(evaluation, groups)]
    except (KeyError, TypeError, AttributeError) as error:
        raise BackendError(f"the artifact's kennel.json lacks what a card tells ({error!r}); train it again") from error
    text = json.dumps(content)
    if len(text) > LONGEST_CONTENT:
        # Of a thousand classes, say; evaluation.json has them.
        content["evaluation_details"] = [_evaluation(evaluation, groups[:1])]
        text = json.dumps(content)
    return text


def metrics_of(manifest: Manifest) -> dict[str, float]:
    """The artifact's figures that are numbers, by name."""
    return {name: float(value) for name, value in manifest["metrics"].items() if isinstance(value, int | float)}


def _version(manifest: Manifest) -> str:
    return str(manifest.get("provenance", {}).get("kennel", ""))


def _purpose(manifest: Manifest) -> str:
    labels = [str(each["label"]) for each in manifest["classes"]]
    shown = ", ".join(labels[:20]) + (f" and {len(labels) - 20} more" if len(labels) > 20 else "")
    return f"Tells which of {len(labels)} classes a photo shows: {shown}."


def _training(manifest: Manifest, image: str) -> dict[str, Any]:
    provenance = manifest.get("provenance", {})
    hyperparameters = provenance.get("hyperparameters", {})
    images = ", ".join(f"{count} {role}" for role, count in provenance.get("images", {}).items())
    observations = [f"images: {images}"] if images else []
    if best := provenance.get("best_epoch"):
        observations.append(f"the best epoch, {best}, was kept")
    if provenance.get("completed") is False:
        observations.append("the training was ended early")
    details: dict[str, Any] = {
        "training_environment": {"container_image": [image]},
        "user_provided_training_metrics": [
            {"name": name, "value": value} for name, value in list(metrics_of(manifest).items())[:_MOST_METRICS]
        ],
        "user_provided_hyper_parameters": [
            {"name": name, "value": _truncated(str(value), _LONGEST_VALUE)}
            for name, value in list(hyperparameters.items())[:_MOST_HYPERPARAMETERS]
        ],
    }
    return {
        "training_observations": _truncated("; ".join(observations), _LONGEST_OBSERVATION),
        "training_job_details": details,
    }


def _details(manifest: Manifest) -> dict[str, str]:
    return {
        "architecture": str(manifest["architecture"]),
        "weights_sha256": str(manifest["weights"]["sha256"]),
        "number_of_classes": str(len(manifest["classes"])),
        "classes": _truncated(", ".join(str(each["label"]) for each in manifest["classes"]), _LONGEST_VALUE),
    }


def _evaluation(evaluation: Mapping[str, Any], groups: list[dict[str, Any]]) -> dict[str, Any]:
    split = str(evaluation.get("split", "test"))
    seen = f"{evaluation['n']} {split} images" if "n" in evaluation else f"{split} images"
    return {
        "name": _truncated(f"evaluation on {split} data", _LONGEST_NAME),
        "evaluation_observation": seen,
        "metric_groups": groups,
    }


def _groups(manifest: Manifest, evaluation: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """All figures of the evaluation; without one those that the training has measured."""
    names = ("accuracy", "top5_accuracy", "macro_precision", "macro_recall", "macro_f1", "loss", "brier_score")
    whole = {name: evaluation[name] for name in names if isinstance(evaluation.get(name), int | float)}
    whole = whole or {name: value for name, value in metrics_of(manifest).items() if name.startswith("test_")}
    if whole:
        yield {"name": "all images", "metric_data": [_metric(name, value) for name, value in whole.items()]}
    recalls = [
        _metric(_truncated(str(row["label"]), _LONGEST_VALUE), row["recall"])
        for row in evaluation.get("per_class", ())
        if isinstance(row.get("recall"), int | float)
    ]
    if recalls:
        yield {"name": "recall by class", "metric_data": recalls}


def _metric(name: str, value: float) -> dict[str, Any]:
    return {"name": name, "type": "number", "value": value}


def _truncated(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."
