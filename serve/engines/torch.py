"""PyTorch: the reference on the CPU, and the engine for NVIDIA GPUs."""

import logging
import warnings

import numpy as np
import torch

from model.artifact import Artifact
from model.errors import DeviceError
from model.forms import TORCH
from model.weights import load_network
from serve.engines.base import EngineOptions, FloatArray, UInt8Array

_log = logging.getLogger(__name__)


class TorchEngine:
    """The artifact's own network, eager, in float32 and channels-last."""

    def __init__(self, artifact: Artifact, options: EngineOptions) -> None:
        """Raises ArtifactError when the weights don't fit, DeviceError when there is no GPU for `cuda`."""
        artifact.verify(TORCH)
        self._device = _choose_device(options.device)
        self._threads = options.threads
        # One thread alone predicts, so its team of `threads` is all that ever computes.
        torch.set_num_threads(options.threads)
        # TensorFloat-32 would move probabilities by up to 1e-3 from what training and evaluation saw.
        torch.backends.cudnn.allow_tf32 = False
        self._temperature = artifact.temperature
        self._network = load_network(artifact).to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def description(self) -> str:
        where = torch.cuda.get_device_name() if self._on_gpu else f"the CPU, {self._threads} threads"
        return f"torch {torch.__version__} on {where}"

    @property
    def max_batch(self) -> int:
        # Eager float32 on a CPU gains nothing by batches; the images would only wait for each other.
        return 32 if self._on_gpu else 1

    @property
    def lanes(self) -> int:
        return 1

    @property
    def _on_gpu(self) -> bool:
        return self._device.type == "cuda"

    @torch.inference_mode()
    def predict(self, images: UInt8Array) -> FloatArray:
        batch = torch.from_numpy(np.require(images, requirements=["C", "W"])).to(self._device)
        # Softmax in float64, as in evaluation, so that the two agree to the last digit that float32 has.
        logits = self._network(batch).double() / self._temperature
        probabilities: FloatArray = logits.softmax(1).cpu().numpy()
        return probabilities


def _choose_device(wanted: str) -> torch.device:
    if wanted == "cpu":
        return torch.device("cpu")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        usable = torch.cuda.is_available()
    reason = " ".join(str(caught[0].message).split()) if caught else "torch finds none"
    if usable:
        return torch.device("cuda")
    if wanted == "cuda":
        raise DeviceError(f"device cuda is wanted, but no NVIDIA GPU can be used ({reason}); choose cpu or auto")
    if caught:
        _log.warning("the GPU can't be used, so predictions run on the CPU: %s", reason)
    return torch.device("cpu")
