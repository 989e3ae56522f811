"""Batches: their order, their sizes, and that neither depends on who loads them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from model.errors import DataError
from model.preprocess import Preprocess, UInt8Array
from tests.train.support import make_classes
from train.augment import Augment
from train.data.dataset import Sample
from train.data.load import load_data
from train.data.sources import FileSource
from train.loader import EpochOrder, Images, Loader
from train.progress import Progress

SHAPE = Preprocess.for_size(32)


@pytest.fixture
def samples(tmp_path: Path) -> tuple[Sample, ...]:
    """Nine images."""
    make_classes(tmp_path, 3)
    return load_data({"train": tmp_path}, Progress(None)).splits["train"].samples


def loader(
    samples: tuple[Sample, ...], *, workers: int = 0, shuffle: bool = True, batch_size: int = 4, seed: int = 5
) -> Loader:
    images = Images(samples, SHAPE, Augment(SHAPE) if shuffle else None, seed)
    return Loader(images, batch_size, seed, shuffle, workers, pin=False)


def epochs(loader: Loader, *numbers: int) -> list[tuple[UInt8Array, list[int]]]:
    return [(images.numpy().copy(), labels.tolist()) for number in numbers for images, labels in loader.epoch(number)]


@pytest.mark.parametrize(
    ("count", "batch_size", "shuffled", "plain"),
    [
        (8, 4, [4, 4], [4, 4]),
        (9, 4, [4, 5], [4, 4, 1]),  # a single image can't be trained on, so it joins
        (10, 4, [4, 4, 2], [4, 4, 2]),
        (5, 4, [5], [4, 1]),
        (3, 4, [3], [3]),
        (1, 4, [1], [1]),
        (3, 1, [1, 1, 1], [1, 1, 1]),
    ],
)
def test_batch_sizes(count: int, batch_size: int, shuffled: list[int], plain: list[int]) -> None:
    for shuffle, sizes in ((True, shuffled), (False, plain)):
        order = EpochOrder(count, batch_size, 0, shuffle)
        batches = list(order)
        assert [len(batch) for batch in batches] == sizes
        assert len(order) == len(sizes)
        assert sorted(index for batch in batches for _, index in batch) == list(range(count))


def test_each_epoch_has_its_own_order() -> None:
    order = EpochOrder(20, 4, seed=1, shuffle=True)
    first = [index for batch in order for _, index in batch]
    order.epoch = 1
    second = [index for batch in order for _, index in batch]
    order.epoch = 0
    assert [index for batch in order for _, index in batch] == first != second


def test_workers_do_not_change_the_batches(samples: tuple[Sample, ...]) -> None:
    alone, helped = epochs(loader(samples), 1, 2), epochs(loader(samples, workers=2), 1, 2)
    assert len(alone) == len(helped) == 4
    for (images, labels), (same_images, same_labels) in zip(alone, helped, strict=True):
        assert labels == same_labels
        assert np.array_equal(images, same_images)
    assert any(not np.array_equal(a[0], b[0]) for a, b in zip(alone[:2], alone[2:], strict=True))


def test_epochs_can_be_asked_for_in_any_order(samples: tuple[Sample, ...]) -> None:
    once = loader(samples)
    second, first = epochs(once, 2), epochs(once, 1)
    fresh = epochs(loader(samples), 1, 2)
    for (images, labels), (same_images, same_labels) in zip(fresh, first + second, strict=True):
        assert labels == same_labels
        assert np.array_equal(images, same_images)


def test_plain_batches_are_preprocessing_in_order(samples: tuple[Sample, ...]) -> None:
    (images, labels), (rest, _) = epochs(loader(samples, shuffle=False, batch_size=8), 0)
    assert labels == [0, 0, 0, 1, 1, 1, 2, 2]
    assert images.dtype == np.uint8
    assert images.shape == (8, 32, 32, 3)
    assert np.array_equal(images[4], SHAPE.load(samples[4].encoded()))
    assert np.array_equal(rest[0], SHAPE.load(samples[8].encoded()))


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_vanishes_meanwhile(samples: tuple[Sample, ...], workers: int) -> None:
    source = samples[4].source
    assert isinstance(source, FileSource)
    source.path.write_bytes(b"")
    with pytest.raises(DataError) as caught:
        epochs(loader(samples, shuffle=False, workers=workers), 0)
    assert str(caught.value).startswith("German_shepherd_dog/01.jpg could be read before training and can't any more (")
    assert "\n" not in str(caught.value)


def test_augmentation_draws_by_seed_epoch_and_image(samples: tuple[Sample, ...]) -> None:
    def first(seed: int, epoch: int) -> bytes:
        return Images(samples, SHAPE, Augment(SHAPE), seed)[(epoch, 0)][0].tobytes()

    assert first(1, 1) == first(1, 1)
    assert len({first(1, 1), first(1, 2), first(2, 1)}) == 3


def test_augmentation_of_an_extremely_long_image() -> None:
    pixels = Augment(SHAPE)(Image.new("RGB", (4000, 3), (9, 99, 199)), np.random.default_rng(0))
    assert pixels.shape == (32, 32, 3)
    assert (pixels == [9, 99, 199]).all()


def test_a_flip_mirrors_left_and_right() -> None:
    ramp = np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[None, :, None], 64, axis=0).repeat(3, axis=2)
    image = Image.fromarray(ramp)
    for probability, rises in ((0.0, True), (1.0, False)):
        pixels = Augment(SHAPE, flip_probability=probability)(image, np.random.default_rng(3))
        assert (int(pixels[0, -1, 0]) > int(pixels[0, 0, 0])) is rises
        assert torch.from_numpy(pixels).is_contiguous()
