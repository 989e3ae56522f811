"""What trainings on the same images share: backbones, decoded images, features, latencies.

An ordinary job is one training, a search many: both take this way, so that a trial's numbers are the job's.

Keeps images in memory, decoded once: what comes before the random part of their preprocessing.
"""

import multiprocessing
import time
from collections.abc import Hashable
from dataclasses import replace
from typing import Final

import torch
from torch import nn

from contract.hyperparameters import Hyperparameters
from contract.metrics import MetricLog
from contract.paths import MLPaths
from contract.progress import Progress
from model.machine import available_cpus, available_memory
from model.network import Classifier
from model.preprocess import Preprocess
from train.backbones import Backbones
from train.context import TrainingRun
from train.data.dataset import DataSet
from train.data.load import map_in_threads
from train.device import measure_latency
from train.distributed import ALONE, Group
from train.features import FeatureBatches, Features, compute_features
from train.loader import Batches, CachedImages, Images

_FEATURES_SHARE: Final = 0.25  # of the available memory, for features that other trainings may ask for again

Cache = dict[tuple[str, bool], CachedImages]  # by (split, augmented)


class TrainingResources:
    """Built once in a process; not safe for use by several threads."""

    def __init__(
        self,
        paths: MLPaths,
        data: DataSet,
        device: torch.device,
        backbones: Backbones,
        progress: Progress,
        several: bool = False,
        epochs: int = 0,
    ) -> None:
        """several: many trainings will come, so that images are worth keeping even with cache=none. epochs: of the
        longest of them, for which features are computed at once.
        """
        self.paths, self.data, self.device = paths, data, device
        self._backbones, self._progress = backbones, progress
        self._several, self._epochs = several, epochs
        self._images: dict[Hashable, Cache] = {}  # the newest last; empty where they don't fit
        self._features: dict[Hashable, Features] = {}  # the newest last
        self._computed: tuple[int, ...] | None = None  # the shape of features that were, and are to be told of
        self._latencies: dict[Hashable, float] = {}

    def run(
        self,
        chosen: Hyperparameters,
        metrics: MetricLog,
        *,
        tuner_objective: str | None = None,
        group: Group = ALONE,
        began: float | None = None,
    ) -> TrainingRun:
        """A training of its own; for `tuner_objective`, `group` and `began` see TrainingRun."""
        shape = Preprocess.for_size(chosen.test_image_size or chosen.image_size)
        source = self._backbones.load(chosen)
        return TrainingRun(
            self.paths, chosen, self.device, shape, self.data, source, metrics, self._progress,
            tuner_objective=tuner_objective, group=group, began=began,
        )  # fmt: skip

    def network(self, run: TrainingRun) -> Classifier:
        """The network as the training begins with it."""
        return self._backbones.network(run.hyperparameters, run.preprocess, len(run.data.classes))

    def model_and_loaders(self, run: TrainingRun, network: Classifier) -> tuple[nn.Module, Batches, Batches]:
        """The network on images; or its head on features, which a frozen backbone gives for each image but once."""
        chosen = run.hyperparameters
        if not on_features(chosen):
            self._cache_images(run)
            return network, run.loader("train", augmented=True, shuffle=True), run.loader("valid")
        start = time.monotonic()
        # No more views than epochs: nobody would see them.
        train = self._features_of(run, network, "train", min(chosen.feature_views, chosen.epochs))
        valid = self._features_of(run, network, "valid", 0)
        if self._computed is not None:
            took, shape = time.monotonic() - start, self._computed
            self._computed = None
            print(f"features: {shape} for training, in {took:.1f} s", flush=True)
        return (
            network.head,
            FeatureBatches(train, run.order("train", shuffle=True), run.device),
            FeatureBatches(valid, run.order("valid", shuffle=False), run.device),
        )

    def test_batches(self, run: TrainingRun, network: Classifier) -> Batches:
        """The test data for what `model_and_loaders` gave."""
        if not on_features(run.hyperparameters):
            return run.loader("test")
        test = self._features_of(run, network, "test", 0)
        return FeatureBatches(test, run.order("test", shuffle=False), run.device)

    def latency(self, run: TrainingRun, network: Classifier) -> float:
        """Milliseconds for one image; measured once for each architecture, head and size."""
        size = run.preprocess.image_size
        key = (run.hyperparameters.architecture, run.hyperparameters.head, size)
        if key not in self._latencies:
            self._latencies[key] = measure_latency(network, size, run.device)
        return self._latencies[key]

    def _features_of(self, run: TrainingRun, network: Classifier, split: str, views: int) -> Features:
        chosen, images = run.hyperparameters, run.images(split, augmented=views > 0)
        backbone = (chosen.architecture, chosen.pretrained, chosen.seed, chosen.feature_precision)
        # How many views there are to be decides about the way in which they are computed.
        key = (split, *backbone, images.preprocess, images.augment, chosen.feature_views if views else 0)
        found = self._features.pop(key, None)
        if found is None or len(found.values) < views:
            self._cache_images(run)
            most = max(views, min(chosen.feature_views, self._epochs)) if views else 0
            found = compute_features(run, network, split, most)
            found = Features(found.values.to(run.device), found.labels.to(run.device))
            if split == "train":
                self._computed = tuple(found.values.shape)
        self._features[key] = found
        self._forget_features()
        return Features(found.values[: max(1, views)], found.labels)

    def _forget_features(self) -> None:
        """The oldest, where they take too much memory; never the newest two, of training and validation."""
        budget = _FEATURES_SHARE * available_memory() if len(self._features) > _NEEDED else 0
        while len(self._features) > _NEEDED and sum(each.values.nbytes for each in self._features.values()) > budget:
            self._features.pop(next(iter(self._features)))

    def _cache_images(self, run: TrainingRun) -> None:
        """Give the run its images from memory, where they are or fit."""
        if not self._several:
            run.cached.update(cache_images(run))
            return
        chosen = run.hyperparameters
        # With random crops the decoded image is kept, else the network's input.
        key = (run.preprocess, chosen.image_size if chosen.crop_scale >= 1 else None)
        images = self._images.pop(key, None)
        if images is None:
            images = self._decoded(run)
        self._images[key] = images
        run.cached.update(images)

    def _decoded(self, run: TrainingRun) -> Cache:
        trial = replace(run, hyperparameters=replace(run.hyperparameters, cache="memory"))
        decoded = cache_images(trial)
        older = [key for key, images in self._images.items() if images]
        while not decoded and older:
            del self._images[older.pop(0)]
            decoded = cache_images(trial)
        return decoded


_NEEDED: Final = 3  # training, validation and test


def on_features(chosen: Hyperparameters) -> bool:
    """Whether the head alone is trained, on features that are computed once."""
    return chosen.freeze == "backbone" and chosen.feature_views > 0


SHARE: Final = 0.5  # of the available memory; the rest is for network, batches and the system
_PROBES: Final = 16


def cache_images(run: TrainingRun, available: int | None = None) -> Cache:
    """With cache=memory, the decoded images of training and validation, if they fit in memory; else nothing.

    available: bytes of memory, instead of this machine's. Prints how many are cached, or why none is. Processes that
    load images share the memory where they are forked; where they are started in another way nothing is cached.
    Raises DataError when an image can't be read any more.
    """
    if run.hyperparameters.cache != "memory":
        return {}
    if run.workers and multiprocessing.get_start_method() != "fork":
        _say("each of the processes that load images would need a copy on this system; it stays off (set workers=0)")
        return {}
    budget = int(SHARE * (available_memory() if available is None else available))
    sets = {("train", True): run.images("train", augmented=True), ("valid", False): run.images("valid", False)}
    estimate = sum(_estimate(images) for images in sets.values())
    if estimate > budget:
        _say(f"the images need about {_size(estimate)}, and {_size(budget)} can be spared; it stays off")
        return {}
    total = sum(len(images) for images in sets.values())
    done = used = 0
    cached: Cache = {}
    for key, images in sets.items():
        cached[key] = []
        for pixels in map_in_threads(images.fixed, range(len(images)), ahead=4 * available_cpus()):
            cached[key].append(pixels)
            done += 1
            used += pixels.nbytes
            run.progress.update("decoding images into memory", done, total, "images")
            if used > budget:
                _say(f"{done} of {total} images need {_size(used)}, and {_size(budget)} can be spared; it stays off")
                return {}
    _say(f"{total} decoded images in memory, {_size(used)}")
    return cached


def _estimate(images: Images) -> int:
    """Bytes, from a few images evenly spread."""
    count = len(images)
    probes = range(0, count, max(1, count // _PROBES))
    return sum(images.fixed(index).nbytes for index in probes) * count // len(probes)


def _say(text: str) -> None:
    print(f"cache: {text}", flush=True)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
