"""Features of a frozen backbone: computed once, trained on in every epoch, and stored for other jobs.

Of several processes that need the same file, one computes it while the others wait.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from contract.errors import ImageError
from contract.files import locked, write_atomic
from model.machine import available_cpus
from model.network import Classifier
from train.context import TrainingRun
from train.loader import EpochOrder, vanished_error

BATCH: Final = 64
# OpenVINO takes half of torch's time on the CPU, after most of a second to start: faster from about this many images
# of 224 x 224 pixels on. (AMD EPYC, 2 cores: 16 ms an image against 30 ms; 8 ms in bfloat16.)
MANY: Final = 40

Extract = Callable[[Tensor], Tensor]  # uint8 (N, H, W, 3), N <= BATCH -> float32 (N, D), on the CPU


def extractor(network: Classifier, run: TrainingRun, count: int) -> Extract:
    """A function that computes features. network: on the run's device, in evaluation mode. count: of the images.

    With feature_precision=bfloat16 a GPU, or a CPU with instructions for it, computes in bfloat16; another CPU prints
    that it doesn't. The features are float32.
    """
    bfloat16 = run.hyperparameters.feature_precision == "bfloat16"
    if run.device.type != "cpu":
        return _with_torch(network, run.device, bfloat16)
    if bfloat16:
        from train.export.measure import no_bf16

        if reason := no_bf16():
            print(f"features are computed in float32: {reason}", flush=True)
            bfloat16 = False
    size = run.preprocess.image_size
    if bfloat16 or count * size * size >= MANY * 224 * 224:
        return _with_openvino(network, size, "bf16" if bfloat16 else "f32")
    return _with_torch(network, run.device, False)


def _with_torch(network: Classifier, device: torch.device, bfloat16: bool) -> Extract:
    def extract(images: Tensor) -> Tensor:
        # Not inference_mode: its tensors can't be trained on.
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            batch = network.normalise(images.to(device, non_blocking=True))
            features: Tensor = network.backbone(batch)
            return features.float().cpu()

    return extract


def _with_openvino(network: Classifier, image_size: int, precision: str) -> Extract:
    # Imported here, as training the whole network needs none of it.
    from model._openvino import openvino
    from train.export.convert import convert

    model = convert(nn.Sequential(network.normalise, network.backbone), image_size)
    # A fixed shape, so that not every size of batch is compiled.
    model.reshape([BATCH, image_size, image_size, 3])
    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": available_cpus(), "NUM_STREAMS": 1}
    compiled = openvino.Core().compile_model(model, "CPU", settings)

    def extract(images: Tensor) -> Tensor:
        batch = np.zeros((BATCH, *images.shape[1:]), np.uint8)
        batch[: len(images)] = images.numpy()
        # A copy: the library writes the next result into the same memory.
        return torch.from_numpy(np.array(compiled(batch)[0][: len(images)], np.float32))

    return extract


FOLDER_VARIABLE: Final = "KENNEL_FEATURE_CACHE"
MAX_FILES: Final = 64


@dataclass(frozen=True)
class Features:
    """values: float32 (views, N, D). labels: int64 (N,)."""

    values: Tensor
    labels: Tensor


class FeatureBatches:
    """Batches of features (n, D) and labels (n,) in an order; epoch e, from 1, has view (e - 1) modulo the views.

    An image that is repeated within an epoch has the next view.
    """

    def __init__(self, features: Features, order: EpochOrder, device: torch.device) -> None:
        self._values, self._labels = features.values.to(device), features.labels.to(device)
        self._order = order

    def __len__(self) -> int:
        return len(self._order)

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of epoch `number`."""
        views = len(self._values)
        for keys in self._order.batches(number):
            index = torch.tensor([index for _, index, _ in keys], device=self._labels.device)
            view = torch.tensor([(max(epoch, 1) - 1 + repeat) % views for epoch, _, repeat in keys])
            yield self._values[view.to(index.device), index], self._labels[index]


def compute_features(run: TrainingRun, network: Classifier, split: str, views: int) -> Features:
    """The backbone's features of a split: of views 1 to `views`, as those epochs draw them; unaugmented for 0.

    With KENNEL_FEATURE_CACHE set each view is looked up in that folder first, and stored there for other jobs. The key
    covers backbone, images, preprocessing, augmentation and seed.
    """
    numbers = range(1, views + 1) if views else range(1)
    labels = torch.tensor([sample.label for sample in run.data.splits[split].samples])
    folder = os.environ.get(FOLDER_VARIABLE)
    key = _key(run, network.backbone, split, augmented=views > 0) if folder else ""
    network.to(run.device).eval()
    extract: Extract | None = None
    reused, parts = 0, []
    for done, view in enumerate(numbers):
        run.progress.update(f"computing features of {split} images", done, len(numbers), "views")
        file = Path(folder, f"{key}-{view}.safetensors") if folder else None
        with locked(file) if file else nullcontext():
            values = _read(file, len(labels)) if file else None
            if values is None:
                # Built only when a view is missing, as that takes seconds; and for a count that `epochs` doesn't
                # change: in a search, trials of few and of many epochs share these views.
                most = run.hyperparameters.feature_views if views else 1
                extract = extract or extractor(network, run, len(labels) * most)
                values = _compute(run, extract, split, view)
                if file:
                    _store(file, values)
            else:
                reused += 1
        parts.append(values)
    run.progress.update(f"computing features of {split} images", len(numbers), len(numbers), "views")
    if reused:
        print(f"features of {split} images: {reused} of {len(numbers)} views found in {folder}", flush=True)
    return Features(torch.stack(parts), labels)


def _compute(run: TrainingRun, extract: Extract, split: str, view: int) -> Tensor:
    """Float32 (N, D) on the CPU."""
    # Always batches of one size: an image's features are the same to the bit, whatever the head's batch_size.
    return torch.cat([extract(images) for images, _ in run.batches_of(split, BATCH, view)])


def _key(run: TrainingRun, backbone: nn.Module, split: str, augmented: bool) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(backbone.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    images = run.images(split, augmented)
    # The unaugmented view is not random.
    seed = images.seed if augmented else None
    hyperparameters = run.hyperparameters
    facts = [
        hyperparameters.architecture,
        run.preprocess.to_dict(),
        repr(images.augment),
        seed,
        hyperparameters.feature_precision,
    ]
    digest.update(json.dumps([*facts, torch.__version__, run.device.type]).encode())
    for sample in images.samples:
        try:
            content = sample.encoded()
            digest.update(hashlib.sha256(content if isinstance(content, bytes) else content.read_bytes()).digest())
        except (OSError, ImageError) as error:
            raise vanished_error(sample, error) from error
    return digest.hexdigest()[:32]


def _read(file: Path, count: int) -> Tensor | None:
    try:
        values = safetensors.torch.load_file(file)["values"]
    except (OSError, SafetensorError, KeyError):
        return None
    return values if values.ndim == 2 and len(values) == count else None


def _store(file: Path, values: Tensor) -> None:
    """Store the features for other jobs. Where the folder can't be written, these jobs take longer."""
    try:
        write_atomic(file, safetensors.torch.save({"values": values}))
        files = sorted(file.parent.glob("*.safetensors"), key=lambda path: path.stat().st_mtime)
        for old in files[:-MAX_FILES]:
            old.unlink(missing_ok=True)
    except OSError as error:
        print(f"WARNING: the features can't be kept in {file.parent} ({error.strerror})", flush=True)
