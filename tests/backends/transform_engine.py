"""An engine that answers ten images and then waits for the file `go` in $TOY_DIR."""

import time

from model.artifact import Artifact
from serve.engines.base import EngineOptions, FloatArray, UInt8Array
from tests.serve.engines import ToyEngine, said


class TenThenWait(ToyEngine):
    max_batch = 1

    def __init__(self, artifact: Artifact, options: EngineOptions) -> None:
        super().__init__(artifact, options)
        self._left = 10

    def predict(self, images: UInt8Array) -> FloatArray:
        # A server's own test image is grey.
        if images.min() != images.max():
            while self._left <= 0 and not said("go"):
                time.sleep(0.01)
            self._left -= len(images)
        return super().predict(images)
