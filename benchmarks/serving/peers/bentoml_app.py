"""BentoML, with and without its batching. BENCHMARK_KIND: `int8` or `eager`; BENCHMARK_WORKERS; BENCHMARK_THREADS."""

import os
from pathlib import Path
from typing import Annotated, Any

import bentoml
import numpy as np
from bentoml.validators import ContentType

Photo = Annotated[Path, ContentType("image/jpeg")]
KIND = os.environ["BENCHMARK_KIND"]
WORKERS = int(os.environ["BENCHMARK_WORKERS"])


@bentoml.service(workers=WORKERS, traffic={"timeout": 60})
class Model:
    """Photos -> probabilities: one as the request's body, or those of several requests together."""

    def __init__(self) -> None:
        self.engine: Any
        if KIND == "eager":
            from benchmarks.serving.peers.eager import EagerModel

            self.engine = EagerModel()
        else:
            from benchmarks.serving.peers.int8_engine import Int8Engine

            self.engine = Int8Engine(int(os.environ["BENCHMARK_THREADS"]))

    @bentoml.api(route="/invocations")  # type: ignore[untyped-decorator]
    def invocations(self, photo: Photo, /) -> list[float]:
        """One photo."""
        answer: list[float] = self.engine.answer(photo.read_bytes())
        return answer

    @bentoml.api(route="/batches", batchable=True, max_batch_size=8, max_latency_ms=60_000)  # type: ignore[untyped-decorator]
    def batches(self, photos: list[Path]) -> list[list[float]]:
        """A form with one file or more; BentoML gathers them."""
        answer: list[list[float]] = self.engine.predict(
            np.stack([self.engine.load(photo.read_bytes()) for photo in photos])
        )
        return answer
