"""What trainings on the same images share: backbones, decoded images, features, latencies.

An ordinary job is one training, a search many: both use the same code, so that a trial has the metrics of a job.
"""

import copy
import multiprocessing
import time
from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import torch
from torch import Tensor, nn

from contract.hyperparameters import Hyperparameters
from contract.metrics import MetricLog
from contract.paths import MLPaths
from contract.progress import Progress
from model.machine import available_cpus, available_memory
from model.network import Classifier, assemble, build_backbone
from model.preprocess import Preprocess
from model.pretrained import load_backbone
from train.context import TrainingRun
from train.data.dataset import DataSet
from train.data.load import map_in_threads
from train.device import measure_latency
from train.distributed import ALONE, Group
from train.features import FeatureBatches, Features, compute_features
from train.loader import Batches, CachedImages, Images

_FEATURES_SHARE: Final = 0.25  # of the available memory, for features that other trainings may ask for again

Cache = dict[tuple[str, bool], CachedImages]  # by (split, augmented)


@dataclass(frozen=True)
class _Backbone:
    """random: the state of torch's generator after the backbone was built; the head is drawn from it."""

    module: nn.Module
    features: int
    source: str
    random: Tensor

    @cached_property
    def frozen(self) -> nn.Module:
        """The copy that all trainings with a frozen backbone share."""
        return copy.deepcopy(self.module)


class Backbones:
    """Builds and loads each backbone once. The same hyperparameters give the same network, to the bit.

    several: more than one training takes place. A single one gets the backbone itself instead of a copy, and caches
    images only with cache=memory.
    """

    def __init__(self, several: bool) -> None:
        self.several = several
        self._built: dict[tuple[str, str, int], _Backbone] = {}

    def load(self, hyperparameters: Hyperparameters) -> str:
        """Build the backbone and load its weights, once; the source of the weights.

        Raises WeightsError when the weights can't be downloaded or read, or don't fit.
        """
        return self._of(hyperparameters).source

    def network(self, hyperparameters: Hyperparameters, shape: Preprocess, classes: int) -> Classifier:
        """Backbone and new head. A frozen backbone is the same object every time, as no training changes it."""
        built = self._of(hyperparameters)
        frozen = hyperparameters.freeze == "backbone"
        backbone = built.module
        if self.several:
            backbone = built.frozen if frozen else copy.deepcopy(built.module)
        torch.set_rng_state(built.random)
        network = assemble(backbone, built.features, hyperparameters.head, classes, shape.mean, shape.std)
        if frozen:
            network.freeze_backbone()
        return network

    def _of(self, hyperparameters: Hyperparameters) -> _Backbone:
        key = (hyperparameters.architecture, hyperparameters.pretrained, hyperparameters.seed)
        if key not in self._built:
            torch.manual_seed(hyperparameters.seed)
            module, features = build_backbone(hyperparameters.architecture)
            source = load_backbone(module, hyperparameters.architecture, hyperparameters.pretrained)
            self._built[key] = _Backbone(module, features, source, torch.get_rng_state())
        return self._built[key]


class TrainingResources:
    """Built once in a process; not safe for use by several threads."""

    def __init__(
        self,
        paths: MLPaths,
        data: DataSet,
        device: torch.device,
        backbones: Backbones,
        progress: Progress,
        epochs: int = 0,
    ) -> None:
        """epochs: of the longest training; features are computed for so many epochs at once."""
        self.paths, self.data, self.device = paths, data, device
        self._backbones, self._progress = backbones, progress
        self._epochs = epochs
        self._images: dict[Hashable, Cache] = {}  # the newest last; empty where they don't fit
        self._features: dict[Hashable, Features] = {}  # the newest last
        self._latencies: dict[Hashable, float] = {}

    def run(
        self,
        hyperparameters: Hyperparameters,
        metrics: MetricLog,
        *,
        tuner_objective: str | None = None,
        group: Group = ALONE,
        began: float | None = None,
    ) -> TrainingRun:
        """A training of its own; for `tuner_objective`, `group` and `began` see TrainingRun."""
        shape = Preprocess.for_size(hyperparameters.test_image_size or hyperparameters.image_size)
        source = self._backbones.load(hyperparameters)
        return TrainingRun(
            self.paths, hyperparameters, self.device, shape, self.data, source, metrics, self._progress,
            tuner_objective=tuner_objective, group=group, began=began,
        )  # fmt: skip

    def network(self, run: TrainingRun) -> Classifier:
        """The network as training starts with it."""
        return self._backbones.network(run.hyperparameters, run.preprocess, len(run.data.classes))

    def model_and_loaders(self, run: TrainingRun, network: Classifier) -> tuple[nn.Module, Batches, Batches]:
        """Model, training batches, validation batches: the network on images, or its head on a backbone's features."""
        hyperparameters = run.hyperparameters
        if not on_features(hyperparameters):
            self._cache_images(run)
            return network, run.loader("train", augmented=True, shuffle=True), run.loader("valid")
        start = time.monotonic()
        # No more views than epochs, which would not use them.
        train, computed = self._features_of(
            run, network, "train", min(hyperparameters.feature_views, hyperparameters.epochs)
        )
        valid, _ = self._features_of(run, network, "valid", 0)
        if computed is not None:
            print(f"features: {computed} for training, in {time.monotonic() - start:.1f} s", flush=True)
        return (
            network.head,
            FeatureBatches(train, run.order("train", shuffle=True), run.device),
            FeatureBatches(valid, run.order("valid", shuffle=False), run.device),
        )

    def test_batches(self, run: TrainingRun, network: Classifier) -> Batches:
        """The test data for the model that `model_and_loaders` returned."""
        if not on_features(run.hyperparameters):
            return run.loader("test")
        test, _ = self._features_of(run, network, "test", 0)
        return FeatureBatches(test, run.order("test", shuffle=False), run.device)

    def latency(self, run: TrainingRun, network: Classifier) -> float:
        """Milliseconds for one image; measured once for each architecture, head and size."""
        size = run.preprocess.image_size
        key = (run.hyperparameters.architecture, run.hyperparameters.head, size)
        if key not in self._latencies:
            self._latencies[key] = measure_latency(network, size, run.device)
        return self._latencies[key]

    def _features_of(
        self, run: TrainingRun, network: Classifier, split: str, views: int
    ) -> tuple[Features, tuple[int, ...] | None]:
        """A split's features, and the shape of all that were computed; None where they were there."""
        hyperparameters, images = run.hyperparameters, run.images(split, augmented=views > 0)
        backbone = (
            hyperparameters.architecture,
            hyperparameters.pretrained,
            hyperparameters.seed,
            hyperparameters.feature_precision,
        )
        # The number of views decides which library computes them.
        key = (split, *backbone, images.preprocess, images.augment, hyperparameters.feature_views if views else 0)
        computed = None
        features = self._features.pop(key, None)
        if features is None or len(features.values) < views:
            self._cache_images(run)
            most = max(views, min(hyperparameters.feature_views, self._epochs)) if views else 0
            features = compute_features(run, network, split, most)
            features = Features(features.values.to(run.device), features.labels.to(run.device))
            computed = tuple(features.values.shape)
        self._features[key] = features
        self._forget_features()
        return Features(features.values[: max(1, views)], features.labels), computed

    def _forget_features(self) -> None:
        """Drop the oldest where they take too much memory, but never the newest of training, validation and test."""
        budget = _FEATURES_SHARE * available_memory() if len(self._features) > _NEEDED else 0
        while (
            len(self._features) > _NEEDED
            and sum(features.values.nbytes for features in self._features.values()) > budget
        ):
            self._features.pop(next(iter(self._features)))

    def _cache_images(self, run: TrainingRun) -> None:
        """Fill the run's cache from earlier runs, or decode its images where they fit in memory."""
        if not self._backbones.several:
            run.cached.update(cache_images(run))
            return
        hyperparameters = run.hyperparameters
        # With random crops the decoded images are cached, else the network's inputs.
        key = (run.preprocess, hyperparameters.image_size if hyperparameters.crop_scale >= 1 else None)
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


def on_features(hyperparameters: Hyperparameters) -> bool:
    """Whether the head alone is trained, on features that are computed once."""
    return hyperparameters.freeze == "backbone" and hyperparameters.feature_views > 0


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
