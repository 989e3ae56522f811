"""Whole training jobs as processes: what they print, what they leave, and that they can be repeated."""

import json
import re
from pathlib import Path

import pytest
import safetensors.torch
import torch

from contract.metrics import METRICS, metric_regex
from model.artifact import Artifact
from model.network import build_backbone
from model.preprocess import Preprocess
from model.pretrained import load_backbone
from model.weights import load_network
from tests.train.support import CLASSES, Finished, make_classes, no_seconds, train

NO_IMAGE = "not an image that can be read; the formats are JPEG, PNG, WEBP, GIF, BMP, TIFF"
LABELS = ["Affenpinscher", "German shepherd dog", "pug"]


def test_the_log_tells_the_data(whole: Finished) -> None:
    lines = whole.out.splitlines()
    assert lines[0] == "data: 3 classes; images: 36 train, 12 valid, 15 test"
    assert lines[1] == "data: skipped unreadable files: 5 in train"
    skipped = [line.removeprefix("data: skipped train/pug/") for line in lines[2:7]]
    assert skipped[:2] == [f"M\\udcfcnster.jpg: {NO_IMAGE}", "empty.png: empty file"]
    assert [line.split(":")[0] for line in skipped[2:]] == ["gone.jpg", "notes.txt", "truncated.jpg"]
    assert "training resnet18 (none weights, mlp head, freeze=none) for 2 epochs on cpu, 1 threads" in lines
    assert lines[-1] == f"artifact written to {whole.model}"


def test_the_data_report(whole: Finished) -> None:
    report = whole.data
    assert report["classes"] == list(CLASSES)
    assert report["images"] == {"test": 15, "train": 36, "valid": 12}
    assert report["images_by_class"]["valid"] == dict.fromkeys(CLASSES, 4)
    assert report["skipped_count"] == 5
    assert {each["file"].rsplit("/", 1)[1] for each in report["skipped"]} == {
        *("truncated.jpg", "notes.txt", "empty.png", "gone.jpg", "M\udcfcnster.jpg")
    }
    assert all(each["reason"] for each in report["skipped"])


def test_sagemakers_expressions_find_every_metric(whole: Finished) -> None:
    epochs = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
    for name in METRICS:
        if name == "latency_ms":
            continue  # told where it is an objective: test_tuning_job
        found = [float(value) for value in re.findall(metric_regex(name), whole.out)]
        expected = [row[name] for row in whole.metrics if name in row]
        assert len(expected) == (2 if name in (*epochs, "learning_rate", "epoch_seconds") else 1)
        assert found == pytest.approx(expected, abs=5e-7)


def test_metric_lines_and_rows_are_the_same(whole: Finished) -> None:
    assert [list(row) for row in whole.metrics] == [
        ["epoch", *METRICS[:6]],
        ["epoch", *METRICS[:6]],
        [*METRICS[6:11]],
    ]
    assert [row.get("epoch") for row in whole.metrics] == [1, 2, None]
    last = whole.metrics[2]
    assert last["average test loss"] == last["test_loss"]
    # 2 epochs of 5 batches (8, 8, 8, 8, 4 images): 1 step of warm-up from a half, then a cosine over 9.
    assert [row["learning_rate"] for row in whole.metrics[:2]] == pytest.approx([0.0005, 0.00058682], abs=1e-8)


def test_the_best_epoch_is_kept(whole: Finished) -> None:
    epochs = whole.metrics[:2]
    best = max(epochs, key=lambda row: (row["validation_accuracy"], -row["validation_loss"]))
    assert whole.manifest["provenance"]["best_epoch"] == best["epoch"]
    for name in METRICS[:4]:
        assert whole.manifest["metrics"][name] == best[name]
    assert whole.manifest["metrics"]["test_accuracy"] == whole.metrics[2]["test_accuracy"]


def test_the_manifest(whole: Finished) -> None:
    manifest = whole.manifest
    assert list(manifest) == [
        *(
            "format_version",
            "architecture",
            "head",
            "classes",
            "preprocessing",
            "weights",
            "calibration",
            "provenance",
            "metrics",
        )
    ]
    assert (manifest["format_version"], manifest["architecture"], manifest["head"]) == (1, "resnet18", "mlp")
    assert manifest["classes"] == [{"name": name, "label": label} for name, label in zip(CLASSES, LABELS, strict=True)]
    # 32 * 256 / 224 = 36.57
    assert manifest["preprocessing"] == Preprocess(image_size=32, resize_size=37).to_dict()
    provenance = manifest["provenance"]
    assert provenance["completed"] is True
    assert provenance["hyperparameters"]["seed"] == 3
    assert provenance["images"] == {"test": 15, "train": 36, "valid": 12}
    assert provenance["images_by_class"] == whole.data["images_by_class"]
    assert provenance["skipped_files"] == 5
    assert provenance["data_notes"] == ["skipped unreadable files: 5 in train"]
    assert provenance["device"] == "cpu"
    assert provenance["torch"] == torch.__version__
    assert provenance["training_job_name"] == "job-7"


def test_nothing_but_the_documented_files_is_left(whole: Finished) -> None:
    left = {str(each.relative_to(whole.root)) for each in whole.root.rglob("*") if each.is_file()}
    (events,) = (each for each in left if each.startswith("output/tensorboard/events.out.tfevents."))
    assert {each for each in left if not each.startswith("input/")} - {events} == {
        *(
            "model/kennel.json",
            "model/model.safetensors",
            "model/history.json",
            "model/model_card.md",
            "output/progress.json",
            "output/data/data.json",
        ),
        *("output/data/evaluation.json", "output/data/evaluation.html", "output/data/metrics.jsonl"),
    }
    progress = json.loads((whole.root / "output" / "progress.json").read_text())
    assert progress == {"phase": "training", "done": 10, "total": 10, "unit": "batches"}


def test_the_artifact_answers_as_the_evaluation_says(whole: Finished) -> None:
    artifact = Artifact.load(whole.model)
    assert list(artifact.labels) == LABELS
    network = load_network(artifact)
    folder = whole.root / "input" / "data" / "test"
    rows = whole.evaluation["predictions"]
    assert len(rows) == whole.evaluation["n"] == 15
    for name in (f"{CLASSES[1]}/00.jpg", f"{CLASSES[2]}/04.jpg"):
        image = torch.from_numpy(artifact.preprocess.load(folder / name))[None]
        probabilities = (network(image).detach() / artifact.temperature).softmax(1)[0]
        best = int(probabilities.argmax())
        assert (rows[name]["label"], rows[name]["index"]) == (LABELS[best], best)
        assert rows[name]["probability"] == pytest.approx(float(probabilities[best]), abs=1e-5)
    hits = [row["correct"] for row in rows.values()]
    assert sum(hits) / 15 == pytest.approx(whole.metrics[2]["test_accuracy"])


def test_the_same_seed_gives_the_same_weights_whoever_loads_the_images(whole: Finished, again: Finished) -> None:
    first, second = (each.model / "model.safetensors" for each in (whole, again))
    assert first.read_bytes() == second.read_bytes()
    assert [no_seconds(line) for line in whole.out.splitlines() if "=" in line and ";" in line][1:] == [
        no_seconds(line) for line in again.out.splitlines() if "=" in line and ";" in line
    ][1:]


def test_another_seed_gives_other_weights(whole: Finished, other: Finished) -> None:
    assert other.manifest["weights"]["sha256"] != whole.manifest["weights"]["sha256"]


def test_a_split_is_made_and_said(frozen: Finished) -> None:
    # A fifth of 7, 12 and 2 images, at least one: 1, 2, 1.
    assert list(frozen.data["images_by_class"]["valid"].values()) == [1, 2, 1]
    assert list(frozen.data["images_by_class"]["train"].values()) == [6, 10, 1]
    note = "no validation data was given: 4 of 21 training images were set apart, stratified by class, seed 0"
    assert frozen.data["notes"][0] == note
    assert f"data: {note}" in frozen.out


def test_a_channel_that_is_no_data_is_said(frozen: Finished) -> None:
    note = "channel extra is not used as data; the names that are: train, training, valid, validation, val, "
    assert frozen.data["notes"][1].startswith(note)
    assert f"data: {note}" in frozen.out


def test_uneven_classes_are_said(frozen: Finished, whole: Finished) -> None:
    note = (
        "the classes are uneven: 10 training images of German_shepherd_dog, 1 of pug; "
        "class_balance=sampling trains on all of them equally often"
    )
    assert frozen.data["notes"][2] == note
    assert not [each for each in whole.data["notes"] if "uneven" in each]


def test_no_test_data_no_test_metrics(frozen: Finished) -> None:
    assert "test_loss" not in frozen.out
    assert "test_accuracy" not in frozen.manifest["metrics"]


def test_without_test_data_the_validation_data_are_evaluated_and_it_is_said(frozen: Finished) -> None:
    assert (frozen.evaluation["split"], frozen.evaluation["n"]) == ("valid", 4)
    assert frozen.evaluation["accuracy"] == frozen.manifest["metrics"]["validation_accuracy"]
    page = (frozen.root / "output" / "data" / "evaluation.html").read_text()
    assert "These are the validation images." in page


def test_the_temperature_is_fitted_on_validation_data_and_used_for_the_test(whole: Finished) -> None:
    calibration = whole.manifest["calibration"]
    assert (calibration["fitted_on"], calibration["n"]) == ("validation", 12)
    assert calibration["temperature"] == Artifact.load(whole.model).temperature != 1
    assert whole.evaluation["calibration"]["temperature"] == calibration["temperature"]
    assert whole.evaluation["loss"] == whole.evaluation["calibration"]["after"]["negative_log_likelihood"]
    assert whole.evaluation["loss"] == whole.metrics[2]["test_loss"]
    assert whole.evaluation["artifact"] == Artifact.load(whole.model).id


def test_a_frozen_backbone_stays_bit_for_bit(frozen: Finished, baked: Path) -> None:
    assert frozen.manifest["provenance"]["pretrained"] == "imagenet (resnet18-f37072fd.pth)"
    given = torch.load(baked / "resnet18-f37072fd.pth", weights_only=True)
    state = safetensors.torch.load_file(frozen.model / "model.safetensors")
    backbone = {n.removeprefix("backbone."): t for n, t in state.items() if n.startswith("backbone.")}
    # 20 convolutions, 20 BatchNorms of 5 tensors each; fc has gone.
    assert len(backbone) == 120
    assert sum(name.endswith(("running_mean", "running_var", "num_batches_tracked")) for name in backbone) == 60
    for name, tensor in backbone.items():
        assert torch.equal(tensor, given[name]), name


def test_the_head_on_a_frozen_backbone_learns(frozen: Finished) -> None:
    state = safetensors.torch.load_file(frozen.model / "model.safetensors")
    torch.manual_seed(0)
    backbone, features = build_backbone("resnet18")
    fresh = torch.nn.Linear(features, 3)
    assert {n for n in state if n.startswith("head.")} == {"head.weight", "head.bias"}
    assert not torch.equal(state["head.weight"], fresh.weight)
    assert load_backbone(backbone, "resnet18", str(frozen.model / "model.safetensors")) == "file model.safetensors"


def test_one_channel_that_holds_all(tmp_path: Path, whole: Finished) -> None:
    data = tmp_path / "input" / "data" / "dogs"
    for role, seed in (("train", 0), ("val", 50), ("test", 70)):
        make_classes(data / role, 3, CLASSES[:2], seed=seed)
    weights = whole.model / "model.safetensors"
    result = train(tmp_path, pretrained=str(weights), freeze="backbone", batch_size="1")
    assert result.code == 0, result.err
    assert result.data["images"] == {"test": 6, "train": 6, "valid": 6}
    assert result.manifest["provenance"]["pretrained"] == "file model.safetensors"
    before, after = (safetensors.torch.load_file(each.model / "model.safetensors") for each in (whole, result))
    name = "backbone.layer4.1.bn2.running_var"
    assert torch.equal(before[name], after[name])
