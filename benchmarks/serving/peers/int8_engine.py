"""The engine that every peer is given: the artifact's int8 network under OpenVINO, with Kennel's decoding."""

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np

from model._openvino import openvino
from model.artifact import Artifact
from model.forms import OPENVINO_INT8
from model.preprocess import UInt8Array


class Int8Engine:
    """JPEG bytes -> probabilities. threads: cores that one prediction uses; any thread may call."""

    def __init__(self, threads: int, artifact: Path | None = None) -> None:
        self._artifact = Artifact.load(artifact or Path(os.environ["BENCHMARK_ARTIFACT"]))
        self._local = threading.local()
        self._model = openvino.Core().compile_model(
            self._artifact.graph(OPENVINO_INT8),
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": "f32",
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": 1,
                "ENABLE_HYPER_THREADING": True,
                # By default it is on, and two processes with a thread each then share one core: half the speed.
                "ENABLE_CPU_PINNING": False,
            },
        )

    def load(self, photo: bytes) -> UInt8Array:
        """Decode and preprocess one photo."""
        return self._artifact.preprocess.load(photo)

    def predict(self, images: UInt8Array) -> list[list[float]]:
        """Images (N, H, W, 3) -> a row of probabilities for each."""
        request: Any = getattr(self._local, "request", None)
        if request is None:
            request = self._local.request = self._model.create_infer_request()
        logits = request.infer([images])[0].astype(np.float64) / self._artifact.temperature
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        rows: list[list[float]] = (powers / powers.sum(axis=1, keepdims=True)).tolist()
        return rows

    def answer(self, photo: bytes) -> list[float]:
        """One photo's probabilities."""
        return self.predict(self.load(photo)[np.newaxis])[0]
