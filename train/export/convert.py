"""A torch network -> OpenVINO's, and its files."""

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from model._openvino import openvino
from model.network import Classifier, build
from model.preprocess import Preprocess

INPUT, OUTPUT = "images", "logits"


def fresh_copy(network: Classifier, architecture: str, head: str, num_classes: int, shape: Preprocess) -> Classifier:
    """A new network with the same weights, on the CPU, for evaluation, without the hooks of observers."""
    copy = build(architecture, head, num_classes, shape.mean, shape.std)
    copy.load_state_dict({name: tensor.detach().cpu() for name, tensor in network.state_dict().items()})
    return copy.eval().requires_grad_(False)


def convert(network: nn.Module, image_size: int) -> Any:
    """The network as an openvino.Model: uint8 `images` (N, image_size, image_size, 3) -> float32 `logits` (N, classes).

    N is dynamic, normalisation is inside. network: on the CPU, in evaluation mode; or the front part of one, whose
    output has the same name.
    """
    example = torch.zeros(1, image_size, image_size, 3, dtype=torch.uint8)
    with _quiet_torch(), torch.no_grad():
        # Traced here because convert_model would run the network twice more to check the trace, which imports torch's
        # compiler: 3 s. torch.export, which torch recommends, takes as long. A ResNet has no branch to miss.
        traced = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]
        shape = [-1, image_size, image_size, 3]
        model = openvino.convert_model(traced, input=[(shape, openvino.Type.u8)])
    model.inputs[0].set_names({INPUT})
    model.outputs[0].set_names({OUTPUT})
    return model


def save(model: Any, graph: Path) -> None:
    """Write the model as `graph` (.xml) and the .bin beside it; the same model gives the same bytes.

    Weights stay float32: as float16 the file is half as large, but the probabilities then differ from torch's in the
    third decimal rather than the sixth, and loading has to widen the weights.
    """
    rename(model)
    openvino.save_model(model, graph, compress_to_fp16=False)


def read(graph: Path) -> Any:
    """The openvino.Model in the files `graph` (.xml) and the .bin beside it."""
    return openvino.Core().read_model(graph)


def rename(model: Any) -> None:
    """Give nodes that OpenVINO named by a counter over the whole process (`Constant_74533`) a name by position."""
    model.set_friendly_name("classifier")
    for index, node in enumerate(model.get_ordered_ops()):
        # A convolution that BatchNorm was folded into is called `Multiply_71023`. Names that come from the network
        # (`__module.backbone.layer1/...`) stay: a profiler shows them.
        if re.match(r"[A-Z][A-Za-z0-9]*_\d+\b", node.get_friendly_name()):
            node.set_friendly_name(f"{node.get_type_name()}:{index}")


@contextmanager
def _quiet_torch() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    try:
        with warnings.catch_warnings():
            # That tracing is deprecated.
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        # OpenVINO's converter sets up logging for the whole process.
        root.setLevel(level)
        root.handlers[:] = handlers
