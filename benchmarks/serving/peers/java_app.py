"""The handler for TorchServe and multi-model-server, which take the same. BENCHMARK_THREADS: cores of a prediction."""

import functools
import os
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.serving.peers.int8_engine import Int8Engine


@functools.cache
def _engine() -> Int8Engine:
    return Int8Engine(int(os.environ["BENCHMARK_THREADS"]))


def handle(data: Sequence[Mapping[str, bytes]] | None, context: object) -> list[list[float]] | None:  # noqa: ARG001
    """A batch of requests -> an answer for each. Called without data once, to load the model."""
    engine = _engine()
    if not data:
        return None
    photos = [bytes(request.get("body") or request["data"]) for request in data]
    return engine.predict(np.stack([engine.load(photo) for photo in photos]))
