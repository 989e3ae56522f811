"""The model registry: what a version is made of, how it is approved, and its deployment."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from backends.errors import BackendError
from backends.sagemaker.account import Account
from backends.sagemaker.endpoints import registry
from backends.sagemaker.storage.artifact import artifact_location, read_artifact
from tests.backends.sagemaker_requests import breaches, service_model
from tests.cloud.conftest import BUCKET, IMAGE, ROLE
from tests.cloud.simulator.server import Simulator
from tests.cloud.simulator.work import Prepared

LABELS = ("Beagle", "Pug")
MANIFEST = {
    "architecture": "resnet18",
    "classes": [{"name": f"00{number}.{label}", "label": label} for number, label in enumerate(LABELS)],
    "weights": {"sha256": "0123456789abcdef" * 4},
    "metrics": {"validation_accuracy": 0.9, "test_accuracy": 0.875},
    "provenance": {
        "kennel": "1.0.0", "hyperparameters": {"lr": 0.01, "head": "mlp"}, "images": {"train": 20, "test": 8},
        "best_epoch": 3, "completed": True,
    },
}  # fmt: skip
EVALUATION = {
    "split": "test", "n": 8, "accuracy": 0.875, "macro_f1": 0.8, "loss": 0.4, "top5_accuracy": 1,
    "per_class": [{"label": "Beagle", "recall": 1.0}, {"label": "Pug", "recall": None}],
}  # fmt: skip


def made_artifact(ml: Path, weights: bytes = b"weights") -> Path:
    """In a run's folder, with the reports that a training leaves."""
    (ml / "model").mkdir(parents=True)
    (ml / "output" / "data").mkdir(parents=True)
    (ml / "model" / "kennel.json").write_text(json.dumps(MANIFEST))
    (ml / "model" / "model.safetensors").write_bytes(weights)
    (ml / "output" / "data" / "evaluation.json").write_text(json.dumps(EVALUATION))
    return ml / "model"


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return made_artifact(tmp_path / "runs" / "first" / "ml")


def test_the_whole_request(cloud: Simulator, account: Account, artifact: Path, tmp_path: Path) -> None:
    assert registry.register(account, artifact, "first", tmp_path) == (1, True)
    (sent,) = cloud.requests("CreateModelPackage")
    assert breaches({k: v for k, v in sent.items() if k != "ModelPackageDescription"},
                    service_model().shape_for("CreateModelPackageInput")) == []  # fmt: skip
    url = artifact_location(account, read_artifact(artifact)).url
    evaluation = f"{url.rsplit('/', 1)[0]}/evaluation.json"
    card = json.loads(sent["ModelCard"].pop("ModelCardContent"))
    assert sent.pop("ClientToken")
    assert sent == {
        "ModelPackageGroupName": "kennel",
        "ModelPackageDescription": "resnet18 for 2 classes, run first",
        "InferenceSpecification": {
            "Containers": [
                {"Image": IMAGE, "ModelDataUrl": url, "Environment": {"SAGEMAKER_CONTAINER_LOG_LEVEL": "info"}}
            ],
            "SupportedContentTypes": [
                "image/jpeg", "image/png", "image/webp", "application/x-image", "application/octet-stream",
                "application/json", "application/x-npy", "multipart/form-data",
            ],
            "SupportedResponseMIMETypes": [
                "application/json", "text/csv", "application/jsonlines", "application/x-npy",
            ],
            "SupportedRealtimeInferenceInstanceTypes": ["ml.m5.large"],
            "SupportedTransformInstanceTypes": ["ml.m5.xlarge"],
        },
        "ModelApprovalStatus": "PendingManualApproval",
        "Domain": "COMPUTER_VISION",
        "Task": "IMAGE_CLASSIFICATION",
        "ModelMetrics": {
            "ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": evaluation}}
        },
        "CustomerMetadataProperties": {
            "run": "first", "artifact": "0123456789ab", "architecture": "resnet18", "classes": "2",
            "validation_accuracy": "0.9", "test_accuracy": "0.875",
        },
        "ModelCard": {"ModelCardStatus": "Draft"},
    }  # fmt: skip
    assert card == {
        "model_overview": {"model_creator": "Kennel 1.0.0", "model_artifact": [url]},
        "intended_uses": {
            "purpose_of_model": "Tells which of 2 classes a photo shows: Beagle, Pug.", "risk_rating": "Unknown",
        },
        "training_details": {
            "training_observations": "images: 20 train, 8 test; the best epoch, 3, was kept",
            "training_job_details": {
                "training_environment": {"container_image": [IMAGE]},
                "user_provided_training_metrics": [
                    {"name": "validation_accuracy", "value": 0.9}, {"name": "test_accuracy", "value": 0.875},
                ],
                "user_provided_hyper_parameters": [{"name": "lr", "value": "0.01"}, {"name": "head", "value": "mlp"}],
            },
        },
        "additional_information": {
            "custom_details": {
                "architecture": "resnet18", "weights_sha256": "0123456789abcdef" * 4, "number_of_classes": "2",
                "classes": "Beagle, Pug",
            },
        },
        "evaluation_details": [
            {
                "name": "evaluation on test data",
                "evaluation_observation": "8 test images",
                "metric_groups": [
                    {
                        "name": "all images",
                        "metric_data": [
                            {"name": "accuracy", "type": "number", "value": 0.875},
                            {"name": "top5_accuracy", "type": "number", "value": 1},
                            {"name": "macro_f1", "type": "number", "value": 0.8},
                            {"name": "loss", "type": "number", "value": 0.4},
                        ],
                    },
                    {"name": "recall by class", "metric_data": [{"name": "Beagle", "type": "number", "value": 1.0}]},
                ],
            }
        ],
    }  # fmt: skip
    assert json.loads(cloud.objects.read(evaluation)) == EVALUATION
    (group,) = cloud.requests("CreateModelPackageGroup")
    assert group["ModelPackageGroupName"] == "kennel"
    assert group["Tags"] == [{"Key": "kennel:kind", "Value": "registry"}]


def test_the_sdk_reads_the_card(cloud: Simulator, account: Account, artifact: Path, tmp_path: Path) -> None:
    """Its classes hold the schema's limits of lists and its enumerations."""
    from backends.sagemaker.sdk import sdk

    registry.register(account, artifact, "first", tmp_path)
    card = json.loads(cloud.requests("CreateModelPackage")[0]["ModelCard"]["ModelCardContent"])
    classes = sdk("model_card.model_card")
    details = classes.TrainingDetails._from_dict(card["training_details"])
    assert details.training_job_details.user_provided_hyper_parameters[0].name == "lr"
    jobs = [classes.EvaluationJob._from_dict(each) for each in card["evaluation_details"]]
    assert jobs[0].metric_groups[1].metric_data[0].value == 1.0
    assert classes.IntendedUses._from_dict(card["intended_uses"]).risk_rating == "Unknown"


def test_an_artifact_is_registered_once(cloud: Simulator, account: Account, artifact: Path, tmp_path: Path) -> None:
    assert registry.register(account, artifact, "first", tmp_path) == (1, True)
    assert registry.register(account, artifact, "first", tmp_path) == (1, False)
    other = made_artifact(tmp_path / "runs" / "second" / "ml", b"other weights")
    assert registry.register(account, other, "second", tmp_path) == (2, True)
    assert [(each.number, each.metadata["run"]) for each in registry.list_versions(account)] == [
        (2, "second"),
        (1, "first"),
    ]
    assert len(cloud.requests("CreateModelPackageGroup")) == 1


def test_without_figures(cloud: Simulator, account: Account, tmp_path: Path) -> None:
    folder = tmp_path / "bare"
    folder.mkdir()
    (folder / "kennel.json").write_text(json.dumps({**MANIFEST, "metrics": {}, "provenance": {}}))
    registry.register(account, folder, "", tmp_path)
    (sent,) = cloud.requests("CreateModelPackage")
    assert "ModelMetrics" not in sent
    assert sent["CustomerMetadataProperties"] == {
        "artifact": "0123456789ab", "architecture": "resnet18", "classes": "2",
    }  # fmt: skip
    assert "evaluation_details" not in json.loads(sent["ModelCard"]["ModelCardContent"])


def test_a_card_keeps_to_the_schemas_limits(cloud: Simulator, account: Account, tmp_path: Path) -> None:
    names = [f"a class with a name of more than forty letters, {number}" for number in range(400)]
    manifest = {
        **MANIFEST, "classes": [{"name": name, "label": name} for name in names],
        "provenance": {"hyperparameters": {f"h{number}": "x" * 300 for number in range(120)}},
    }  # fmt: skip
    ml = tmp_path / "runs" / "large" / "ml"
    artifact = made_artifact(ml)
    (artifact / "kennel.json").write_text(json.dumps(manifest))
    rows = [{"label": "y" * 300, "recall": 0.5} for _ in names]
    (ml / "output" / "data" / "evaluation.json").write_text(json.dumps({**EVALUATION, "per_class": rows}))
    registry.register(account, artifact, "large", tmp_path)
    content = cloud.requests("CreateModelPackage")[0]["ModelCard"]["ModelCardContent"]
    assert len(content) <= 100_000
    card = json.loads(content)
    details = card["training_details"]["training_job_details"]
    assert len(details["user_provided_hyper_parameters"]) == 100
    assert {len(each["value"]) for each in details["user_provided_hyper_parameters"]} == {255}
    assert len(card["intended_uses"]["purpose_of_model"]) <= 2048


def test_approve_and_find(cloud: Simulator, account: Account, artifact: Path, tmp_path: Path) -> None:
    registry.register(account, artifact, "first", tmp_path)
    with pytest.raises(BackendError, match=r"^no version of the group kennel is approved; .*registry approve VERSION"):
        registry.find_version(account, None)
    with pytest.raises(BackendError, match=r"^the group kennel has no version 7 \(there are: 1\)$"):
        registry.find_version(account, 7)
    with pytest.raises(BackendError, match=r"^version 1 isn't approved \(it is PendingManualApproval\); .*approve 1$"):
        registry.approved_arn(registry.find_version(account, 1))
    registry.set_approval(account, registry.find_version(account, 1), registry.APPROVED, "good on Sundays")
    version = registry.find_version(account, None)
    (sent,) = cloud.requests("UpdateModelPackage")
    assert sent == {
        "ModelPackageArn": version.arn, "ModelApprovalStatus": "Approved", "ApprovalDescription": "good on Sundays",
    }  # fmt: skip
    assert (version.number, version.accuracy) == (1, "0.875")
    assert registry.approved_arn(version) == version.arn


def test_a_group_that_is_not_there(account: Account) -> None:
    assert registry.list_versions(account) == []


def test_no_artifact(account: Account, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"has no kennel\.json; give the folder ml/model of a run, or its name$"):
        registry.register(account, tmp_path, "", tmp_path)


def command(tmp_path: Path, *words: str) -> tuple[int, list[str]]:
    import deploy

    surroundings = (
        "--runs", str(tmp_path / "runs"), "-o", f"sagemaker.role={ROLE}", "-o", f"sagemaker.bucket={BUCKET}",
        "-o", f"sagemaker.image={IMAGE}", "-o", "sagemaker.region=eu-west-1",
    )  # fmt: skip
    result = CliRunner().invoke(deploy.app, ["registry", *words, *surroundings])
    return result.exit_code, result.output.splitlines()


def test_the_commands(
    cloud: Simulator, prepared: Prepared, artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (artifact.parents[1] / "run.json").write_text(
        json.dumps({"kind": "training", "status": "completed", "created_at": "2026-11-29T00:00:00+00:00",
                    "backend": "local"})
    )  # fmt: skip
    assert command(tmp_path, "list") == (0, ["no versions in the group kennel; registry add makes the first"])
    assert command(tmp_path, "add", "--artifact", "first") == (
        0, ["version 1 of kennel", "approve it: python deploy.py registry approve 1"],
    )  # fmt: skip
    code, lines = command(tmp_path, "deploy", "1", "--yes")
    assert (code, lines) == (
        2, ["error: version 1 isn't approved (it is PendingManualApproval); python deploy.py registry approve 1"],
    )  # fmt: skip
    assert command(tmp_path, "approve", "1")[1][0] == "version 1 of kennel: Approved"
    code, lines = command(tmp_path, "deploy", "--name", "served", "--yes")
    assert code == 0, lines
    assert "served serves version 1; end it with: python deploy.py delete served" in lines
    (model,) = cloud.requests("CreateModel")
    arn = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/kennel/1"
    assert model["PrimaryContainer"]["ModelPackageName"] == arn
    code, lines = command(tmp_path, "reject", "1", "--why", "too old")
    assert lines == ["version 1 of kennel: Rejected"]
    code, lines = command(tmp_path, "list")
    assert "Rejected" in lines[1]
    assert "first" in lines[1]
    record: dict[str, Any] = json.loads((tmp_path / "runs" / "served" / "run.json").read_text())
    assert (record["kind"], record["artifact"]) == ("deployment", arn)
