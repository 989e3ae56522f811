"""Features of a frozen backbone: computed once, trained on in every epoch, kept for other jobs."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from contract.errors import ImageError
from contract.files import write_atomic
from model.network import Classifier
from train.extract import BATCH, Extract, extractor
from train.loader import vanished
from train.one_at_a_time import one_at_a_time
from train.order import EpochOrder
from train.run import Run

FOLDER_VARIABLE: Final = "KENNEL_FEATURE_CACHE"
KEPT_FILES: Final = 64


@dataclass(frozen=True)
class Features:
    """values: float32 (views, N, D). labels: int64 (N,)."""

    values: Tensor
    labels: Tensor


class FeatureBatches:
    """Batches of features (n, D) and labels (n,) in an order; epoch e, from 1, has view (e - 1) modulo the views.

    An image that comes again within an epoch comes with the next view.
    """

    def __init__(self, features: Features, order: EpochOrder, device: torch.device) -> None:
        self._values, self._labels = features.values.to(device), features.labels.to(device)
        self._order = order

    def __len__(self) -> int:
        return len(self._order)

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of epoch `number`."""
        self._order.epoch = number
        views = len(self._values)
        for keys in self._order:
            index = torch.tensor([index for _, index, _ in keys], device=self._labels.device)
            view = torch.tensor([(max(epoch, 1) - 1 + repeat) % views for epoch, _, repeat in keys])
            yield self._values[view.to(index.device), index], self._labels[index]


def compute_features(run: Run, network: Classifier, role: str, views: int) -> Features:
    """The backbone's features of a split: of views 1 to `views`, drawn as those epochs do; with 0 the plain ones.

    With KENNEL_FEATURE_CACHE set each view is looked up in that folder first, and left there for other jobs; of those
    that need it at the same time one computes it and the others wait. The key covers backbone, images, preprocessing,
    augmentation and seed.
    """
    numbers = range(1, views + 1) if views else range(1)
    labels = torch.tensor([sample.label for sample in run.data.splits[role].samples])
    folder = os.environ.get(FOLDER_VARIABLE)
    key = _key(run, network.backbone, role, augmented=views > 0) if folder else ""
    network.to(run.device).eval()
    extract: Extract | None = None
    found, parts = 0, []
    for done, view in enumerate(numbers):
        run.progress.update(f"computing features of {role} images", done, len(numbers), "views")
        file = Path(folder, f"{key}-{view}.safetensors") if folder else None
        with one_at_a_time(file):
            values = _read(file, len(labels)) if file else None
            if values is None:
                # Made when the first view is missing: it takes seconds. Chosen by what `epochs` doesn't change: in a
                # search trials of few epochs and of many share these views.
                most = run.hyperparameters.feature_views if views else 1
                extract = extract or extractor(network, run, len(labels) * most)
                values = _compute(run, extract, role, view)
                if file:
                    _keep(file, values)
            else:
                found += 1
        parts.append(values)
    run.progress.update(f"computing features of {role} images", len(numbers), len(numbers), "views")
    if found:
        print(f"features of {role} images: {found} of {len(numbers)} views found in {folder}", flush=True)
    return Features(torch.stack(parts), labels)


def _compute(run: Run, extract: Extract, role: str, view: int) -> Tensor:
    """Float32 (N, D) on the CPU."""
    # Always batches of the same size: the same image has the same features, to the bit, whatever the head's batch_size.
    return torch.cat([extract(images) for images, _ in run.batches_of(role, BATCH, view)])


def _key(run: Run, backbone: nn.Module, role: str, augmented: bool) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(backbone.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    images = run.images(role, augmented)
    # The plain view has no chance in it.
    seed = images.seed if augmented else None
    chosen = run.hyperparameters
    facts = [chosen.architecture, run.preprocess.to_dict(), repr(images.augment), seed, chosen.feature_precision]
    digest.update(json.dumps([*facts, torch.__version__, run.device.type]).encode())
    for sample in images.samples:
        try:
            content = sample.encoded()
            digest.update(hashlib.sha256(content if isinstance(content, bytes) else content.read_bytes()).digest())
        except (OSError, ImageError) as error:
            raise vanished(sample, error) from error
    return digest.hexdigest()[:32]


def _read(file: Path, count: int) -> Tensor | None:
    try:
        values = safetensors.torch.load_file(file)["values"]
    except (OSError, SafetensorError, KeyError):
        return None
    return values if values.ndim == 2 and len(values) == count else None


def _keep(file: Path, values: Tensor) -> None:
    """Leave the features for other jobs; a folder that can't be written costs those jobs time, and nothing else."""
    try:
        write_atomic(file, safetensors.torch.save({"values": values}))
        files = sorted(file.parent.glob("*.safetensors"), key=lambda each: each.stat().st_mtime)
        for old in files[:-KEPT_FILES]:
            old.unlink(missing_ok=True)
    except OSError as error:
        print(f"WARNING: the features can't be kept in {file.parent} ({error.strerror})", flush=True)
