"""The step after training, with quantizers made by hand: who becomes the default, and what a failure leaves."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from contract.errors import DataError
from contract.hyperparameters import Hyperparameters
from contract.metrics import MetricLog
from contract.paths import MLPaths
from contract.progress import Progress
from model import artifact
from model._openvino import openvino
from model.artifact import Artifact
from model.network import Classifier, build
from model.preprocess import Preprocess
from model.weights import serialise
from tests.train.support import CLASSES, make_classes
from train.context import TrainingRun
from train.data.dataset import DataSet
from train.data.load import load_data
from train.export.step import Quantize, add_forms

SHAPE = Preprocess.for_size(32)
ops = openvino.opset13


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> tuple[DataSet, Classifier]:
    """Pictures of three levels of brightness, and a network that tells them apart."""
    data = tmp_path_factory.mktemp("data")
    make_classes(data / "train", 4)
    make_classes(data / "valid", 4, seed=50)
    found = load_data({"train": data / "train", "valid": data / "valid"}, Progress(None))
    torch.manual_seed(0)
    network = build("resnet18", "linear", 3, SHAPE.mean, SHAPE.std)
    images = torch.from_numpy(np.stack([SHAPE.load(each.encoded()) for each in found.splits["train"].samples]))
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    for _ in range(6):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(images), torch.arange(3).repeat_interleave(4))
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    with torch.no_grad():
        for _ in range(30):  # let BatchNorm's running statistics arrive
            network(images)
    return found, network.eval()


@pytest.fixture
def trained(tmp_path: Path, learnt: tuple[DataSet, Classifier]) -> tuple[TrainingRun, Classifier]:
    """An artifact that has just been written, and its network."""
    data, network = learnt
    paths = MLPaths(tmp_path)
    artifact.save(paths.model, architecture="resnet18", head="linear", classes=CLASSES, preprocess=SHAPE,
                  weights=serialise(network), provenance={"completed": True}, metrics={})  # fmt: skip
    return job(paths, data), network


def job(paths: MLPaths, data: DataSet, export: str = "int8") -> TrainingRun:
    chosen = Hyperparameters(pretrained="none", image_size=32, batch_size=5, export=export)
    return TrainingRun(
        paths, chosen, torch.device("cpu"), SHAPE, data, "none", MetricLog(paths.metrics), Progress(None)
    )


def changed(change: Callable[[Any], Any]) -> Quantize:
    """A quantizer that puts `change` between the network and its logits."""

    def quantize(model: Any, load: Callable[[int], Any], indices: Sequence[int], threads: int) -> Any:
        assert load(indices[0]).shape == (32, 32, 3)
        assert sorted(indices) == list(range(12))
        logits = model.outputs[0].get_node().input_value(0)
        result = ops.result(change(logits))
        made = openvino.Model([result], model.get_parameters(), "quantized")
        made.outputs[0].set_names({"logits"})
        return made

    return quantize


def halved(logits: Any) -> Any:
    return ops.multiply(logits, ops.constant(np.float32(0.5)))


def negated(logits: Any) -> Any:
    return ops.negative(logits)


def spoilt(logits: Any) -> Any:
    return ops.multiply(logits, ops.constant(np.float32("nan")))


def test_a_quantized_network_as_good_becomes_the_default(trained: tuple[TrainingRun, Classifier]) -> None:
    run, network = trained
    add_forms(run, network, changed(halved))
    found = Artifact.load(run.paths.model)
    scores = [found.forms[name].validation["f32"] for name in ("torch", "openvino", "openvino-int8")]
    assert [score.correct for score in scores if score] == [12, 12, 12]
    torchs, plain, int8 = (score.loss for score in scores if score)
    assert plain == pytest.approx(torchs, rel=1e-3)
    assert int8 is not None
    assert plain is not None
    assert int8 > plain  # less sure of itself: it is the form in the file that was measured
    assert found.default_form == "openvino-int8"
    assert found.graph("openvino-int8") == run.paths.model / "openvino_int8.xml"


@pytest.mark.parametrize("change", [negated, spoilt])
def test_a_quantized_network_that_is_worse_does_not(
    trained: tuple[TrainingRun, Classifier], change: Callable[[Any], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run, network = trained
    add_forms(run, network, changed(change))
    found = Artifact.load(run.paths.model)
    worse = found.forms["openvino-int8"].validation["f32"]
    assert worse is not None
    assert worse.correct <= 4  # at best one class
    assert (worse.loss is None) == (change is spoilt)  # JSON has no NaN
    assert found.default_form == "openvino"
    out = capsys.readouterr().out
    assert f"forms: openvino-int8 in f32: {worse.correct} of 12 right, +{(12 - worse.correct) / 0.12:.2f} points" in out
    assert "forms: openvino is the default for serving" in out


def test_without_quantization(trained: tuple[TrainingRun, Classifier]) -> None:
    run, network = trained
    add_forms(job(run.paths, run.data, "openvino"), network)
    found = Artifact.load(run.paths.model)
    assert list(found.forms) == ["torch", "openvino"]
    assert found.default_form == "openvino"
    assert not (run.paths.model / "openvino_int8.xml").exists()


def test_forms_are_replaced_when_made_again(trained: tuple[TrainingRun, Classifier]) -> None:
    run, network = trained
    add_forms(run, network, changed(halved))
    add_forms(job(run.paths, run.data, "openvino"), network)
    assert list(Artifact.load(run.paths.model).forms) == ["torch", "openvino"]
    assert {each.name for each in run.paths.model.iterdir()} == {
        *("kennel.json", "model.safetensors", "openvino.xml", "openvino.bin")
    }


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("Check failed\nat src/core.cpp:7\n"), "RuntimeError: Check failed"),
        (MemoryError(), "MemoryError: "),
        (OSError(28, "No space left on device"), "OSError: [Errno 28] No space left on device"),
        (DataError("pug/1.jpg can't be read any more"), "DataError: pug/1.jpg can't be read any more"),
    ],
)
def test_a_failure_leaves_the_artifact_and_says_why(
    trained: tuple[TrainingRun, Classifier], error: Exception, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run, network = trained
    before = json.loads((run.paths.model / "kennel.json").read_text())

    def fails(*_given: object) -> None:
        raise error

    add_forms(run, network, fails)
    assert json.loads((run.paths.model / "kennel.json").read_text()) == {**before, "forms_error": reason}
    assert {each.name for each in run.paths.model.iterdir()} == {"kennel.json", "model.safetensors"}
    warning = f"WARNING: the forms for serving can't be made, the artifact has torch's alone: {reason}\n"
    assert capsys.readouterr().err == warning


def test_a_signal_is_not_caught(trained: tuple[TrainingRun, Classifier]) -> None:
    run, network = trained

    def stopped(*_given: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        add_forms(run, network, stopped)
    assert {each.name for each in run.paths.model.iterdir()} == {"kennel.json", "model.safetensors"}
    assert Artifact.load(run.paths.model).forms == {}


def test_a_conversion_that_changes_the_answers_is_refused(
    trained: tuple[TrainingRun, Classifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    from train.export import convert

    run, network = trained
    plain = convert.convert

    def wrong(network: Classifier, image_size: int) -> Any:
        return changed(negated)(plain(network, image_size), lambda _: np.zeros((32, 32, 3), np.uint8), range(12), 1)

    monkeypatch.setattr(convert, "convert", wrong)
    add_forms(job(run.paths, run.data, "openvino"), network)
    assert Artifact.load(run.paths.model).forms == {}
    manifest = json.loads((run.paths.model / "kennel.json").read_text())
    assert "loses more than 0.5 points" in manifest["forms_error"]


def test_a_cpu_without_bf16(trained: tuple[TrainingRun, Classifier], monkeypatch: pytest.MonkeyPatch) -> None:
    from train.export import measure

    monkeypatch.setattr(measure, "no_bf16", lambda: "this CPU has no instructions for bf16 (a 486)")
    run, network = trained
    add_forms(run, network, changed(halved))
    found = Artifact.load(run.paths.model)
    for name in ("openvino", "openvino-int8"):
        assert found.forms[name].validation["bf16"] is None
        assert found.forms[name].unmeasured == {"bf16": "this CPU has no instructions for bf16 (a 486)"}
    assert found.default_form == "openvino-int8"
