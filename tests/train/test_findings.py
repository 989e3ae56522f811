"""Mistakes, confused pairs and slow classes of a handful of images, found by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from contract.errors import ArtifactError
from model.metrics import confusion_matrix
from tests.train.evaluations import evaluation
from train.evaluation.document import (
    confident_mistakes,
    confused_pairs,
    evaluation_report,
    learning_report,
    read_history,
)

LABELS = ["ant", "bee", "cat"]
FILES = ["ant/1", "ant/2", "ant/3", "bee/1", "bee/2", "cat/1"]
# ant/1 right; ant/2 and ant/3 taken for bee; bee/1 taken for ant; bee/2 right; cat/1 taken for bee.
RESULT = evaluation(
    [
        [0.8, 0.1, 0.1],
        [0.3, 0.6, 0.1],
        [0.2, 0.7, 0.1],
        [0.9, 0.05, 0.05],
        [0.1, 0.5, 0.4],
        [0.2, 0.7, 0.1],
    ],
    [0, 0, 0, 1, 1, 2],
)


def test_the_most_confident_mistakes_come_first_and_equals_by_name() -> None:
    mistakes = confident_mistakes(RESULT, FILES, LABELS)
    assert [each["file"] for each in mistakes] == ["bee/1", "ant/3", "cat/1", "ant/2"]
    assert mistakes[0] == {
        "file": "bee/1", "true_index": 1, "true_label": "bee", "index": 0, "label": "ant",
        "probability": pytest.approx(0.9), "true_probability": pytest.approx(0.05),
    }  # fmt: skip
    assert [each["file"] for each in confident_mistakes(RESULT, FILES, LABELS, limit=2)] == ["bee/1", "ant/3"]


def test_a_pair_has_both_directions() -> None:
    matrix = confusion_matrix(RESULT.labels, RESULT.predictions, 3)
    first, second = confused_pairs(RESULT, matrix, FILES, LABELS)
    assert (first["labels"], first["count"]) == (["ant", "bee"], 3)
    assert first["directions"] == [
        {"true_index": 0, "true_label": "ant", "index": 1, "label": "bee", "count": 2, "of": 3,
         "files": ["ant/3", "ant/2"]},
        {"true_index": 1, "true_label": "bee", "index": 0, "label": "ant", "count": 1, "of": 2, "files": ["bee/1"]},
    ]  # fmt: skip
    # The direction that happened comes first, whatever the classes' order.
    assert (second["labels"], second["count"]) == (["cat", "bee"], 1)
    assert [each["count"] for each in second["directions"]] == [1, 0]
    assert second["directions"][1]["files"] == []
    assert len(confused_pairs(RESULT, matrix, FILES, LABELS, limit=1)) == 1


def test_the_report_holds_it_all() -> None:
    report = evaluation_report(RESULT, FILES, ["1.ant", "2.bee", "3.cat"], LABELS, "valid")
    assert (report["split"], report["n"], report["mistakes_count"]) == ("valid", 6, 4)
    assert report["accuracy"] == pytest.approx(2 / 6)
    low, high = report["accuracy_interval"]
    assert 0 < low < 2 / 6 < high < 1
    assert report["top5_accuracy"] == 1
    # Precision 1/2, 1/4, none; recall 1/3, 1/2, 0; F1 2/5, 2/6, 0.
    assert report["macro_precision"] == pytest.approx((1 / 2 + 1 / 4) / 3)
    assert report["macro_recall"] == pytest.approx((1 / 3 + 1 / 2) / 3)
    assert report["macro_f1"] == pytest.approx((2 / 5 + 1 / 3) / 3)
    assert report["confusion_matrix"] == [[1, 2, 0], [1, 1, 0], [0, 1, 0]]
    assert report["per_class"][2] == {
        "class": "3.cat", "label": "cat", "n": 1, "predicted": 0, "correct": 0,
        "precision": None, "recall": 0, "f1": 0, "confidence": pytest.approx(0.7),
    }  # fmt: skip
    assert report["per_class"][0]["confidence"] == pytest.approx((0.8 + 0.6 + 0.7) / 3)
    assert report["learning"] is None
    assert report["calibration"]["temperature"] == 1
    assert report["predictions"]["bee/2"] == {
        "label": "bee", "index": 1, "probability": pytest.approx(0.5), "true_label": "bee", "correct": True,
    }  # fmt: skip
    assert list(report["predictions"]) == FILES


def epochs(**curves: list[Any]) -> list[dict[str, Any]]:
    length = len(curves["ant"])
    return [
        {"epoch": place + 1, "train_loss": 1.0, "note": "text", "validation_class_accuracy": [
            curves[name][place] for name in LABELS
        ]}
        for place in range(length)
    ]  # fmt: skip


def test_the_slowest_classes() -> None:
    history = epochs(ant=[0, 0.5, 0.25, 0.75], bee=[None] * 4, cat=[1, 1, 1, 0.25])
    report = learning_report(history, ["1.ant", "2.bee", "3.cat"], LABELS)
    assert report is not None
    assert report["learned_threshold"] == 0.5
    # ant: (1 + 0.5 + 0.75 + 0.25) / 4, at least a half for good from epoch 4 on. cat ends below a half.
    assert report["slowest_classes"] == [
        {"class": "1.ant", "label": "ant", "area_over_curve": pytest.approx(0.625), "learned_epoch": 4,
         "validation_accuracy": [0, 0.5, 0.25, 0.75]},
        {"class": "3.cat", "label": "cat", "area_over_curve": pytest.approx(0.1875), "learned_epoch": None,
         "validation_accuracy": [1, 1, 1, 0.25]},
    ]  # fmt: skip
    assert report["epochs"][3] == {"epoch": 4, "train_loss": 1.0}
    steady = learning_report(epochs(ant=[0.5, 0.5], bee=[1, 1], cat=[0, 0.5]), LABELS, LABELS)
    assert steady is not None
    assert [(row["label"], row["learned_epoch"]) for row in steady["slowest_classes"]] == [
        ("cat", 2), ("ant", 1), ("bee", 1),
    ]  # fmt: skip
    assert learning_report([], LABELS, LABELS) is None


def test_an_artifact_without_a_history(tmp_path: Path) -> None:
    assert read_history(tmp_path) == []
    (tmp_path / "history.json").write_text(json.dumps({"epochs": [{"epoch": 1}]}))
    assert read_history(tmp_path) == [{"epoch": 1}]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"{}", b'{"epochs": 3}', b'{"epochs": {"a": 1}}', b'{"epochs": [[]]}', b'{"epochs": [{}]}',
     b'{"epochs": [{"epoch": "1"}]}', b'{"epochs": [{"epoch": 1, "validation_class_accuracy": 2}]}', b"[" * 100_000,
     b'{"epochs": [{"epoch": 1' + b"0" * 400 + b"}]}", b'{"epochs": [{"epoch": NaN}]}'],
)  # fmt: skip
def test_a_broken_history_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "history.json").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"history.json is no history that train wrote; copy the artifact's folder"):
        read_history(tmp_path)
