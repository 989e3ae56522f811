"""Measures each form on the validation images."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model._openvino import openvino
from model.forms import Score
from model.metrics import Evaluation
from model.network import Classifier

# uint8 (N, H, W, 3) on the CPU -> logits, float (N, classes)
Predict = Callable[[Tensor], NDArray[np.floating[Any]]]
Key = tuple[str, str]  # form and precision


def torch_form(network: Classifier, device: torch.device) -> Predict:
    """The network as it was trained, on the device it was trained on."""
    network.eval()

    def predict(images: Tensor) -> NDArray[np.floating[Any]]:
        with torch.inference_mode():
            return np.asarray(network(images.to(device)).float().cpu().numpy())

    return predict


def openvino_form(graph: Path, precision: str, threads: int) -> Predict:
    """The network in the file, compiled for this CPU. precision: f32 or bf16.

    The precision is always set: OpenVINO's own choice depends on the CPU (bf16 where it can).
    """
    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
    compiled = openvino.Core().compile_model(graph, "CPU", settings)

    def predict(images: Tensor) -> NDArray[np.floating[Any]]:
        return np.asarray(compiled(images.numpy())[0])

    return predict


def no_bf16() -> str | None:
    """Why this CPU's OpenVINO can't compute in bf16; None when it can."""
    core = openvino.Core()
    if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return None
    return f"this CPU has no instructions for bf16 ({core.get_property('CPU', 'FULL_DEVICE_NAME')})"


@dataclass
class _Sum:
    n: int = 0
    correct: int = 0
    loss: float = 0.0


def measure(
    forms: Mapping[Key, Predict], batches: Iterable[tuple[Tensor, Tensor]], on_progress: Callable[[int], None]
) -> dict[Key, Score]:
    """Each form's score on the same images, which are decoded once. on_progress: called with the images done."""
    sums = {name: _Sum() for name in forms}
    done = 0
    for images, labels in batches:
        for name, predict in forms.items():
            result = Evaluation(predict(images).astype(np.float64), labels.numpy())
            sums[name].n += result.n
            sums[name].correct += int((result.predictions == result.labels).sum())
            with np.errstate(invalid="ignore"):
                sums[name].loss += result.loss * result.n
        done += len(labels)
        on_progress(done)
    return {
        name: Score(total.n, total.correct, total.loss / total.n if np.isfinite(total.loss) else None)
        for name, total in sums.items()
    }
