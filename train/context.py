"""One training run: its configuration and data, and the images and batches that follow from them."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import torch
from torch import Tensor

from contract.hyperparameters import Hyperparameters
from contract.metrics import MetricLog
from contract.paths import MLPaths
from contract.progress import Progress
from model.machine import available_cpus
from model.preprocess import Preprocess
from train.augment import Augment
from train.data.dataset import DataSet
from train.distributed import ALONE, Group
from train.loader import CachedImages, EpochOrder, Images, Loader, threaded_batches


@dataclass(frozen=True)
class TrainingRun:
    """Configuration, data and the places to write to.

    tuner_objective: the metric by which SageMaker's tuner judges this job, where the tuner started it. group: the
    hosts that train together. began: seconds since the epoch, where the process did something else before this
    training. cached: (split, augmented) -> its images in memory, filled by what prepares the training.
    """

    paths: MLPaths
    hyperparameters: Hyperparameters
    device: torch.device
    preprocess: Preprocess
    data: DataSet
    pretrained: str
    metrics: MetricLog
    progress: Progress
    tuner_objective: str | None = None
    group: Group = ALONE
    began: float | None = None
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    cached: dict[tuple[str, bool], CachedImages] = field(default_factory=dict)

    @property
    def class_sizes(self) -> list[int]:
        """Training images of each class."""
        count = Counter(sample.label for sample in self.data.splits["train"].samples)
        return [count[label] for label in range(len(self.data.classes))]

    def images(self, split: str, augmented: bool) -> Images:
        """The split's images: as in training, or as in validation, test and serving."""
        augment = self._augment() if augmented else None
        cached = self.cached.get((split, augmented))
        return Images(self.data.splits[split].samples, self.preprocess, augment, self.hyperparameters.seed, cached)

    def _augment(self) -> Augment:
        hyperparameters = self.hyperparameters
        shape = Preprocess.for_size(hyperparameters.image_size)
        return Augment(
            shape,
            (hyperparameters.crop_scale, 1.0),
            flip_probability=hyperparameters.flip,
            policy=hyperparameters.auto_augment,
        )

    def order(self, split: str, shuffle: bool) -> EpochOrder:
        """The order of the split's batches: this host's share, shuffled and maybe balanced, or all in order."""
        hyperparameters = self.hyperparameters
        labels = [sample.label for sample in self.data.splits[split].samples]
        balance = labels if shuffle and hyperparameters.class_balance == "sampling" else None
        share = (self.group.rank, self.group.size) if shuffle else (0, 1)
        return EpochOrder(len(labels), hyperparameters.batch_size, hyperparameters.seed, shuffle, balance, share)

    @property
    def workers(self) -> int:
        """Processes that load images."""
        if self.hyperparameters.workers >= 0:
            return self.hyperparameters.workers
        # On the CPU the network needs every core itself; loading in its own process gains nothing.
        return min(8, available_cpus()) if self.device.type == "cuda" else 0

    def batches_of(self, split: str, size: int, view: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The split once, in order, in batches of `size`: as epoch `view` sees it, or unaugmented for view 0."""
        images = self.images(split, augmented=view > 0)
        if self.workers == 0:
            return threaded_batches(images, size, view)
        pin = self.device.type == "cuda"
        return Loader(images, EpochOrder(len(images), size), self.workers, pin).epoch(view)

    def loader(self, split: str, augmented: bool = False, shuffle: bool = False) -> Loader:
        """Batches of a split, by default unaugmented and in order."""
        pin = self.device.type == "cuda"
        return Loader(self.images(split, augmented), self.order(split, shuffle), self.workers, pin)
