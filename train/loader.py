"""Batches of images: uint8 tensors (N, H, W, 3) and labels (N,); which images an epoch has, and in which order."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from contract.errors import DataError, ImageError
from model.preprocess import Preprocess, UInt8Array, decode
from train.augment import Augment
from train.data.dataset import Sample
from train.data.load import map_in_threads

Key = tuple[int, int, int]  # (epoch, index of the sample, how often it came before in this epoch)


class EpochOrder:
    """Batches of keys: shuffled by (seed, epoch) for training, in order otherwise.

    The last, smaller batch is not dropped, but when shuffling a single image joins the batch before it: BatchNorm
    can't train on a single value. share: (rank, hosts); each host takes its part of every batch, and none a single
    image. balance: the samples' classes, to draw all classes equally often; the number of images stays the same.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = False,
        balance: Sequence[int] | None = None,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        self.count, self.batch_size, self.seed, self.shuffle = count, batch_size, seed, shuffle
        self.share = share
        self.balance = None if balance is None else np.asarray(balance)

    def __len__(self) -> int:
        whole, rest = divmod(self.count, self.batch_size)
        return max(1, whole + (rest >= 2 * self.share[1] if self.shuffle else rest > 0))

    def batches(self, epoch: int) -> Iterator[list[Key]]:
        """The batches of an epoch."""
        keys = self._keys(epoch)
        for number in range(len(self)):
            start = number * self.batch_size
            last = number == len(self) - 1
            batch = keys[start:] if last else keys[start : start + self.batch_size]
            yield batch[self.share[0] :: self.share[1]]

    def _keys(self, epoch: int) -> list[Key]:
        if not self.shuffle:
            return [(epoch, index, 0) for index in range(self.count)]
        rng = np.random.default_rng((self.seed, epoch))
        if self.balance is None:
            return [(epoch, int(index), 0) for index in rng.permutation(self.count)]
        drawn = balanced(self.balance, self.count, rng)
        return [(epoch, *drawn[position]) for position in rng.permutation(len(drawn))]


def balanced(labels: NDArray[np.int64], count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """(index, repeat) of `count` draws, spread evenly over the classes. In a class each image is drawn once before any
    is drawn again.
    """
    classes = np.unique(labels)
    shares = np.full(len(classes), count // len(classes))
    shares[rng.permutation(len(classes))[: count % len(classes)]] += 1
    drawn: list[tuple[int, int]] = []
    for label, share in zip(classes, shares, strict=True):
        own = np.flatnonzero(labels == label)
        for repeat in range(-(-int(share) // len(own))):
            part = rng.permutation(own)[: int(share) - repeat * len(own)]
            drawn += [(int(index), repeat) for index in part]
    return drawn


CachedImages = list[UInt8Array]  # an array for each image, in the samples' order


class Images(Dataset[tuple[UInt8Array, int]]):
    """Samples as (uint8 array (H, W, 3), class index), augmented unless `augment` is None.

    cached: what `fixed` returned for each of them, where that is in memory.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        preprocess: Preprocess,
        augment: Augment | None,
        seed: int,
        cached: CachedImages | None = None,
    ) -> None:
        self.samples = samples
        self.preprocess = preprocess
        self.augment = augment
        self.seed = seed
        self.cached = cached

    def __len__(self) -> int:
        return len(self.samples)

    # The key holds the epoch: worker processes have copies of this object, in which no attribute could be updated.
    def __getitem__(self, key: Key) -> tuple[UInt8Array, int]:
        epoch, index, repeat = key
        sample = self.samples[index]
        chance = (self.seed, epoch, index, repeat) if repeat else (self.seed, epoch, index)
        if self.cached is not None:
            pixels = self.cached[index]
            if self.augment is not None:
                pixels = self.augment.vary(pixels, np.random.default_rng(chance))
        elif self.augment is not None:
            pixels = self.augment(self._decoded(sample), np.random.default_rng(chance))
        else:
            pixels = self.preprocess(self._decoded(sample))
        return pixels, sample.label

    def fixed(self, index: int) -> UInt8Array:
        """The sample's pixels (H, W, 3) as far as they are the same in every epoch."""
        image = self._decoded(self.samples[index])
        return self.preprocess(image) if self.augment is None else self.augment.fixed(image)

    def _decoded(self, sample: Sample) -> Image.Image:
        try:
            return decode(sample.encoded(), min_size=self.preprocess.decode_size)
        except (ImageError, OSError) as error:
            raise vanished_error(sample, error) from error


def vanished_error(sample: Sample, error: Exception) -> DataError:
    """The error for an image that was checked and can't be read any more."""
    return DataError(
        f"{sample.name} could be read before training and can't any more ({error}); keep the data unchanged"
    )


class _EpochSampler(Sampler[list[Key]]):
    """An order's batches of one epoch, for a DataLoader, which outlives the epoch with its worker processes."""

    def __init__(self, order: EpochOrder) -> None:
        self._order, self._epoch = order, 0

    def set_epoch(self, epoch: int) -> None:
        """As torch's DistributedSampler: the epoch of the next iteration."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[list[Key]]:
        return self._order.batches(self._epoch)


class Loader:
    """Iterates over one epoch's batches at a time: `for images, labels in loader.epoch(3)`."""

    def __init__(self, images: Images, order: EpochOrder, workers: int, pin: bool) -> None:
        self._sampler = _EpochSampler(order)
        self._loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
            images,  # type: ignore[arg-type]
            batch_sampler=self._sampler,
            num_workers=workers,
            collate_fn=collate,
            pin_memory=pin,
            persistent_workers=workers > 0,
        )

    def __len__(self) -> int:
        return len(self._sampler)

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of epoch `number`. Raises DataError when an image has become unreadable."""
        self._sampler.set_epoch(number)
        try:
            yield from self._loader
        except DataError as error:
            # A worker process's exception has the whole traceback as its message.
            raise DataError(
                str(error).rstrip().rsplit("\n", 1)[-1].removeprefix("contract.errors.DataError: ")
            ) from None


def threaded_batches(images: Images, size: int, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """All images once, in order, in batches of `size`, as that epoch sees them, by threads of this process.

    Raises DataError when an image can't be read any more.
    """
    keys = ((epoch, index, 0) for index in range(len(images)))
    samples = map_in_threads(images.__getitem__, keys, ahead=2 * size)
    while batch := list(islice(samples, size)):
        yield collate(batch)


def collate(samples: list[tuple[UInt8Array, int]]) -> tuple[Tensor, Tensor]:
    """[(array (H, W, 3), class)] -> (uint8 (N, H, W, 3), int64 (N,))."""
    arrays, labels = zip(*samples, strict=True)
    return torch.from_numpy(np.stack(arrays)), torch.tensor(labels)


class Batches(Protocol):
    """Training data: batches of inputs (images or features) and labels (N,) for every epoch."""

    def __len__(self) -> int: ...

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]: ...
