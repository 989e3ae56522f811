"""Trials in one process: an ordinary training's numbers, nothing else left behind, and what ends a trial early."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from contract.errors import DataError
from contract.hyperparameters import Hyperparameters
from contract.metrics import MetricLog
from contract.paths import MLPaths
from contract.progress import Progress
from tests.train.support import make_classes
from train import resources as shared_module
from train.data.dataset import DataSet
from train.data.load import load_data
from train.features import compute_features
from train.resources import Backbones, TrainingResources, cache_images
from train.search.best_trial import BestTrial
from train.search.trial import Measured, run_trials
from train.trainer import BestEpoch, Trainer
from train.training import train
from tuning.objective import Objective, parse_objectives
from tuning.searcher import Metrics, Trial

CHOSEN = Hyperparameters(
    pretrained="none", epochs=2, image_size=32, batch_size=8, device="cpu", tensorboard="off", export="none",
    debug="off", profile="off",
)  # fmt: skip
FROZEN = replace(CHOSEN, freeze="backbone")
CPU = torch.device("cpu")
PLAIN = Measured(latency=False, test=False)


class RecordingSearcher:
    """A Searcher that hands out what it was given, and notes what it is told."""

    def __init__(self, *wanted: Hyperparameters, ends: Callable[[int, int], bool] = lambda _number, _epoch: False):
        self._waiting = [Trial(number, {}, each) for number, each in enumerate(wanted, 1)]
        self._ends = ends
        self.epochs: dict[int, list[dict[str, Any]]] = {}
        self.completed: dict[int, dict[str, Any]] = {}
        self.pruned: list[int] = []
        self.failed: dict[int, str] = {}

    def ask(self) -> Trial | None:
        return self._waiting.pop(0) if self._waiting else None

    def report(self, number: int, epoch: int, metrics: Metrics) -> bool:
        assert metrics["epoch"] == epoch
        self.epochs.setdefault(number, []).append(dict(metrics))
        return self._ends(number, epoch)

    def complete(self, number: int, metrics: Metrics, seconds: float, run: str | None = None) -> None:
        assert seconds > 0
        assert run is None
        self.completed[number] = dict(metrics)

    def prune(self, number: int, seconds: float, run: str | None = None) -> None:
        assert seconds > 0
        self.pruned.append(number)

    def fail(self, number: int, reason: str, seconds: float, run: str | None = None) -> None:
        assert seconds > 0
        self.failed[number] = reason


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    root = tmp_path_factory.mktemp("photos")
    make_classes(root / "train", 6)
    make_classes(root / "valid", 3, seed=100)
    make_classes(root / "test", 3, seed=200)
    return load_data({role: root / role for role in ("train", "valid", "test")}, Progress(None))


def shared_of(data: DataSet, root: Path, several: bool = True, epochs: int = 4) -> TrainingResources:
    return TrainingResources(MLPaths(root), data, CPU, Backbones(several), Progress(None), epochs)


def tried(
    data: DataSet, root: Path, *wanted: Hyperparameters, measured: Measured = PLAIN, **options: Any
) -> RecordingSearcher:
    told = RecordingSearcher(*wanted, **options)
    best = BestTrial(root / "best.safetensors", [Objective("validation_loss", maximize=False)])
    run_trials(shared_of(data, root), told, measured, best)
    return told


def no_time(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("epoch_seconds", "latency_ms")}


@pytest.mark.parametrize("chosen", [FROZEN, CHOSEN, replace(CHOSEN, freeze="gradual")], ids=lambda each: each.freeze)
@pytest.mark.long
def test_a_trial_has_the_numbers_of_a_training_of_its_own(
    data: DataSet, tmp_path: Path, chosen: Hyperparameters
) -> None:
    # Others before it: of more epochs and so more views, of another head, of another architecture's random state.
    others = (replace(chosen, epochs=3, lr=0.05, batch_size=16), replace(chosen, head="mlp", epochs=1))
    told = tried(data, tmp_path, *others, chosen, replace(chosen, class_balance="sampling"), chosen)
    assert sorted(told.completed) == [1, 2, 3, 4, 5]

    alone = shared_of(data, tmp_path / "alone", several=False)
    log = MetricLog(tmp_path / "alone.jsonl")
    run = alone.run(chosen, log)
    rows: list[dict[str, Any]] = []
    log.write = lambda values: rows.append(dict(values))  # type: ignore[method-assign]
    best = train(alone, run, None)
    epochs = [no_time(row) for row in rows if "epoch" in row]
    assert len(epochs) == 2
    for number in (3, 5):
        assert [no_time(row) for row in told.epochs[number]] == epochs
        assert no_time(told.completed[number]) == no_time(best.metrics)
    assert [no_time(row) for row in told.epochs[4]] != epochs


@pytest.mark.long
def test_what_is_measured_beyond_the_epochs(data: DataSet, tmp_path: Path) -> None:
    measured = Measured.of(parse_objectives("average test loss,latency_ms"))
    assert measured == Measured(latency=True, test=True)
    assert Measured.of(parse_objectives("validation_loss,train_accuracy")) == PLAIN
    told = tried(data, tmp_path, CHOSEN, measured=measured)
    alone = shared_of(data, tmp_path / "alone", several=False)
    log = MetricLog(None)
    rows: list[dict[str, Any]] = []
    log.write = lambda values: rows.append(dict(values))  # type: ignore[method-assign]
    train(alone, alone.run(replace(CHOSEN, tune_objective="latency_ms"), log), None)
    test, latency = rows[-2:]
    assert list(latency) == ["latency_ms"]
    assert latency["latency_ms"] > 0
    found = told.completed[1]
    assert {name: found[name] for name in test} == pytest.approx(test, abs=1e-6)
    assert found["latency_ms"] > 0
    # The epochs know nothing of it.
    assert "test_loss" not in told.epochs[1][0]


def test_latency_is_measured_once_for_each_network(
    data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def measure(network: torch.nn.Module, size: int, _device: torch.device) -> float:
        asked.append((type(network.head).__name__, size))
        return float(len(asked))

    monkeypatch.setattr(shared_module, "measure_latency", measure)
    others = (replace(FROZEN, lr=0.1), replace(FROZEN, head="mlp"), replace(FROZEN, image_size=40), FROZEN)
    told = tried(data, tmp_path, FROZEN, *others, measured=Measured(latency=True, test=False))
    assert asked == [("Linear", 32), ("Sequential", 32), ("Linear", 40)]
    assert [told.completed[number]["latency_ms"] for number in range(1, 6)] == [1, 1, 2, 3, 1]


def test_features_are_computed_once_for_what_they_depend_on(
    data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = []
    real = compute_features

    def compute(run: Any, network: Any, role: str, views: int) -> Any:
        computed.append((role, views, run.hyperparameters.crop_scale))
        return real(run, network, role, views)

    monkeypatch.setattr(shared_module, "compute_features", compute)
    wanted = [
        FROZEN,
        replace(FROZEN, lr=0.1, batch_size=16, optimizer="sgd", head="mlp", epochs=4),
        replace(FROZEN, crop_scale=0.8, epochs=1),
        FROZEN,
    ]
    told = tried(data, tmp_path, *wanted)
    # At once for the longest training of the search, of 4 epochs; the validation images know no crop.
    assert computed == [("train", 4, 0.5), ("valid", 0, 0.5), ("train", 4, 0.8)]
    assert len(told.completed) == 4


@pytest.mark.long
def test_images_are_decoded_once_for_all_trials(data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []
    real = cache_images

    def cache(run: Any) -> Any:
        images = real(run)
        kept.append((run.hyperparameters.image_size, len(images)))
        return images

    monkeypatch.setattr(shared_module, "cache_images", cache)
    wanted = [replace(CHOSEN, epochs=1, lr=lr) for lr in (0.001, 0.01)]
    larger = replace(CHOSEN, epochs=1, image_size=40)
    tried(data, tmp_path, *wanted, larger, wanted[0])
    assert kept == [(32, 2), (40, 2)]


def test_where_images_do_not_fit_the_trials_go_on_without(
    data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("train.resources.available_memory", lambda: 1000)
    wanted = [replace(CHOSEN, epochs=1, lr=lr) for lr in (0.001, 0.01, 0.02)]
    assert len(tried(data, tmp_path, *wanted).completed) == 3
    # RecordingSearcher once, not by every trial.
    assert capsys.readouterr().out.count("it stays off") == 1


def test_a_trial_that_does_too_poorly_is_ended(data: DataSet, tmp_path: Path) -> None:
    long = replace(FROZEN, epochs=5)
    told = tried(data, tmp_path, long, long, ends=lambda number, epoch: number == 1 and epoch == 2)
    assert told.pruned == [1]
    assert list(told.completed) == [2]
    assert [row["epoch"] for row in told.epochs[1]] == [1, 2]
    assert [row["epoch"] for row in told.epochs[2]] == [1, 2, 3, 4, 5]


def test_patience_works_within_a_trial(data: DataSet, tmp_path: Path) -> None:
    # A learning rate that changes nothing a float32 could hold: no epoch is better than the first.
    told = tried(data, tmp_path, replace(FROZEN, epochs=6, patience=2, lr=1e-30, feature_views=1, weight_decay=0.0))
    assert [row["epoch"] for row in told.epochs[1]] == [1, 2, 3]
    assert told.completed[1]["epoch"] == 1


@pytest.mark.long
def test_failed_trials_end_no_search(data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Trainer.fit

    def fit(trainer: Trainer) -> BestEpoch:
        if trainer.hyperparameters.batch_size == 7:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        if trainer.hyperparameters.batch_size == 9:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.")
        return real(trainer)

    monkeypatch.setattr(Trainer, "fit", fit)
    told = tried(
        data,
        tmp_path,
        replace(CHOSEN, lr=10.0, optimizer="sgd", epochs=8, warmup_ratio=0.0, lr_schedule="constant", grad_clip=0.0),
        replace(FROZEN, mixup=0.2),
        replace(FROZEN, batch_size=7),
        replace(FROZEN, batch_size=9),
        FROZEN,
    )
    assert sorted(told.failed) == [1, 2, 3, 4]
    assert told.failed[1].endswith("lower lr (it is 10)")
    assert told.failed[2].startswith("mixup: mixes pixels")
    assert told.failed[3] == told.failed[4]
    assert told.failed[3].startswith("out of memory; lower batch_size")
    assert list(told.completed) == [5]


def test_an_image_that_is_gone_ends_them_all(data: DataSet, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    make_classes(root / "train", 3)
    make_classes(root / "valid", 2, seed=100)
    own = load_data({role: root / role for role in ("train", "valid")}, Progress(None))
    next((root / "train").rglob("02.jpg")).unlink()
    with pytest.raises(DataError, match="can't any more"):
        tried(own, tmp_path, FROZEN)


def test_trials_print_no_metrics_and_leave_no_files(
    data: DataSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    watched = replace(CHOSEN, tensorboard="on", debug="on", profile="on", export="int8", patience=1, lr=1e-30)
    told = tried(data, tmp_path, watched, replace(watched, freeze="backbone"))
    assert len(told.completed) == 2
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["cache", "features"]
    assert "=" not in "".join(lines)
    assert {file.name for file in tmp_path.iterdir()} == {"best.safetensors"}
