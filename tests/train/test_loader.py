"""Batches: their order, their sizes, and that neither depends on who loads them."""

from pathlib import Path

import numpy as np
import pytest

from contract.errors import DataError
from contract.progress import Progress
from model.preprocess import Preprocess, UInt8Array
from tests.train.support import make_classes
from train.augment import Augment
from train.data.dataset import Sample
from train.data.load import load_data
from train.data.sources import FileSource
from train.loader import EpochOrder, Images, Loader

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
    return Loader(images, EpochOrder(len(samples), batch_size, seed, shuffle), workers, pin=False)


def epochs(loader: Loader, *numbers: int) -> list[tuple[UInt8Array, list[int]]]:
    return [(images.numpy().copy(), labels.tolist()) for number in numbers for images, labels in loader.epoch(number)]


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
