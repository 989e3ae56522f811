"""The frozen backbone as a function: images -> features, as fast as the machine allows."""

from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from model.machine import available_cpus
from model.network import Classifier
from train.run import Run

BATCH: Final = 64
# OpenVINO takes half of torch's time on the CPU, and most of a second to begin with: worth it from about this many
# images of 224 x 224 pixels on. (AMD EPYC, 2 cores: 16 ms an image against 30 ms; 8 ms in bfloat16.)
MANY: Final = 40

Extract = Callable[[Tensor], Tensor]  # uint8 (N, H, W, 3), N <= BATCH -> float32 (N, D), on the CPU


def extractor(network: Classifier, run: Run, count: int) -> Extract:
    """The backbone's features. network: on the run's device, in evaluation mode; count: images that are to come.

    With feature_precision=bfloat16 a GPU, or a CPU that has instructions for it, computes in bfloat16; another one says
    that it doesn't. What comes out is float32.
    """
    bfloat16 = run.hyperparameters.feature_precision == "bfloat16"
    if run.device.type != "cpu":
        return _with_torch(network, run.device, bfloat16)
    if bfloat16 and (why := _no_bf16()):
        print(f"features are computed in float32: {why}", flush=True)
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
    # Here: a training of the whole network needs none of it.
    from model._openvino import openvino
    from train.export.convert import convert

    model = convert(nn.Sequential(network.normalise, network.backbone), image_size)
    # A fixed shape, so that each size of batch is not compiled for itself.
    model.reshape([BATCH, image_size, image_size, 3])
    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": available_cpus(), "NUM_STREAMS": 1}
    compiled = openvino.Core().compile_model(model, "CPU", settings)

    def extract(images: Tensor) -> Tensor:
        batch = np.zeros((BATCH, *images.shape[1:]), np.uint8)
        batch[: len(images)] = images.numpy()
        # A copy: the library writes the next answer into the same memory.
        return torch.from_numpy(np.array(compiled(batch)[0][: len(images)], np.float32))

    return extract


def _no_bf16() -> str | None:
    from train.export.measure import no_bf16

    return no_bf16()
