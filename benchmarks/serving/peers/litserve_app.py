"""LitServe. Arguments: port, `int8` or `eager`, workers, largest batch, milliseconds to wait for a batch."""

import sys
from typing import Annotated, Any

import litserve
import numpy as np
from fastapi import Body

from model.machine import available_cpus

Photo = Annotated[bytes, Body(media_type="image/jpeg")]


class Int8(litserve.LitAPI):  # type: ignore[misc]
    """Decodes each photo by itself, then predicts a batch."""

    def setup(self, device: str) -> None:  # noqa: ARG002
        from benchmarks.serving.peers.int8_engine import Int8Engine

        self.engine = Int8Engine(max(1, available_cpus() // WORKERS))

    def decode_request(self, request: Photo) -> Any:
        return self.engine.load(request)

    def predict(self, images: Any) -> Any:
        # Without batching there is one image, and no list.
        return self.engine.predict(np.stack(images)) if LARGEST > 1 else self.engine.predict(images[np.newaxis])[0]

    def encode_response(self, output: Any) -> list[float]:
        return list(output)


class Eager(litserve.LitAPI):  # type: ignore[misc]
    """As its documentation's first example: nothing is said about threads or batches."""

    def setup(self, device: str) -> None:  # noqa: ARG002
        from benchmarks.serving.peers.eager import EagerModel

        self.model = EagerModel()

    def decode_request(self, request: Photo) -> bytes:
        return request

    def predict(self, photo: bytes) -> list[float]:
        return self.model.answer(photo)

    def encode_response(self, output: Any) -> list[float]:
        return list(output)


WORKERS, LARGEST = int(sys.argv[3]), int(sys.argv[4])

if __name__ == "__main__":
    kind = Int8 if sys.argv[2] == "int8" else Eager
    api = kind(max_batch_size=LARGEST, batch_timeout=float(sys.argv[5]) / 1000, api_path="/invocations")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=WORKERS)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
