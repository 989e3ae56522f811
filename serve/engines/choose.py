"""The engine `auto`: the one of the others that suits this machine and this artifact."""

import importlib
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from model.artifact import Artifact
from model.forms import GRAPHS, TORCH
from serve.engines import registry
from serve.engines.base import Engine, EngineOptions, FloatArray, UInt8Array

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choice:
    """An engine's name, why it was chosen, and what there is to warn of, if anything."""

    engine: str
    reason: str
    warning: str = ""


@dataclass(frozen=True)
class Machine:
    """Questions about the machine, in the order of their cost.

    gpu_visible: whether there may be an NVIDIA GPU. gpu_fault and openvino_fault: why torch can't use it, and why
    OpenVINO can't be imported; None when they can. Each imports its library.
    """

    gpu_visible: Callable[[], bool]
    gpu_fault: Callable[[], str | None]
    openvino_fault: Callable[[], str | None]


class _ChosenEngine:
    """An engine whose description says why it was chosen."""

    def __init__(self, engine: Engine, reason: str) -> None:
        self._engine = engine
        self.description = f"{engine.description} (chosen because {reason})"
        self.max_batch, self.max_concurrency = engine.max_batch, engine.max_concurrency

    def predict(self, images: UInt8Array) -> FloatArray:
        return self._engine.predict(images)


def load_best(artifact: Artifact, options: EngineOptions) -> Engine:
    """The chosen engine, loaded. Raises what that engine raises."""
    choice = choose(artifact, options, Machine(gpu_visible, _gpu_fault, _openvino_fault))
    if choice.warning:
        _log.warning("%s", choice.warning)
    return _ChosenEngine(registry.find(choice.engine)(artifact, options), choice.reason)


def choose(artifact: Artifact, options: EngineOptions, machine: Machine) -> Choice:
    """What the options ask for; else a GPU that can be used; else OpenVINO, if the artifact has a form; else torch."""
    if options.device == "cuda":
        return Choice("torch", "device cuda is wanted")
    if options.form != "auto":
        return Choice("torch" if options.form == TORCH else "openvino", f"form {options.form} is wanted")
    where, gpu_fault = "there is no NVIDIA GPU", None
    if options.device == "cpu":
        where = "device cpu is wanted"
    elif machine.gpu_visible():
        gpu_fault = machine.gpu_fault()
        if gpu_fault is None:
            return Choice("torch", "there is an NVIDIA GPU")
        where = "the NVIDIA GPU can't be used"
    unused = f"the GPU can't be used, so predictions run on the CPU: {gpu_fault}" if gpu_fault else ""
    has_form = any(form in GRAPHS for form in artifact.forms)
    fault = machine.openvino_fault() if has_form else "the artifact has no form for OpenVINO; train with export=int8"
    if fault is None:
        return Choice("openvino", f"{where} and the artifact has a form for OpenVINO", unused)
    slow = f"predictions run in torch, which is slower and takes more memory: {fault}"
    return Choice("torch", f"{where} and OpenVINO can't serve this artifact", "; ".join(filter(None, (unused, slow))))


def gpu_visible(system: Path = Path("/"), environ: Mapping[str, str] = os.environ) -> bool:
    """Whether an NVIDIA GPU's device is there and isn't hidden on purpose; no library is asked, nothing started."""
    if environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in ("", "-1"):
        return False
    if environ.get("NVIDIA_VISIBLE_DEVICES") in ("void", "none"):
        return False
    # Windows' Linux has one device for GPUs of all makers.
    return any((system / "dev").glob("nvidia[0-9]*")) or (system / "dev" / "dxg").exists()


def _gpu_fault() -> str | None:
    try:
        from serve.engines.torch import gpu_fault
    except ImportError as error:
        return f"torch can't be imported ({error})"
    return gpu_fault()


def _openvino_fault() -> str | None:
    try:
        importlib.import_module("model._openvino")
    except ImportError as error:
        return f"OpenVINO can't be imported ({error})"
    return None
