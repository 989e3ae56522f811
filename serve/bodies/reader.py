"""A request's body, bounded -> images, by the kind of body that the label names."""

from typing import Final, Protocol

import numpy as np

from contract.errors import ImageError
from model.preprocess import Preprocess
from serve import codec
from serve.bodies.base64_json import read_json, read_json_lines
from serve.bodies.batch import Batch
from serve.bodies.multipart import read_form
from serve.bodies.npy import read_npy
from serve.engines.base import UInt8Array
from serve.errors import RequestError
from serve.media_types import BodyKind

_READERS: Final = {BodyKind.JSON: read_json, BodyKind.JSON_LINES: read_json_lines, BodyKind.NPY: read_npy}
# How bodies begin that may have lost their label.
_STARTS: Final = (
    (b"{", BodyKind.JSON),
    (b"--", BodyKind.MULTIPART),
    (b"\x93NUMPY", BodyKind.NPY),
)


def read_batch(kind: BodyKind, content_type: str, body: bytes, most: int) -> Batch:
    """The images of a body that isn't an image itself, not decoded yet. Raises RequestError."""
    if kind is BodyKind.MULTIPART:
        return read_form(body, content_type, most)
    return _READERS[kind](body, most)


def load_image(body: bytes, preprocess: Preprocess) -> UInt8Array:
    """A body that is one image, as uint8 (1, image_size, image_size, 3). Raises ImageError."""
    try:
        return codec.decode(body, preprocess)[np.newaxis]
    except ImageError as error:
        for start, kind in _STARTS:
            if body.startswith(start):
                hint = f"{error}; if it holds images, label it Content-Type: {kind.value}"
                raise type(error)(hint) from error
        raise


class Body(Protocol):
    """A stream of a request's bytes; `read` waits until it has as many as asked for, or the end."""

    def read(self, size: int, /) -> bytes: ...


def read_body(stream: Body, length: int | None, limit: int) -> bytes:
    """The request body, whose announced `length` is None when it comes in chunks.

    Raises RequestError: 413 above `limit` bytes, 400 when it ends early, 408 when it stops coming.
    """
    if length is not None and length > limit:
        raise _too_large(length, limit)
    try:
        body = stream.read(limit + 1 if length is None else length)
    except (TimeoutError, BlockingIOError) as error:
        raise RequestError(408, "the request body stopped coming; send it again") from error
    except Exception as error:
        # The server's parser has exceptions of its own for malformed chunks; the body is at fault.
        raise RequestError(400, "the request body ended early, or its chunks are malformed") from error
    if len(body) > limit:
        raise _too_large(length, limit)
    if length is not None and len(body) < length:
        raise RequestError(400, f"the request body ended after {len(body)} of {length} bytes; send it again")
    return body


def _too_large(length: int | None, limit: int) -> RequestError:
    return RequestError(
        413,
        f"the request body is larger than the limit of {limit} bytes"
        + (f" (it has {length})" if length is not None else "")
        + "; send the image smaller, or fewer at once, or raise SAGEMAKER_MAX_PAYLOAD_IN_MB",
    )
