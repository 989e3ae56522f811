"""MLServer: a custom runtime, with the V2 protocol, which it batches, and a route for plain bytes, which it doesn't.

BENCHMARK_THREADS: cores that one prediction uses.
"""

import os
from typing import Annotated, Any

import numpy as np
from fastapi import Body
from mlserver import MLModel
from mlserver.codecs import Base64Codec, NumpyCodec
from mlserver.handlers import custom_handler
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.serving.peers.int8_engine import Int8Engine

Photo = Annotated[bytes, Body(media_type="image/jpeg")]


class Breeds(MLModel):  # type: ignore[misc]
    """One model; each of MLServer's workers loads it for itself."""

    async def load(self) -> bool:
        self.engine = Int8Engine(int(os.environ["BENCHMARK_THREADS"]))
        return True

    @custom_handler(rest_path="/invocations")  # type: ignore[untyped-decorator]
    async def invocations(self, photo: Photo) -> list[float]:
        """One photo as it is."""
        return self.engine.answer(photo)

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """A tensor of base64 texts, those of several requests together."""
        photos: Any = Base64Codec.decode_input(payload.inputs[0])
        images = np.stack([self.engine.load(photo) for photo in photos])
        output = NumpyCodec.encode_output("probabilities", np.array(self.engine.predict(images)))
        return InferenceResponse(model_name=self.name, outputs=[output])
