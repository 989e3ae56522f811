"""`python -m train` with debug=on and off, as real processes."""

from pathlib import Path

import pytest

from tests.train.support import Finished, configure, finish, make_classes, start_train
from tests.train.tensors import Tensors

pytestmark = pytest.mark.long

# 36 training images in batches of 8 are 5 steps an epoch; 12 for validation, 2 batches.
STEPS, BATCHES, EPOCHS = 5, 2, 2
CONFIG = {
    "S3OutputPath": "s3://bucket/job/debug-output",
    "LocalPath": "/opt/ml/output/tensors",
    "HookParameters": {"train.save_interval": "2", "eval.save_interval": "3"},
    "CollectionConfigurations": [
        {"CollectionName": "losses", "CollectionParameters": {"train.save_interval": "1"}},
        {"CollectionName": "biases", "CollectionParameters": {"reductions": "min,abs_mean,l2_norm"}},
        {"CollectionName": "relu_activations", "CollectionParameters": {"include_regex": ".*relu_input|relu_output"}},
    ],
}


def data(root: Path) -> Path:
    make_classes(root / "input" / "data" / "train", 12)
    make_classes(root / "input" / "data" / "validation", 4, seed=100)
    return root


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Finished]:
    """The same training four times, side by side: see the tests."""
    roots = {name: data(tmp_path_factory.mktemp(name)) for name in ("plain", "off", "configured", "broken")}
    configure(roots["configured"], {}, {"debughookconfig": CONFIG})
    (roots["broken"] / "output").mkdir(exist_ok=True)
    (roots["broken"] / "output" / "tensors").write_text("a file where the folder has to be")
    started = {
        "plain": start_train(roots["plain"], epochs=EPOCHS, debug="on", debug_interval=3, export="openvino"),
        # Python then tells every module that it imports.
        "off": start_train(roots["off"], {"PYTHONPROFILEIMPORTTIME": "1"}, epochs=EPOCHS, debug="off"),
        "configured": start_train(roots["configured"], {"TRAINING_JOB_NAME": "job-7"}, epochs=EPOCHS, debug="on"),
        "broken": start_train(roots["broken"], epochs=EPOCHS, debug="on"),
    }
    results = {name: finish(process, roots[name]) for name, process in started.items()}
    assert [(result.code, result.err) for result in results.values() if result.code] == []
    return results


def tensors(finished: Finished) -> Tensors:
    return Tensors(finished.root / "output" / "tensors")


def test_kennels_own_choice(runs: dict[str, Finished]) -> None:
    assert "Warning" not in runs["plain"].err
    found = tensors(runs["plain"])
    assert found.steps("TRAIN") == list(range(STEPS * EPOCHS))
    assert found.steps("EVAL") == list(range(BATCHES * EPOCHS))
    assert found.steps() == list(range((STEPS + BATCHES) * EPOCHS))
    assert found.saved("gradient/Classifier_backbone.conv1.weight") == [0, 3, 6, 9]
    # ResNet-18: 20 convolutions and as many BatchNorms, with weight and bias, and the head.
    assert len(found.names("weights")) == 41
    assert len(found.names("biases")) == 21
    assert len(found.names("gradients")) == len(found.names("update_ratios")) == 62
    assert len(found.names("relu_active_share")) == 17
    assert found.value("relu_active_share/backbone.layer4.1.relu_1").shape == (512,)
    assert found.value("input_means").shape == (8, 3)
    losses = [float(found.value("CrossEntropyLoss_output_0", step)) for step in range(STEPS)]
    # Four batches of 8 and one of 4.
    expected = (8 * sum(losses[:4]) + 4 * losses[4]) / 36
    assert runs["plain"].metrics[0]["train_loss"] == pytest.approx(expected, rel=1e-5)
    validation = [float(found.value("CrossEntropyLoss_output_0", step, "EVAL")) for step in (2, 3)]
    expected = (8 * validation[0] + 4 * validation[1]) / 12
    assert runs["plain"].metrics[1]["validation_loss"] == pytest.approx(expected, rel=1e-4)


def test_a_saved_step_is_small(runs: dict[str, Finished]) -> None:
    folder = runs["plain"].root / "output" / "tensors"
    step = [file.stat().st_size for file in folder.rglob("000000000000_worker_0.*")]
    assert len(step) == 2  # tensors and index
    assert sum(step) < 500_000


def test_the_network_is_the_same_with_and_without_it(runs: dict[str, Finished]) -> None:
    weights = [(runs[name].model / "model.safetensors").read_bytes() for name in ("plain", "off", "broken")]
    assert weights[0] == weights[1] == weights[2]
    assert (runs["plain"].model / "openvino.xml").is_file()


def test_off_costs_nothing(runs: dict[str, Finished]) -> None:
    assert "train.trainer" in runs["off"].err
    assert "smdebug" not in runs["off"].err
    assert "monitor.debugger" not in runs["off"].err
    assert not (runs["off"].root / "output" / "tensors").exists()


def test_sagemakers_configuration(runs: dict[str, Finished]) -> None:
    found = tensors(runs["configured"])
    assert found.saved("CrossEntropyLoss_output_0") == list(range(STEPS * EPOCHS))
    assert found.saved("CrossEntropyLoss_output_0", "EVAL") == [0, 3]
    assert found.saved("Classifier_head.bias") == [0, 2, 4, 6, 8]
    assert found.reduction("Classifier_head.bias", "mean", absolute=True) > 0
    assert "weights" in found.trial.collections()
    assert found.names("weights") == found.names("gradients") == []
    # 17 ReLUs, of which the 8 blocks' own are called twice.
    assert len(found.names("relu_activations")) == 2 * 17
    before, after = (found.value(f"backbone.relu_{side}_0") for side in ("input", "output"))
    assert before.min() < 0
    assert after.tolist() == before.clip(min=0).tolist()
    assert not (runs["configured"].root / "output" / "tensors" / "training_job_end.ts").exists()


def test_a_hook_that_fails_ends_no_training(runs: dict[str, Finished]) -> None:
    lines = [line for line in runs["broken"].err.splitlines() if "WARNING" in line]
    assert len(lines) == 1
    assert lines[0].startswith("WARNING: the debugger's hook is switched off, training goes on")
    assert "Traceback" not in runs["broken"].err
    assert runs["broken"].manifest["provenance"]["completed"] is True
