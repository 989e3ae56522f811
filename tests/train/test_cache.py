"""Images kept in memory: the same pixels and weights as without, and only where they fit."""

import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from contract.hyperparameters import Hyperparameters
from contract.metrics import MetricLog
from contract.paths import MLPaths
from contract.progress import Progress
from model.preprocess import Preprocess
from tests.train.support import Finished, finish, make_classes, picture, start_train
from train import resources
from train.augment import Augment
from train.context import TrainingRun
from train.data.load import load_data
from train.resources import cache_images

# 6 training images of 48 x 40 pixels as decoded, and 3 for validation at the network's 32 x 32.
TRAIN_BYTES, VALID_BYTES = 6 * 48 * 40 * 3, 3 * 32 * 32 * 3


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    make_classes(root / "train", 2)
    make_classes(root / "valid", 1, seed=50)
    return root


def run_of(photos: Path, root: Path, **hyperparameters: Any) -> TrainingRun:
    data = load_data({role: photos / role for role in ("train", "valid")}, Progress(None))
    chosen = Hyperparameters(image_size=32, batch_size=4, **hyperparameters)
    paths = MLPaths(root)
    device = torch.device("cpu")
    return TrainingRun(
        paths, chosen, device, Preprocess.for_size(32), data, "none", MetricLog(paths.metrics), Progress(None)
    )


def batches(run: TrainingRun, epoch: int) -> list[list[Any]]:
    loaders = (run.loader("train", augmented=True, shuffle=True), run.loader("valid"))
    return [[images.numpy(), labels.tolist()] for loader in loaders for images, labels in loader.epoch(epoch)]


@pytest.mark.parametrize(
    "chosen",
    [{}, {"crop_scale": 1.0}, {"auto_augment": "trivial"}, {"class_balance": "sampling"}, {"workers": 2}],
    ids=str,
)
def test_the_pixels_are_the_same_in_every_epoch(photos: Path, tmp_path: Path, chosen: dict[str, Any]) -> None:
    plain, kept = run_of(photos, tmp_path, **chosen), run_of(photos, tmp_path, cache="memory", **chosen)
    kept.cached.update(cache_images(kept))
    assert set(kept.cached) == {("train", True), ("valid", False)}
    assert not plain.cached
    seen = []
    for epoch in (1, 2):
        expected, found = batches(plain, epoch), batches(kept, epoch)
        assert len(expected) == len(found) == 3
        for (images, labels), (same_images, same_labels) in zip(expected, found, strict=True):
            assert labels == same_labels
            assert np.array_equal(images, same_images)
        seen.append(found[0][0])
    # The augmentation goes on.
    assert not np.array_equal(seen[0], seen[1])


def test_nothing_is_decoded_any_more(photos: Path, tmp_path: Path) -> None:
    run = run_of(photos, tmp_path, cache="memory")
    run.cached.update(cache_images(run))
    expected = batches(run, 3)
    for loader_images in (run.images("train", True), run.images("valid", False)):
        loader_images.samples = ()
        assert loader_images.cached is not None
    moved = photos.rename(photos.with_name("elsewhere"))
    try:
        again = batches(run, 3)
    finally:
        moved.rename(photos)
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(expected, again, strict=True))


def test_it_says_what_it_keeps(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_of(photos, tmp_path, cache="memory")
    run.cached.update(cache_images(run))
    assert sum(each.nbytes for each in run.cached["train", True]) == TRAIN_BYTES
    assert sum(each.nbytes for each in run.cached["valid", False]) == VALID_BYTES
    # 34,560 + 9,216 bytes.
    assert capsys.readouterr().out == "cache: 9 decoded images in memory, 0.0 MB\n"


def test_without_a_random_crop_it_keeps_what_the_network_takes(photos: Path, tmp_path: Path) -> None:
    run = run_of(photos, tmp_path, cache="memory", crop_scale=1.0)
    run.cached.update(cache_images(run))
    assert {each.shape for each in run.cached["train", True]} == {(32, 32, 3)}


def test_it_stays_off_where_the_images_do_not_fit(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of(photos, tmp_path, cache="memory")
    # Half of what is available may be used; 43,776 bytes are needed.
    run.cached.update(cache_images(run, available=2 * (TRAIN_BYTES + VALID_BYTES) - 2))
    assert not run.cached
    assert capsys.readouterr().out == "cache: the images need about 0.0 MB, and 0.0 MB can be spared; it stays off\n"
    run.cached.update(cache_images(run, available=2 * (TRAIN_BYTES + VALID_BYTES)))
    assert run.cached


def test_a_wrong_estimate_does_not_fill_the_memory(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(2):
        picture(number, 90, (400, 500)).save(photos / "train" / "pug" / f"large{number}.png")
    try:
        monkeypatch.setattr(resources, "_PROBES", 1)  # the first image, a small one
        run = run_of(photos, tmp_path, cache="memory")
        run.cached.update(cache_images(run, available=1_000_000))
    finally:
        for number in range(2):
            (photos / "train" / "pug" / f"large{number}.png").unlink()
    assert not run.cached
    # Six small ones, 34,560 bytes, and the first of 600,000 are more than half a megabyte.
    assert capsys.readouterr().out == "cache: 7 of 11 images need 0.6 MB, and 0.5 MB can be spared; it stays off\n"


def test_processes_that_would_copy_it_get_none(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda: "spawn")
    run = run_of(photos, tmp_path, cache="memory", workers=1)
    run.cached.update(cache_images(run))
    assert not run.cached
    assert "set workers=0" in capsys.readouterr().out
    alone = run_of(photos, tmp_path, cache="memory", workers=0)
    alone.cached.update(cache_images(alone))
    assert alone.cached


def test_fixed_and_vary_make_up_the_augmentation() -> None:
    image = picture(3, 120, (70, 50))
    for scale in ((0.5, 1.0), (1.0, 1.0)):
        augment = Augment(Preprocess.for_size(32), scale)
        whole = augment(image, np.random.default_rng(9))
        fixed = augment.fixed(image)
        before = fixed.copy()
        assert np.array_equal(augment.vary(fixed, np.random.default_rng(9)), whole)
        assert np.array_equal(fixed, before)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Finished, Finished]:
    """The same job with and without the cache, side by side."""
    roots = [tmp_path_factory.mktemp(name) for name in ("plain", "cached")]
    for root in roots:
        make_classes(root / "input" / "data" / "train", 6)
    started = [start_train(root, epochs="2", cache=kind) for root, kind in zip(roots, ("none", "memory"), strict=True)]
    plain, cached = (finish(process, root) for process, root in zip(started, roots, strict=True))
    return plain, cached


def test_the_weights_are_the_same_to_the_byte(pair: tuple[Finished, Finished]) -> None:
    weights = []
    for each in pair:
        assert each.code == 0, each.err
        (file,) = each.model.glob("*.safetensors")
        weights.append(file.read_bytes())
    assert len(weights[0]) > 40_000_000
    assert weights[0] == weights[1]
    plain, cached = pair
    assert "cache:" not in plain.out
    assert "cache: 18 decoded images in memory, 0.1 MB" in cached.out
