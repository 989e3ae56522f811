"""PyTorch: the reference on the CPU, and the engine for NVIDIA GPUs."""

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

from contract.errors import ConfigError, DeviceError
from model.artifact import Artifact
from model.forms import TORCH
from model.network import Classifier
from model.threads import use_threads
from model.weights import load_network
from serve.engines.base import EngineOptions, FloatArray, UInt8Array

_log = logging.getLogger(__name__)

_NO_GPU: Final = "torch finds none"
# Images for which the network's kernels are recorded on a GPU. For one image, starting a hundred kernels from Python
# takes longer than computing them; a replay starts them all at once.
SIZES: Final = (1, 2, 4, 8, 16, 32)
DTYPES: Final = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}

# uint8 images (N, H, W, 3) -> logits (N, classes)
Forward = Callable[[Tensor], Tensor]


class TorchEngine:
    """The artifact's own network, channels-last: in float32 on the CPU, by default in float16 on a GPU."""

    def __init__(self, artifact: Artifact, options: EngineOptions) -> None:
        """Raises ArtifactError when the weights don't fit, DeviceError when there is no GPU for `cuda`, or the device
        doesn't do the precision, ConfigError for a form of another engine.
        """
        if options.form not in ("auto", TORCH):
            raise ConfigError(
                f"the engine torch runs the form {TORCH}, not {options.form}; choose the engine openvino for that, "
                "on device cpu or auto"
            )
        artifact.verify(TORCH)
        self._device = _choose_device(options.device)
        on_gpu = self._device.type == "cuda"
        precision = choose_precision(options.precision, on_gpu)
        # One thread alone predicts, so its team of `threads` is all that ever computes.
        use_threads(options.threads)
        # TensorFloat-32 would move probabilities by up to 1e-3 from what training and evaluation saw.
        torch.backends.cudnn.allow_tf32 = False
        self._temperature = artifact.temperature
        network = load_network(artifact).to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._forward = forward_in(network, DTYPES[precision])
        if on_gpu:
            self._forward = recorded(self._forward, artifact.preprocess.image_size, self._device)
        where = torch.cuda.get_device_name() if on_gpu else f"the CPU, {options.threads} threads"
        self.description = f"torch {torch.__version__} in {precision} on {where}"
        # Eager float32 on a CPU gains nothing by batches; the images would only wait for each other.
        self.max_batch = max(SIZES) if on_gpu else 1
        self.max_concurrency = 1

    @torch.inference_mode()
    def predict(self, images: UInt8Array) -> FloatArray:
        batch = torch.from_numpy(np.require(images, requirements=["C", "W"])).to(self._device)
        # Softmax in float64, as in evaluation, so that the two agree to the last digit that float32 has.
        logits = self._forward(batch).double() / self._temperature
        probabilities: FloatArray = logits.softmax(1).cpu().numpy()
        return probabilities


def choose_precision(precision: str, on_gpu: bool) -> str:
    """auto: f32 on the CPU; on a GPU f16, which all of them compute fast and whose eleven bits keep three more than
    bf16's eight: a ResNet's activations stay far below its largest number, 65,504.

    Raises DeviceError for a half precision on the CPU.
    """
    if precision == "auto":
        return "f16" if on_gpu else "f32"
    if not on_gpu and precision != "f32":
        raise DeviceError(
            f"precision {precision} is wanted, but the engine torch computes in f32 on the CPU; choose the engine "
            "openvino, a GPU, or auto"
        )
    return precision


def forward_in(network: Classifier, dtype: torch.dtype) -> Forward:
    """uint8 images -> float32 logits, with the backbone computed in `dtype`.

    Normalisation and head, which cost nothing, stay in float32.
    """
    network.backbone.to(dtype)

    def forward(images: Tensor) -> Tensor:
        features = network.backbone(network.normalise(images).to(dtype))
        logits: Tensor = network.head(features.float())
        return logits

    return forward


def gpu_fault() -> str | None:
    """Why torch can't use a GPU here; None when it can."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        usable = torch.cuda.is_available()
    if usable:
        return None
    return " ".join(str(caught[0].message).split()) if caught else _NO_GPU


@torch.inference_mode()
def recorded(forward: Forward, image_size: int, device: torch.device) -> Forward:
    """`forward` as CUDA graphs; as it is, and slower for few images, where they can't be recorded."""
    try:
        return by_fixed_sizes(recorder(forward, image_size, device))
    except RuntimeError as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        _log.warning("CUDA graphs can't be recorded, so single images take longer than they need: %s", first)
        return forward


def fixed_size(images: Tensor, logits: Tensor, replay: Callable[[], None]) -> Forward:
    """A computation that always reads `images` (N, H, W, 3) and writes `logits` (N, classes).

    replay: makes it run. Rows don't depend on each other, so with fewer images the other rows are left as they were.
    """

    def run(given: Tensor) -> Tensor:
        images[: len(given)].copy_(given)
        replay()
        # The next replay writes the same memory.
        return logits[: len(given)].clone()

    return run


def by_fixed_sizes(record: Callable[[int], Forward], sizes: Sequence[int] = SIZES) -> Forward:
    """Any number of images by computations of a few fixed sizes, all of which `record` makes, the largest first."""
    runs = {size: record(size) for size in sorted(sizes, reverse=True)}

    def run(images: Tensor) -> Tensor:
        return torch.cat([runs[size](images[start:stop]) for start, stop, size in split(len(images), sizes)])

    return run


def split(count: int, sizes: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """(start, stop, size) of each part of `count` images: the largest size as often as it fits, then the smallest
    that the rest fits into.
    """
    largest = max(sizes)
    for start in range(0, count, largest):
        stop = min(count, start + largest)
        yield start, stop, min(size for size in sizes if size >= stop - start)


def recorder(forward: Forward, image_size: int, device: torch.device) -> Callable[[int], Forward]:
    """Records `forward` on the GPU for a number of images; raises RuntimeError when it can't be recorded.

    One recording comes after the other, and never two at once, so they share their memory.
    """
    pool = torch.cuda.graph_pool_handle()

    def record(size: int) -> Forward:
        images = torch.zeros(size, image_size, image_size, 3, dtype=torch.uint8, device=device)
        # Libraries set themselves up in the first runs, which must not be recorded; and not on the default stream.
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                forward(images)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            logits = forward(images)
        return fixed_size(images, logits, graph.replay)

    return record


def _choose_device(device: str) -> torch.device:
    if device == "cpu":
        return torch.device("cpu")
    reason = gpu_fault()
    if reason is None:
        return torch.device("cuda")
    if device == "cuda":
        raise DeviceError(f"device cuda is wanted, but no NVIDIA GPU can be used ({reason}); choose cpu or auto")
    if reason != _NO_GPU:
        _log.warning("the GPU can't be used, so predictions run on the CPU: %s", reason)
    return torch.device("cpu")
