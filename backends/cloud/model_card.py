"""The model card of a version in the registry: what the artifact's manifest says, in the form that SageMaker shows.

The form is the schema of a model package's card, which SageMaker checks: a simpler one than that of a card by itself.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from backends.errors import BackendError

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
                "model_artifact": [_cut(url, _LONGEST_URL)],
            },
            "intended_uses": {"purpose_of_model": _cut(_purpose(manifest), _LONGEST_TEXT), "risk_rating": "Unknown"},
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
    given = provenance.get("hyperparameters", {})
    images = ", ".join(f"{count} {role}" for role, count in provenance.get("images", {}).items())
    told = [f"images: {images}"] if images else []
    if best := provenance.get("best_epoch"):
        told.append(f"the best epoch, {best}, was kept")
    if provenance.get("completed") is False:
        told.append("the training was ended early")
    details: dict[str, Any] = {
        "training_environment": {"container_image": [image]},
        "user_provided_training_metrics": [
            {"name": name, "value": value} for name, value in list(metrics_of(manifest).items())[:_MOST_METRICS]
        ],
        "user_provided_hyper_parameters": [
            {"name": name, "value": _cut(str(value), _LONGEST_VALUE)}
            for name, value in list(given.items())[:_MOST_HYPERPARAMETERS]
        ],
    }
    return {"training_observations": _cut("; ".join(told), _LONGEST_OBSERVATION), "training_job_details": details}


def _details(manifest: Manifest) -> dict[str, str]:
    return {
        "architecture": str(manifest["architecture"]),
        "weights_sha256": str(manifest["weights"]["sha256"]),
        "number_of_classes": str(len(manifest["classes"])),
        "classes": _cut(", ".join(str(each["label"]) for each in manifest["classes"]), _LONGEST_VALUE),
    }


def _evaluation(evaluation: Mapping[str, Any], groups: list[dict[str, Any]]) -> dict[str, Any]:
    split = str(evaluation.get("split", "test"))
    seen = f"{evaluation['n']} {split} images" if "n" in evaluation else f"{split} images"
    return {
        "name": _cut(f"evaluation on {split} data", _LONGEST_NAME),
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
        _metric(_cut(str(row["label"]), _LONGEST_VALUE), row["recall"])
        for row in evaluation.get("per_class", ())
        if isinstance(row.get("recall"), int | float)
    ]
    if recalls:
        yield {"name": "recall by class", "metric_data": recalls}


def _metric(name: str, value: float) -> dict[str, Any]:
    return {"name": name, "type": "number", "value": value}


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."
