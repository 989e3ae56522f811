"""What the steps of one training job share."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import torch

from model.machine import available_cpus
from model.paths import MLPaths
from model.preprocess import Preprocess
from train.augment import Augment
from train.config import Hyperparameters
from train.data.dataset import DataSet
from train.loader import Images, Loader
from train.metrics import MetricLog
from train.progress import Progress


@dataclass
class Run:
    """Configuration, data and the places to write to."""

    paths: MLPaths
    hyperparameters: Hyperparameters
    device: torch.device
    preprocess: Preprocess
    data: DataSet
    pretrained: str
    metrics: MetricLog
    progress: Progress
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    def loader(self, role: str, shuffle: bool) -> Loader:
        """Batches of a split: shuffled and augmented, or plain and in order."""
        chosen = self.hyperparameters
        augment = Augment(self.preprocess) if shuffle else None
        images = Images(self.data.splits[role].samples, self.preprocess, augment, chosen.seed)
        cuda = self.device.type == "cuda"
        workers = chosen.workers
        if workers < 0:
            # On the CPU the network needs every core itself; loading in its own process gains nothing.
            workers = min(8, available_cpus()) if cuda else 0
        return Loader(images, chosen.batch_size, chosen.seed, shuffle, workers, pin=cuda)
