"""A manifest and a history to make model cards of, and what takes a card apart again."""

import copy
import re
from typing import Any

import yaml

MANIFEST: dict[str, Any] = {
    "format_version": 1,
    "architecture": "resnet18",
    "head": "linear",
    "classes": [{"name": "001.Pug", "label": "Pug"}, {"name": "002.Beagle", "label": "Beagle"}],
    "preprocessing": {"image_size": 224, "resize_size": 256, "interpolation": "bilinear"},
    "weights": {"sha256": "0123456789abcdef" * 4},
    "provenance": {
        "kennel": "0.1.0",
        "completed": True,
        "best_epoch": 2,
        "hyperparameters": {"epochs": 3, "lr": 0.001, "seed": 7},
        "pretrained": "imagenet (resnet18-f37072fd.pth)",
        "images": {"train": 40, "valid": 20, "test": 10},
        "images_by_class": {
            "train": {"001.Pug": 10, "002.Beagle": 30},
            "valid": {"001.Pug": 8, "002.Beagle": 12},
            "test": {"001.Pug": 10, "002.Beagle": 0},
        },
        "skipped_files": 3,
        "data_notes": ["test data has no image of 1 classes: 002.Beagle", "skipped unreadable files: 3 in train"],
        "started_at": "2026-11-21T10:00:00+00:00",
        "seconds": 3725.2,
        "device": "cpu",
        "training_job_name": None,
    },
    "metrics": {"epoch": 2, "validation_accuracy": 0.75, "validation_loss": 0.5,
                "test_accuracy": 0.9, "test_loss": 0.25, "test_macro_f1": 0.8},
}  # fmt: skip
HISTORY: dict[str, Any] = {
    "epochs": [
        {"epoch": 1, "train_loss": 0.7, "validation_class_accuracy": [1.0, 0.0]},
        {"epoch": 2, "train_loss": 0.6, "validation_class_accuracy": [0.5, 11 / 12]},
        {"epoch": 3, "train_loss": 0.5, "validation_class_accuracy": [0.0, 1.0]},
    ]
}


def changed(**parts: Any) -> dict[str, Any]:
    """The manifest with other parts; those of the provenance are exchanged one by one."""
    manifest = copy.deepcopy(MANIFEST)
    manifest["provenance"].update(parts.pop("provenance", {}))
    return {**manifest, **parts}


def with_classes(names: list[str], images: int = 5) -> dict[str, Any]:
    by_class = {role: dict.fromkeys(names, images) for role in ("train", "valid", "test")}
    classes = [{"name": name, "label": name} for name in names]
    return changed(classes=classes, provenance={"images_by_class": by_class})


def front_matter(card: str) -> dict[str, Any]:
    opening, text, _ = card.split("---\n", 2)
    assert opening == ""
    value = yaml.safe_load(text)
    assert isinstance(value, dict)
    return value


def tables(card: str) -> list[list[list[str]]]:
    """The cells of every table, split at unescaped pipes. Asserts that each row has as many as the rule."""
    found: list[list[list[str]]] = [[]]
    for line in card.splitlines():
        if line.startswith("|"):
            found[-1].append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif found[-1]:
            found.append([])
    whole = [table for table in found if table]
    for table in whole:
        assert all(set(cell) <= set("-:") and len(cell) >= 3 for cell in table[1])
        assert {len(row) for row in table} == {len(table[1])}, table
    return whole


def section(card: str, title: str) -> str:
    return card.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
