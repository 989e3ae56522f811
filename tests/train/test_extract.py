"""Features of a frozen backbone: whichever way they are computed, they are the network's own."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from contract.hyperparameters import Hyperparameters
from contract.metrics import MetricLog
from contract.paths import MLPaths
from contract.progress import Progress
from model._openvino import openvino
from model.network import Classifier, assemble, build_backbone
from model.preprocess import Preprocess
from tests.train.support import make_classes
from train import features
from train.context import TrainingRun
from train.data.load import load_data
from train.features import compute_features

COUNT = 23  # images a class: 69 in all, so that the second batch of 64 is not full
CHOSEN = Hyperparameters(pretrained="none", freeze="backbone", image_size=32, device="cpu")


@pytest.fixture(scope="module")
def make_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Hyperparameters], TrainingRun]:
    folder = tmp_path_factory.mktemp("photos")
    make_classes(folder / "train", COUNT)
    make_classes(folder / "valid", 2, seed=100)
    data = load_data({"train": folder / "train", "valid": folder / "valid"}, Progress(None))

    def make(chosen: Hyperparameters) -> TrainingRun:
        paths = MLPaths(tmp_path_factory.mktemp("ml"))
        shape, cpu = Preprocess.for_size(chosen.image_size), torch.device("cpu")
        return TrainingRun(paths, chosen, cpu, shape, data, "none", MetricLog(paths.metrics), Progress(None))

    return make


@pytest.fixture(scope="module")
def network() -> Classifier:
    torch.manual_seed(0)
    backbone, features = build_backbone("resnet18")
    shape = Preprocess.for_size(32)
    return assemble(backbone, features, "linear", 3, shape.mean, shape.std)


def direct(run: TrainingRun, network: Classifier, role: str, view: int) -> torch.Tensor:
    """One image at a time, through the network itself."""
    images = run.images(role, augmented=view > 0)
    network.eval()
    with torch.no_grad():
        pixels = [torch.from_numpy(images[(view, index, 0)][0])[None] for index in range(len(images))]
        return torch.cat([network.backbone(network.normalise(each)) for each in pixels])


@pytest.mark.parametrize(("many", "library"), [(10**9, "torch"), (0, "openvino")])
def test_the_features_are_the_backbones(
    make_run: Callable[[Hyperparameters], TrainingRun],
    network: Classifier,
    monkeypatch: pytest.MonkeyPatch,
    many: int,
    library: str,
) -> None:
    monkeypatch.setattr(features, "MANY", many)
    used = []

    def noted(name: str) -> Callable[..., features.Extract]:
        original = getattr(features, name)

        def call(*arguments: Any) -> features.Extract:
            used.append(name)
            made: features.Extract = original(*arguments)
            return made

        return call

    for name in ("_with_torch", "_with_openvino"):
        monkeypatch.setattr(features, name, noted(name))
    run = make_run(CHOSEN)
    found = compute_features(run, network, "train", 2)
    assert set(used) == {f"_with_{library}"}
    assert found.values.shape == (2, 3 * COUNT, 512)
    assert found.values.dtype == torch.float32
    for view in (1, 2):
        assert torch.allclose(found.values[view - 1], direct(run, network, "train", view), atol=1e-4)
    assert not torch.equal(found.values[0], found.values[1])
    plain = compute_features(run, network, "valid", 0)
    assert torch.allclose(plain.values[0], direct(run, network, "valid", 0), atol=1e-4)


def test_neither_batch_size_nor_workers_change_a_bit(
    make_run: Callable[[Hyperparameters], TrainingRun], network: Classifier
) -> None:
    each = [
        compute_features(make_run(replace(CHOSEN, **changes)), network, "train", 1).values  # type: ignore[arg-type]
        for changes in ({}, {"batch_size": 5}, {"workers": 1})
    ]
    assert torch.equal(each[0], each[1])
    assert torch.equal(each[0], each[2])


def test_bfloat16_is_near_and_said_where_there_is_none(
    make_run: Callable[[Hyperparameters], TrainingRun],
    network: Classifier,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = make_run(replace(CHOSEN, feature_precision="bfloat16"))
    exact = direct(run, network, "valid", 0)
    if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        near = compute_features(run, network, "valid", 0).values[0]
        # bfloat16 has 8 bits of precision: single products are off by 2^-9 = 0.2 % at most, sums of many by far less.
        assert not torch.equal(near, exact)
        assert (near - exact).abs().max() < 0.02 * exact.abs().max()
        assert "float32" not in capsys.readouterr().out
    monkeypatch.setattr("train.export.measure.no_bf16", lambda: "this CPU has no instructions for bf16 (a test's)")
    found = compute_features(run, network, "valid", 0).values[0]
    assert torch.allclose(found, exact, atol=1e-4)
    told = capsys.readouterr().out
    assert told == "features are computed in float32: this CPU has no instructions for bf16 (a test's)\n"
