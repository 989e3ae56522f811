"""Which images make up an epoch's batches, and in which order."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

Key = tuple[int, int, int]  # (epoch, index of the sample, how often it came before in this epoch)


class EpochOrder(Sampler[list[Key]]):
    """Batches of keys: shuffled by (seed, epoch) for training, in order otherwise.

    The last, smaller batch is not dropped, but when shuffling a single image joins the batch before it: BatchNorm
    can't train on a single value. share: (which, of how many) parts of each batch this one gives, where several hosts
    train; then no host has a single image.
    balance: the samples' classes, when all classes are to be drawn equally often; an epoch has as many images as ever.
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
        self.epoch = 0

    def __len__(self) -> int:
        whole, rest = divmod(self.count, self.batch_size)
        return max(1, whole + (rest >= 2 * self.share[1] if self.shuffle else rest > 0))

    def __iter__(self) -> Iterator[list[Key]]:
        keys = self._keys()
        for number in range(len(self)):
            start = number * self.batch_size
            last = number == len(self) - 1
            batch = keys[start:] if last else keys[start : start + self.batch_size]
            yield batch[self.share[0] :: self.share[1]]

    def _keys(self) -> list[Key]:
        if not self.shuffle:
            return [(self.epoch, index, 0) for index in range(self.count)]
        rng = np.random.default_rng((self.seed, self.epoch))
        if self.balance is None:
            return [(self.epoch, int(index), 0) for index in rng.permutation(self.count)]
        drawn = balanced(self.balance, self.count, rng)
        return [(self.epoch, *drawn[place]) for place in rng.permutation(len(drawn))]


def balanced(labels: NDArray[np.int64], count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """(index, repeat) of `count` draws, as even over the classes as can be; within a class every image comes once
    before any comes again.
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
