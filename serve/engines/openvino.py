"""OpenVINO, for CPUs: the artifact's int8 form where its accuracy holds, else the float one in bf16 or f32."""

import queue
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import numpy as np

from contract.errors import ArtifactError, ConfigError, DeviceError
from model._openvino import openvino
from model.artifact import Artifact
from model.forms import GRAPHS, OPENVINO, OPENVINO_INT8, TORCH, may_replace
from model.metrics import softmax
from serve.engines.base import EngineOptions, FloatArray, UInt8Array

# More threads than this give one image's small layers nothing but waiting for each other.
_MOST_THREADS: Final = 16
_MOST_CONCURRENCY: Final = 16
# A ResNet's graph has less than 1 MB. OpenVINO takes minutes over one of ten thousand layers.
_GRAPH_LIMIT: Final = 2 * 1024 * 1024
# As OpenVINO names what a CPU can compute in.
_CAPABILITIES: Final = {"f32": "FP32", "bf16": "BF16", "f16": "FP16"}
_CPUINFO: Final = Path("/proc/cpuinfo")


class OpenVinoEngine:
    """The network compiled twice from the same mapped weights: for a prediction that runs alone, which takes all
    threads, and for several at once, of which each has its own.
    """

    def __init__(self, artifact: Artifact, options: EngineOptions) -> None:
        """Raises ArtifactError when the form is missing or broken, ConfigError or DeviceError for options that
        don't fit this engine or machine.
        """
        form = choose_form(artifact, options)
        core = openvino.Core()
        self._precision = choose_precision(
            artifact,
            form,
            options.precision,
            core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"),
            bf16_pays(_CPUINFO),
        )
        threads = f"{options.threads} thread" + ("s" if options.threads > 1 else "")
        self.description = f"openvino {_version()}, form {form} in {self._precision}, on the CPU, {threads}"
        # What gives a tenth more images a second than one by one; eight give little more, and whoever comes next waits
        # longer.
        self.max_batch = 4
        self.max_concurrency, width = share_threads(options.threads)
        self._temperature = artifact.temperature
        graph = artifact.graph(form)
        artifact.verify(form)
        # The weights stay in the page cache, where all workers find them.
        core.set_property({"ENABLE_MMAP": True})
        try:
            model = _read(core, graph, artifact)
            alone = at_once = self._compile(core, model, 1, min(options.threads, _MOST_THREADS))
            if self.max_concurrency > 1:
                at_once = self._compile(core, model, self.max_concurrency, self.max_concurrency * width)
            self._alone, self._at_once = _Requests(alone, 1), _Requests(at_once, self.max_concurrency)
            size = artifact.preprocess.image_size
            for requests in (self._alone, self._at_once):
                # The first run lays out weights and memory: it may fail, and takes longer than those after it.
                requests.infer(np.zeros((1, size, size, 3), np.uint8))
        except (RuntimeError, OSError) as error:
            raise ArtifactError(
                f"{graph} can't be used by OpenVINO {_version()} ({_reason(error)}); copy the artifact's folder "
                "again, or train with export=int8"
            ) from error
        self._running = 0
        self._lock = threading.Lock()

    def predict(self, images: UInt8Array) -> FloatArray:
        with self._lock:
            self._running += 1
            requests = self._alone if self._running == 1 else self._at_once
        try:
            logits = requests.infer(np.ascontiguousarray(images))
        finally:
            with self._lock:
                self._running -= 1
        return softmax(logits, self._temperature)

    def _compile(self, core: Any, model: Any, streams: int, threads: int) -> Any:
        settings = {
            # Always said: left alone, OpenVINO takes bf16 where the CPU has it.
            "INFERENCE_PRECISION_HINT": self._precision,
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": streams,
            # Otherwise two threads become one where two of the CPUs are one core's.
            "ENABLE_HYPER_THREADING": True,
            # Pinned, all workers would choose the same cores; and the thread that asks stays pinned, too.
            "ENABLE_CPU_PINNING": False,
        }
        return core.compile_model(model, "CPU", settings)


class _Requests:
    """A compiled network's infer requests, each for one thread at a time."""

    def __init__(self, compiled: Any, count: int) -> None:
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(count):
            self._free.put(compiled.create_infer_request())

    def infer(self, images: UInt8Array) -> np.ndarray[Any, Any]:
        """Logits, in an array of their own; waits for a request that is free."""
        request = self._free.get()
        try:
            return np.asarray(request.infer([images])[0])
        finally:
            self._free.put(request)


def choose_form(artifact: Artifact, options: EngineOptions) -> str:
    """The form that the options name, or the artifact's default.

    Raises ConfigError for a device or a form that isn't OpenVINO's; whether the artifact has the form is checked later.
    """
    if options.device == "cuda":
        raise ConfigError("the engine openvino runs on the CPU, not on device cuda; choose the engine torch for a GPU")
    if options.form == TORCH:
        raise ConfigError(
            f"the engine openvino runs the forms {', '.join(GRAPHS)}, not {TORCH}; choose the engine torch for that"
        )
    if options.form != "auto":
        return options.form
    return OPENVINO_INT8 if artifact.default_form == OPENVINO_INT8 else OPENVINO


def choose_precision(
    artifact: Artifact, form: str, precision: str, capabilities: Collection[str], bf16_is_faster: bool
) -> str:
    """What to compute in: what is asked for; or for the float form bf16, where it is faster and costs no accuracy.

    capabilities: OpenVINO's names of what the CPU can do. Raises DeviceError when it can't do what is asked for.
    """
    if precision != "auto":
        # OpenVINO itself would use another precision and not say so.
        if _CAPABILITIES[precision] not in capabilities:
            can = ", ".join(name for name, capability in _CAPABILITIES.items() if capability in capabilities)
            raise DeviceError(
                f"precision {precision} is wanted, but OpenVINO on this CPU computes in {can} only; "
                "choose one of these, or auto"
            )
        return precision
    # What int8 leaves in floats is little, and converting it takes longer than it saves.
    if form == OPENVINO_INT8 or _CAPABILITIES["bf16"] not in capabilities or not bf16_is_faster:
        return "f32"
    return "bf16" if _bf16_holds(artifact) else "f32"


def bf16_pays(cpuinfo: Path) -> bool:
    """Whether OpenVINO is faster in bf16 than in f32 on a CPU that has it, by Linux's description of the CPU.

    Intel's is by its matrix units (AMX) alone: where a virtual machine hides them, an image took 41 ms instead of 25.
    """
    try:
        words = set(cpuinfo.read_text().split())
    except OSError:
        return True
    return "GenuineIntel" not in words or "amx_bf16" in words


def share_threads(threads: int) -> tuple[int, int]:
    """(predictions at once, threads of each): one each as long as that isn't too many; never more than `threads`."""
    width = -(-threads // _MOST_CONCURRENCY)
    return max(1, threads // width), width


def _bf16_holds(artifact: Artifact) -> bool:
    """By the rule that int8 is held to, on the validation images."""
    reference = artifact.forms[TORCH].validation.get("f32") if TORCH in artifact.forms else None
    score = artifact.forms[OPENVINO].validation.get("bf16") if OPENVINO in artifact.forms else None
    if reference is None or score is None or reference.n != score.n:
        return False
    return may_replace(reference.correct, score.correct, score.n)


def _read(core: Any, graph: Path, artifact: Artifact) -> Any:
    """The network in the file. Raises ArtifactError when it is no network for this artifact's images and classes."""
    with graph.open("rb") as file:
        head = file.read(64)
    # Anything else OpenVINO would try to read as one framework's file after the other's.
    if not head.lstrip().startswith((b"<?xml", b"<net")) or graph.stat().st_size > _GRAPH_LIMIT:
        raise ArtifactError(f"{graph} is no graph that Kennel wrote; copy the artifact's folder again")
    model = core.read_model(graph)
    size, classes = artifact.preprocess.image_size, len(artifact.labels)
    inputs = [f"{port.element_type.get_type_name()} {port.partial_shape.to_string()}" for port in model.inputs]
    outputs = [port.partial_shape.to_string() for port in model.outputs]
    expected_input, expected_output = f"u8 [?,{size},{size},3]", f"[?,{classes}]"
    if (inputs, outputs) != ([expected_input], [expected_output]):
        raise ArtifactError(
            f"the network in {graph} doesn't fit its manifest: it turns {', '.join(inputs)} into "
            f"{', '.join(outputs) or 'nothing'}, expected {expected_input} into {expected_output}; train again"
        )
    return model


def _version() -> str:
    return str(openvino.__version__).split("-", maxsplit=1)[0]


def _reason(error: RuntimeError | OSError) -> str:
    """The end of OpenVINO's message, whose beginning names lines of its own source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:160]
